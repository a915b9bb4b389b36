// Package pubsub takes log entries from a subscription of Google Cloud Pub/Sub,
// into which sinks of Cloud Logging write: audit logs, flow logs, DNS.
//
// A message is acknowledged after it was recorded, so that nothing is lost; what
// comes twice has the same ids.
//
// In: a subscription's messages. Out: their records, one to a line.
package pubsub

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tidewaiter/event"
	"tidewaiter/sensor"
)

// Options say what is read.
type Options struct {
	// Name tells several of them apart; "pubsub" if empty.
	Name string
	// Subscription is its full name, projects/PROJECT/subscriptions/NAME.
	Subscription string
	// Place is where the records are from, as far as they don't say it.
	Place event.Place
	// Open opens a message.
	Open sensor.Opener
	// Settled is after how long without a refusal messages are taken to come, as
	// the service says nothing until there is one; 3 s if 0.
	Settled time.Duration
	// AtOnce bounds the messages that were delivered and are not recorded yet;
	// 1000 if 0.
	AtOnce int
}

const (
	// maxBytes bounds the same in bytes.
	maxBytes = 64 << 20
	// giveBack bounds what is done for messages when ending.
	giveBack = 3 * time.Second
)

// Sensor reads one subscription.
type Sensor struct{ opt Options }

// New makes a sensor. It does not connect yet.
func New(o Options) *Sensor {
	o.Name = cmp.Or(o.Name, "pubsub")
	o.Settled = cmp.Or(o.Settled, 3*time.Second)
	o.AtOnce = cmp.Or(o.AtOnce, 1000)
	return &Sensor{o}
}

// Name implements sensor.Sensor.
func (s *Sensor) Name() string { return s.opt.Name }

// SubscriptionForm is how a subscription's full name looks.
var SubscriptionForm = regexp.MustCompile(`^projects/([^/]+)/subscriptions/[^/]+$`)

var errEnded = errors.New("the service ended the subscription's stream")

// Watch implements sensor.Sensor.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	m := SubscriptionForm.FindStringSubmatch(s.opt.Subscription)
	if m == nil {
		return &sensor.Lack{What: "no name of a subscription: " + s.opt.Subscription, Mend: "give it as projects/PROJECT/subscriptions/NAME"}
	}
	client, err := pubsub.NewClient(ctx, m[1])
	if err != nil {
		return &sensor.Lack{
			What: "no credentials of Google Cloud", Err: err,
			Mend: "give this host a service account, or set GOOGLE_APPLICATION_CREDENTIALS; docs/formats/cloud.md has the role",
		}
	}
	defer client.Close()
	from := client.Subscriber(s.opt.Subscription)
	from.ReceiveSettings.MaxOutstandingMessages = s.opt.AtOnce
	from.ReceiveSettings.MaxOutstandingBytes = maxBytes
	// What was delivered and is not recorded when ending is given back at once;
	// else it would come only when its time to be acknowledged is over.
	from.ReceiveSettings.ShutdownOptions = &pubsub.ShutdownOptions{Behavior: pubsub.ShutdownBehaviorNackImmediately, Timeout: giveBack}
	r := &receiver{out: out, open: s.opt.Open, lanes: sensor.NewLanes(s.opt.Name, s.opt.Place)}
	settled := time.AfterFunc(s.opt.Settled, out.Ready)
	defer settled.Stop()
	err = from.Receive(ctx, func(_ context.Context, m *pubsub.Message) {
		out.Ready()
		r.receive(m)
	})
	switch {
	case ctx.Err() != nil:
		return nil
	case err == nil:
		return errEnded
	}
	return lack(s.opt.Subscription, err)
}

// lack tells what an error says is missing.
func lack(subscription string, err error) error {
	switch status.Code(err) {
	case codes.NotFound:
		return &sensor.Lack{What: "the subscription does not exist: " + subscription, Mend: "make it, or correct its name", Err: err}
	case codes.PermissionDenied:
		return &sensor.Lack{What: "reading the subscription is not allowed", Mend: "grant roles/pubsub.subscriber on it", Err: err}
	case codes.Unauthenticated:
		return &sensor.Lack{What: "Google Cloud refuses the credentials", Mend: "renew them", Err: err}
	case codes.InvalidArgument, codes.FailedPrecondition:
		return &sensor.Lack{What: "the subscription cannot be pulled from", Mend: "make it a pull subscription", Err: err}
	}
	return fmt.Errorf("reading the subscription: %w", err)
}

// receiver records messages. Safe for concurrent use.
type receiver struct {
	out   sensor.Recorder
	open  sensor.Opener
	lanes *sensor.Lanes
}

// receive records a message and acknowledges it. One that nobody will ever be
// able to read is given back if the subscription has a topic for such, which is
// where it then ends; else it would come for ever, and is told and dropped.
func (r *receiver) receive(m *pubsub.Message) {
	err := r.record(m.Data)
	if err == nil {
		m.Ack()
		return
	}
	if m.DeliveryAttempt != nil {
		r.out.Lost("a message that is left to the dead-letter topic: "+err.Error(), 1)
		m.Nack()
		return
	}
	r.out.Lost("a message that cannot be read: "+err.Error(), 1)
	m.Ack()
}

func (r *receiver) record(data []byte) error {
	o, err := r.open(bytes.NewReader(data))
	if errors.Is(err, sensor.ErrEmpty) {
		return nil
	}
	if err != nil {
		return err
	}
	lane, err := r.lanes.Lane(o, event.Place{})
	if err != nil {
		return err
	}
	if err := sensor.Take(r.out, o, lane); err != nil {
		return err
	}
	if n := o.Passed(); n > 0 {
		r.out.Lost("records that are too long", n)
	}
	return nil
}
