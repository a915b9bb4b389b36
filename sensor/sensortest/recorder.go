// Package sensortest takes, in tests, what a sensor gives.
//
// In: a sensor's records. Out: the same, to be looked at or written to files
// that decoders read.
package sensortest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tidewaiter/sensor"
)

// Recorder keeps all that it is given.
type Recorder struct {
	mu     sync.Mutex
	lanes  map[string]*lane
	losses []string
	marks  []string
	resume string
	ready  int
	calls  int
}

type lane struct {
	sensor.Lane
	lines []string
}

// New makes a Recorder whose Resume is a token.
func New(resume string) *Recorder {
	return &Recorder{lanes: map[string]*lane{}, resume: resume}
}

// Record implements sensor.Recorder.
func (r *Recorder) Record(l sensor.Lane, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lanes[l.Name] == nil {
		r.lanes[l.Name] = &lane{Lane: l}
	}
	r.calls++
	r.lanes[l.Name].lines = append(r.lanes[l.Name].lines, strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")...)
}

// Ready implements sensor.Recorder.
func (r *Recorder) Ready() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ready++
}

// Lost implements sensor.Recorder.
func (r *Recorder) Lost(reason string, count int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.losses = append(r.losses, fmt.Sprintf("%d %s", count, reason))
}

// Mark implements sensor.Recorder.
func (r *Recorder) Mark(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks = append(r.marks, token)
	r.resume = token
}

// Resume implements sensor.Recorder.
func (r *Recorder) Resume() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resume
}

// Lines are those of a lane so far.
func (r *Recorder) Lines(lane string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.lanes[lane]; l != nil {
		return append([]string(nil), l.lines...)
	}
	return nil
}

// Losses are what was told so far, as "count reason".
func (r *Recorder) Losses() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.losses...)
}

// Readies is how often the sensor said that it is ready.
func (r *Recorder) Readies() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// Calls is how often something was recorded.
func (r *Recorder) Calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// Write puts each lane into a file of a folder, and gives the format that each
// file is to be read as.
func (r *Recorder) Write(t testing.TB, dir string) map[string]string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	formats := map[string]string{}
	for name, l := range r.lanes {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(l.Head+strings.Join(l.lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		formats[file] = l.Format
	}
	return formats
}

// Until waits until something is so, and fails the test after ten seconds.
func (r *Recorder) Until(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if so() {
			return
		}
	}
	t.Fatalf("not within ten seconds: %s; losses %q", what, r.Losses())
}

// All are the lines of all lanes so far, lane by lane.
func (r *Recorder) All() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(r.lanes)) {
		all = append(all, r.lanes[name].lines...)
	}
	return all
}

// Lanes are those that something was recorded in, by name.
func (r *Recorder) Lanes() []sensor.Lane {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []sensor.Lane
	for _, name := range slices.Sorted(maps.Keys(r.lanes)) {
		all = append(all, r.lanes[name].Lane)
	}
	return all
}
