package auditd

import (
	"bytes"
	"errors"
	"fmt"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Laurel is what laurel makes of audit records: one JSON object per event, with
// the records under their types. Its json-format.md describes it, and
// src/coalesce.rs of its sources has the details. What counts, and how it is
// read, is the same as for the records themselves; besides, laurel knows which
// container a process is in.
func Laurel() *source.Format {
	return &source.Format{
		Name:    "laurel",
		Title:   "Linux audit events as JSON (laurel)",
		Source:  event.Laurel,
		Framing: source.JSONValues,
		Sniff:   sniffLaurel,
		New: func(out *source.Output) source.Decoder {
			d := &laurelDecoder{out: out, raw: newDecoder(out)}
			d.g.args.reset()
			return d
		},
	}
}

// sniffLaurel knows an event by its ID, which is an audit stamp.
func sniffLaurel(head source.Sample) int {
	if !head.HasKeys("ID") {
		return 0
	}
	_, rest, _ := bytes.Cut(head.Data, []byte(`"ID"`))
	rest = bytes.TrimLeft(rest, " \t\r\n:")
	if len(rest) == 0 || rest[0] != '"' {
		return 0
	}
	stamp, _, _ := bytes.Cut(rest[1:min(len(rest), maxStamp+2)], []byte{'"'})
	if _, _, ok := parseStamp(stamp); !ok {
		return 0
	}
	return 95
}

// Faults of an event of laurel.
var (
	errNotLaurel  = errors.New("not an event of laurel: expected an object with an ID, SECONDS.MILLIS:SERIAL")
	errNoSyscall  = errors.New("SYSCALL is damaged: expected an object with syscall or SYSCALL, pid and exe")
	errLaurelPath = errors.New("PATH is damaged: expected objects")
	errLaurelAddr = errors.New("SOCKADDR is damaged: expected saddr, or SADDR with an address and a port")
	errLaurelFlag = errors.New("OPENAT2 is damaged: expected oflag in octal")
)

type laurelDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
	raw    *decoder // makes the bodies
	g      group    // the event that is being read
}

// Decode implements source.Decoder.
func (d *laurelDecoder) Decode(rec source.Record) {
	body, err := d.read(rec.Data)
	if fault := d.parser.Fault(); fault != nil {
		err = fault
	}
	if d.out.Tells(rec, body, err) {
		k := &d.g.key
		what := string(body.Kind())
		if loss, ok := body.(*event.Loss); ok {
			what += " " + loss.Reason
		}
		d.out.Event(event.Event{Time: k.time(), Place: event.Place{Host: k.node}, Body: body}, d.raw.nativeKey(k, what), rec.Span)
	}
}

// Flush implements source.Decoder; nothing is held back.
func (d *laurelDecoder) Flush() {}

// read fills the group from the event's records, as the decoder of raw records
// does one by one, and makes the body.
func (d *laurelDecoder) read(data []byte) (event.Body, error) {
	v, err := d.parser.Parse(data)
	if err != nil {
		return nil, err
	}
	d.g.reset()
	if err := d.readKey(v); err != nil {
		return nil, err
	}
	syscall := v.Get("SYSCALL")
	if !syscall.Exists() {
		return withoutSyscall(v)
	}
	if err := d.g.readSyscall(syscall); err != nil {
		return nil, err
	}
	if !d.g.syscall.wanted() {
		return nil, nil
	}
	if err := d.g.readRecords(v); err != nil {
		return nil, err
	}
	body, err := d.raw.body(&d.g)
	if body != nil {
		setContainer(body, laurelContainer(v, syscall))
	}
	return body, err
}

func (d *laurelDecoder) readKey(v jsonrecord.Value) error {
	millis, serial, ok := parseStamp([]byte(v.String("ID")))
	if !ok {
		return errNotLaurel
	}
	node := unescape(v.String("NODE"))
	if len(node) > maxNodeLen {
		return errNode
	}
	d.g.key = eventKey{d.raw.names.of([]byte(node)), millis, serial}
	return nil
}

