package pubsub_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tidewaiter/app"
	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/pubsub"
	"tidewaiter/sensor/sensortest"
)

const (
	topic        = "projects/logs/topics/trail"
	subscription = "projects/logs/subscriptions/tidewaiter"
)

// fake is the service with one topic and one subscription.
func fake(t *testing.T) *pstest.Server {
	t.Helper()
	s := pstest.NewServer()
	t.Cleanup(func() { s.Close() })
	t.Setenv("PUBSUB_EMULATOR_HOST", s.Addr)
	if _, err := s.GServer.CreateTopic(t.Context(), &pubsubpb.Topic{Name: topic}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GServer.CreateSubscription(t.Context(), &pubsubpb.Subscription{Name: subscription, Topic: topic, AckDeadlineSeconds: 10}); err != nil {
		t.Fatal(err)
	}
	return s
}

func options() pubsub.Options {
	return pubsub.Options{Subscription: subscription, Open: app.Opener(""), Place: event.Place{Account: "shop"}, Settled: 50 * time.Millisecond, AtOnce: 20}
}

func watch(out sensor.Recorder) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- pubsub.New(options()).Watch(ctx, out) }()
	return func() error { cancel(); return <-done }
}

func entry(id int) string {
	return fmt.Sprintf(`{"insertId":"i-%d","logName":"projects/shop/logs/cloudaudit.googleapis.com%%2Factivity","timestamp":"2026-11-21T22:26:40Z","protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"compute.googleapis.com","methodName":"v1.compute.instances.stop","resourceName":"projects/shop/zones/z/instances/a"}}`, id)
}

// acked is how many messages were acknowledged.
func acked(s *pstest.Server) int {
	n := 0
	for _, m := range s.Messages() {
		if m.Acks > 0 {
			n++
		}
	}
	return n
}

// Messages are recorded and then acknowledged; one over many lines is one
// record, and one that cannot be read is told.
func TestMessages(t *testing.T) {
	s := fake(t)
	s.Publish(topic, []byte(entry(1)), nil)
	s.Publish(topic, []byte(strings.Replace(entry(2), ",", ",\n", 1)), nil)
	s.Publish(topic, []byte("what is this?"), nil)
	s.Publish(topic, nil, map[string]string{"no": "data"})
	out := sensortest.New("")
	stop := watch(out)
	out.Until(t, "acknowledgement", func() bool { return acked(s) == 4 })
	s.Publish(topic, []byte(entry(3)), nil)
	out.Until(t, "a later one", func() bool { return acked(s) == 5 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got := out.All()
	slices.Sort(got)
	want := []string{entry(1), strings.Replace(entry(2), ",", ", ", 1), entry(3)}
	if !slices.Equal(got, want) || out.Readies() == 0 {
		t.Errorf("got %q", got)
	}
	if lanes := out.Lanes(); len(lanes) != 1 || lanes[0].Format != "gcp-audit" || lanes[0].Place.Account != "shop" {
		t.Errorf("%+v", lanes)
	}
	if l := out.Losses(); len(l) != 1 || !strings.Contains(l[0], "format not recognised") {
		t.Errorf("losses %q", l)
	}
}

// stuck is a recorder that never comes back from its first record.
type stuck struct {
	*sensortest.Recorder
	begun   atomic.Int64
	release chan struct{}
}

func (s *stuck) Record(l sensor.Lane, data []byte) {
	s.begun.Add(1)
	<-s.release
}

// What was delivered and not recorded comes again, and not too much is
// delivered at once.
func TestNothingIsAcknowledgedBeforeItIsRecorded(t *testing.T) {
	s := fake(t)
	const sent = 50
	for i := range sent {
		s.Publish(topic, []byte(entry(i)), nil)
	}
	first := &stuck{Recorder: sensortest.New(""), release: make(chan struct{})}
	stop := watch(first)
	first.Until(t, "as many as are taken at once", func() bool { return first.begun.Load() == 20 })
	time.Sleep(100 * time.Millisecond)
	if n, a := first.begun.Load(), acked(s); n != 20 || a != 0 {
		t.Errorf("%d taken at once, %d acknowledged", n, a)
	}
	close(first.release)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	second := sensortest.New("")
	stop = watch(second)
	// What was on its way when the first ended comes after a minute only.
	second.Until(t, "what was given back", func() bool { return len(second.All()) >= 20 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got, had := len(second.All())+20, acked(s); got < had {
		t.Errorf("%d were acknowledged, and %d recorded", had, got)
	}
}

// refusing is a service that refuses to deliver.
type refusing struct {
	pubsubpb.UnimplementedSubscriberServer
	code codes.Code
}

func (r refusing) StreamingPull(pubsubpb.Subscriber_StreamingPullServer) error {
	return status.Error(r.code, "no")
}

func refuse(t *testing.T, code codes.Code) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pubsubpb.RegisterSubscriberServer(s, refusing{code: code})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	t.Setenv("PUBSUB_EMULATOR_HOST", l.Addr().String())
}

func TestLacks(t *testing.T) {
	for want, code := range map[string]codes.Code{
		"the subscription does not exist":         codes.NotFound,
		"reading the subscription is not allowed": codes.PermissionDenied,
		"the subscription cannot be pulled from":  codes.FailedPrecondition,
	} {
		refuse(t, code)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		lack, ok := sensor.AsLack(pubsub.New(options()).Watch(ctx, sensortest.New("")))
		cancel()
		if !ok || !strings.HasPrefix(lack.What, want) || lack.Mend == "" {
			t.Errorf("%s: %+v", want, lack)
		}
	}
	t.Setenv("PUBSUB_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent")
	if lack, ok := sensor.AsLack(pubsub.New(options()).Watch(t.Context(), sensortest.New(""))); !ok || !strings.Contains(lack.What, "no credentials") {
		t.Errorf("%+v", lack)
	}
	if lack, ok := sensor.AsLack(pubsub.New(pubsub.Options{Subscription: "trail"}).Watch(t.Context(), sensortest.New(""))); !ok || !strings.Contains(lack.What, "no name") {
		t.Errorf("%+v", lack)
	}
}
