package flow

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// smallHubble is Hubble with room for few connections and little text.
func smallHubble(limit, text int) *source.Format {
	small := *Hubble()
	small.New = func(out *source.Output) source.Decoder {
		d := Hubble().New(out).(*hubbleDecoder)
		d.seen.limit, d.seen.textLimit = limit, text
		return d
	}
	return &small
}

func cited(e event.Event) []int {
	var lines []int
	for _, s := range e.Origin.Spans {
		lines = append(lines, s.Line)
	}
	return lines
}

// TestHubbleCites pins which records the second event cites, and that the
// others are counted.
func TestHubbleCites(t *testing.T) {
	for _, c := range []struct {
		middle  int
		want    []int
		skipped int64
	}{
		{0, []int{1, 2}, 0},
		{6, []int{1, 2, 3, 4, 5, 6, 7, 8}, 0},
		{7, []int{1, 3, 4, 5, 6, 7, 8, 9}, 1},
		{40, []int{1, 36, 37, 38, 39, 40, 41, 42}, 34},
	} {
		text := packetOf(1, tcpOf(syn), "", egress) + strings.Repeat(packetOf(2, tcpOf(ack), "", egress), c.middle)
		for end, last := range map[string]string{"CLOSED": packetOf(3, tcpOf(finAck), "", egress), "OPEN": packetOf(3, tcpOf(ack), "", egress)} {
			r := read(t, Hubble(), text+last)
			if len(r.events) != 2 || !slices.Equal(cited(r.events[0]), []int{1}) || !slices.Equal(cited(r.events[1]), c.want) {
				t.Fatalf("%d between: %d events, the last cites %v", c.middle, len(r.events), cited(r.events[len(r.events)-1]))
			}
			if got := r.events[1].Body.(*event.Flow).State; got != end || r.tally.Skipped != c.skipped {
				t.Errorf("%d between: %s and %d skipped, want %s and %d", c.middle, got, r.tally.Skipped, end, c.skipped)
			}
		}
	}
}

// TestHubbleOnlyTwice: what follows an end is skipped, and drops are told once.
func TestHubbleOnlyTwice(t *testing.T) {
	text := packetOf(1, tcpOf(syn), "", egress) + packetOf(2, tcpOf(finAck), "", egress) + strings.Repeat(packetOf(3, back(finAck), "reply", replied), 20)
	if r := read(t, Hubble(), text); len(r.events) != 2 || r.tally.Skipped != 20 {
		t.Errorf("%d events and %d skipped after an end", len(r.events), r.tally.Skipped)
	}
	text = strings.Repeat(drop(packetOf(1, tcpOf(syn), "", egress)), 5)
	if r := read(t, Hubble(), text); len(r.events) != 1 || r.tally.Skipped != 4 {
		t.Errorf("%d events and %d skipped of drops", len(r.events), r.tally.Skipped)
	}
}

// TestHubbleLongLived: hours between its records do not make a connection
// another one, and while records come it outlives the bound.
func TestHubbleLongLived(t *testing.T) {
	at := func(hour, minute int) string { return fmt.Sprintf("2026-11-22T%02d:%02d", hour, minute) }
	text := packetOf(1, tcpOf(syn), "", egress)
	others := 0
	for hour := range 24 {
		text += strings.ReplaceAll(packetOf(1, tcpOf(ack), "", egress), "2026-11-21T22:26", at(hour, 0))
		for range 3 {
			port := fmt.Sprint(2000 + others)
			text += strings.NewReplacer("2026-11-21T22:26", at(hour, 1+others%50), "41446", port).Replace(packetOf(1, tcpOf(syn), "", egress))
			others++
		}
	}
	text += strings.ReplaceAll(packetOf(1, back(finAck), "reply", replied), "2026-11-21T22:26", at(23, 59))
	r := read(t, smallHubble(4, maxSeenText), text)
	var of []event.Event
	for _, e := range r.events {
		if e.Body.(*event.Flow).Src.Port() == 41446 {
			of = append(of, e)
		}
	}
	if len(of) != 2 || len(r.events) != others+2 {
		t.Fatalf("%d events, of them %d of the long one", len(r.events), len(of))
	}
	first, second := of[0], of[1]
	body := second.Body.(*event.Flow)
	if second.Time != first.Time || body.State != "CLOSED" || second.Record != body.End.At {
		t.Errorf("told again as %s", line(second))
	}
	if got, want := body.End.At-second.Time.At, int64(25*3600+33*60)*event.Second; got != want {
		t.Errorf("lasted %d ns, want %d", got, want)
	}
}

// TestHubbleForgetsInOrder: what the bounds push out is told, the one that was
// silent longest first; so is what is left at the end.
func TestHubbleForgetsInOrder(t *testing.T) {
	text := ""
	for i := range 6 {
		p := strings.Replace(packetOf(1+i, tcpOf(syn), "", egress), "41446", fmt.Sprint(1000+i), 1)
		text += p + p
	}
	want := "1000OPEN 1001OPEN 1002OPEN 1003OPEN 1004OPEN 1005OPEN"
	perPod := len("web-0") + len("web") + len("node-1")
	for name, c := range map[string]struct {
		f      *source.Format
		before int // how many are told before the last has begun
	}{
		"count": {smallHubble(2, maxSeenText), 3}, "text": {smallHubble(maxSeen, 2*perPod), 3},
		"less text than one has": {smallHubble(maxSeen, 0), 0}, "neither": {Hubble(), 0},
	} {
		r := read(t, c.f, text)
		var told []string
		before := 0
		for _, e := range r.events {
			b := e.Body.(*event.Flow)
			switch {
			case b.State == "OPEN":
				told = append(told, fmt.Sprint(b.Src.Port(), b.State))
			case b.Src.Port() == 1005 && b.State == "NEW":
				before = len(told)
			}
		}
		if name == "less text than one has" {
			if len(told) != 0 || len(r.events) != 12 || r.tally.Unreadable != 0 {
				t.Errorf("%s: told %v", name, told)
			}
			continue
		}
		if got := strings.Join(told, " "); got != want || before != c.before {
			t.Errorf("%s: told %s, %d of them before the last began, want %s, %d", name, got, before, want, c.before)
		}
	}
}

