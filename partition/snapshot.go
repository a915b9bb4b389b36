package partition

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"tidewaiter/baseline"
	"tidewaiter/entity"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// ErrSnapshot is wrapped by the errors of Restore.
var ErrSnapshot = errors.New("not a snapshot of this program")

// snapshotMagic begins every snapshot; the last byte is the version of its
// form.
var snapshotMagic = []byte("tidewaiter-snapshot\x01")

// snapshot is a partition's state. It is the events that still matter and what
// cannot be told from them; the rest is worked out anew, so that the form of
// what is stored does not change with the code that works on it.
type snapshot struct {
	Events    [][]byte                       `cbor:"1,keyasint"`
	Settled   []baseline.Sighting            `cbor:"2,keyasint"`
	Foreign   map[string][]baseline.Sighting `cbor:"3,keyasint"`
	Edges     map[string][]image.EdgeNews    `cbor:"4,keyasint"`
	Heard     map[string]uint64              `cbor:"5,keyasint"`
	Seq       uint64                         `cbor:"6,keyasint"`
	Pending   []baseline.Key                 `cbor:"7,keyasint"`
	Watermark int64                          `cbor:"8,keyasint"`
	EdgeNews  []image.Edge                   `cbor:"9,keyasint"`
	Findings  []storedAssessment             `cbor:"10,keyasint"`
	Gone      []uint64                       `cbor:"11,keyasint,omitempty"`
	Pushes    map[string][]entity.Push       `cbor:"12,keyasint,omitempty"`
	Told      map[string][]toldNews          `cbor:"13,keyasint,omitempty"`
	PushNews  []evidence.SubjectID           `cbor:"14,keyasint,omitempty"`
	Answers   []evidence.SubjectID           `cbor:"15,keyasint,omitempty"`
}

// Snapshot gives the partition's state as bytes. Call it after Sync.
func (p *Partition) Snapshot() ([]byte, error) {
	codec, err := event.NewCodec()
	if err != nil {
		return nil, err
	}
	s := snapshot{
		Settled: p.memory.Settled(), Foreign: map[string][]baseline.Sighting{}, Edges: map[string][]image.EdgeNews{},
		Heard: p.news.heard, Seq: p.news.seq, Watermark: p.watermark,
		Pending: slices.Collect(maps.Keys(p.news.pending)), EdgeNews: p.resolver.PendingEdges(), Gone: p.gone.list(),
	}
	if s.Findings, err = p.storeSettled(codec); err != nil {
		return nil, err
	}
	s.Pushes, s.Told = map[string][]entity.Push{}, map[string][]toldNews{}
	s.PushNews, s.Answers = p.resolver.PendingPushes(), p.resolver.PendingAnswers()
	for from := range p.news.heard {
		s.Pushes[from] = p.resolver.ForeignPushes(from)
		if s.Told[from], err = storeTold(codec, p.resolver.ForeignTold(from)); err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
		s.Foreign[from] = p.memory.Contribution(foreign + from)
		s.Edges[from] = p.resolver.ForeignEdges(from)
	}
	ids := slices.SortedFunc(maps.Keys(p.events), event.ID.Compare)
	for _, id := range ids {
		b, err := codec.Encode(p.events[id])
		if err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
		s.Events = append(s.Events, b)
	}
	body, err := codec.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return append(bytes.Clone(snapshotMagic), body...), nil
}

// Restore makes a partition from a snapshot. It fails with ErrSnapshot if the
// bytes are none, or of another version.
func Restore(opt Options, b []byte) (*Partition, error) {
	body, ok := bytes.CutPrefix(b, snapshotMagic)
	if !ok {
		return nil, ErrSnapshot
	}
	codec, err := event.NewCodec()
	if err != nil {
		return nil, err
	}
	var s snapshot
	if err := codec.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	p := New(opt)
	if len(s.Gone) > 0 {
		p.gone.old = [][]uint64{slices.Sorted(slices.Values(s.Gone))}
	}
	for _, b := range s.Events {
		e, err := codec.Decode(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
		}
		p.Apply(*e)
	}
	p.memory.Restore(s.Settled)
	for from, list := range s.Foreign {
		for _, seen := range list {
			p.memory.Update(foreign+from, seen.Key, seen.At, true)
		}
	}
	for from, list := range s.Edges {
		p.resolver.AbsorbEdges(from, list)
	}
	for from, list := range s.Pushes {
		p.resolver.AbsorbPushes(from, list)
	}
	for from, list := range s.Told {
		told, err := restoreTold(codec, list)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
		}
		p.resolver.AbsorbTold(from, told)
	}
	p.resolver.RestorePendingEdges(s.EdgeNews)
	p.resolver.RestorePending(s.PushNews, s.Answers)
	maps.Copy(p.news.heard, s.Heard)
	p.news.seq, p.watermark = s.Seq, s.Watermark
	if err := p.restoreSettled(codec, s.Findings); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	p.Sync()
	clear(p.news.pending)
	for _, k := range s.Pending {
		p.news.pending[k] = true
	}
	p.book.Revisions()
	return p, nil
}
