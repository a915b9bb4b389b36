package sourcetest

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/source"
)

// benchBytes is the size of a benchmark's input: more than a processor's
// caches hold, so that the newline scan reads memory, as it would on a log.
const benchBytes = 64 << 20

// Fill makes an input for Bench: a header, and records until there are enough.
func Fill(header string, record func(n int64) string) []byte {
	b := bytes.NewBuffer(make([]byte, 0, benchBytes+1<<20))
	b.WriteString(header)
	for n := int64(0); b.Len() < benchBytes; n++ {
		b.WriteString(record(n))
	}
	return b.Bytes()
}

// Bench measures a format on an input of lines: the decoder over lines that
// are cut as it goes, and a file from opening to the last event.
//
// Every round looks for the line ends first and works then, on one processor,
// and both are timed in time of this process: what else the machine does counts
// for neither. x-newline is how many times longer the work takes than the look
// for line ends, each by its fastest round; MB/s and events/s are of the
// fastest round too.
func Bench(b *testing.B, f *source.Format, data []byte) {
	b.Run(f.Name+"/decode", func(b *testing.B) {
		var tally source.Tally
		out := &source.Output{Format: f, File: "log", Tally: &tally, Emit: func(event.Event) {}}
		measure(b, data, func() int64 {
			before := tally.Events + tally.Beside
			decodeLines(f.New(out), data)
			return tally.Events + tally.Beside - before
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
		measure(b, data, func() int64 { return readThrough(b, f, path) })
	})
}

func decodeLines(d source.Decoder, data []byte) {
	at := event.Span{Line: 1}
	for rest := data; len(rest) > 0; at.Line++ {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		at.Length = len(line)
		d.Decode(source.Record{Data: line, Span: at})
		at.Offset += int64(len(line)) + 1
	}
	d.Flush()
}

// readThrough reads a file to its end and counts its events.
func readThrough(b *testing.B, f *source.Format, path string) (events int64) {
	in, err := source.Open(path, source.Options{Formats: []*source.Format{f}})
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	for {
		if _, err := in.Next(); err != nil {
			return events
		}
		events++
	}
}

// measure runs work, which gives the number of its events, in rounds with a
// look for line ends.
func measure(b *testing.B, data []byte, work func() int64) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	scanning, working := time.Hour, time.Hour
	var events int64
	var before, after runtime.MemStats
	for b.Loop() {
		begin := processTime(b)
		if countLines(data) == 0 {
			b.Fatal("no lines")
		}
		scanned := processTime(b)
		runtime.ReadMemStats(&before)
		resumed := processTime(b)
		events = work()
		working = min(working, processTime(b)-resumed)
		scanning = min(scanning, scanned-begin)
		runtime.ReadMemStats(&after)
	}
	b.ReportMetric(float64(len(data))/working.Seconds()/1e6, "MB/s")
	b.ReportMetric(float64(events)/working.Seconds(), "events/s")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(max(events, 1)), "allocs/event")
	b.ReportMetric(float64(working)/float64(scanning), "x-newline")
}

// countLines is the least that any reader of lines must do.
func countLines(data []byte) (n int) {
	for i := bytes.IndexByte(data, '\n'); i >= 0; i = bytes.IndexByte(data, '\n') {
		n++
		data = data[i+1:]
	}
	return n
}

// processTime is the time that this process has had of any processor.
func processTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
