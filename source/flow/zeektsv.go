package flow

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// errNoFields says why a line without a header cannot be read.
var errNoFields = errors.New("the #fields line is missing, so no column is known")

// layout is what the header of a tab-separated log says.
type layout struct {
	kind      kind
	separator string
	set       string // separator of set and vector elements
	empty     string // the text for an empty set or string
	unset     string // the text for a value that is not set
	path      string
	// column gives each field's place, -1 if it is not there.
	column [numFields]int
	count  int
	// fault says why the columns cannot be used, nil if they can.
	fault error
}

// newLayout is the state before any header line: Zeek's defaults.
func newLayout() layout {
	l := layout{separator: "\t", set: ",", empty: "(empty)", unset: "-"}
	l.clear()
	return l
}

func (l *layout) clear() {
	for f := range l.column {
		l.column[f] = -1
	}
	l.count, l.kind, l.fault = 0, other, nil
}

// known reports whether the columns are known.
func (l *layout) known() bool { return l.count > 0 }

// name takes over the column names. Where a field stands under two of its
// names, Zeek's own wins; the same name twice makes every line ambiguous.
func (l *layout) name(columns []string) {
	l.clear()
	l.count = len(columns)
	for f, names := range fieldNames {
		for _, n := range names {
			if l.column[f] = slices.Index(columns, n); l.column[f] < 0 {
				continue
			}
			if slices.Contains(columns[l.column[f]+1:], n) {
				l.fault = fmt.Errorf("the #fields line names %q twice", n)
			}
			break
		}
	}
	l.kind = kindOf(l.path, l.has)
}

func (l *layout) has(f field) bool { return l.column[f] >= 0 }

// header reads a line that begins with '#'. A #separator line begins a new
// log, and #close ends one, so what was known before it is forgotten.
func (l *layout) header(line string) {
	name, rest, _ := strings.Cut(line, " ")
	if name == "#separator" {
		*l = newLayout()
		if sep := unescape(strings.TrimSpace(rest)); sep != "" {
			l.separator = sep
		}
		return
	}
	name, rest, _ = strings.Cut(line, l.separator)
	switch name {
	case "#set_separator":
		if rest != "" {
			l.set = rest
		}
	case "#empty_field":
		l.empty = rest
	case "#unset_field":
		l.unset = rest
	case "#path":
		l.path = rest
	case "#fields":
		l.name(strings.Split(rest, l.separator))
	case "#close":
		*l = newLayout()
	}
}

// tsvRow is one line, cut at the separators.
type tsvRow struct {
	layout *layout
	line   []byte
	cells  []cell
	words  *jsonrecord.Words
	elems  []string // of the last list
}

// cell is where a column stands in its line: without pointers, which the
// collector would have to be told of.
type cell struct{ start, end uint32 }

func (r *tsvRow) cell(i int) []byte { return r.line[r.cells[i].start:r.cells[i].end] }

// raw is a column as it was written, nil if it is unset.
func (r *tsvRow) raw(f field) []byte {
	i := r.layout.column[f]
	if i < 0 {
		return nil
	}
	if cell := r.cell(i); r.layout.isSet(cell) {
		return cell
	}
	return nil
}

// isBareHeader reports whether the cells are column names without "#fields",
// as zeek-cut -m prints them.
func (r *tsvRow) isBareHeader() bool {
	var ts, host bool
	for i, c := range r.cells {
		switch int(c.end - c.start) {
		case len("ts"):
			ts = ts || string(r.cell(i)) == "ts"
		case len("id.orig_h"):
			host = host || string(r.cell(i)) == "id.orig_h" || string(r.cell(i)) == "id_orig_h"
		}
	}
	return ts && host
}

// isSet reports whether a cell has a value: it does not say unset or empty. A
// string that happens to read "-" is escaped by Zeek.
func (l *layout) isSet(cell []byte) bool { return string(cell) != l.unset && string(cell) != l.empty }

func (r *tsvRow) text(f field) []byte {
	raw := r.raw(f)
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	return []byte(unescape(string(raw)))
}

func (r *tsvRow) list(f field) []string {
	raw := r.raw(f)
	if len(raw) == 0 {
		return nil
	}
	// Zeek escapes the set separator inside an element, so cut first.
	r.elems = r.elems[:0]
	for more := true; more; {
		var e []byte
		e, raw, more = bytes.Cut(raw, []byte(r.layout.set))
		if r.layout.isSet(e) && len(e) > 0 {
			r.elems = append(r.elems, unescape(r.words.Of(e)))
		}
	}
	return r.elems
}

func (r *tsvRow) time(f field) (event.Time, error) { return parseTime(r.raw(f)) }

// unescape undoes Zeek's "\x2c" and "\\".
func unescape(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	b := []byte(s[:i])
	for ; i < len(s); i++ {
		switch rest := s[i:]; {
		case len(rest) >= 4 && rest[:2] == `\x` && isHexDigit(rest[2]) && isHexDigit(rest[3]):
			b = append(b, hexValue(rest[2])<<4|hexValue(rest[3]))
			i += 3
		case len(rest) >= 2 && rest[:2] == `\\`:
			b = append(b, '\\')
			i++
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

func isHexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

type tsvDecoder struct {
	out    *source.Output
	layout layout
	row    tsvRow
	converter
}

func newTSVDecoder(out *source.Output) source.Decoder {
	d := &tsvDecoder{out: out, layout: newLayout()}
	d.row.words = &d.words
	return d
}

// Flush implements source.Decoder; nothing is held back.
func (*tsvDecoder) Flush() {}

// Decode implements source.Decoder.
func (d *tsvDecoder) Decode(rec source.Record) {
	if len(rec.Data) > 0 && rec.Data[0] == '#' {
		d.layout.header(string(rec.Data))
		d.out.Skip()
		return
	}
	d.row.split(rec.Data, d.layout.separator)
	if d.row.isBareHeader() {
		d.layout.name(d.row.texts())
		d.out.Skip()
		return
	}
	l := &d.layout
	if !l.known() {
		if l = defaultLayout(d.row.texts()); l == nil {
			d.out.Unreadable(rec, errNoFields)
			return
		}
	}
	d.line(rec, l)
}

// line reads the cells by the columns of l.
func (d *tsvDecoder) line(rec source.Record, l *layout) {
	switch {
	case l.kind == other:
		d.out.Skip()
	case l.fault != nil:
		d.out.Unreadable(rec, l.fault)
	case len(d.row.cells) != l.count:
		d.out.Unreadable(rec, fmt.Errorf("line has %d columns, #fields names %d", len(d.row.cells), l.count))
	default:
		d.row.layout = l
		e, err := d.convert(&d.row, l.kind)
		d.deliver(d.out, rec, &e, err)
	}
}

// split cuts a line at its separators, as bytes.Split does.
func (r *tsvRow) split(line []byte, sep string) {
	r.line, r.cells = line, r.cells[:0]
	begin := 0
	if len(sep) == 1 {
		mark := sep[0]
		for i, c := range line {
			if c == mark {
				r.cells = append(r.cells, cell{uint32(begin), uint32(i)})
				begin = i + 1
			}
		}
	} else {
		for {
			i := bytes.Index(line[begin:], []byte(sep))
			if i < 0 {
				break
			}
			r.cells = append(r.cells, cell{uint32(begin), uint32(begin + i)})
			begin += i + len(sep)
		}
	}
	r.cells = append(r.cells, cell{uint32(begin), uint32(len(line))})
}

func (r *tsvRow) texts() []string {
	out := make([]string, len(r.cells))
	for i := range r.cells {
		out[i] = string(r.cell(i))
	}
	return out
}
