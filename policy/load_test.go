package policy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// TestFaults pins for every mistake where it is told, under which key, and
// what is said of it: "line:column: key: reason", where the reason is a part
// of what is said. Nothing else may be told.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"three in one file": {"version: 1\nsettings:\n  mutable: maybe\nscopes:\n  prod:\n    match: {hosts: [\"h*\"]}\n    registries: [good.example/*, nginx:1]\n    prots: [1]\n",
			"3:12: settings.mutable: \"maybe\": want true or false\n7:34: scopes.prod.registries[1]: a tag can be moved\n8:5: scopes.prod.prots: unknown key; did you mean \"ports\"?"},
		"on one line, in order": {"{version: 2, learning: x, scopes: {a: {match: {}, weight: z}}}",
			"1:11: version: this program reads version 1\n1:24: learning: \"x\" is no length of time\n1:59: scopes.a.weight: \"z\" is no number"},

		// The file as a whole.
		"empty":              {"", "1:1: the file holds no policy; it begins with \"version: 1\""},
		"only blanks":        {" \n\n", "1:1: the file holds no policy"},
		"only comments":      {"# version: 1\n", "1:1: the file holds no policy"},
		"an empty document":  {"---\n", "2:1: a policy is a mapping"},
		"null":               {"~\n", "1:1: a policy is a mapping"},
		"a list":             {"- version: 1\n", "1:1: a policy is a mapping"},
		"a text":             {"version 1\n", "1:1: a policy is a mapping"},
		"an empty mapping":   {"{}\n", "1:1: version: missing; write \"version: 1\""},
		"no version":         {"settings:\n", "1:1: version: missing"},
		"another version":    {"version: 2\n", "1:10: version: this program reads version 1; write 1"},
		"a quoted version":   {"version: \"1\"\n", "1:10: version: this program reads version 1; write 1"},
		"a list of versions": {"version: [1]\n", "1:10: version: this program reads version 1"},
		"two documents":      {"version: 1\n---\nversion: 1\n", "2:1: a second document; write one policy per file"},
		"an empty second":    {"version: 1\n---\n", "2:1: a second document"},

		// YAML itself.
		"an open bracket":           {"version: 1\nscopes: [\nsettings:\n", "4:1: no valid YAML: did not find expected"},
		"a wrong indentation":       {"version: 1\nsettings:\n  weight: 1\n mutable: true\n", "4:1: no valid YAML: did not find expected key"},
		"a tab":                     {"version: 1\nsettings:\n\tweight: 1\n", "3:1: no valid YAML: found character that cannot start any token"},
		"an open quote":             {"version: 1\nlearning: \"7d\n", "2:1: no valid YAML: found unexpected end of stream"},
		"two colons":                {"version: 1: 2\n", "1:1: no valid YAML: mapping values are not allowed"},
		"a star without quotes":     {"version: 1\nsettings:\n  allowed: [*.good.example]\n", "3:1: no valid YAML: did not find expected alphabetic or numeric character; a text that begins with \"*\" or \"&\" needs quotes"},
		"an unknown alias":          {"version: 1\nsettings:\n  tools: [*sh]\n", "3:1: no valid YAML: unknown anchor 'sh' referenced; a text that begins with \"*\""},
		"no UTF-8":                  {"version: 1\nlearning: \xff\n", "2:1: no valid YAML: invalid leading UTF-8 octet"},
		"a control character":       {"version: 1\n\nlearning: \x01\n", "3:1: no valid YAML: control characters are not allowed"},
		"a bad second document":     {"version: 1\n---\n\"\n", "3:1: no valid YAML: found unexpected end of stream"},
		"a fault on the first line": {"version: @\n", "1:1: no valid YAML: found character"},

		// Keys.
		"unknown at the top":          {"version: 1\nscope: {}\n", "2:1: scope: unknown key; did you mean \"scopes\"?"},
		"unknown and like nothing":    {"version: 1\nzzzzzzzz: {}\n", "2:1: zzzzzzzz: unknown key; want addresses, asn_database, default_scope, first_seen, lateness, learning, mirrors, scopes, settings or version"},
		"a setting at the top":        {"version: 1\nregistries: [a.example/*]\n", "2:1: registries: unknown key; it belongs below \"settings\" or a scope"},
		"an addition at the top":      {"version: 1\nregistries+: [a.example/*]\n", "2:1: registries+: unknown key; it belongs below \"settings\" or a scope"},
		"an analytic at the top":      {"version: 1\nAN1: {}\n", "2:1: AN1: unknown key; it belongs below \"settings\" or a scope"},
		"a match at the top":          {"version: 1\nmatch: {}\n", "2:1: match: unknown key; it belongs below a scope"},
		"a match in settings":         {"version: 1\nsettings: {match: {hosts: [a]}}\n", "2:12: settings.match: unknown key; it belongs below a scope"},
		"hosts in a scope":            {"version: 1\nscopes: {a: {match: {}, hosts: [h]}}\n", "2:25: scopes.a.hosts: unknown key; it belongs below \"match\" of a scope"},
		"learning in a scope":         {"version: 1\nscopes: {a: {match: {}, learning: 1d}}\n", "2:25: scopes.a.learning: unknown key; it belongs at the top of the file"},
		"a tunable in a scope":        {"version: 1\nsettings: {Window: 1m}\n", "2:12: settings.Window: unknown key; it belongs below AN1"},
		"a letter missing":            {"version: 1\nsettings: {registres: []}\n", "2:12: settings.registres: unknown key; did you mean \"registries\"?"},
		"the singular":                {"version: 1\nsettings: {registry: []}\n", "2:12: settings.registry: unknown key; did you mean \"registries\"?"},
		"an addition misspelt":        {"version: 1\nsettings: {tolos+: []}\n", "2:12: settings.tolos+: unknown key; did you mean \"tools\"?"},
		"another case":                {"version: 1\nsettings: {an1: {}}\n", "2:12: settings.an1: unknown key; did you mean \"AN1\"?"},
		"another way to join words":   {"version: 1\nsettings: {approved-images: []}\n", "2:12: settings.approved-images: unknown key; did you mean \"approved_images\"?"},
		"an unknown tunable":          {"version: 1\nsettings: {AN1: {Windw: 1m}}\n", "2:18: settings.AN1.Windw: AN1 has no such tunable; did you mean \"Window\"?"},
		"a tunable where none are":    {"version: 1\nsettings: {AN3: {Window: 1m}}\n", "2:18: settings.AN3.Window: AN3 has no such tunable\n"},
		"a setting for its tunable":   {"version: 1\nsettings: {AN1: {tools: [sh]}}\n", "2:18: settings.AN1.tools: AN1 calls this \"Tools\""},
		"an addition to a tunable":    {"version: 1\nsettings: {AN1: {Tools+: [sh]}}\n", "2:18: settings.AN1.Tools+: a tunable can not be added to; write the whole list under \"Tools\""},
		"unknown in match":            {"version: 1\nscopes: {a: {match: {host: [h]}}}\n", "2:22: scopes.a.match.host: unknown key; did you mean \"hosts\"?"},
		"unknown in addresses":        {"version: 1\naddresses: {private: [10.0.0.0/8]}\n", "2:13: addresses.private: unknown key; want internal or public"},
		"unknown, of many settings":   {"version: 1\nsettings: {zzzzzzzz: 1}\n", "2:12: settings.zzzzzzzz: unknown key; \"tidewaiter policy init\" writes every key that there is"},
		"an empty key":                {"version: 1\n\"\": x\n", "2:1: \"\": unknown key; want addresses"},
		"a key of many lines":         {"version: 1\n\"a\\nb: c\": x\n", "2:1: \"a\\nb: c\": unknown key"},
		"a long key":                  {"version: 1\n" + strings.Repeat("k", 999) + ": x\n", "2:1: \"" + strings.Repeat("k", maxQuoted) + "\"…: unknown key"},
		"a list as key":               {"version: 1\n? [a]\n: b\n", "2:3: want a plain word as key"},
		"a scope without a name":      {"version: 1\nscopes: {\"\": {}}\n", "2:10: scopes: a scope needs a name"},
		"a scope called nothing":      {"version: 1\nscopes:\n  ~: {}\n", "3:3: scopes: a scope needs a name"},
		"a path in a key":             {"version: 1\nscopes: {a.b: {match: {}, mutable: 1}}\n", "2:36: scopes.\"a.b\".mutable: \"1\": want true or false"},
		"a key twice":                 {"version: 1\nlearning: 1d\nlearning: 2d\n", "3:1: learning: key stands twice, first in line 2"},
		"a scope twice":               {"version: 1\nscopes:\n  a: {match: {}}\n  b: {match: {}}\n  a: {match: {}}\n", "5:3: scopes.a: key stands twice, first in line 3"},
		"a setting twice":             {"version: 1\nsettings:\n  \"weight\": 1\n  weight: 2\n", "4:3: settings.weight: key stands twice, first in line 3"},
		"a tunable twice":             {"version: 1\nsettings:\n  AN1: {Window: 1m, Window: 2m}\n", "3:21: settings.AN1.Window: key stands twice, first in line 3"},
		"replaced and added to":       {"version: 1\nsettings:\n  tools: [a]\n  tools+: [b]\n", "4:3: settings.tools+: \"tools\" and \"tools+\" together"},
		"added to and replaced":       {"version: 1\nsettings:\n  tools+: [b]\n  tools: [a]\n", "4:3: settings.tools: \"tools\" and \"tools+\" together"},
		"an addition to a flag":       {"version: 1\nsettings:\n  mutable+: true\n", "3:3: settings.mutable+: only a list can be added to; this is true or false"},
		"an addition to a duration":   {"version: 1\nsettings:\n  patience+: 5m\n", "3:3: settings.patience+: only a list can be added to; this is a length of time"},
		"an addition of an addition":  {"version: 1\nsettings:\n  tools++: [a]\n", "3:3: settings.tools++: unknown key; did you mean \"tools\"?"},
		"a merge key":                 {"version: 1\nscopes:\n  a: &a {match: {}}\n  b:\n    <<: *a\n    match: {}\n", "5:5: scopes.b.\"<<\": merging is not read; a scope takes over another's settings with \"inherits\""},
		"inherits in settings":        {"version: 1\nsettings: {inherits: a}\n", "2:12: settings.inherits: unknown key; it belongs below a scope"},
		"a key that is an alias":      {"version: 1\ndefault_scope: &k prod\nscopes:\n  *k : {match: 1}\n", "4:16: scopes.prod.match: want a mapping"},
		"a version below an alias":    {"version: &v 1\nlearning: *v\n", "1:10: learning: \"1\" is no length of time"},
		"an alias to the wrong thing": {"version: 1\nsettings:\n  tools: &l [sh]\n  weight: *l\n", "3:10: settings.weight: want a number such as 0.85"},

		// Types.
		"a text for a mapping":       {"version: 1\nscopes: prod\n", "2:9: scopes: want a mapping (key: value)"},
		"a list for a mapping":       {"version: 1\nsettings: [a]\n", "2:11: settings: want a mapping"},
		"a list for a scope":         {"version: 1\nscopes: {a: [b]}\ndefault_scope: a\n", "2:13: scopes.a: want a mapping"},
		"a list for an analytic":     {"version: 1\nsettings: {AN1: [b]}\n", "2:17: settings.AN1: want a mapping"},
		"a mapping for a list":       {"version: 1\nsettings: {tools: {sh: true}}\n", "2:19: settings.tools: want a list; [] is an empty one"},
		"nothing for a list":         {"version: 1\nsettings: {tools: }\n", "2:19: settings.tools: want a list; [] is an empty one"},
		"a list in a list":           {"version: 1\nsettings: {tools: [sh, [curl], nc]}\n", "2:24: settings.tools[1]: want a plain value"},
		"nothing in a list":          {"version: 1\nsettings: {registries: [~, nginx:1, a.example/*, b.example]}\n", "2:25: settings.registries[0]: want a plain value\n2:28: settings.registries[1]: a tag can be moved\n2:50: settings.registries[3]: a registry host alone"},
		"an empty text in a list":    {"version: 1\nsettings: {tools: [\"\"]}\n", "2:20: settings.tools[0]: an empty entry fits nothing; remove it"},
		"an empty text for a list":   {"version: 1\nsettings: {tools: \"\"}\n", "2:19: settings.tools: an empty entry fits nothing"},
		"an empty pattern":           {"version: 1\nscopes: {a: {match: {hosts: [\"\"]}}}\n", "2:30: scopes.a.match.hosts[0]: an empty entry fits nothing"},
		"blanks around":              {"version: 1\nsettings: {namespaces_here: [\" prod\"], registries: \"a.example/* \"}\n", "2:30: settings.namespaces_here[0]: \" prod\" has blanks around it\n2:52: settings.registries: \"a.example/* \" has blanks around it"},
		"a number for a text":        {"version: 1\nsettings: {namespaces_here: [1.10]}\n", "2:30: settings.namespaces_here[0]: \"1.10\" is no text to YAML; write it in quotes"},
		"a flag for a text":          {"version: 1\nsettings: {tools: [sh, true]}\n", "2:24: settings.tools[1]: \"true\" is no text to YAML; write it in quotes"},
		"a date for a text":          {"version: 1\nsettings: {tools: 2026-01-02}\n", "2:19: settings.tools: \"2026-01-02\" is no text to YAML; write it in quotes"},
		"a tag of one's own":         {"version: 1\nsettings: {tools: !mine sh}\n", "2:19: settings.tools: \"sh\" is no text to YAML"},
		"a list for a flag":          {"version: 1\nsettings: {mutable: [true]}\n", "2:21: settings.mutable: want true or false"},
		"nothing for a flag":         {"version: 1\nsettings: {mutable: }\n", "2:21: settings.mutable: want true or false"},
		"yes for a flag":             {"version: 1\nsettings: {mutable: yes}\n", "2:21: settings.mutable: \"yes\": want true or false"},
		"a number for a flag":        {"version: 1\nsettings: {mutable: 0}\n", "2:21: settings.mutable: \"0\": want true or false"},
		"a quoted flag":              {"version: 1\nsettings: {mutable: \"false\"}\n", "2:21: settings.mutable: \"false\" in quotes is text; want true or false"},
		"a text for a number":        {"version: 1\nsettings: {weight: heavy}\n", "2:20: settings.weight: \"heavy\" is no number such as 2 or 0.85"},
		"a quoted number":            {"version: 1\nsettings: {weight: '2'}\n", "2:20: settings.weight: \"2\" in quotes is text; want a number"},
		"no number at all":           {"version: 1\nsettings: {weight: .nan}\n", "2:20: settings.weight: \".nan\" is no number"},
		"infinity":                   {"version: 1\nsettings: {weight: inf}\n", "2:20: settings.weight: \"inf\" is no number"},
		"a number too large":         {"version: 1\nsettings: {weight: 1e999}\n", "2:20: settings.weight: \"1e999\" is no number"},
		"a number for a duration":    {"version: 1\nlearning: 7\n", "2:11: learning: \"7\" is no length of time: write 15m, 1h30m or 7d"},
		"no time at all":             {"version: 1\nlearning: 0d\n", "2:11: learning: \"0d\" is no length of time"},
		"weeks":                      {"version: 1\nlearning: 2w\n", "2:11: learning: \"2w\" is no length of time"},
		"a list for a duration":      {"version: 1\nlearning: [7d]\n", "2:11: learning: want a length of time such as 15m or 7d"},
		"a bad tunable":              {"version: 1\nsettings: {AN1: {Window: soon}}\n", "2:26: settings.AN1.Window: \"soon\" is no length of time"},
		"a bad bound tunable":        {"version: 1\nscopes: {a: {match: {}, AN2: {Sources: [a.example/*, \"*\"]}}}\n", "2:54: scopes.a.AN2.Sources[1]: the registry host takes no wildcard"},
		"an image's tag":             {"version: 1\nsettings: {registries: \"nginx:1.27\"}\n", "2:24: settings.registries: a tag can be moved to another image; leave it out or use a digest"},
		"an image's host wildcard":   {"version: 1\nsettings: {registries: [\"*.example/app\"]}\n", "2:25: settings.registries[0]: the registry host takes no wildcard"},
		"a network's loose bits":     {"version: 1\nsettings: {allowed: [10.1.2.3/8]}\n", "2:22: settings.allowed[0]: network \"10.1.2.3/8\" has bits set beyond its length: write 10.0.0.0/8 for the network or 10.1.2.3 for the one address"},
		"a network too long":         {"version: 1\nsettings: {allowed: [10.0.0.0/33]}\n", "2:22: settings.allowed[0]: \"10.0.0.0/33\" is no network: \"33\" is no prefix length of 0 to 32"},
		"no destination":             {"version: 1\nsettings: {allowed: [\"*\"]}\n", "2:22: settings.allowed[0]: \"*\" is no network (10.0.0.0/8), address, autonomous system (AS64500) or domain name"},
		"a mistyped address":         {"version: 1\nsettings: {allowed: [10.0.0]}\n", "2:22: settings.allowed[0]: \"10.0.0\" is no network"},
		"no port":                    {"version: 1\nsettings: {ports: [80, 0, 65536, http, 5-3]}\n", "2:24: settings.ports[1]: \"0\" is no port\n2:27: settings.ports[2]: \"65536\" is no port\n2:34: settings.ports[3]: \"http\" is no port\n2:40: settings.ports[4]: \"5-3\" is no port (3333) or range"},
		"an internal network's bits": {"version: 1\naddresses: {internal: [203.0.113.7/24]}\n", "2:24: addresses.internal[0]: network \"203.0.113.7/24\" has bits set beyond its length: write 203.0.113.0/24 for the network"},
		"no internal network":        {"version: 1\naddresses: {internal: [~, corp.example]}\n", "2:24: addresses.internal[0]: want a plain value\n2:27: addresses.internal[1]: \"corp.example\" is no network such as 203.0.113.0/24, and no address"},
		"internal and public":        {"version: 1\naddresses:\n  internal: [203.0.113.0/24]\n  public: [10.0.0.0/8, \"::ffff:203.0.113.0/120\"]\n", "4:24: addresses.public[1]: 203.0.113.0/24 is listed both as internal and as public"},
		"nothing for internal":       {"version: 1\naddresses: {internal: }\n", "2:23: addresses.internal: want a list"},
	} {
		t.Run(name, func(t *testing.T) { sameFaults(t, faults(t, c.text), c.want) })
	}
}

