package guest

import (
	"bytes"
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidewaiter/event"
	"tidewaiter/source"
)

// CloudInit is cloud-init's two logs, cloud-init.log and cloud-init-output.log,
// as files or through syslog. The first is in UTC. The second has times only
// where a stage begins; what scripts print between lies somewhere between the
// two, and so its time is that interval.
//
// Told are boots, with the addresses that cloud-init found, the commands that it
// runs, scripts of the user, the commands that a script shows of itself (set -x),
// how a script ended, and the end of the boot's work. Everything else that a
// script printed is skipped.
func CloudInit() *source.Format {
	return &source.Format{
		Name:    "cloud-init",
		Title:   "cloud-init.log and cloud-init-output.log",
		Source:  event.CloudInit,
		Framing: source.Lines,
		Sniff:   sniffCloudInit,
		New:     func(out *source.Output) source.Decoder { return &initDecoder{out: out} },
	}
}

var (
	errNoStage = errors.New("no time: neither the line nor a stage before it tells one")
	errBadDate = errors.New("the time of the stage is none")
)

// Bounds of what waits for the next stage. A stage after which nothing comes is
// taken to have lasted no longer than openStage.
const (
	maxWaiting = 1024
	openStage  = 3600 * event.Second
)

var (
	stageLine    = regexp.MustCompile(`Cloud-init v\. \S+ (?:running '?([\w:-]+)'?|finished) at ([A-Z][a-z]{2}, \d\d? [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4})\.(?: +Datasource (.*?)\.?)? +Up (\d+(?:\.\d+)?) seconds`)
	commandLine  = regexp.MustCompile(`^Running command (.+?)(?: with allowed return codes.*)?$`)
	moduleLine   = regexp.MustCompile(`^Running module ([\w-]+) \(`)
	scriptLine   = regexp.MustCompile(`^[Rr]unning (/\S*/scripts/\S+|/\S*/boothooks/\S+)$`)
	failedLine   = regexp.MustCompile(`Failed running (/\S+) \[(-?\d+)\]`)
	instanceLine = regexp.MustCompile(`/var/lib/cloud/instances/([A-Za-z0-9_.-]+)`)
	traceLine    = regexp.MustCompile(`^\++ (.+)$`)
	logHead      = regexp.MustCompile(`^(?:\[CLOUDINIT\] )?(?:- )?([\w.-]+)\[([A-Z]+)\]: `)
)

// modules are those that run what is no part of the image.
var modules = []string{"scripts-user", "scripts-vendor", "scripts-per-boot", "scripts-per-instance", "scripts-per-once", "runcmd", "bootcmd", "package-update-upgrade-install", "write-files", "write-files-deferred", "snap", "ansible", "puppet", "chef", "salt-minion", "phone-home"}

type initDecoder struct {
	out      *source.Output
	instance string
	stage    event.Time // when the last stage began
	printed  int        // what of interest was printed since
	waiting  []waiting  // for the next stage
	boot     *bootEvent
}

// waiting is something that happened after a stage began, and before the next.
type waiting struct {
	body *event.GuestScript
	host string
	key  string
	span event.Span
}

// bootEvent is a boot whose addresses may still be told.
type bootEvent struct {
	at    event.Time
	host  string
	body  *event.GuestScript
	key   string
	spans []event.Span
}

// Flush implements source.Decoder.
func (d *initDecoder) Flush() {
	d.settle(event.Time{})
	d.tellBoot()
}

// Decode implements source.Decoder.
func (d *initDecoder) Decode(rec source.Record) {
	l := parseLine(string(rec.Data), true)
	if isoHead.MatchString(l.text) { // its own head behind a log daemon's
		inner := parseLine(l.text, true)
		l.at, l.text = inner.at, inner.text
	}
	if l.program == "ci-info" { // no program, but how the table is marked
		l.text = "ci-info: " + l.text
	}
	if m := logHead.FindString(l.text); m != "" {
		l.text = l.text[len(m):]
	}
	if m := instanceLine.FindStringSubmatch(l.text); m != nil {
		d.instance = m[1]
	}
	if m := stageLine.FindStringSubmatch(l.text); m != nil {
		d.atStage(rec, &l, m)
		return
	}
	if strings.HasPrefix(l.text, "ci-info: ") {
		d.address(rec, l.text)
		return
	}
	b := d.body(&l)
	if b == nil {
		d.out.Skip()
		return
	}
	b.Agent, b.Instance, b.PID = "cloud-init", d.instance, l.pid
	// A script may print the same twice, so the place after the stage counts.
	key := strings.Join([]string{string(b.Stage), b.Name, strings.Join(b.Commands, "|"), l.at.String(), d.stage.String()}, "|")
	switch {
	case !l.at.IsZero():
		d.out.Event(event.Event{Time: l.at, Place: event.Place{Host: l.host}, Body: b}, []byte(key), rec.Span)
	case d.stage.IsZero():
		d.out.Unreadable(rec, errNoStage)
	default:
		if len(d.waiting) == maxWaiting {
			d.settle(event.Time{})
		}
		d.waiting = append(d.waiting, waiting{b, l.host, key + "|" + strconv.Itoa(d.printed), rec.Span})
		d.printed++
	}
}

