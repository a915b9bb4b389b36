package policy

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tidewaiter/image"
)

// value makes a value that is meant to be good.
func value(t testing.TB, typ Type, texts ...string) *Value {
	t.Helper()
	v, faults := NewValue(typ, texts)
	if len(faults) > 0 {
		t.Fatalf("%s %q: %v", typ, texts, faults[0].Err)
	}
	return v
}

// TestDestinations pins what is inside ("+") and outside ("-") a destination.
func TestDestinations(t *testing.T) {
	for entry, places := range map[string]string{
		"10.0.0.0/8":           "+10.0.0.0 +10.255.255.255 +::ffff:10.1.2.3 +64:ff9b::10.1.2.3 -11.0.0.0 -9.255.255.255 -::10.0.0.1 -10.example",
		"203.0.113.7":          "+203.0.113.7 +::ffff:203.0.113.7 -203.0.113.8 -203.0.113.6",
		"203.0.113.7/32":       "+203.0.113.7 -203.0.113.8",
		"0.0.0.0/0":            "+1.2.3.4 +255.255.255.255 -2001:db8::1 -example.com",
		"::/0":                 "+2001:db8::1 +fe80::1 -1.2.3.4 -::ffff:1.2.3.4",
		"2001:db8::/32":        "+2001:db8::1 +2001:db8:ffff::%eth0 -2001:db9::1 -2001:0db7::1",
		"2001:DB8::7":          "+2001:db8::7 -2001:db8::8",
		"64:ff9b::/96":         "+64:ff9b::1.2.3.4 -1.2.3.4",
		"::ffff:10.0.0.0/104":  "+10.9.9.9 +::ffff:10.9.9.9 -11.0.0.0",
		"::ffff:10.9.9.9":      "+10.9.9.9 -10.9.9.8",
		"example.com":          "+example.com +EXAMPLE.com +example.com. -www.example.com -evilexample.com -example.com.evil.test -example -com",
		"Example.COM.":         "+example.com +EXAMPLE.COM. -x.example.com",
		"*.example.com":        "+www.example.com +a.b.example.com +WWW.EXAMPLE.COM. -example.com -evilexample.com -www.example.com.evil.test -example.com.",
		"*.Example.Com.":       "+www.example.com -example.com",
		"*.com":                "+example.com +a.example.com -com -com.evil.test",
		"localhost":            "+localhost +LOCALHOST. -x.localhost -127.0.0.1",
		"db_1.prod":            "+db_1.prod +DB_1.prod -db-1.prod",
		"bücher.example":       "+bücher.example +BÜCHER.example +xn--bcher-kva.example -bucher.example -www.bücher.example",
		"*.bücher.example":     "+www.xn--bcher-kva.example +shop.BÜCHER.example. -xn--bcher-kva.example",
		"XN--BCHER-KVA.test":   "+bücher.test +xn--bcher-kva.test",
		"straße。example":       "+straße.example +xn--strae-oqa.example -strasse.example",
		"123.example":          "+123.example -123",
		"1e100.net":            "+1e100.net -1e100.net.evil.test",
		"xn--p1ai":             "+рф +xn--p1ai",
		"a.b.c.d.e.f.example":  "+a.b.c.d.e.f.example -b.c.d.e.f.example",
		"_sip._tcp.example.se": "+_sip._tcp.example.se",
		"as64500.":             "+as64500 +AS64500. -x.as64500",
		"as64500a":             "+AS64500a",
	} {
		v := value(t, Destinations, entry)
		for place := range strings.FieldsSeq(places) {
			a, err := netip.ParseAddr(place[1:])
			got := v.MatchesAddr(a)
			if err != nil {
				got = v.MatchesDomain(place[1:])
			}
			if want := place[0] == '+'; got != want {
				t.Errorf("%q holds %q: %t, want %t", entry, place[1:], got, want)
			}
		}
		if v.MatchesAddr(netip.Addr{}) || v.MatchesDomain("") || v.MatchesDomain(".") {
			t.Errorf("%q holds nothing at all", entry)
		}
	}
	for entry, says := range map[string]string{
		"":                                    "remove it",
		"10.0.0.1/8":                          "write 10.0.0.0/8 for the network or 10.0.0.1 for the one address",
		"2001:db8::1/32":                      "write 2001:db8::/32 for the network or 2001:db8::1 for",
		"::ffff:10.0.0.1/104":                 "write 10.0.0.0/8 for the network or 10.0.0.1 for",
		"10.0.0.0/33":                         "\"33\" is no prefix length of 0 to 32",
		"10.0.0":                              "no network",
		"10.0.0.256":                          "no network",
		"1.2.3.4.5":                           "no network",
		"10.0.0.1-10.0.0.9":                   "no network",
		"010.0.0.1":                           "no network",
		"fe80::1%eth0":                        "no network",
		"10.0.0.1:443":                        "without scheme, port and path",
		"[2001:db8::1]:443":                   "without scheme, port and path",
		"example.com:443":                     "without scheme, port and path",
		"example.com/path":                    "without scheme, port and path",
		"https://example.com":                 "without scheme, port and path",
		"*":                                   "no network",
		"*.":                                  "no network",
		"*.*.example.com":                     "write \"*.example.com\"",
		".example.com":                        "write \"*.example.com\"",
		"*example.com":                        "write \"*.example.com\"",
		"www.*.com":                           "no network",
		"example.*":                           "no network",
		"a..example":                          "no network",
		"a b.example":                         "no network",
		"-a.example":                          "no network",
		"a-.example":                          "no network",
		"example.com..":                       "no network",
		strings.Repeat("a", 64):               "no network",
		"exämple .com":                        "no network",
		"\u202eexample.com":                   "no network",
		"xn--a\u00e4\u00e4\xff.x":             "no network",
		"*.10.0.0.1":                          "no network",
		"a.-example":                          "no network",
		"a.example-":                          "no network",
		strings.Repeat("a.", 127) + "example": "no network",
	} {
		_, faults := NewValue(Destinations, []string{entry})
		if len(faults) != 1 || faults[0].Index != 0 || !strings.Contains(faults[0].Err.Error(), says) {
			t.Errorf("%q: %v, want a fault that says %q", entry, faults, says)
		}
	}
	none := value(t, Destinations)
	if none.MatchesAddr(netip.MustParseAddr("10.0.0.1")) || none.MatchesDomain("example.com") || !none.IsSet() {
		t.Error("an empty list holds something, or is not set")
	}
}

