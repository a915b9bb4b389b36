package entity

import (
	"iter"
	"math"
	"slices"
	"sort"
	"time"

	"tidewaiter/event"
)

// What is tolerated when a time must fit an interval, in nanoseconds.
const (
	// exact allows for the time between an effect and its record.
	exact = int64(250 * time.Millisecond)
	// reorder allows for a busy host: the first command of a container can be
	// recorded before, or long after, the runtime says that it started.
	reorder = int64(5 * time.Second)
)

// interval is a stretch of time with sharp or unknown ends, in Unix
// nanoseconds. Unknown ends are the smallest and the greatest number.
type interval struct{ from, to int64 }

var always = interval{math.MinInt64, math.MaxInt64}

// widened is i with slack at both ends; unknown ends stay so.
func (i interval) widened(slack int64) interval {
	if i.from > math.MinInt64+slack {
		i.from -= slack
	}
	if i.to < math.MaxInt64-slack {
		i.to += slack
	}
	return i
}

// tenure says that a process id, or an address, was a container's during an
// interval.
type tenure struct {
	holder *container
	exec   string // id of the exec whose process it was, "" for the container's own
	when   interval
}

// tenures are those of one process id or address.
type tenures struct {
	list []tenure // in order of their beginnings
	// longer is, for each of them, the index of the last one before it that
	// ends later, or -1: what ended earlier need not be looked at one by one
	// when a host has given an address to ten thousand containers. Nil when
	// the list has changed.
	longer []int
}

func (t *tenures) add(x tenure) {
	i := sort.Search(len(t.list), func(i int) bool { return t.list[i].when.from > x.when.from })
	t.list = slices.Insert(t.list, i, x)
	t.longer = nil
}

func (t *tenures) remove(x tenure) {
	i := sort.Search(len(t.list), func(i int) bool { return t.list[i].when.from >= x.when.from })
	for ; t.list[i] != x; i++ {
	}
	t.list = slices.Delete(t.list, i, i+1)
	t.longer = nil
}

// at gives the tenures that hold an instant, when the clocks may be apart by
// slack; the one that began last comes first.
func (t *tenures) at(when event.Time, slack int64) iter.Seq[tenure] {
	return func(yield func(tenure) bool) {
		if t.longer == nil {
			t.index()
		}
		i := sort.Search(len(t.list), func(i int) bool { return t.list[i].when.widened(slack).from > when.End() }) - 1
		for i >= 0 {
			if when.At > t.list[i].when.widened(slack).to {
				i = t.longer[i]
				continue
			}
			if !yield(t.list[i]) {
				return
			}
			i--
		}
	}
}

func (t *tenures) index() {
	t.longer = make([]int, len(t.list))
	for i, x := range t.list {
		j := i - 1
		for j >= 0 && t.list[j].when.to <= x.when.to {
			j = t.longer[j]
		}
		t.longer[i] = j
	}
}

// holder is the one container that held the process id or address at an
// instant; tie says that there are several, so that nobody can tell.
func (t *tenures) holder(when event.Time, slack int64) (found *container, tie bool) {
	return t.only(when, slack, func(tenure) bool { return true })
}

// only is the holder among those whose tenures fit.
func (t *tenures) only(when event.Time, slack int64, fits func(tenure) bool) (found *container, tie bool) {
	for x := range t.at(when, slack) {
		switch c := x.holder.canonical(); {
		case !fits(x):
		case found == nil:
			found = c
		case found != c:
			return nil, true
		}
	}
	return found, false
}
