package analytic

import (
	"testing"

	"tidewaiter/policy"
)

func TestThePlaceThatAURLNames(t *testing.T) {
	p := policy.Empty(&policy.Vocabulary{})
	for url, want := range map[string]string{
		"http://203.0.113.8/%zz":              "203.0.113.8",
		"https://user:pw@Evil.example:8443?a": "evil.example:8443",
		"http://[2001:db8::1]:80/x":           "[2001:db8::1]:80",
		"gs://bucket/start.sh":                "bucket",
		"/var/lib/a":                          "",
	} {
		if got := endpointOf(p, url).Text; got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
}
