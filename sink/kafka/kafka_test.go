package kafka_test

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tidewaiter/sink"
	"tidewaiter/sink/kafka"
	"tidewaiter/sink/post"
	"tidewaiter/sink/sinktest"
)

var _ sink.Sink = (*kafka.Kafka)(nil)

const password = "hunter22-of-kafka"

func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1), kfake.SeedTopics(1, "findings"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func open(t *testing.T, opt kafka.Options) *kafka.Kafka {
	t.Helper()
	opt.Topic = "findings"
	k, err := kafka.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

func TestARecordIsAFinding(t *testing.T) {
	c := cluster(t)
	k := open(t, kafka.Options{Brokers: c.ListenAddrs()})
	want := []sink.Notice{sinktest.Notice(t), sinktest.HostileNotice(t)}
	for _, n := range want {
		if err := k.Deliver(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("findings"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []*kgo.Record
	for len(got) < 2 && ctx.Err() == nil {
		got = append(got, reader.PollFetches(ctx).Records()...)
	}
	if len(got) != 2 {
		t.Fatalf("%d records", len(got))
	}
	for i, r := range got {
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		if string(r.Key) != want[i].Told.Finding.ID || string(r.Value) != string(want[i].Told.JSON) || headers["notice-id"] != want[i].ID || headers["severity"] != "critical" {
			t.Errorf("key %s, headers %v", r.Key, headers)
		}
	}
}

func TestLoggingIn(t *testing.T) {
	files := sinktest.Certificate(t)
	for _, m := range []kafka.Mechanism{kafka.Plain, kafka.ScramSHA256, kafka.ScramSHA512} {
		method := map[kafka.Mechanism]string{kafka.Plain: "PLAIN", kafka.ScramSHA256: "SCRAM-SHA-256", kafka.ScramSHA512: "SCRAM-SHA-512"}[m]
		c := cluster(t, kfake.EnableSASL(), kfake.Superuser(method, "me", password), kfake.TLS(&tls.Config{Certificates: files.Server(t).Certificates, MinVersion: tls.VersionTLS12}))
		opt := kafka.Options{Brokers: c.ListenAddrs(), Secure: true, TLS: post.TLS{CA: files.Cert}, SASL: m, User: "me", Password: password, Timeout: 2 * time.Second}
		if err := open(t, opt).Deliver(t.Context(), sinktest.Notice(t)); err != nil {
			t.Errorf("%s: %v", m, err)
		}
		opt.Password, opt.Timeout = opt.Password+"-old", 300*time.Millisecond
		err := open(t, opt).Deliver(t.Context(), sinktest.Notice(t))
		sinktest.Sorted(t, string(m)+" with an old password", err, "retry")
		sinktest.Hides(t, err, password)
	}
}

func TestAnswersAreSorted(t *testing.T) {
	for name, f := range map[string]struct {
		err  *kerr.Error
		want string
	}{
		"too large":  {kerr.MessageTooLarge, "permanent"},
		"invalid":    {kerr.InvalidRecord, "permanent"},
		"no right":   {kerr.TopicAuthorizationFailed, "retry"},
		"no leader":  {kerr.NotLeaderForPartition, "retry"},
		"few in ISR": {kerr.NotEnoughReplicas, "retry"},
	} {
		c := cluster(t)
		c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			answer := req.ResponseKind().(*kmsg.ProduceResponse)
			for _, topic := range req.(*kmsg.ProduceRequest).Topics {
				to := kmsg.NewProduceResponseTopic()
				to.Topic, to.TopicID = topic.Topic, topic.TopicID
				for _, p := range topic.Partitions {
					part := kmsg.NewProduceResponseTopicPartition()
					part.Partition, part.ErrorCode = p.Partition, f.err.Code
					to.Partitions = append(to.Partitions, part)
				}
				answer.Topics = append(answer.Topics, to)
			}
			return answer, nil, true
		})
		k := open(t, kafka.Options{Brokers: c.ListenAddrs(), Timeout: 300 * time.Millisecond})
		sinktest.Sorted(t, name, k.Deliver(t.Context(), sinktest.Notice(t)), f.want)
	}
	gone := open(t, kafka.Options{Brokers: []string{"127.0.0.1:1"}, Timeout: 300 * time.Millisecond})
	sinktest.Sorted(t, "nobody there", gone.Deliver(t.Context(), sinktest.Notice(t)), "retry")
}

func TestBadOptionsAreRefused(t *testing.T) {
	for name, opt := range map[string]kafka.Options{
		"no brokers": {Topic: "t"}, "no topic": {Brokers: []string{"h:1"}}, "no user": {Brokers: []string{"h:1"}, Topic: "t", SASL: kafka.Plain},
		"mechanism": {Brokers: []string{"h:1"}, Topic: "t", SASL: "gssapi", User: "u", Password: password},
		"CA":        {Brokers: []string{"h:1"}, Topic: "t", Secure: true, TLS: post.TLS{CA: "/nothing"}},
	} {
		_, err := kafka.Open(opt)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		sinktest.Hides(t, err, password)
	}
}
