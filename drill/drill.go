// Package drill performs the harmless real form of a chain on this host, while
// the daemon watches, and tells which of its legs were seen, by whom and how
// soon. The chain is real: an image of its own arrives at the Docker Engine, is
// built upon, and runs; its program copies itself, runs the copy and calls an
// address. The harm is not: nobody has the address, and what is sent to it ends
// in an interface of the drill's own. Everything is removed at the end.
//
// In: the engine's socket, and what the daemon has found. Out: a report by leg.
package drill

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"tidewaiter/analytic"
)

// Defaults of Options.
const (
	DefaultHost = "unix:///var/run/docker.sock"
	DefaultWait = 15 * time.Second
)

// ErrCannot is wrapped by errors that say that a drill cannot be done here as
// things are.
var ErrCannot = errors.New("the drill cannot be done here")

// Findings are what the daemon has found.
type Findings interface {
	// Changed gives each finding that was written since a time, as OCSF, with
	// when it was written.
	Changed(since time.Time, do func(json []byte, updated time.Time) error) error
}

// Options say what is performed, and where.
type Options struct {
	// Analytic is rehearsed. It must have a drill.
	Analytic analytic.DetectionInfo
	// Host is the engine's address; DefaultHost if empty. It must be a socket of
	// this host.
	Host string
	// Findings must be the running daemon's.
	Findings Findings
	// Wait is how long is waited for legs after the container has ended;
	// DefaultWait if 0.
	Wait time.Duration
	// Keep leaves container and images.
	Keep bool
	// Say is told what is done; nil for nobody.
	Say func(string)
}

// cleanTime bounds the removing of what a drill has made.
const cleanTime = time.Minute

// Perform performs a drill. It fails, with ErrCannot if nothing was begun, if
// the chain could not be performed; a leg that was not seen is no failure. What
// could not be removed is told by the error, beside a report.
func Perform(ctx context.Context, o Options) (report *Report, err error) {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	if o.Host == "" {
		o.Host = DefaultHost
	}
	if o.Wait == 0 {
		o.Wait = DefaultWait
	}
	program, err := payload()
	if err != nil {
		return nil, err
	}
	e, err := connect(ctx, o.Host)
	if err != nil {
		return nil, err
	}
	defer e.close()
	hole, err := openNowhere(e.netns)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, hole.Close()) }()
	if err := e.sweep(ctx); err != nil {
		return nil, fmt.Errorf("%w: what an earlier drill left cannot be removed: %w", ErrCannot, err)
	}
	defer func() {
		o.Say("removing what the drill has made")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
		defer cancel()
		err = errors.Join(err, e.sweep(ctx))
	}()
	s := &stage{o: o, e: e, hole: hole, program: program, id: newID(), label: mark}
	if o.Keep {
		s.label = kept
	}
	return s.perform(ctx)
}

// newID makes a name that no image had before.
func newID() string {
	var b [4]byte
	rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// stage is one performance.
type stage struct {
	o       Options
	e       *dockerEngine
	hole    *nowhere
	program []byte
	id      string
	label   string
	network string // its name
	image   string // what is run
}

// Drills' images are named below repository, and are never pushed. The last part
// imitates a well-known name: an image that merely was loaded is worth no finding,
// one that also does this is, so that each leg can be told when it happens and not
// only if those that are suspicious are seen, too.
const (
	repository = "tidewaiter-drill/"
	imitation  = "/ngnix"
)

func (s *stage) perform(ctx context.Context) (*Report, error) {
	begin := time.Now()
	name := repository + fileName(s.o.Analytic.ID) + imitation
	s.network = "tidewaiter-drill-" + s.id
	if err := s.connectNowhere(ctx); err != nil {
		return nil, err
	}
	s.image = name + ":" + s.id
	loaded := s.image
	if s.o.Analytic.Drill == analytic.DrillBuild {
		loaded = name + "-base:" + s.id
	}
	s.o.Say("loading the image " + loaded)
	made, err := archive(picture{Reference: loaded, Program: s.program, Label: s.label, ID: s.id})
	if err != nil {
		return nil, err
	}
	if err := s.e.load(ctx, made); err != nil {
		return nil, err
	}
	if s.o.Analytic.Drill == analytic.DrillBuild {
		s.o.Say("building the image " + s.image)
		if err := s.e.build(ctx, s.image, loaded, s.network); err != nil {
			return nil, err
		}
	}
	created := time.Now()
	container, err := s.e.create(ctx, s.image, s.network, s.id, s.label)
	if err != nil {
		return nil, err
	}
	s.o.Say("starting the container " + container[:min(12, len(container))])
	if err := s.e.start(ctx, container); err != nil {
		return nil, err
	}
	w := newWatch(s.o, container, begin, created)
	if err := w.until(ctx, s.e.ended(ctx, container)); err != nil {
		return nil, err
	}
	r := w.report()
	r.Drill, r.Image, r.Container, r.Kept = s.id, s.image, container, s.o.Keep
	if r.Swallowed = s.hole.Swallowed(); r.Swallowed == 0 {
		r.Notes = append(r.Notes, "nothing that was sent to "+target.String()+" left the container's network: does this host's packet filter keep containers from calling out?")
	}
	return r, nil
}

// connectNowhere makes the drill's network, and proves that what is sent from
// it to the drill's address goes nowhere.
func (s *stage) connectNowhere(ctx context.Context) error {
	bridge, from, err := s.e.makeNetwork(ctx, s.network)
	if err != nil {
		return err
	}
	return s.hole.Catches(bridge, from)
}

// fileName is an id as the name of an image may be written.
func fileName(id string) string {
	out := []byte(id)
	for i, c := range out {
		switch {
		case c >= 'A' && c <= 'Z':
			out[i] = c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		default:
			out[i] = '-'
		}
	}
	return string(out)
}
