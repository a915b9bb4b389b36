package event

import (
	"errors"
	"net/netip"
	"net/url"
	"reflect"
	"testing"

	"tidewaiter/image"
)

// Every kind of event comes back from bytes as it was, hostile text included.
func TestEveryBodySurvivesTheCodec(t *testing.T) {
	c, err := NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	d, err := image.ParseDigest("sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	ap := netip.MustParseAddrPort("[2001:db8::1]:443")
	ref := image.Parse("\x1b[31mevil\xff\x00")
	pod := ObjectRef{"Pod", "ns", "p", "uid"}
	who := Principal{Name: "bob", Groups: []string{"g"}, Clients: []netip.Addr{ap.Addr()}}
	of := &PodRef{Namespace: "ns", Pod: "p", Image: ref, Workload: ObjectRef{Kind: "Deployment", Name: "p"}}
	spec := &PodSpec{Node: "n", Containers: []ContainerSpec{{Name: "c", Kind: MainContainer, Image: ref, Command: []string{"a"}, Probes: [][]string{{"b"}}, Risk: Risk{Privileged: true}}}}
	bodies := []Body{
		&Image{Action: ImagePull, Reference: image.Parse("nginx:1@" + d.String()), Digest: d, Namespace: "k8s.io", CRI: true},
		&ImageResolved{Reference: image.ParseDocker("0123456789ab"), Digest: d},
		&ImageDescription{ID: d, RepoDigests: []image.Reference{ref}, OS: "linux"},
		&Container{Action: ContainerCreate, ID: "x", Labels: map[string]string{"a": "\xff"}, Image: ref, ExitCode: -1},
		&Task{Action: TaskExit, Container: "x", ExecID: "e", PID: 7, ExitCode: 137},
		&ExecStarted{Container: "x", Command: "sh -c \x1b"},
		&NetworkAttachment{Container: "x", NetworkID: "n", Connected: true},
		&ContainerDescription{ID: "x", ImageID: d, Command: []string{"a"}, StartedAt: Time{1, 2}, PID: 1,
			Networks: []NetworkAddress{{NetworkID: "n", Addrs: []netip.Addr{ap.Addr()}, At: Time{At: 7, Res: 1}}}, Risk: Risk{Privileged: true, Mounts: []Mount{{"/", "/host", true}}}},
		&HostDescription{Name: "h", Addrs: []netip.Addr{ap.Addr()}},
		&Process{PID: 1, PPID: 2, Args: []string{"a", "\xfe"}, UID: 0, AUID: -1, Session: -1},
		&FileWrite{PID: 1, Path: "/x"},
		&Socket{PID: 1, Addr: ap},
		&Flow{Protocol: "tcp", Src: ap, Dst: ap, BytesOut: -1, End: Time{5, 1}},
		&DNS{Client: ap, Query: "q", Addrs: []netip.Addr{ap.Addr()}},
		&APIRequest{Method: "POST", Query: url.Values{"t": {"a"}}, Create: &ContainerDescription{ID: "y"}},
		&BuildStep{ID: "i", Command: []string{"c"}},
		&Sandbox{Action: ContainerCreate, ID: "s", Object: pod, Addrs: []netip.Addr{ap.Addr()}},
		&Pod{Verb: VerbCreate, Object: pod, Owner: pod, Labels: map[string]string{"a": "b"}, By: who, Code: 201, Spec: spec},
		&Workload{Verb: VerbUpdate, Object: pod, Prefix: "x-", By: who, Template: spec},
		&PodStatus{Object: pod, Node: "n", Addrs: []netip.Addr{ap.Addr()}, Containers: []ContainerStatus{{Name: "c", Kind: InitContainer, ID: "x", Image: ref, ImageID: d, StartedAt: Time{1, 2}}}},
		&PodAccess{Action: "exec", Object: pod, Command: []string{"sh", "\xfe"}, TTY: true, By: who},
		&Grant{Verb: VerbCreate, Object: pod, Role: "ClusterRole/admin", To: []string{"User/bob"}, By: who},
		&KubeEvent{Object: pod, Container: "c", ContainerKind: MainContainer, Reason: "Pulled", Image: ref, Present: true, Count: 3, Last: Time{5, 1}},
		&HTTP{Client: ap, Server: ap, Method: "GET", URI: "/\x1b", BytesIn: -1, Of: of},
		&TLS{Client: ap, Server: ap, ServerName: "a.example", Of: of},
		&RegistryAction{Action: "push", Reference: ref, Digest: d, By: who},
		&Instance{Action: InstanceLaunch, ID: "i-1", Image: "ami-1", Tags: map[string]string{"a": "\xff"}, Interfaces: []VMInterface{{ID: "eni-1", Addrs: []netip.Addr{ap.Addr()}}},
			UserData: UserData{Present: true, Keys: []string{"startup-script"}}, By: Principal{Name: "bob", Cloud: &CloudIdentity{Type: "AssumedRole", Console: true}}},
		&VMImage{Action: VMImageDescribe, ID: "ami-1", Owner: "1", Created: Time{5, 1}, Public: true, To: []string{"all"}},
		&GuestScript{Stage: GuestStored, Agent: "cloud-init", Text: "#!/bin/sh\n\xfe", Commands: []string{"id"}, Boot: Time{5, 1}, Addrs: []netip.Addr{ap.Addr()}},
		&Loss{Reason: "r", Count: -1},
		&Plain{Fields: map[string]any{"a": "b", "n": int64(1), "l": []any{"x"}, "o": map[string]any{"k": true}}},
	}
	if len(bodies) != len(Bodies()) {
		t.Fatalf("%d bodies are tried, there are %d", len(bodies), len(Bodies()))
	}
	for _, b := range bodies {
		e := &Event{ID: NewID("x"), Time: Time{3, 4}, Record: 5, Observed: 6, Place: Place{Host: "h", Network: "n"}, History: true, Body: b,
			Origin: Origin{Source: Docker, Format: "f", File: "p\xff", Spans: []Span{{1, 2, 3}}}}
		data, err := c.Encode(e)
		if err != nil {
			t.Errorf("%s: %v", b.Kind(), err)
			continue
		}
		got, err := c.Decode(data)
		if err != nil {
			t.Errorf("%s: %v", b.Kind(), err)
			continue
		}
		if !reflect.DeepEqual(got, e) {
			t.Errorf("%s:\n got %+v %+v\nwant %+v %+v", b.Kind(), got, got.Body, e, e.Body)
		}
		for i := range data {
			if _, err := c.Decode(data[:i]); !errors.Is(err, ErrCodec) {
				t.Fatalf("%s cut at %d of %d: %v", b.Kind(), i, len(data), err)
			}
		}
	}
}

func TestAnEventOfANewerVersionIsRefused(t *testing.T) {
	c, err := NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	data, err := c.Marshal(envelope{Kind: "teleport", Body: []byte{0xa0}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Decode(data); !errors.Is(err, ErrCodec) {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	c, err := NewCodec()
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range Bodies() {
		data, err := c.Encode(&Event{Body: b})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := c.Decode(data)
		if err != nil {
			return
		}
		if _, err := c.Encode(e); err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
	})
}

func TestProgramNames(t *testing.T) {
	for in, want := range map[string]string{"/usr/bin/Curl": "curl", `C:\Windows\System32\CMD.EXE`: "cmd", "-bash": "bash", "wget": "wget", "": "", "/": ""} {
		if got := ProgramName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
