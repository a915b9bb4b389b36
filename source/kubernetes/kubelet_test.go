package kubernetes

import (
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

const (
	klogHead  = "I1103 10:00:00.250000    1234 kubelet.go:2345] "
	isoPrefix = "2026-11-03T10:00:00+00:00 node-a kubelet[1234]: "
	aUID      = "0b1c2d3e-0000-4000-8000-00000000c0de"
)

var (
	plegNew   = `"SyncLoop (PLEG): event for pod" pod="prod/web-1" event={"ID":"` + aUID + `","Type":"ContainerStarted","Data":"` + idWeb + `"}`
	plegMid   = `"SyncLoop (PLEG): event for pod" pod="prod/web-1" event=&{ID:` + aUID + ` Type:ContainerStarted Data:` + idWeb + `}`
	plegOld   = `SyncLoop (PLEG): "web-1_prod(` + aUID + `)", event: &pleg.PodLifecycleEvent{ID:"` + aUID + `", Type:"ContainerStarted", Data:"` + idWeb + `"}`
	plegJSON  = `{"ts":1793700000250.0001,"caller":"kubelet/kubelet.go:2345","msg":"SyncLoop (PLEG): event for pod","v":2,"pod":{"name":"web-1","namespace":"prod"},"event":{"ID":"` + aUID + `","Type":"ContainerStarted","Data":"` + idWeb + `"}}`
	anAccess0 = `"HTTP" verb="POST" URI="/exec/prod/web-1/app?command=sh&command=-c&command=id%3B+id&error=1&input=1&output=1&tty=1" latency="250ms" userAgent="Go-http-client/1.1" audit-ID="x" srcIP="192.0.2.7:5000" hijacked=true`
)

func onNode(node string) *event.PodStatus {
	return &event.PodStatus{
		Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1", UID: aUID}, Node: node,
		Containers: []event.ContainerStatus{{ID: idWeb}},
	}
}

// kubeletAsked is a request to the kubelet as its log tells it.
func kubeletAsked(action string, status int, command ...string) *event.PodAccess {
	return &event.PodAccess{Action: action, Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1"}, Container: "app", Command: command,
		By: event.Principal{Agent: "Go-http-client/1.1", Clients: addrs("192.0.2.7")}, Code: status}
}

// began is when a request of 250 ms began that was logged as received.
var began = event.Time{At: 1793700000 * event.Second, Res: event.Millisecond}

func kubeletCases() []caseOf {
	shell := kubeletAsked("exec", 101, "sh", "-c", "id; id")
	shell.Stdin, shell.TTY = true, true
	forward := kubeletAsked("portforward", 101)
	forward.Container, forward.Object.UID = "", aUID
	attach := kubeletAsked("attach", 302)
	attach.Object.UID = aUID
	http := func(uri, status string) string {
		return isoPrefix + klogHead + `"HTTP" verb="POST" URI="` + uri + `" latency="250ms" userAgent="Go-http-client/1.1" srcIP="192.0.2.7:5000" ` + status
	}
	timeless := kubeletAsked("exec", 200, "id")
	journal := func(message string) string {
		return `{"__REALTIME_TIMESTAMP":"1793700000251000","_HOSTNAME":"node-a","SYSLOG_IDENTIFIER":"kubelet","MESSAGE":` + quoted(message) + `}`
	}
	return []caseOf{
		{name: "a container, 1.26", text: isoPrefix + klogHead + plegNew, at: received, body: onNode("node-a")},
		{name: "a container, 1.21", text: isoPrefix + klogHead + plegMid, at: received, body: onNode("node-a")},
		{name: "a container, 1.20", text: isoPrefix + klogHead + plegOld, at: received, body: onNode("node-a")},
		{name: "a container, JSON", text: plegJSON, at: received, body: onNode("")},
		{name: "a container, JSON with texts", text: strings.NewReplacer(`{"name":"web-1","namespace":"prod"}`, `"prod/web-1"`, `"event":{`, `"event":"&{ID:`+aUID+` Type:ContainerStarted Data:`+idWeb+`}","x":{`).Replace(plegJSON), at: received, body: onNode("")},
		{name: "JSON in a container's log", text: "2026-11-03T10:00:00.250000000Z stderr F " + plegJSON, at: received, body: onNode("")},
		{name: "JSON in whole milliseconds", text: strings.Replace(plegJSON, "1793700000250.0001", "1793700000250", 1), at: event.Time{At: received.At, Res: event.Millisecond}, body: onNode("")},
		{name: "JSON in seconds", text: strings.Replace(plegJSON, "1793700000250.0001", "1793700000.25", 1), at: received, body: onNode("")},
		{name: "the journal as JSON", text: journal(klogHead + plegNew), at: received, body: onNode("node-a")},
		{name: "the journal as JSON, without a program", text: strings.Replace(journal(klogHead+plegNew), "SYSLOG_IDENTIFIER", "_COMM", 1), at: received, body: onNode("node-a")},
		{name: "a container that died", text: isoPrefix + klogHead + strings.Replace(plegNew, "ContainerStarted", "ContainerDied", 1)},
		{name: "a container that died, JSON", text: strings.Replace(plegJSON, "ContainerStarted", "ContainerDied", 1)},
		{name: "no container", text: isoPrefix + klogHead + strings.Replace(plegNew, idWeb, "", 1)},
		{name: "exec", text: isoPrefix + klogHead + anAccess0, at: began, body: shell},
		{name: "run", text: http("/run/prod/web-1/app?cmd=id%20-a", "resp=200"), at: began, body: kubeletAsked("exec", 200, "id", "-a")},
		{name: "run with a body", text: http("/run/prod/web-1/app", "resp=401"), at: began, body: kubeletAsked("exec", 401)},
		{name: "attach", text: http("/attach/prod/web-1/"+aUID+"/app", "resp=302"), at: began, body: attach},
		{name: "port forward", text: http("/portForward/prod/web-1/"+aUID, "hijacked=true"), at: began, body: forward},
		{name: "a status that is none", text: http("/run/prod/web-1/app", "resp=-5"), at: began, body: kubeletAsked("exec", 0)},
		{name: "exec, 1.20", text: isoPrefix + klogHead + `verb="POST" URI="/exec/prod/web-1/app?command=id" latency=250ms resp=302 UserAgent="Go-http-client/1.1" srcIP="192.0.2.7:5000": `, at: began, body: kubeletAsked("exec", 302, "id")},
		{name: "exec, 1.18", text: isoPrefix + klogHead + `POST /exec/prod/web-1/app?command=id: (250ms) 302 [Go-http-client/1.1 192.0.2.7:5000]`, at: began, body: kubeletAsked("exec", 302, "id")},
		{name: "exec, 1.18, hijacked", text: isoPrefix + klogHead + `POST /exec/prod/web-1/app?command=id: (250ms) hijacked [[Go-http-client/1.1] 192.0.2.7:5000]`, at: began, body: kubeletAsked("exec", 101, "id")},
		{name: "exec, JSON", text: `{"ts":1793700000250.0001,"caller":"httplog/httplog.go:132","msg":"HTTP","verb":"POST","URI":"/exec/prod/web-1/app?command=id","latency":"250ms","userAgent":"Go-http-client/1.1","srcIP":"192.0.2.7:5000","hijacked":true}`, at: began, body: kubeletAsked("exec", 101, "id")},
		{name: "no latency", text: strings.Replace(http("/exec/prod/web-1/app?command=id", "resp=200"), "250ms", "-1s", 1), at: received, body: timeless},
		{name: "a container's logs", text: http("/containerLogs/prod/web-1/app", "resp=200")},
		{name: "another method", text: strings.Replace(http("/exec/prod/web-1/app", "resp=200"), "POST", "OPTIONS", 1)},
		{name: "half a path", text: http("/exec/prod", "resp=200")},
		{name: "half a message", text: isoPrefix + klogHead + `"HTTP" verb="POST" URI="/exec/prod`},
		{name: "half a quote", text: isoPrefix + klogHead + `"HTTP /exec/ "/exec/`[:16] + ` /exec/`},
		{name: "words about a path", text: isoPrefix + klogHead + `denied: /exec/prod/web-1/app`},
		{name: "an old one about no pod", text: isoPrefix + klogHead + `SyncLoop (PLEG): ContainerStarted`},
		{name: "other messages", text: isoPrefix + klogHead + `"Probe failed" pod="prod/web-1"` + "\n" + isoPrefix + `Flag --x has been deprecated` + "\n\tmore of it\n" + strings.Replace(isoPrefix, "kubelet[1234]", "systemd[1]", 1) + "Started kubelet."},
		{name: "other messages, JSON", text: `{"ts":1793700000250.1,"msg":"x"}` + "\n" + journal("Flag --x") + "\n" + `{"ts":1793700000250.1,"msg":"HTTP","verb":"GET","URI":"/healthz"}`},
		{name: "no year", text: klogHead + plegNew, fault: "no year"},
		{name: "no year behind syslog", text: "Nov  3 10:00:00 node-a kubelet[1234]: " + klogHead + plegNew, fault: "no year"},
		{name: "another program", text: "2026-11-03T10:00:00+00:00 node-a sshd[7]: hello", fault: `another program's line: "sshd"`},
		{name: "text", text: "hello", fault: "want a klog header"},
		{name: "a stray blank", text: " hello", fault: "want a klog header"},
		{name: "cut JSON", text: plegJSON[:50], fault: "not one JSON value"},
		{name: "other JSON", text: `{"kind":"Pod"}`, fault: "want a klog header"},
		{name: "a ts that is none", text: `{"ts":"now","msg":"x"}`, fault: "ts is no Unix time"},
		{name: "a ts that looks like one", text: `{"ts":"17937000002x0","msg":"x"}`, fault: "ts is no Unix time"},
		{name: "two messages", text: `{"ts":1793700000250.1,"msg":"x","msg":"y"}`, fault: "stands twice"},
		{name: "a journal without time", text: `{"__REALTIME_TIMESTAMP":"x","MESSAGE":"y"}`, fault: "__REALTIME_TIMESTAMP"},
		{name: "a journal of another program", text: strings.Replace(journal("hello"), `"kubelet"`, `"sshd"`, 1), fault: "another program's line"},
	}
}

func TestKubelet(t *testing.T) {
	for _, c := range kubeletCases() {
		t.Run(c.name, func(t *testing.T) {
			sourcetest.Check(t, Kubelet(), c.text, sourcetest.Want{At: c.at, Body: c.body, Fault: c.fault})
			if c.body == nil {
				return
			}
			if sourcetest.Sniff(Kubelet(), c.text) < 60 && !strings.Contains(c.text, `"_COMM"`) && !strings.Contains(c.text, "F {") && !strings.Contains(c.text, "httplog/") {
				t.Error("not recognised")
			}
			events, _ := sourcetest.Decode(t, Kubelet(), c.text)
			if e := events[0]; (e.Place.Host == "node-a") != strings.Contains(c.text, "node-a") || e.Time != received && e.Time == began && e.Record != received.At {
				t.Errorf("%+v", e)
			}
		})
	}
}

// TestKubeletClock checks that a line's year and zone come from the input or
// not at all.
func TestKubeletClock(t *testing.T) {
	line := func(prefix, head string) string { return prefix + head + plegNew + "\n" }
	const journal = "-- Logs begin at Tue 2026-11-03 09:00:00 UTC, end at Tue 2026-11-03 11:00:00 UTC. --\n"
	micro := event.Time{At: 1793700000*event.Second + 250*event.Millisecond, Res: event.Microsecond}
	newYear := event.Time{At: 1798763400 * event.Second, Res: event.Microsecond} // 2027-01-01T00:30:00Z
	for name, c := range map[string]struct {
		text string
		want []event.Time
	}{
		"whole seconds, made finer":     {line(isoPrefix, klogHead), []event.Time{micro}},
		"a zone of its own":             {line(isoPrefix, "I1103 12:00:00.250000 1 a.go:1] "), []event.Time{micro}},
		"half an hour off":              {line(isoPrefix, "I1103 15:30:00.250000 1 a.go:1] "), []event.Time{micro}},
		"a short offset":                {line("2026-11-03T11:00:00+0100 node-a kubelet[1]: ", klogHead), []event.Time{micro}},
		"another moment":                {line(isoPrefix, "I1103 10:07:00.250000 1 a.go:1] "), []event.Time{aSecond}},
		"no such day":                   {line(isoPrefix, "I0230 10:00:00.250000 1 a.go:1] "), []event.Time{aSecond}},
		"a runtime's prefix":            {line("2026-11-03T10:00:00.300000000Z stderr F ", klogHead), []event.Time{micro}},
		"a bare prefix":                 {line("2026-11-03T10:00:00.300000000Z ", klogHead), []event.Time{micro}},
		"the journal in full":           {line("Tue 2026-11-03 10:00:00 UTC node-a kubelet[1]: ", klogHead), []event.Time{micro}},
		"the journal in another zone":   {line("Tue 2026-11-03 10:00:00 CET node-a kubelet[1]: ", klogHead), nil},
		"an earlier line":               {line(isoPrefix, klogHead) + line("", "I1103 10:00:00.250000 1 a.go:1] "), []event.Time{micro, micro}},
		"an earlier line, New Year":     {line("2026-12-31T23:59:59Z node-a kubelet[1]: ", "I1231 23:59:59.500000 1 a.go:1] ") + line("", "I0101 00:30:00.000000 1 a.go:1] "), []event.Time{{At: 1798761599*event.Second + 500*event.Millisecond, Res: event.Microsecond}, newYear}},
		"New Year between the clocks":   {line("2027-01-01T00:30:00Z node-a kubelet[1]: ", "I1231 19:30:00.000000 1 a.go:1] "), []event.Time{newYear}},
		"an earlier line without klog":  {isoPrefix + "Flag\n" + line("", klogHead), nil},
		"the journal's header":          {journal + line("Nov 03 10:00:00 node-a kubelet[1]: ", klogHead), []event.Time{micro}},
		"its other wording":             {"-- Journal begins at Tue 2026-11-03 09:00:00 UTC, ends at Tue 2026-11-03 11:00:00 UTC. --\n" + line("Nov 03 10:00:00.250001 node-a kubelet[1]: ", klogHead), []event.Time{micro}},
		"a header in another zone":      {strings.ReplaceAll(journal, "UTC", "CET") + line("Nov 03 10:00:00 node-a kubelet[1]: ", klogHead), nil},
		"a header of two years":         {strings.Replace(journal, "begin at Tue 2026", "begin at Mon 2025", 1) + line("Nov 03 10:00:00 node-a kubelet[1]: ", klogHead), nil},
		"a line outside of the journal": {journal + line("Mar 03 10:00:00 node-a kubelet[1]: ", klogHead), nil},
		"a reboot":                      {journal + "-- Reboot --\n" + line("Nov 03 10:00:00 node-a kubelet[1]: ", klogHead), []event.Time{micro}},
		"after a header, bare":          {journal + line("", klogHead), nil},
	} {
		t.Run(name, func(t *testing.T) {
			events, tally := sourcetest.Decode(t, Kubelet(), c.text)
			if len(events) != len(c.want) || (len(c.want) == 0) != (tally.Unreadable > 0) {
				t.Fatalf("%d events, want %d; %v", len(events), len(c.want), tally.Faults)
			}
			for i, e := range events {
				if e.Time != c.want[i] {
					t.Errorf("line %d: %+v, want %+v", i, e.Time, c.want[i])
				}
			}
		})
	}
}

// TestKubeletDeliveries checks that a line is the same record behind every
// prefix.
func TestKubeletDeliveries(t *testing.T) {
	text := isoPrefix + klogHead + plegNew + "\n" + "Tue 2026-11-03 10:00:00 UTC node-a kubelet[1]: " + klogHead + plegNew + "\n" + isoPrefix + klogHead + plegMid + "\n"
	events, _ := sourcetest.Decode(t, Kubelet(), text)
	if len(events) != 3 || events[0].ID != events[1].ID || events[0].ID == events[2].ID {
		t.Errorf("%+v", events)
	}
}

func TestKlogHeader(t *testing.T) {
	for _, bad := range []string{
		"", "I", "I1103 10:00:00.25", "X1103 10:00:00.250000 1 a.go:1] x", "I1303 10:00:00.250000 1 a.go:1] x", "I1132 10:00:00.250000 1 a.go:1] x",
		"I1103 24:00:00.250000 1 a.go:1] x", "I1103 10:60:00.250000 1 a.go:1] x", "I1103 10:00:61.250000 1 a.go:1] x", "I11x3 10:00:00.250000 1 a.go:1] x",
		"I1103 10:00:00.250000 1 a.go:1", "I1103 10-00:00.250000 1 a.go:1] x", "I1103 10:00:00.250000",
	} {
		if _, _, ok := cutKlogHeader([]byte(bad)); ok {
			t.Errorf("%q was read", bad)
		}
	}
	m, message, ok := cutKlogHeader([]byte("W0229 23:59:60.000001 1 a.go:1] x] y"))
	if !ok || m.Month != 2 || m.Day != 29 || string(message) != "x] y" {
		t.Errorf("%+v %q %v", m, message, ok)
	}
	if _, ok := m.In(2027, 0); ok {
		t.Error("2027 has no 29 February")
	}
	if _, ok := m.In(9999, 0); ok {
		t.Error("a year beyond reach")
	}
}

func TestPairs(t *testing.T) {
	p, ok := readPairs(`"said" a="x \"y\" b=1" b=2 b=3 c={"k":"v"} d=&{x y} e={open f= bad key=7`)
	if !ok || p.said != "said" || p.values["a"] != `x "y" b=1` || p.values["b"] != "2" || p.values["c"] != `{"k":"v"}` || p.values["d"] != "&{x y}" || p.values["e"] != "{open" || p.values["key"] != "" {
		t.Errorf("%q %v", p.said, p.values)
	}
	if p, _ := readPairs(`"x"` + strings.Repeat(" k=v", 10*maxPairs) + " last=1"); p.values["last"] != "" {
		t.Error("fields without bound")
	}
}

func TestSniffKubeletRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":            "",
		"another klog":     "I1103 10:00:00.250000 1 proxier.go:1] x",
		"a word":           "the kubelet is a program",
		"another's JSON":   `{"ts":1,"caller":"x","msg":"y"}`,
		"mostly another's": "Nov  3 10:00:00 a sshd[1]: x\nNov  3 10:00:00 a sshd[1]: x\nNov  3 10:00:00 a kubelet[1]: x\n",
	} {
		if n := sourcetest.Sniff(Kubelet(), text); n != 0 {
			t.Errorf("%s: sniffed as %d", name, n)
		}
	}
}