// withoutSyscall reads an event that has no SYSCALL record: a loss that is
// stated, messages of programs, or what is left when the record was lost.
func withoutSyscall(v jsonrecord.Value) (event.Body, error) {
	if v.Get("URINGOP").Exists() {
		return nil, nil
	}
	for _, c := range laurelRecords(v.Get("CONFIG_CHANGE")) {
		var text []byte
		c.Each(func(key string, val jsonrecord.Value) {
			text = fmt.Appendf(text, "%s=%s ", key, val.Number())
		})
		if loss := readConfigChange(text); loss != nil {
			return loss, nil
		}
	}
	for _, t := range []recordType{typeExecve, typeSockaddr, typePath, typeOpenat2} {
		if v.Get(t.String()).Exists() {
			return nil, fmt.Errorf("%v without its SYSCALL record", t)
		}
	}
	return nil, nil
}

// laurelRecords are the records of one type: laurel prints a list where an
// event can have several, else the record itself.
func laurelRecords(v jsonrecord.Value) []jsonrecord.Value {
	if v.IsObject() {
		return []jsonrecord.Value{v}
	}
	return v.Array()
}

// laurelContainer is the container's id as laurel found it in the process's
// control group.
func laurelContainer(v, syscall jsonrecord.Value) string {
	for _, c := range []jsonrecord.Value{v.Get("CONTAINER_INFO"), syscall.Get("PID", "container"), v.Get("PID", "container")} {
		for _, key := range []string{"ID", "id"} {
			if id := c.String(key); id != "" && len(id) <= maxNodeLen {
				return id
			}
		}
	}
	return ""
}

func setContainer(body event.Body, id string) {
	switch b := body.(type) {
	case *event.Process:
		b.Container = id
	case *event.Socket:
		b.Container = id
	case *event.FileWrite:
		b.Container = id
	}
}

// readRecords reads the other records of the event.
func (g *group) readRecords(v jsonrecord.Value) (err error) {
	if cwd := v.Get("CWD", "cwd"); cwd.Exists() {
		if g.cwd, err = g.putText(laurelText(cwd)); err != nil {
			return err
		}
		g.have |= hasCwd
	}
	if err := g.readPaths(v.Get("PATH")); err != nil {
		return err
	}
	switch c := g.syscall.call; {
	case c.executes(), c == callUnknown:
		if err := g.readTitle(v.Get("PROCTITLE")); err != nil {
			return err
		}
		g.readExecve(v.Get("EXECVE"))
	case c == callConnect:
		return g.readSockaddr(v.Get("SOCKADDR"))
	case c == callOpenat2:
		return g.readOpenat2(v.Get("OPENAT2"))
	}
	return nil
}

// readPaths reads the PATH records. A record without a number stands for its
// place in the list; those beyond the bounds are left out.
func (g *group) readPaths(v jsonrecord.Value) (err error) {
	if !v.IsNull() && !v.IsArray() && !v.IsObject() {
		return errLaurelPath
	}
	for i, r := range laurelRecords(v) {
		if !r.IsObject() {
			return errLaurelPath
		}
		p := pathRecord{item: i}
		if n, ok := laurelNumber(r.Get("item")); ok {
			p.item = int(min(n, maxItem+1))
		}
		if p.item > maxItem || g.items&(1<<p.item) != 0 || len(g.paths) == maxPaths {
			continue
		}
		if kind := r.String("nametype") + r.String("objtype"); kind != "" {
			p.kind = pathKindOf([]byte(kind))
		}
		if p.name, err = g.putText(laurelText(r.Get("name"))); err != nil {
			return err
		}
		if dev := r.String("dev"); len(dev) <= maxDevice {
			p.dev = ref{len(g.text), len(dev)}
			g.text = append(g.text, dev...)
		}
		g.items |= 1 << p.item
		g.paths = append(g.paths, p)
	}
	return nil
}

// readOpenat2 reads flags that the kernel prints in octal with a leading 0:
// whatever form laurel gives them, the digits are octal.
func (g *group) readOpenat2(v jsonrecord.Value) error {
	records := laurelRecords(v)
	if len(records) == 0 {
		return nil
	}
	text := []byte("oflag=" + trimPrefixes(records[0].Number("oflag"), "0o", "0O"))
	if _, err := g.addOpenat2(text); err != nil || len(text) == len("oflag=") {
		return errLaurelFlag
	}
	return nil
}
