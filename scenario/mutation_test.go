package scenario_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/image"
	"tidewaiter/scenario"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// mutator changes events as an attacker would who knows what is looked for.
type mutator struct {
	codec *event.Codec
	image image.Reference // the attack's image, as it was named
	to    image.Digest    // and its digest, zero if none is known
	start int64           // when its container was started
	// window is the analytic's TimeWindow.
	window int64
}

// each gives copies of the events with every value of one type in their bodies
// replaced.
func each[T any](m *mutator, change func(e *event.Event, v T) T) func(*rand.Rand, []event.Event) []event.Event {
	return func(_ *rand.Rand, events []event.Event) []event.Event {
		out := slices.Clone(events)
		for i := range out {
			data, err := m.codec.Encode(&out[i])
			if err != nil {
				panic(err)
			}
			e, err := m.codec.Decode(data)
			if err != nil {
				panic(err)
			}
			replaceAll(reflect.ValueOf(e.Body), func(v T) T { return change(e, v) })
			out[i] = *e
		}
		return out
	}
}

// replaceAll replaces every value of type T within v.
func replaceAll[T any](v reflect.Value, change func(T) T) {
	if v.CanSet() && v.Type() == reflect.TypeFor[T]() {
		v.Set(reflect.ValueOf(change(v.Interface().(T))))
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			replaceAll(v.Elem(), change)
		}
	case reflect.Slice:
		for i := range v.Len() {
			replaceAll(v.Index(i), change)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				replaceAll(v.Field(i), change)
			}
		}
	}
}

var (
	tools      = regexp.MustCompile(`\b(wget|curl|nc|ncat|bash|python3?|perl|xmrig|minerd|kinsing|masscan)\b`)
	publicHere = regexp.MustCompile(`\b(198\.51\.100|203\.0\.113)\.(\d+)\b`)
	withPort   = regexp.MustCompile(`\b((?:198\.51\.100|203\.0\.113)\.\d+|[a-z0-9.-]+\.(?:example|test)):\d+\b`)
)

func documentation(a netip.Addr) bool {
	return netip.MustParsePrefix("198.51.100.0/24").Contains(a.Unmap()) || netip.MustParsePrefix("203.0.113.0/24").Contains(a.Unmap())
}

// mutations are the ways of an attack to be the same and look otherwise.
func (m *mutator) mutations() []scenario.Cell {
	inAddr := func(change func(a netip.AddrPort) netip.AddrPort) func(*event.Event, netip.AddrPort) netip.AddrPort {
		return func(_ *event.Event, a netip.AddrPort) netip.AddrPort {
			if !documentation(a.Addr()) {
				return a
			}
			return change(a)
		}
	}
	v6 := func(a netip.Addr) netip.Addr {
		if !documentation(a) {
			return a
		}
		b := a.Unmap().As4()
		return netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::%x", b[1], b[3]))
	}
	out := []scenario.Cell{
		{"renamed binary", true, m.inCommands(func(s string) string { return tools.ReplaceAllString(s, "upd8") })},
		{"port 443", true, chained(each(m, inAddr(func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 443) })),
			m.inCommands(func(s string) string { return withPort.ReplaceAllString(s, "$1:443") }))},
		{"IPv6", false, chained(each(m, inAddr(func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(v6(a.Addr()), a.Port()) })),
			each(m, func(_ *event.Event, a netip.Addr) netip.Addr { return v6(a) }),
			m.inCommands(func(s string) string { return publicHere.ReplaceAllString(s, "[2001:db8:33::$2]") }))},
		{"split identity", true, m.splitIdentity()},
		{"window -1 s", false, m.delayed(func(first, last int64) int64 { return m.start + m.window - event.Second - last })},
	}
	if r := m.image; r.Repository() != "" {
		out = append(out, scenario.Cell{Name: "swapped registry", Lossy: true, Deliver: m.renamed(image.Parse(strings.Replace(r.String(), r.Domain(), "ghcr.example", 1)))})
		if !m.to.IsZero() {
			out = append(out, scenario.Cell{Name: "pinned digest", Lossy: true, Deliver: m.renamed(image.Parse(r.Repository() + "@" + m.to.String()))})
		}
	}
	return out
}

