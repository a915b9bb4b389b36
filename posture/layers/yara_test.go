package layers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rules makes YARA rules, or skips where there is no program that reads them.
func rules(t *testing.T, texts ...string) *Rules {
	t.Helper()
	if _, err := exec.LookPath("yara"); err != nil {
		t.Skip("there is no program yara here:", err)
	}
	var files []string
	for i, text := range texts {
		f := filepath.Join(t.TempDir(), fmt.Sprintf("a:%d.yar", i))
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	r, err := ReadRules(context.Background(), files)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Rules are matched against each file of each layer, by content, whatever it is
// called; what waited on disk is gone afterwards.
func TestRules(t *testing.T) {
	aside := t.TempDir()
	t.Setenv("TMPDIR", aside)
	known := Known{Rules: rules(t, `rule quiet { strings: $a = "not there" condition: $a } rule named { condition: filename == "big" or filepath contains "etc" }`,
		`rule pool { strings: $a = "stratum+tcp://" condition: $a } rule long { condition: filesize > 5MB and uint8(5000000) == 0x78 }`)}
	layer := pack(file("../../etc/x y\x1b[2J", "connect stratum+tcp://pool.example", 0o644), file("big", strings.Repeat("x", 6<<20), 0o644),
		file("clean", "nothing", 0o755), file("empty", "", 0o644))
	im := look(t, pack(saved(layer, pack(file("opt/again", "STRATUM+tcp://", 0o644)))...), Options{Known: known}).Images[0]
	var got []string
	for _, f := range im.Content.Bad {
		got = append(got, fmt.Sprintf("%q %s", f.Path, f.Note))
	}
	want := []string{`"../../etc/x y\x1b[2J" matches the YARA rule pool of a:1.yar`, `"big" matches the YARA rule long of a:1.yar`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || im.Content.Stopped != "" {
		t.Errorf("%q, stopped %q; want %q", got, im.Content.Stopped, want)
	}
	if len(im.Content.Lists) != 2 {
		t.Errorf("compared with %v", im.Content.Lists)
	}
	if left, err := os.ReadDir(aside); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// More files than may wait at a time are all looked at.
func TestRulesOverManyFiles(t *testing.T) {
	known := Known{Rules: rules(t, `rule odd { strings: $a = "odd" condition: $a }`)}
	var parts []part
	for i := range maxFiles + 50 {
		text := "even"
		if i%1000 == 999 || i == maxFiles+49 {
			text = "odd"
		}
		parts = append(parts, file(fmt.Sprint("f", i), text, 0o644))
	}
	c := look(t, pack(saved(pack(parts...))...), Options{Known: known}).Images[0].Content
	if len(c.Bad) != 11 || c.Bad[9].Path != "f9999" || c.Bad[10].Path != "f10049" || c.Stopped != "" {
		t.Errorf("%d: %v, stopped %q", len(c.Bad), c.Bad, c.Stopped)
	}
}

func TestFaultyRules(t *testing.T) {
	rules(t) // or skip
	f := filepath.Join(t.TempDir(), "faulty.yar")
	if err := os.WriteFile(f, []byte("rule ok { condition: true }\nrule x { condition: nonsense }"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRules(context.Background(), []string{f}); err == nil || !strings.Contains(err.Error(), "faulty.yar(2)") {
		t.Errorf("%v: want the file and the line", err)
	}
	if _, err := ReadRules(context.Background(), []string{"/nonexistent"}); err == nil {
		t.Error("no error for a file that is not there")
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := ReadRules(context.Background(), []string{f}); err == nil || !strings.Contains(err.Error(), "package") {
		t.Errorf("%v: want to be told what to install", err)
	}
}

// A look that is ended says so, and leaves nothing behind.
func TestRulesInterrupted(t *testing.T) {
	aside := t.TempDir()
	t.Setenv("TMPDIR", aside)
	known := Known{Rules: rules(t, `rule each { condition: true }`)}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f, err := Archive(ctx, strings.NewReader(string(pack(saved(bad)...))), Options{Known: known, Where: "a.tar"})
	if err != nil || len(f.Images) != 1 || !strings.Contains(f.Images[0].Content.Stopped, "interrupted") {
		t.Errorf("%+v, %v", f.Images, err)
	}
	if left, err := os.ReadDir(aside); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
