// Package file keeps findings in a file that grows: one OCSF Detection Finding
// per line, so that a log shipper can follow it. A file that has become too
// long is renamed with the time in its name, and a bounded number of those are
// kept.
//
// In: findings, and notices of such. Out: lines of JSON. The file can hold raw
// records, with what secrets are in them, so that only its owner may read it.
package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gopkg.in/natefinch/lumberjack.v2"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
)

// Defaults of Options.
const (
	DefaultSize = 100 // MB
	DefaultKeep = 10
)

// ErrNotRegular is what a path fails with that is no plain file: following a
// link would let its owner choose what is overwritten.
var ErrNotRegular = errors.New("not a plain file")

// Options say how a file is kept.
type Options struct {
	// Path is the file. Its folder must exist.
	Path string
	// Size is the length in megabytes from which on a new file is begun;
	// DefaultSize if 0.
	Size int
	// Keep is how many full files are kept beside it; DefaultKeep if 0.
	Keep int
	// Version of the program, written into each finding by Write. A notice
	// brings its own.
	Version string
	// Limit is what of a notice is written; a whole file if it says nothing.
	Limit ocsf.Limit
}

// File appends findings. Safe for concurrent use.
type File struct {
	opt Options
	w   *lumberjack.Logger
}

// Open checks that findings can be written. It fails with ErrNotRegular, and
// with what the file system says.
func Open(opt Options) (*File, error) {
	if info, err := os.Lstat(opt.Path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", opt.Path, ErrNotRegular)
	}
	if info, err := os.Stat(filepath.Dir(opt.Path)); err != nil {
		return nil, fmt.Errorf("findings file: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s: %w", filepath.Dir(opt.Path), ErrNotRegular)
	}
	if opt.Size == 0 {
		opt.Size = DefaultSize
	}
	if opt.Keep == 0 {
		opt.Keep = DefaultKeep
	}
	// A line that is longer than a file may be is refused by it every time.
	if whole := opt.Size<<20 - 1; opt.Limit.Max <= 0 || opt.Limit.Max > whole {
		opt.Limit.Max = whole
	}
	w := &lumberjack.Logger{Filename: opt.Path, MaxSize: opt.Size, MaxBackups: opt.Keep}
	if _, err := w.Write(nil); err != nil {
		return nil, fmt.Errorf("findings file: %w", err)
	}
	return &File{opt, w}, nil
}

// Write appends findings, each as a line. raw reads the records that they cite.
func (f *File) Write(findings []finding.Finding, raw finding.Raw) error {
	for i := range findings {
		line, err := json.Marshal(findings[i].OCSF(raw, f.opt.Version))
		if err != nil {
			return fmt.Errorf("finding %s: %w", findings[i].ID, err)
		}
		// One write per line: whoever follows the file sees whole lines.
		if _, err := f.w.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("findings file: %w", err)
		}
	}
	return nil
}

// Deliver implements sink.Sink. The line is the operating system's when it
// returns, and survives this program; it is not synced to the disk.
func (f *File) Deliver(ctx context.Context, n sink.Notice) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("findings file: %w", err)
	}
	line, err := ocsf.JSON(n, f.opt.Limit)
	if err != nil {
		return err
	}
	if _, err := f.w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("findings file: %w", err)
	}
	return nil
}

// Close releases the file.
func (f *File) Close() error { return f.w.Close() }
