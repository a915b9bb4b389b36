package journald

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"tidewaiter/sensor"
)

const (
	// maxLine bounds what journalctl prints of one message, in bytes; a longer
	// one is passed over.
	maxLine = 16 << 20
	// batchBytes is how much is handed on at once, at least if more waits.
	batchBytes = 64 << 10
	// maxSaid bounds what is kept of what journalctl says of itself.
	maxSaid = 4 << 10
	// waitDelay is how long an ended journalctl's pipes are waited for.
	waitDelay = time.Second
)

// What losses are told as.
const (
	lossVacuumed = "what the journal dropped before it was read"
	lossCursor   = "the journal is another than before; what came in between is not known"
	lossUnread   = "messages of the journal that cannot be read"
	lossLong     = "a message of the journal of more than 16 MiB"
)

// Watch implements sensor.Sensor.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	program, err := exec.LookPath(s.options.Program)
	if err != nil {
		return &sensor.Lack{What: "journalctl is not here", Mend: "install systemd's journalctl, or follow the services' log files", Err: err}
	}
	w := &watching{sensor: s, program: program, out: out, batches: map[sensor.Lane][]byte{}}
	cursor, err := w.begin(ctx, out.Resume())
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	err = w.follow(ctx, cursor)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// watching is one call of Watch.
type watching struct {
	sensor  *Sensor
	program string
	out     sensor.Recorder
	batches map[sensor.Lane][]byte
	size    int
	from    string // the cursor behind which messages are given
	cursor  string // of the last message, not marked yet
}

// command prepares journalctl. It ends with ctx, and is waited for.
func (w *watching) command(ctx context.Context, args []string) (*exec.Cmd, *said) {
	cmd := exec.CommandContext(ctx, w.program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0")
	cmd.WaitDelay = waitDelay
	notes := &said{}
	cmd.Stderr = notes
	return cmd, notes
}

// said keeps the beginning of what a program says of itself.
type said struct{ bytes.Buffer }

// Write implements io.Writer.
func (s *said) Write(b []byte) (int, error) {
	_, err := s.Buffer.Write(b[:min(len(b), max(0, maxSaid-s.Len()))])
	return len(b), err
}

// begin gives the cursor behind which to go on: that of an earlier run, or of
// the last message that is there.
func (w *watching) begin(ctx context.Context, resume string) (string, error) {
	if resume != "" {
		at, err := w.one(ctx, "--cursor="+resume)
		if err == nil && at == resume {
			return resume, nil
		}
		// The next message that is there is given, if any.
		if err == nil {
			w.out.Lost(lossVacuumed, -1)
			return resume, nil
		}
		if _, lacks := sensor.AsLack(err); lacks || ctx.Err() != nil {
			return "", err
		}
		w.out.Lost(lossCursor, -1)
	}
	return w.one(ctx)
}

// one gives the cursor of one message: the last, or what is asked for. It is ""
// if there is none.
func (w *watching) one(ctx context.Context, more ...string) (string, error) {
	cmd, notes := w.command(ctx, w.sensor.arguments(append(more, "--lines=1", "--output-fields=_PID")...))
	out, err := cmd.Output()
	if lack := lacking(notes.String()); lack != nil {
		return "", lack
	}
	if err != nil {
		return "", failed(err, notes)
	}
	if len(bytes.TrimSpace(out)) == 0 {
		return "", nil
	}
	m, err := read(out)
	if err != nil {
		return "", fmt.Errorf("journalctl: %w", err)
	}
	return m.Cursor, nil
}

// lacking finds in what journalctl says that there is nothing to follow. It
// would follow all the same.
func lacking(notes string) *sensor.Lack {
	switch {
	case strings.Contains(notes, "insufficient permissions"), strings.Contains(notes, "not seeing messages"), strings.Contains(notes, "Permission denied"):
		return &sensor.Lack{What: "no right to read the journal", Mend: "run as root, or in the group systemd-journal", Err: fs.ErrPermission}
	case strings.Contains(notes, "No journal files were found"), strings.Contains(notes, "No such file or directory"):
		return &sensor.Lack{What: "there is no journal", Mend: "systemd-journald must run; into a container, mount /var/log/journal, /run/log/journal and /etc/machine-id", Err: fs.ErrNotExist}
	}
	return nil
}

func failed(err error, notes *said) error {
	if text := strings.TrimSpace(notes.String()); text != "" {
		return fmt.Errorf("journalctl: %w: %s", err, text)
	}
	return fmt.Errorf("journalctl: %w", err)
}

// follow gives what comes behind a cursor.
func (w *watching) follow(ctx context.Context, cursor string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd, notes := w.command(ctx, w.sensor.following(cursor))
	w.from = cursor
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("journalctl: %w", err)
	}
	w.out.Ready() // nothing behind the cursor is missed, whenever journalctl comes to it
	if cursor != w.out.Resume() {
		w.out.Mark(cursor)
	}
	reading := w.read(bufio.NewReaderSize(pipe, batchBytes))
	if reading != nil {
		stop()
	}
	if err = cmd.Wait(); reading != nil {
		return reading
	}
	if lack := lacking(notes.String()); lack != nil {
		return lack
	}
	if err == nil {
		err = errors.New("it ended")
	}
	return failed(err, notes)
}

// read gives messages until there are no more.
func (w *watching) read(r *bufio.Reader) error {
	defer w.flush()
	var long []byte
	skip := false
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if long = append(long, line...); len(long) > maxLine {
				long, skip = long[:0], true
			}
			continue
		case errors.Is(err, io.EOF), errors.Is(err, fs.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("journalctl: %w", err)
		case skip:
			w.out.Lost(lossLong, 1)
			long, skip = nil, false
			continue
		case len(long) > 0:
			line = append(long, line...)
			long = long[:0]
		}
		w.take(line)
		if w.size >= batchBytes || r.Buffered() == 0 {
			w.flush()
		}
	}
}

// take takes what journalctl printed of one message.
func (w *watching) take(line []byte) {
	m, err := read(line)
	if err != nil {
		w.out.Lost(lossUnread, 1)
		return
	}
	if m.Cursor == w.from {
		return
	}
	w.cursor = m.Cursor
	lane, known := w.sensor.lanes[m.unit(func(unit string) bool { _, ok := w.sensor.lanes[unit]; return ok })]
	if !known || m.printed() {
		return
	}
	before := len(w.batches[lane])
	lines, err := m.appendLine(w.batches[lane], w.sensor.options.Host)
	if err != nil {
		w.out.Lost(lossUnread, 1)
		return
	}
	w.batches[lane] = lines
	w.size += len(lines) - before
}

// flush hands on what was taken, and notes how far that is.
func (w *watching) flush() {
	for lane, lines := range w.batches {
		if len(lines) > 0 {
			w.out.Record(lane, lines)
			w.batches[lane] = lines[:0]
		}
	}
	if w.size = 0; w.cursor != "" {
		w.out.Mark(w.cursor)
		w.cursor = ""
	}
}