func TestPublishers(t *testing.T) {
	v := value(t, Publishers, "registry.example/team/* by ci-builder", "registry.example/base by release-*")
	for _, c := range []struct {
		repository, by string
		want           bool
	}{
		{"registry.example/team/app:1", "ci-builder", true},
		{"registry.example/team/a/b", "ci-builder", true},
		{"registry.example/team/app", "ci-builder2", false},
		{"registry.example/team/app", "", false},
		{"registry.example/other/app", "ci-builder", false},
		{"registry.example.evil.example/team/app", "ci-builder", false},
		{"registry.example/base", "release-1", true},
		{"registry.example/base", "ci-builder", false},
		{"team/app", "ci-builder", false},
	} {
		if got := v.Publishes(image.Parse(c.repository), c.by); got != c.want {
			t.Errorf("%s by %q: %t", c.repository, c.by, got)
		}
	}
	for _, bad := range []string{"", "registry.example/team/*", "registry.example/team/* by ", "registry.example/team/* by *", "by ci", " by ci",
		"registry.example/a@sha256:" + strings.Repeat("5e", 32) + " by ci", "registry.example/a:1 by ci", "*.example/a by ci"} {
		if _, faults := NewValue(Publishers, []string{bad}); len(faults) != 1 {
			t.Errorf("%q: %v", bad, faults)
		}
	}
	if value(t, Publishers).Publishes(image.Parse("a/b"), "ci") {
		t.Error("an empty list trusts somebody")
	}
}

