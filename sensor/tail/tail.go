// Package tail follows log files as they grow, over rotation, truncation and
// restarts, so that every format that can be hunted through can be watched.
//
// In: files that grow, named by patterns. Out: their lines, as they stand.
//
// No kept library goes on where it was by a file's identity, also if the file
// was renamed while nobody watched; so this is our own.
package tail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"tidewaiter/event"
	"tidewaiter/sensor"
)

// Options say what to follow.
type Options struct {
	// Name tells several of them apart; "files" if empty.
	Name string
	// Patterns are the files' paths; *, ?, [] and ** match as in shells.
	Patterns []string
	// Format gives the format of a file by its first bytes, "" if it cannot be
	// told (yet).
	Format func(head []byte) string
	// Whole gives, by a format's name, how much of some lines can be given
	// without parting records that belong together; what it holds back is given
	// with what follows, or when nothing follows. nil holds nothing back.
	Whole func(format string, lines []byte) int
	// Open opens files that are packed: they are not followed, but read as a
	// whole once nothing has changed them for a while. nil passes over them.
	Open sensor.Opener
	// Place is where the files' records are from, if not from this host.
	Place event.Place
	// Every is how often files are looked at; 100 ms if 0.
	Every time.Duration
	// Still is how long a packed file must not have changed; 2 s if 0.
	Still time.Duration
}

const (
	// MaxFiles bounds the files that are followed at once.
	MaxFiles = 1000
	// maxLine bounds a line, in bytes; a longer one is passed over.
	maxLine = 16 << 20
	// atOnce is how much is read of a file before others have their turn.
	atOnce = 1 << 20
	// headSize is how much of a file tells its format.
	headSize = 64 << 10
	// listEvery is how often is looked for new files.
	listEvery = time.Second
	// quiet is how long nothing must have come of a file that was renamed
	// before it is let go.
	quiet = time.Second
	// together is how long after a record those that belong to it follow at the
	// latest.
	together = 200 * time.Millisecond
)

// Sensor follows files.
type Sensor struct{ opt Options }

// New makes a sensor. It fails on a pattern that is none.
func New(opt Options) (*Sensor, error) {
	if opt.Name == "" {
		opt.Name = "files"
	}
	if opt.Every == 0 {
		opt.Every = 100 * time.Millisecond
	}
	if opt.Still == 0 {
		opt.Still = 2 * time.Second
	}
	for _, p := range opt.Patterns {
		if !filepath.IsAbs(p) || !doublestar.ValidatePattern(p) {
			return nil, fmt.Errorf("%q is no pattern of absolute paths such as /var/log/audit/audit.log or /var/log/zeek/**/*.log", p)
		}
	}
	return &Sensor{opt}, nil
}

// Name implements sensor.Sensor.
func (s *Sensor) Name() string { return s.opt.Name }

// position is where reading of a path goes on.
type position struct {
	Dev    uint64 `json:"dev"`
	Ino    uint64 `json:"ino"`
	Offset int64  `json:"offset"`
	// Size and Changed, in Unix nanoseconds, are those of a packed file that was
	// read.
	Size    int64 `json:"size,omitempty"`
	Changed int64 `json:"changed,omitempty"`
}

// watching is one run of Watch.
type watching struct {
	opt    Options
	out    sensor.Recorder
	files  map[string]*followed // by path
	kept   map[string]position  // where earlier runs were
	told   map[string]bool      // paths of which a fault was told
	moved  bool                 // something was read since the last mark
	listed time.Time
	packed *packed
	buf    []byte // what is read of a file at once
}

// Watch implements sensor.Sensor.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	w := &watching{opt: s.opt, out: out, files: map[string]*followed{}, kept: map[string]position{}, told: map[string]bool{}, buf: make([]byte, 64<<10)}
	if token := out.Resume(); token != "" {
		if err := json.Unmarshal([]byte(token), &w.kept); err != nil {
			return fmt.Errorf("where to go on cannot be read: %w", err)
		}
	}
	w.packed = newPacked(w)
	defer w.close()
	defer w.packed.end(ctx)
	tick := time.NewTicker(s.opt.Every)
	defer tick.Stop()
	for first := true; ; first = false {
		for busy := true; busy && ctx.Err() == nil; {
			busy = w.round(time.Now())
		}
		w.packed.step(ctx, time.Now())
		if first {
			out.Ready()
		}
		w.mark()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *watching) close() {
	for _, f := range w.files {
		f.file.Close()
	}
}