// renamed has everybody call the attack's image otherwise, in the same words
// where it is known by its digest already.
func (m *mutator) renamed(to image.Reference) func(*rand.Rand, []event.Event) []event.Event {
	short := strings.TrimPrefix(strings.TrimPrefix(m.image.String(), "docker.io/"), "library/")
	return chained(each(m, func(_ *event.Event, v image.Reference) image.Reference {
		switch {
		case v.Repository() != m.image.Repository():
			return v
		case !v.Digest().IsZero():
			return image.Parse(to.Repository() + "@" + v.Digest().String())
		}
		return to
	}), func(_ *rand.Rand, events []event.Event) []event.Event {
		return mapBodies(m, events, func(b event.Body) {
			if p, ok := b.(*event.Process); ok && path.Base(p.Exe) == "docker" {
				changeAll(p.Args, func(s string) string {
					if s == short {
						return to.String()
					}
					return s
				})
			}
		})
	})
}

func chained(all ...func(*rand.Rand, []event.Event) []event.Event) func(*rand.Rand, []event.Event) []event.Event {
	return func(rng *rand.Rand, events []event.Event) []event.Event {
		for _, f := range all {
			events = f(rng, events)
		}
		return events
	}
}

// inCommands changes the texts of what ran and of what containers were made to
// run.
func (m *mutator) inCommands(change func(string) string) func(*rand.Rand, []event.Event) []event.Event {
	return func(_ *rand.Rand, events []event.Event) []event.Event {
		return mapBodies(m, events, func(b event.Body) {
			switch b := b.(type) {
			case *event.Process:
				if helper := path.Base(b.Exe); strings.HasPrefix(helper, "runc") || strings.HasPrefix(helper, "containerd") || helper == "docker" {
					return
				}
				b.Exe, b.Script, b.Comm = change(b.Exe), change(b.Script), change(b.Comm)
				changeAll(b.Args, change)
			case *event.FileWrite:
				b.Exe, b.Path = change(b.Exe), change(b.Path)
			case *event.Socket:
				b.Exe, b.Comm = change(b.Exe), change(b.Comm)
			case *event.ContainerDescription:
				changeAll(b.Command, change)
			case *event.Pod:
				if b.Spec != nil {
					for i := range b.Spec.Containers {
						changeAll(b.Spec.Containers[i].Command, change)
						changeAll(b.Spec.Containers[i].Args, change)
					}
				}
			case *event.Workload:
				if b.Template != nil {
					for i := range b.Template.Containers {
						changeAll(b.Template.Containers[i].Command, change)
						changeAll(b.Template.Containers[i].Args, change)
					}
				}
			}
		})
	}
}

func changeAll(list []string, change func(string) string) {
	for i := range list {
		list[i] = change(list[i])
	}
}

// mapBodies gives copies of the events with changed bodies.
func mapBodies(m *mutator, events []event.Event, change func(event.Body)) []event.Event {
	out := each(m, func(_ *event.Event, b bool) bool { return b })(nil, events)
	for i := range out {
		change(out[i].Body)
	}
	return out
}

// splitIdentity has every step taken by somebody else.
func (m *mutator) splitIdentity() func(*rand.Rand, []event.Event) []event.Event {
	return func(_ *rand.Rand, events []event.Event) []event.Event {
		n := 0
		return mapBodies(m, events, func(b event.Body) {
			n++
			switch b := b.(type) {
			case *event.Process:
				if b.AUID >= 0 {
					b.AUID += n % 7
				}
			case *event.Pod:
				b.By.Name = otherName(b.By.Name, n)
			case *event.Workload:
				b.By.Name = otherName(b.By.Name, n)
			case *event.PodAccess:
				b.By.Name = otherName(b.By.Name, n)
			}
		})
	}
}

func otherName(name string, n int) string {
	if name == "" || strings.HasPrefix(name, "system:") {
		return name
	}
	return fmt.Sprintf("%s-%d", name, n%7)
}

// delayed moves what containers did, and their ends, by what shift says for the
// first and the last of it.
func (m *mutator) delayed(shift func(first, last int64) int64) func(*rand.Rand, []event.Event) []event.Event {
	return func(_ *rand.Rand, events []event.Event) []event.Event {
		out := slices.Clone(events)
		first, last := int64(1<<62), int64(0)
		moves := func(e event.Event) bool {
			if e.Time.IsZero() || e.Time.At < m.start {
				return false
			}
			switch b := e.Body.(type) {
			case *event.Process, *event.FileWrite, *event.Socket, *event.Flow, *event.DNS, *event.HTTP, *event.TLS:
				return true
			case *event.GuestScript:
				return b.Stage != event.GuestBoot
			case *event.Task:
				return b.Action == event.TaskExit
			case *event.Container:
				return b.Action == event.ContainerExit || b.Action == event.ContainerRemove
			}
			return false
		}
		for _, e := range events {
			if moves(e) {
				first, last = min(first, e.Time.At), max(last, e.Time.At)
			}
		}
		by := shift(first, last)
		for i := range out {
			if moves(out[i]) {
				out[i].Time.At += by
				out[i].Record += by * min(1, out[i].Record)
				if f, ok := out[i].Body.(*event.Flow); ok && !f.End.IsZero() {
					c := *f
					c.End.At += by
					out[i].Body = &c
				}
			}
		}
		return out
	}
}

