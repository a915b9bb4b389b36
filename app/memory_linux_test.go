package app

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestUnwrittenMappings(t *testing.T) {
	const maps = `00400000-022af000 r-xp 00000000 fe:00 9 /opt/a b/tidewaiter
022af000-043be000 r--p 01eaf000 fe:00 9 /opt/a b/tidewaiter
043be000-044e0000 rw-p 03fbe000 fe:00 9 /opt/a b/tidewaiter
7f0000000000-7f0000001000 r--p 00000000 fe:00 8 /opt/tidewaiter
7f0000002000-7f0000003000 r--p 00000000 00:00 0
short
`
	want := []pages{{0x400000, 0x22af000}, {0x22af000, 0x43be000}}
	if got := unwritten([]byte(maps), "/opt/a b/tidewaiter"); !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// The program goes on after it gave its pages back, and fewer are its own.
func TestGiveBack(t *testing.T) {
	before := rssFile(t)
	if err := giveBack(); err != nil {
		t.Fatal(err)
	}
	if after := rssFile(t); after >= before {
		t.Errorf("%d KiB of files were mapped, and are %d", before, after)
	}
}

func rssFile(t *testing.T) (kib int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}
