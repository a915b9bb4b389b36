// Package journal is what the daemon has seen, on disk: the native records of
// every live source, in the order in which they came, as files that "hunt"
// reads like any others. It is the log that the engine reads from, so that
// nothing is lost between seeing and judging, and the recording of the daemon's
// own run.
//
// A folder for each epoch holds a file for each lane. An epoch ends when what
// was found up to it has been put by; after a restart the epochs behind the
// last one that was are read again.
//
// In: lines of lanes. Out: segments to read, the last ones as they grow.
package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"tidewaiter/sensor"
)

// Defaults of Options.
const (
	DefaultSize    = 2 << 30
	DefaultPending = 64 << 20
)

// Options say where the journal is and how large it may be.
type Options struct {
	// Dir is its folder; it is made if need be.
	Dir string
	// Size bounds the bytes on disk; DefaultSize if 0. Old epochs that are not
	// needed any more make room; if that is not enough, what comes is dropped
	// and counted.
	Size int64
	// Pending bounds the bytes that are kept in memory while the disk takes
	// none; DefaultPending if 0.
	Pending int64
}

// Journal is an open journal. Safe for concurrent use.
type Journal struct {
	opt Options

	mu       sync.Mutex
	grown    *sync.Cond
	epoch    int                 // the open one
	kept     int                 // up to which epoch all is put by
	from     int                 // what kept was when the journal was opened
	first    int                 // the first epoch of this run
	open     map[string]*Segment // of the open epoch, by file name
	segments []*Segment          // all, the oldest first
	made     int                 // how many there were, ever
	size     int64               // bytes of all
	pending  int64               // bytes of those that are not on disk yet
	fault    error               // why the disk took none the last time
	closed   bool
}

// Segment is one lane in one epoch.
type Segment struct {
	Epoch int
	// Format is the name of the format of its records.
	Format string
	// Path is its file.
	Path string

	seq     int // counts the segments, from 1
	j       *Journal
	file    *os.File // open for writing, nil of earlier runs
	written int64    // bytes on disk
	tail    []byte   // behind those, in memory
	sealed  bool
	judged  bool
}

// Errors that are counted as losses by those who append.
var (
	// ErrFull is that the journal has reached its bound.
	ErrFull = errors.New("the journal is full of records that are not judged yet")
	// ErrClosed is that the journal was closed.
	ErrClosed = errors.New("the journal is closed")
	errLane   = errors.New("a lane's name is made of lower-case letters, digits, '-' and '.'")
)

