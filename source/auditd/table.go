package auditd

import "strconv"

// Bounds of the table.
const (
	// maxOpen is how many events may be unfinished at once. Records of one
	// event are at most a few dozen events apart: the kernel's queue is one,
	// and each event is written by one task.
	maxOpen = 256
	// maxBehind is how far, in milliseconds, an unfinished event may lie
	// behind a newer one of the same node before it is given out as it is.
	maxBehind = 2000
	// minNewer is how many events must have begun since, besides, if records
	// of it are known to be missing: where little happens, the next event may
	// be hours younger and yet stand between two records of this one.
	minNewer = 16

	buckets    = 2 * maxOpen
	maxNodes   = 1024
	maxNodeLen = 255 // NAME_MAX; HOST_NAME_MAX is 64
)

// table holds the unfinished events, by key and in the order of their first
// record. The zero table is ready.
type table struct {
	bucket         [buckets]*group
	oldest, newest *group
	open           int
	begun          uint64 // events begun so far
	free           *group // emptied groups, linked by next
}

func bucketOf(k *eventKey) uint32 {
	h := k.serial ^ uint32(k.millis)*0x9e3779b1
	return (h ^ h>>15) % buckets
}

// find gives the unfinished event with key k, or nil.
func (t *table) find(k *eventKey) *group {
	for g := t.bucket[bucketOf(k)]; g != nil; g = g.chain {
		if g.key == *k {
			return g
		}
	}
	return nil
}

// add begins an event. Its key must not be there.
func (t *table) add(k eventKey) *group {
	g := t.free
	if g != nil {
		t.free = g.next
		g.reset()
	} else {
		g = new(group)
		g.args.reset()
	}
	g.key = k
	b := bucketOf(&k)
	g.chain, t.bucket[b] = t.bucket[b], g
	g.prev = t.newest
	if t.newest != nil {
		t.newest.next = g
	} else {
		t.oldest = g
	}
	t.newest = g
	t.open++
	t.begun++
	g.begun = t.begun
	return g
}

// remove takes g out. g stays readable until the next add.
func (t *table) remove(g *group) {
	at := &t.bucket[bucketOf(&g.key)]
	for *at != g {
		at = &(*at).chain
	}
	*at = g.chain
	if g.prev != nil {
		g.prev.next = g.next
	} else {
		t.oldest = g.next
	}
	if g.next != nil {
		g.next.prev = g.prev
	} else {
		t.newest = g.prev
	}
	t.open--
	g.chain, g.prev = nil, nil
	g.next, t.free = t.free, g
}

// overdue gives the oldest event if it has waited long enough now that an event
// with key k has begun, else nil.
//
// Age is measured against k and not against the newest time ever seen: after
// one record with a time from the future, or a clock that was set back, every
// event would else look old at once and be torn apart.
func (t *table) overdue(k *eventKey) *group {
	g := t.oldest
	if g == nil || t.open > maxOpen {
		return g
	}
	if g.key.node != k.node || g.key.millis+maxBehind >= k.millis {
		return nil
	}
	if t.begun-g.begun < minNewer && !g.settled() {
		return nil
	}
	return g
}

// past remembers the last events that were finished, so that a late record is
// told from the first record of an event. It forgets the oldest.
type past struct {
	sets [pastSets]pastSet
}

const (
	pastSets = 512
	pastWays = 4
)

type pastSet struct {
	ways [pastWays]pastEvent
	turn uint8 // the way to overwrite next
}

// pastEvent is small, because a hundred hosts have two hundred thousand: the node
// goes by its number.
type pastEvent struct {
	millis int64
	serial uint32
	node   uint16
	done   parts // never 0 for an event
}

// put remembers that the event of a node is finished, and which records it had.
func (p *past) put(k *eventKey, node uint16, done parts) {
	s := &p.sets[k.serial%pastSets]
	s.ways[s.turn] = pastEvent{k.millis, k.serial, node, done | hasEnd}
	s.turn = (s.turn + 1) % pastWays
}

// get tells which records a finished event had; 0 if it is not known.
func (p *past) get(k *eventKey, node uint16) parts {
	s := &p.sets[k.serial%pastSets]
	for i := range s.ways {
		if w := &s.ways[i]; w.done != 0 && w.millis == k.millis && w.serial == k.serial && w.node == node {
			return w.done
		}
	}
	return 0
}

// names keeps one copy of each node's name, so that a record costs none.
type names struct {
	last  name
	known map[string]name
	given uint16 // numbers, of which 0 is that of no name; a name that comes back after it was dropped has another
}

type name struct {
	text   string
	number uint16
}

// of gives name as a string. The copies are dropped when there are too many,
// which only a damaged log can bring about.
func (n *names) of(text []byte) string {
	if string(text) == n.last.text {
		return n.last.text
	}
	if len(text) == 0 {
		n.last = name{}
		return ""
	}
	known, ok := n.known[string(text)]
	if !ok {
		known = n.add(string(text))
	}
	n.last = known
	return known.text
}

// number is the number of a name that of gave.
func (n *names) number(text string) uint16 {
	switch text {
	case "":
		return 0
	case n.last.text:
		return n.last.number
	}
	known, ok := n.known[text]
	if !ok {
		known = n.add(text)
	}
	return known.number
}

func (n *names) add(text string) name {
	if len(n.known) >= maxNodes {
		clear(n.known)
	}
	n.given = max(n.given+1, 1)
	known := name{text, n.given}
	n.known[text] = known
	return known
}

// appendStamp prints the key's stamp as audit does: SECONDS.MILLIS:SERIAL.
func (k *eventKey) appendStamp(b []byte) []byte {
	b = strconv.AppendInt(b, k.millis/1000, 10)
	ms := k.millis % 1000
	b = append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), ':')
	return strconv.AppendUint(b, uint64(k.serial), 10)
}
