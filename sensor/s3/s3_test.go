package s3_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/s3"
	"tidewaiter/sensor/sensortest"
)

const folder = "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/11/21/"

// Every way in which a queue tells of an object is understood, and what was
// recorded is deleted.
func TestNotices(t *testing.T) {
	l := newLab(t)
	key := folder + "a b+ü.json.gz"
	for i := range 5 {
		l.put(key+fmt.Sprint(i), packed(trail(i)))
	}
	escaped := folder + "a+b%2B%C3%BC.json.gz"
	sns, err := json.Marshal(map[string]string{"Type": "Notification", "MessageId": "1", "Message": created(bucket, escaped+"1")})
	if err != nil {
		t.Fatal(err)
	}
	bridge, err := json.Marshal(map[string]any{"source": "aws.s3", "detail-type": "Object Created", "detail": map[string]any{"bucket": map[string]string{"name": bucket}, "object": map[string]any{"key": key + "2", "size": 3}}})
	if err != nil {
		t.Fatal(err)
	}
	own, err := json.Marshal(map[string]any{"s3Bucket": bucket, "s3ObjectKey": []string{key + "3", key + "4"}})
	if err != nil {
		t.Fatal(err)
	}
	l.queue.send(created(bucket, escaped+"0"), string(sns), string(bridge), string(own),
		`{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"trail-logs"}`,
		`{"Records":[{"eventName":"ObjectRemoved:Delete","s3":{"bucket":{"name":"trail-logs"},"object":{"key":"AWSLogs/x"}}}]}`,
		created(bucket, "access-logs/elsewhere"))
	out := l.reads()
	got := out.All()
	slices.Sort(got)
	if want := []string{call(0), call(1), call(2), call(3), call(4)}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if lanes := out.Lanes(); len(lanes) != 1 || lanes[0].Format != "cloudtrail" || lanes[0].Place != (event.Place{Account: "111122223333", Region: "eu-central-1"}) {
		t.Errorf("%+v", lanes)
	}
	if len(out.Losses()) > 0 || out.Readies() == 0 {
		t.Errorf("losses %q, ready %d times", out.Losses(), out.Readies())
	}
}

// What other heads are above needs other lanes, and gets its head there.
func TestFlowLogs(t *testing.T) {
	l := newLab(t)
	const standard = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
	const line = "2 111122223333 eni-1 10.0.0.5 203.0.113.9 51000 443 6 10 840 1795300000 1795300060 ACCEPT OK"
	l.put("AWSLogs/111122223333/vpcflowlogs/eu-west-1/2026/11/21/a.log.gz", packed(standard+"\n"+line+"\n"+line+"\n"))
	l.put("AWSLogs/111122223333/vpcflowlogs/eu-west-1/2026/11/21/b.log", []byte("srcaddr dstaddr start\n10.0.0.5 203.0.113.9 1795300000\n"))
	l.queue.send(created(bucket, "AWSLogs/111122223333/vpcflowlogs/eu-west-1/2026/11/21/a.log.gz"), created(bucket, "AWSLogs/111122223333/vpcflowlogs/eu-west-1/2026/11/21/b.log"))
	out := l.reads()
	var heads []string
	for _, lane := range out.Lanes() {
		heads = append(heads, lane.Head)
		if lane.Format != "aws-vpcflow" || lane.Place.Region != "eu-west-1" {
			t.Errorf("%+v", lane)
		}
	}
	slices.Sort(heads)
	if want := []string{"srcaddr dstaddr start\n", standard + "\n"}; !slices.Equal(heads, want) {
		t.Errorf("heads %q", heads)
	}
	if got := out.All(); len(got) != 3 {
		t.Errorf("got %q", got)
	}
}

// When it ends while it reads, the message comes again, and all is recorded.
func TestEndingInTheMiddle(t *testing.T) {
	l := newLab(t)
	l.put(folder+"a", packed(trail(1, 2)))
	l.queue.send(created(bucket, folder+"a"))
	asked, first := make(chan struct{}), atomic.Bool{}
	l.before = func(w http.ResponseWriter, r *http.Request) bool {
		if first.Swap(true) {
			return false
		}
		w.WriteHeader(http.StatusOK)
		data := packed(trail(1, 2))
		_, _ = w.Write(data[:len(data)-9])
		_ = http.NewResponseController(w).Flush()
		close(asked)
		<-r.Context().Done()
		return true
	}
	out := sensortest.New("")
	stop := l.watch(out)
	out.Until(t, "being asked", first.Load)
	<-asked
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if l.queue.left() != 1 {
		t.Fatal("the message was deleted although nothing was recorded")
	}
	if got := l.reads().All(); !slices.Equal(got, []string{call(1), call(2)}) {
		t.Errorf("got %q", got)
	}
}

