package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"tidewaiter/sensor"
)

// A bucket is listed in the order of its keys, which is not that in which
// objects come: each region's have an order of their own. So what tells a new
// object is when it was written, and listing begins behind the last key before
// which all is old; once in a while it begins at the front.
const (
	// late is for how long after a newer one an object may appear.
	late = 2 * time.Hour
	// sweepEvery is how often the whole prefix is listed; less than late.
	sweepEvery = time.Hour
	// maxSeen bounds the objects of that time.
	maxSeen = 50_000
	// markEvery is how often is kept what was read of a long listing.
	markEvery = 5 * time.Second
)

// listing is where listing goes on.
type listing struct {
	// After is the key behind which is listed.
	After string `json:"after,omitempty"`
	// Until is the latest time of writing that a listing saw, to its end. What
	// was written longer before it than late is old.
	Until time.Time `json:"until"`
	// Seen are the objects that are not old and need not be read: part of a
	// hash of key and version, and when they were written, in Unix seconds.
	Seen map[string]int64 `json:"seen,omitempty"`

	swept, marked time.Time
}

// round is one listing.
type round struct {
	from  time.Time // what was written earlier is old
	until time.Time // the latest time of writing so far
	after string    // the last key before which all is old
	front bool      // all keys so far were old
	whole bool      // nothing has to be tried again
}

// list lists the bucket until ctx ends.
func (w *watch) list(ctx context.Context) error {
	// What was there long before the first start is not read: hunts do that.
	l := listing{Until: time.Now(), Seen: map[string]int64{}}
	if token := w.out.Resume(); token != "" {
		if err := json.Unmarshal([]byte(token), &l); err != nil {
			return fmt.Errorf("where to go on cannot be read: %w", err)
		}
	}
	for {
		if err := w.listOnce(ctx, &l); err != nil {
			return err
		}
		w.out.Ready()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(w.opt.Every):
		}
	}
}

// listOnce lists from where all is old, and reads what is new.
func (w *watch) listOnce(ctx context.Context, l *listing) error {
	if now := time.Now(); now.Sub(l.swept) >= sweepEvery {
		l.After, l.swept = "", now
	}
	r := &round{from: l.Until.Add(-late), until: l.Until, after: l.After, front: true, whole: true}
	ask := &s3.ListObjectsV2Input{Bucket: aws.String(w.opt.Bucket), Prefix: aws.String(w.opt.Prefix)}
	if l.After != "" {
		ask.StartAfter = aws.String(l.After)
	}
	for pages := s3.NewListObjectsV2Paginator(w.bucket, ask); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return lack("listing the bucket", err)
		}
		for _, o := range page.Contents {
			if err := w.listed(ctx, l, r, o); err != nil {
				return err
			}
		}
	}
	if r.whole {
		l.After, l.Until = r.after, r.until
	}
	for id, at := range l.Seen {
		if at < l.Until.Add(-late).Unix() {
			delete(l.Seen, id)
		}
	}
	return w.mark(l)
}

// listed reads an object if it is new.
func (w *watch) listed(ctx context.Context, l *listing, r *round, o types.Object) error {
	key, etag, at := aws.ToString(o.Key), aws.ToString(o.ETag), aws.ToTime(o.LastModified)
	if at.Before(r.from) {
		if r.front {
			r.after = key
		}
		return nil
	}
	r.front = false
	if at.After(r.until) {
		r.until = at
	}
	sum := sha256.Sum256([]byte(key + "\x00" + etag))
	id := hex.EncodeToString(sum[:8])
	if _, seen := l.Seen[id]; seen {
		return nil
	}
	if len(l.Seen) >= maxSeen {
		return &sensor.Lack{What: fmt.Sprintf("more than %d objects in %v", maxSeen, late), Mend: "have a queue announce them, or give a longer prefix"}
	}
	again, err := w.judge(ctx, object{w.opt.Bucket, key, etag}, w.read(ctx, object{w.opt.Bucket, key, etag}))
	switch {
	case err != nil:
		return err
	case again || ctx.Err() != nil:
		r.whole = false
		return ctx.Err()
	}
	l.Seen[id] = at.Unix()
	if time.Since(l.marked) > markEvery {
		return w.mark(l)
	}
	return nil
}

// mark keeps where to go on.
func (w *watch) mark(l *listing) error {
	token, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("where to go on cannot be written: %w", err)
	}
	l.marked = time.Now()
	w.out.Mark(string(token))
	return nil
}
