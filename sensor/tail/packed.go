package tail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"tidewaiter/event"
	"tidewaiter/sensor"
)

// MaxPacked bounds the packed files that are remembered; while there are more,
// the rest is not read.
const MaxPacked = 20_000

// packed are the files that appear whole and packed, as rotation leaves them or
// tools that copy a bucket. What was read is known by what the file is, not by
// its name: rotation renames.
type packed struct {
	w     *watching
	lanes *sensor.Lanes
	files map[string]*packedFile // by path
	read  map[position]time.Time // and when they were listed last
	one   chan packedResult      // what the one that is being read came to
	busy  bool
}

// packedFile is what a path names.
type packedFile struct {
	at     position
	since  time.Time // unchanged
	failed bool      // it cannot be read as it is
	listed time.Time
}

type packedResult struct {
	path string
	at   position
	err  error
}

func newPacked(w *watching) *packed {
	p := &packed{w: w, lanes: sensor.NewLanes(w.opt.Name, w.opt.Place), files: map[string]*packedFile{}, read: map[position]time.Time{}, one: make(chan packedResult, 1)}
	for path, at := range w.kept {
		if at.Changed != 0 {
			p.read[at] = time.Time{}
			delete(w.kept, path)
		}
	}
	return p
}

// listed reports whether a path names a packed file, and looks what it is now.
func (p *packed) listed(path string, now time.Time) bool {
	if p.w.opt.Open == nil {
		return false
	}
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	at := positionOf(info)
	at.Size, at.Changed = info.Size(), info.ModTime().UnixNano()
	f := p.files[path]
	if f == nil && (!info.Mode().IsRegular() || !isPacked(path)) {
		return false
	}
	if f == nil || f.at != at {
		if f != nil && !isPacked(path) {
			delete(p.files, path)
			return false
		}
		f = &packedFile{at: at, since: now}
		p.files[path] = f
	}
	f.listed = now
	if _, known := p.read[at]; known {
		p.read[at] = now
	}
	return true
}

// isPacked knows gzip and Zstandard by their first bytes.
func isPacked(path string) bool {
	f, err := open(path)
	if err != nil {
		return false
	}
	defer f.file.Close()
	magic := make([]byte, 4)
	n, err := io.ReadFull(f.file, magic)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	magic = magic[:n]
	return bytes.HasPrefix(magic, []byte{0x1f, 0x8b}) || bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd})
}

// step takes what was read, and begins with the next. One at a time is read,
// beside the files that are followed.
func (p *packed) step(ctx context.Context, now time.Time) {
	select {
	case r := <-p.one:
		p.busy = false
		p.done(ctx, r, now)
	default:
	}
	if p.busy || ctx.Err() != nil {
		return
	}
	p.forget()
	for path, f := range p.files {
		_, known := p.read[f.at]
		switch {
		case known || f.failed || now.Sub(f.since) < p.w.opt.Still:
		case len(p.read) >= MaxPacked:
			p.w.fault(path, fmt.Errorf("more than %d packed files; the rest is not read", MaxPacked))
		default:
			p.busy = true
			go func() { p.one <- packedResult{path, f.at, p.take(ctx, path)} }()
			return
		}
	}
}

// forget lets go of what is not there any more.
func (p *packed) forget() {
	for path, f := range p.files {
		if f.listed.Before(p.w.listed) {
			delete(p.files, path)
		}
	}
	if len(p.read) < MaxPacked {
		return
	}
	for at, listed := range p.read {
		if listed.Before(p.w.listed) {
			delete(p.read, at)
		}
	}
}

// done notes what reading came to. What cannot be read is not tried again until
// it changes.
func (p *packed) done(ctx context.Context, r packedResult, now time.Time) {
	switch f := p.files[r.path]; {
	case r.err == nil:
		p.read[r.at] = now
		p.w.moved = true
	case ctx.Err() != nil:
	case f != nil && f.at == r.at:
		f.failed = true
		p.w.fault(r.path, r.err)
	}
}

// take records a file.
func (p *packed) take(ctx context.Context, path string) error {
	f, err := open(path)
	if err != nil {
		return err
	}
	defer f.file.Close()
	o, err := p.w.opt.Open(ended{ctx, f.file})
	if errors.Is(err, sensor.ErrEmpty) {
		return nil
	}
	if err != nil {
		return err
	}
	lane, err := p.lanes.Lane(o, event.Place{})
	if err != nil {
		return err
	}
	err = sensor.Take(p.w.out, o, lane)
	if n := o.Passed(); n > 0 {
		p.w.out.Lost(path+": records that are too long", n)
	}
	return err
}

// end waits for the one that is being read, so that it is not read again after
// a restart if it came to its end.
func (p *packed) end(ctx context.Context) {
	if p.busy {
		p.busy = false
		p.done(ctx, <-p.one, time.Now())
		p.w.mark()
	}
}

// mark adds what was read to where to go on.
func (p *packed) mark(at map[string]position) {
	for f := range p.read {
		at[fmt.Sprintf("packed %d %d %d", f.Dev, f.Ino, f.Changed)] = f
	}
}

// ended ends reading when a context does.
type ended struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (e ended) Read(b []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.r.Read(b)
}
