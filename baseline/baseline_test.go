package baseline_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"tidewaiter/baseline"
)

// A key's parts are delimited: what one kind or part ends with is not what the
// next begins with.
func TestKeysOfDifferentPartsDiffer(t *testing.T) {
	keys := map[baseline.Key][]string{}
	for _, parts := range [][]string{
		{"image"}, {"image", ""}, {"image", "", ""}, {"image", "a", "b"}, {"image", "ab"}, {"image", "ab", ""}, {"imagea", "b"},
		{"image", "a b"}, {"image", "a\x00b"}, {"image", "b", "a"},
	} {
		k := baseline.NewKey(parts[0], parts[1:]...)
		if other, ok := keys[k]; ok {
			t.Errorf("%q and %q have the same key", parts, other)
		}
		keys[k] = parts
		if k != baseline.NewKey(parts[0], parts[1:]...) {
			t.Errorf("%q has two keys", parts)
		}
	}
}

// model is what Memory must answer: every contributor's sightings, searched.
type model struct {
	live    map[string]baseline.Sightings
	settled baseline.Sightings
}

func (m *model) first(k baseline.Key) (int64, bool) {
	all := []baseline.Sightings{m.settled}
	for _, s := range m.live {
		all = append(all, s)
	}
	at, ok := int64(0), false
	for _, s := range all {
		if t, had := s[k]; had && (!ok || t < at) {
			at, ok = t, true
		}
	}
	return at, ok
}

func (m *model) answers(keys []baseline.Key) map[baseline.Key]any {
	out := map[baseline.Key]any{}
	for _, k := range keys {
		at, ok := m.first(k)
		out[k] = [2]any{at, ok}
	}
	return out
}

// TestMemoryIsExact compares Memory with a model over random changes: the
// answers are minima, no sighting is forgotten, none invented, and the keys
// that a change names are those whose answer changed.
func TestMemoryIsExact(t *testing.T) {
	for seed := range uint64(200) {
		tryMemory(t, rand.New(rand.NewPCG(seed, 1)))
	}
}

func tryMemory(t *testing.T, rng *rand.Rand) {
	t.Helper()
	var keys []baseline.Key
	for i := range 12 {
		keys = append(keys, baseline.NewKey("k", fmt.Sprint(i)))
	}
	m, want := baseline.New(), &model{live: map[string]baseline.Sightings{}, settled: baseline.Sightings{}}
	for range 60 {
		who := fmt.Sprint("c", rng.IntN(4))
		before := want.answers(keys)
		var changed []baseline.Key
		switch rng.IntN(4) {
		case 0, 1:
			now := baseline.Sightings{}
			for range rng.IntN(6) {
				now.See(keys[rng.IntN(len(keys))], int64(rng.IntN(10)))
			}
			want.live[who] = now
			_, changed = m.Replace(who, now)
		case 2:
			changed = update(m, want, "partition x", keys[rng.IntN(len(keys))], int64(rng.IntN(10)), rng.IntN(3) > 0)
		default:
			for k, at := range want.live[who] {
				want.settled.See(k, at)
			}
			delete(want.live, who)
			m.Settle(who)
		}
		check(t, m, want, keys, before, changed)
	}
}

// update changes one sighting of somebody whose memory is elsewhere.
func update(m *baseline.Memory, want *model, who string, k baseline.Key, at int64, present bool) []baseline.Key {
	if want.live[who] == nil {
		want.live[who] = baseline.Sightings{}
	}
	delete(want.live[who], k)
	if present {
		want.live[who][k] = at
	}
	if m.Update(who, k, at, present) {
		return []baseline.Key{k}
	}
	return nil
}

