package flow

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
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

// isBareHeader reports whether the cells are column names without "#fields",
// as zeek-cut -m prints them.
func isBareHeader(cells []string) bool {
	var ts, host bool
	for _, c := range cells {
		ts = ts || c == "ts"
		host = host || c == "id.orig_h" || c == "id_orig_h"
	}
	return ts && host
}

// tsvRow is one line, cut at the separators.
type tsvRow struct {
	layout *layout
	cells  []string
}

func (r *tsvRow) raw(f field) string {
	i := r.layout.column[f]
	if i < 0 {
		return ""
	}
	return r.layout.value(r.cells[i])
}

// value is a cell's content, "" if it says unset or empty. A string that
// happens to read "-" is escaped by Zeek.
func (l *layout) value(cell string) string {
	if cell == l.unset || cell == l.empty {
		return ""
	}
	return cell
}

func (r *tsvRow) text(f field) string { return unescape(r.raw(f)) }

func (r *tsvRow) list(f field) []string {
	raw := r.raw(f)
	if raw == "" {
		return nil
	}
	// Zeek escapes the set separator inside an element, so cut first.
	elems := strings.Split(raw, r.layout.set)
	kept := elems[:0]
	for _, e := range elems {
		if e = r.layout.value(e); e != "" {
			kept = append(kept, unescape(e))
		}
	}
	return kept
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
}

func newTSVDecoder(out *source.Output) source.Decoder {
	return &tsvDecoder{out: out, layout: newLayout()}
}

// Flush implements source.Decoder; nothing is held back.
func (*tsvDecoder) Flush() {}

// Decode implements source.Decoder.
func (d *tsvDecoder) Decode(rec source.Record) {
	line := string(rec.Data)
	if line != "" && line[0] == '#' {
		d.layout.header(line)
		d.out.Skip()
		return
	}
	d.row.cells = splitInto(d.row.cells[:0], line, d.layout.separator)
	if isBareHeader(d.row.cells) {
		d.layout.name(d.row.cells)
		d.out.Skip()
		return
	}
	l := &d.layout
	if !l.known() {
		if l = defaultLayout(d.row.cells); l == nil {
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
		e, key, err := convert(&d.row, l.kind)
		deliver(d.out, rec, e, key, err)
	}
}

// splitInto is strings.Split into memory that is used again.
func splitInto(cells []string, s, sep string) []string {
	for {
		i := strings.Index(s, sep)
		if i < 0 {
			return append(cells, s)
		}
		cells = append(cells, s[:i])
		s = s[i+len(sep):]
	}
}