func TestVMImages(t *testing.T) {
	v := value(t, VMImages, "owner:123456789012", "owner:amazon", "image:ami-0aaa*", "publisher:Canonical", "gallery:corpGallery", "project:debian-cloud")
	for _, c := range []struct {
		kind, value string
		want        bool
	}{
		{"owner", "123456789012", true},
		{"owner", "123456789013", false},
		{"owner", "Amazon", true},
		{"project", "amazon", false},
		{"image", "ami-0aaa1", true},
		{"image", "ami-0bbb1", false},
		{"publisher", "canonical", true},
		{"publisher", "canonical-evil", false},
		{"gallery", "CORPGALLERY", true},
		{"project", "debian-cloud", true},
		{"project", "debian-cloud-2", false},
		{"owner", "", false},
	} {
		if got := v.MatchesVMImage(c.kind, c.value); got != c.want {
			t.Errorf("%s %q: %t", c.kind, c.value, got)
		}
	}
	for _, bad := range []string{"", "amazon", "owner:", "owner:*", "name:golden-*", "image:*", "publisher:Canon*", "owner: "} {
		if _, faults := NewValue(VMImages, []string{bad}); len(faults) != 1 {
			t.Errorf("%q: %v", bad, faults)
		}
	}
}

func TestNames(t *testing.T) {
	v := value(t, Names, "sh", "/usr/bin/Curl", `C:\Windows\System32\certutil.EXE`, "python*", "*-miner", "-bash")
	for name, want := range map[string]bool{
		"sh": true, "/bin/sh": true, "-sh": true, "SH": true, "sh.exe": true, `C:\x\sh.exe`: true, "bash": true,
		"curl": true, "/opt/curl": true, "certutil": true, "CertUtil.exe": true, "python": true, "python3.12": true,
		"/usr/bin/python3": true, "x-miner": true, "-miner": false, "ssh": false, "sh2": false, "xpython": false, "": false, "/": false,
	} {
		if got := v.MatchesName(name); got != want {
			t.Errorf("MatchesName(%q) = %t", name, got)
		}
	}
	for _, bad := range []string{"", "/usr/bin/", `C:\`, ".exe", "-", " sh", "sh\t"} {
		if _, faults := NewValue(Names, []string{"ok", bad}); len(faults) != 1 || faults[0].Index != 1 {
			t.Errorf("the name %q: %v", bad, faults)
		}
	}
}

func TestPatterns(t *testing.T) {
	v := value(t, Patterns, "prod", "team-*", "system:serviceaccount:*:deployer")
	for s, want := range map[string]bool{
		"prod": true, "Prod": false, "prod2": false, "team-": true, "team-a/b": true, "xteam-a": false, "": false,
		"system:serviceaccount:ci:deployer": true, "system:serviceaccount:deployer": false,
	} {
		if got := v.MatchesPattern(s); got != want {
			t.Errorf("MatchesPattern(%q) = %t", s, got)
		}
	}
}

func TestPorts(t *testing.T) {
	v := value(t, Ports, "80", "3333-3336", "65535", "1-1")
	for port, want := range map[int]bool{1: true, 2: false, 79: false, 80: true, 81: false, 3332: false, 3333: true, 3336: true, 3337: false, 65535: true,
		0: false, -1: false, 65536: false, 65536 + 80: false, math.MinInt: false, math.MaxInt: false} {
		if got := v.MatchesPort(port); got != want {
			t.Errorf("MatchesPort(%d) = %t", port, got)
		}
	}
	for _, bad := range []string{"", "0", "-1", "+80", "65536", "80-", "-80", "90-80", "1-65536", "080", "80-090", "0x50", "8.0", "80 - 90", "80,90", "80-90-100", "http", "٨٠"} {
		if _, faults := NewValue(Ports, []string{bad}); len(faults) != 1 {
			t.Errorf("the port %q: %v", bad, faults)
		}
	}
	if (new(Value)).MatchesPort(80) {
		t.Error("the unset value holds a port")
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"15m": 15 * time.Minute, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "90d": 90 * 24 * time.Hour, "1d12h": 36 * time.Hour,
		"0d1s": time.Second, "1.5h": 90 * time.Minute, "250ms": 250 * time.Millisecond, "1µs": time.Microsecond, "1ns": 1, "007d": 7 * 24 * time.Hour, "106751d": 106751 * 24 * time.Hour,
	} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%q is %s, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "7", "d", "0d", "0s", "-1h", "+1h", "-7d", "1.5d", "1w", "1h 30m", "7 d", "1h7d", "1d7d", "1dm", "15M", "1e3s", ".5h", "5.h",
		"106752d", "106751d24h", "99999999999999999999d", "9999999h", "∞", "0.1ns"} {
		if got, err := ParseDuration(s); err == nil || !strings.Contains(err.Error(), "write 15m, 1h30m or 7d") {
			t.Errorf("%q is %s, %v", s, got, err)
		}
	}
}

func TestNumbersAndFlags(t *testing.T) {
	for s, want := range map[string]float64{"1": 1, "0.85": 0.85, "-2": -2, "1e3": 1000, ".5": 0.5, "0": 0} {
		if got := value(t, Number, s).Number(); got != want {
			t.Errorf("%q is %v", s, got)
		}
	}
	for _, bad := range []string{"", "x", "NaN", "nan", "inf", "-Inf", "1e999", "1_000", "0x10", "1,5", " 1"} {
		if _, faults := NewValue(Number, []string{bad}); len(faults) != 1 {
			t.Errorf("the number %q: %v", bad, faults)
		}
	}
	if !value(t, Flag, "true").Flag() || value(t, Flag, "false").Flag() {
		t.Error("flags")
	}
	for _, bad := range []string{"", "True", "1", "t", "yes", "on"} {
		if _, faults := NewValue(Flag, []string{bad}); len(faults) != 1 {
			t.Errorf("the flag %q: %v", bad, faults)
		}
	}
}

func TestImages(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	v := value(t, Images, "registry.example/*", "docker.io/library/nginx", "other.example/app@"+digest, "registry.example/team/*")
	d, err := image.ParseDigest(digest)
	if err != nil {
		t.Fatal(err)
	}
	known := []image.Digest{d}
	for ref, want := range map[string]bool{
		"registry.example/a/b:1": true, "nginx": true, "nginx-evil": false, "registry.example.evil.test/a": false, "other.example/app": true, "other.example/app2": false,
	} {
		if got := v.MatchesImage(image.Parse(ref), known); got != want {
			t.Errorf("MatchesImage(%q) = %t", ref, got)
		}
	}
	if v.MatchesImage(image.Parse("other.example/app"), nil) {
		t.Error("a pattern with a digest fits without it")
	}
	if !v.ApprovesDigest(known) || v.ApprovesDigest(nil) || value(t, Images, "registry.example/*").ApprovesDigest(known) {
		t.Error("only a pattern that names a digest approves it")
	}
	if got := strings.Join(v.RegistryHosts(), " "); got != "docker.io other.example registry.example" {
		t.Errorf("hosts are %q", got)
	}
}

// TestReleases pins what a release says of images, and what is none.
func TestReleases(t *testing.T) {
	sum := func(two string) string { return "sha256:" + strings.Repeat(two, 32) }
	parsed := func(s string) image.Digest {
		d, err := image.ParseDigest(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	v := value(t, Releases, "a.example/b:1@"+sum("5e"), "a.example/b:1@"+sum("6f"), "nginx:2@"+sum("70"))
	good, bad := []image.Digest{parsed(sum("11")), parsed(sum("6f"))}, []image.Digest{parsed(sum("11"))}
	if !v.Released(good) || v.Released(bad) || v.Released(nil) {
		t.Error("what is released is told wrongly")
	}
	for ref, want := range map[string]bool{"a.example/b:1": true, "a.example/b:2": false, "a.example/c:1": false, "docker.io/library/nginx:2": true, "a.example/b": false} {
		if v.Contradicts(image.Parse(ref), good) && ref == "a.example/b:1" || v.Contradicts(image.Parse(ref), bad) != want || v.Contradicts(image.Parse(ref), nil) {
			t.Errorf("%s: contradicted wrongly", ref)
		}
	}
	for _, s := range []string{"a.example/b:1", "a.example/b@" + sum("5e"), "a.example/b", sum("5e"), "a b", "a.example/*:1@" + sum("5e")} {
		if _, faults := NewValue(Releases, []string{s}); len(faults) == 0 {
			t.Errorf("%q is taken for a release", s)
		}
	}
}

// TestValues pins what holds for values of every type.
func TestValues(t *testing.T) {
	digest := strings.Repeat("5e", 32)
	good := map[Type][]string{Releases: {"a.example/b:1@sha256:" + digest, "c:2@sha256:" + digest}, Images: {"a.example/*", "nginx"}, Publishers: {"a.example/* by x", "b.example/c by y-*"}, VMImages: {"owner:amazon", "image:ami-0123"}, Names: {"sh", "nc"}, Destinations: {"10.0.0.0/8", "a.example"}, Patterns: {"x*", "y"},
		Ports: {"1", "2-3"}, Duration: {"7d", "1h"}, Number: {"1", "2"}, Flag: {"true", "false"}}
	if len(good) != len(Types()) {
		t.Fatalf("%d types are tried, of %d", len(good), len(Types()))
	}
	for typ, texts := range good {
		v, faults := NewValue(typ, texts)
		if typ.IsList() != (len(faults) == 0) {
			t.Errorf("%s: two entries: %v", typ, faults)
		}
		if _, faults := NewValue(typ, nil); typ.IsList() != (len(faults) == 0) {
			t.Errorf("%s: no entry: %v", typ, faults)
		}
		one, other := value(t, typ, texts[0]), value(t, typ, texts[1])
		if !one.IsSet() || one.Type() != typ || one.Text()[0] != texts[0] || one.Equal(other) || !one.Equal(value(t, typ, texts[0])) {
			t.Errorf("%s: %q is %+v", typ, texts[0], one)
		}
		if one.Compare(other)*other.Compare(one) != -1 || one.Compare(one) != 0 {
			t.Errorf("%s: %q and %q are not in order", typ, one.Text(), other.Text())
		}
		text := v.Text()
		text[0] = "changed"
		if v.Text()[0] == "changed" || texts[0] == "changed" {
			t.Errorf("%s: the text of a value can be changed from outside", typ)
		}
		if typ.article() == "" || typ.doc() == "" || typ.sample() == "" {
			t.Errorf("%s: not described", typ)
		}
		if _, faults := NewValue(typ, []string{typ.sample()}); !typ.IsList() && len(faults) > 0 {
			t.Errorf("%s: the sample %q is bad: %v", typ, typ.sample(), faults[0].Err)
		}
	}
	var unset Value
	if unset.IsSet() || unset.Type() != "" || unset.Flag() || unset.Number() != 0 || unset.Duration() != 0 || unset.MatchesDomain("a.example") ||
		unset.MatchesAddr(netip.MustParseAddr("10.0.0.1")) || unset.MatchesPattern("") || unset.MatchesName("sh") || len(unset.RegistryHosts()) > 0 {
		t.Error("the unset value answers yes to something")
	}
	if _, faults := NewValue("colour", []string{"red"}); len(faults) == 0 || !strings.Contains(faults[0].Err.Error(), "unknown type") {
		t.Errorf("an unknown type: %v", faults)
	}
}

// TestIsPublic pins which addresses are outside the site.
func TestIsPublic(t *testing.T) {
	usual := Empty(words())
	said := read(t, `addresses:
  internal: [203.0.113.0/24, 2001:db8:1::/48, 192.0.2.7, "::ffff:198.51.100.0/120"]
  public: [10.66.0.0/16, 203.0.113.9, "fd00:66::/32", 100.64.0.0/10]
`)
	for addr, want := range map[string]string{ // without and with what the policy says
		"8.8.8.8": "++", "1.1.1.1": "++", "2606:4700::1111": "++",
		"9.255.255.255": "++", "10.0.0.0": "--", "10.255.255.255": "--", "11.0.0.0": "++",
		"172.15.255.255": "++", "172.16.0.0": "--", "172.31.255.255": "--", "172.32.0.0": "++",
		"192.167.255.255": "++", "192.168.0.0": "--", "192.168.255.255": "--", "192.169.0.0": "++",
		"100.63.255.255": "++", "100.64.0.0": "-+", "100.127.255.255": "-+", "100.128.0.0": "++",
		"127.0.0.1": "--", "127.255.255.255": "--", "::1": "--", "169.254.169.254": "--", "fe80::1": "--", "fe80::1%eth0": "--", "febf::1": "--", "fec0::1": "--",
		"224.0.0.1": "--", "239.255.255.255": "--", "ff02::1": "--", "ff0e::1": "--",
		"fc00::1": "--", "fd00::1": "--", "fdff::1": "--", "fbff::1": "++",
		"0.0.0.0": "--", "0.1.2.3": "--", "::": "--", "240.0.0.1": "--", "255.255.255.255": "--", "192.0.0.8": "--", "198.18.0.1": "--", "198.19.255.255": "--",
		"198.17.255.255": "++", "198.20.0.0": "++", "64:ff9b:1::1": "--", "100::1": "--", "5f00::1": "--", "223.255.255.255": "++",
		// Documentation ranges count as public.
		"192.0.2.1": "++", "192.0.2.7": "+-", "198.51.100.1": "+-", "203.0.113.1": "+-", "2001:db8::1": "++", "3fff::1": "++",
		// What the policy says, the longest match first.
		"203.0.113.9": "++", "203.0.113.8": "+-", "2001:db8:1::5": "+-", "2001:db8:2::5": "++", "10.66.1.2": "-+", "10.67.1.2": "--", "fd00:66::1": "-+", "fd00:67::1": "--",
		// IPv4 in IPv6 clothes.
		"::ffff:10.0.0.1": "--", "::ffff:8.8.8.8": "++", "::ffff:203.0.113.1": "+-", "::ffff:10.66.0.1": "-+", "::ffff:127.0.0.1": "--",
		"64:ff9b::10.0.0.1": "--", "64:ff9b::8.8.8.8": "++", "64:ff9b::203.0.113.1": "+-", "64:ff9b::10.66.0.1": "-+",
	} {
		a := netip.MustParseAddr(addr)
		for i, p := range []*Policy{usual, said} {
			if got := p.IsPublic(a); got != (want[i] == '+') {
				t.Errorf("IsPublic(%s) = %t, with the policy's addresses: %t", addr, got, i == 1)
			}
		}
	}
	if usual.IsPublic(netip.Addr{}) || said.IsPublic(netip.Addr{}) {
		t.Error("no address is public")
	}
	translator := read(t, "addresses: {internal: [\"64:ff9b::/96\"]}\n")
	if translator.IsPublic(netip.MustParseAddr("64:ff9b::8.8.8.8")) || !translator.IsPublic(netip.MustParseAddr("8.8.8.8")) {
		t.Error("the policy's word on translated addresses")
	}
	all := read(t, "addresses: {internal: [0.0.0.0/0, \"::/0\"]}\n")
	if all.IsPublic(netip.MustParseAddr("8.8.8.8")) || all.IsPublic(netip.MustParseAddr("2606:4700::1")) {
		t.Error("a site that is the whole world")
	}
}

// TestTrustsSomewhere: a scope's own lists and those that it inherits count, by
// name and by digest.
func TestTrustsSomewhere(t *testing.T) {
	digest := "sha256:" + strings.Repeat("5e", 32)
	d, err := image.ParseDigest(digest)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Read(strings.NewReader("version: 1\nsettings: {approved_images: [all.example/*]}\nscopes: {a: {match: {namespaces: [x]}, registries: [\"a.example/*\", \"b.example/c@"+digest+"\"]}}\n"), "f", words())
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]bool{"a.example/x": true, "all.example/x": true, "evil.example/x": false, "b.example/c": false} {
		if p.TrustsSomewhere(image.Parse(ref), nil) != want {
			t.Errorf("%s: %t", ref, !want)
		}
	}
	if !p.TrustsSomewhere(image.Parse("evil.example/x"), []image.Digest{d}) {
		t.Error("a digest is not found")
	}
}