// longest is the longest window of the family's analytics.
const longest = 15 * 60 * event.Second

// mutationShort lists mutations that take away all that there was, and why.
var mutationShort = map[string]string{
	"A21 port 443": "the port is the only sign of mining: an unlisted one is no AN1492",
}

// TestMutations looks for every attack in the shapes that it can be given by
// one who knows what is looked for: it is found, one step milder at most where
// something telling is gone. Behaviour one second beyond the window is no chain
// any more.
func TestMutations(t *testing.T) {
	if testing.Short() {
		t.Skip("a hundred hunts")
	}
	root := sourcetest.Shared(t, "scenarios")
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	codec, err := event.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	history := readEvents(t, filepath.Join(root, "history"), true)
	for _, id := range due {
		if id == "A25" {
			continue // what is mutated is how a container starts, and this is about a push
		}
		t.Run(id, func(t *testing.T) {
			dir := filepath.Join(root, id)
			r := &recorded{labelled: readLabelled(t, filepath.Join(dir, "scenario.json")), dir: dir, history: history}
			r.policy = readNeutral(t, filepath.Join(root, "policy-P0.yaml"), r.Overrides, filepath.Join(root, "history", source.InventoryName), filepath.Join(dir, source.InventoryName)).translate(t, lib.Vocabulary())
			r.events = readEvents(t, dir, false)
			m := &mutator{codec: codec, window: longest}
			if r.Expect[0].Analytic == "AN1317" {
				m.window = 10 * 60 * event.Second
			}
			if r.Expect[0].Family == "AN0692" {
				m.window = 30 * 60 * event.Second
			}
			if r.Expect[0].Family == "AN0947" {
				t.Skip("nothing runs in it")
			}
			m.regard(t, r, r.findings(lib, r.events))
			var row []string
			for _, c := range m.mutations() {
				fs := r.findings(lib, c.Deliver(nil, r.events))
				if faults := r.judgeCell(t, c, fs); len(faults) > 0 && mutationShort[id+" "+c.Name] == "" {
					t.Errorf("%s: %s", c.Name, strings.Join(faults, "; "))
				}
				row = append(row, fmt.Sprintf("%s: %s", c.Name, worst(fs)))
			}
			late := r.findings(lib, m.delayed(func(first, _ int64) int64 { return m.start + max(longest, m.window) + event.Second - first })(nil, r.events))
			row = append(row, "window +1 s: "+worst(late))
			for _, f := range late {
				if f.Chain == "" {
					continue // it has no window
				}
				for _, e := range f.Evidence {
					if behaves := e.Leg == "command" || e.Leg == "egress"; behaves && len(e.Signals) > 0 && e.Event.Time.At > m.start+max(longest, m.window) {
						t.Errorf("one second beyond the window: %s %v counts", e.Says, e.Signals)
					}
				}
			}
			t.Logf("%s %s", id, strings.Join(row, ", "))
		})
	}
}

// regard takes from the finding what the mutations are about.
func (m *mutator) regard(t *testing.T, r *recorded, fs []finding.Finding) {
	t.Helper()
	for _, f := range fs {
		if !r.Expect[0].names(f) {
			continue
		}
		for _, s := range f.Subjects {
			if s.Container != nil {
				m.image, m.to = s.Container.Image.Reference, s.Container.Image.Canonical
			}
		}
		for _, e := range f.Evidence {
			_, cloud := e.Event.Body.(*event.Instance)
			if begins := e.Leg == "start" || e.Leg == "boot" || cloud && (e.Leg == "launch" || e.Leg == "change"); begins && !e.Event.Time.IsZero() {
				m.start = max(m.start, e.Event.Time.At)
			}
		}
	}
	if m.start == 0 {
		t.Fatal("the attack has no start")
	}
}
