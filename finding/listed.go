package finding

import (
	"fmt"
	"regexp"
	"strings"
)

// Listed is a record as people read it in the list of a finding's evidence. Of
// many records that are alike, as a scan's connections are, the first two and
// the last are listed.
type Listed struct {
	Evidence
	At    int // which of the evidence it is
	Alike int // those like it, between it and the one like it before, that are not listed
}

// Words say what the record tells, and how many are not listed for its sake.
func (l Listed) Words() string {
	if l.Alike == 0 {
		return l.Says
	}
	return fmt.Sprintf("after %d more like it, %s", l.Alike, l.Says)
}

// fewAlike are listed whatever they say.
const fewAlike = 6

// numbers are what records that are alike may differ in: counters, ports,
// addresses and ids.
var numbers = regexp.MustCompile(`[0-9a-f]{12,}|[0-9]+`)

// List lists evidence, which is in order of time, for reading. Records are alike
// if they are of one kind, leg and file, count for the same signals, and say the
// same but for numbers.
func List(evidence []Evidence) []Listed {
	keys := make([]string, len(evidence))
	left := map[string]int{}
	for i, e := range evidence {
		keys[i] = strings.Join(append([]string{string(e.Kind), e.Leg, e.Event.Origin.File, numbers.ReplaceAllString(e.Says, "0")}, e.Signals...), "\x00")
		left[keys[i]]++
	}
	many := map[string]int{} // how many there are of those that are too many
	for k, n := range left {
		if n > fewAlike {
			many[k] = n
		}
	}
	var out []Listed
	for i, e := range evidence {
		l := Listed{Evidence: e, At: i}
		left[keys[i]]--
		if n := many[keys[i]]; n > 0 {
			switch before := n - left[keys[i]] - 1; {
			case left[keys[i]] == 0:
				l.Alike = n - 3
			case before >= 2:
				continue
			}
		}
		out = append(out, l)
	}
	return out
}
