// Package chat tells people of findings where they talk: Slack, Teams, Discord,
// Mattermost, e-mail, PagerDuty and whatever else shoutrrr knows by a URL.
//
// In: notices. Out: short messages, in which nothing that an attacker wrote
// calls people, links, or is drawn as something else.
package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
	"github.com/nicholas-fedor/shoutrrr/pkg/util/jsonclient"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/post"
	"tidewaiter/sink/secret"
)

// ErrBusy is what a delivery fails with while an earlier one hangs: the
// library's calls cannot be ended, and must not pile up.
var ErrBusy = errors.New("an earlier message is still being sent")

// DefaultTimeout is how long one delivery may take; mail servers are slow.
const DefaultTimeout = 30 * time.Second

// Options say where to and how.
type Options struct {
	// URL is shoutrrr's for a service; most hold a token, so that it is a
	// secret as a whole.
	URL string
	// Timeout of one delivery; DefaultTimeout if 0.
	Timeout time.Duration
}

// Chat is a sink. Safe for concurrent use.
type Chat struct {
	opt     Options
	scheme  string
	service types.Service
	hidden  secret.Hidden
	turn    chan struct{} // holds one token; whoever has it may send
}

// Open checks the URL; nothing is sent.
func Open(opt Options) (*Chat, error) {
	u, err := url.Parse(opt.URL)
	if err != nil {
		return nil, errors.New("service URL: cannot be read") // and is not repeated
	}
	c := &Chat{opt: opt, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	if c.opt.Timeout <= 0 {
		c.opt.Timeout = DefaultTimeout
	}
	c.scheme, _, _ = strings.Cut(strings.ToLower(u.Scheme), "+")
	if c.scheme == "" || c.scheme == "logger" {
		return nil, errors.New("service URL: want one such as slack://… or smtp://…")
	}
	c.hide(u)
	// What the library logs can hold the URL.
	quiet := log.New(io.Discard, "", 0)
	r, err := router.New(quiet)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.scheme, c.hidden.Error(err))
	}
	if c.service, err = r.Locate(opt.URL); err != nil {
		return nil, fmt.Errorf("%s: %w", c.scheme, c.hidden.Error(err))
	}
	c.service.SetLogger(quiet)
	return c, nil
}

// minPart is the length from which on a part of the URL counts as secret.
const minPart = 6

var separators = regexp.MustCompile(`[-:/@,&=?;.+%\s]+`)

// hide learns every part of the URL: services put tokens into any of them, and
// build other URLs of these.
func (c *Chat) hide(u *url.URL) {
	c.hidden.HideURL(u)
	pass, _ := u.User.Password()
	parts := []string{u.User.Username(), pass, u.Path, u.RawQuery, u.Fragment}
	if !strings.Contains(u.Hostname(), ".") && u.Hostname() != "localhost" {
		parts = append(parts, u.Hostname()) // no host, but a channel or a token
	}
	for _, p := range parts {
		for _, piece := range append(separators.Split(p, -1), strings.Trim(p, "/")) {
			if len(piece) >= minPart {
				c.hidden.Hide(piece)
			}
		}
	}
}

// Deliver implements sink.Sink.
func (c *Chat) Deliver(ctx context.Context, n sink.Notice) error {
	o, err := ocsf.Parse(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", c.scheme, err)
	}
	select {
	case <-c.turn:
	default:
		return fmt.Errorf("%s: %w", c.scheme, ErrBusy)
	}
	done := make(chan error, 1)
	go func() {
		defer func() { c.turn <- struct{}{} }()
		params := c.params(n, o)
		done <- c.service.Send(message(n, o), &params)
	}()
	select {
	case err := <-done:
		return c.sort(err)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", c.scheme, ctx.Err())
	}
}

// params are what some services take beside the message. They refuse what they
// don't know.
func (c *Chat) params(n sink.Notice, o finding.OCSF) types.Params {
	subject := "[tidewaiter] " + heading(o)
	switch c.scheme {
	case "smtp":
		return types.Params{"title": mime.QEncoding.Encode("utf-8", subject)} // the library writes it as it is
	case "gotify", "pushover", "ntfy":
		return types.Params{"title": subject}
	case "opsgenie":
		return types.Params{"alias": o.FindingInfo.UID, "priority": fmt.Sprintf("P%d", min(max(6-o.SeverityID, 1), 5)), "source": "tidewaiter"}
	case "pagerduty":
		action := "trigger"
		if ocsf.Closed(o) {
			action = "resolve"
		}
		severity := [...]string{"info", "info", "warning", "error", "error", "critical"}[min(max(o.SeverityID, 0), 5)]
		return types.Params{"severity": severity, "dedup_key": o.FindingInfo.UID, "action": action, "source": safe(n.Host, maxName)}
	}
	return types.Params{}
}

var statusIn = regexp.MustCompile(`(?i)(?:status|code|http)\D{0,40}\b([45]\d\d)\b`)

// sort tells by the status, where the library names one, whether trying again
// is of use.
func (c *Chat) sort(err error) error {
	if err == nil {
		return nil
	}
	clean := fmt.Errorf("%s: %w", c.scheme, c.hidden.Error(err))
	var answered jsonclient.Error
	if errors.As(err, &answered) && answered.StatusCode > 0 {
		return post.Status(clean, answered.StatusCode, http.Header{})
	}
	if m := statusIn.FindStringSubmatch(err.Error()); m != nil {
		status, _ := strconv.Atoi(m[1])
		return post.Status(clean, status, http.Header{})
	}
	return clean
}

// Close implements sink.Sink. A message that hangs ends by itself.
func (c *Chat) Close() error { return nil }