// epochName and fileName are how folders and files are called.
var (
	epochName = regexp.MustCompile(`^[0-9]{6,}$`)
	laneName  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,120}$`)
)

// Open opens or makes a journal. kept is the epoch up to which everything was
// put by; what lies behind it is read again.
func Open(opt Options, kept int) (*Journal, error) {
	if opt.Size == 0 {
		opt.Size = DefaultSize
	}
	if opt.Pending == 0 {
		opt.Pending = DefaultPending
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{opt: opt, kept: kept, from: kept, epoch: kept, open: map[string]*Segment{}}
	j.grown = sync.NewCond(&j.mu)
	if err := j.list(); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j.epoch++
	j.first = j.epoch
	return j, nil
}

// list finds the segments of earlier runs.
func (j *Journal) list() error {
	dirs, err := os.ReadDir(j.opt.Dir)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if !d.IsDir() || !epochName.MatchString(d.Name()) {
			continue
		}
		epoch, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		files, err := os.ReadDir(filepath.Join(j.opt.Dir, d.Name()))
		if err != nil {
			return err
		}
		for _, f := range files {
			format, ok := formatOf(f.Name())
			info, err := f.Info()
			if !ok || err != nil || !info.Mode().IsRegular() {
				continue
			}
			j.segments = append(j.segments, &Segment{
				Epoch: epoch, Format: format, Path: filepath.Join(j.opt.Dir, d.Name(), f.Name()),
				j: j, written: info.Size(), sealed: true,
			})
			j.size += info.Size()
		}
		j.epoch = max(j.epoch, epoch)
	}
	slices.SortStableFunc(j.segments, func(a, b *Segment) int { return a.Epoch - b.Epoch })
	for _, s := range j.segments {
		j.made++
		s.seq = j.made
	}
	return nil
}

// FileName is how a lane's files are called: by its format, and where that is
// not its name, by both.
func FileName(l sensor.Lane) string {
	if l.Name == l.Format {
		return l.Format + ".log"
	}
	return l.Format + "@" + l.Name + ".log"
}

// formatOf is the format that a file's name tells.
func formatOf(name string) (string, bool) {
	format, ok := strings.CutSuffix(name, ".log")
	format, _, _ = strings.Cut(format, "@")
	return format, ok && format != ""
}

// Append appends whole lines to a lane; a last line end is added if it is
// missing. What the disk does not take is kept in memory and written later. It
// fails with ErrFull if bounds leave no room, and nothing of data is kept then.
func (j *Journal) Append(lane sensor.Lane, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	need := int64(len(data)) + 1
	if j.size+need > j.opt.Size {
		j.makeRoom(need)
	}
	switch {
	case j.closed:
		return ErrClosed
	case j.size+need > j.opt.Size, j.pending+need > j.opt.Pending:
		return ErrFull
	}
	s, err := j.segment(lane)
	if err != nil {
		return err
	}
	s.append(data)
	if data[len(data)-1] != '\n' {
		s.append([]byte{'\n'})
	}
	j.grown.Broadcast()
	return nil
}

// segment is a lane's segment in the open epoch.
func (j *Journal) segment(lane sensor.Lane) (*Segment, error) {
	name := FileName(lane)
	if s := j.open[name]; s != nil {
		return s, nil
	}
	if !laneName.MatchString(lane.Name) || !laneName.MatchString(lane.Format) {
		return nil, fmt.Errorf("%w: %q, %q", errLane, lane.Name, lane.Format)
	}
	s := &Segment{Epoch: j.epoch, Format: lane.Format, Path: filepath.Join(j.opt.Dir, fmt.Sprintf("%06d", j.epoch), name), j: j}
	j.made++
	s.seq = j.made
	j.open[name] = s
	j.segments = append(j.segments, s)
	if lane.Head != "" {
		s.append([]byte(strings.TrimSuffix(lane.Head, "\n") + "\n"))
	}
	return s, nil
}

// append writes what it can and keeps the rest.
func (s *Segment) append(data []byte) {
	s.j.size += int64(len(data))
	if len(s.tail) == 0 {
		n, err := s.write(data)
		s.written += int64(n)
		data = data[n:]
		s.j.fault = err
	}
	s.tail = append(s.tail, data...)
	s.j.pending += int64(len(data))
}

func (s *Segment) write(data []byte) (int, error) {
	if s.file == nil {
		if err := os.MkdirAll(filepath.Dir(s.Path), 0o700); err != nil {
			return 0, err
		}
		f, err := os.OpenFile(s.Path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return 0, err
		}
		s.file = f
	}
	return s.file.WriteAt(data, s.written)
}

// Flush tries again to write what the disk did not take. It gives why that
// fails, nil if everything is on disk.
func (j *Journal) Flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pending == 0 {
		return nil
	}
	for _, s := range j.segments {
		if len(s.tail) == 0 {
			continue
		}
		n, err := s.write(s.tail)
		s.written += int64(n)
		s.tail = s.tail[n:]
		j.pending -= int64(n)
		if err != nil {
			j.fault = err
			return err
		}
		s.tail = nil
		s.finish()
	}
	j.fault = nil
	return nil
}

// finish closes the file of a segment that nothing is written to any more.
func (s *Segment) finish() {
	if s.sealed && len(s.tail) == 0 && s.file != nil {
		s.file.Close() // written by WriteAt: what fails has failed before
		s.file = nil
	}
}

// Fault is why the disk took nothing the last time, nil if it did; pending is
// how many bytes wait for it.
func (j *Journal) Fault() (pending int64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pending == 0 {
		return 0, nil
	}
	return j.pending, j.fault
}

// Sync makes what was appended durable, as far as the disk took it.
func (j *Journal) Sync() error {
	j.mu.Lock()
	var files []*os.File
	for _, s := range j.open {
		if s.file != nil {
			files = append(files, s.file)
		}
	}
	j.mu.Unlock()
	var faults []error
	for _, f := range files {
		if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}
