package source

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"tidewaiter/event"
)

// ErrUnrecognised is wrapped by the error of Open for an input whose content
// is no known format.
var ErrUnrecognised = errors.New("format not recognised")

// ErrEmpty is wrapped by the error of Open for an input without content. A
// quiet day leaves such a file, so it is no fault.
var ErrEmpty = errors.New("empty")

// Input is one open file that is decoded event by event. Most files hold one
// format; records of another one between them (several logs concatenated, or
// sent through one pipe) go to that format's decoder.
// One goroutine may read while another asks how far it came.
type Input struct {
	mu      sync.Mutex // over what reading changes
	name    string
	place   event.Place
	hosts   func(event.Place) event.Place
	history bool
	now     time.Time
	formats []*Format
	framer  framer
	lanes   []*lane // the first is the file's own format
	file    *fileReader
	queue   []event.Event
	head    int
	done    bool
	fault   error // why the rest cannot be read; nil if the end was reached
}

// lane is one format's decoder for an input, with its own account.
type lane struct {
	out     Output
	tally   Tally
	decoder Decoder
}

// Options say how inputs are opened.
type Options struct {
	// Formats are the formats to choose from.
	Formats []*Format
	// Place is stamped on records that do not say where they are from.
	Place event.Place
	// Hosts fills in what is known of the host that a record names, nil for
	// nothing.
	Hosts func(event.Place) event.Place
	// History marks every event as memory only.
	History bool
	// Now is when the records are read: a time without a year is of the latest
	// one before that. The zero time leaves such records unreadable.
	Now time.Time
	// Name is cited instead of the path; "" means the path.
	Name string
}

// Open opens a file, gzip or zstd or plain, and tells its format by content.
// It fails with ErrEmpty, ErrUnrecognised, and with whatever opening gives.
func Open(path string, opt Options) (*Input, error) {
	r, err := openFile(path)
	if err != nil {
		return nil, err
	}
	name := opt.Name
	if name == "" {
		name = path
	}
	in, err := newInput(r, name, opt)
	if err != nil {
		r.Close()
		return nil, err
	}
	return in, nil
}

func newInput(r *fileReader, name string, opt Options) (*Input, error) {
	head := make([]byte, sampleSize)
	n, err := io.ReadFull(r, head)
	whole := err == io.EOF || err == io.ErrUnexpectedEOF // ReadFull's own words; a cut is neither
	head = head[:n]
	if n == 0 && err != nil && !whole {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(bytes.TrimSpace(head)) == 0 && whole {
		return nil, fmt.Errorf("%s: %w", name, ErrEmpty)
	}
	if whole {
		head = bytes.Clone(head) // a small file takes as much as it has
	}
	sample := newSample(head, whole)
	format := detect(opt.Formats, sample)
	if format == nil {
		return nil, fmt.Errorf("%s: %w: %s", name, ErrUnrecognised, describe(sample))
	}
	in := &Input{name: name, place: opt.Place, hosts: opt.Hosts, history: opt.History, now: opt.Now, formats: opt.Formats, file: r}
	in.framer = newFramer(io.MultiReader(bytes.NewReader(head), r), format.Framing)
	in.lane(format)
	return in, nil
}

// lane finds or makes a format's lane.
func (in *Input) lane(f *Format) *lane {
	for _, l := range in.lanes {
		if l.out.Format == f {
			return l
		}
	}
	l := &lane{}
	l.out = Output{Format: f, File: in.name, Place: in.place, Hosts: in.hosts, History: in.history, Now: in.now, Tally: &l.tally, Emit: in.push}
	l.decoder = f.New(&l.out)
	in.lanes = append(in.lanes, l)
	return l
}

// Name is the name under which records are cited.
func (in *Input) Name() string { return in.name }

// Place is the place stamped on records that name none.
func (in *Input) Place() event.Place { return in.place }

// BytesRead is how much of the file has been read, before any decompression.
func (in *Input) BytesRead() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.file.read.Load()
}

// Size is the size of the file in bytes, 0 if it cannot be told.
func (in *Input) Size() int64 {
	if in.file.file == nil {
		return 0
	}
	info, err := in.file.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// FormatTally is what was read of one format in an input.
type FormatTally struct {
	Format *Format
	Tally
}

// Tallies is what has been read so far, by format, the input's own first.
func (in *Input) Tallies() []FormatTally {
	in.mu.Lock()
	defer in.mu.Unlock()
	out := make([]FormatTally, len(in.lanes))
	for i, l := range in.lanes {
		out[i] = FormatTally{l.out.Format, l.tally}
	}
	return out
}

// Next gives the next event; io.EOF ends the input. So does a fault of the
// stream itself, such as a truncated gzip, which is returned after everything
// that came before it.
func (in *Input) Next() (event.Event, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.head == len(in.queue) {
		in.queue, in.head = in.queue[:0], 0
		if in.done {
			return event.Event{}, cmp.Or(in.fault, io.EOF)
		}
		in.step()
	}
	e := in.queue[in.head]
	in.head++
	return e, nil
}

// step reads one record, or ends the input.
func (in *Input) step() {
	own, from := in.lanes[0], in.framer
	in.mu.Unlock() // a stream may let one wait
	rec, err := from.next()
	in.mu.Lock()
	if in.done {
		return
	}
	if err == nil {
		in.decode(own, rec)
		return
	}
	var long *tooLong
	switch {
	case errors.As(err, &long):
		own.tally.Records++
		own.out.Unreadable(Record{Span: long.at}, err)
	case errors.Is(err, errQuiet):
		in.settle()
	case errors.Is(err, io.EOF):
		in.end()
	default:
		in.end()
		in.fault = fmt.Errorf("%s: the rest cannot be read, after %d records: %w", in.name, own.tally.Records, err)
	}
}

// decode gives a record to the input's own format, and, if that cannot read
// it, to the format that it looks like.
func (in *Input) decode(own *lane, rec Record) {
	own.tally.Records++
	before := own.tally.Unreadable
	own.decoder.Decode(rec)
	if own.tally.Unreadable == before || own.tally.lastFault != rec.Line {
		return
	}
	if !utf8.Valid(rec.Data) {
		return // no text, and so of no other format
	}
	other := detect(in.formats, newSample(rec.Data, true))
	if other == nil || other == own.out.Format {
		return
	}
	own.tally.takeBack()
	own.tally.Records--
	l := in.lane(other)
	l.tally.Records++
	l.decoder.Decode(rec)
}

func (in *Input) end() {
	in.done = true
	for _, l := range in.lanes {
		l.decoder.Flush()
	}
}

func (in *Input) push(e event.Event) { in.queue = append(in.queue, e) }

// Close releases the file and what it took to read it. What was read of it can
// still be asked for; there is no next event.
func (in *Input) Close() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if live, ok := in.framer.(*liveFramer); ok {
		live.close()
	}
	in.done, in.framer, in.queue, in.head = true, nil, nil, 0
	for _, l := range in.lanes {
		l.decoder = nil
		l.out = Output{Format: l.out.Format, Tally: &l.tally}
	}
	return in.file.Close()
}
