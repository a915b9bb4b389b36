package scenario_test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// TestTwoClustersThatLookAlike merges two recordings whose clusters have nodes,
// namespaces, names and addresses in common. Each finds what it finds alone.
func TestTwoClustersThatLookAlike(t *testing.T) {
	root := sourcetest.Shared(t, "scenarios")
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	codec, err := event.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	m := &mutator{codec: codec}
	ids := []string{"A01", "A05", "A08", "A09", "A10", "A13", "A15", "A17", "A32", "B03", "B06", "B20"}
	var all []*recorded
	for _, id := range ids {
		dir := filepath.Join(root, id)
		r := &recorded{labelled: readLabelled(t, filepath.Join(dir, "scenario.json")), dir: dir}
		r.policy = readNeutral(t, filepath.Join(root, "policy-P0.yaml"), r.Overrides, filepath.Join(dir, source.InventoryName)).translate(t, lib.Vocabulary())
		r.events = alike(readEvents(t, dir, false), id)
		pods := map[netip.Addr]netip.Addr{}
		r.events = each(m, func(_ *event.Event, a netip.Addr) netip.Addr { return samePod(pods, a) })(nil, r.events)
		r.events = each(m, func(_ *event.Event, a netip.AddrPort) netip.AddrPort {
			return netip.AddrPortFrom(samePod(pods, a.Addr()), a.Port())
		})(nil, r.events)
		all = append(all, r)
	}
	found := 0
	for i, one := range all {
		for _, other := range all[i+1:] {
			want := slices.Concat(said(one.findings(lib, one.events)), said(other.with(one).findings(lib, other.events)))
			got := said(one.findings(lib, slices.Concat(one.events, other.events)))
			slices.Sort(want)
			slices.Sort(got)
			found += len(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s and %s together:\n%s\nalone:\n%s", one.ID, other.ID, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	if found == 0 {
		t.Error("nothing was found in any of them")
	}
}

// with gives the recording under the policy of another.
func (r *recorded) with(o *recorded) *recorded {
	c := *r
	c.policy = o.policy
	return &c
}

// alike moves a recording into a cluster of its own in which nodes bear the
// names that the other clusters' nodes bear, too.
func alike(events []event.Event, cluster string) []event.Event {
	names := map[string]string{}
	for i := range events {
		p := &events[i].Place
		if p.Host != "" {
			if names[p.Host] == "" {
				names[p.Host] = fmt.Sprint("node-", len(names))
			}
			p.Host = names[p.Host]
		}
		p.Cluster = cluster
		rename(events[i].Body, names)
	}
	return events
}

// samePod gives pods the addresses that the other clusters' pods have, too.
func samePod(known map[netip.Addr]netip.Addr, a netip.Addr) netip.Addr {
	if !netip.MustParsePrefix("10.42.0.0/16").Contains(a) {
		return a
	}
	if !known[a].IsValid() {
		known[a] = netip.AddrFrom4([4]byte{10, 42, 0, byte(2 + len(known))})
	}
	return known[a]
}

// rename gives nodes their new names in what the cluster tells of them.
func rename(b event.Body, names map[string]string) {
	node := func(n *string) {
		if *n != "" && names[*n] != "" {
			*n = names[*n]
		}
	}
	switch b := b.(type) {
	case *event.HostDescription:
		node(&b.Name)
	case *event.PodStatus:
		node(&b.Node)
	case *event.KubeEvent:
		node(&b.Node)
	case *event.Pod:
		if b.Spec != nil {
			node(&b.Spec.Node)
		}
	case *event.Flow:
		for _, of := range []*event.PodRef{b.SrcPod, b.DstPod} {
			if of != nil {
				node(&of.Node)
			}
		}
	}
}

// said is what findings say, but for what memory makes of it: an image that one
// cluster ran first is not new in the other.
func said(fs []finding.Finding) []string {
	var out []string
	for _, f := range fs {
		var signals []string
		for _, s := range f.Signals {
			if s.Name != "image-new" && s.Name != "egress-new" {
				signals = append(signals, s.Name)
			}
		}
		slices.Sort(signals)
		out = append(out, fmt.Sprintf("%s %s %d records %v", f.ID, f.Owner, len(f.Evidence), signals))
	}
	return out
}
