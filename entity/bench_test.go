package entity

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// The shapes of a busy host that could cost more than n log n. Each is told in
// order and shuffled, with a look at what changed after every so many events.

type shape struct {
	n    int
	look int // events between two looks
	tell func(s *shapeMaker, n int)
}

func shapes() map[string]shape {
	return map[string]shape{
		"execs-of-one-container":      {10_000, 1000, execsOfOneContainer},
		"children-of-one-parent":      {100_000, 10_000, childrenOfOneParent},
		"flows-of-one-container":      {100_000, 10_000, flowsOfOneContainer},
		"containers-on-one-address":   {5_000, 1000, containersOnOneAddress},
		"containers-on-one-device":    {5_000, 1000, containersOnOneDevice},
		"restarts-of-one-container":   {5_000, 1000, restartsOfOneContainer},
		"writes-of-one-process":       {50_000, 10_000, writesOfOneProcess},
		"programs-of-one-process":     {20_000, 2000, programsOfOneProcess},
		"images-and-containers":       {3_000, 1000, imagesAndContainers},
		"pulls-of-one-node":           {3_000, 1000, pullsOfOneNode},
		"answers-for-one-address":     {50_000, 10_000, answersForOneAddress},
		"host-processes-over-a-bound": {100_000, 10_000, hostProcesses},
	}
}

