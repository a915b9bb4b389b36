package flow

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// explained lists why records of the samples may be unreadable: a part of the
// file's path, and a part of the reason. Every other one fails the test.
var explained = []struct{ path, reason string }{
	// Zeek's own test baselines have every time masked.
	{"zeek__zeek", `time "XXXXXXXXXX.XXXXXX" is not a Unix time`},
	// A recording whose times count from its own beginning has one at 0.
	{"core.ppp/", "no time (ts)"},
	// Only the uid column was kept.
	{"spicy.terminate-session/", "no time (ts)"},
	// Filters kept some columns, and no time among them.
	{"writer-path-conflict/http-", "no time (ts)"},
	// Quoted in comments of a program that does not ask for times.
	{"weaveworks__scope", "record it with -o timestamp"},
}

func isExplained(path string, err error) bool {
	for _, e := range explained {
		if strings.Contains(path, e.path) && strings.Contains(err.Error(), e.reason) {
			return true
		}
	}
	return false
}

// sampleFiles are the files of conntrack and of Zeek below shared.
func sampleFiles(t *testing.T) []string {
	t.Helper()
	shared := sourcetest.Shared(t)
	var files []string
	for _, root := range []string{"data/conntrack", "data/zeek", "captures", "scenarios"} {
		err := filepath.WalkDir(filepath.Join(shared, root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name := d.Name()
			if strings.HasPrefix(root, "data/") && !strings.HasSuffix(name, ".ocsf") && !strings.HasSuffix(name, ".md") ||
				name == "conntrack.log" || name == "conn.log" || name == "dns.log" || name == "docker-http.log" {
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// readFile decodes a whole file with this package's formats. in is nil if it
// was not recognised.
func readFile(t *testing.T, path string) (*source.Input, []event.Event) {
	t.Helper()
	in, err := source.Open(path, source.Options{Formats: formats()})
	if errors.Is(err, source.ErrUnrecognised) {
		return nil, nil
	}
	if err == nil {
		err = in.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return sourcetest.ReadFile(t, path, formats()...)
}

// TestSharedSamples reads every sample, tells what was read of it, and fails
// on what could not be read without an explanation.
func TestSharedSamples(t *testing.T) {
	total := map[string]*source.Tally{}
	unrecognised := 0
	for _, path := range sampleFiles(t) {
		name := strings.TrimPrefix(path, sourcetest.Shared(t)+"/")
		in, _ := readFile(t, path)
		if in == nil {
			unrecognised++
			if !mayBeUnrecognised(t, path) {
				t.Errorf("%s: not recognised", name)
			}
			continue
		}
		for _, tally := range in.Tallies() {
			account(t, name, tally)
			folder := strings.Join(strings.Split(name, "/")[:2], "/")
			if strings.HasPrefix(folder, "scenarios/") {
				folder = "scenarios"
			}
			add(total, folder+" "+tally.Format.Name, tally.Tally)
		}
	}
	for _, group := range slices.Sorted(maps.Keys(total)) {
		tally := total[group]
		t.Logf("total %-55s %5d events %5d skipped %5d unreadable", group, tally.Events, tally.Skipped, tally.Unreadable)
	}
	t.Logf("%d files are logs of another kind or cut to columns without names", unrecognised)
}

// account checks that every record of one file is accounted for, and that the
// unreadable ones have an explanation.
func account(t *testing.T, name string, tally source.FormatTally) {
	t.Helper()
	if tally.Records != tally.Events+tally.Skipped+tally.Unreadable {
		t.Errorf("%s: %d records, but %d events, %d skipped and %d unreadable", name, tally.Records, tally.Events, tally.Skipped, tally.Unreadable)
	}
	reasons := map[string]int{}
	for _, f := range tally.Faults {
		reasons[f.Err.Error()]++
		if !isExplained(name, f.Err) {
			t.Errorf("%v", f)
		}
	}
	t.Logf("%-15s %4d events %4d skipped %4d unreadable %v  %s", tally.Format.Name, tally.Events, tally.Skipped, tally.Unreadable, reasons, name)
}

func add(total map[string]*source.Tally, group string, t source.Tally) {
	sum := total[group]
	if sum == nil {
		sum = &source.Tally{}
		total[group] = sum
	}
	sum.Events += t.Events
	sum.Skipped += t.Skipped
	sum.Unreadable += t.Unreadable
}

// TestSharedUnmasked reads Zeek's baselines once more with a time in place of
// the masks: then every other column of theirs must be readable.
func TestSharedUnmasked(t *testing.T) {
	files, flows := 0, 0
	for _, path := range sampleFiles(t) {
		if !strings.Contains(path, "zeek__zeek") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		unmasked := filepath.Join(t.TempDir(), "conn.log")
		if err := os.WriteFile(unmasked, []byte(strings.ReplaceAll(string(text), "XXXXXXXXXX.XXXXXX", "1795300000.100200")), 0o600); err != nil {
			t.Fatal(err)
		}
		in, events := readFile(t, unmasked)
		if in == nil {
			continue
		}
		files++
		flows += len(events)
		for _, f := range in.Tallies()[0].Faults {
			if !isExplained(path, f.Err) {
				t.Errorf("%s:%d: %v", path, f.Line, f.Err)
			}
		}
	}
	t.Logf("%d files, %d flows", files, flows)
	if flows < 2000 {
		t.Errorf("%d flows read, want the more than 2,000 that are there", flows)
	}
}

// mayBeUnrecognised reports whether the file is another log, or one of Zeek's
// baselines that zeek-cut left without the columns a connection has: such a
// file says nothing of what its columns mean.
func mayBeUnrecognised(t *testing.T, path string) bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(path, "zeek__zeek") && !strings.Contains(string(text), "#fields") {
		return !strings.Contains(string(text), "conn_state\tlocal_orig")
	}
	return strings.HasPrefix(filepath.Base(path), "http")
}

// ocsf is the part of an OCSF network activity (class 4001) that a flow holds.
type ocsf struct {
	Metadata struct {
		LoggedTime int64 `json:"logged_time"`
	} `json:"metadata"`
	Connection struct {
		Protocol string `json:"protocol_name"`
	} `json:"connection_info"`
	StartTime int64        `json:"start_time"` // see clockError
	Src       ocsfEndpoint `json:"src_endpoint"`
	Dst       ocsfEndpoint `json:"dst_endpoint"`
	App       string       `json:"app_name"`
	Duration  int64        `json:"duration"`
	Status    string       `json:"status_code"`
	Traffic   struct {
		In  int64 `json:"bytes_in"`
		Out int64 `json:"bytes_out"`
	} `json:"traffic"`
}

type ocsfEndpoint struct {
	IP   string `json:"ip"`
	Port uint16 `json:"port"`
}

// clockError is by how much the expectations' times are wrong, in seconds: the
// record says 04:07:01 and 04:08:11, they say 04:27:01 and 04:28:11.
const clockError = 20 * 60

// TestSharedOCSF compares what is read with what the makers of OCSF read from
// the same record.
func TestSharedOCSF(t *testing.T) {
	compared := 0
	for _, path := range sampleFiles(t) {
		raw, isConn := strings.CutSuffix(path, ".raw")
		if !isConn || !strings.Contains(path, "conn_log") {
			continue
		}
		var want ocsf
		text, err := os.ReadFile(raw + ".ocsf")
		if err == nil {
			err = json.Unmarshal(text, &want)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, events := readFile(t, path)
		if len(events) != 1 {
			t.Fatalf("%s: %d events, want 1", path, len(events))
		}
		compareOCSF(t, path, events[0], want)
		compared++
	}
	if compared == 0 {
		t.Error("no pair of record and expectation found")
	}
}

func compareOCSF(t *testing.T, path string, e event.Event, want ocsf) {
	t.Helper()
	flow := e.Body.(*event.Flow)
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"start", e.Time.At/event.Second + clockError, want.StartTime},
		{"written", e.Record/event.Second + clockError, want.Metadata.LoggedTime},
		{"duration", (flow.End.At - e.Time.At) / event.Second, want.Duration},
		{"protocol", string(flow.Protocol), want.Connection.Protocol},
		{"source", ocsfEndpoint{flow.Src.Addr().String(), flow.Src.Port()}, want.Src},
		{"destination", ocsfEndpoint{flow.Dst.Addr().String(), flow.Dst.Port()}, want.Dst},
		{"service", flow.Service, want.App},
		{"state", flow.State, want.Status},
		{"bytes out", flow.BytesOut, want.Traffic.Out},
		{"bytes in", flow.BytesIn, want.Traffic.In},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s is %v, want %v", path, c.what, c.got, c.want)
		}
	}
}

// TestSharedSpotChecks compares single records with what a person reads in
// them.
func TestSharedSpotChecks(t *testing.T) {
	shared := sourcetest.Shared(t)
	for _, c := range []struct {
		path string
		line int
		want string
	}{
		{"scenarios/A01/conn.log", 2, "2026-11-03T10:00:40.000442Z tcp 10.42.3.17:49628 > 198.51.100.9:3333 state=SF end=2026-11-03T11:00:40.018034Z bytes=41000/52000 record=2026-11-03T11:00:40.018034Z"},
		{"scenarios/A11/dns.log", 1, "2026-11-03T10:00:07.000048Z 10.42.2.2:36597 > 10.43.0.10:53 A xmr.pool.example NOERROR 198.51.100.88 record=2026-11-03T10:00:07.021048Z"},
		{"scenarios/A13/conntrack.log", 4, "2026-11-03T10:00:11.000335Z tcp 10.42.6.6:54577 > 203.0.113.9:443 via=10.0.1.14 end=2026-11-03T10:02:31.030833Z bytes=540/1920 record=2026-11-03T10:02:31.030833Z"},
		{"captures/scenario-b-malicious-image/conntrack.log", 1, "2026-11-21T21:35:52.456243Z tcp 198.51.100.2:41446 > 198.51.100.30:5000 state=SYN_SENT bytes=-1/-1"},
	} {
		_, events := readFile(t, filepath.Join(shared, c.path))
		got := "no event"
		for _, e := range events {
			if e.Origin.Line() == c.line {
				got = line(e)
			}
		}
		if got != c.want {
			t.Errorf("%s:%d\n got %s\nwant %s", c.path, c.line, got, c.want)
		}
	}
}
