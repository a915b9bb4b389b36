// Package splunk hands findings to Splunk's HTTP Event Collector.
//
// In: notices. Out: requests to /services/collector/event, each with one event
// that is the OCSF Detection Finding.
package splunk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/post"
)

// Defaults of Options.
const (
	DefaultSourceType = "tidewaiter:ocsf"
	DefaultSource     = "tidewaiter"
	DefaultMax        = 1 << 20
)

const path = "/services/collector/event"

// Options say where to and how.
type Options struct {
	// HTTP is about the collector; a URL without a path gets the collector's.
	HTTP post.Options
	// Token is the collector's.
	Token string
	// Index is the token's own if "".
	Index string
	// SourceType and Source are DefaultSourceType and DefaultSource if "".
	SourceType, Source string
	// Limit is what of a finding is sent; DefaultMax bytes if it says nothing.
	Limit ocsf.Limit
}

// Splunk is a sink. Safe for concurrent use.
type Splunk struct {
	opt    Options
	client *post.Client
}

// Open checks the options; nothing is sent.
func Open(opt Options) (*Splunk, error) {
	if opt.Token == "" {
		return nil, errors.New("the collector's token is missing")
	}
	if opt.SourceType == "" {
		opt.SourceType = DefaultSourceType
	}
	if opt.Source == "" {
		opt.Source = DefaultSource
	}
	if opt.Limit.Max <= 0 {
		opt.Limit.Max = DefaultMax
	}
	h := opt.HTTP.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Authorization", "Splunk "+opt.Token)
	opt.HTTP.Header = h
	if u, err := url.Parse(opt.HTTP.URL); err == nil && (u.Path == "" || u.Path == "/") {
		u.Path = path
		opt.HTTP.URL = u.String()
	}
	c, err := post.Open(opt.HTTP, opt.Token)
	return &Splunk{opt, c}, err
}

// message is what the collector takes.
type message struct {
	Time       json.Number       `json:"time"` // seconds since 1970
	Host       string            `json:"host,omitempty"`
	Source     string            `json:"source"`
	SourceType string            `json:"sourcetype"`
	Index      string            `json:"index,omitempty"`
	Event      json.RawMessage   `json:"event"`
	Fields     map[string]string `json:"fields"`
}

// Deliver implements sink.Sink.
func (s *Splunk) Deliver(ctx context.Context, n sink.Notice) error {
	event, err := ocsf.JSON(n, s.opt.Limit)
	if err != nil {
		return err
	}
	body, err := json.Marshal(message{
		Time: json.Number(fmt.Sprintf("%d.%03d", n.At.Unix(), n.At.Nanosecond()/1e6)), Host: n.Host,
		Source: s.opt.Source, SourceType: s.opt.SourceType, Index: s.opt.Index, Event: event,
		Fields: map[string]string{"notice_id": n.ID},
	})
	if err != nil {
		return sink.Permanent(fmt.Errorf("notice %s: %w", n.ID, err))
	}
	a, err := s.client.Post(ctx, body, http.Header{"Content-Type": {"application/json"}})
	if err != nil && sink.IsPermanent(err) && setUp(a) {
		return errors.New(err.Error()) // without the mark
	}
	return err
}

// setUp reports whether a bad request is about how the collector is set up:
// an index that is not there, or not open to the token (7), a channel that is
// asked for (10, 11), acknowledgements switched off (14).
func setUp(a post.Answer) bool {
	var said struct {
		Code int `json:"code"`
	}
	if a.Status != http.StatusBadRequest || json.Unmarshal(bytes.TrimSpace(a.Body), &said) != nil {
		return false
	}
	switch said.Code {
	case 7, 10, 11, 14:
		return true
	}
	return false
}

// Close implements sink.Sink.
func (s *Splunk) Close() error { return s.client.Close() }
