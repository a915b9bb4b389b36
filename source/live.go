package source

import (
	"bytes"
	"errors"
	"io"
	"time"
)

// Settler is a decoder that holds records back to put them together, and can
// give what it has when nothing has come for a while: live, the record that
// would end a group may come much later, or never.
type Settler interface {
	Settle()
}

// settleAfter is how long nothing must have come.
const settleAfter = 150 * time.Millisecond

// OpenStream reads records of a known format from a stream that grows. Next
// waits for more; r ends it with io.EOF. Close closes r, which must end a Read
// that waits.
func OpenStream(r io.ReadCloser, f *Format, opt Options) *Input {
	in := &Input{name: opt.Name, place: opt.Place, hosts: opt.Hosts, history: opt.History, formats: opt.Formats}
	in.file = &fileReader{close: r}
	in.file.Reader = countingReader{r, &in.file.read}
	in.framer = newLiveFramer(newFramer(in.file.Reader, f.Framing))
	in.lane(f)
	return in
}

// errQuiet is that nothing has come for a while.
var errQuiet = errors.New("nothing has come for a while")

// liveFramer frames in a goroutine of its own, so that it can be told when
// nothing comes.
type liveFramer struct {
	framed chan framed
	stop   chan struct{}
	quiet  *time.Timer
	told   bool // that nothing comes
}

type framed struct {
	rec Record
	err error
}

// liveAhead is how many records are framed before they are asked for.
const liveAhead = 64

func newLiveFramer(f framer) *liveFramer {
	l := &liveFramer{framed: make(chan framed, liveAhead), stop: make(chan struct{}), quiet: time.NewTimer(settleAfter)}
	go func() {
		defer close(l.framed)
		for {
			rec, err := f.next()
			rec.Data = bytes.Clone(rec.Data)
			select {
			case l.framed <- framed{rec, err}:
			case <-l.stop:
				return
			}
			var long *tooLong
			if err != nil && !errors.As(err, &long) {
				return
			}
		}
	}()
	return l
}

// next gives the next record, or errQuiet, once.
func (l *liveFramer) next() (Record, error) {
	select { // nearly always there is one, and no timer is needed
	case f, ok := <-l.framed:
		return l.given(f, ok)
	default:
	}
	if l.told {
		f, ok := <-l.framed
		return l.given(f, ok)
	}
	l.quiet.Reset(settleAfter)
	select {
	case f, ok := <-l.framed:
		return l.given(f, ok)
	case <-l.quiet.C:
		l.told = true
		return Record{}, errQuiet
	}
}

func (l *liveFramer) given(f framed, ok bool) (Record, error) {
	l.told = false
	if !ok {
		return Record{}, io.EOF
	}
	return f.rec, f.err
}

func (l *liveFramer) close() { close(l.stop) }

// settle has decoders give what they hold back.
func (in *Input) settle() {
	for _, l := range in.lanes {
		if s, ok := l.decoder.(Settler); ok {
			s.Settle()
		}
	}
}
