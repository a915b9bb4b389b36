package ebpf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// The checks here read the public samples a second time, with encoding/json and
// without a line of the decoders, and compare every record with what the
// decoder made of it. What is not told must have a reason in skippedFor.

// records reads JSON values one after another, each with its line.
func records(t *testing.T, file string) (list []map[string]json.RawMessage, lines []int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	for {
		at := int(dec.InputOffset())
		at += len(data[at:]) - len(bytes.TrimLeft(data[at:], " \t\r\n"))
		var v map[string]json.RawMessage
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return list, lines
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		list, lines = append(list, v), append(lines, bytes.Count(data[:at], []byte("\n"))+1)
	}
}

// into reads a part of a record.
func into[T any](t *testing.T, raw json.RawMessage) (v T) {
	t.Helper()
	if len(raw) == 0 {
		return v
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

// eachSample goes through every record of a folder with the event that cites
// it, nil for none, and checks the file's account.
func eachSample(t *testing.T, f *source.Format, dir string, check func(at string, r map[string]json.RawMessage, e *event.Event)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), "json") {
			return err
		}
		in, events := sourcetest.ReadFile(t, file, f)
		byLine := map[int]*event.Event{}
		for i := range events { // what a record tells beside its event follows it
			if line := events[i].Origin.Line(); byLine[line] == nil {
				byLine[line] = &events[i]
			}
		}
		list, lines := records(t, file)
		for i, r := range list {
			check(fmt.Sprintf("%s:%d", d.Name(), lines[i]), r, byLine[lines[i]])
		}
		if tally := in.Tallies()[0]; tally.Records != int64(len(list)) || tally.Unreadable != 0 || tally.Events != int64(len(byLine)) {
			t.Errorf("%s: %+v of %d records", file, tally, len(list))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

type rawTetragon struct {
	Function string `json:"function_name"`
	Process  struct {
		PID       int       `json:"pid"`
		ExecID    string    `json:"exec_id"`
		UID       *int      `json:"uid"`
		Binary    string    `json:"binary"`
		Arguments string    `json:"arguments"`
		CWD       string    `json:"cwd"`
		Start     time.Time `json:"start_time"`
		Pod       struct {
			Namespace, Name string
			Container       struct {
				ID, Name string
				Image    struct{ ID, Name string }
			}
		} `json:"pod"`
	} `json:"process"`
	Parent struct {
		PID int `json:"pid"`
	} `json:"parent"`
	Args []struct {
		File *struct {
			Path string `json:"path"`
		} `json:"file_arg"`
		Int *int `json:"int_arg"`
	} `json:"args"`
	Destination string `json:"destination_ip"`
	Port        int    `json:"destination_port"`
}

// repeatedFor says why a record of Tetragon says nothing of its own, so that it
// is told only as the process that it repeats; "" if it must be.
func (r rawTetragon) repeatedFor(kind string) string {
	switch kind {
	case "process_exec", "process_connect":
		return ""
	case "process_exit", "process_close", "process_listen":
		return kind + ": an end, or nothing that goes out"
	}
	if r.Function == "security_file_permission" && len(r.Args) == 2 && r.Args[1].Int != nil && *r.Args[1].Int == 2 { // MAY_WRITE
		return ""
	}
	if strings.HasPrefix(r.Function, "__x64_sys_") && r.writes() {
		return ""
	}
	return "a hook of another use: " + r.Function
}

// writes reports a write system call: a file descriptor's file, and no numbers
// alone.
func (r rawTetragon) writes() bool { return r.Function == "__x64_sys_write" && len(r.Args) > 0 }

func TestTetragonSamplesAgainstTheirJSON(t *testing.T) {
	reasons := map[string]int{}
	told := 0
	var file string
	known := map[string]bool{} // the processes of a file that were told
	eachSample(t, Tetragon(), sourcetest.Shared(t, "data", "tetragon"), func(at string, rec map[string]json.RawMessage, e *event.Event) {
		for kind, body := range rec {
			if !strings.HasPrefix(kind, "process_") {
				continue
			}
			r := into[rawTetragon](t, body)
			if name, _, _ := strings.Cut(at, ":"); name != file {
				file, known = name, map[string]bool{}
			}
			why := r.repeatedFor(kind)
			if again := known[r.Process.ExecID]; (e == nil) != (why != "" && again) {
				t.Errorf("%s: told: %t; process told before: %t; says nothing else: %q", at, e != nil, again, why)
			}
			known[r.Process.ExecID] = true
			if e == nil {
				reasons[why]++
				continue
			}
			told++
			if _, process := e.Body.(*event.Process); why != "" && !process {
				t.Errorf("%s: %T; %s", at, e.Body, why)
			}
			if node := into[string](t, rec["node_name"]); e.Place.Host != node {
				t.Errorf("%s: on %q, the record says %q", at, e.Place.Host, node)
			}
			compareTetragon(t, at, kind, *e, r)
		}
	})
	t.Logf("%d told; skipped: %v", told, reasons)
	if told != 22 {
		t.Errorf("%d told, want 22", told)
	}
}

func compareTetragon(t *testing.T, at, kind string, e event.Event, r rawTetragon) {
	t.Helper()
	p := r.Process
	_, container, _ := strings.Cut(p.Pod.Container.ID, "://")
	type actor struct {
		PID, UID                                  int
		Exe, Container, Namespace, Pod, Name, Img string
	}
	uid, parent := -1, r.Parent.PID
	if p.UID != nil {
		uid = *p.UID
	}
	if parent == p.PID {
		parent = 0 // it ran another program in place of its own
	}
	// The image's id names it by digest, its name by a tag that may move.
	_, image, found := strings.Cut(p.Pod.Container.Image.ID, "://")
	if !found {
		image = p.Pod.Container.Image.ID
	}
	want := actor{p.PID, uid, p.Binary, container, p.Pod.Namespace, p.Pod.Name, p.Pod.Container.Name, image}
	of := func(pid, uid int, exe, container string, ref event.PodRef) actor {
		return actor{pid, uid, exe, container, ref.Namespace, ref.Pod, ref.Container, ref.Image.String()}
	}
	var got actor
	switch b := e.Body.(type) {
	case *event.Process:
		got = of(b.PID, b.UID, b.Exe, b.Container, b.Of.Value())
		if words := append([]string{p.Binary}, strings.Fields(p.Arguments)...); !reflect.DeepEqual(b.Args, words) || b.PPID != parent || e.Time.At != p.Start.UnixNano() || b.Cwd != path.Clean(p.CWD) {
			t.Errorf("%s: %+v at %s, the record says %+v", at, b, e.Time, r)
		}
	case *event.Socket:
		got = of(b.PID, b.UID, b.Exe, b.Container, b.Of.Value())
		if b.Addr.Addr().String() != r.Destination || int(b.Addr.Port()) != r.Port {
			t.Errorf("%s: to %s, the record says %s:%d", at, b.Addr, r.Destination, r.Port)
		}
	case *event.FileWrite:
		got = of(b.PID, b.UID, b.Exe, b.Container, b.Of.Value())
		// Old versions leave out the root's slash.
		if r.Args[0].File == nil || b.Path != "/"+strings.TrimPrefix(r.Args[0].File.Path, "/") {
			t.Errorf("%s: wrote %s, the record says %+v", at, b.Path, r.Args)
		}
	default:
		t.Errorf("%s: %s gives %T", at, kind, b)
		return
	}
	if got != want {
		t.Errorf("%s: by %+v, the record says %+v", at, got, want)
	}
}

type rawTracee struct {
	Timestamp     int64
	HostProcessID int `json:"hostProcessId"`
	HostParentID  int `json:"hostParentProcessId"`
	UserID        int `json:"userId"`
	ProcessName   string
	EventName     string
	Args          []struct {
		Name  string
		Value json.RawMessage
	}
}

func (r rawTracee) arg(name string) json.RawMessage {
	for _, a := range r.Args {
		if a.Name == name {
			return a.Value
		}
	}
	return nil
}

// skippedFor says why a record of Tracee is not told, "" if it must be.
func (r rawTracee) skippedFor() string {
	switch flags := string(r.arg("flags")); {
	case r.EventName == "execve" || r.EventName == "net_packet_dns":
		return ""
	case (r.EventName == "openat" || r.EventName == "security_file_open") && strings.Contains(flags, "O_WRONLY"):
		return ""
	case strings.HasPrefix(r.EventName, "security_file_open"):
		return "opened for reading"
	}
	return "another event: " + r.EventName
}

func TestTraceeSamplesAgainstTheirJSON(t *testing.T) {
	reasons := map[string]int{}
	told := 0
	eachSample(t, Tracee(), sourcetest.Shared(t, "data", "tracee"), func(at string, rec map[string]json.RawMessage, e *event.Event) {
		whole, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		r := into[rawTracee](t, whole)
		why := r.skippedFor()
		if (e != nil) != (why == "") {
			t.Errorf("%s: told: %t; reason not to: %q", at, e != nil, why)
		}
		if why != "" || e == nil {
			reasons[why]++
			return
		}
		told++
		// hostName is the name of the process's own UTS name space, in a
		// container its own: it names no host.
		if e.Time.At != r.Timestamp || e.Place.Host != "" {
			t.Errorf("%s: at %s on %q, the record says %d", at, e.Time, e.Place.Host, r.Timestamp)
		}
		compareTracee(t, at, *e, r)
	})
	t.Logf("%d told; skipped: %v", told, reasons)
	if told != 7 {
		t.Errorf("%d told, want 7", told)
	}
}

func compareTracee(t *testing.T, at string, e event.Event, r rawTracee) {
	t.Helper()
	good := false
	switch b := e.Body.(type) {
	case *event.Process:
		good = b.PID == r.HostProcessID && b.PPID == r.HostParentID && b.UID == r.UserID && b.Exe == into[string](t, r.arg("pathname")) &&
			reflect.DeepEqual(b.Args, into[[]string](t, r.arg("argv")))
	case *event.FileWrite:
		good = b.PID == r.HostProcessID && b.UID == r.UserID && b.Path == into[string](t, r.arg("pathname"))
	case *event.DNS:
		src, dst := into[string](t, r.arg("src")), into[string](t, r.arg("dst"))
		ends := []string{b.Client.Addr().String(), b.Server.Addr().String()}
		good = reflect.DeepEqual(ends, []string{src, dst}) || reflect.DeepEqual(ends, []string{dst, src})
		good = good && strings.Contains(string(r.arg("proto_dns")), b.Query)
		for _, a := range b.Addrs {
			good = good && strings.Contains(string(r.arg("proto_dns")), a.String())
		}
	}
	if !good {
		t.Errorf("%s: %T %+v, the record says %+v", at, e.Body, e.Body, r)
	}
}
