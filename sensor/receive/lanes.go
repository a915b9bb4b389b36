package receive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"tidewaiter/event"
	"tidewaiter/sensor"
)

// lanes are those that were given so far: each is a file of the journal, so
// their number is bounded. Safe for concurrent use.
type lanes struct {
	mu    sync.Mutex
	given map[laneKey]sensor.Lane
}

type laneKey struct {
	format string
	place  event.Place
}

func newLanes() *lanes { return &lanes{given: map[laneKey]sensor.Lane{}} }

// of is the lane of a format's records from a place.
func (l *lanes) of(format string, at event.Place) (sensor.Lane, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := laneKey{format, at}
	if lane, ok := l.given[key]; ok {
		return lane, nil
	}
	if len(l.given) == MaxLanes {
		return sensor.Lane{}, errLanes
	}
	lane := sensor.Lane{Name: laneName(format, at), Format: format, Place: at}
	l.given[key] = lane
	return lane, nil
}

// laneName is a file's name that people recognise and that no two formats and
// places share.
func laneName(format string, at event.Place) string {
	if at.IsZero() {
		return "received-" + format
	}
	clean := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return '-'
	}, at.String())
	h := sha256.New()
	for _, part := range []string{format, at.Tenant, at.Account, at.Region, at.Cluster, at.Host, at.Network} {
		h.Write(append([]byte(part), 0)) // no part holds a zero byte
	}
	if len(clean) > 60 {
		clean = clean[len(clean)-60:]
	}
	return "received-" + strings.Trim(clean, "-") + "-" + hex.EncodeToString(h.Sum(nil)[:6])
}

// maxName is the longest name of a place: that of a DNS name.
const maxName = 253

// isName reports whether a text can be part of a place.
func isName(s string) bool {
	return len(s) <= maxName && utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool {
		return !unicode.IsPrint(c) || strings.ContainsRune(`*?[]{}\/`, c)
	})
}

// namesPlace reports whether all parts of a place can be that.
func namesPlace(at event.Place) bool {
	for _, part := range []string{at.Tenant, at.Account, at.Region, at.Cluster, at.Host, at.Network} {
		if !isName(part) {
			return false
		}
	}
	return true
}

// batch is what one request gives, by lane, until all of it was read.
type batch struct {
	r     *receiver
	lines map[laneKey]*bytes.Buffer
	lanes map[laneKey]sensor.Lane
	order []laneKey // as they came
}

func (r *receiver) newBatch() *batch {
	return &batch{r: r, lines: map[laneKey]*bytes.Buffer{}, lanes: map[laneKey]sensor.Lane{}}
}

// into is where the lines of a lane are put.
func (b *batch) into(format string, at event.Place) (*bytes.Buffer, error) {
	key := laneKey{format, at}
	if lines := b.lines[key]; lines != nil {
		return lines, nil
	}
	lane, err := b.r.lanes.of(format, at)
	if err != nil {
		return nil, err
	}
	b.lines[key], b.lanes[key] = new(bytes.Buffer), lane
	b.order = append(b.order, key)
	return b.lines[key], nil
}

// record gives all of it to the journal.
func (b *batch) record() {
	for _, key := range b.order {
		if lines := b.lines[key]; lines.Len() > 0 {
			lane := b.lanes[key]
			lane.Head = head(lines.Bytes())
			b.r.out.Record(lane, lines.Bytes())
		}
	}
}

// maxHead bounds what stands before a text's records.
const maxHead = 16 << 10

// head are the lines at a text's beginning that say how the others are read:
// the next file of the journal needs them, too.
func head(text []byte) string {
	n := 0
	for line := range bytes.Lines(text) {
		if line[0] != '#' || n+len(line) > maxHead {
			break
		}
		n += len(line)
	}
	return string(text[:n])
}
