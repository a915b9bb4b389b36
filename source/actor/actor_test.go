package actor

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
)

func TestBounds(t *testing.T) {
	long := strings.Repeat("x", maxPath+1)
	for name, a := range map[string]Actor{"no pid": {Exe: "/x"}, "exe": {PID: 1, Exe: long}, "cwd": {PID: 1, Exe: "/x", Cwd: long}, "name": {PID: 1, Exe: "/x", Container: long}, "nothing": {PID: 1}} {
		if _, err := a.Process(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, a := range map[string]Actor{
		"many":      {PID: 1, Args: make([]string, 1000)},
		"long":      {PID: 1, Args: []string{"a", strings.Repeat("x", maxLine)}},
		"many more": {PID: 1, Line: strings.Repeat("x ", 1000)},
		"long line": {PID: 1, Line: strings.Repeat("x", maxLine+1)},
	} {
		b, err := a.Process()
		if p, ok := b.(*event.Process); err != nil || !ok || !p.ArgsTruncated || len(p.Args) > maxArgs || len(strings.Join(p.Args, "")) > maxLine {
			t.Errorf("%s: %v %v", name, b, err)
		}
	}
	a := Actor{PID: 7, PPID: 7, Exe: "/x"}
	if b, err := a.Process(); err != nil || b.(*event.Process).PPID != 0 {
		t.Error(b, err)
	}
	for _, to := range []netip.AddrPort{{}, netip.MustParseAddrPort("0.0.0.0:1")} {
		if _, err := a.Socket(to, true); !errors.Is(err, ErrNoAddress) {
			t.Error(to, err)
		}
	}
	if Container("containerd://abc") != "abc" || Container("abc") != "abc" {
		t.Error("a runtime's scheme is no part of an id")
	}
}
