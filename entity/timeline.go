package entity

import (
	"iter"
	"math"
	"slices"

	"tidewaiter/event"
)

// ordered is what a timeline holds.
type ordered[T any] interface {
	// when is the element's time, in Unix nanoseconds.
	when() int64
	// compare orders by time, and those of one time by something that no two
	// elements share.
	compare(T) int
}

// timeline is a list in order of time. Records come in any order, and one
// process, address or container may have a hundred thousand of them, so it is
// kept in short pieces: adding and removing anywhere costs about as much as at
// the end. The zero value is empty.
type timeline[T ordered[T]] struct {
	pieces [][]entry[T] // none is empty
	n      int
}

// entry is an element beside its time: what looks for a time need not look at
// the elements.
type entry[T any] struct {
	at int64
	x  T
}

// pieceSize is the greatest length of a piece.
const pieceSize = 512

func (t *timeline[T]) len() int { return t.n }

// seek finds the first element of an instant or later: the piece and the place
// in it.
func (t *timeline[T]) seek(at int64) (p, i int) {
	p = leading(t.pieces, func(piece []entry[T]) bool { return piece[len(piece)-1].at < at })
	if p < len(t.pieces) {
		i = leading(t.pieces[p], func(e entry[T]) bool { return e.at < at })
	}
	return p, i
}

// place finds the first element that is not before x.
func (t *timeline[T]) place(x T) (p, i int) {
	at := x.when()
	before := func(e entry[T]) bool { return e.at < at || e.at == at && e.x.compare(x) < 0 }
	p = leading(t.pieces, func(piece []entry[T]) bool { return before(piece[len(piece)-1]) })
	if p < len(t.pieces) {
		i = leading(t.pieces[p], before)
	}
	return p, i
}

// leading is how many there are at the beginning for which before is true;
// it is for none after those.
func leading[T any](all []T, before func(T) bool) int {
	low, high := 0, len(all)
	for low < high {
		if mid := int(uint(low+high) / 2); before(all[mid]) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func (t *timeline[T]) add(x T) {
	t.n++
	p, i := t.place(x)
	if p == len(t.pieces) {
		if p == 0 || len(t.pieces[p-1]) == pieceSize {
			t.pieces = append(t.pieces, []entry[T]{{x.when(), x}})
			return
		}
		p--
		i = len(t.pieces[p])
	}
	if piece := t.pieces[p]; len(piece) == pieceSize {
		half := slices.Clone(piece[pieceSize/2:])
		clear(piece[pieceSize/2:])
		t.pieces[p] = piece[:pieceSize/2]
		t.pieces = slices.Insert(t.pieces, p+1, half)
		if i > pieceSize/2 {
			p, i = p+1, i-pieceSize/2
		}
	}
	t.pieces[p] = slices.Insert(t.pieces[p], i, entry[T]{x.when(), x})
}

// remove takes out the element that compares equal, if there is one.
func (t *timeline[T]) remove(x T) {
	p, i := t.place(x)
	if p == len(t.pieces) || t.pieces[p][i].x.compare(x) != 0 {
		return
	}
	t.n--
	piece := slices.Delete(t.pieces[p], i, i+1)
	t.pieces[p] = piece
	// Short neighbours become one, so that many removals leave few pieces.
	switch {
	case len(piece) == 0:
		t.pieces = slices.Delete(t.pieces, p, p+1)
	case p+1 < len(t.pieces) && len(piece)+len(t.pieces[p+1]) <= pieceSize/4:
		t.pieces[p] = append(piece, t.pieces[p+1]...)
		t.pieces = slices.Delete(t.pieces, p+1, p+2)
	}
}

// find gives the element that compares equal.
func (t *timeline[T]) find(x T) (found T, ok bool) {
	p, i := t.place(x)
	if p == len(t.pieces) || t.pieces[p][i].x.compare(x) != 0 {
		return found, false
	}
	return t.pieces[p][i].x, true
}

// first gives the earliest element.
func (t *timeline[T]) first() (x T, ok bool) {
	if t.n == 0 {
		return x, false
	}
	return t.pieces[0][0].x, true
}

// last gives the latest element of up to an instant.
func (t *timeline[T]) last(upTo int64) (x T, ok bool) {
	for x := range t.back(upTo) {
		return x, true
	}
	return x, false
}

// all gives every element, in order. The timeline must not change meanwhile.
func (t *timeline[T]) all() iter.Seq[T] { return t.between(always) }

// between gives the elements of an interval, both ends included, in order.
func (t *timeline[T]) between(when interval) iter.Seq[T] {
	return func(yield func(T) bool) {
		p, i := t.seek(when.from)
		for ; p < len(t.pieces); p, i = p+1, 0 {
			for _, e := range t.pieces[p][i:] {
				if e.at > when.to || !yield(e.x) {
					return
				}
			}
		}
	}
}

// back gives the elements of up to an instant, the latest first.
func (t *timeline[T]) back(upTo int64) iter.Seq[T] {
	return func(yield func(T) bool) {
		p, i := len(t.pieces), 0
		if upTo != math.MaxInt64 {
			p, i = t.seek(upTo + 1)
		}
		for {
			if i--; i < 0 {
				if p--; p < 0 {
					return
				}
				i = len(t.pieces[p]) - 1
			}
			if !yield(t.pieces[p][i].x) {
				return
			}
		}
	}
}

// after gives the first element after x.
func (t *timeline[T]) after(x T) (y T, ok bool) {
	p, i := t.place(x)
	if p < len(t.pieces) && t.pieces[p][i].x.compare(x) == 0 {
		if i++; i == len(t.pieces[p]) {
			p, i = p+1, 0
		}
	}
	if p == len(t.pieces) {
		return y, false
	}
	return t.pieces[p][i].x, true
}

// compareEvents orders events by time, then id.
func compareEvents(a, b *event.Event) int {
	if c := a.Time.Compare(b.Time); c != 0 {
		return c
	}
	return a.ID.Compare(b.ID)
}
