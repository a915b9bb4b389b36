package tail

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"tidewaiter/sensor"
)

// followed is one open file.
type followed struct {
	path string
	file *os.File
	at   position // of what was read
	part []byte   // what is held back: a line that has not ended, and what belongs to it
	skip bool     // the rest of a line that is too long
	lane sensor.Lane
	grew time.Time
}

// errKind is that a path is no file whose lines can be followed.
var errKind = errors.New("not a plain file")

func open(path string) (*followed, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not make one wait
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errKind
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &followed{path: path, file: f, at: positionOf(info), grew: time.Now()}, nil
}

func positionOf(info os.FileInfo) position {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return position{}
	}
	return position{Dev: uint64(s.Dev), Ino: s.Ino}
}

// maxBeside bounds the files that are looked at for one that was renamed.
const maxBeside = 10_000

// renamed finds the file that a path named before, in the same folder. What was
// compressed since is another file.
func renamed(path string, was position) *followed {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(maxBeside) // those that could be read
	for _, name := range names {
		other := filepath.Join(filepath.Dir(path), name)
		at, size, err := identity(other)
		if err != nil || at.Dev != was.Dev || at.Ino != was.Ino || size < was.Offset {
			continue
		}
		f, err := open(other)
		if err != nil {
			return nil
		}
		f.path, f.at.Offset = path, was.Offset
		return f
	}
	return nil
}

// read gives the lines that were added. more says that it did not come to the
// end.
func (f *followed) read(w *watching) (more bool, err error) {
	if f.lane.Format == "" {
		if err := f.tell(w); err != nil || f.lane.Format == "" {
			return false, err
		}
	}
	for total := 0; total < atOnce; {
		n, err := f.file.ReadAt(w.buf, f.at.Offset)
		f.at.Offset += int64(n)
		total += n
		if n > 0 {
			f.grew, w.moved = time.Now(), true
			f.take(w, w.buf[:n])
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// tell finds out the file's format.
func (f *followed) tell(w *watching) error {
	head := make([]byte, headSize)
	n, err := f.file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	head = head[:n]
	if end := bytes.LastIndexByte(head, '\n'); end >= 0 {
		head = head[:end+1]
	} else if n < headSize {
		return nil // its first line is being written
	}
	format := w.opt.Format(head)
	if format == "" {
		if f.at.Offset = int64(n); n == headSize {
			return errFormat
		}
		f.at.Offset = 0
		return nil
	}
	f.lane = w.lane(f.path, format, headOf(head))
	return nil
}

var errFormat = errors.New("format not recognised: nothing of it is read")

// take gives whole lines, and keeps what has not ended.
func (f *followed) take(w *watching, data []byte) {
	if f.skip {
		end := bytes.IndexByte(data, '\n') + 1
		if end == 0 {
			return
		}
		data, f.skip = data[end:], false
	}
	if len(f.part) > 0 {
		data = append(f.part, data...)
	}
	end := bytes.LastIndexByte(data, '\n') + 1
	if w.opt.Whole != nil && end > 0 {
		end = w.opt.Whole(f.lane.Format, data[:end])
	}
	if end > 0 {
		w.out.Record(f.lane, data[:end])
	}
	if f.part = bytes.Clone(data[end:]); len(f.part) > maxLine {
		f.part, f.skip = nil, true
		w.out.Lost(f.path+": a line of more than 16 MiB", 1)
	}
}

// release gives whole lines that were held back.
func (f *followed) release(w *watching) {
	end := bytes.LastIndexByte(f.part, '\n') + 1
	if end > 0 {
		w.out.Record(f.lane, f.part[:end])
		f.part = bytes.Clone(f.part[end:])
		w.moved = true
	}
}

// flush gives the last line of a file that nothing is added to any more.
func (f *followed) flush(w *watching) {
	if len(f.part) > 0 && f.lane.Format != "" {
		w.out.Record(f.lane, f.part)
		f.part = nil
	}
}
