package kubernetes

import (
	"bytes"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// fuzzFormat feeds arbitrary records to a format. It must not panic, and every
// record must end in one event's citation, as skipped, or as unreadable. No
// event may come without a body, or, except what is known of a host, without a
// time.
func fuzzFormat(f *testing.F, format *source.Format, seeds []caseOf) {
	for _, c := range seeds {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		records := [][]byte{data}
		if format.Framing == source.Lines {
			records = bytes.Split(data, []byte{'\n'})
		}
		events, tally := sourcetest.Feed(format, records)
		sourcetest.CheckAccount(t, events, tally)
		for _, e := range events {
			_, timeless := e.Body.(*event.HostDescription)
			if e.Body == nil || e.Time.IsZero() != timeless || !timeless && e.Time.Res < 1 || e.ID == [16]byte{} {
				t.Fatalf("event %+v", e)
			}
			for _, s := range e.Origin.Spans {
				if s.Offset < 0 || s.Offset+int64(s.Length) > int64(len(data)) {
					t.Fatalf("cites %+v of %d bytes", s, len(data))
				}
			}
		}
		sourcetest.Sniff(format, string(data))
	})
}

func FuzzAudit(f *testing.F) {
	seeds := append(podCases(), ephemeralCases()...)
	seeds = append(append(seeds, statusCases()...), accessCases()...)
	seeds = append(append(seeds, workloadCases()...), grantCases()...)
	for _, text := range []string{
		`{"items":[` + aCreation + `,` + aSkip + `]}`,
		`{"logGroup":"/aws/eks/blue/cluster","owner":"1","logEvents":[{"message":` + quoted(aCreation) + `}]}`,
		`{"records":[{"category":"kube-audit","resourceId":"/subscriptions/s/providers/p/managedclusters/b","properties":{"log":` + quoted(aCreation) + `}}]}`,
		entry("io.k8s.core.v1.pods.create", "core/v1/namespaces/prod/pods/web-1", ""),
		"Nov  3 10:00:00 cp-1 apiserver: " + aCreation,
	} {
		seeds = append(seeds, caseOf{text: text})
	}
	fuzzFormat(f, Audit(), seeds)
}

func FuzzEvents(f *testing.F) { fuzzFormat(f, Events(), eventCases()) }

func FuzzKubelet(f *testing.F) { fuzzFormat(f, Kubelet(), kubeletCases()) }
