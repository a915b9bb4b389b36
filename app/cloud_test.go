package app

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
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/sensortest"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

const launch = `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDA1","arn":"arn:aws:iam::111122223333:user/eve","accountId":"111122223333"},"eventTime":"2026-11-21T22:26:40Z","eventSource":"ec2.amazonaws.com","eventName":"RunInstances","awsRegion":"eu-west-1","sourceIPAddress":"203.0.113.9","userAgent":"aws-cli","recipientAccountId":"111122223333","eventID":"e-1","eventType":"AwsApiCall","requestParameters":{"instancesSet":{"items":[{"imageId":"ami-0bad","minCount":1,"maxCount":1}]}},"responseElements":{"instancesSet":{"items":[{"instanceId":"i-1","imageId":"ami-0bad"}]}}}`

// oneMessage is a queue of one message, until that is deleted.
type oneMessage struct {
	body    string
	deleted atomic.Bool
}

func (q *oneMessage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	switch _, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); {
	case action == "DeleteMessage":
		q.deleted.Store(true)
	case action == "ReceiveMessage" && !q.deleted.Load():
		sum := md5.Sum([]byte(q.body))
		_ = json.NewEncoder(w).Encode(map[string]any{"Messages": []any{map[string]any{"MessageId": "1", "ReceiptHandle": "1", "Body": q.body, "MD5OfBody": hex.EncodeToString(sum[:])}}})
		return
	}
	time.Sleep(10 * time.Millisecond)
	fmt.Fprint(w, "{}")
}

// sensorOf makes the one sensor of a configuration.
func sensorOf(t *testing.T, config string) sensor.Sensor {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tidewaiter.yaml")
	if err := os.WriteFile(file, []byte("host: h\nsensors:\n  defaults: false\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ReadSettings(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := sensors(s)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d sensors, %v", len(all), err)
	}
	return all[0]
}

// recorded runs a sensor until something is so, and decodes what it recorded.
func recorded(t *testing.T, s sensor.Sensor, so func(*sensortest.Recorder) bool) []event.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	out := sensortest.New("")
	go func() { done <- s.Watch(ctx, out) }()
	out.Until(t, "what is there", func() bool { return so(out) })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var all []event.Event
	for file, name := range out.Write(t, t.TempDir()) {
		var one []*source.Format
		for _, f := range Formats() {
			if f.Name == name {
				one = append(one, f)
			}
		}
		in, events := sourcetest.ReadFile(t, file, one...)
		if n := in.Tallies()[0].Unreadable; n > 0 {
			t.Errorf("%s: %d records cannot be read: %v", name, n, in.Tallies()[0].Faults)
		}
		all = append(all, events...)
	}
	return all
}

// What a configuration has read from S3 are the events that a hunt finds in the
// same file.
func TestTrailInS3(t *testing.T) {
	const key = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/21/a.json.gz"
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprintf(z, `{"Records":[%s,{"eventVersion":"1.11","eventSource":"s3.amazonaws.com","eventName":"GetObject","eventTime":"2026-11-21T22:26:40Z"}]}`, launch)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/trail-logs/"+key {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(packed.Bytes())
	}))
	defer store.Close()
	q := &oneMessage{body: fmt.Sprintf(`{"s3Bucket":"trail-logs","s3ObjectKey":[%q]}`, key)}
	queue := httptest.NewServer(q)
	defer queue.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	s := sensorOf(t, fmt.Sprintf("  s3:\n  - {name: trail, queue: %s/1/trail, bucket: trail-logs, prefix: AWSLogs/, region: eu-central-1, endpoint: %s, account: \"999999999999\"}\n", queue.URL, store.URL))
	if s.Name() != "trail" {
		t.Errorf("called %q", s.Name())
	}
	live := recorded(t, s, func(*sensortest.Recorder) bool { return q.deleted.Load() })
	file := filepath.Join(t.TempDir(), "a.json.gz")
	if err := os.WriteFile(file, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	_, hunted := sourcetest.ReadFile(t, file, Formats()...)
	if len(live) != 1 || len(hunted) != 1 || live[0].ID != hunted[0].ID {
		t.Fatalf("live %+v, hunted %+v", live, hunted)
	}
	if b, ok := live[0].Body.(*event.Instance); !ok || b.ID != "i-1" || b.Action != event.InstanceLaunch {
		t.Errorf("%+v", live[0].Body)
	}
}

func TestTrailInPubSub(t *testing.T) {
	s := pstest.NewServer()
	defer s.Close()
	t.Setenv("PUBSUB_EMULATOR_HOST", s.Addr)
	if _, err := s.GServer.CreateTopic(t.Context(), &pubsubpb.Topic{Name: "projects/shop/topics/trail"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GServer.CreateSubscription(t.Context(), &pubsubpb.Subscription{Name: "projects/shop/subscriptions/trail", Topic: "projects/shop/topics/trail"}); err != nil {
		t.Fatal(err)
	}
	s.Publish("projects/shop/topics/trail", []byte(`{"insertId":"i","logName":"projects/shop/logs/cloudaudit.googleapis.com%2Factivity","timestamp":"2026-11-21T22:26:40Z","protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"compute.googleapis.com","methodName":"v1.compute.instances.stop","resourceName":"projects/shop/zones/europe-west1-b/instances/web"}}`), nil)
	one := sensorOf(t, "  pubsub:\n  - {subscription: projects/shop/subscriptions/trail, account: shop}\n")
	events := recorded(t, one, func(r *sensortest.Recorder) bool { return len(r.All()) == 1 })
	if len(events) != 1 || events[0].Body.(*event.Instance).Action != event.InstanceStop {
		t.Errorf("%+v", events)
	}
}

// Every fault of clouds' settings is told with its line.
func TestCloudSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tidewaiter.yaml")
	text := `host: h
sensors:
  s3:
  - name: Trail
    bucket: UPPER
    queue: arn:aws:sqs:eu-central-1:1:q
    endpoint: https://key:secret@store.example
    format: none
  - {bucket: trail-logs, account: "1"}
  - {bucket: trail-logs, account: "1"}
  pubsub:
  - {name: docker, account: p, subscription: trail}
  eventhubs:
  - namespace: logs
    hub: "*"
    account: s
    secret: x
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := ReadSettings(file)
	if err == nil || !strings.Contains(err.Error(), `:17: unknown key "secret"`) {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(text, "    secret: x\n", "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = ReadSettings(file)
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{
		`:4: sensors.s3[0].name: "Trail" is not`, `:5: sensors.s3[0].bucket: "UPPER"`, `:6: sensors.s3[0].queue: "arn`, ":7: sensors.s3[0].endpoint: ", ":8: sensors.s3[0].format: ",
		":4: sensors.s3[0].account: missing", `sensors.s3[2].name: "s3" is not a name of its own`, `:12: sensors.pubsub[0].name: "docker" is not a name of its own`,
		":12: sensors.pubsub[0].subscription: ", `:14: sensors.eventhubs[0].namespace: "logs"`, ":15: sensors.eventhubs[0].hub: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
}
