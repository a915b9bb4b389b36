package docker

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tidewaiter/sensor/sensortest"
)

// engine is a pretended Docker Engine on a local socket.
type engine struct {
	http.Server
	socket string
	events chan string // an empty one ends the stream
	mu     sync.Mutex
	since  []string          // with which events were asked for
	asked  map[string]int    // paths
	bodies map[string]string // answers by path
	slow   chan struct{}     // not nil: answers about containers wait for it
	other  []string          // requests that were not reads
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{
		socket: filepath.Join(t.TempDir(), "s"), events: make(chan string, 10_000), asked: map[string]int{},
		bodies: map[string]string{"/containers/json": "[]", "/images/json": "[]"},
	}
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		t.Fatal(err)
	}
	e.Handler = e
	go func() { _ = e.Serve(l) }()
	t.Cleanup(func() {
		_ = e.Close()
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(e.other) > 0 {
			t.Errorf("not only read: %q", e.other)
		}
	})
	return e
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1.41")
	e.mu.Lock()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		e.other = append(e.other, r.Method+" "+path)
	}
	e.asked[path]++
	body, known := e.bodies[path]
	slow := e.slow
	e.mu.Unlock()
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	switch {
	case path == "/_ping":
	case path == "/events":
		e.mu.Lock()
		e.since = append(e.since, r.URL.Query().Get("since"))
		e.mu.Unlock()
		e.stream(w, r)
	case !known:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"message":"No such thing"}`)
	default:
		if slow != nil && strings.HasPrefix(path, "/containers/") && path != "/containers/json" {
			select {
			case <-slow:
			case <-r.Context().Done():
			}
		}
		_, _ = io.WriteString(w, body)
	}
}

func (e *engine) stream(w http.ResponseWriter, r *http.Request) {
	flush := w.(http.Flusher)
	flush.Flush()
	for {
		select {
		case text := <-e.events:
			if text == "" {
				return
			}
			_, _ = io.WriteString(w, text)
			flush.Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (e *engine) set(path, body string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bodies[path] = body
}

func (e *engine) askedFor(path string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked[path]
}

// say sends an event, as Docker 20.10 does.
func (e *engine) say(typ, action, id, attributes string, nano int64) {
	e.events <- fmt.Sprintf(`{"status":%q,"id":%q,"Type":%q,"Action":%q,"Actor":{"ID":%q,"Attributes":{%s}},"scope":"local","time":%d,"timeNano":%d}`+"\n",
		action, id, typ, action, id, attributes, nano/1e9, nano)
}

// watched is a running Watch.
type watched struct {
	*sensortest.Recorder
	stop context.CancelFunc
	end  chan error
}

func (e *engine) watch(t *testing.T, o Options, resume string) *watched {
	t.Helper()
	o.Host = "unix://" + e.socket
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{sensortest.New(resume), cancel, make(chan error, 1)}
	go func() { w.end <- New(o).Watch(ctx, w) }()
	t.Cleanup(cancel)
	w.Until(t, "ready", func() bool { return w.Readies() > 0 })
	return w
}

// ended gives what Watch returned.
func (w *watched) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.end:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("Watch does not end")
		return nil
	}
}
