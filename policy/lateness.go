package policy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"tidewaiter/event"
)

// lateness is how long after it was written a source's record can still be
// delivered, by default: what the makers of these sources state, and what they
// were measured to need.
func lateness() map[event.Source]time.Duration {
	return map[event.Source]time.Duration{
		event.Docker: 30 * time.Second, event.Dockerd: 30 * time.Second, event.DockerAuthz: 30 * time.Second, event.Containerd: 30 * time.Second, event.CRI: 30 * time.Second,
		event.Auditd: 30 * time.Second, event.Laurel: 30 * time.Second, event.Tetragon: 30 * time.Second, event.Tracee: 30 * time.Second, event.Kernel: 30 * time.Second,
		event.Conntrack: 30 * time.Second, event.Tidewaiter: 30 * time.Second, event.Kubelet: 30 * time.Second,
		event.Falco: 2 * time.Minute, event.ECS: 2 * time.Minute, event.OCSF: 15 * time.Minute,
		event.KubeAudit: 10 * time.Minute, event.KubeEvents: 2 * time.Minute, event.Registry: 2 * time.Minute,
		event.Zeek: 15 * time.Minute, event.Suricata: 15 * time.Minute, event.Hubble: 2 * time.Minute,
		event.CloudTrail: 20 * time.Minute, event.GCPAudit: 5 * time.Minute, event.Azure: 15 * time.Minute,
		event.VPCFlow: 15 * time.Minute, event.GCPFlow: 5 * time.Minute, event.AzureFlow: 15 * time.Minute, event.NetFlow: 15 * time.Minute,
		event.Route53: 15 * time.Minute, event.GCPDNS: 5 * time.Minute,
		event.CloudInit: 30 * time.Second, event.GuestAgent: 30 * time.Second, event.Sysmon: 2 * time.Minute,
	}
}

// sources are the sources that have a lateness, sorted.
func sources() []string {
	var names []string
	for _, s := range slices.Sorted(maps.Keys(lateness())) {
		names = append(names, string(s))
	}
	return names
}

// Lateness is how long after it was written a source's record can still come.
// What rests on an absence is final when that time has passed. Sources that
// have none, such as look-ups, give 0.
func (p *Policy) Lateness(s event.Source) time.Duration {
	if d, said := p.lateness[s]; said {
		return d
	}
	return lateness()[s]
}

// readLateness reads how late sources may be.
func (l *loader) readLateness(n *yaml.Node) {
	l.policy.lateness = map[event.Source]time.Duration{}
	l.mapping(n, "lateness", func(key string, at, val *yaml.Node) {
		if _, known := lateness()[event.Source(key)]; !known {
			l.fault(at, join("lateness", key), "no source is called %s%s", quote(key), suggestion(key, sources()))
			return
		}
		l.policy.lateness[event.Source(key)] = l.value(val, join("lateness", key), Duration).Duration()
	})
}

// latenessSchema is the JSON Schema of the key.
func latenessSchema() map[string]any {
	properties := map[string]any{}
	for _, s := range sources() {
		properties[s] = Duration.schema("Default: " + duration(lateness()[event.Source(s)]) + ".")
	}
	return map[string]any{
		"type": "object", "additionalProperties": false, "properties": properties,
		"description": "How long after it was written a source's record can still be delivered. What rests on an absence, or on \"never seen\", is provisional until then.",
	}
}

// duration writes a length of time as a policy does.
func duration(d time.Duration) string {
	return strings.TrimSuffix(d.String(), "m0s") + map[bool]string{true: "m"}[d%time.Minute == 0]
}
