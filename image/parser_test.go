package image

import (
	"strconv"
	"strings"
	"testing"
)

// TestParserRemembers: what is remembered is what would be parsed, each way.
func TestParserRemembers(t *testing.T) {
	for _, docker := range []bool{false, true} {
		p := Parser{Docker: docker}
		for range 2 {
			for _, raw := range []string{"", "shop:3", "cafe00cafe00", "a b", "r.example/x@sha256:" + strings.Repeat("5e1f", 16)} {
				if got := p.Parse(raw); got != parse(raw, docker) {
					t.Errorf("%q: %+v", raw, got)
				}
			}
		}
	}
}

// TestParserBound: a log that names ever new images does not fill memory.
func TestParserBound(t *testing.T) {
	var p Parser
	for i := range 3 * maxRemembered {
		p.Parse("acme/app:" + strconv.Itoa(i))
		if len(p.seen) > maxRemembered {
			t.Fatalf("%d references kept", len(p.seen))
		}
	}
	long := strings.Repeat("a", maxTextLength+1)
	if p.Parse(long); p.seen[long] != (Reference{}) {
		t.Error("a long text is kept")
	}
}
