package traffic_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/policy"
	"tidewaiter/source"
	"tidewaiter/traffic"
)

// BenchmarkHunt takes a busy company's recording apart in the three ways that
// cost: looking for line ends, decoding, and the whole hunt. One iteration does
// all three, so that their ratios hold on a shared machine.
func BenchmarkHunt(b *testing.B) {
	dir := b.TempDir()
	truth, err := traffic.Write(dir, traffic.Options{Hosts: 10, Events: 60_000, Chains: 20, Decoys: 40, Late: 10 * time.Second, Seed: 4})
	if err != nil {
		b.Fatal(err)
	}
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		b.Fatal(err)
	}
	pol, err := policy.Read(strings.NewReader(traffic.Policy), "policy", lib.Vocabulary())
	if err != nil {
		b.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(truth.Bytes)
	b.ReportAllocs()
	var scan, decode, hunt time.Duration
	for b.Loop() {
		before := cpu(b)
		scanLines(b, files)
		scanned := cpu(b)
		decodeFiles(b, files)
		decoded := cpu(b)
		r, err := app.Hunt(app.HuntOptions{Paths: []string{dir}, Library: lib, Policy: pol, Now: time.Unix(1_793_100_000, 0)})
		if err != nil {
			b.Fatal(err)
		}
		hunted := cpu(b)
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
		scan, decode, hunt = scan+scanned-before, decode+decoded-scanned, hunt+hunted-decoded
	}
	b.ReportMetric(float64(truth.Events*b.N)/hunt.Seconds(), "events/cpu-s")
	b.ReportMetric(float64(truth.Bytes)*float64(b.N)/1e6/hunt.Seconds(), "MB/cpu-s")
	b.ReportMetric(float64(decode)/float64(scan), "decode/scan")
	b.ReportMetric(float64(hunt)/float64(decode), "hunt/decode")
}

func scanLines(b *testing.B, files []string) {
	b.Helper()
	buf := make([]byte, 256<<10)
	lines := 0
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		for {
			n, err := f.Read(buf)
			lines += bytes.Count(buf[:n], []byte{'\n'})
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	if lines == 0 {
		b.Fatal("no lines")
	}
}

func decodeFiles(b *testing.B, files []string) {
	b.Helper()
	for _, path := range files {
		in, err := source.Open(path, source.Options{Formats: app.Formats(), Place: event.Place{Host: "h"}, Name: path})
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := in.Next(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		if err := in.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
