package s3

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// batch is how many messages are asked for: SQS gives no more.
	batch = 10
	// atOnce is how many objects are read at once.
	atOnce = 4
	// longPoll is for how long SQS waits for a message, its most.
	longPoll = 20 * time.Second
	// giveBack bounds what is done for messages when ending.
	giveBack = 3 * time.Second
)

// poll takes messages until ctx ends.
func (w *watch) poll(ctx context.Context) error {
	for wait := int32(0); ; wait = int32(longPoll / time.Second) {
		got, err := w.queue.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: aws.String(w.opt.Queue), MaxNumberOfMessages: batch, WaitTimeSeconds: wait, VisibilityTimeout: w.visibility(),
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount},
		})
		if err != nil {
			return lack("reading the queue", err)
		}
		w.out.Ready()
		if err := w.handleAll(ctx, got.Messages); err != nil {
			return err
		}
	}
}

func (w *watch) visibility() int32 { return int32(w.opt.Visibility / time.Second) }

// handleAll handles messages, some at once, and waits for all of them.
func (w *watch) handleAll(ctx context.Context, all []types.Message) error {
	var running sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	faults := make([]error, 2*len(all))
	for i, m := range all {
		running.Go(func() {
			hidden, shown := context.WithCancel(ctx)
			defer shown()
			running.Go(func() { faults[len(all)+i] = w.hide(hidden, m) })
			select {
			case turns <- struct{}{}:
				faults[i] = w.handle(ctx, m)
				<-turns
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				w.show(m)
			}
		})
	}
	running.Wait()
	return errors.Join(faults...)
}

// hide keeps a message from being delivered again while it is read. It fails if
// that is not allowed; other faults may pass until the next time.
func (w *watch) hide(ctx context.Context, m types.Message) error {
	tick := time.NewTicker(w.opt.Visibility / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_, err := w.queue.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: aws.String(w.opt.Queue), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: w.visibility()})
			if denied(err) {
				return lack("extending a message's visibility", err)
			}
		}
	}
}

// show gives a message back that was not read to its end, so that nobody waits
// for it. If that fails, it comes later.
func (w *watch) show(m types.Message) {
	ctx, cancel := context.WithTimeout(context.Background(), giveBack)
	defer cancel()
	_, _ = w.queue.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: aws.String(w.opt.Queue), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0})
}

// handle reads what a message announces. It fails only with what concerns all
// messages.
func (w *watch) handle(ctx context.Context, m types.Message) error {
	id := aws.ToString(m.MessageId)
	tries, _ := strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)]) // 0 where it is not told
	objects, err := noticed(aws.ToString(m.Body))
	switch {
	case err != nil:
		w.once.Lost(1, "message %s is left in the queue: %v", id, err)
		return nil
	case tries > w.opt.Tries:
		w.once.Lost(int64(len(objects)), "message %s was delivered more than %d times; it is left to the queue's redrive policy: %q", id, w.opt.Tries, keys(objects))
		return nil
	}
	recorded := true
	for _, o := range objects {
		switch {
		case o.bucket != w.opt.Bucket:
			w.once.Lost(1, "message %s is left in the queue: it names the bucket %q, and only %q is read", id, o.bucket, w.opt.Bucket)
			recorded = false
		case !strings.HasPrefix(o.key, w.opt.Prefix):
		default:
			err := w.read(ctx, o)
			if err != nil {
				recorded = false
			}
			if _, err := w.judge(ctx, o, err); err != nil {
				return err
			}
		}
	}
	if !recorded || ctx.Err() != nil {
		return nil
	}
	_, err = w.queue.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: aws.String(w.opt.Queue), ReceiptHandle: m.ReceiptHandle})
	if err != nil {
		return lack("deleting a message", err)
	}
	return nil
}

func keys(all []object) []string {
	var names []string
	for _, o := range all {
		names = append(names, o.key)
	}
	return names
}
