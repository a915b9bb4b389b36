package ebpf

import (
	"fmt"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// testWhole is a process as every record of Tetragon repeats it.
const testWhole = `"pid":4711,"uid":0,"binary":"/usr/bin/wget","arguments":"-q http://files.example/x","flags":"execve clone","start_time":"2026-11-03T10:00:00.5Z","tid":4713`

// inContainer is testPod with the time at which the container began.
func inContainer(start string) string {
	return strings.Replace(testPod, `,"pid":1}`, `,"start_time":"`+start+`","pid":1}`, 1)
}

// tellings puts events into words: line, time and what.
func tellings(events []event.Event) string {
	var out []string
	for _, e := range events {
		what := string(e.Body.Kind())
		switch b := e.Body.(type) {
		case *event.Process:
			what = strings.Join(b.Args, " ")
		case *event.Task:
			what = string(b.Action) + " of " + b.Container[:4]
		case *event.PodStatus:
			c := b.Containers[0]
			what = c.ID[:4] + " is " + b.Object.Name + " " + c.Name + " of " + c.Image.String() + " " + c.ImageID.Short()
		}
		out = append(out, fmt.Sprintf("%d: %s %s", e.Origin.Line(), e.Time.UTC().Format("15:04:05.0"), what))
	}
	return strings.Join(out, "; ")
}

// What a record repeats of its process and container is told once, with the
// time at which it happened; a record that says nothing else is not skipped
// then.
func TestTetragonTellsWhatIsRepeated(t *testing.T) {
	exec := tetragon("process_exec", strings.Replace(testWhole, "4713", "4711", 1), testParent)
	unread := tetragon("process_kprobe", testWhole, testParent+`,"function_name":"commit_creds","args":[{"int_arg":1}]`)
	exit := tetragon("process_exit", testWhole, testParent+`,"status":1`)
	connect := tetragon("process_kprobe", testWhole, testParent+`,"function_name":"tcp_connect","args":[{"sock_arg":{"daddr":"203.0.113.4","dport":80}}]`)
	contained := func(record, start string) string {
		return strings.Replace(record, `"tid"`, inContainer(start)+`,"tid"`, 1)
	}
	another := strings.Replace(contained(exec, "2026-11-03T09:58:00Z"), "bm9kZS0xOjkwMDo0NzEx", "b3RoZXI=", 1)
	const wget, began, status = "10:00:00.5 /usr/bin/wget -q http://files.example/x", "09:58:00.0 start of aaaa", "09:58:00.0 aaaa is cart-0 cart of registry.example/cart:2 0123456789ab"
	for name, c := range map[string]struct {
		records []string
		want    string
		beside  int64
	}{
		"a hook that is not read":         {[]string{unread}, "1: " + wget, 0},
		"an end":                          {[]string{exit}, "1: " + wget, 0},
		"told by its own record":          {[]string{exec, unread, exit}, "1: " + wget, 0},
		"told by the first that names it": {[]string{unread, unread, exit}, "1: " + wget, 0},
		"beside what it did":              {[]string{connect, connect}, "1: 10:00:01.0 socket; 1: " + wget + "; 2: 10:00:01.0 socket", 1},
		"its own record comes late":       {[]string{unread, exec}, "1: " + wget + "; 2: " + wget, 0},
		"a container's start and name":    {[]string{contained(exec, "2026-11-03T09:58:00Z"), another}, "1: " + wget + "; 1: " + began + "; 1: " + status + "; 2: " + wget, 2},
		"by the end of a known process":   {[]string{exec, contained(exit, "2026-11-03T09:58:00Z")}, "1: " + wget + "; 2: " + began + "; 2: " + status, 1},
		"a start that is no time":         {[]string{contained(exec, "soon")}, "1: " + wget, 0},
		"another's container":             {[]string{strings.Replace(contained(exec, "2026-11-03T09:58:00Z"), `"docker":"aaaa`, `"docker":"ffff`, 1)}, "1: " + wget, 0},
		"without exec_id":                 {[]string{strings.Replace(unread, `"exec_id":"bm9kZS0xOjkwMDo0NzEx",`, "", 1)}, "", 0},
		"without its start":               {[]string{strings.Replace(unread, "start_time", "begun", 1)}, "", 0},
		"without its program":             {[]string{strings.Replace(unread, "binary", "name", 1)}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			events, tally := sourcetest.Decode(t, Tetragon(), strings.Join(c.records, "\n"))
			sourcetest.CheckAccount(t, events, tally)
			if got := tellings(events); got != c.want || tally.Beside != c.beside || tally.Unreadable != 0 {
				t.Errorf("%s; %d beside\nwant %s; %d", got, tally.Beside, c.want, c.beside)
			}
		})
	}
}

// However often a start is told, and by which record, it is one event.
func TestTetragonRepeatedIdentity(t *testing.T) {
	exec := tetragon("process_exec", strings.Replace(testWhole, "4713", "4711", 1)+","+inContainer("2026-11-03T09:58:00Z"), testParent)
	exit := tetragon("process_exit", testWhole+","+inContainer("2026-11-03T09:58:00Z"), testParent)
	a, _ := sourcetest.Decode(t, Tetragon(), exec)
	b, _ := sourcetest.Decode(t, Tetragon(), exit)
	if len(a) != 3 || len(b) != 3 || a[0].ID != b[0].ID || a[1].ID != b[1].ID || a[2].ID != b[2].ID || a[0].ID == a[1].ID || a[1].ID == a[2].ID {
		t.Errorf("%+v\n%+v", a, b)
	}
	for _, e := range append(a, b...) {
		if e.Record != at(9).At || e.Place.Host != "node-1" {
			t.Errorf("%+v", e)
		}
	}
}

// What is kept of what was told is bounded; what is forgotten is told again.
func TestTetragonToldIsBounded(t *testing.T) {
	var known told
	for i := range 3 * maxTold {
		known.add(fmt.Sprintf("%s%d", processPrefix, i))
		known.add(fmt.Sprintf("process_kprobe|%d", i))
	}
	if len(known) == 0 || len(known) > maxTold || !known[fmt.Sprintf("%s%d", processPrefix, 3*maxTold-1)] {
		t.Errorf("%d keys", len(known))
	}
}
