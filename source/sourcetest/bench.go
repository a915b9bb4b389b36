package sourcetest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/source"
)

// benchBytes is the size of a benchmark's input.
const benchBytes = 32 << 20

// Fill makes an input for Bench: a header, and records until there are enough.
func Fill(header string, record func(n int64) string) []byte {
	b := bytes.NewBufferString(header)
	for n := int64(0); b.Len() < benchBytes; n++ {
		b.WriteString(record(n))
	}
	return b.Bytes()
}

// Bench measures a format on an input of lines: the decoder alone over cut
// records, and a file from opening to the last event. The metric x-newline is
// the time in relation to looking for line ends in the same bytes, in the same
// run.
func Bench(b *testing.B, f *source.Format, data []byte) {
	scan := scanNewlines(b, f.Name, data)
	records := bytes.Split(bytes.TrimSuffix(data, []byte{'\n'}), []byte{'\n'})
	b.Run(f.Name+"/decode", func(b *testing.B) {
		var tally source.Tally
		out := &source.Output{Format: f, Tally: &tally, Emit: func(event.Event) {}}
		measure(b, data, scan, func() {
			decoder := f.New(out)
			for i, r := range records {
				decoder.Decode(source.Record{Data: r, Span: event.Span{Line: i + 1, Length: len(r)}})
			}
			decoder.Flush()
		})
		if tally.Unreadable > 0 || tally.Events == 0 {
			b.Fatalf("%d events, faults %v", tally.Events, tally.Faults)
		}
	})
	b.Run(f.Name+"/file", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "log")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
		measure(b, data, scan, func() { readThrough(b, f, path) })
	})
}

func readThrough(b *testing.B, f *source.Format, path string) {
	in, err := source.Open(path, source.Options{Formats: []*source.Format{f}})
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	for {
		if _, err := in.Next(); err != nil {
			return
		}
	}
}

func measure(b *testing.B, data []byte, scan time.Duration, work func()) {
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		work()
	}
	if scan > 0 {
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(scan), "x-newline")
	}
}

// scanNewlines finds every line end and gives the time of one pass, 0 if the
// sub-benchmark is not selected.
func scanNewlines(b *testing.B, name string, data []byte) time.Duration {
	var pass time.Duration
	b.Run(name+"/newline", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		lines := 0
		for b.Loop() {
			lines = 0
			for rest := data; ; lines++ {
				i := bytes.IndexByte(rest, '\n')
				if i < 0 {
					break
				}
				rest = rest[i+1:]
			}
		}
		if lines == 0 {
			b.Fatal("no lines")
		}
		pass = b.Elapsed() / time.Duration(b.N)
	})
	return pass
}
