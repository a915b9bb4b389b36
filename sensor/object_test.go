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

// Others cannot make a sensor write any number of files.
func TestLanes(t *testing.T) {
	lanes := sensor.NewLanes("s3")
	plain, err := lanes.Lane(&records{}, event.Place{})
	if err != nil || plain.Name != "s3" {
		t.Errorf("%+v, %v", plain, err)
	}
	for i := range sensor.MaxLanes - 1 {
		if _, err := lanes.Lane(&records{head: fmt.Sprint(i)}, event.Place{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := lanes.Lane(&records{head: "one more"}, event.Place{}); !errors.Is(err, sensor.ErrUnfit) {
		t.Errorf("%v", err)
	}
	if _, err := lanes.Lane(&records{head: "7"}, event.Place{}); err != nil {
		t.Error(err)
	}
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
