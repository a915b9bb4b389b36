package partition

import (
	"slices"
	"strings"

	"tidewaiter/baseline"
	"tidewaiter/image"
)

// News is what one partition tells the others: what it has seen first, and
// which digests it knows to be one image. News of one partition must be
// absorbed in the order of Seq; a piece absorbed twice changes nothing.
type News struct {
	From  string           `cbor:"1,keyasint"`
	Seq   uint64           `cbor:"2,keyasint"`
	Seen  []SightingNews   `cbor:"3,keyasint"`
	Edges []image.EdgeNews `cbor:"4,keyasint"`
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
// there is nothing. Call it after Sync.
func (p *Partition) Publish() (n News, ok bool) {
	edges := p.resolver.EdgeNews()
	if len(p.news.pending) == 0 && len(edges) == 0 {
		return News{}, false
	}
	p.news.seq++
	n = News{From: p.opt.Name, Seq: p.news.seq, Edges: edges}
	for k := range p.news.pending {
		at, seen := p.memory.FirstBy(k, ownContributor)
		n.Seen = append(n.Seen, SightingNews{baseline.Sighting{Key: k, At: at}, !seen})
	}
	slices.SortFunc(n.Seen, func(a, b SightingNews) int { return a.Compare(b.Sighting) })
	clear(p.news.pending)
	return n, true
}

// Absorb takes in what another partition published. What changes by it shows
// at the next Sync.
func (p *Partition) Absorb(n News) {
	if n.From == p.opt.Name || n.Seq <= p.news.heard[n.From] {
		return
	}
	p.news.heard[n.From] = n.Seq
	for _, s := range n.Seen {
		if p.memory.Update(foreign+n.From, s.Key, s.At, !s.Gone) {
			p.learn(nil, []baseline.Key{s.Key})
		}
	}
	p.resolver.AbsorbEdges(n.From, n.Edges)
}
