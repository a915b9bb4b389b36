// Package configured makes sinks of what a configuration says.
//
// In: entries, as YAML has them; files and variables that hold secrets. Out:
// sinks, or every fault with its place.
package configured

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"tidewaiter/analytic"
	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/secret"
	"tidewaiter/strictyaml"
)

// Entry is one sink as a configuration names it. Exactly one of the kinds is
// set. Structs of configurations embed a list of entries under a key of their
// own, decode it with strictyaml, and hand it to Check.
type Entry struct {
	// Name is the sink's in logs, metrics and the outbox's folder: unique,
	// lower case.
	Name string `yaml:"name"`
	// MinSeverity is the least severity that is told; see Minimum.
	MinSeverity string `yaml:"min_severity"`
	// OmitRecords leaves raw records out of what is sent.
	OmitRecords bool `yaml:"omit_records"`
	// MaxBytes is the longest finding; the kind's own default if 0.
	MaxBytes int `yaml:"max_bytes"`

	Webhook       *Webhook       `yaml:"webhook"`
	Syslog        *Syslog        `yaml:"syslog"`
	OTLP          *OTLP          `yaml:"otlp"`
	Elastic       *Elastic       `yaml:"elastic"`
	Splunk        *Splunk        `yaml:"splunk"`
	Chat          *Chat          `yaml:"chat"`
	Falcosidekick *Falcosidekick `yaml:"falcosidekick"`
	Kafka         *Kafka         `yaml:"kafka"`
	File          *File          `yaml:"file"`
}

// kind is a kind's settings.
type kind interface {
	// check finds faults without reading files, by key.
	check(fault func(key string, err error))
	// refs are the secrets, by the key that names a file.
	refs() map[string]secret.Ref
	// plain is the address if nothing keeps others from reading on the way.
	plain() string
	open(limit ocsf.Limit) (sink.Sink, error)
}

// kinds lists what is set, by key.
func (e Entry) kinds() map[string]kind {
	out := map[string]kind{}
	// A nil pointer in an interface is not nil, so that each is asked.
	if e.Webhook != nil {
		out["webhook"] = e.Webhook
	}
	if e.Syslog != nil {
		out["syslog"] = e.Syslog
	}
	if e.OTLP != nil {
		out["otlp"] = e.OTLP
	}
	if e.Elastic != nil {
		out["elastic"] = e.Elastic
	}
	if e.Splunk != nil {
		out["splunk"] = e.Splunk
	}
	if e.Chat != nil {
		out["chat"] = e.Chat
	}
	if e.Falcosidekick != nil {
		out["falcosidekick"] = e.Falcosidekick
	}
	if e.Kafka != nil {
		out["kafka"] = e.Kafka
	}
	if e.File != nil {
		out["file"] = e.File
	}
	return out
}

// Kind is the key of the entry's kind, "" if there is none.
func (e Entry) Kind() string {
	for name := range e.kinds() {
		return name
	}
	return ""
}

// Minimum is the least severity that is told: low unless set. Who asks is the
// daemon; a sink delivers whatever it is given.
func (e Entry) Minimum() analytic.Severity {
	if s, err := analytic.ParseSeverity(e.MinSeverity); err == nil {
		return s
	}
	return analytic.Low
}

