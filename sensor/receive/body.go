package receive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"tidewaiter/sensor"
)

// refusal is why a request is not taken.
type refusal struct {
	status int
	why    string
}

// Error says why.
func (r *refusal) Error() string { return r.why }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// Refusals that depend on nothing.
var (
	errBusy   = &refusal{http.StatusServiceUnavailable, "too much is being sent at once"}
	errLarge  = &refusal{http.StatusRequestEntityTooLarge, "the request is larger than " + strconv.Itoa(MaxBody>>20) + " MiB, unpacked"}
	errRecord = &refusal{http.StatusRequestEntityTooLarge, "a record is longer than " + strconv.Itoa(MaxRecord>>20) + " MiB"}
	errLanes  = &refusal{http.StatusInsufficientStorage, "records are from too many places"}
)

// again is how long senders wait that came when there was too much.
const again = "5"

// reply is what is answered when a request was taken.
type reply struct {
	kind string // of content; "" for none
	body []byte
}

// receiver takes requests for one Watch.
type receiver struct {
	*Sensor
	out   sensor.Recorder
	lanes *lanes
	turns chan struct{} // who reads a body has put one in
	held  atomic.Int64  // bytes of the bodies that are held
}

func newReceiver(s *Sensor, out sensor.Recorder) *receiver {
	return &receiver{Sensor: s, out: out, lanes: newLanes(), turns: make(chan struct{}, MaxRequests)}
}

// taking reads a request's body and answers by what h makes of it.
func (r *receiver) taking(h func(*http.Request, []byte) (reply, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		select {
		case r.turns <- struct{}{}:
			defer func() { <-r.turns }()
		default:
			answer(w, reply{}, errBusy)
			return
		}
		body, release, err := r.read(w, q)
		defer release()
		var a reply
		if err == nil {
			a, err = h(q, body)
		}
		answer(w, a, err)
	})
}

func answer(w http.ResponseWriter, a reply, err error) {
	if err == nil {
		if a.kind != "" {
			w.Header().Set("Content-Type", a.kind)
		}
		w.WriteHeader(http.StatusOK)
		w.Write(a.body) // who hung up sends again
		return
	}
	status := http.StatusBadRequest
	var r *refusal
	if errors.As(err, &r) {
		status = r.status
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", again)
	}
	http.Error(w, err.Error(), status)
}

// read gives a request's body, unpacked. release says that it is not held any
// more; it is never nil.
func (r *receiver) read(w http.ResponseWriter, q *http.Request) (body []byte, release func(), err error) {
	var mine int64
	release = func() { r.held.Add(-mine) }
	if q.ContentLength > MaxBody {
		return nil, release, errLarge
	}
	from, err := unpack(q.Header.Get("Content-Encoding"), http.MaxBytesReader(w, q.Body, MaxBody))
	if err != nil {
		return nil, release, err
	}
	defer from.Close()
	var b bytes.Buffer
	for {
		// A body is held several times: as it grows, taken apart, and as lines.
		need := int64(min(max(b.Cap(), 64<<10), 4<<20))
		if r.held.Add(4*need) > maxHeld {
			r.held.Add(-4 * need)
			return nil, release, errBusy
		}
		mine += 4 * need
		n, err := io.CopyN(&b, from, need)
		var long *http.MaxBytesError
		switch {
		case b.Len() > MaxBody, errors.As(err, &long):
			return nil, release, errLarge
		case errors.Is(err, io.EOF):
			return b.Bytes(), release, nil
		case err != nil:
			return nil, release, refuse(http.StatusBadRequest, "the body cannot be read after %d bytes: %v", int64(b.Len())+n, err)
		}
	}
}

// unpack undoes a content coding (RFC 9110, section 8.4.1).
func unpack(coding string, body io.Reader) (io.ReadCloser, error) {
	switch coding {
	case "", "identity":
		return io.NopCloser(body), nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "the body is no gzip: %v", err)
		}
		return z, nil
	case "zstd":
		// RFC 8878 has all readers take windows of 8 MiB; a hostile frame asks for
		// more.
		z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "the body is no zstd: %v", err)
		}
		return z.IOReadCloser(), nil
	}
	return nil, refuse(http.StatusUnsupportedMediaType, "content encodings are gzip and zstd")
}
