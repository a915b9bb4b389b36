package guest

import (
	"bytes"
	"cmp"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Agents is the logs of Google's metadata script runner and of Azure's agent
// and its CustomScript extension: as files, through syslog, or from journald as
// JSON, one entry to a line. A time without year and zone is what
// source.Output.Date takes it for; without that, lines of interest are unreadable.
func Agents() *source.Format {
	return &source.Format{
		Name:    "guest-agent",
		Title:   "logs of Google's metadata script runner, Azure's agent and CustomScript extension",
		Source:  event.GuestAgent,
		Framing: source.Lines,
		Sniff:   sniffAgents,
		New:     func(out *source.Output) source.Decoder { return &agentDecoder{out: out} },
	}
}

var errNoZone = errors.New("no time with its year and zone; have the log written with RFC 3339 times, or export it from journald as JSON")

type agentDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
}

// Flush implements source.Decoder; nothing is held back.
func (d *agentDecoder) Flush() {}

// Decode implements source.Decoder.
func (d *agentDecoder) Decode(rec source.Record) {
	l, err := d.line(rec.Data)
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	b := agentBody(&l)
	if b != nil && l.at.IsZero() {
		l.at, _ = d.out.Date(l.wall)
	}
	switch {
	case b == nil:
		d.out.Skip()
	case l.at.IsZero():
		d.out.Unreadable(rec, errNoZone)
	default:
		b.PID = l.pid
		d.out.Event(event.Event{Time: l.at, Place: event.Place{Host: l.host}, Body: b}, []byte(l.at.String()+"|"+string(rec.Data)), rec.Span)
	}
}

// logfmt is how the CustomScript extension writes: time=… operation=… event=….
var logfmt = regexp.MustCompile(`(\w+)=("(?:[^"\\]|\\.)*"|\S*)`)

func (d *agentDecoder) line(data []byte) (line, error) {
	if bytes.HasPrefix(data, []byte("{")) {
		v, err := d.parser.Parse(data)
		if err != nil {
			return line{}, err
		}
		l, _ := journalLine(v) // another log's entry says nothing here
		return l, d.parser.Fault()
	}
	s := string(data)
	if !strings.HasPrefix(s, "time=") {
		return parseLine(s, false), nil
	}
	values := map[string]string{}
	for _, m := range logfmt.FindAllStringSubmatch(s, 64) {
		v := m[2]
		if plain, err := strconv.Unquote(v); err == nil {
			v = plain
		}
		if _, twice := values[m[1]]; !twice {
			values[m[1]] = v
		}
	}
	l := line{program: "custom-script-extension", text: values["event"]}
	if out := cmp.Or(values["output"], values["file"]); out != "" {
		l.text += " " + out
	}
	if t, err := event.ParseRFC3339(values["time"]); err == nil {
		l.at = t
	}
	return l, nil
}

var (
	googleName    = regexp.MustCompile(`(?:google_metadata_script_runner|google-startup-scripts|startup-script|GCEMetadataScripts)`)
	googleExit    = regexp.MustCompile(`^((?:windows-)?(?:startup|shutdown|sysprep-specialize)-script(?:-\w+)?)\b.* exit status (\d+)`)
	googleFound   = regexp.MustCompile(`(?:Found|found) ((?:windows-)?(?:startup|shutdown|sysprep-specialize)-script(?:-\w+)?) in metadata`)
	googleFetch   = regexp.MustCompile(`(?i)download(?:ing)?.*?((?:https?|gs)://\S+)`)
	googleOutput  = regexp.MustCompile(`^(?:windows-)?(?:startup|shutdown)-script(?:-\w+)?: (.*)$`)
	azureExecutes = regexp.MustCompile(`(?:Executing command|Command): (.+?)(?: with environment variables.*)?$`)
	azureHandler  = regexp.MustCompile(`\[((?:Microsoft|[A-Z][\w]*)\.[\w.]+-\d[\d.]*)\]`)
)

// agentBody is what a line says, nil if nothing.
func agentBody(l *line) *event.GuestScript {
	switch {
	case l.program == "custom-script-extension":
		return customScript(l.text)
	case l.program != "" && googleName.MatchString(l.program):
		return google(l.text)
	case strings.Contains(l.text, "Command: ") || strings.Contains(l.text, "Executing command: "):
		return waagent(l.text)
	}
	return nil
}

