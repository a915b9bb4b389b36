package flow

import (
	"errors"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// errNotZeek says that a JSON value is no record of a Zeek log.
var errNotZeek = errors.New("not a record of a Zeek log: neither ts with uid nor _path")

// jsonRow is one JSON object. Values that are missing, null, or say "-" or
// "(empty)" (converted from tab-separated logs) are unset.
type jsonRow struct{ v jsonrecord.Value }

// idKeys are the keys inside a nested id object.
var idKeys = map[field]string{
	fOrigHost: "orig_h", fOrigPort: "orig_p", fRespHost: "resp_h", fRespPort: "resp_p",
}

func (r jsonRow) value(f field) jsonrecord.Value {
	names := fieldNames[f]
	if v := r.v.Get(names[0]); v.Exists() {
		return v
	}
	if key, ok := idKeys[f]; ok {
		if v := r.v.Get("id", key); v.Exists() {
			return v
		}
	}
	for _, n := range names[1:] {
		if v := r.v.Get(n); v.Exists() {
			return v
		}
	}
	return jsonrecord.Value{}
}

func (r jsonRow) has(f field) bool { return !r.value(f).IsNull() }

func (r jsonRow) text(f field) string { return set(r.value(f).Number()) }

func (r jsonRow) list(f field) []string {
	elems := r.value(f).Strings()
	kept := elems[:0]
	for _, e := range elems {
		if set(e) != "" {
			kept = append(kept, e)
		}
	}
	return kept
}

// time reads a time. Zeek prints a number with up to six digits after the
// point and without the zeros at its end, so a shorter fraction is no coarser
// clock; more digits come from programs that printed the float again.
func (r jsonRow) time(f field) (event.Time, error) {
	v := r.value(f)
	text := set(v.Number())
	t, err := parseTime(text)
	if err == nil && !v.IsString() && strings.Contains(text, ".") {
		t.Res = event.Microsecond
	}
	return t, err
}

// set is s, or "" if it says that the value is not set.
func set(s string) string {
	if s == "-" || s == "(empty)" {
		return ""
	}
	return s
}

// kind tells the record's log.
func (r jsonRow) kind() kind { return kindOf(r.text(fPath), r.has) }

type jsonDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
}

func newJSONDecoder(out *source.Output) source.Decoder { return &jsonDecoder{out: out} }

// Flush implements source.Decoder; nothing is held back.
func (*jsonDecoder) Flush() {}

// Decode implements source.Decoder.
func (d *jsonDecoder) Decode(rec source.Record) {
	v, err := d.parser.Parse(rec.Data)
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	r := jsonRow{v}
	k := r.kind()
	if k == other {
		err = errNotZeek
		if r.has(fPath) || r.has(fTS) && r.has(fUID) {
			err = errNothing
		}
		d.deliver(rec, event.Event{}, "", err)
		return
	}
	e, key, err := convert(r, k)
	d.deliver(rec, e, key, err)
}

// deliver accounts for one record, unless a key that was looked at stands in
// it twice.
func (d *jsonDecoder) deliver(rec source.Record, e event.Event, key string, err error) {
	if fault := d.parser.Fault(); fault != nil {
		err = fault
	}
	deliver(d.out, rec, e, key, err)
}
