package flow

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// The checks here read the public samples a second time, with encoding/json and
// without a line of the decoders, and compare every record with the events that
// cite it.

// eachLine reads JSON lines.
func eachLine[T any](t *testing.T, file string) []T {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []T
	for line := range strings.Lines(string(text)) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		list = append(list, v)
	}
	return list
}

// citing gives the events that cite a line.
func citing(events []event.Event, line int) []event.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e event.Event) bool {
		return !slices.ContainsFunc(e.Origin.Spans, func(s event.Span) bool { return s.Line == line })
	})
}

type rawHubble struct {
	Flow struct {
		Time time.Time
		IP   struct{ Source, Destination netip.Addr }
		L4   struct {
			TCP struct {
				Source      uint16 `json:"source_port"`
				Destination uint16 `json:"destination_port"`
			}
		} `json:"l4"`
		Source, Destination struct {
			Namespace string
			Pod       string `json:"pod_name"`
		}
		IsReply *bool `json:"is_reply"`
		Reply   bool
		L7      struct {
			Type string
			DNS  struct {
				Query string
				Types []string `json:"qtypes"`
				Code  int      `json:"rcode"`
			} `json:"dns"`
			HTTP struct {
				Code   int
				Method string
				URL    string
			} `json:"http"`
		} `json:"l7"`
	}
}

