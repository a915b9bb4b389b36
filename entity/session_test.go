package entity

import (
	"fmt"
	"slices"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// probed tells a container with a probe of every ten seconds.
func (s podStory) probed(name string, probe ...string) {
	s.ask(1, "alice", web, event.ObjectRef{}, &event.PodSpec{Containers: []event.ContainerSpec{{Name: name, Kind: event.MainContainer, Image: image.Parse("web:1"), Probes: [][]string{probe}}}})
	s.status(5, web, "10.42.0.7", event.ContainerStatus{Name: name, Kind: event.MainContainer, ID: containerA})
	s.on("n1", func() { s.task(3, containerA, 100) })
}

// execStarted adds that the runtime started a process in the container.
func (s podStory) execStarted(at float64, exec string, pid int) {
	s.on("n1", func() {
		s.add(at, event.Containerd, &event.Task{Action: event.TaskStart, Container: containerA, ExecID: exec, PID: pid})
	})
}

func (s podStory) session(at float64, who string, args ...string) {
	s.add(at, event.KubeAudit, &event.PodAccess{Action: "exec", Object: web, Container: "a", Command: args, By: event.Principal{Name: who, Groups: []string{"ops"}}, Code: 101})
}

// tellExecs gives what is said of each process that the runtime started.
func tellExecs(sub *evidence.Subject) (out []string) {
	for _, f := range sub.Of(evidence.Exec) {
		switch x := f.Exec; {
		case x.Session.Told:
			out = append(out, x.Session.By.Name)
		case x.Probe:
			out = append(out, "probe")
		default:
			out = append(out, "unexplained")
		}
	}
	return out
}

// A probe's processes are told from those that somebody asked the API for, and
// from those that nobody did.
func TestExecsAreExplained(t *testing.T) {
	s := newPodStory(t)
	s.probed("a", "check", "-q")
	for i := range 3 {
		s.execStarted(10+float64(i)*10, fmt.Sprint("p", i), 200+i)
	}
	s.session(25, "alice", "/bin/id")
	s.execStarted(25.2, "x", 250)
	if got := tellExecs(s.the(web)); !slices.Equal(got, []string{"probe", "probe", "alice", "probe"}) {
		t.Errorf("%q", got)
	}
	// With the command beside it, what is not the probe's is told.
	s.execStarted(33, "y", 260)
	s.on("n1", func() { s.run(33.1, 260, 50, "sh") })
	if got := tellExecs(s.the(web)); !slices.Equal(got, []string{"probe", "probe", "alice", "probe", "unexplained"}) {
		t.Errorf("%q", got)
	}
}

// Without any probe in the pod, nothing is taken for one.
func TestWithoutProbesNothingIsAProbe(t *testing.T) {
	s := newPodStory(t)
	s.status(5, web, "10.42.0.7", event.ContainerStatus{Name: "a", ID: containerA})
	s.execStarted(10, "p", 200)
	s.session(400, "alice", "sh")
	if got := tellExecs(s.the(web)); !slices.Equal(got, []string{"unexplained"}) {
		t.Errorf("%q", got)
	}
}

// What runs in a session, and what that starts, is its opener's.
func TestCommandsBelongToTheirSession(t *testing.T) {
	s := newPodStory(t)
	s.probed("a", "check", "-q")
	s.session(20, "alice", "bash")
	s.session(20.1, "bob", "sh", "-c", "id")
	s.on("n1", func() {
		s.run(19.9, 150, 1, "runc", "exec", containerA)
		s.run(20.2, 151, 150, "bash")
		s.run(80, 152, 151, "curl", "http://203.0.113.8/")
		s.run(20.3, 160, 1, "runc", "exec", containerA)
		s.run(20.4, 161, 160, "sh", "-c", "id")
		s.run(20.5, 161, 160, "id") // the shell's last command takes its place
		s.run(60, 170, 1, "runc", "exec", containerA)
		s.run(60.1, 171, 170, "ash")
		s.run(4, 180, 100, "server")
	})
	want := map[string]string{"bash": "alice", "curl http://203.0.113.8/": "alice", "sh -c id": "bob", "id": "bob", "ash": "", "server": ""}
	for _, f := range s.the(web).Of(evidence.Command) {
		who := ""
		if f.Command.Session.Told {
			who = f.Command.Session.By.Name
		}
		if w, known := want[f.Command.Text]; known && w != who {
			t.Errorf("%s is %q's, want %q", f.Command.Text, who, w)
		}
		delete(want, f.Command.Text)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
}