// atStage reads the beginning of a stage, or the end of all.
func (d *initDecoder) atStage(rec source.Record, l *line, m []string) {
	t, err := time.Parse("Mon, 2 Jan 2006 15:04:05 -0700", m[2])
	up, errUp := strconv.ParseFloat(m[4], 64)
	if err != nil || errUp != nil || t.Year() < 1970 || t.Year() > 2261 || up > 1e9 {
		d.out.Unreadable(rec, errBadDate)
		return
	}
	at := event.At(t, event.Second)
	d.settle(at)
	boot := event.Time{At: max(at.At-int64(up*float64(event.Second)), 0), Res: event.Second}
	stage := m[1]
	// The first stage of a boot; a part of a log may begin with a later one.
	begins := stage == "init-local" || d.stage.IsZero() || boot.At > d.stage.At
	d.stage, d.printed = at, 0
	key := "|" + at.String() + "|" + m[4]
	b := &event.GuestScript{Stage: event.GuestBoot, Agent: "cloud-init", Name: stage, Instance: d.instance, Boot: boot, PID: l.pid}
	switch {
	case stage == "": // finished
		d.tellBoot()
		b.Stage, b.Name = event.GuestDone, m[3]
		d.out.Event(event.Event{Time: at, Place: event.Place{Host: l.host}, Body: b}, []byte("done"+key), rec.Span)
	case begins:
		d.tellBoot()
		d.boot = &bootEvent{at, l.host, b, "boot" + key, []event.Span{rec.Span}}
	default:
		if strings.HasPrefix(stage, "modules") {
			d.tellBoot()
		}
		d.out.Skip()
	}
}

// settle tells what waited, now that the next stage is known to begin at next.
func (d *initDecoder) settle(next event.Time) {
	within := event.Time{At: d.stage.At, Res: openStage}
	if next.At >= d.stage.At && !next.IsZero() {
		within.Res = next.End() - d.stage.At + 1
	}
	for _, w := range d.waiting {
		d.out.Event(event.Event{Time: within, Place: event.Place{Host: w.host}, Body: w.body}, []byte(w.key), w.span)
	}
	d.waiting = d.waiting[:0]
}

func (d *initDecoder) tellBoot() {
	if b := d.boot; b != nil {
		d.boot = nil
		if b.body.Instance == "" {
			b.body.Instance = d.instance
		}
		d.out.Event(event.Event{Time: b.at, Place: event.Place{Host: b.host}, Body: b.body}, []byte(b.key), b.spans...)
	}
}

// address reads a row of the table of interfaces:
//
//	ci-info: |  ens5  | True |   10.77.0.10      |  255.255.255.0  | global | 66:2a:e1:19:d4:e1 |
func (d *initDecoder) address(rec source.Record, text string) {
	cells := strings.Split(text, "|")
	if d.boot == nil || len(cells) < 7 || len(d.boot.spans) > 64 || strings.TrimSpace(cells[2]) != "True" {
		d.out.Skip()
		return
	}
	body, told := d.boot.body, false
	addr, _, _ := strings.Cut(strings.TrimSpace(cells[3]), "/")
	if a, err := netip.ParseAddr(addr); err == nil && !a.IsLoopback() && !slices.Contains(body.Addrs, a.Unmap().WithZone("")) {
		body.Addrs, told = append(body.Addrs, a.Unmap().WithZone("")), true
	}
	if mac := strings.ToLower(strings.TrimSpace(cells[6])); strings.Count(mac, ":") == 5 && !slices.Contains(body.Ethernet, mac) {
		body.Ethernet, told = append(body.Ethernet, mac), true
	}
	if !told {
		d.out.Skip()
		return
	}
	d.boot.spans = append(d.boot.spans, rec.Span)
}

// body is what a line says, nil if nothing.
func (d *initDecoder) body(l *line) *event.GuestScript {
	if m := commandLine.FindStringSubmatch(l.text); m != nil {
		args, ok := pythonList(m[1])
		command := quoteArgs(args)
		if !ok || len(args) == 0 {
			command = m[1]
		}
		b := &event.GuestScript{Stage: event.GuestRun, Commands: addCommand(nil, command)}
		if len(args) > 0 && strings.Contains(args[0], "/var/lib/cloud/") {
			b.Name = args[0]
		}
		return b
	}
	if m := moduleLine.FindStringSubmatch(l.text); m != nil {
		if name := strings.ReplaceAll(m[1], "_", "-"); slices.Contains(modules, name) {
			return &event.GuestScript{Stage: event.GuestRun, Name: name}
		}
		return nil
	}
	if m := scriptLine.FindStringSubmatch(l.text); m != nil {
		return &event.GuestScript{Stage: event.GuestRun, Name: m[1], Commands: []string{m[1]}}
	}
	if m := failedLine.FindStringSubmatch(l.text); m != nil {
		code, err := strconv.Atoi(m[2])
		if err != nil {
			return nil
		}
		return &event.GuestScript{Stage: event.GuestExit, Name: m[1], ExitCode: code}
	}
	if m := traceLine.FindStringSubmatch(l.text); m != nil && !strings.ContainsAny(m[1][:1], "+-|=") {
		return &event.GuestScript{Stage: event.GuestTraced, Commands: addCommand(nil, m[1]), Downloads: found(m[1])}
	}
	return nil
}

// found are the addresses in a command that was run.
func found(s string) []string {
	var out []string
	for _, a := range addresses.FindAllString(s, 64) {
		out = append(out, redact(a))
	}
	return out
}

// pythonLine is a line of cloud-init's own log.
var pythonLine = regexp.MustCompile(`(^|: |- )\w+\.py\[(DEBUG|INFO|WARNING|ERROR|CRITICAL)\]: `)

func sniffCloudInit(head source.Sample) int {
	if first := bytes.TrimSpace(head.Data); bytes.HasPrefix(first, []byte("{")) || bytes.HasPrefix(first, []byte("#!")) || bytes.HasPrefix(first, []byte("#cloud-config")) {
		return 0
	}
	switch {
	case stageLine.Match(head.Data):
		return 90
	case head.Share(pythonLine.Match) > 50:
		return 85
	}
	return 0
}