func check(t *testing.T, m *baseline.Memory, want *model, keys []baseline.Key, before map[baseline.Key]any, changed []baseline.Key) {
	t.Helper()
	known := 0
	for k, answer := range want.answers(keys) {
		at, ok := m.First(k)
		if got := [2]any{at, ok}; got != answer {
			t.Fatalf("first sighting %v, want %v", got, answer)
		}
		if ok {
			known++
		}
		if differs := before[k] != answer; differs != slices.Contains(changed, k) {
			t.Fatalf("key told as changed: %v; changed: %v", slices.Contains(changed, k), differs)
		}
	}
	if m.Len() != known {
		t.Fatalf("Len %d, want %d", m.Len(), known)
	}
}

// What a contributor says is told apart from what is so: somebody else's
// earlier sighting does not hide it.
func TestReplaceTellsWhatIsSaid(t *testing.T) {
	m, k := baseline.New(), baseline.NewKey("k", "1")
	m.Replace("early", baseline.Sightings{k: 1})
	said, changed := m.Replace("late", baseline.Sightings{k: 5})
	if !slices.Equal(said, []baseline.Key{k}) || len(changed) != 0 {
		t.Errorf("said %v, changed %v", said, changed)
	}
	if said, _ := m.Replace("late", baseline.Sightings{k: 5}); len(said) != 0 {
		t.Errorf("said again without a change: %v", said)
	}
	at, ok := m.FirstBy(k, func(c string) bool { return c == "late" })
	if at != 5 || !ok {
		t.Errorf("FirstBy late: %d, %v", at, ok)
	}
	if _, ok := m.FirstBy(k, func(string) bool { return false }); ok {
		t.Error("FirstBy nobody has an answer")
	}
}

// Settled sightings survive; live ones are their contributors' to tell again.
func TestSettledMemoryIsRestored(t *testing.T) {
	m := baseline.New()
	k, l := baseline.NewKey("k", "1"), baseline.NewKey("k", "2")
	m.Replace("a", baseline.Sightings{k: 3, l: 4})
	m.Settle("a")
	m.Replace("b", baseline.Sightings{k: 1})
	r := baseline.New()
	r.Restore(m.Settled())
	if !reflect.DeepEqual(r.Settled(), m.Settled()) || r.Len() != 2 {
		t.Errorf("restored %v, want %v", r.Settled(), m.Settled())
	}
	if at, _ := r.First(k); at != 3 {
		t.Errorf("first sighting %d, want 3", at)
	}
}

// Nothing of a contributor that left stays behind.
func TestMemoryOfTheGoneIsLetGo(t *testing.T) {
	m := baseline.New()
	for i := range 1000 {
		who := fmt.Sprint(i)
		m.Replace(who, baseline.Sightings{baseline.NewKey("k", who): 1})
		m.Replace(who, nil)
		m.Update("partition x", baseline.NewKey("k", who), 1, true)
		m.Update("partition x", baseline.NewKey("k", who), 0, false)
	}
	if m.Len() != 0 {
		t.Errorf("%d keys are kept of contributors that took everything back", m.Len())
	}
}

// What is made permanent stays when its contributor says less, and what is counted
// is not counted twice.
func TestFixedSightingsStay(t *testing.T) {
	m := baseline.New()
	k, gone, counted := baseline.NewKey("k", "1"), baseline.NewKey("k", "2"), baseline.NewCountedKey("n", "1")
	m.Fix("nobody")
	m.Replace("a", baseline.Sightings{k: 5, gone: 7, counted: 5})
	m.Fix("a")
	m.Replace("a", baseline.Sightings{k: 9, counted: 5})
	m.Fix("a")
	if at, ok := m.First(k); !ok || at != 5 {
		t.Errorf("first seen %d, %v", at, ok)
	}
	if at, ok := m.First(gone); !ok || at != 7 {
		t.Errorf("what it does not say any more: %d, %v", at, ok)
	}
	if n := m.Count(counted, 0, 10); n != 1 {
		t.Errorf("counted %d times", n)
	}
	m.Replace("a", nil)
	if at, ok := m.First(k); !ok || at != 5 || m.Count(counted, 0, 10) != 0 {
		t.Errorf("taken back: %d, %v, %d", at, ok, m.Count(counted, 0, 10))
	}
}
