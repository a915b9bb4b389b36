// Package webhook posts findings to a URL, signed as Standard Webhooks
// (https://www.standardwebhooks.com) says, so that the receiver can tell who
// sent them and that nobody changed or replayed them.
//
// In: notices. Out: POST requests with the OCSF Detection Finding as JSON.
package webhook

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/post"
)

// DefaultMax is the longest body in bytes unless set.
const DefaultMax = 1 << 20

// Bounds of a signing secret in bytes, by the specification.
const (
	minSecret = 24
	maxSecret = 64
)

// Options say where to and how.
type Options struct {
	HTTP post.Options
	// Secrets sign: "whsec_" and 24 to 64 bytes in base64. While one is being
	// replaced there are several, and each signs. Without any, nothing is
	// signed.
	Secrets []string
	// Limit is what of a finding is sent; DefaultMax bytes if it says nothing.
	Limit ocsf.Limit
}

// Webhook is a sink. Safe for concurrent use.
type Webhook struct {
	opt    Options
	client *post.Client
	keys   []*standardwebhooks.Webhook
	now    func() time.Time
}

// Open checks the options; nothing is sent.
func Open(opt Options) (*Webhook, error) {
	w := &Webhook{opt: opt, now: time.Now}
	if w.opt.Limit.Max <= 0 {
		w.opt.Limit.Max = DefaultMax
	}
	var hide []string
	for i, s := range opt.Secrets {
		bare := strings.TrimPrefix(s, "whsec_")
		key, err := base64.StdEncoding.DecodeString(bare)
		if err != nil || len(key) < minSecret || len(key) > maxSecret {
			return nil, fmt.Errorf("signing secret %d: want whsec_ and %d to %d bytes in base64", i+1, minSecret, maxSecret)
		}
		signer, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, fmt.Errorf("signing secret %d: cannot be used", i+1)
		}
		w.keys, hide = append(w.keys, signer), append(hide, s, bare, string(key))
	}
	var err error
	w.client, err = post.Open(w.opt.HTTP, hide...)
	return w, err
}

// Deliver implements sink.Sink.
func (w *Webhook) Deliver(ctx context.Context, n sink.Notice) error {
	body, err := ocsf.JSON(n, w.opt.Limit)
	if err != nil {
		return err
	}
	// The receiver refuses old stamps, so that it is the attempt's time.
	at := w.now()
	header := http.Header{
		"Content-Type":                          {"application/json"},
		standardwebhooks.HeaderWebhookID:        {n.ID},
		standardwebhooks.HeaderWebhookTimestamp: {strconv.FormatInt(at.Unix(), 10)},
	}
	var signatures []string
	for _, k := range w.keys {
		s, err := k.Sign(n.ID, at, body)
		if err != nil {
			return sink.Permanent(errors.New("sign the finding: the signing secret cannot be used"))
		}
		signatures = append(signatures, s)
	}
	if signatures != nil {
		header[standardwebhooks.HeaderWebhookSignature] = []string{strings.Join(signatures, " ")}
	}
	_, err = w.client.Post(ctx, body, header)
	return err
}

// Close implements sink.Sink.
func (w *Webhook) Close() error { return w.client.Close() }
