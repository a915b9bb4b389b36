package kubernetes

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"tidewaiter/event"
	"tidewaiter/source"
)

// linePrefix is what a log daemon or a runtime wrote before a line.
type linePrefix struct {
	at      event.Time  // when it has a year and an offset
	local   source.Wall // when it has neither
	host    string
	program string // without its process id
}

func (p linePrefix) none() bool { return p.at.IsZero() && p.local.Month == 0 }

// ofKubelet reports whether a program's lines are the kubelet's, or its
// starter's about it.
func ofKubelet(program string) bool {
	switch program {
	case "kubelet", "kubenswrapper", "hyperkube", "k3s", "rke2", "microk8s.daemon-kubelite", "systemd":
		return true
	}
	return false
}

// cutLinePrefix takes off the prefixes that are known:
//
//	Nov 03 10:00:00.123456 HOST PROGRAM[PID]:
//	2026-11-03T10:00:00+00:00 HOST PROGRAM[PID]:
//	Tue 2026-11-03 10:00:00 UTC HOST PROGRAM[PID]:
//	2026-11-03T10:00:00.123456789Z stderr F
func cutLinePrefix(line []byte) (linePrefix, []byte) {
	if bare(line) {
		return linePrefix{}, line
	}
	var p linePrefix
	head := string(line[:min(len(line), 256)])
	var room [5]string // no prefix has more words that tell it
	words := room[:0]
	for word := range strings.FieldsSeq(head) {
		if words = append(words, word); len(words) == len(room) {
			break
		}
	}
	used := 0
	switch {
	case len(words) > 3 && len(words[0]) == 3:
		if at, ok := journalTime(words[1:4]); ok {
			p.at, used = at, 4
		} else if m, ok := source.ParseWall(strings.Join(words[:3], " ")); ok {
			p.local, used = m, 3
		}
	case len(words) > 1:
		if at, ok := isoTime(words[0]); ok {
			p.at, used = at, 1
		}
	}
	if used == 0 {
		return linePrefix{}, line
	}
	rest := line
	next := func() string {
		rest = bytes.TrimLeft(rest, " ")
		word, after, _ := bytes.Cut(rest, []byte{' '})
		rest = after
		return string(word)
	}
	for range used {
		next()
	}
	if bare(rest) {
		return p, rest
	}
	first, second := next(), next()
	if first == "stdout" || first == "stderr" {
		return p, rest // the second word is the runtime's tag F or P
	}
	p.host = first
	p.program, _, _ = strings.Cut(strings.TrimSuffix(second, ":"), "[")
	return p, bytes.TrimLeft(rest, " ")
}

// bare reports whether a line begins as the kubelet itself began it.
func bare(line []byte) bool {
	if len(line) > 0 && line[0] == '{' {
		return true
	}
	_, _, ok := cutKlogHeader(line)
	return ok
}

// isoTime reads a time with offset; journald prints the offset without a colon.
func isoTime(s string) (event.Time, bool) {
	if len(s) < 20 || s[4] != '-' {
		return event.Time{}, false
	}
	if n := len(s); (s[n-5] == '+' || s[n-5] == '-') && !strings.Contains(s[n-5:], ":") {
		s = s[:n-2] + ":" + s[n-2:]
	}
	at, err := event.ParseRFC3339(s)
	return at, err == nil
}

// journalTime reads "2026-11-03 10:00:00 UTC". Other names of zones mean
// several offsets and are not read.
func journalTime(words []string) (event.Time, bool) {
	if words[2] != "UTC" || len(words[0]) != 10 {
		return event.Time{}, false
	}
	at, err := event.ParseRFC3339(words[0] + "T" + words[1] + "Z")
	return at, err == nil
}

// cutKlogHeader takes off klog's header, Lmmdd hh:mm:ss.uuuuuu threadid
// file:line] (k8s.io/klog), and gives when it says that it was written.
func cutKlogHeader(line []byte) (source.Wall, []byte, bool) {
	const length = len("I1103 10:00:00.123456")
	if len(line) < length || !strings.ContainsRune("IWEF", rune(line[0])) || line[5] != ' ' || line[8] != ':' || line[11] != ':' || line[14] != '.' {
		return source.Wall{}, nil, false
	}
	var n [6]int // month, day, hour, minute, second, microsecond
	for i, at := range [6][2]int{{1, 3}, {3, 5}, {6, 8}, {9, 11}, {12, 14}, {15, 21}} {
		for _, c := range line[at[0]:at[1]] {
			if c < '0' || c > '9' {
				return source.Wall{}, nil, false
			}
			n[i] = n[i]*10 + int(c-'0')
		}
	}
	if n[0] < 1 || n[0] > 12 || n[1] < 1 || n[1] > 31 || n[2] > 23 || n[3] > 59 || n[4] > 60 {
		return source.Wall{}, nil, false
	}
	_, message, ok := bytes.Cut(line[length:], []byte("] "))
	if !ok {
		return source.Wall{}, nil, false
	}
	clock := time.Duration(n[2])*time.Hour + time.Duration(n[3])*time.Minute + time.Duration(n[4])*time.Second + time.Duration(n[5])*time.Microsecond
	return source.Wall{Month: time.Month(n[0]), Day: n[1], SinceMidnight: clock, Res: event.Microsecond}, message, true
}

