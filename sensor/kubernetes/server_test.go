package kubernetes

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// cluster is an API server that lists and watches as the real one does: lists
// in pages, watches as JSON objects in one chunked answer that go on after a
// version, 410 for a version that it has forgotten, bookmarks.
type cluster struct {
	*httptest.Server
	mu      sync.Mutex
	grown   *sync.Cond
	version int
	oldest  int // watches from before are 410
	objects map[string]map[string]map[string]any
	history []change
	refused map[string]int // status by "verb resource"
	asked   []string       // "verb path?query"
	cut     int            // counts the times that all watches were cut off
	page    int            // elements in a page, whatever is asked
}

type change struct {
	version        int
	resource, kind string
	object         map[string]any
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{version: 100, objects: map[string]map[string]map[string]any{}, refused: map[string]int{}, page: 2}
	c.grown = sync.NewCond(&c.mu)
	c.Server = httptest.NewUnstartedServer(c)
	c.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.EnableHTTP2 = true // as the real one's, with TLS: without, clients don't say who they are
	c.StartTLS()
	t.Cleanup(func() {
		c.hangUp()
		c.CloseClientConnections()
		c.Server.Close()
	})
	return c
}

// kubeconfig is a file that leads to the server.
func (c *cluster) kubeconfig(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority-data":%q}}],"users":[{"name":"u","user":{"token":"hello"}}],`+
		`"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}},{"name":"bad","context":{"cluster":"none","user":"u"}}],"current-context":"x"}`, c.URL, base64.StdEncoding.EncodeToString(ca))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// put makes or changes an object, given as JSON.
func (c *cluster) put(resource, text string) {
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	meta := o["metadata"].(map[string]any)
	meta["resourceVersion"] = strconv.Itoa(c.version)
	uid := meta["uid"].(string)
	if c.objects[resource] == nil {
		c.objects[resource] = map[string]map[string]any{}
	}
	kind := "MODIFIED"
	if c.objects[resource][uid] == nil {
		kind = "ADDED"
	}
	c.objects[resource][uid] = o
	c.history = append(c.history, change{c.version, resource, kind, o})
	c.grown.Broadcast()
}

func (c *cluster) delete(resource, uid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	o := maps.Clone(c.objects[resource][uid]) // with the version of its end
	meta := maps.Clone(o["metadata"].(map[string]any))
	meta["resourceVersion"] = strconv.Itoa(c.version)
	o["metadata"] = meta
	delete(c.objects[resource], uid)
	c.history = append(c.history, change{c.version, resource, "DELETED", o})
	c.grown.Broadcast()
}

// hangUp ends all watches, in the middle of a line.
func (c *cluster) hangUp() { c.do(func() { c.cut++ }) }

// forget has the server remember nothing that came before now.
func (c *cluster) forget() { c.do(func() { c.oldest, c.cut = c.version, c.cut+1 }) }

func (c *cluster) do(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.grown.Broadcast()
}

func (c *cluster) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

// refuse answers with a Status object, as the API server does.
func refuse(w http.ResponseWriter, status int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":%q,"reason":%q,"code":%d}`, message, reason, status)
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	verb := "list"
	if query.Get("watch") != "" {
		verb = "watch"
	}
	path := strings.TrimPrefix(r.URL.Path, "/api/v1/")
	namespace := ""
	if rest, ok := strings.CutPrefix(path, "namespaces/"); ok {
		namespace, path, _ = strings.Cut(rest, "/")
	}
	c.mu.Lock()
	c.asked = append(c.asked, verb+" "+r.URL.Path+"?"+query.Get("fieldSelector"))
	status := c.refused[verb+" "+path]
	c.mu.Unlock()
	switch {
	case r.Method != "GET":
		refuse(w, 405, "MethodNotAllowed", "only reading is meant")
	case r.Header.Get("Authorization") != "Bearer hello":
		refuse(w, 401, "Unauthorized", "Unauthorized")
	case status == 403:
		refuse(w, 403, "Forbidden", path+` is forbidden: User "u" cannot `+verb+` resource "`+path+`"`)
	case status != 0:
		refuse(w, status, "InternalError", "something is wrong")
	case verb == "watch":
		c.watch(w, r, path, namespace)
	default:
		c.list(w, query.Get("continue"), path, namespace, query.Get("fieldSelector"))
	}
}

// matches knows the selectors that the sensor uses.
func matches(o map[string]any, namespace, selector string) bool {
	meta := o["metadata"].(map[string]any)
	if namespace != "" && meta["namespace"] != namespace {
		return false
	}
	key, want, found := strings.Cut(selector, "=")
	if !found {
		return true
	}
	var v any = o
	for part := range strings.SplitSeq(key, ".") {
		m, _ := v.(map[string]any)
		v = m[part]
	}
	return v == want
}

func (c *cluster) list(w http.ResponseWriter, after, resource, namespace, selector string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var uids []string
	for uid, o := range c.objects[resource] {
		if matches(o, namespace, selector) && uid > after {
			uids = append(uids, uid)
		}
	}
	slices.Sort(uids)
	next := ""
	if len(uids) > c.page {
		uids = uids[:c.page]
		next = uids[c.page-1]
	}
	items := []any{}
	kind := map[string]string{"pods": "PodList", "events": "EventList", "nodes": "NodeList"}[resource]
	for _, uid := range uids {
		bare := map[string]any{}
		for k, v := range c.objects[resource][uid] {
			if k != "kind" && k != "apiVersion" { // elements of the API's lists have none
				bare[k] = v
			}
		}
		items = append(items, bare)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"kind": kind, "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": strconv.Itoa(c.version), "continue": next}, "items": items,
	})
}

func (c *cluster) watch(w http.ResponseWriter, r *http.Request, resource, namespace string) {
	query := r.URL.Query()
	from, err := strconv.Atoi(query.Get("resourceVersion"))
	if err != nil || query.Get("allowWatchBookmarks") != "true" || query.Get("timeoutSeconds") == "" {
		refuse(w, 400, "BadRequest", "a version, bookmarks and a timeout are expected")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	send := func(kind string, o any) {
		json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": o})
		w.(http.Flusher).Flush()
	}
	if from < c.oldest { // the real one answers 200 and says it in the stream
		send("ERROR", map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old resource version"})
		return
	}
	cut, bookmark := c.cut, 0
	stop := contextDone(r, c.grown)
	defer stop()
	for {
		for _, h := range c.history {
			if h.version > from && h.resource == resource && matches(h.object, namespace, query.Get("fieldSelector")) {
				send(h.kind, h.object)
				from = h.version
			}
		}
		if from < c.version && bookmark < c.version { // something happened elsewhere
			from, bookmark = c.version, c.version
			send("BOOKMARK", map[string]any{"kind": "Pod", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": strconv.Itoa(from)}})
		}
		c.grown.Wait()
		if r.Context().Err() != nil {
			return
		}
		if c.cut != cut {
			fmt.Fprint(w, `{"type":"ADDED","obj`)
			panic(http.ErrAbortHandler)
		}
	}
}

// contextDone wakes a condition when a request ends.
func contextDone(r *http.Request, cond *sync.Cond) func() {
	done := make(chan struct{})
	go func() {
		select {
		case <-r.Context().Done():
		case <-done:
		}
		cond.L.Lock()
		defer cond.L.Unlock()
		cond.Broadcast()
	}()
	return func() { close(done) }
}