func BenchmarkApply(b *testing.B) {
	for _, name := range slices.Sorted(keys(shapes())) {
		sh := shapes()[name]
		for _, scale := range []int{1, 2} {
			m := &shapeMaker{}
			sh.tell(m, sh.n*scale)
			shuffled := slices.Clone(m.events)
			rand.New(rand.NewPCG(1, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			for order, events := range map[string][]*event.Event{"in-order": m.events, "shuffled": shuffled} {
				b.Run(fmt.Sprintf("%s/%s/%d", name, order, sh.n*scale), func(b *testing.B) {
					for b.Loop() {
						r := New(Limits{Waiting: 20_000})
						for i, e := range events {
							r.Apply(e)
							if i%sh.look == sh.look-1 {
								view2(r)
							}
						}
						view2(r)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(events)), "ns/event")
				})
			}
		}
	}
}

func keys[K comparable, V any](m map[K]V) func(yield func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// view2 asks for what changed, as a partition does.
func view2(r *Resolver) {
	for _, id := range r.Dirty() {
		r.Subject(id)
	}
	r.Widened()
	r.Released()
}

type shapeMaker struct{ events []*event.Event }

func (m *shapeMaker) add(at float64, b event.Body) {
	e := &event.Event{ID: event.NewID(fmt.Sprint(len(m.events))), Place: event.Place{Host: "h"}, Body: b}
	if at >= 0 {
		e.Time = event.Time{At: sec(at), Res: 1}
	}
	m.events = append(m.events, e)
}

func (m *shapeMaker) exec(at float64, pid, ppid int, dev string, args ...string) {
	m.add(at, &event.Process{PID: pid, PPID: ppid, Exe: "/bin/" + args[0], Args: args, Device: dev})
}

func (m *shapeMaker) life(at, until float64, n, pid int, addr string) {
	c := fmt.Sprintf("%064x", 0xabc000000000+n<<12)
	m.add(at, &event.Container{Action: event.ContainerCreate, ID: c, Image: image.Parse("web:1")})
	m.add(at, &event.Task{Action: event.TaskStart, Container: c, PID: pid})
	if addr != "" {
		m.add(at, &event.NetworkAttachment{Container: c, NetworkID: "n", Connected: true})
		m.add(-1, &event.ContainerDescription{ID: c, PID: pid, StartedAt: event.Time{At: sec(at), Res: 1},
			Networks: []event.NetworkAddress{{NetworkID: "n", Addrs: []netip.Addr{ip(addr)}}}})
	}
	if until > 0 {
		m.add(until, &event.Task{Action: event.TaskExit, Container: c, PID: pid})
		m.add(until, &event.NetworkAttachment{Container: c, NetworkID: "n"})
	}
}

// A health check every few seconds for a day.
func execsOfOneContainer(m *shapeMaker, n int) {
	m.life(0, 0, 1, 10, "")
	c := m.events[0].Body.(*event.Container).ID
	for i := range n {
		at, pid, exec := float64(10*i+10), 1000+i%30_000, fmt.Sprintf("e%d", i)
		m.add(at, &event.ExecStarted{Container: c, ExecID: exec, Command: "sh -c check"})
		m.add(at, &event.Task{Action: event.TaskStart, Container: c, ExecID: exec, PID: pid})
		m.exec(at, pid, 50, "00:27", "sh", "-c", "check")
		m.add(at+0.1, &event.Task{Action: event.TaskExit, Container: c, ExecID: exec, PID: pid})
	}
}

func childrenOfOneParent(m *shapeMaker, n int) {
	m.exec(0, 50, 1, "fe:00", "bash")
	for i := range n {
		m.exec(float64(i), 1000+i%30_000, 50, "fe:00", "true")
	}
}

func flowsOfOneContainer(m *shapeMaker, n int) {
	m.life(0, float64(n), 1, 10, "172.17.0.2")
	for i := range n {
		m.add(float64(i), &event.Flow{Src: ipPort("172.17.0.2:1"), Dst: netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 443)})
	}
}

// A host of short-lived containers gives them all the first free address.
func containersOnOneAddress(m *shapeMaker, n int) {
	for i := range n {
		at := float64(10 * i)
		m.life(at, at+8, i, 1000+i%30_000, "172.17.0.2")
		for k := range 4 {
			m.add(at+float64(k), &event.Flow{Src: ipPort("172.17.0.2:1"), Dst: ipPort(remote)})
		}
	}
}

func containersOnOneDevice(m *shapeMaker, n int) {
	for i := range n {
		at, pid := float64(10*i), 1000+i%30_000
		m.life(at, at+8, i, pid, "")
		m.exec(at, pid, 50, "00:27", "sh")
		m.exec(at+1, 400, 399, "00:27", "weak")
		m.exec(at+2, 401, 399, "00:27", "weak")
	}
}

func restartsOfOneContainer(m *shapeMaker, n int) {
	for i := range n {
		at := float64(10 * i)
		m.life(at, at+8, 1, 1000+i%30_000, "172.17.0.2")
		m.exec(at, 1000+i%30_000, 50, "00:27", "sh")
		m.add(at+1, &event.Flow{Src: ipPort("172.17.0.2:1"), Dst: ipPort(remote)})
	}
}

func writesOfOneProcess(m *shapeMaker, n int) {
	m.life(0, 0, 1, 10, "")
	m.exec(0, 10, 50, "00:27", "sh")
	for i := range n {
		m.add(float64(i), &event.FileWrite{PID: 10, PPID: 50, Path: "/x"})
		if i%10 == 0 {
			m.exec(float64(i), 1000+i%30_000, 10, "00:27", "true")
		}
	}
}

// A shell script that runs itself again at the end of each round.
func programsOfOneProcess(m *shapeMaker, n int) {
	m.life(0, 0, 1, 10, "")
	for i := range n {
		m.exec(float64(i), 10, 50, "00:27", "sh", "loop.sh")
		for k := range 3 {
			m.exec(float64(i)+0.1, 1000+(3*i+k)%30_000, 10, "00:27", "true")
		}
	}
}

func imagesAndContainers(m *shapeMaker, n int) {
	for i := range n {
		at, ref := float64(10*i), image.Parse(fmt.Sprintf("web:%d", i%200))
		m.add(at, &event.Image{Action: event.ImagePull, Reference: ref})
		m.add(-1, &event.ImageDescription{ID: sum(i), RepoTags: []image.Reference{image.Parse(fmt.Sprintf("tag:%d", i))},
			RepoDigests: []image.Reference{image.Parse("web@" + sum(100_000+i).String())}})
		m.add(at+1, &event.Image{Action: event.ImageTag, Reference: ref, Digest: sum(i)})
		m.add(at+2, &event.Container{Action: event.ContainerCreate, ID: fmt.Sprintf("%064x", i), Image: ref})
	}
}

// The kubelet's runtime writes every image's names again when it starts.
func pullsOfOneNode(m *shapeMaker, n int) {
	for i := range n {
		at, repo := float64(i), fmt.Sprintf("r.example/app%d", i%50)
		for _, name := range []string{repo + ":1", sum(i % 50).String(), repo + "@" + sum(1000+i%50).String()} {
			b := &event.Image{Action: event.ImageUpdate, Namespace: "k8s.io", CRI: true}
			if ref := image.Parse(name); ref.Form() == image.ID {
				b.Digest = ref.Digest()
			} else {
				b.Reference = ref
			}
			m.add(at, b)
		}
		m.add(at, &event.Container{Action: event.ContainerCreate, ID: fmt.Sprintf("%064x", i%100), Image: image.Parse(repo + ":1")})
	}
}

func answersForOneAddress(m *shapeMaker, n int) {
	m.life(0, 0, 1, 10, "172.17.0.2")
	for i := range n {
		m.add(float64(i), &event.DNS{Client: ipPort("10.0.0.1:53"), Query: fmt.Sprintf("n%d.example", i%10), Addrs: []netip.Addr{ip("203.0.113.5")}})
		if i%10 == 0 {
			m.add(float64(i), &event.Flow{Src: ipPort("172.17.0.2:1"), Dst: ipPort(remote)})
		}
	}
}

func hostProcesses(m *shapeMaker, n int) {
	for i := range n {
		m.exec(float64(i), 1000+i%30_000, 1+i%20, "fe:00", "true")
	}
}

// A live partition looks after every few events: what a look costs must depend
// on what changed, not on everything known.
func BenchmarkLook(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		m := &shapeMaker{}
		for i := range n {
			m.life(float64(i), 0, i, 1000+i, "")
		}
		r := New(Limits{})
		for _, e := range m.events {
			r.Apply(e)
		}
		view2(r)
		next := len(m.events)
		b.Run(fmt.Sprintf("image-and-command/%d", n), func(b *testing.B) {
			for b.Loop() {
				m.events = m.events[:0]
				next++
				e := &event.Event{ID: event.NewID("look", fmt.Sprint(next)), Place: event.Place{Host: "h"}, Time: event.Time{At: sec(float64(next)), Res: 1},
					Body: &event.Image{Action: event.ImagePull, Reference: image.Parse("other:1")}}
				r.Apply(e)
				p := *e
				p.ID, p.Body = event.NewID("look2", fmt.Sprint(next)), &event.Process{PID: 1000 + next%n, PPID: 1, Args: []string{"x"}}
				r.Apply(&p)
				view2(r)
			}
		})
	}
	_ = evidence.Command
}
