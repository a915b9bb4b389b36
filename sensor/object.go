package sensor

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"tidewaiter/event"
)

// Object is something that is there as a whole: a file in a bucket, a message
// of a queue. It is read record by record.
type Object interface {
	// Format is the name of the source.Format that reads its records, Head what
	// stands before them, for Lane.
	Format() string
	Head() string
	// Next gives a record as one line without a line end, valid until the next
	// call, and io.EOF at the end.
	Next() ([]byte, error)
	// Passed is how many records were too long to be read.
	Passed() int64
}

// Opener opens an object, packed or not. It fails with ErrEmpty and ErrUnfit.
type Opener func(io.Reader) (Object, error)

var (
	// ErrUnfit is that an object cannot be read, however often it is tried: its
	// format is not known, or it unpacks to more than is read.
	ErrUnfit = errors.New("it cannot be read")
	// ErrEmpty is that an object holds nothing, which is no fault.
	ErrEmpty = errors.New("it is empty")
)

// atOnce is how many bytes of an object's records are recorded in one call.
const atOnce = 256 << 10

// Take records all of an object. A fault in the middle comes after what was
// before it has been recorded; what is read again then comes twice, which does
// no harm.
func Take(out Recorder, o Object, lane Lane) error {
	var lines []byte
	flush := func() {
		if len(lines) > 0 {
			out.Record(lane, lines)
		}
		lines = lines[:0]
	}
	defer flush()
	for {
		rec, err := o.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		lines = append(append(lines, rec...), '\n')
		if len(lines) >= atOnce {
			flush()
			if cap(lines) > 4*atOnce { // one long record must not be paid for ever after
				lines = nil
			}
		}
	}
}

// MaxLanes bounds the lanes of one sensor: each is a file, and heads and places
// are written by others.
const MaxLanes = 200

// Lanes finds the lanes of one sensor that reads what others have put
// somewhere: records with other heads, or from other places, need other lanes.
// Safe for concurrent use.
type Lanes struct {
	name  string
	place event.Place
	mu    sync.Mutex
	known map[string]bool
}

// NewLanes makes the lanes of a sensor, whose name begins theirs. Its records
// are from a place unless something else is known of them.
func NewLanes(name string, place event.Place) *Lanes {
	return &Lanes{name: name, place: place, known: map[string]bool{}}
}

// Lane is the lane of an object from a place, the sensor's own if that is zero.
// Half of the lanes are for places: what comes from further ones is said to be
// from the sensor's own, as nearly all records tell theirs themselves. It fails
// with ErrUnfit if there are too many heads.
func (l *Lanes) Lane(o Object, at event.Place) (Lane, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at = at.Or(l.place)
	lane, key := l.named(o, at)
	if !l.known[key] && at != l.place && len(l.known) >= MaxLanes/2 {
		lane, key = l.named(o, l.place)
	}
	if !l.known[key] && len(l.known) >= MaxLanes {
		return Lane{}, fmt.Errorf("%w: more than %d different heads", ErrUnfit, MaxLanes/2)
	}
	l.known[key] = true
	return lane, nil
}

func (l *Lanes) named(o Object, at event.Place) (lane Lane, key string) {
	lane = Lane{Name: l.name, Format: o.Format(), Head: o.Head(), Place: at}
	if lane.Head != "" || at != l.place {
		sum := sha256.Sum256([]byte(lane.Head + "\x00" + at.String()))
		lane.Name += "-" + hex.EncodeToString(sum[:4])
	}
	return lane, lane.Format + "@" + lane.Name
}

// Once tells losses, each text once: what others wrote and cannot be read comes
// again and again. Safe for concurrent use.
type Once struct {
	Out  Recorder
	mu   sync.Mutex
	told map[string]bool
}

// maxTold bounds what is remembered.
const maxTold = 1000

// Lost tells of a loss if it was not told lately.
func (o *Once) Lost(count int64, format string, args ...any) {
	text := printable(fmt.Sprintf(format, args...))
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.told[text] {
		return
	}
	if o.told == nil || len(o.told) >= maxTold {
		o.told = map[string]bool{}
	}
	o.told[text] = true
	o.Out.Lost(text, count)
}

// maxText bounds what is told, in bytes.
const maxText = 500

// printable takes out what would end a line, and cuts.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return cmp.Or(strings.TrimSpace(s), "not said")
}
