package flow

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// result is what decoding one input gave.
type result struct {
	events []event.Event
	tally  source.Tally
}

// read decodes text as the format says, through the real framing.
func read(t testing.TB, f *source.Format, text string) result {
	t.Helper()
	events, tally := sourcetest.Decode(t, f, text)
	return result{events, tally}
}

// line prints an event on one line, everything in it that a decoder decides.
func line(e event.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s ", e.Time)
	switch body := e.Body.(type) {
	case *event.Flow:
		fmt.Fprintf(&b, "%s %s > %s", body.Protocol, body.Src, body.Dst)
		add := func(name, s string) {
			if s != "" {
				fmt.Fprintf(&b, " %s=%s", name, s)
			}
		}
		if body.Via.IsValid() {
			add("via", body.Via.String())
		}
		add("state", body.State)
		add("service", body.Service)
		if !body.End.IsZero() {
			add("end", body.End.String())
		}
		fmt.Fprintf(&b, " bytes=%d/%d", body.BytesOut, body.BytesIn)
		if !body.Answered {
			b.WriteString(" unanswered")
		}
		add("from", podText(body.SrcPod.Value()))
		add("to", podText(body.DstPod.Value()))
		add("names", strings.Join(body.DstNames, ","))
	case *event.DNS:
		fmt.Fprintf(&b, "%s > %s %s %s %s", body.Client, body.Server, body.Type, body.Query, body.Code)
		for _, a := range body.Addrs {
			fmt.Fprintf(&b, " %s", a)
		}
		for _, n := range body.Names {
			fmt.Fprintf(&b, " %s", n)
		}
		b.WriteString(ofText(body.Of.Value()))
	case *event.HTTP:
		fmt.Fprintf(&b, "%s > %s %s %s %s status=%d bytes=%d/%d agent=%q", body.Client, body.Server, body.Method, body.Host, body.URI,
			body.Status, body.BytesOut, body.BytesIn, body.Agent)
		b.WriteString(ofText(body.Of.Value()))
	case *event.TLS:
		fmt.Fprintf(&b, "%s > %s %s %q", body.Client, body.Server, body.Version, body.ServerName)
		b.WriteString(ofText(body.Of.Value()))
	case *event.Loss:
		fmt.Fprintf(&b, "lost %d: %s", body.Count, body.Reason)
	}
	if e.Record != 0 {
		fmt.Fprintf(&b, " record=%s", event.Unix(e.Record).Format(time.RFC3339Nano))
	}
	if e.Place.Cluster != "" {
		fmt.Fprintf(&b, " cluster=%s", e.Place.Cluster)
	}
	return b.String()
}

func podText(r event.PodRef) string {
	if r.IsZero() {
		return ""
	}
	text := r.Namespace + "/" + r.Pod
	if !r.Workload.IsZero() {
		text += "(" + r.Workload.Kind + " " + r.Workload.Namespace + "/" + r.Workload.Name + ")"
	}
	if r.Node != "" {
		text += "@" + r.Node
	}
	return text
}

func ofText(r event.PodRef) string {
	if r.IsZero() {
		return ""
	}
	return " of=" + podText(r)
}

// variation is one row of a format's table: what stands in the log, and what
// becomes of it.
type variation struct {
	name string
	text string
	// want are the events, as line prints them.
	want []string
	// skipped is how many records tell nothing.
	skipped int64
	// faults are parts of the reasons of the unreadable records, in order.
	faults []string
}

func check(t *testing.T, f *source.Format, rows []variation) {
	t.Helper()
	for _, v := range rows {
		t.Run(v.name, func(t *testing.T) {
			r := read(t, f, v.text)
			compare(t, r.events, v.want)
			if r.tally.Skipped != v.skipped {
				t.Errorf("skipped %d records, want %d", r.tally.Skipped, v.skipped)
			}
			if int(r.tally.Unreadable) != len(v.faults) {
				t.Fatalf("%d unreadable records, want %d: %v", r.tally.Unreadable, len(v.faults), r.tally.Faults)
			}
			for i, want := range v.faults {
				if got := r.tally.Faults[i].Error(); !strings.Contains(got, want) {
					t.Errorf("fault %d is %q, want it to say %q", i, got, want)
				}
			}
		})
	}
}

func compare(t *testing.T, events []event.Event, want []string) {
	t.Helper()
	for i, e := range events {
		if i >= len(want) {
			t.Errorf("unexpected event: %s", line(e))
			continue
		}
		if got := line(e); got != want[i] {
			t.Errorf("event %d\n got %s\nwant %s", i, got, want[i])
		}
	}
	for _, w := range want[min(len(events), len(want)):] {
		t.Errorf("missing event: %s", w)
	}
}

// TestProtocolNames pins that one protocol has one name, however it is printed.
func TestProtocolNames(t *testing.T) {
	for number, want := range map[string]event.Protocol{
		"1": "icmp", "6": "tcp", "17": "udp", "58": "icmp", "47": "gre", "132": "sctp", "253": "253",
	} {
		if got := protocol(number); got != want {
			t.Errorf("protocol(%s) = %s, want %s", number, got, want)
		}
	}
}

// TestParseTime pins the notations of a time and their resolution.
func TestParseTime(t *testing.T) {
	const at = 1795296952
	for _, c := range []struct {
		text  string
		nanos int64
		res   int64
	}{
		{"1795296952.456243", at*event.Second + 456243*event.Microsecond, event.Microsecond},
		{"1795296952", at * event.Second, event.Second},
		{"1795296952.5", at*event.Second + 500*event.Millisecond, 100 * event.Millisecond},
		{"2026-11-21T21:35:52.456243Z", at*event.Second + 456243*event.Microsecond, event.Microsecond},
		{"2026-11-21T21:35:52+0000", at * event.Second, event.Second},
		{"2026-11-21T16:35:52.25-0500", at*event.Second + 250*event.Millisecond, 10 * event.Millisecond},
		{"2026-11-21T22:35:52+01:00", at * event.Second, event.Second},
		{"", 0, 0},
	} {
		got, err := parseTime(c.text)
		if err != nil || got != (event.Time{At: c.nanos, Res: c.res}) {
			t.Errorf("parseTime(%q) = %v, %v; want %d ns, %d ns wide", c.text, got, err, c.nanos, c.res)
		}
	}
	for _, bad := range []string{
		"1795296952456", "1795296952456.243", "9999999999", "XXXXXXXXXX.XXXXXX", "-5", "1.7e9", "1795296952.",
		"2026-11-21T21:35:52.456243", "2026-11-21T21:35:52", "2026-11-21 21:35:52Z", "1895-11-21T21:35:52Z", "T", "+0000",
	} {
		if got, err := parseTime(bad); err == nil {
			t.Errorf("parseTime(%q) = %v, want an error: a time is never guessed", bad, got)
		}
	}
}