// sameFaults compares faults line by line: the place must be the same, and
// the reason must hold what is wanted.
func sameFaults(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(strings.TrimSuffix(want, "\n"), "\n")
	if len(g) != len(w) {
		t.Fatalf("got %d faults, want %d:\n%s", len(g), len(w), got)
	}
	for i := range w {
		place, reason, ok := cutPlace(w[i])
		if !ok {
			t.Fatalf("bad expectation %q", w[i])
		}
		if !strings.HasPrefix(g[i], place) || !strings.Contains(g[i][len(place):], reason) {
			t.Errorf("got\n  %s\nwant\n  %s", g[i], w[i])
		}
		if strings.HasSuffix(want, "\n") && !strings.HasSuffix(g[i], reason) {
			t.Errorf("got more than %q: %s", reason, g[i])
		}
	}
}

// cutPlace cuts "line:column: key: reason" before the reason; a reason may
// have no key before it.
func cutPlace(s string) (place, reason string, ok bool) {
	var line, column int
	if _, err := fmt.Sscanf(s, "%d:%d:", &line, &column); err != nil {
		return "", "", false
	}
	place = fmt.Sprintf("%d:%d: ", line, column)
	rest := s[len(place):]
	if key, after, found := strings.Cut(rest, ": "); found && !strings.Contains(key, " ") {
		return place + key + ": ", after, true
	}
	return place, rest, true
}

