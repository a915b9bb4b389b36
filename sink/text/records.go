package text

import (
	"fmt"
	"strings"

	"tidewaiter/finding"
	"tidewaiter/visible"
)

// Records prints the raw records of a finding, each once, in order of time.
// Long lines are not broken, so that they can be copied.
func (p *Printer) Records(f finding.Finding, raw finding.Raw) {
	printed := map[string]bool{}
	for _, e := range f.Evidence {
		cite := fmt.Sprintf("%s:%d", e.Event.Origin.File, e.Event.Origin.Line())
		if printed[cite] {
			continue
		}
		if len(printed) == 0 {
			p.Printf("\n%s%s\n", indent, p.Paint(Dim, "records"))
		}
		printed[cite] = true
		p.Printf("%s%s\n", indent, p.Paint(Bold, visible.Text(cite)))
		record, err := raw.Read(e.Event.Origin)
		for l := range strings.Lines(record) {
			p.Printf("%s%s%s\n", indent, indent, visible.Text(strings.TrimSuffix(l, "\n")))
		}
		if err != nil {
			p.Printf("%s%s%s\n", indent, indent, p.Paint(Yellow, "not kept: "+visible.Text(err.Error())))
		}
	}
}
