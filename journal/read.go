package journal

import (
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Epoch is the epoch that is written now.
func (j *Journal) Epoch() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.epoch
}

// Written is how many bytes the open epoch holds.
func (j *Journal) Written() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	sum := int64(0)
	for _, s := range j.open {
		sum += s.written + int64(len(s.tail))
	}
	return sum
}

// Size is how many bytes all epochs hold.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size
}

// Rotate ends the open epoch and begins the next; it gives the one that ended.
func (j *Journal) Rotate() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	for name, s := range j.open {
		s.sealed = true
		s.finish()
		delete(j.open, name)
	}
	j.epoch++
	j.grown.Broadcast()
	return j.epoch - 1
}

// Keep says that everything up to an epoch is put by, so that it may be removed
// when room is needed.
func (j *Journal) Keep(epoch int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.kept = max(j.kept, epoch)
}

// makeRoom removes the oldest epochs that are put by.
func (j *Journal) makeRoom(need int64) {
	for j.size+need > j.opt.Size && len(j.segments) > 0 {
		epoch := j.segments[0].Epoch
		if epoch > j.kept {
			return
		}
		n := slices.IndexFunc(j.segments, func(s *Segment) bool { return s.Epoch != epoch })
		if n < 0 {
			n = len(j.segments)
		}
		for _, s := range j.segments[:n] {
			s.tail = nil
			s.finish()
			j.size -= s.written
		}
		dir := filepath.Dir(j.segments[0].Path)
		j.segments = slices.Delete(j.segments, 0, n)
		if err := os.RemoveAll(dir); err != nil {
			j.fault = err
		}
	}
}

// Next waits for the segment that follows one, the first if that is nil. Those
// that were put by when the journal was opened are passed over. It is nil once
// the journal is closed.
func (j *Journal) Next(after *Segment) *Segment {
	seq := 0
	if after != nil {
		seq = after.seq
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		for _, s := range j.segments {
			if s.seq > seq && s.Epoch > j.from {
				return s
			}
		}
		if j.closed {
			return nil
		}
		j.grown.Wait()
	}
}

// Behind lists the segments of earlier runs that are to be read again.
func (j *Journal) Behind() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, s := range j.segments {
		if s.Epoch > j.from && s.Epoch < j.first {
			n++
		}
	}
	return n
}

// Open reads a segment from its beginning. At the end of what is there it waits
// for more, and gives io.EOF once the epoch has ended.
func (s *Segment) Open() io.ReadCloser { return &follower{s: s} }

type follower struct {
	s    *Segment
	file *os.File
	at   int64
}

// Read implements io.Reader.
func (f *follower) Read(p []byte) (int, error) {
	onDisk, n, err := f.wait(p)
	if onDisk == 0 || err != nil {
		return n, err
	}
	if f.file == nil { // what reads also closes
		if f.file, err = os.Open(f.s.Path); err != nil {
			return 0, err
		}
	}
	n, err = f.file.ReadAt(p[:min(int64(len(p)), onDisk)], f.at)
	f.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// wait waits until there is something behind what was read. It gives how much
// of that is on disk, or what it took from memory.
func (f *follower) wait(p []byte) (onDisk int64, n int, err error) {
	j := f.s.j
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		s := f.s
		switch {
		case f.at < s.written:
			return s.written - f.at, 0, nil
		case f.at < s.written+int64(len(s.tail)):
			n := copy(p, s.tail[f.at-s.written:])
			f.at += int64(n)
			return 0, n, nil
		case s.sealed || j.closed:
			return 0, 0, io.EOF
		}
		j.grown.Wait()
	}
}

// Close implements io.Closer. It is called by whoever reads.
func (f *follower) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// Close ends the journal: what waits for more comes to its end.
func (j *Journal) Close() error {
	err := j.Flush()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	for _, s := range j.segments {
		s.sealed = true
		s.finish()
	}
	j.grown.Broadcast()
	return err
}

// Judged notes that everything in a segment was judged.
func (j *Journal) Judged(s *Segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.judged = true
}

// Drained reports that everything up to an epoch was judged.
func (j *Journal) Drained(epoch int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.drained(epoch)
}

func (j *Journal) drained(epoch int) bool {
	for _, s := range j.segments {
		if s.Epoch > j.from && s.Epoch <= epoch && !s.judged {
			return false
		}
	}
	return true
}

// CaughtUp reports that everything that earlier runs recorded was judged.
func (j *Journal) CaughtUp() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.drained(j.first - 1)
}
