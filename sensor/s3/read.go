package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"tidewaiter/event"
	"tidewaiter/sensor"
)

// read records an object, nil if it was or is empty.
func (w *watch) read(ctx context.Context, o object) error {
	id := o.key + "\x00" + o.etag
	if recorded, known := w.known(id); known && o.etag != "" {
		if recorded {
			return nil
		}
		return sensor.ErrUnfit
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.opt.Timeout, errTimeout)
	defer cancel()
	got, err := w.bucket.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(w.opt.Bucket), Key: aws.String(o.key)})
	if err != nil {
		return fmt.Errorf("read: %w", caused(ctx, err))
	}
	defer got.Body.Close()
	w.had()
	err = w.take(o.key, got.Body)
	switch {
	case err == nil:
		w.remember(id, true)
	case errors.Is(err, sensor.ErrUnfit):
		w.remember(id, false)
	default:
		err = caused(ctx, err)
	}
	return err
}

// caused is why a context ended, where that is why something failed.
func caused(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (w *watch) take(key string, body io.Reader) error {
	o, err := w.opt.Open(body)
	if errors.Is(err, sensor.ErrEmpty) {
		return nil
	}
	if err != nil {
		return err
	}
	lane, err := w.lanes.Lane(o, place(key))
	if err != nil {
		return err
	}
	err = sensor.Take(w.out, o, lane)
	if n := o.Passed(); n > 0 {
		w.once.Lost(n, "%q: records that are too long", key)
	}
	return err
}

// keyPlace is what AWS writes into the keys of its logs: the account and the
// region that they are about (docs.aws.amazon.com, "Finding your CloudTrail log
// files", "Flow log files").
var keyPlace = regexp.MustCompile(`(?:^|/)AWSLogs/(?:o-[a-z0-9]{10,32}/)?([0-9]{12})/[A-Za-z0-9_-]+/(?:([a-z]{2}(?:-[a-z]+)+-[0-9]{1,2})/)?`)

// place is where an object's records are from, as far as its key says that.
func place(key string) event.Place {
	if m := keyPlace.FindStringSubmatch(key); m != nil {
		return event.Place{Account: m[1], Region: m[2]}
	}
	return event.Place{}
}

// maxDone bounds the objects that are remembered: a queue announces some
// twice, soon after each other.
const maxDone = 10_000

func (w *watch) known(id string) (recorded, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	recorded, known = w.done[id]
	return recorded, known
}

func (w *watch) remember(id string, recorded bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.done) >= maxDone {
		clear(w.done)
	}
	w.done[id] = recorded
}

// judge tells why an object was not recorded, and whether another try may
// help. It gives an error if that concerns all objects.
func (w *watch) judge(ctx context.Context, o object, err error) (again bool, _ error) {
	switch {
	case err == nil || ctx.Err() != nil:
		return false, nil
	case gone(err):
		w.once.Lost(1, "%q is gone: what was in it is not known", o.key)
		return false, nil
	case denied(err) && w.hadAny():
		// Also what is gone, if we may not list the bucket.
		w.once.Lost(1, "%q may not be read: %v", o.key, err)
		return false, nil
	case errors.Is(err, sensor.ErrUnfit):
		w.once.Lost(1, "%q: %v", o.key, err)
		return false, nil
	}
	if l, lacks := sensor.AsLack(lack("reading objects", err)); lacks {
		return true, l
	}
	w.once.Lost(1, "%q was not read to its end, and is tried again: %v", o.key, err)
	return true, nil
}

// had counts the objects that were had.
func (w *watch) had() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
}

func (w *watch) hadAny() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads > 0
}