func TestHubbleSamplesAgainstTheirJSON(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(sourcetest.Shared(t, "data", "hubble"), "*/*/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	// Two records that are one conversation, a request and its answer or a
	// packet and the next, end in events that cite both: none is skipped.
	counts := map[string][2]int64{"basic-sample-10-flows.json": {10, 10}, "basic-sample-5-dns-flows.json": {5, 3}, "basic-sample-5-http-flows.json": {5, 4}}
	for _, file := range files {
		name := filepath.Base(file)
		in, events := readFile(t, file)
		raws := eachLine[rawHubble](t, file)
		if tally := in.Tallies()[0]; int64(len(raws)) != tally.Records || counts[name] != [2]int64{tally.Records, tally.Events} || tally.Skipped != 0 || tally.Unreadable != 0 {
			t.Errorf("%s: %+v of %d records, want %v", name, tally, len(raws), counts[name])
		}
		for i, raw := range raws {
			cited := citing(events, i+1)
			if len(cited) == 0 {
				t.Errorf("%s:%d: nothing cites it", name, i+1)
			}
			for _, e := range cited {
				compareHubble(t, fmt.Sprintf("%s:%d", name, i+1), e, raw)
			}
		}
	}
	if len(files) != len(counts) {
		t.Errorf("%d files, want %d", len(files), len(counts))
	}
}

func compareHubble(t *testing.T, at string, e event.Event, raw rawHubble) {
	t.Helper()
	f := raw.Flow
	from, to := netip.AddrPortFrom(f.IP.Source, f.L4.TCP.Source), netip.AddrPortFrom(f.IP.Destination, f.L4.TCP.Destination)
	client, server := f.Source, f.Destination
	if f.Reply || f.IsReply != nil && *f.IsReply {
		from, to, client, server = to, from, server, client
	}
	if when := f.Time.UnixNano(); when < e.Time.At || when > max(e.Record, e.Time.At) {
		t.Errorf("%s: at %s to %d, the record says %s", at, e.Time, e.Record, f.Time)
	}
	good, ends := false, [2]netip.AddrPort{}
	switch b := e.Body.(type) {
	case *event.Flow:
		ends = [2]netip.AddrPort{b.Src, b.Dst}
		good = b.Protocol == "tcp" && b.SrcPod.Value().Namespace == client.Namespace && b.SrcPod.Value().Pod == client.Pod && b.DstPod.Value().Namespace == server.Namespace && b.DstPod.Value().Pod == server.Pod
	case *event.DNS:
		ends = [2]netip.AddrPort{b.Client, b.Server}
		good = b.Query+"." == f.L7.DNS.Query && b.Of.Value().Pod == client.Pod && b.Of.Value().Namespace == client.Namespace
		if f.L7.Type == "RESPONSE" {
			good = good && f.L7.DNS.Code == 3 && b.Code == "NXDOMAIN" && len(b.Addrs) == 0
		}
	case *event.HTTP:
		ends = [2]netip.AddrPort{b.Client, b.Server}
		u, err := url.Parse(f.L7.HTTP.URL)
		good = err == nil && b.Method == f.L7.HTTP.Method && b.Host == u.Hostname() && b.URI == u.RequestURI() && b.Of.Value().Pod == client.Pod
		if f.L7.Type == "RESPONSE" {
			good = good && b.Status == f.L7.HTTP.Code
		}
	}
	if !good || ends != [2]netip.AddrPort{from, to} {
		t.Errorf("%s: %s, the record says %+v", at, line(e), f)
	}
}

type rawEVE struct {
	Timestamp string
	Type      string     `json:"event_type"`
	Src       netip.Addr `json:"src_ip"`
	SrcPort   uint16     `json:"src_port"`
	Dst       netip.Addr `json:"dest_ip"`
	DstPort   uint16     `json:"dest_port"`
	Proto     string
	Flow      struct {
		Out        int64 `json:"bytes_toserver"`
		In         int64 `json:"bytes_toclient"`
		Start, End string
		State      string
	}
}

// eveStamp is how Suricata writes times.
const eveStamp = "2006-01-02T15:04:05.999999-0700"

func TestSuricataSamplesAgainstTheirJSON(t *testing.T) {
	root := sourcetest.Shared(t, "data", "suricata_eve", "crowdsecurity__hub", ".tests")
	for name, want := range map[string]struct {
		records, events int64
		skipped         string // event types of the others: alerts and the program's own counters
	}{
		"suricata-eve-detect":  {4, 0, "alert alert alert alert"},
		"suricata-logs-evelog": {8, 2, "alert alert stats alert stats alert"},
	} {
		file := filepath.Join(root, name, name+".log")
		in, events := readFile(t, file)
		raws := eachLine[rawEVE](t, file)
		var skipped []string
		for i, raw := range raws {
			cited := citing(events, i+1)
			if raw.Type != "flow" {
				skipped = append(skipped, raw.Type)
			}
			if len(cited) != map[bool]int{true: 1}[raw.Type == "flow"] {
				t.Errorf("%s:%d: %d events of a %s", name, i+1, len(cited), raw.Type)
				continue
			}
			for _, e := range cited {
				compareEVE(t, fmt.Sprintf("%s:%d", name, i+1), e, raw)
			}
		}
		tally := in.Tallies()[0]
		if tally.Records != want.records || tally.Events != want.events || tally.Skipped != want.records-want.events || tally.Unreadable != 0 || strings.Join(skipped, " ") != want.skipped {
			t.Errorf("%s: %+v, skipped %v, want %+v", name, tally, skipped, want)
		}
	}
}

func compareEVE(t *testing.T, at string, e event.Event, raw rawEVE) {
	t.Helper()
	b, ok := e.Body.(*event.Flow)
	start, errStart := time.Parse(eveStamp, raw.Flow.Start)
	end, errEnd := time.Parse(eveStamp, raw.Flow.End)
	written, errWritten := time.Parse(eveStamp, raw.Timestamp)
	if !ok || errStart != nil || errEnd != nil || errWritten != nil {
		t.Errorf("%s: %T, times %v %v %v", at, e.Body, errStart, errEnd, errWritten)
		return
	}
	// An end before the beginning, as one has, is not taken over.
	ended := b.End.At == end.UnixNano() || end.Before(start) && b.End.IsZero()
	if b.Src != netip.AddrPortFrom(raw.Src, raw.SrcPort) || b.Dst != netip.AddrPortFrom(raw.Dst, raw.DstPort) || string(b.Protocol) != strings.ToLower(raw.Proto) ||
		b.BytesOut != raw.Flow.Out || b.BytesIn != raw.Flow.In || b.State != raw.Flow.State || e.Time.At != start.UnixNano() || e.Record != written.UnixNano() || !ended {
		t.Errorf("%s: %s, the record says %+v", at, line(e), raw)
	}
}

// TestWrappedSamplesAreRefused: two public samples hold Suricata's records as
// another program's test data. They are refused, not half read.
func TestWrappedSamplesAreRefused(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(sourcetest.Shared(t, "data", "suricata_eve", "chronicle__content-hub"), "*/*/*/*/*/*/*/*/*.json"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%d files, want 2: %v", len(files), err)
	}
	for _, file := range files {
		if in, events := readFile(t, file); in != nil {
			t.Errorf("%s: %d events", file, len(events))
		}
	}
}
