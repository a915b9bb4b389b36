// Package kafka writes findings into a topic of Kafka, as OCSF JSON; the
// record's key is the finding's id.
//
// In: notices. Out: records, acknowledged by all replicas that are in sync.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/post"
	"tidewaiter/sink/secret"
)

// DefaultMax is the longest record in bytes unless set: brokers take 1 MiB
// unless told otherwise, with the headers.
const DefaultMax = 1<<20 - 16<<10

// envelope is what key and headers may add to a record.
const envelope = 8 << 10

// Mechanism is a way to log in.
type Mechanism string

// The mechanisms of SASL.
const (
	None        Mechanism = ""
	Plain       Mechanism = "plain"
	ScramSHA256 Mechanism = "scram-sha-256"
	ScramSHA512 Mechanism = "scram-sha-512"
)

// Options say where to and how.
type Options struct {
	// Brokers are some of the cluster's, as host:port.
	Brokers []string
	Topic   string
	// Secure speaks TLS, with the files of TLS.
	Secure bool
	TLS    post.TLS
	// SASL logs in as User with Password.
	SASL           Mechanism
	User, Password string
	// Timeout of one delivery; post.DefaultTimeout if 0.
	Timeout time.Duration
	// Limit is what of a finding is sent; DefaultMax bytes if it says nothing.
	Limit ocsf.Limit
}

// Kafka is a sink. Safe for concurrent use.
type Kafka struct {
	opt    Options
	client *kgo.Client
	hidden secret.Hidden
}

// Open checks the options; nothing is sent, and no broker is called yet.
func Open(opt Options) (*Kafka, error) {
	if len(opt.Brokers) == 0 || opt.Topic == "" {
		return nil, errors.New("brokers and a topic are needed")
	}
	if opt.Timeout <= 0 {
		opt.Timeout = post.DefaultTimeout
	}
	if opt.Limit.Max <= 0 {
		opt.Limit.Max = DefaultMax
	}
	k := &Kafka{opt: opt}
	k.hidden.Hide(opt.Password)
	settings := []kgo.Opt{
		kgo.SeedBrokers(opt.Brokers...), kgo.DefaultProduceTopic(opt.Topic), kgo.ClientID("tidewaiter"),
		kgo.RequiredAcks(kgo.AllISRAcks()), // idempotent, by default
		// A record that is given up may have arrived; the notice's id tells.
		kgo.AllowIdempotentProduceCancellation(),
		kgo.MaxBufferedRecords(64), kgo.ProducerBatchMaxBytes(int32(min(opt.Limit.Max+envelope, 64<<20))),
		// Deliver's context ends a record. The library's own time-out counts from
		// the record's time, which of one tried again is long ago.
		kgo.ProduceRequestTimeout(opt.Timeout), kgo.DialTimeout(opt.Timeout), kgo.RetryTimeout(opt.Timeout),
		kgo.MetadataMinAge(time.Second), // to find another leader within the time
	}
	login, err := login(opt)
	if err != nil {
		return nil, err
	}
	settings = append(settings, login...)
	if opt.Secure {
		c, err := opt.TLS.Config()
		if err != nil {
			return nil, err
		}
		settings = append(settings, kgo.DialTLSConfig(c))
	}
	if k.client, err = kgo.NewClient(settings...); err != nil {
		return nil, k.hidden.Error(err)
	}
	return k, nil
}

func login(opt Options) ([]kgo.Opt, error) {
	if opt.SASL != None && (opt.User == "" || opt.Password == "") {
		return nil, errors.New("SASL needs a user and a password")
	}
	switch opt.SASL {
	case None:
		return nil, nil
	case Plain:
		return []kgo.Opt{kgo.SASL(plain.Auth{User: opt.User, Pass: opt.Password}.AsMechanism())}, nil
	case ScramSHA256:
		return []kgo.Opt{kgo.SASL(scram.Auth{User: opt.User, Pass: opt.Password}.AsSha256Mechanism())}, nil
	case ScramSHA512:
		return []kgo.Opt{kgo.SASL(scram.Auth{User: opt.User, Pass: opt.Password}.AsSha512Mechanism())}, nil
	}
	return nil, fmt.Errorf("SASL mechanism %q: want plain, scram-sha-256 or scram-sha-512", opt.SASL)
}

// Deliver implements sink.Sink.
func (k *Kafka) Deliver(ctx context.Context, n sink.Notice) error {
	value, err := ocsf.JSON(n, k.opt.Limit)
	if err != nil {
		return err
	}
	o, err := ocsf.Parse(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, k.opt.Timeout)
	defer cancel()
	r := &kgo.Record{
		Key: []byte(o.FindingInfo.UID), Value: value, Timestamp: n.At,
		Headers: []kgo.RecordHeader{
			{Key: "content-type", Value: []byte("application/json")}, {Key: "notice-id", Value: []byte(n.ID)},
			{Key: "severity", Value: []byte(strings.ToLower(o.Severity))}, {Key: "host", Value: []byte(n.Host)},
		},
	}
	if err := k.produce(ctx, r); err != nil {
		clean := fmt.Errorf("kafka topic %s: %w", k.opt.Topic, k.hidden.Error(err))
		if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.InvalidRecord) || errors.Is(err, kerr.RecordListTooLarge) {
			return sink.Permanent(clean)
		}
		return clean
	}
	return nil
}

// produce waits for the acknowledgement, and no longer than the context: the
// library looks at that now and then only, and drops the record then.
func (k *Kafka) produce(ctx context.Context, r *kgo.Record) error {
	done := make(chan error, 1)
	k.client.TryProduce(ctx, r, func(_ *kgo.Record, err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no acknowledgement: %w", ctx.Err())
	}
}

// Close implements sink.Sink.
func (k *Kafka) Close() error {
	k.client.Close()
	return nil
}