// klogClock tells when lines were written. klog prints neither year nor zone:
// both come from the line's prefix, or from earlier lines of the same input;
// else they are what Output.Date takes them for.
type klogClock struct {
	out *source.Output
	// lo and hi bound the times that lines can have: within half a year of a
	// line that told its time in full, or what the journal's header says.
	lo, hi int64
	// journal is set when prefixes are in UTC, as the header prints its times.
	journal bool
	// zone is how far klog's clock is ahead of UTC, once a line told both.
	zone      time.Duration
	zoneKnown bool
}

const (
	halfYear = 182 * 24 * int64(time.Hour)
	day      = 24 * int64(time.Hour)
	// zones lie a multiple of a quarter of an hour apart.
	zoneStep = 15 * time.Minute
	// written is how long a line may take from the kubelet to the journal.
	written = 5 * time.Second
)

// read gives a line's time. h is zero for a line without a klog header.
func (c *klogClock) read(p linePrefix, h source.Wall) (event.Time, error) {
	if p.at.IsZero() && p.local.Month != 0 && c.journal {
		p.at = c.place(p.local, 0)
	}
	if !p.at.IsZero() {
		at := c.refine(p.at, h)
		if !c.journal {
			c.lo, c.hi = at.At-halfYear, at.At+halfYear
		}
		return at, nil
	}
	if h.Month != 0 && c.zoneKnown {
		if at := c.place(h, c.zone); !at.IsZero() {
			return at, nil
		}
	}
	w := h
	if w.Month == 0 {
		w = p.local
	}
	if at, ok := c.out.Date(w); ok {
		return at, nil
	}
	return event.Time{}, errNoYear
}

// refine takes the finer time of klog's header where that is the same moment
// as the prefix's, in whatever zone.
func (c *klogClock) refine(at event.Time, h source.Wall) event.Time {
	if h.Month == 0 {
		return at
	}
	fine, ok := h.In(at.UTC().Year(), 0)
	if !ok {
		return at
	}
	ahead := time.Duration(fine.At - at.At)
	zone := ahead.Round(zoneStep)
	if off := ahead - zone; off > written || off < -written {
		return at
	}
	if zone < -14*time.Hour || zone > 14*time.Hour {
		return event.Time{At: fine.At - int64(zone), Res: fine.Res} // New Year lies between
	}
	c.zone, c.zoneKnown = zone, true
	return event.Time{At: fine.At - int64(zone), Res: fine.Res}
}

// place finds the one year that puts a moment between the bounds; zero if none
// or several do.
func (c *klogClock) place(m source.Wall, zone time.Duration) event.Time {
	var found event.Time
	for year := event.Unix(c.lo).Year() - 1; year <= event.Unix(c.hi).Year()+1; year++ {
		at, ok := m.In(year, zone)
		if !ok || at.At < c.lo || at.At > c.hi {
			continue
		}
		if !found.IsZero() {
			return event.Time{}
		}
		found = at
	}
	return found
}

// header reads the journal's line about itself, in both of its wordings, and
// the marks of a reboot:
//
//	-- Logs begin at Tue 2026-11-03 09:00:00 UTC, end at Tue 2026-11-03 11:00:00 UTC. --
//	-- Journal begins at Tue 2026-11-03 09:00:00 UTC, ends at Tue 2026-11-03 11:00:00 UTC. --
func (c *klogClock) header(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("-- ")) || !bytes.HasSuffix(line, []byte("--")) {
		return false
	}
	var times []event.Time
	words := strings.Fields(strings.NewReplacer(",", " ", ". ", " ").Replace(string(line[:min(len(line), 256)])))
	for i := 0; i+3 <= len(words); i++ {
		if at, ok := journalTime(words[i : i+3]); ok {
			times = append(times, at)
		}
	}
	if len(times) == 2 {
		slices.SortFunc(times, event.Time.Compare)
		c.lo, c.hi, c.journal = times[0].At-day, times[1].At+day, true
	}
	return true
}
