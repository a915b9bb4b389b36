// Package falcosidekick hands findings to Falcosidekick, which knows many
// receivers more.
//
// In: notices. Out: POST requests in the form of Falco's JSON output.
package falcosidekick

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/post"
	"tidewaiter/visible"
)

// maxText bounds each text.
const maxText = 2000

// Options say where to and how.
type Options struct {
	HTTP post.Options
	// Fields are added to output_fields.
	Fields map[string]string
}

// Falcosidekick is a sink. Safe for concurrent use.
type Falcosidekick struct {
	opt    Options
	client *post.Client
}

// Open checks the options; nothing is sent.
func Open(opt Options) (*Falcosidekick, error) {
	c, err := post.Open(opt.HTTP)
	return &Falcosidekick{opt, c}, err
}

// payload is what Falcosidekick takes.
type payload struct {
	UUID     string         `json:"uuid"`
	Output   string         `json:"output"`
	Priority string         `json:"priority"`
	Rule     string         `json:"rule"`
	Time     time.Time      `json:"time"`
	Source   string         `json:"source"`
	Fields   map[string]any `json:"output_fields"`
	Hostname string         `json:"hostname,omitempty"`
	Tags     []string       `json:"tags"`
}

// Deliver implements sink.Sink.
func (f *Falcosidekick) Deliver(ctx context.Context, n sink.Notice) error {
	o, err := ocsf.Parse(n)
	if err != nil {
		return err
	}
	p := payload{
		UUID: uuid.NewSHA1(uuid.NameSpaceOID, []byte("tidewaiter\x00"+n.ID)).String(),
		// Its outputs are chats, mostly: nothing may control a terminal there.
		Output: text(o.Message), Priority: priority(o.SeverityID), Time: n.At.UTC(), Source: "tidewaiter",
		Rule:   strings.TrimSpace(o.FindingInfo.Analytic.UID + " " + o.FindingInfo.Analytic.Name),
		Fields: f.fields(o), Hostname: text(cmp.Or(ocsf.Entity(o).Host, n.Host)), Tags: []string{"tidewaiter", "container"},
	}
	techniques, subs := ocsf.Techniques(o)
	for _, t := range slices.Concat(techniques, subs) {
		p.Tags = append(p.Tags, text(t))
	}
	body, err := json.Marshal(p)
	if err != nil {
		return sink.Permanent(fmt.Errorf("notice %s: %w", n.ID, err))
	}
	_, err = f.client.Post(ctx, body, http.Header{"Content-Type": {"application/json"}})
	return err
}

// fields are named as Falco names them, where it does.
func (f *Falcosidekick) fields(o finding.OCSF) map[string]any {
	e := ocsf.Entity(o)
	repository, tag := ocsf.SplitImage(e.Image)
	out := map[string]any{
		"finding.id": o.FindingInfo.UID, "finding.state": string(o.Unmapped.State), "finding.severity": strings.ToLower(o.Severity),
		"finding.score": o.RiskScore, "finding.confidence": o.ConfidenceScore,
	}
	for name, value := range map[string]string{
		"container.id": e.ContainerID, "container.name": e.ContainerName, "container.image.repository": repository,
		"container.image.tag": tag, "container.image.digest": e.ImageDigest, "k8s.ns.name": e.Namespace, "k8s.pod.name": e.Pod,
		"k8s.pod.uid": e.PodUID, "k8s.cluster.name": e.Cluster, "k8s.workload.name": e.Workload,
		"cloud.instance.id": e.InstanceID, "cloud.account.id": e.Account, "finding.owner": o.Unmapped.Owner, "finding.cause": o.Unmapped.Cause,
	} {
		if value != "" {
			out[name] = text(value)
		}
	}
	for name, value := range f.opt.Fields {
		out[name] = value
	}
	return out
}

// text is visible, and bounded.
func text(s string) string {
	if r := []rune(visible.Text(s)); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return visible.Text(s)
}

// priority is Falco's for an OCSF severity.
func priority(severity int) string {
	switch severity {
	case 5:
		return "Critical"
	case 4:
		return "Error"
	case 3:
		return "Warning"
	case 2:
		return "Notice"
	}
	return "Informational"
}

// Close implements sink.Sink.
func (f *Falcosidekick) Close() error { return f.client.Close() }
