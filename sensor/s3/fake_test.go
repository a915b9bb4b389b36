package s3_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"tidewaiter/app"
	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/s3"
	"tidewaiter/sensor/sensortest"
)

// queue speaks as much of Amazon SQS's JSON protocol as is asked.
type queue struct {
	mu       sync.Mutex
	messages []*queued
	given    int
	extended int
	deny     string // the action that is not allowed
	missing  bool
}

type queued struct {
	id, body string
	hidden   time.Time // until then
	handle   string
	received int
}

func (q *queue) send(bodies ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range bodies {
		q.given++
		q.messages = append(q.messages, &queued{id: fmt.Sprint("m-", q.given), body: b})
	}
}

func (q *queue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages)
}

func (q *queue) extensions() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.extended
}

func (q *queue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ReceiptHandle     string
		VisibilityTimeout int
		WaitTimeSeconds   int
	}
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	fail := func(typ string) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"__type":%q,"message":"no"}`, "com.amazonaws.sqs#"+typ)
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail("InvalidMessageContents")
		return
	}
	q.mu.Lock()
	deny, missing := q.deny == action, q.missing
	q.mu.Unlock()
	switch {
	case deny:
		fail("AccessDeniedException")
	case missing:
		fail("QueueDoesNotExist")
	case action == "ReceiveMessage":
		if in.WaitTimeSeconds > 0 && !q.due() {
			time.Sleep(20 * time.Millisecond)
		}
		if r.Context().Err() != nil {
			return // or messages would be hidden that nobody has
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]any{"Messages": q.receiveLocked(in.VisibilityTimeout)})
	case action == "DeleteMessage", action == "ChangeMessageVisibility":
		q.change(in.ReceiptHandle, action == "DeleteMessage", in.VisibilityTimeout)
		fmt.Fprint(w, "{}")
	default:
		fail("UnsupportedOperation")
	}
}

func (q *queue) due() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.messages, func(m *queued) bool { return m.hidden.Before(time.Now()) })
}

func (q *queue) receiveLocked(visibility int) []map[string]any {
	out := []map[string]any{}
	for _, m := range q.messages {
		if m.hidden.After(time.Now()) || len(out) == 10 {
			continue
		}
		m.received++
		m.handle = fmt.Sprint(m.id, "-", m.received)
		m.hidden = time.Now().Add(time.Duration(visibility) * time.Second)
		sum := md5.Sum([]byte(m.body))
		out = append(out, map[string]any{
			"MessageId": m.id, "ReceiptHandle": m.handle, "Body": m.body, "MD5OfBody": hex.EncodeToString(sum[:]),
			"Attributes": map[string]string{"ApproximateReceiveCount": strconv.Itoa(m.received)},
		})
	}
	return out
}

func (q *queue) change(handle string, away bool, visibility int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, m := range q.messages {
		if m.handle != handle {
			continue
		}
		if away {
			q.messages = append(q.messages[:i], q.messages[i+1:]...)
			return
		}
		if visibility > 0 {
			q.extended++
		}
		m.hidden = time.Now().Add(time.Duration(visibility) * time.Second)
	}
}

// again makes all messages visible, as time would.
func (q *queue) again() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.messages {
		m.hidden = time.Time{}
	}
}

// lab is a bucket with a queue, and a sensor that reads them.
type lab struct {
	t     *testing.T
	store *s3mem.Backend
	s3    *httptest.Server
	sqs   *httptest.Server
	queue *queue
	// before is asked before the store is; what answers has answered.
	before func(http.ResponseWriter, *http.Request) bool
	mu     sync.Mutex
	asked  []string
	opt    s3.Options
}

const bucket = "trail-logs"

func newLab(t *testing.T, options ...s3mem.Option) *lab {
	for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "HTTP_PROXY", "http_proxy"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	l := &lab{t: t, store: s3mem.New(options...), queue: &queue{}}
	if err := l.store.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	serve := gofakes3.New(l.store).Server()
	l.s3 = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.asked = append(l.asked, r.Method+" "+r.URL.RequestURI())
		l.mu.Unlock()
		if l.before == nil || !l.before(w, r) {
			serve.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(l.s3.Close)
	l.sqs = httptest.NewServer(l.queue)
	t.Cleanup(l.sqs.Close)
	l.opt = s3.Options{
		Queue: l.sqs.URL + "/111122223333/trail", Bucket: bucket, Prefix: "AWSLogs/", Region: "eu-central-1", Endpoint: l.s3.URL,
		Place: event.Place{Account: "111122223333"}, Open: app.Opener(""), Every: 10 * time.Millisecond,
	}
	return l
}

func (l *lab) put(key string, data []byte) {
	l.t.Helper()
	if _, err := l.store.PutObject(bucket, key, map[string]string{}, bytes.NewReader(data), int64(len(data)), nil); err != nil {
		l.t.Fatal(err)
	}
}

// watch runs the sensor; the function that it gives ends it.
func (l *lab) watch(out sensor.Recorder) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s3.New(l.opt).Watch(ctx, out) }()
	return func() error {
		cancel()
		return <-done
	}
}

// reads runs the sensor until no message is left.
func (l *lab) reads() *sensortest.Recorder {
	l.t.Helper()
	out := sensortest.New("")
	stop := l.watch(out)
	out.Until(l.t, "an empty queue", func() bool { return l.queue.left() == 0 })
	if err := stop(); err != nil {
		l.t.Fatal(err)
	}
	return out
}

func packed(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

// call is a record of CloudTrail.
func call(id int) string {
	return fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser"},"eventTime":"2026-11-21T22:26:40Z","eventSource":"ec2.amazonaws.com","eventName":"StopInstances","awsRegion":"eu-central-1","recipientAccountId":"111122223333","eventID":"e-%d","requestParameters":{"instancesSet":{"items":[{"instanceId":"i-1"}]}}}`, id)
}

func trail(ids ...int) string {
	var calls []string
	for _, id := range ids {
		calls = append(calls, call(id))
	}
	return `{"Records":[` + strings.Join(calls, ",") + "]}"
}

// created is what S3 sends; the key is given as it stands there.
func created(bucket, key string) string {
	return fmt.Sprintf(`{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-central-1","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":%q},"object":{"key":%q,"size":1,"eTag":%q}}}]}`, bucket, key, "etag-"+key)
}