// TestHubbleRemembersLittle pins what is held: no more than the bounds, and
// neither records nor names of a connection that was told twice.
func TestHubbleRemembersLittle(t *testing.T) {
	var tally source.Tally
	d := smallHubble(10, 200).New(&source.Output{Format: Hubble(), Tally: &tally, Emit: func(event.Event) {}}).(*hubbleDecoder)
	n := 0
	feed := func(text string) {
		n++
		d.Decode(source.Record{Data: []byte(text), Span: event.Span{Line: n}})
		sum := 0
		for e := d.seen.order.Front(); e != nil; e = e.Next() {
			c := e.Value.(*seenConn)
			sum += c.text()
			if len(c.spans) > maxCited || c.told == nil && c.spans != nil {
				t.Fatalf("%d records held, told %v", len(c.spans), c.told)
			}
		}
		if d.seen.full() || d.seen.text != sum || len(d.seen.live) != d.seen.order.Len() {
			t.Fatalf("%d connections with %d bytes, counted as %d", len(d.seen.live), sum, d.seen.text)
		}
	}
	for i := range 200 {
		of := func(p string) string { return strings.Replace(p, "41446", fmt.Sprint(1000+i%40), 1) }
		names := `"destination_names":["` + strings.Repeat("a", i%60) + `.example"],`
		feed(of(packetOf(1, tcpOf(syn), "", egress+names)))
		for range i % 12 {
			feed(of(packetOf(2, tcpOf(ack), "", egress)))
		}
		if i%3 == 0 {
			feed(of(packetOf(3, back(finAck), "reply", replied)))
		}
	}
	d.Flush()
	if len(d.seen.live) != 0 || d.seen.text != 0 || d.seen.oldest() != nil {
		t.Errorf("%d connections and %d bytes left at the end", len(d.seen.live), d.seen.text)
	}
}

// TestHubbleSecondID: the second event has an id of its own, made of start and
// ends, so that it is the same in every delivery of the file.
func TestHubbleSecondID(t *testing.T) {
	text := packetOf(1, tcpOf(syn), "", egress) + packetOf(2, tcpOf(ack), "", egress)
	ids := func(text string) [2]event.ID {
		r := read(t, Hubble(), text)
		if len(r.events) != 2 {
			t.Fatalf("%d events", len(r.events))
		}
		return [2]event.ID{r.events[0].ID, r.events[1].ID}
	}
	a := ids(text)
	if a[0] == a[1] || a != ids(text) {
		t.Errorf("ids %v, then %v", a, ids(text))
	}
	if got := ids(text + packetOf(3, tcpOf(finAck), "", egress)); got != a {
		t.Errorf("ids %v of a longer recording, want %v", got, a)
	}
	if got := ids(strings.ReplaceAll(text, "22:26:01", "22:26:00")); got[1] == a[1] {
		t.Error("another start has the same id")
	}
	if got := ids(strings.ReplaceAll(text, "41446", "41447")); got[1] == a[1] {
		t.Error("other ends have the same id")
	}
}

// TestHubbleSecondPods: pods and names are those told first, also where the
// first record was a reply.
func TestHubbleSecondPods(t *testing.T) {
	names := `"source_names":["pool.example"],`
	r := read(t, Hubble(), packetOf(1, back(ack), "reply", replied+names)+packetOf(2, tcpOf(finAck), "", egress))
	compare(t, r.events, []string{
		"2026-11-21T22:26:01.100200300Z " + pool + " state=REPLY bytes=-1/-1 from=" + webPod + " names=pool.example cluster=blue",
		"2026-11-21T22:26:01.100200300Z " + pool + " state=CLOSED end=2026-11-21T22:26:02.100200300Z bytes=-1/-1 from=" + webPod + " names=pool.example record=2026-11-21T22:26:02.1002003Z cluster=blue",
	})
}

// FuzzHubbleSmall fuzzes connections that are soon forgotten, and wants the
// same events of the same records.
func FuzzHubbleSmall(f *testing.F) {
	text := ""
	for i := range 6 {
		port := fmt.Sprint(1000 + i%3)
		text += strings.Replace(packetOf(1+i, tcpOf(syn), "", egress), "41446", port, 1) +
			strings.Replace(packetOf(2+i, back(synAck), "reply", replied), "41446", port, 1) +
			strings.Replace(packetOf(3+i, tcpOf(finAck), "", egress), "41446", port, 1)
	}
	f.Add([]byte(text))
	for _, v := range hubbleConnections() {
		f.Add([]byte(v.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		format := smallHubble(2, 40)
		events, tally := sourcetest.Feed(format, records(data))
		sourcetest.CheckAccount(t, events, tally)
		checkEvents(t, events, true)
		again, _ := sourcetest.Feed(format, records(data))
		for i, e := range again {
			if e.ID != events[i].ID || line(e) != line(events[i]) || !slices.Equal(e.Origin.Spans, events[i].Origin.Spans) {
				t.Fatalf("the second time %s, not %s", line(e), line(events[i]))
			}
		}
	})
}
