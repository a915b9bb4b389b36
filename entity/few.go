package entity

import (
	"iter"
	"maps"
	"slices"
)

// few is a set that has one element nearly always, of which there are hundred
// thousands: a map of one takes ten times as much. Whoever can write a log can
// make it have many, and then it is a map. The zero few is empty.
type few[T comparable] struct {
	list []T
	many map[T]bool // in place of the list
}

// maxFew is how many are held in a list.
const maxFew = 8

func (f *few[T]) len() int { return len(f.list) + len(f.many) }

func (f *few[T]) has(x T) bool { return f.many[x] || slices.Contains(f.list, x) }

func (f *few[T]) add(x T) {
	switch {
	case f.many != nil:
		f.many[x] = true
	case slices.Contains(f.list, x):
	case len(f.list) < maxFew:
		f.list = append(f.list, x)
	default:
		f.many = map[T]bool{x: true}
		for _, y := range f.list {
			f.many[y] = true
		}
		f.list = nil
	}
}

func (f *few[T]) remove(x T) {
	delete(f.many, x)
	if i := slices.Index(f.list, x); i >= 0 {
		f.list = slices.Delete(f.list, i, i+1)
	}
	if f.len() == 0 {
		*f = few[T]{}
	}
}

// all gives every element, in no order. The set must not change meanwhile.
func (f *few[T]) all() iter.Seq[T] {
	if f.many != nil {
		return maps.Keys(f.many)
	}
	return slices.Values(f.list)
}
