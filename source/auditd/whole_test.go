package auditd

import (
	"strings"
	"testing"
)

func TestWhole(t *testing.T) {
	const a, b = "type=SYSCALL msg=audit(1.000:1): x\n", "type=PATH msg=audit(1.000:2): y\n"
	for text, want := range map[string]string{
		a:                       "",
		a + a:                   "",
		a + b:                   a,
		a + b + b:               a,
		a + b + a:               "", // interleaved
		a + "no record\n":       a + "no record\n",
		a + "audit(1.0\n":       a + "audit(1.0\n",
		strings.Repeat("\n", 3): strings.Repeat("\n", 3),
	} {
		if got := text[:whole([]byte(text))]; got != want {
			t.Errorf("of %q whole is %q, want %q", text, got, want)
		}
	}
}
