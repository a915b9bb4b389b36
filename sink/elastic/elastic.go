// Package elastic writes findings into Elasticsearch or OpenSearch, as
// documents of the Elastic Common Schema, each once: the notice's id is the
// document's.
//
// In: notices. Out: requests to _bulk.
package elastic

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"tidewaiter/sink"
	"tidewaiter/sink/ecs"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/post"
)

// Defaults of Options.
const (
	DefaultIndex = "logs-tidewaiter.finding-default"
	DefaultMax   = 1 << 20
)

// Options say where to and how.
type Options struct {
	// HTTP is about the server; its URL has no path, or that of a proxy before
	// it.
	HTTP post.Options
	// Index is a data stream or an index; DefaultIndex if "".
	Index string
	// APIKey is the encoded key; or User and Password; or none of these.
	APIKey, User, Password string
	// Limit is what event.original holds of a finding; DefaultMax bytes if it
	// says nothing.
	Limit ocsf.Limit
}

// Elastic is a sink. Safe for concurrent use.
type Elastic struct {
	opt    Options
	client *post.Client
}

// Open checks the options; nothing is sent.
func Open(opt Options) (*Elastic, error) {
	if opt.APIKey != "" && opt.User != "" {
		return nil, errors.New("both an API key and a user are named")
	}
	if opt.Index == "" {
		opt.Index = DefaultIndex
	}
	if opt.Limit.Max <= 0 {
		opt.Limit.Max = DefaultMax
	}
	h := opt.HTTP.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	basic := base64.StdEncoding.EncodeToString([]byte(opt.User + ":" + opt.Password))
	switch {
	case opt.APIKey != "":
		h.Set("Authorization", "ApiKey "+opt.APIKey)
	case opt.User != "":
		h.Set("Authorization", "Basic "+basic)
	}
	opt.HTTP.Header = h
	if u, err := url.Parse(opt.HTTP.URL); err == nil && !strings.HasSuffix(u.Path, "/_bulk") {
		opt.HTTP.URL = u.JoinPath("_bulk").String()
	}
	c, err := post.Open(opt.HTTP, opt.APIKey, opt.Password, basic)
	return &Elastic{opt, c}, err
}

// Deliver implements sink.Sink.
func (e *Elastic) Deliver(ctx context.Context, n sink.Notice) error {
	d, err := ecs.Of(n)
	if err != nil {
		return err
	}
	original, err := ocsf.JSON(n, e.opt.Limit)
	if err != nil {
		return err
	}
	d.Event.Original = string(original)
	body, err := bulk(e.opt.Index, n.ID, d)
	if err != nil {
		return err
	}
	a, err := e.client.Post(ctx, body, http.Header{"Content-Type": {"application/x-ndjson"}})
	if err != nil {
		return err
	}
	return e.taken(a)
}

func bulk(index, id string, d ecs.Document) ([]byte, error) {
	type place struct {
		Index string `json:"_index"`
		ID    string `json:"_id"`
	}
	action, err := json.Marshal(map[string]place{"create": {index, id}})
	if err != nil {
		return nil, sink.Permanent(fmt.Errorf("notice %s: %w", id, err))
	}
	doc, err := json.Marshal(d)
	if err != nil {
		return nil, sink.Permanent(fmt.Errorf("notice %s: %w", id, err))
	}
	return []byte(string(action) + "\n" + string(doc) + "\n"), nil
}

// taken reads what became of the one document: the request as a whole succeeds
// whatever that was.
func (e *Elastic) taken(a post.Answer) error {
	var said struct {
		Items []map[string]struct {
			Status int `json:"status"`
			Error  struct {
				Type   string `json:"type"`
				Reason string `json:"reason"`
				Cause  struct {
					Reason string `json:"reason"`
				} `json:"caused_by"`
			} `json:"error"`
		} `json:"items"`
	}
	if err := json.Unmarshal(a.Body, &said); err != nil || len(said.Items) != 1 || len(said.Items[0]) != 1 {
		return e.client.Fault(errors.New("the answer is none of a _bulk request"))
	}
	for _, item := range said.Items[0] {
		switch {
		case item.Status >= 200 && item.Status < 300, item.Status == http.StatusConflict:
			return nil // a conflict: it is there already
		default:
			err := e.client.Fault(fmt.Errorf("document refused with %d: %s: %s %s", item.Status, item.Error.Type, item.Error.Reason, item.Error.Cause.Reason))
			return post.Status(err, item.Status, nil)
		}
	}
	return nil
}

// Close implements sink.Sink.
func (e *Elastic) Close() error { return e.client.Close() }
