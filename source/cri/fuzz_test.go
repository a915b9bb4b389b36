package cri

import (
	"bytes"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// fuzzFormat feeds arbitrary records to a format. It must not panic, and every
// record must end in one event's citation, as skipped, or as unreadable. No
// event may come without a body, or, except for descriptions, without a time.
func fuzzFormat(f *testing.F, format *source.Format, cases ...oneCase) {
	for _, c := range cases {
		f.Add([]byte(c.line()))
	}
	f.Add([]byte("May  4 08:09:10 n containerd[1]: " + info(`PullImage "a"`)))
	f.Add([]byte(`{"level":"info","msg":"x","time":"` + stamp + `"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, tally := sourcetest.Feed(format, bytes.Split(data, []byte{'\n'}))
		sourcetest.CheckAccount(t, events, tally)
		for _, e := range events {
			_, timeless := e.Body.(*event.ImageDescription)
			if e.Body == nil || e.Time.IsZero() != timeless || e.ID == [16]byte{} || e.RecordTime() == 0 && e.Time.Res < 1 {
				t.Fatalf("event %+v", e)
			}
		}
		sourcetest.Sniff(format, string(data))
	})
}

func FuzzContainerdLog(f *testing.F) {
	fuzzFormat(f, ContainerdLog(), append(append(append(imageCases(), sandboxCases()...), containerCases()...), exitCases()...)...)
}

func FuzzCRIOLog(f *testing.F) { fuzzFormat(f, CRIOLog(), crioCases()...) }
