// Package sysmon reads Sysmon's events, of Windows and of Linux.
//
// In: events as XML, as wevtutil prints it or inside syslog, and as JSON of
// winlogbeat, of the Azure Monitor agent, of Wazuh, and of tools that turn the
// XML into objects. Out: event.Process, event.Socket, event.FileWrite and
// event.DNS, and event.Loss where Sysmon says that something went wrong.
package sysmon

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/actor"
)

var (
	errNoTime = errors.New("no time: want UtcTime or SystemTime")
	errNoID   = errors.New("no EventID")
)

// entry is one event of the Windows event log, or of Sysmon for Linux.
type entry struct {
	provider, computer string
	id, record         string
	system             string // SystemTime
	data               map[string]string
	cut                bool // what stands last may be shorter than it was
}

// Event ids (learn.microsoft.com, "Sysmon").
const (
	processCreate = "1"
	connected     = "3"
	fileCreate    = "11"
	dnsQuery      = "22"
	sysmonError   = "255"
)

// linux reports whether it is of Sysmon for Linux.
func (e *entry) linux() bool { return strings.Contains(e.provider, "Linux") }

// value is one of the event's data; Sysmon writes "-" for nothing.
func (e *entry) value(name string) string {
	if s := e.data[name]; s != "-" {
		return s
	}
	return ""
}

func (e *entry) number(name string) int {
	n, err := strconv.Atoi(e.value(name))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// tell reads one event and accounts for its records.
func tell(out *source.Output, e *entry, rec source.Record, spans []event.Span) {
	body, err := e.body()
	var at event.Time
	if err == nil && body != nil {
		at, err = e.time()
	}
	if err != nil {
		err = fmt.Errorf("event %s: %w", cmp.Or(clip(e.id), "without id"), err)
	}
	if !out.Tells(rec, body, err) {
		return
	}
	// What makes an event unique is its number in its computer's log, which
	// starts anew when the log is cleared.
	key := strings.Join([]string{e.computer, e.id, e.record, at.String(), e.value("ProcessGuid")}, "|")
	if e.record == "" {
		key += "|" + string(rec.Data)
	}
	out.Event(event.Event{Time: at, Place: event.Place{Host: hostName(out, e.computer)}, Body: body}, []byte(key), spans...)
}

// hostName is the computer's name, in the form in which the inventory has it:
// logs print it with or without its domain.
func hostName(out *source.Output, computer string) string {
	first, _, _ := strings.Cut(computer, ".")
	if known := out.Place.Host; known != "" && (strings.EqualFold(known, computer) || strings.EqualFold(known, first)) {
		return known
	}
	return computer
}

// time is when it happened: UtcTime is that of the event, SystemTime that of
// its record. Both are in UTC.
func (e *entry) time() (event.Time, error) {
	for _, s := range []string{e.value("UtcTime"), e.system} {
		if len(s) > 10 && s[10] == ' ' {
			s = s[:10] + "T" + s[11:] + "Z"
		}
		if s != "" {
			return event.ParseRFC3339(s)
		}
	}
	return event.Time{}, errNoTime
}

// body is what the event says, nil if it is of no interest.
func (e *entry) body() (event.Body, error) {
	if e.id == "" {
		return nil, errNoID
	}
	if !strings.Contains(e.provider, "Sysmon") {
		return nil, nil
	}
	switch e.id {
	case processCreate:
		return e.process(), nil
	case connected:
		return e.socket()
	case fileCreate:
		if e.value("TargetFilename") == "" {
			return nil, nil
		}
		return &event.FileWrite{PID: e.number("ProcessId"), Exe: e.value("Image"), Path: e.value("TargetFilename"), UID: e.uid(), AUID: -1}, nil
	case dnsQuery:
		return e.dns(), nil
	case sysmonError:
		return &event.Loss{Reason: "Sysmon: " + clip(cmp.Or(e.value("ID"), "error")), Count: -1}, nil
	}
	return nil, nil
}

// uid is the user's id where the name tells it: Sysmon writes names.
func (e *entry) uid() int {
	if e.linux() && e.value("User") == "root" {
		return 0
	}
	return -1
}

func (e *entry) process() *event.Process {
	p := &event.Process{
		PID: e.number("ProcessId"), PPID: e.number("ParentProcessId"), Exe: e.value("Image"), Cwd: e.value("CurrentDirectory"),
		UID: e.uid(), AUID: -1, Session: -1, User: e.value("User"), ParentExe: e.value("ParentImage"), ParentCommand: e.value("ParentCommandLine"),
	}
	line := e.value("CommandLine")
	p.ArgsTruncated = e.cut && e.data["User"] == "" // which comes after the arguments
	if len(line) > maxCommand {
		line, p.ArgsTruncated = line[:maxCommand], true
	}
	if len(p.ParentCommand) > maxCommand {
		p.ParentCommand = p.ParentCommand[:maxCommand]
	}
	if e.linux() {
		p.Args = actor.JoinedArgs(line, maxArgs)
	} else {
		p.Args = windowsArgs(line)
	}
	return p
}

// socket reads a connection that the process asked for; one that came to it is
// of no interest.
func (e *entry) socket() (event.Body, error) {
	if e.value("Initiated") == "false" {
		return nil, nil
	}
	addr, err := netip.ParseAddr(e.value("DestinationIp"))
	if err != nil {
		return nil, fmt.Errorf("DestinationIp: %q is not an address", clip(e.value("DestinationIp")))
	}
	port, err := strconv.ParseUint(cmp.Or(e.value("DestinationPort"), "0"), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("DestinationPort: %q is not a port", clip(e.value("DestinationPort")))
	}
	return &event.Socket{
		PID: e.number("ProcessId"), Exe: e.value("Image"), UID: e.uid(), AUID: -1, Success: true,
		Addr: netip.AddrPortFrom(addr.Unmap().WithZone(""), uint16(port)),
	}, nil
}

// dnsCodes names the results of DnsQuery (winerror.h, DNS_ERROR_RCODE_*).
var dnsCodes = map[string]string{"0": "NOERROR", "9001": "FORMERR", "9002": "SERVFAIL", "9003": "NXDOMAIN", "9004": "NOTIMP", "9005": "REFUSED"}

// dns reads a query. Results are separated by semicolons: addresses, of which
// those of version 4 are written as version 6, and "type: 5 NAME".
func (e *entry) dns() event.Body {
	b := &event.DNS{PID: e.number("ProcessId"), Query: domain(e.value("QueryName")), Code: dnsCodes[e.value("QueryStatus")]}
	if b.Query == "" || len(b.Query) > maxName {
		return nil
	}
	for i, s := range strings.Split(e.value("QueryResults"), ";") {
		if i == maxAnswers {
			break
		}
		s = strings.TrimSpace(s)
		if a, err := netip.ParseAddr(s); err == nil {
			b.Addrs = append(b.Addrs, a.Unmap().WithZone(""))
			continue
		}
		f := strings.Fields(s)
		if len(f) == 3 && f[0] == "type:" && f[1] == "5" && len(f[2]) <= maxName {
			b.Names = append(b.Names, domain(f[2]))
		}
	}
	return b
}

// Bounds of what is kept of one event.
const (
	maxCommand = 32 << 10 // Windows has no longer command lines
	maxArgs    = 4096
	maxName    = 255
	maxAnswers = 64
)

func domain(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
