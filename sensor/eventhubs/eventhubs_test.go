package eventhubs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"tidewaiter/app"
	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/eventhubs"
	"tidewaiter/sensor/sensortest"
)

// hub is one in memory, as there is no emulator of Event Hubs in Go: what the
// SDK does with AMQP is not tested here.
type hub struct {
	mu     sync.Mutex
	kept   map[string][]eventhubs.Event
	fail   error
	opened []string
	open   int
}

func (h *hub) Partitions(context.Context) ([]string, error) { return []string{"0", "1"}, nil }
func (h *hub) Close(context.Context) error                  { return nil }
func (h *hub) Last(_ context.Context, name string) (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := int64(-1)
	for _, e := range h.kept[name] {
		last = e.Sequence
	}
	return last, nil
}
func (h *hub) Open(name string, after *int64) (eventhubs.Partition, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	from := int64(-1)
	if after != nil {
		from = *after
	}
	h.opened = append(h.opened, fmt.Sprint(name, " after ", from))
	h.open++
	return &partition{h, name, from}, nil
}

type partition struct {
	h    *hub
	name string
	at   int64
}

func (p *partition) Close(context.Context) error {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	p.h.open--
	return nil
}

func (p *partition) Receive(ctx context.Context) ([]eventhubs.Event, error) {
	p.h.mu.Lock()
	var got []eventhubs.Event
	for _, e := range p.h.kept[p.name] {
		if e.Sequence > p.at && len(got) < 2 {
			got = append(got, e)
			p.at = e.Sequence
		}
	}
	fail := p.h.fail
	p.h.mu.Unlock()
	if len(got) > 0 {
		return got, nil
	}
	if fail != nil {
		return nil, fail
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func act(id int) string {
	return fmt.Sprintf(`{"time":"2026-11-21T22:26:40Z","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.COMPUTE/VIRTUALMACHINES/A","operationName":"MICROSOFT.COMPUTE/VIRTUALMACHINES/START/ACTION","category":"Administrative","resultType":"Success","correlationId":"c-%d"}`, id)
}

func records(ids ...int) []byte {
	var all []string
	for _, id := range ids {
		all = append(all, act(id))
	}
	return []byte(`{"records": [` + strings.Join(all, ", ") + "]}")
}

func watching(h *hub, out sensor.Recorder) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := eventhubs.New(eventhubs.Options{Namespace: "logs.servicebus.windows.net", Hub: "activity", Place: event.Place{Account: "s"}, Open: app.Opener(""), Dial: func(context.Context) (eventhubs.Hub, error) { return h, nil }})
	go func() { done <- s.Watch(ctx, out) }()
	return func() error { cancel(); return <-done }
}

// Every partition is read, and goes on behind what was recorded.
func TestPartitions(t *testing.T) {
	h := &hub{kept: map[string][]eventhubs.Event{
		"0": {{records(1, 2), 5}, {[]byte("what is this?"), 6}, {nil, 7}},
		"1": {{records(3), 0}},
	}}
	out := sensortest.New("")
	stop := watching(h, out)
	out.Until(t, "all", func() bool {
		return len(out.All()) == 3 && len(out.Losses()) == 1 && strings.Contains(out.Resume(), `"0":7`)
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got := out.All()
	slices.Sort(got)
	if want := []string{act(1), act(2), act(3)}; !slices.Equal(got, want) || out.Readies() != 1 {
		t.Errorf("got %q", got)
	}
	if lanes := out.Lanes(); len(lanes) != 1 || lanes[0].Format != "azure-activity" || lanes[0].Place.Account != "s" {
		t.Errorf("%+v", lanes)
	}
	h.kept["0"] = append(h.kept["0"], eventhubs.Event{records(4), 8})
	h.kept["1"] = []eventhubs.Event{{records(5), 4}} // 1 to 3 are gone
	again := sensortest.New(out.Resume())
	stop = watching(h, again)
	again.Until(t, "what came meanwhile", func() bool { return len(again.All()) == 2 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if l := again.Losses(); len(l) != 1 || !strings.HasPrefix(l[0], "3 events of partition 1") {
		t.Errorf("losses %q", l)
	}
	slices.Sort(h.opened)
	if want := []string{"0 after -1", "0 after 7", "1 after -1", "1 after 0"}; !slices.Equal(h.opened, want) || h.open != 0 {
		t.Errorf("opened %q, %d left open", h.opened, h.open)
	}
	if other := sensortest.New(strings.Replace(out.Resume(), "activity", "another", 1)); other.Resume() != "" {
		h.opened = nil
		stop = watching(h, other)
		other.Until(t, "another hub's", func() bool { return len(other.All()) == 4 })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// A hub that was made anew is read from its beginning.
func TestMadeAnew(t *testing.T) {
	h := &hub{kept: map[string][]eventhubs.Event{"0": {{records(1), 0}}}}
	out := sensortest.New(`{"hub":"logs.servicebus.windows.net/activity","at":{"0":4711,"7":1}}`)
	stop := watching(h, out)
	out.Until(t, "its events", func() bool { return len(out.All()) == 1 && strings.HasSuffix(out.Resume(), `"at":{"0":0}}`) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if l := out.Losses(); len(l) != 1 || !strings.Contains(l[0], "made anew") {
		t.Errorf("losses %q", l)
	}
}

func TestOneFailingPartitionEndsAll(t *testing.T) {
	h := &hub{fail: errors.New("gone away")}
	s := eventhubs.New(eventhubs.Options{Open: app.Opener(""), Dial: func(context.Context) (eventhubs.Hub, error) { return h, nil }})
	if err := s.Watch(t.Context(), sensortest.New("")); err == nil || !strings.Contains(err.Error(), "gone away") || h.open != 0 {
		t.Errorf("%v, %d left open", err, h.open)
	}
	if err := s.Watch(t.Context(), sensortest.New("{")); err == nil {
		t.Error("a broken token is taken")
	}
}
