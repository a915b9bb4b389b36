package sensor_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/sensortest"
)

// records is an object for tests.
type records struct {
	head  string
	lines []string
	end   error
}

func (r *records) Format() string { return "plain" }
func (r *records) Head() string   { return r.head }
func (r *records) Passed() int64  { return 0 }
func (r *records) Next() ([]byte, error) {
	if len(r.lines) == 0 {
		return nil, r.end
	}
	line := r.lines[0]
	r.lines = r.lines[1:]
	return []byte(line), nil
}

// What came before a fault is recorded, in pieces.
func TestTake(t *testing.T) {
	broken := errors.New("broken")
	for _, end := range []error{io.EOF, broken} {
		out := sensortest.New("")
		lines := slices.Repeat([]string{strings.Repeat("x", 100<<10)}, 7)
		err := sensor.Take(out, &records{lines: slices.Clone(lines), end: end}, sensor.Lane{Name: "a", Format: "plain"})
		if (err == nil) != (end == io.EOF) || !slices.Equal(out.All(), lines) || out.Calls() != 3 {
			t.Errorf("%v: %d lines in %d calls", err, len(out.All()), out.Calls())
		}
	}
}

// Others cannot make a sensor write any number of files, and what comes from
// many places is not refused.
func TestLanes(t *testing.T) {
	own := event.Place{Account: "own"}
	lanes := sensor.NewLanes("s3", own)
	lane := func(head string, at event.Place) sensor.Lane {
		t.Helper()
		l, err := lanes.Lane(&records{head: head}, at)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if l := lane("", event.Place{}); l.Name != "s3" || l.Place != own {
		t.Errorf("%+v", l)
	}
	names := map[string]bool{}
	for i := range 2 * sensor.MaxLanes {
		names[lane("", event.Place{Account: fmt.Sprint(i)}).Name] = true
	}
	if !names["s3"] || len(names) != sensor.MaxLanes/2 {
		t.Errorf("%d lanes of places", len(names))
	}
	for i := range sensor.MaxLanes / 2 {
		lane(fmt.Sprint(i), event.Place{})
	}
	if _, err := lanes.Lane(&records{head: "one more"}, event.Place{}); !errors.Is(err, sensor.ErrUnfit) {
		t.Errorf("%v", err)
	}
	lane("7", event.Place{})
}

func TestOnce(t *testing.T) {
	out := sensortest.New("")
	o := &sensor.Once{Out: out}
	o.Lost(1, "a %q", "\n")
	o.Lost(1, "a %q", "\n")
	o.Lost(-1, "b\r\n%s", strings.Repeat("ü", 1000))
	if l := out.Losses(); len(l) != 2 || l[0] != `1 a "\n"` || len(l[1]) > 520 || strings.ContainsAny(l[1], "\r\n") {
		t.Errorf("%q", l)
	}
}