func TestAnnouncedTwice(t *testing.T) {
	l := newLab(t)
	l.put(folder+"a", packed(trail(1)))
	l.queue.send(created(bucket, folder+"a"))
	l.reads()
	l.queue.send(created(bucket, folder+"a"), created(bucket, folder+"a"), created(bucket, folder+"a"))
	for _, line := range l.reads().All() {
		if line != call(1) {
			t.Errorf("got %q", line)
		}
	}
}

// What cannot be read is told once and stays in the queue; the rest is read.
func TestWhatCannotBeReadStays(t *testing.T) {
	l := newLab(t)
	l.opt.Tries = 2
	l.put(folder+"good", packed(trail(1)))
	l.put(folder+"good2", packed(trail(2)))
	l.put(folder+"secret", packed(trail(3)))
	l.put(folder+"picture", []byte("\x89PNG\x00\x00\x00"))
	l.put(folder+"bomb", packed(`{"Records":[`+call(1)+strings.Repeat(" ", 200<<20)))
	l.put(folder+"cut", packed(trail(5))[:30])
	l.before = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "secret") {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>AccessDenied</Code><Message>no</Message></Error>`)
		return true
	}
	l.queue.send(created(bucket, folder+"good"))
	out := sensortest.New("")
	stop := l.watch(out)
	out.Until(t, "the first object", func() bool { return l.queue.left() == 0 })
	bad := []string{
		created(bucket, folder+"gone"), created("other-bucket", folder+"good"), created(bucket, folder+"%zz"), created(bucket, ""), created(bucket, folder+"%00"),
		created(bucket, folder+"secret"), created(bucket, folder+"picture"), created(bucket, folder+"bomb"), created(bucket, folder+"cut"), "not JSON", "{}",
		`{"Type":"Notification","Message":"{\"Type\":\"Notification\",\"Message\":\"{}\"}"}`,
	}
	l.queue.send(bad...)
	l.queue.send(created(bucket, folder+"good2"))
	for range 4 {
		out.Until(t, "the other object", func() bool { return l.queue.left() == len(bad) })
		time.Sleep(50 * time.Millisecond)
		l.queue.again()
	}
	out.Until(t, "giving up", func() bool { return strings.Contains(strings.Join(out.Losses(), "\n"), "redrive policy") })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got := out.All()
	slices.Sort(got)
	if want := []string{call(1), call(2)}; !slices.Equal(slices.Compact(got), want) {
		t.Errorf("got %q", got)
	}
	losses := strings.Join(out.Losses(), "\n")
	for _, want := range []string{"gone\" is gone", "names the bucket \"other-bucket\"", "may not be read", "format not recognised", "unpacks to more", "no key that S3 could have", "no notice of an object", "not read to its end"} {
		if !strings.Contains(losses, want) {
			t.Errorf("nothing told of %q in:\n%s", want, losses)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, path := range l.asked {
		if !strings.HasPrefix(path, "GET /"+bucket+"/AWSLogs/") {
			t.Errorf("asked for %q", path)
		}
	}
}

// What is lacking is told with what would mend it.
func TestLacks(t *testing.T) {
	for want, set := range map[string]func(*lab){
		"reading the queue is not allowed":     func(l *lab) { l.queue.deny = "ReceiveMessage" },
		"deleting a message is not allowed":    func(l *lab) { l.queue.deny = "DeleteMessage"; l.opt.Prefix = "other" },
		"the queue does not exist":             func(l *lab) { l.queue.missing = true },
		"the bucket does not exist":            func(l *lab) { l.opt.Queue, l.opt.Bucket = "", "nowhere" },
		"no credentials of AWS":                func(l *lab) { l.t.Setenv("AWS_ACCESS_KEY_ID", ""); l.t.Setenv("AWS_EC2_METADATA_DISABLED", "true") },
		"no region of AWS":                     func(l *lab) { l.opt.Region = "" },
		"no address of a queue":                func(l *lab) { l.opt.Queue = "trail" },
		"reading objects is not allowed":       func(l *lab) { l.before = refuse("AccessDenied") },
		"AWS refuses the credentials":          func(l *lab) { l.before = refuse("InvalidAccessKeyId") },
		"the configuration of AWS cannot be":   func(l *lab) { l.t.Setenv("AWS_PROFILE", "none-of-these") },
		"the bucket is in another region":      func(l *lab) { l.before = refuse("PermanentRedirect") },
		"listing the bucket is not allowed":    func(l *lab) { l.opt.Queue = ""; l.before = refuse("AccessDenied") },
		"extending a message's visibility is ": func(l *lab) { l.queue.deny = "ChangeMessageVisibility"; l.opt.Visibility = 1; l.before = slow },
	} {
		t.Run(want, func(t *testing.T) {
			l := newLab(t)
			l.put(folder+"a", packed(trail(1)))
			l.queue.send(created(bucket, folder+"a"))
			set(l)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			out := sensortest.New("")
			lack, ok := sensor.AsLack(s3.New(l.opt).Watch(ctx, out))
			if !ok || !strings.HasPrefix(lack.What, want) || lack.Mend == "" {
				t.Errorf("%+v, losses %q", lack, out.Losses())
			}
		})
	}
}

func refuse(code string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<Error><Code>%s</Code><Message>no</Message></Error>`, code)
		return true
	}
}