var names = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`)

// Check finds all faults of entries. fault is told each, with the place from
// the list on: index, then keys. No file is read.
func Check(entries []Entry, fault func(err error, path ...any)) {
	seen := map[string]bool{}
	for i, e := range entries {
		switch {
		case e.Name == "":
			fault(fmt.Errorf("sinks[%d].name: missing", i), i)
		case !names.MatchString(e.Name):
			fault(fmt.Errorf("sinks[%d].name: %q: want lower-case letters, digits, _, . and -, at most 63", i, e.Name), i, "name")
		case seen[e.Name]:
			fault(fmt.Errorf("sinks[%d].name: %q stands twice", i, e.Name), i, "name")
		}
		seen[e.Name] = true
		if s, err := analytic.ParseSeverity(e.MinSeverity); e.MinSeverity != "" && (err != nil || s == analytic.None) {
			fault(fmt.Errorf("sinks[%d].min_severity: %q: want info, low, medium, high or critical", i, e.MinSeverity), i, "min_severity")
		}
		if e.MaxBytes != 0 && (e.MaxBytes < 4<<10 || e.MaxBytes > 64<<20) {
			fault(fmt.Errorf("sinks[%d].max_bytes: %d: want 4096 to 67108864", i, e.MaxBytes), i, "max_bytes")
		}
		kinds := e.kinds()
		if len(kinds) != 1 {
			fault(fmt.Errorf("sinks[%d]: %s: want exactly one of webhook, syslog, otlp, elastic, splunk, chat, falcosidekick, kafka, file",
				i, cmp.Or(strings.Join(slices.Sorted(maps.Keys(kinds)), " and "), "no kind")), i)
		}
		for _, name := range slices.Sorted(maps.Keys(kinds)) {
			at := func(key string, err error) {
				fault(fmt.Errorf("sinks[%d].%s.%s: %w", i, name, key, err), i, name, key)
			}
			kinds[name].check(at)
			refs := kinds[name].refs()
			for _, key := range slices.Sorted(maps.Keys(refs)) {
				if err := refs[key].Check(); err != nil {
					at(strings.TrimSuffix(key, "_file"), err)
				}
			}
		}
	}
}

// Load reads a file whose only key is sinks. All faults are told at once, each
// with file and, where YAML tells it, line.
func Load(path string) ([]Entry, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read sinks: %w", err)
	}
	var doc struct {
		Sinks []Entry `yaml:"sinks"`
	}
	if err := strictyaml.Decode(path, data, &doc); err != nil {
		return nil, err
	}
	var faults []error
	Check(doc.Sinks, func(err error, at ...any) {
		faults = append(faults, &strictyaml.Fault{File: path, Line: Line(data, append([]any{"sinks"}, at...)...), Err: err})
	})
	return doc.Sinks, errors.Join(faults...)
}

// Line is the line of a place, or of the nearest one around it that is written.
func Line(data []byte, path ...any) int {
	for ; len(path) > 0; path = path[:len(path)-1] {
		if line := strictyaml.Line(data, path...); line > 0 {
			return line
		}
	}
	return 0
}

// Open makes the sink. Secrets are read now; nothing is sent. Errors name the
// entry, and no secret.
func Open(e Entry) (sink.Sink, error) {
	var faults []error
	Check([]Entry{e}, func(err error, _ ...any) {
		faults = append(faults, errors.New(strings.TrimPrefix(err.Error(), "sinks[0].")))
	})
	if len(faults) > 0 {
		return nil, fmt.Errorf("sink %s: %w", e.Name, errors.Join(faults...))
	}
	s, err := e.kinds()[e.Kind()].open(ocsf.Limit{Max: e.MaxBytes, OmitRecords: e.OmitRecords})
	if err != nil {
		return nil, fmt.Errorf("sink %s: %w", e.Name, err)
	}
	return s, nil
}

// Warnings says what works and should not stay so: secrets that everybody on
// the host may read, and findings that travel readable.
func Warnings(e Entry) []string {
	var out []string
	for _, k := range e.kinds() {
		refs := k.refs()
		for _, key := range slices.Sorted(maps.Keys(refs)) {
			if refs[key].Readable() {
				out = append(out, fmt.Sprintf("sink %s: %s: everybody on this host may read %s", e.Name, key, refs[key].File))
			}
		}
		if host := k.plain(); host != "" {
			out = append(out, fmt.Sprintf("sink %s: what is sent to %s can be read on the way, secrets included", e.Name, host))
		}
	}
	return out
}
