package partition

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
)

// fileSettled drops what is said of settled subjects beyond their bound: the
// mildest first, and of those the longest over.
func (p *Partition) fileSettled() {
	if len(p.settled) <= p.opt.Settled {
		return
	}
	type worth struct {
		severity analytic.Severity
		last     int64
	}
	worths := map[evidence.SubjectID]worth{}
	for id, found := range p.settled {
		var w worth
		for _, a := range found {
			w.severity = max(w.severity, a.Severity)
			for _, e := range a.Evidence {
				w.last = max(w.last, e.Fact.Event.RecordTime())
			}
		}
		worths[id] = w
	}
	ids := slices.SortedFunc(maps.Keys(worths), func(a, b evidence.SubjectID) int {
		v, w := worths[a], worths[b]
		return cmp.Or(cmp.Compare(v.severity, w.severity), cmp.Compare(v.last, w.last), a.Compare(b))
	})
	for _, id := range ids[:len(ids)-p.opt.Settled+p.opt.Settled/10] {
		p.book.Forget(id)
		delete(p.settled, id)
		p.gone.add(goneKey(id))
		p.counts.Unkept++
	}
}

// storedAssessment is an assessment of a subject whose evidence has been let
// go: the only thing in a snapshot that cannot be worked out anew.
type storedAssessment struct {
	Assessment analytic.Assessment `cbor:"1,keyasint"` // without its evidence
	Items      []storedItem        `cbor:"2,keyasint"`
}

type storedItem struct {
	Kind       evidence.Kind            `cbor:"1,keyasint"`
	Event      []byte                   `cbor:"2,keyasint"`
	Command    *evidence.CommandFact    `cbor:"3,keyasint,omitempty"`
	Connection *evidence.ConnectionFact `cbor:"4,keyasint,omitempty"`
	Leg        string                   `cbor:"5,keyasint,omitempty"`
	Signals    []string                 `cbor:"6,keyasint,omitempty"`
	Container  int                      `cbor:"7,keyasint,omitempty"`
}

func storeFact(codec *event.Codec, f evidence.Fact) (storedItem, error) {
	b, err := codec.Encode(f.Event)
	return storedItem{Kind: f.Kind, Event: b, Command: f.Command, Connection: f.Connection, Container: f.Container}, err
}

func (it storedItem) fact(codec *event.Codec) (evidence.Fact, error) {
	e, err := codec.Decode(it.Event)
	return evidence.Fact{Kind: it.Kind, Container: it.Container, Event: e, Command: it.Command, Connection: it.Connection}, err
}

// storeSettled encodes what is said of the settled subjects, in their order.
func (p *Partition) storeSettled(codec *event.Codec) ([]storedAssessment, error) {
	var out []storedAssessment
	for _, id := range slices.SortedFunc(maps.Keys(p.settled), evidence.SubjectID.Compare) {
		for _, a := range p.settled[id] {
			s := storedAssessment{Assessment: a}
			s.Assessment.Evidence = nil
			for _, it := range a.Evidence {
				item, err := storeFact(codec, it.Fact)
				if err != nil {
					return nil, fmt.Errorf("store finding of %s: %w", id, err)
				}
				item.Leg, item.Signals = it.Leg, it.Signals
				s.Items = append(s.Items, item)
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// restoreSettled takes in what storeSettled gave.
func (p *Partition) restoreSettled(codec *event.Codec, stored []storedAssessment) error {
	for _, s := range stored {
		a := s.Assessment
		for _, it := range s.Items {
			f, err := it.fact(codec)
			if err != nil {
				return err
			}
			a.Evidence = append(a.Evidence, analytic.Item{Fact: f, Leg: it.Leg, Signals: it.Signals})
		}
		p.settled[a.Subject] = append(p.settled[a.Subject], a)
	}
	for id, as := range p.settled {
		p.book.Put(id, as)
	}
	return nil
}
