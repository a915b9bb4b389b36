// Package traffic writes recordings of a busy company, for measuring: hosts on
// which containers come and go, run programs and connect, and in between, where
// asked for, chains that must be found and others that only look like them.
//
// In: how much, and a seed. Out: folders of logs in the forms that the standard
// tools write, and which containers are guilty. The same options give the same
// bytes.
package traffic

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Options say what to write. The zero value of a field means its default.
type Options struct {
	// Hosts is the number of hosts; default 30.
	Hosts int
	// Events is about how many events are written in all; default 300,000.
	Events int
	// Span is the time that they fill; default 8 hours, so that a decoy that is
	// late has room.
	Span time.Duration
	// Chains is how many true chains there are, Decoys how many false ones.
	Chains, Decoys int
	// Late shuffles each file within so long; 0 leaves it in order.
	Late time.Duration
	// Seed makes one recording another.
	Seed uint64
}

func (o Options) withDefaults() Options {
	o.Hosts = cmp.Or(o.Hosts, 30)
	o.Events = cmp.Or(o.Events, 300_000)
	o.Span = cmp.Or(o.Span, 8*time.Hour)
	return o
}

// Truth is what is in a recording.
type Truth struct {
	// Guilty are the ids of the containers of true chains.
	Guilty map[string]bool
	// Events is the number of events written, Bytes their length.
	Events int
	Bytes  int64
}

// Policy is the policy under which exactly the true chains are found: what the
// company runs is from its own registry, and connects within its own networks.
const Policy = `version: 1
learning: 1h
default_scope: company
addresses: {public: [192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24]}
scopes:
  company:
    registries: [registry.corp.example/*]
    approved_destinations: [10.0.0.0/8, 172.16.0.0/12]
`

// start is when every recording begins.
const start = int64(1_793_000_000_000_000_000)

// Write writes a recording into a folder that it makes. An inputs.yaml says
// which file is from which host.
func Write(dir string, o Options) (Truth, error) {
	o = o.withDefaults()
	truth := Truth{Guilty: map[string]bool{}}
	inventory := []byte("inputs:\n")
	for n := range o.Hosts {
		h := newHost(o, n)
		h.fill(&truth)
		name := fmt.Sprintf("host-%03d", n)
		if err := h.write(filepath.Join(dir, name), o, &truth); err != nil {
			return truth, err
		}
		inventory = fmt.Appendf(inventory, "  - {path: \"%s/*\", host: %s}\n", name, name)
	}
	return truth, os.WriteFile(filepath.Join(dir, "inputs.yaml"), inventory, 0o600)
}

// The files of a host.
const (
	dockerFile = iota
	containerdFile
	auditFile
	conntrackFile
	inspectFile
	files
)

var fileNames = [files]string{"docker-events.log", "containerd-events.log", "audit.log", "conntrack.log", "inspect.json"}

// line is one record and when it was written.
type line struct {
	at   int64
	text []byte
}

// host makes the records of one host.
type host struct {
	o      Options
	n      int
	rng    *rand.Rand
	lines  [files][]line
	events int
	pid    int
	serial int
	addr   int
}

func newHost(o Options, n int) *host {
	return &host{o: o, n: n, rng: rand.New(rand.NewPCG(o.Seed, uint64(n))), pid: 2000, serial: 1}
}

func (h *host) add(file int, at int64, text []byte) {
	h.lines[file] = append(h.lines[file], line{at, text})
	h.events++
}

// fill makes the host's share of everything.
func (h *host) fill(truth *Truth) {
	share := func(all int) int {
		each := all / h.o.Hosts
		if h.n < all%h.o.Hosts {
			each++
		}
		return each
	}
	for range share(h.o.Chains) {
		truth.Guilty[h.chain()] = true
	}
	for i := range share(h.o.Decoys) {
		h.decoy((i*h.o.Hosts + h.n) % decoys)
	}
	for want := share(h.o.Events); h.events < want; {
		h.work()
	}
	truth.Events += h.events
}

// when is a random instant that leaves room for what follows.
func (h *host) when() int64 {
	return start + h.rng.Int64N(int64(h.o.Span-45*time.Minute))
}

func (h *host) hex(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(h.rng.UintN(256))
	}
	return hex.EncodeToString(b)
}

// Seconds, in nanoseconds.
const second = int64(time.Second)

// write writes the host's files, each in order of time or shuffled within what
// may come late.
func (h *host) write(dir string, o Options, truth *Truth) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i, lines := range h.lines {
		slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
		if o.Late > 0 {
			for j := range lines {
				lines[j].at += h.rng.Int64N(int64(o.Late))
			}
			slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
		}
		n, err := writeFile(filepath.Join(dir, fileNames[i]), lines)
		if err != nil {
			return err
		}
		truth.Bytes += n
	}
	return nil
}

func writeFile(path string, lines []line) (n int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for _, l := range lines {
		written, err := w.Write(l.text)
		n += int64(written)
		if err != nil {
			return n, errors.Join(err, f.Close())
		}
	}
	return n, errors.Join(w.Flush(), f.Close())
}
