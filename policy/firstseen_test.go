package policy_test

import (
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/policy"
)

func TestKnownAs(t *testing.T) {
	for text, want := range map[string][3]string{
		"version: 1\n": {"203.0.113.77", "2001:db8:1:2::3", "name.example"},
		"version: 1\nfirst_seen: {ipv4: 24, ipv6: 48}\n": {"203.0.113.0/24", "2001:db8:1::/48", "name.example"},
		"version: 1\nfirst_seen: {ipv4: 32}\n":           {"203.0.113.77", "2001:db8:1:2::3", "name.example"},
		"version: 1\nfirst_seen: {asn: false}\n":         {"203.0.113.77", "2001:db8:1:2::3", "name.example"},
	} {
		p, err := policy.Read(strings.NewReader(text), "test", &policy.Vocabulary{})
		if err != nil {
			t.Fatal(err)
		}
		for i, host := range []string{"203.0.113.77", "2001:db8:1:2::3", "name.example"} {
			addr, _ := netip.ParseAddr(host) // invalid for a name
			if got := p.KnownAs(host, addr); got != want[i] {
				t.Errorf("%q: %s is known as %s, want %s", text, host, got, want[i])
			}
		}
		if got := p.KnownAs("::ffff:203.0.113.77", netip.MustParseAddr("::ffff:203.0.113.77")); strings.Contains(text, "24") && got != want[0] {
			t.Errorf("%q: an IPv4 address in IPv6 clothes is known as %s", text, got)
		}
	}
	for text, want := range map[string]string{
		"first_seen: {ipv4: 33}":   "first_seen.ipv4: want the bits of a network, 1 to 32",
		"first_seen: {ipv6: 0}":    "first_seen.ipv6: want the bits",
		"first_seen: {ipv6: 47.5}": "first_seen.ipv6: want the bits",
		"first_seen: {asn: true}":  "needs a database of autonomous systems",
		"first_seen: {ip4: 24}":    "ipv4",
		"first_seen: 24":           "first_seen",
	} {
		if _, err := policy.Read(strings.NewReader("version: 1\n"+text+"\n"), "test", &policy.Vocabulary{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// A list of the principals of one cloud says nothing of another's.
func TestConcerns(t *testing.T) {
	for list, want := range map[string][3]bool{
		`["arn:aws:iam::1:role/packer"]`:           {true, false, false},
		`["factory@corp.iam.gserviceaccount.com"]`: {false, true, false},
		`["*packer*"]`: {true, true, true},
		`[]`:           {},
		`["1abaf91f-77ef-48ce-b92d-958cd86e46de"]`: {false, false, true},
	} {
		lib, err := analytic.Load(detections.Files())
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Read(strings.NewReader("version: 1\nsettings: {image_factories: "+list+"}\n"), "test", lib.Vocabulary())
		if err != nil {
			t.Fatal(err)
		}
		v := p.For(policy.Attributes{}).Setting("", "image_factories")
		for i, who := range []string{"arn:aws:iam::2:user/eve", "eve@corp.example", "9c2f0d11-0000-4000-8000-000000000000"} {
			if v.Concerns(who) != want[i] {
				t.Errorf("%s concerns %s: %v", list, who, !want[i])
			}
		}
		if v.Concerns("") {
			t.Errorf("%s concerns nobody at all", list)
		}
	}
}