func google(text string) *event.GuestScript {
	b := &event.GuestScript{Agent: "google-metadata-script-runner"}
	if m := googleExit.FindStringSubmatch(text); m != nil {
		code, err := strconv.Atoi(m[2])
		if err != nil {
			return nil
		}
		b.Stage, b.Name, b.ExitCode = event.GuestExit, m[1], code
		return b
	}
	if m := googleFound.FindStringSubmatch(text); m != nil {
		b.Stage, b.Name = event.GuestRun, m[1]
		return b
	}
	output := googleOutput.FindStringSubmatch(text)
	if output == nil {
		if m := googleFetch.FindStringSubmatch(text); m != nil {
			b.Stage, b.Downloads = event.GuestRun, []string{redact(m[1])}
			return b
		}
	}
	switch {
	case strings.Contains(text, "Starting startup scripts"), strings.Contains(text, "Starting startup script"):
		b.Stage = event.GuestBoot
		return b
	case strings.Contains(text, "Finished running startup scripts"):
		b.Stage = event.GuestDone
		return b
	case output != nil:
		text = output[1]
	}
	if m := traceLine.FindStringSubmatch(text); m != nil {
		b.Stage, b.Name, b.Commands, b.Downloads = event.GuestTraced, "startup-script", addCommand(nil, m[1]), found(m[1])
		return b
	}
	return nil
}

// waagent reads Azure's Linux agent: which extension it runs, and how.
func waagent(text string) *event.GuestScript {
	m := azureExecutes.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	b := &event.GuestScript{Stage: event.GuestRun, Agent: "waagent", Commands: addCommand(nil, m[1])}
	if h := azureHandler.FindStringSubmatch(text); h != nil {
		b.Name = h[1]
	}
	return b
}

// customScript reads the log of the CustomScript extension.
func customScript(text string) *event.GuestScript {
	b := &event.GuestScript{Agent: "azure-custom-script", Name: "CustomScript"}
	what, rest, _ := strings.Cut(text, " /")
	switch {
	case strings.HasPrefix(text, "executing command"):
		b.Stage = event.GuestRun
		if rest != "" && strings.HasPrefix(what, "executing command") {
			b.Name = "/" + rest
		}
	case strings.HasPrefix(text, "executed command"):
		b.Stage = event.GuestExit
	case strings.HasPrefix(text, "failed to execute command"), strings.HasPrefix(text, "command failed"):
		b.Stage, b.ExitCode = event.GuestExit, -1
	case text == "start":
		b.Stage = event.GuestBoot
	case text == "enabled":
		b.Stage = event.GuestDone
	case strings.HasPrefix(text, "downloading file"), strings.HasPrefix(text, "download complete"):
		b.Stage, b.Downloads = event.GuestRun, found(text)
	default:
		return nil
	}
	return b
}

func sniffAgents(head source.Sample) int {
	has := func(s string) bool { return bytes.Contains(head.Data, []byte(s)) }
	if bytes.HasPrefix(bytes.TrimSpace(head.Data), []byte("{")) {
		if has(`"MESSAGE"`) && has("google_metadata_script_runner") {
			return 70
		}
		return 0
	}
	switch {
	case head.Share(func(l []byte) bool {
		return bytes.HasPrefix(l, []byte("time=")) && bytes.Contains(l, []byte("operation="))
	}) > 50 && has("version="):
		return 80
	case head.Share(func(l []byte) bool {
		return bytes.Contains(l, []byte("google_metadata_script_runner")) || bytes.Contains(l, []byte("GCEMetadataScripts"))
	}) > 20:
		return 80
	case has("google_metadata_script_runner[") || has("google_metadata_script_runner: ") || has("GCEMetadataScripts: "):
		return 55 // some lines of a machine's whole log
	case has(" ExtHandler ") && head.Share(func(l []byte) bool {
		return bytes.Contains(l, []byte(" INFO ")) || bytes.Contains(l, []byte(" WARNING "))
	}) > 50:
		return 80
	}
	return 0
}
