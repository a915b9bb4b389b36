// Package layers looks into images: what their configuration says, and what lies
// in their layers. It reads archives of "docker save" (also in OCI form), OCI
// layouts, and registries.
//
// In: an archive's bytes, a folder, a registry's name; what bad content is known
// by. Out: posture.Image with Content. Everything is read as a stream: nothing is
// written but what the program yara is to look at, under names of our own, links
// are not followed, and bounds keep an archive that was made to exhaust memory,
// disk or time from doing so. What a bound cut off is said.
package layers

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Limits bound what one image may cost. Zero values mean the defaults.
type Limits struct {
	// Unpacked is the number of bytes that all layers may unpack to: 32 GiB.
	Unpacked int64
	// Files is the number of entries of all archives: 5 million.
	Files int
	// Document is the size of one manifest or configuration: 8 MiB. All of them
	// may have 16 times that.
	Document int64
	// Time is how long the look may take: 30 minutes.
	Time time.Duration
}

func (l Limits) filled() Limits {
	if l.Unpacked == 0 {
		l.Unpacked = 32 << 30
	}
	if l.Files == 0 {
		l.Files = 5_000_000
	}
	if l.Document == 0 {
		l.Document = 8 << 20
	}
	if l.Time == 0 {
		l.Time = 30 * time.Minute
	}
	return l
}

// maxListed bounds the files that are listed of one image, per kind.
const maxListed = 500

// maxImages bounds the images of one archive, index or layout.
const maxImages = 32

// ErrBound is wrapped by errors that say that a bound was reached.
var ErrBound = errors.New("a bound was reached")

// budget is what is left of the limits.
type budget struct {
	ctx       context.Context
	limits    Limits
	unpacked  int64
	files     int
	documents int64
	content   int64
}

func newBudget(ctx context.Context, l Limits) (*budget, context.CancelFunc) {
	l = l.filled()
	ctx, cancel := context.WithTimeout(ctx, l.Time)
	return &budget{ctx: ctx, limits: l}, cancel
}

// unpack counts bytes that came out of a layer.
func (b *budget) unpack(n int) error {
	b.unpacked += int64(n)
	if b.unpacked > b.limits.Unpacked {
		return fmt.Errorf("%w: the layers unpack to more than %d bytes", ErrBound, b.limits.Unpacked)
	}
	return b.alive()
}

func (b *budget) alive() error {
	switch err := b.ctx.Err(); {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: it was interrupted", ErrBound)
	case err != nil:
		return fmt.Errorf("%w: it took longer than %s", ErrBound, b.limits.Time)
	}
	return nil
}

// entry counts one entry of an archive.
func (b *budget) entry() error {
	if b.files++; b.files > b.limits.Files {
		return fmt.Errorf("%w: more than %d entries", ErrBound, b.limits.Files)
	}
	return b.alive()
}

// read counts a file whose content is read: a sparse one is longer than what its
// layer unpacks to.
func (b *budget) read(size int64) error {
	if size > b.limits.Unpacked-b.content {
		return fmt.Errorf("%w: the files are longer than %d bytes", ErrBound, b.limits.Unpacked)
	}
	b.content += size
	return nil
}

// document counts a document that is kept.
func (b *budget) document(n int64) error {
	if b.documents += n; n > b.limits.Document || b.documents > 16*b.limits.Document {
		return fmt.Errorf("%w: more than %d bytes of one manifest or configuration, or 16 times that of all", ErrBound, b.limits.Document)
	}
	return nil
}
