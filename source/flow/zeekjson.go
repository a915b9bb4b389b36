package flow

import (
	"bytes"
	"errors"
	"slices"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// errNotZeek says that a JSON value is no record of a Zeek log.
var errNotZeek = errors.New("not a record of a Zeek log: neither ts with uid nor _path")

// jsonRow is one JSON object. Values that are missing, null, or say "-" or
// "(empty)" (converted from tab-separated logs) are unset.
type jsonRow struct{ members jsonrecord.Members }

func (r *jsonRow) open(v jsonrecord.Value) { v.Members(jsonNames, &r.members) }

// idKeys are the keys inside a nested id object.
var idKeys = [numFields]string{
	fOrigHost: "orig_h", fOrigPort: "orig_p", fRespHost: "resp_h", fRespPort: "resp_p",
}

// jsonNames are the key "id" and all of fieldNames, one field's after another's.
var jsonNames = jsonrecord.NewNames(append([]string{"id"}, slices.Concat(fieldNames[:]...)...)...)

// firstName is the number among jsonNames of each field's first name.
var firstName = func() (first [numFields]int) {
	n := 1
	for f, names := range fieldNames {
		first[f] = n
		n += len(names)
	}
	return first
}()

func (r *jsonRow) value(f field) jsonrecord.Value {
	first := firstName[f]
	if v := r.members.Get(first); v.Exists() {
		return v
	}
	if key := idKeys[f]; key != "" {
		if v := r.members.Get(0).Get(key); v.Exists() {
			return v
		}
	}
	for n := first + 1; n < first+len(fieldNames[f]); n++ {
		if v := r.members.Get(n); v.Exists() {
			return v
		}
	}
	return jsonrecord.Value{}
}

func (r *jsonRow) has(f field) bool { return !r.value(f).IsNull() }

func (r *jsonRow) text(f field) []byte { return set(r.value(f).Bytes()) }

func (r *jsonRow) list(f field) []string {
	elems := r.value(f).Strings()
	kept := elems[:0]
	for _, e := range elems {
		if e != "-" && e != "(empty)" && e != "" {
			kept = append(kept, e)
		}
	}
	return kept
}

// time reads a time. Zeek prints a number with up to six digits after the
// point and without the zeros at its end, so a shorter fraction is no coarser
// clock; more digits come from programs that printed the float again.
func (r *jsonRow) time(f field) (event.Time, error) {
	v := r.value(f)
	text := set(v.Bytes())
	t, err := parseTime(text)
	if err == nil && !v.IsString() && bytes.IndexByte(text, '.') >= 0 {
		t.Res = event.Microsecond
	}
	return t, err
}

// set is s, or nil if it says that the value is not set.
func set(s []byte) []byte {
	if string(s) == "-" || string(s) == "(empty)" {
		return nil
	}
	return s
}

// kind tells the record's log.
func (r *jsonRow) kind() kind { return kindOf(string(r.text(fPath)), r.has) }

type jsonDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
	row    jsonRow
	converter
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
	r := &d.row
	r.open(v)
	k := r.kind()
	if k == other {
		err = errNotZeek
		if r.has(fPath) || r.has(fTS) && r.has(fUID) {
			err = errNothing
		}
		d.tell(rec, &event.Event{}, err)
		return
	}
	e, err := d.convert(r, k)
	d.tell(rec, &e, err)
}

// tell accounts for one record, which is unreadable if a key that was looked at
// stands in it twice.
func (d *jsonDecoder) tell(rec source.Record, e *event.Event, err error) {
	if fault := d.parser.Fault(); fault != nil {
		err = fault
	}
	d.deliver(d.out, rec, e, err)
}
