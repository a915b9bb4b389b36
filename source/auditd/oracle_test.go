package auditd

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/elastic/go-libaudit/v2/aucoalesce"
	"github.com/elastic/go-libaudit/v2/auparse"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// oracleBlind names the transcripts whose arguments go-libaudit 2.5.0 cannot
// tell, and why. Everything else about their programs is compared.
var oracleBlind = map[string]string{
	"argc_exceeds":          "it gives no argument if one is missing",
	"execve_cut_line":       "it gives no argument if one is missing, or takes a half byte for text",
	"execve_split":          "it does not know aN[M]=",
	"execve_split_disorder": "it does not know aN[M]=",
	"execve_split_lost":     "it does not know aN[M]=",
	"hex_strings":           "it drops empty arguments and reads upper-case hex only",
	"lost_records":          "it does not take argv from PROCTITLE",
	"nothing_left_over":     "it does not tell that argv is unknown",
	"proctitle":             "it does not take argv from PROCTITLE",
}

// oracleWrong names the transcripts that go-libaudit 2.5.0 reads otherwise, and
// why.
var oracleWrong = map[string]string{
	"cut_records":      "it takes any number for a process id",
	"forged_in_syslog": "it takes a record from anywhere in a line",
	"interpreted_call": "it does not take a name for a number",
}

// TestOracle compares every program started in the transcripts with what
// elastic/go-libaudit's aucoalesce makes of the same records.
func TestOracle(t *testing.T) {
	compared := 0
	for _, tr := range transcripts(t) {
		name := strings.TrimSuffix(filepath.Base(tr.path), ".txt")
		if oracleWrong[name] != "" {
			continue
		}
		compared += compareOracle(t, name, tr.log, oracleBlind[name] == "")
	}
	if compared < 50 {
		t.Errorf("only %d programs were compared", compared)
	}
}

// TestOracleRecordings does the same with logs recorded on a host.
func TestOracleRecordings(t *testing.T) {
	compared := 0
	for _, pattern := range []string{"captures/*/*audit*.log", "scenarios/*/audit.log"} {
		for _, path := range glob(t, filepath.Join(sourcetest.Shared(t), pattern)) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if text[0] == '{' { // a Kubernetes audit log
				continue
			}
			n := compareOracle(t, path, text, true)
			r := decode(text)
			accounted(t, r)
			t.Logf("%s: %d records, %d events (%d programs), %d skipped, %d unreadable %v", path,
				r.tally.Records, r.tally.Events, n, r.tally.Skipped, r.tally.Unreadable, r.tally.Faults)
			if r.tally.Unreadable != 0 {
				t.Errorf("%s: %d unreadable", path, r.tally.Unreadable)
			}
			compared += n
		}
	}
	if compared < 900 {
		t.Errorf("only %d programs were compared", compared)
	}
}

// recordIn finds a record in a line: node, type, and the rest from its stamp on.
var recordIn = regexp.MustCompile(`(?:node=(\S+) +)?(?:type=(\S+) +)?(?:msg=)?(audit\(([0-9.:]+)\):?.*)`)

// oracleEvents groups the records of a log by node and stamp and lets go-libaudit
// make events of them. The key is "NODE STAMP".
func oracleEvents(t *testing.T, text []byte) map[string]*aucoalesce.Event {
	t.Helper()
	messages := map[string][]*auparse.AuditMessage{}
	for _, line := range bytes.Split(text, []byte("\n")) {
		m := recordIn.FindSubmatch(bytes.TrimRight(line, "\r"))
		if m == nil || len(m[2]) == 0 {
			continue
		}
		typ, err := auparse.GetAuditMessageType(string(m[2]))
		if n, numeric := strconv.Atoi(string(m[2])); numeric == nil {
			typ, err = auparse.AuditMessageType(n), nil
		}
		if err != nil || typ == auparse.AUDIT_SOCKADDR { // it panics on a short address
			continue
		}
		// The separator of the enriched part is no blank to it.
		msg, err := auparse.Parse(typ, strings.ReplaceAll(string(m[3]), "\x1d", " "))
		if err != nil {
			continue
		}
		key := string(m[1]) + " " + string(m[4])
		messages[key] = append(messages[key], msg)
	}
	events := map[string]*aucoalesce.Event{}
	for key, msgs := range messages {
		if e, err := aucoalesce.CoalesceMessages(msgs); err == nil {
			events[key] = e
		}
	}
	return events
}

// compareOracle compares the programs started in text and says how many. With
// args false their arguments are left out.
func compareOracle(t *testing.T, name string, text []byte, args bool) int {
	t.Helper()
	want := oracleEvents(t, text)
	lines := bytes.Split(text, []byte("\n"))
	n := 0
	for _, e := range decode(text).events {
		p, ok := e.Body.(*event.Process)
		if !ok {
			continue
		}
		m := recordIn.FindSubmatch(lines[e.Origin.Line()-1])
		key := string(m[1]) + " " + string(m[4])
		w := want[key]
		if w == nil {
			t.Errorf("%s: go-libaudit has no event %s", name, key)
			continue
		}
		delete(want, key)
		n++
		if strconv.Itoa(p.PID) != w.Process.PID || strconv.Itoa(p.PPID) != w.Process.PPID || p.Exe != w.Process.Exe || p.Cwd != w.Process.CWD {
			t.Errorf("%s: event %s is %+v, go-libaudit says %+v", name, key, p, w.Process)
		}
		if args && (!slices.Equal(p.Args, w.Process.Args) || p.ArgsTruncated) {
			t.Errorf("%s: event %s has arguments %q, go-libaudit says %q", name, key, p.Args, w.Process.Args)
		}
	}
	for key, w := range want {
		if call := w.Data["syscall"]; (call == "execve" || call == "execveat") && w.Result == "success" {
			t.Errorf("%s: go-libaudit sees a program started in event %s: %+v", name, key, w.Process)
		}
	}
	return n
}