// TestDistance pins what counts as one typing error.
func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"tools", "tools", 0}, {"tols", "tools", 1}, {"toools", "tools", 1}, {"tocls", "tools", 1}, {"tolos", "tools", 1}, {"otols", "tools", 1},
		{"slot", "tools", 4}, {"abc", "xyz", 3}, {"", "tools", 9}, {"a", "abcdefghijk", 9}, {"abcdefghijk", "a", 9}, {"ca", "abc", 3},
	} {
		if got := distance(c.a, c.b, 9); got != c.want {
			t.Errorf("%q and %q are %d apart, want %d", c.a, c.b, got, c.want)
		}
	}
}

// TestFaultsAreErrors pins that a program can get at each fault.
func TestFaultsAreErrors(t *testing.T) {
	_, err := Read(strings.NewReader("version: 1\nlearning: x\nsettings: {allowed: [10.0.0.1/8]}\n"), "dir/p.yaml", words())
	var list Faults
	var one Fault
	if !errors.As(err, &list) || len(list) != 2 || !errors.As(err, &one) || one.File != "dir/p.yaml" || one.Line != 2 || one.Column != 11 || one.Key != "learning" {
		t.Fatalf("%#v", err)
	}
	if err.Error() != list[0].Error()+"\n"+list[1].Error() || errors.Unwrap(one) != one.Err {
		t.Errorf("faults are not told one a line: %v", err)
	}
	if _, err := Read(strings.NewReader("version: 1\naddresses: {public: [x]}"), "p", words()); !errors.Is(err, errNoNetwork) {
		t.Errorf("the reason is not wrapped: %v", err)
	}
}

