// Package falco reads Falco's alerts as evidence: not that a rule of Falco's
// matched, but what the process did of which it tells.
//
// In: alerts as JSON. Out: event.Process for a program that was started,
// event.Socket for a connection that was asked for, event.Loss for system calls
// that Falco dropped.
package falco

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/actor"
	"tidewaiter/source/jsonrecord"
)

// Alerts is Falco's alerts with json_output, as files and HTTP requests have
// them, and as Falcosidekick hands them on (falco.org, "Output formatting",
// "Supported fields").
//
// A rule decides which fields its alerts have. One is evidence if it tells the
// system call, evt.type, and whose it was: the container, as the usual rules do,
// or the process id on the host, proc.pid, which append_output of falco.yaml adds.
// The others are skipped: that a process was there says neither when it began nor
// what it did.
func Alerts() *source.Format {
	return &source.Format{
		Name:    "falco",
		Title:   "Falco alerts (json_output)",
		Source:  event.Falco,
		Framing: source.JSONValues,
		Sniff: func(head source.Sample) int {
			if head.HasKeys("rule", "priority", "time") && (head.HasKeys("output_fields") || head.HasKeys("output")) {
				return 90
			}
			return 0
		},
		New: func(out *source.Output) source.Decoder { return actor.NewDecoder(out, new(reader).read) },
	}
}

// Faults of a record.
var (
	errNotFalco = errors.New("no alert of Falco: expected rule, time and output_fields")
	errDrops    = errors.New("n_drops is no number of events")
)

// reader reads one record at a time.
type reader struct{ refs image.Parser }

// dropAlert is the rule by which Falco tells that it dropped events.
const dropAlert = "Falco internal: syscall event drop"

func (d *reader) read(v jsonrecord.Value) (e event.Event, key string, err error) {
	fields := v.Get("output_fields")
	if !v.Get("rule").IsString() || !v.Get("time").IsString() || !fields.IsNull() && !fields.IsObject() {
		return e, "", errNotFalco
	}
	if e.Time, err = event.ParseRFC3339(v.Bytes("time")); err != nil {
		return e, "", fmt.Errorf("time: %w", err)
	}
	e.Time.Res = event.Nanosecond // Falco drops zeros at the end
	e.Place.Host = known(v.String("hostname"))
	call := fields.String("evt.type")
	switch {
	case v.String("rule") == dropAlert:
		e.Body, err = loss(fields)
	case v.String("source") != "" && v.String("source") != "syscall", fields.Get("proc.pid").IsNull() && containerOf(fields) == "":
	case call == "execve" || call == "execveat":
		e.Body, err = d.process(fields)
	case call == "connect":
		e.Body, err = d.socket(fields)
	}
	// Several rules may match one system call: it is one event.
	key = fmt.Sprint(call, "|", e.Time.At, "|", fields.Number("proc.pid"))
	if fields.Get("proc.pid").IsNull() {
		key += containerOf(fields) + "|" + fields.String("proc.cmdline")
	}
	if s, ok := e.Body.(*event.Socket); ok {
		key += "|" + s.Addr.String()
	}
	return e, key, err
}

func loss(fields jsonrecord.Value) (event.Body, error) {
	n, ok := fields.Int("n_drops")
	if !ok || n < 0 {
		return nil, errDrops
	}
	return &event.Loss{Reason: "Falco dropped system calls", Count: n}, nil
}

// known is a value, "" for what Falco prints of one that it does not know.
func known(s string) string {
	if s == "<NA>" {
		return ""
	}
	return s
}

// containerOf is the container's id, mostly its first twelve digits; "" for the
// host.
func containerOf(f jsonrecord.Value) string {
	id := known(f.String("container.full_id"))
	if id == "" {
		id = known(f.String("container.id"))
	}
	if id == "host" {
		return ""
	}
	return id
}

func (d *reader) actor(f jsonrecord.Value) (a actor.Actor, err error) {
	if a.PID, err = actor.PID(f.Get("proc.pid")); err != nil {
		return a, err
	}
	if a.PPID, err = actor.PID(f.Get("proc.ppid")); err != nil {
		return a, err
	}
	text := func(key string) string { return known(f.String(key)) }
	a.UID, a.AUID, a.User = actor.User(f.Get("user.uid")), actor.User(f.Get("user.loginuid")), text("user.name")
	a.Exe, a.Comm, a.Cwd = text("proc.exepath"), text("proc.name"), text("proc.cwd")
	a.ParentExe, a.ParentLine = text("proc.pexepath"), text("proc.pcmdline")
	if a.Line = text("proc.exeline"); a.Line == "" {
		a.Line = text("proc.cmdline")
	}
	a.Container = containerOf(f)
	a.NoPID = f.Get("proc.pid").IsNull() && a.Container != ""
	if pod, uid := text("k8s.pod.name"), text("k8s.pod.uid"); pod != "" || uid != "" {
		a.Of = event.PodRef{Namespace: text("k8s.ns.name"), Pod: pod, UID: uid}
	}
	if repository := text("container.image.repository"); repository != "" {
		if tag := text("container.image.tag"); tag != "" {
			repository += ":" + tag
		}
		if digest := text("container.image.digest"); strings.HasPrefix(digest, "sha256:") {
			repository += "@" + digest
		}
		a.Of.Image = d.refs.Parse(repository)
	}
	return a, nil
}

func (d *reader) process(f jsonrecord.Value) (event.Body, error) {
	a, err := d.actor(f)
	if err != nil {
		return nil, err
	}
	body, err := a.Process()
	if p, ok := body.(*event.Process); ok {
		p.Added = f.Bool("proc.is_exe_upper_layer")
	}
	return body, err
}

// socket reads whom a process asked for a connection: Falco tells it as the
// remote end, as the server's, or as both ends in one.
func (d *reader) socket(f jsonrecord.Value) (event.Body, error) {
	a, err := d.actor(f)
	if err != nil {
		return nil, err
	}
	if name := f.String("fd.name"); strings.HasPrefix(name, "/") {
		return nil, nil // a socket of Unix
	}
	for _, end := range [][2]string{{"fd.rip", "fd.rport"}, {"fd.sip", "fd.sport"}} {
		to, err := actor.Address(known(f.String(end[0])), f.Get(end[1]))
		if err != nil {
			return nil, err
		}
		if to.Port() != 0 {
			return a.Socket(to, connected(f.String("evt.res")))
		}
	}
	_, remote, found := strings.Cut(f.String("fd.name"), "->")
	if !found {
		return nil, nil // the rule's alerts don't tell
	}
	to, err := endpoint(remote)
	if err != nil {
		return nil, err
	}
	return a.Socket(to, connected(f.String("evt.res")))
}

// endpoint reads address:port; an IPv6 address stands there without brackets.
func endpoint(s string) (netip.AddrPort, error) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return netip.AddrPort{}, actor.ErrNoAddress
	}
	addr, err := netip.ParseAddr(s[:at])
	if err != nil {
		return netip.AddrPort{}, actor.ErrNoAddress
	}
	port, err := strconv.ParseUint(s[at+1:], 10, 16)
	if err != nil {
		return netip.AddrPort{}, actor.ErrNoAddress
	}
	return netip.AddrPortFrom(addr.Unmap().WithZone(""), uint16(port)), nil
}

// connected reports whether a call that is over was not refused; "" and
// EINPROGRESS leave it open.
func connected(result string) bool {
	return result == "" || result == "<NA>" || result == "SUCCESS" || result == "EINPROGRESS"
}