func slow(http.ResponseWriter, *http.Request) bool {
	time.Sleep(1500 * time.Millisecond)
	return false
}

// A message is kept hidden while its object is read.
func TestVisibilityIsExtended(t *testing.T) {
	l := newLab(t)
	l.opt.Visibility = 2 * time.Second
	l.put(folder+"a", packed(trail(1)))
	l.queue.send(created(bucket, folder+"a"))
	l.before = func(http.ResponseWriter, *http.Request) bool {
		for range 500 {
			if l.queue.extensions() > 1 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		return false
	}
	if got := l.reads().All(); !slices.Equal(got, []string{call(1)}) || l.queue.extensions() < 2 {
		t.Errorf("got %q, extended %d times", got, l.queue.extensions())
	}
}

// counter counts what it is given, and keeps nothing.
type counter struct {
	*sensortest.Recorder
	lines, most atomic.Int64
}

func (c *counter) Record(_ sensor.Lane, data []byte) {
	c.lines.Add(int64(strings.Count(string(data), "\n")))
	c.most.Store(max(c.most.Load(), int64(len(data))))
}

// A large file passes through in pieces.
func TestLargeFile(t *testing.T) {
	l := newLab(t)
	const records = 100_000 // 30 MB in one object
	var read atomic.Int64
	l.before = func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = io.WriteString(w, `{"Records":[`)
		for i := range records {
			if i > 0 {
				_, _ = io.WriteString(w, ",")
			}
			n, _ := io.WriteString(w, call(i))
			read.Add(int64(n))
		}
		_, _ = io.WriteString(w, "]}")
		return true
	}
	l.queue.send(created(bucket, folder+"a"))
	out := &counter{Recorder: sensortest.New("")}
	stop := l.watch(out)
	for range 6000 {
		if l.queue.left() == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if out.lines.Load() != records || out.most.Load() > 300<<10 || read.Load() < 29e6 {
		t.Errorf("%d lines, at most %d bytes at once, of %d", out.lines.Load(), out.most.Load(), read.Load())
	}
}

// clock is the store's.
type clock struct{ at atomic.Int64 }

func (c *clock) Now() time.Time                  { return time.Unix(c.at.Load(), 0) }
func (c *clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

var _ gofakes3.TimeSource = &clock{}

// Without a queue the bucket is listed: what is new is read once, wherever its
// key stands, also after a restart.
func TestListing(t *testing.T) {
	c := &clock{}
	now := time.Now().Unix()
	l := newLab(t, s3mem.WithTimeSource(c))
	l.opt.Queue = ""
	add := func(key string, at int64, id int) {
		c.at.Store(at)
		l.put("AWSLogs/"+key, packed(trail(id)))
	}
	add("eu/2026/11/20/a", now-86400, 1) // long before: not read
	add("eu/2026/11/21/b", now-60, 2)
	add("us/2026/11/21/a", now-30, 3)
	out := sensortest.New("")
	stop := l.watch(out)
	lines := func(n int) func() bool { return func() bool { return len(out.All()) == n } }
	out.Until(t, "what is there", lines(2))
	add("eu/2026/11/21/c", now, 4) // before the last key
	out.Until(t, "what came", lines(3))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	add("eu/2026/11/21/d", now-20, 5) // late, while nobody watched
	add("us/2026/11/21/e", now+3*3600, 6)
	again := sensortest.New(out.Resume())
	stop = l.watch(again)
	again.Until(t, "what came meanwhile", func() bool { return len(again.All()) == 2 })
	add("us/2026/11/21/f", now+4*3600, 7)
	again.Until(t, "what came last", func() bool { return len(again.All()) == 3 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	all := append(out.All(), again.All()...)
	slices.Sort(all)
	if want := []string{call(2), call(3), call(4), call(5), call(6), call(7)}; !slices.Equal(all, want) {
		t.Errorf("got %q", all)
	}
	if n := len(out.Losses()) + len(again.Losses()); n > 0 {
		t.Errorf("losses %q %q", out.Losses(), again.Losses())
	}
}