// TestFaultsNeverBreakLines pins that nothing in a file can look like a fault,
// or reach a terminal as it is.
func TestFaultsNeverBreakLines(t *testing.T) {
	text := "version: 1\nscopes:\n  \"x\\n:1:1: y\":\n    match: {\"\\e[2J\": a}\n    \"we\\rird\": 1\n    inherits: \"no\\nsuch\"\n    tools: [\" a\\n\"]\n    allowed: [\"a\\nb\"]\n    ports: [\"1\\n2\"]\n    registries: [\"a\\nb\"]\n"
	got := faults(t, text)
	if lines := strings.Split(got, "\n"); len(lines) != 7 {
		t.Errorf("%d lines for 7 faults:\n%s", len(lines), got)
	}
	if strings.ContainsAny(got, "\x1b\r") {
		t.Errorf("control characters in %q", got)
	}
}

// TestLoad reads files.
func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if _, err := Load(path, words()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "read policy") {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Load(t.TempDir(), words()); err == nil || !strings.Contains(err.Error(), "read policy") {
		t.Errorf("a folder: %v", err)
	}
	if err := os.WriteFile(path, []byte("\ufeffversion: 1\r\nlearning: 2d12h\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Load(path, words())
	if err != nil || p.Name != path || p.Learning != 60*time.Hour || len(p.Scopes()) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if p := read(t, "learning:  7d\nscopes:\nsettings:\naddresses:\n"); p.Learning != DefaultLearning || p.For(Attributes{Host: "h"}).Name != "" {
		t.Errorf("a policy that says nothing: %+v", p)
	}
	if _, err := Read(iotest.ErrReader(io.ErrClosedPipe), "p", words()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// TestBounds pins that a file that is broken or hostile ends in a clear error
// and not in an hour of work.
func TestBounds(t *testing.T) {
	numbered := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i, i-1)
		}
		return b.String()
	}
	many := func(n int, s string) string { return strings.Repeat(s, n) }
	list := many(2000, "tool, ")
	for name, c := range map[string]struct{ text, says string }{
		"a large file":            {"version: 1\n#" + many(maxPolicy, "x"), "file is larger than 4194304 bytes"},
		"a file without end":      {many(maxPolicy+1, "\n"), "file is larger"},
		"a list of aliases":       {"version: 1\nsettings: {tools: [" + many(maxPolicy/3-20, "a, ") + "]}", "more than 1048576 values"},
		"an alias bomb":           {"version: 1\nscopes:\n  s: &s {match: {}, tools: [" + list + "]}\n" + numbered(20_000, "  s%d: *s #%d\n"), "more than 1048576 values"},
		"an alias bomb of bombs":  {"version: 1\nlearning: &a [x, x]\naddresses: &b [*a, *a]\nscopes: &c [*b, *b]\nsettings: [*c, *c]\n", "want a mapping"},
		"an alias to itself":      {"version: 1\nscopes: &s {a: *s}\n", "scopes.a.a: unknown key"},
		"a list in itself":        {"version: 1\nsettings: {tools: &l [sh, *l]}\n", "settings.tools[1]: want a plain value"},
		"a list that grows":       {"version: 1\nscopes:\n  s: {match: {}, tools: [" + list + "]}\n" + numbered(10_000, "  s%d: {match: {}, inherits: s, tools+: [a]} #%d\n"), "more than 1048576 values"},
		"a long line of heirs":    {"version: 1\nscopes:\n  s-1: {}\n" + numbered(20_000, "  s%d: {inherits: s%d, tools+: [a]}\n"), "more than 32 scopes inherit from each other"},
		"heirs who claim all":     {"version: 1\nscopes:\n  s-1: {}\n" + numbered(9_000, "  s%d: {inherits: s%d, match: {hosts: [\"*\"]}}\n"), "more than 32 scopes"},
		"a large circle":          {"version: 1\nscopes:\n  s-1: {inherits: s29999}\n" + numbered(30_000, "  s%d: {inherits: s%d}\n"), "inherits from itself"},
		"many who claim the same": {"version: 1\nscopes:\n" + numbered(8_000, "  s%d: {match: {hosts: [x, \"x*\"]}} #%d\n"), "more than 8192 patterns"},
		"many ties":               {"version: 1\nscopes:\n" + numbered(4_000, "  s%d: {match: {hosts: [x, \"x*\"]}} #%d\n"), "faults more"},
		"many faults":             {"version: 1\nsettings: {ports: [" + many(100_000, "x, ") + "]}", "and 99000 faults more"},
		"deep brackets":           {many(100_000, "["), "exceeded max depth"},
	} {
		t.Run(name, func(t *testing.T) {
			got := faults(t, c.text)
			if !strings.Contains(got, c.says) {
				t.Errorf("%.500s does not say %q", got, c.says)
			}
			if n := strings.Count(got, "\n"); n > maxFaults {
				t.Errorf("%d faults are told", n)
			}
		})
	}
}

// TestWithinBounds pins that the bounds leave room for a large site.
func TestWithinBounds(t *testing.T) {
	var b strings.Builder
	b.WriteString("settings:\n  approved_images:\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "  - registry.example/team/app-%d@sha256:%064x\n", i, i)
	}
	b.WriteString("scopes:\n  s-1: {match: {}}\n")
	for i := range 31 {
		fmt.Fprintf(&b, "  s%d: {inherits: s%d, match: {hosts: [\"h%d-*\"], namespaces: [n%d]}, tools+: [t%d]}\n", i, i-1, i, i, i)
	}
	p := read(t, b.String())
	if got := p.For(Attributes{Host: "h30-9"}).Setting("", "tools").Text(); len(got) != 3+31 || got[33] != "t30" {
		t.Errorf("the last heir's tools are %q", got)
	}
}
