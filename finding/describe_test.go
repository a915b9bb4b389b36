package finding

import (
	"net/netip"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

func TestDescribe(t *testing.T) {
	connection := func(remote string, domains ...string) *evidence.ConnectionFact {
		return &evidence.ConnectionFact{Remote: addrPort(remote), Domains: domains}
	}
	web := image.Parse("registry.example/shop/web:1.4")
	for _, c := range []struct {
		why        string
		kind       evidence.Kind
		body       event.Body
		connection *evidence.ConnectionFact
		want       string
	}{
		{"an image by name", evidence.Arrival, &event.Image{Action: event.ImagePull, Reference: web}, nil, "pull registry.example/shop/web:1.4"},
		{"by name and id", evidence.Arrival, &event.Image{Action: event.ImagePull, Reference: web, Digest: digest(digestA)}, nil,
			"pull registry.example/shop/web:1.4 (" + digestA + ")"},
		{"by id alone", evidence.Arrival, &event.Image{Action: event.ImageLoad, Digest: digest(digestA)}, nil, "load (" + digestA + ")"},
		{"a digest in the name is not told twice", evidence.Arrival,
			&event.Image{Action: event.ImagePull, Reference: image.Parse("registry.example/web@" + digestA), Digest: digest(digestA)}, nil,
			"pull registry.example/web@" + digestA},
		{"a name that is none is told as it stands", evidence.Arrival, &event.Image{Action: event.ImageTag, Reference: image.Parse("<script>")}, nil, "tag <script>"},

		{"a creation names the image", evidence.Creation, &event.Container{Action: event.ContainerCreate, ID: containerID, Name: "web", Image: web}, nil,
			"create web of registry.example/shop/web:1.4"},
		{"a start does not", evidence.Start, &event.Container{Action: event.ContainerStart, ID: containerID, Name: "web", Image: web}, nil, "start web"},
		{"without a name the id is cut as people know it", evidence.Exit, &event.Container{Action: event.ContainerExit, ID: containerID}, nil, "exit 3f4e8c2a9b1d"},
		{"a free name is not cut", evidence.Start, &event.Container{Action: event.ContainerStart, ID: "a-name-that-somebody-chose"}, nil, "start a-name-that-somebody-chose"},
		{"a task", evidence.Start, &event.Task{Action: event.TaskStart, PID: 4021}, nil, "task start, process 4021"},
		{"a task whose process the source does not tell", evidence.Start, &event.Task{Action: event.TaskStart}, nil, "task start"},
		{"what a tag meant", evidence.Arrival, &event.ImageResolved{Reference: web, Digest: digest(digestA)}, nil,
			"the registry named " + digestA + " for registry.example/shop/web:1.4"},
		{"an exec through the runtime", evidence.Command, &event.ExecStarted{Command: "sh -c id"}, nil, "exec: sh -c id"},

		{"the runtime's helper creates a container", evidence.Creation, &event.Process{PID: 9, Exe: "/usr/bin/runc", Args: []string{"runc", "create", containerID}}, nil,
			"the runtime created 3f4e8c2a9b1d"},
		{"a user's client creates a container", evidence.Creation, &event.Process{PID: 9, Args: []string{"docker", "run", "-d", "web:1"}}, nil, "docker run -d web:1 [9]"},
		{"a pod is asked for", evidence.Creation, &event.Pod{Verb: event.VerbCreate, Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1"}, By: event.Principal{Name: "bob"},
			Spec: &event.PodSpec{Containers: []event.ContainerSpec{{Image: web}, {Image: web}, {}}}}, nil, "bob: create pod prod/web-1 of registry.example/shop/web:1.4"},
		{"a pod is deleted by nobody known", evidence.Exit, &event.Pod{Verb: event.VerbDelete, Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1"}, Spec: &event.PodSpec{}}, nil, "delete pod prod/web-1"},
		{"what makes pods is asked for", evidence.Creation, &event.Workload{Verb: event.VerbUpdate, Object: event.ObjectRef{Kind: "CronJob", Namespace: "prod", Name: "x"}, By: event.Principal{Name: "bob"}}, nil, "bob: update cronjob prod/x"},
		{"somebody reaches into a pod", evidence.Access, &event.PodAccess{Action: "exec", Object: event.ObjectRef{Namespace: "prod", Name: "web-1"}, Command: []string{"sh", "-i"}, By: event.Principal{Name: "bob"}}, nil, "bob: exec in prod/web-1: sh -i"},
		{"a Kubernetes Event", evidence.Arrival, &event.KubeEvent{Reason: "Pulling", Message: "Pulling image"}, nil, "Pulling: Pulling image"},
		{"a request", evidence.Request, &event.HTTP{Method: "GET", Host: "a.example", URI: "/x"}, nil, "GET http://a.example/x"},
		{"a handshake", evidence.Request, &event.TLS{ServerName: "a.example"}, nil, "TLS to a.example"},
		{"a helper whose arguments the source does not tell", evidence.Creation, &event.Process{PID: 9, Exe: "/usr/bin/runc"}, nil, "/usr/bin/runc [9]"},
		{"a command", evidence.Command, &event.Process{PID: 9, Exe: "/bin/busybox", Args: []string{"wget", "-q", "http://203.0.113.9"}}, nil,
			"wget -q http://203.0.113.9 [9]"},
		{"without arguments", evidence.Command, &event.Process{PID: 9, Exe: "/bin/sh"}, nil, "/bin/sh [9]"},
		{"a script", evidence.Command, &event.Process{PID: 9, Exe: "/bin/sh", Script: "/tmp/x.sh", Args: []string{"x"}}, nil, "x (/tmp/x.sh) [9]"},
		{"a script that the arguments name", evidence.Command, &event.Process{PID: 9, Exe: "/bin/sh", Script: "/tmp/x.sh", Args: []string{"/bin/sh", "/tmp/x.sh"}}, nil,
			"/bin/sh /tmp/x.sh [9]"},
		{"a file written", evidence.Write, &event.FileWrite{Path: "/tmp/x"}, nil, "wrote /tmp/x"},

		{"a flow with everything", evidence.Connection, &event.Flow{Protocol: "tcp", BytesOut: 120, BytesIn: 4096, Answered: true},
			connection("203.0.113.9:443", "a.example", "b.example"), "tcp to 203.0.113.9:443 (a.example, b.example), 120 bytes out, 4096 in"},
		{"a flow that nobody answered", evidence.Connection, &event.Flow{Protocol: "udp", BytesOut: -1, BytesIn: -1},
			connection("[2001:db8::9]:53"), "udp to [2001:db8::9]:53, not answered"},
		{"one direction is not counted", evidence.Connection, &event.Flow{Protocol: "tcp", BytesOut: 120, BytesIn: -1, Answered: true},
			connection("203.0.113.9:443"), "tcp to 203.0.113.9:443"},
		{"a connection that was asked for", evidence.Connection, &event.Socket{Addr: addrPort("203.0.113.9:443")}, connection("203.0.113.9:443", "a.example"),
			"to 203.0.113.9:443 (a.example)"},
		{"a known system", evidence.Connection, &event.Socket{Addr: addrPort("203.0.113.9:443")},
			&evidence.ConnectionFact{Remote: addrPort("203.0.113.9:443"), System: "AS64500 Example Net"}, "to 203.0.113.9:443 (AS64500 Example Net)"},
		{"a known system and name", evidence.Connection, &event.Socket{Addr: addrPort("203.0.113.9:443")},
			&evidence.ConnectionFact{Remote: addrPort("203.0.113.9:443"), Domains: []string{"a.example"}, System: "AS64500"}, "to 203.0.113.9:443 (a.example, AS64500)"},
		{"to a unix socket", evidence.Connection, &event.Socket{Path: "/run/docker.sock"}, &evidence.ConnectionFact{}, "to /run/docker.sock"},
		{"without what was made of it", evidence.Connection, &event.Flow{Protocol: "tcp"}, nil, "connection"},

		{"a name that has addresses", evidence.Lookup, &event.DNS{Query: "a.example", Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8::9")}, Code: "NOERROR"}, nil,
			"asked for a.example: 203.0.113.9, 2001:db8::9"},
		{"a name that has none", evidence.Lookup, &event.DNS{Query: "a.example", Code: "NXDOMAIN"}, nil, "asked for a.example: NXDOMAIN"},
		{"a query without an answer", evidence.Lookup, &event.DNS{Query: "a.example"}, nil, "asked for a.example"},

		{"a machine is launched", evidence.Creation, &event.Instance{Action: event.InstanceLaunch, ID: "i-1", Image: "ami-1", By: event.Principal{Name: "bob"}}, nil, "bob: launch i-1 of ami-1"},
		{"a launch in vain", evidence.Creation, &event.Instance{Action: event.InstanceLaunch, Failure: "Client.VcpuLimitExceeded", Image: "ami-1"}, nil, "tried in vain (Client.VcpuLimitExceeded): launch of ami-1"},
		{"an image is copied", evidence.Arrival, &event.VMImage{Action: event.VMImageCopy, ID: "ami-2", Parent: "ami-1"}, nil, "copy ami-2 of ami-1"},
		{"a script runs at a boot", evidence.Command, &event.GuestScript{Stage: event.GuestRun, Agent: "cloud-init", Name: "part-001", Commands: []string{"id", "ls"}}, nil, "cloud-init run id; ls"},

		{"a plain event", evidence.Plain, &event.Plain{Fields: map[string]any{"a": 1}}, nil, "event"},
		{"a body that has no words of its own", evidence.Start, &event.NetworkAttachment{}, nil, "start"},
	} {
		f := evidence.Fact{Kind: c.kind, Event: happened(at(0), c.body), Connection: c.connection}
		if got := Describe(f, evidence.Image{}); got != c.want {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
}

// TestDescribeTakesEveryBody: whatever a source leaves out, a record can be
// told of.
func TestDescribeTakesEveryBody(t *testing.T) {
	for _, body := range event.Bodies() {
		if b, ok := body.(*event.Image); ok {
			b.Action = event.ImagePull // what was done is what makes it a record
		}
		for _, kind := range evidence.Kinds() {
			for _, conn := range []*evidence.ConnectionFact{nil, {}} {
				if got := Describe(evidence.Fact{Kind: kind, Event: happened(at(0), body), Connection: conn}, evidence.Image{}); got == "" {
					t.Errorf("%s as %s: no words", body.Kind(), kind)
				}
			}
		}
	}
}
