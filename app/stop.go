package app

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// errStopped is that reading was stopped before its end.
var errStopped = errors.New("the hunt was stopped")

// Interruption is how far reading came before it was stopped.
type Interruption struct {
	// Read is how many bytes of the files were read, of Total.
	Read, Total int64
	// Begun is the number of files that were begun, of Files.
	Begun, Files int
	// Stdin is set if it was stopped within standard input, whose length
	// nobody knows: Total counts what came of it.
	Stdin bool
}

// stop reports whether reading was stopped, and remembers it.
func (h *hunt) stop() bool {
	select {
	case <-h.opt.Stop:
		h.stopped = true
	default:
	}
	return h.stopped
}

// interruption is how far reading came; nil if it was not stopped.
func (h *hunt) interruption() *Interruption {
	if !h.stopped {
		return nil
	}
	at := h.progress(0)
	i := &Interruption{Read: at.Bytes, Total: h.total, Stdin: h.stdinCut}
	for _, in := range h.report.Inputs {
		if in.Err != nil && !errors.Is(in.Err, errStopped) {
			continue
		}
		i.Files++
		if in.Err == nil {
			i.Begun++
			continue
		}
		if info, err := os.Stat(in.File); err == nil {
			i.Total += info.Size()
		}
	}
	return i
}

// spool copies a stream to a file. Stopped, it keeps what came until then and
// fails with errStopped; a read that still waits ends with the program.
func spool(r io.Reader, stop <-chan struct{}) (string, error) {
	f, err := os.CreateTemp("", "tidewaiter-stdin-*")
	if err != nil {
		return "", fmt.Errorf("spool standard input: %w", err)
	}
	err = copyUntil(f, r, stop)
	if closing := f.Close(); closing != nil {
		err = closing
	}
	if err != nil {
		return f.Name(), fmt.Errorf("spool standard input: %w", err)
	}
	return f.Name(), nil
}

// piece is what one read gave.
type piece struct {
	data []byte
	err  error
}

// copyUntil copies until the end or until stop is closed.
func copyUntil(w io.Writer, r io.Reader, stop <-chan struct{}) error {
	if stop == nil {
		_, err := io.Copy(w, r)
		return err
	}
	pieces := make(chan piece)
	go func() {
		// Two rooms by turns: while one is written, the other is read into.
		for rooms := [2][]byte{make([]byte, 64<<10), make([]byte, 64<<10)}; ; rooms[0], rooms[1] = rooms[1], rooms[0] {
			n, err := r.Read(rooms[0])
			select {
			case pieces <- piece{rooms[0][:n], err}:
			case <-stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for {
		select {
		case <-stop:
			return errStopped
		case p := <-pieces:
			if _, err := w.Write(p.data); err != nil {
				return err
			}
			if errors.Is(p.err, io.EOF) {
				return nil
			}
			if p.err != nil {
				return p.err
			}
		}
	}
}
