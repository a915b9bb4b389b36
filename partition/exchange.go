package partition

import (
	"fmt"
	"slices"
	"strings"

	"tidewaiter/baseline"
	"tidewaiter/entity"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// News is what one partition tells the others: what it has seen first, which
// digests it knows to be one image, what registries took in, and what its hosts
// tell of what others' registries took in. News of one partition must be absorbed
// in the order of Seq; a piece absorbed twice changes nothing.
type News struct {
	From   string           `cbor:"1,keyasint"`
	Seq    uint64           `cbor:"2,keyasint"`
	Seen   []SightingNews   `cbor:"3,keyasint"`
	Edges  []image.EdgeNews `cbor:"4,keyasint"`
	Pushes []entity.Push    `cbor:"5,keyasint,omitempty"`
	Told   []toldNews       `cbor:"6,keyasint,omitempty"`
}

// toldNews is what hosts of the sender's partition tell of a push.
type toldNews struct {
	Push  evidence.SubjectID `cbor:"1,keyasint"`
	Facts []storedItem       `cbor:"2,keyasint"`
}

func storeTold(codec *event.Codec, list []entity.Told) ([]toldNews, error) {
	var out []toldNews
	for _, t := range list {
		n := toldNews{Push: t.Push}
		for _, f := range t.Facts {
			item, err := storeFact(codec, f)
			if err != nil {
				return nil, fmt.Errorf("what is told of %s: %w", t.Push, err)
			}
			n.Facts = append(n.Facts, item)
		}
		out = append(out, n)
	}
	return out, nil
}

func restoreTold(codec *event.Codec, list []toldNews) ([]entity.Told, error) {
	var out []entity.Told
	for _, n := range list {
		t := entity.Told{Push: n.Push}
		for _, item := range n.Facts {
			f, err := item.fact(codec)
			if err != nil {
				return nil, fmt.Errorf("what is told of %s: %w", n.Push, err)
			}
			t.Facts = append(t.Facts, f)
		}
		out = append(out, t)
	}
	return out, nil
}

// SightingNews is the earliest sighting of a key in the sender's partition, or
// that it has none any more.
type SightingNews struct {
	baseline.Sighting
	Gone bool `cbor:"3,keyasint,omitempty"`
}

// news collects what changed since it was last asked for.
type news struct {
	seq     uint64
	keys    map[baseline.Key]bool // changed since the last Sync
	pending map[baseline.Key]bool // changed since the last Publish
	heard   map[string]uint64     // the last Seq absorbed, by sender
}

func newNews() news {
	return news{keys: map[baseline.Key]bool{}, pending: map[baseline.Key]bool{}, heard: map[string]uint64{}}
}

// learn takes in what memory says after a change: others must hear what is said
// otherwise here even if somebody else's sighting is earlier, because that one
// may be taken back. A change of what nobody has asked for is news to nobody:
// who asks later is told how it is then.
func (p *Partition) learn(said, changed []baseline.Key) {
	for _, k := range said {
		if !k.Counted() && !p.opt.Alone { // what is counted is counted where it is
			p.news.pending[k] = true
		}
	}
	for _, k := range changed {
		if p.watched(k) {
			p.news.keys[k] = true
		}
	}
}

func (n *news) keysSeen() { clear(n.keys) }

// foreign is the prefix of other partitions among memory's contributors.
const foreign = "partition "

func ownContributor(c string) bool { return !strings.HasPrefix(c, foreign) }

// Publish gives what others should know since the last call; ok is false if
// there is nothing. Call it after Sync. It fails only if an event cannot be
// encoded.
func (p *Partition) Publish() (n News, ok bool, err error) {
	codec, err := event.NewCodec()
	if err != nil {
		return News{}, false, err
	}
	n = News{From: p.opt.Name, Edges: p.resolver.EdgeNews(), Pushes: p.resolver.PushNews()}
	if n.Told, err = storeTold(codec, p.resolver.Answers()); err != nil {
		return News{}, false, err
	}
	if len(p.news.pending)+len(n.Edges)+len(n.Pushes)+len(n.Told) == 0 {
		return News{}, false, nil
	}
	p.news.seq++
	n.Seq = p.news.seq
	for k := range p.news.pending {
		at, seen := p.memory.FirstBy(k, ownContributor)
		n.Seen = append(n.Seen, SightingNews{baseline.Sighting{Key: k, At: at}, !seen})
	}
	slices.SortFunc(n.Seen, func(a, b SightingNews) int { return a.Compare(b.Sighting) })
	clear(p.news.pending)
	return n, true, nil
}

// Absorb takes in what another partition published. What changes by it shows
// at the next Sync. News with an event that cannot be decoded are not taken in.
func (p *Partition) Absorb(n News) error {
	if n.From == p.opt.Name || n.Seq <= p.news.heard[n.From] {
		return nil
	}
	codec, err := event.NewCodec()
	if err != nil {
		return err
	}
	told, err := restoreTold(codec, n.Told)
	if err != nil {
		return fmt.Errorf("news %d of partition %s: %w", n.Seq, n.From, err)
	}
	p.news.heard[n.From] = n.Seq
	for _, s := range n.Seen {
		if p.memory.Update(foreign+n.From, s.Key, s.At, !s.Gone) {
			p.learn(nil, []baseline.Key{s.Key})
		}
	}
	p.resolver.AbsorbEdges(n.From, n.Edges)
	p.resolver.AbsorbPushes(n.From, n.Pushes)
	p.resolver.AbsorbTold(n.From, told)
	return nil
}