// round looks at every file once. It reports whether there may be more at once.
func (w *watching) round(now time.Time) (busy bool) {
	if now.Sub(w.listed) >= listEvery {
		w.listed = now
		w.list()
	}
	for path, f := range w.files {
		more, err := f.read(w)
		if !more && now.Sub(f.grew) > together {
			f.release(w)
		}
		busy = busy || more
		if err != nil {
			w.fault(path, err)
		}
		if !more {
			w.turned(path, f, now)
		}
	}
	return busy
}

// list finds files that are not followed yet.
func (w *watching) list() {
	for _, pattern := range w.opt.Patterns {
		paths, err := doublestar.FilepathGlob(pattern, doublestar.WithFilesOnly())
		if err != nil {
			w.fault(pattern, err)
		}
		slices.Sort(paths)
		for _, path := range paths {
			if w.files[path] != nil || w.packed.listed(path, w.listed) {
				continue
			}
			if len(w.files) == MaxFiles {
				w.fault(pattern, fmt.Errorf("more than %d files; the rest is not followed", MaxFiles))
				return
			}
			w.begin(path)
		}
	}
}

// begin follows a path, from where an earlier run was.
func (w *watching) begin(path string) {
	f, err := open(path)
	if err != nil {
		w.fault(path, err)
		return
	}
	kept, known := w.kept[path]
	delete(w.kept, path)
	switch {
	case !known:
	case kept.Dev == f.at.Dev && kept.Ino == f.at.Ino:
		f.at.Offset = kept.Offset
	default: // it was renamed while nobody watched
		if old := renamed(path, kept); old != nil {
			f.file.Close()
			f = old
		} else {
			w.out.Lost(path+": what was in the file before it was rotated", -1)
		}
	}
	w.files[path] = f
}

// turned looks whether a path names another file by now, or a shorter one.
func (w *watching) turned(path string, f *followed, now time.Time) {
	at, size, err := identity(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && (at.Dev != f.at.Dev || at.Ino != f.at.Ino):
		if now.Sub(f.grew) < quiet {
			return // who writes it may not know yet that it was renamed
		}
		f.flush(w)
		f.file.Close()
		delete(w.files, path)
		w.moved = true
		if err == nil {
			w.begin(path)
		}
	case err == nil && size < f.at.Offset:
		w.out.Lost(path+": the file was cut; what was written last may not have been read", -1)
		f.at.Offset, f.part = 0, nil
		w.moved = true
	}
}

// fault tells once of a path what is wrong with it.
func (w *watching) fault(path string, err error) {
	text := path + ": " + err.Error()
	if !w.told[text] && len(w.told) < MaxFiles {
		w.told[text] = true
		w.out.Lost(text, -1)
	}
}

// mark keeps how far every file was read.
func (w *watching) mark() {
	if !w.moved {
		return
	}
	w.moved = false
	at := map[string]position{}
	for path, p := range w.kept { // may come back
		at[path] = p
	}
	w.packed.mark(at)
	for path, f := range w.files {
		p := f.at
		p.Offset -= int64(len(f.part))
		at[path] = p
	}
	token, err := json.Marshal(at)
	if err == nil {
		w.out.Mark(string(token))
	}
}

// lane is the lane of a path: each file has its own, since what a format says
// once at a file's beginning holds for that file.
func (w *watching) lane(path, format, head string) sensor.Lane {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, strings.TrimLeft(path, "/"))
	sum := sha256.Sum256([]byte(path))
	if len(clean) > 80 {
		clean = clean[len(clean)-80:]
	}
	return sensor.Lane{Name: strings.Trim(clean, "-.") + "-" + hex.EncodeToString(sum[:4]), Format: format, Head: head, Place: w.opt.Place}
}

// headOf are the lines at a file's beginning that say how the others are read.
func headOf(text []byte) string {
	var head []byte
	for line := range bytes.Lines(text) {
		if line[0] != '#' {
			break
		}
		head = append(head, line...)
	}
	return string(head)
}

func identity(path string) (position, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return position{}, 0, err
	}
	return positionOf(info), info.Size(), nil
}
