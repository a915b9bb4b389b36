package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"tidewaiter/sensor"
)

const (
	// page is how many objects are listed at once.
	page = 500
	// answerTime bounds a question; a watch has watchTime and up to as much
	// again, so that not all are renewed at once.
	answerTime = time.Minute
	watchTime  = 5 * time.Minute
	longPause  = 15 * time.Second
)

// follower watches one kind.
type follower struct {
	kind
	api      dynamic.ResourceInterface
	lane     sensor.Lane
	out      sensor.Recorder
	patience time.Duration
	pause    time.Duration
	listed   func()            // says that the first list is there
	version  string            // up to which all was seen
	last     map[string]string // by uid: the last version, or of a kind that repeats what was kept of it
}

// errExpired is that the API does not remember what came after our version.
var errExpired = errors.New("the API does not remember so far back")

// follow lists and watches until ctx ends.
func (f *follower) follow(ctx context.Context) error {
	for {
		if err := f.list(ctx); err != nil {
			return ended(ctx, err)
		}
		f.listed()
		err := f.watch(ctx)
		if !errors.Is(err, errExpired) {
			return ended(ctx, err)
		}
		f.out.Lost("the API no longer had all versions of "+f.resource+": what came and went meanwhile was not seen", -1)
	}
}

// ended leaves out what fails because the daemon ends.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (f *follower) failed(verb string, err error) error {
	return &asked{verb, f.resource, f.namespace, err}
}

// list records all that there is.
func (f *follower) list(ctx context.Context) error {
	there := map[string]bool{}
	o := metav1.ListOptions{FieldSelector: f.selector.String(), Limit: page}
	for {
		l, err := f.ask(ctx, o)
		if o.Continue != "" && apierrors.IsResourceExpired(err) {
			o.Continue, o.Limit = "", 0 // it took so long that the rest is gone: all at once
			continue
		}
		if err != nil {
			return f.failed("list", err)
		}
		for i := range l.Items {
			there[string(l.Items[i].GetUID())] = true
			f.take(&l.Items[i])
		}
		f.version = l.GetResourceVersion()
		if o.Continue = l.GetContinue(); o.Continue == "" {
			break
		}
	}
	for uid := range f.last {
		if !there[uid] {
			delete(f.last, uid)
		}
	}
	return nil
}

func (f *follower) ask(ctx context.Context, o metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return f.api.List(ctx, o)
}

// watch records what changes. What fails is tried again from where it was,
// for a while.
func (f *follower) watch(ctx context.Context) error {
	pause, since := f.pause, time.Time{} // since when it fails
	for {
		before, begun := f.version, time.Now()
		err := f.stream(ctx)
		steady := f.version != before || time.Since(begun) > answerTime
		switch {
		case ctx.Err() != nil:
			return nil
		case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
			return errExpired
		case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
			return f.failed("watch", err)
		case steady:
			pause, since = f.pause, time.Time{}
		case err == nil: // as it is where nothing happens; but not again and again
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > f.patience:
			return f.failed("watch", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, longPause)
	}
}

// stream records what one watch gives until it ends.
func (f *follower) stream(ctx context.Context) error {
	long := watchTime + rand.N(watchTime)
	seconds := int64(long / time.Second)
	ctx, cancel := context.WithTimeout(ctx, long+answerTime) // also if the API has fallen silent
	defer cancel()
	w, err := f.api.Watch(ctx, metav1.ListOptions{
		FieldSelector: f.selector.String(), ResourceVersion: f.version, AllowWatchBookmarks: true, TimeoutSeconds: &seconds,
	})
	if err != nil {
		return err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if e.Type == watch.Error {
			return apierrors.FromObject(e.Object)
		}
		o, ok := e.Object.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("a watch gave a %T", e.Object)
		}
		switch e.Type {
		case watch.Added, watch.Modified:
			f.take(o)
		case watch.Deleted:
			f.gone(o)
		}
		if v := o.GetResourceVersion(); v != "" {
			f.version = v
		}
	}
	return nil
}

// gone records how an object was at last. That an Event is deleted says only
// that it is old.
func (f *follower) gone(o *unstructured.Unstructured) {
	if f.resource == "pods" {
		f.take(o)
	}
	delete(f.last, string(o.GetUID()))
}

// take records an object unless this version of it was.
func (f *follower) take(o *unstructured.Unstructured) {
	uid, version := string(o.GetUID()), o.GetResourceVersion()
	kept := f.record(o.Object)
	if kept == nil {
		return
	}
	line, err := json.Marshal(kept)
	if err != nil {
		f.out.Lost("one of "+f.resource+" that cannot be written", 1)
		return
	}
	if f.repeats {
		version = string(line)
	}
	if version != "" && f.last[uid] == version {
		return
	}
	f.last[uid] = version
	f.out.Record(f.lane, line)
}
