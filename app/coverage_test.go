package app

import (
	"slices"
	"testing"

	"tidewaiter/api"
	"tidewaiter/coverage"
	"tidewaiter/daemon"
	"tidewaiter/event"
)

// TestWireIsNotAllOfZeek: what has the form of another tool's records is not
// taken for all that this tool tells; its own records are, beside it.
func TestWireIsNotAllOfZeek(t *testing.T) {
	rules, err := ReadRules("")
	if err != nil {
		t.Fatal(err)
	}
	zeek := string(event.Zeek)
	own := api.Format{Name: "zeek-dns-json", Source: zeek, Events: 5}
	for _, c := range []struct {
		condition          daemon.Condition
		formats            []api.Format
		build, fetch, told []string
	}{
		{daemon.Watching, []api.Format{own}, []string{"wire"}, nil, []string{"wire"}},
		{daemon.Watching, []api.Format{own, {Name: "zeek-conn-json", Source: zeek, Events: 1}}, []string{"wire", "zeek-conn-json"}, []string{"zeek-conn-json"}, []string{"wire", "zeek-conn-json"}},
		{daemon.Lacking, []api.Format{own}, []string{"zeek-dns-json"}, []string{"zeek-dns-json"}, []string{"wire", "zeek-dns-json"}},
	} {
		all := watchers([]api.Sensor{{Name: "wire", Condition: string(c.condition)}}, c.formats)
		var names []string
		for _, w := range all {
			names = append(names, w.Name)
		}
		if !slices.Equal(names, c.told) {
			t.Errorf("%s: %q watch", c.condition, names)
		}
		for _, a := range coverage.Of(rules.Library, all) {
			for _, l := range a.Legs {
				want, asked := map[string][]string{"build": c.build, "fetch": c.fetch}[l.Name]
				if a.ID == "AN1261" && asked && !slices.Equal(l.By, want) {
					t.Errorf("%s: leg %s by %q, want %q", c.condition, l.Name, l.By, want)
				}
			}
		}
	}
}
