package jsonrecord

import "fmt"

// Names are keys that a decoder looks for in objects of one kind, so that one
// pass over an object finds them all. They are numbered as they were given.
type Names struct {
	names []string
	// first is 1 + the number of the first name in each slot, and next of the
	// one behind it; 0 for none.
	first [256]uint8
	next  [maxNames]uint8
}

// maxNames bounds Names.
const maxNames = 64

// NewNames makes Names of at most 64 different keys. It panics beyond that: the
// keys are a decoder's own.
func NewNames(names ...string) *Names {
	if len(names) > maxNames {
		panic(fmt.Sprintf("%d names, the limit is %d", len(names), maxNames))
	}
	n := &Names{names: names}
	for i, name := range names {
		slot := slotOf(name)
		n.next[i] = n.first[slot]
		n.first[slot] = uint8(i + 1)
	}
	return n
}

// slotOf tells most keys apart by their length and ends.
func slotOf[T string | []byte](key T) uint8 {
	if len(key) == 0 {
		return 0
	}
	return uint8(len(key)*7) + key[0]*5 + key[len(key)-1]*31 + key[len(key)/2]*11
}

// find gives the number of a key, -1 if it is none of the names.
func (n *Names) find(key []byte, slot uint8) int {
	for i := n.first[slot]; i != 0; i = n.next[i-1] {
		if n.names[i-1] == string(key) {
			return int(i - 1)
		}
	}
	return -1
}

// Name is the name of that number.
func (n *Names) Name(i int) string { return n.names[i] }

// Members are the values that an object has under Names. The zero Members has
// none. They are valid as long as Values are.
type Members struct {
	names *Names
	p     *Parser
	at    [maxNames]uint32 // the values' nodes, if set says that they are there
	set   uint64
	twice uint64 // those whose key stands twice
}

// Members finds the values under names in an object; none in anything else.
// What Get says of one key holds here too: the first is given, and a key that
// stands twice is a Fault once it is asked for.
func (v Value) Members(names *Names, m *Members) {
	m.names, m.p, m.set, m.twice = names, v.p, 0, 0
	if !v.is(kindObject) {
		return
	}
	b, nodes := v.p.scan.b, v.p.scan.nodes
	for i, end := v.at+1, nodes[v.at].next; i < end; {
		k := &nodes[i]
		key, slot := b[k.start:k.end], k.slot
		if k.escaped {
			key = Value{v.p, i}.bytes()
			slot = slotOf(key)
		}
		if n := names.find(key, slot); n >= 0 {
			if bit := uint64(1) << n; m.set&bit == 0 {
				m.set |= bit
				m.at[n] = i + 1
			} else {
				m.twice |= bit
			}
		}
		i = nodes[i+1].next
	}
}

// Get is the value under the name of that number.
func (m *Members) Get(n int) Value {
	if m.set>>n&1 == 0 {
		return Value{}
	}
	if m.twice>>n&1 != 0 {
		m.p.twice(m.names.names[n])
	}
	return Value{m.p, m.at[n]}
}
