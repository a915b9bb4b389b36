package receive

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"tidewaiter/event"
)

// records takes records of one format. Where they are from is in the query.
func (r *receiver) records(q *http.Request, name string, body []byte) (reply, error) {
	f, ok := r.formats[name]
	if !ok {
		return reply{}, refuse(http.StatusNotFound, "no format of that name is taken")
	}
	at, err := placeOf(q.URL)
	if err != nil {
		return reply{}, err
	}
	b := r.newBatch()
	if err := b.add(f, at, body); err != nil {
		return reply{}, err
	}
	b.record()
	return reply{}, nil
}

// placeOf reads where records are from.
func placeOf(u *url.URL) (event.Place, error) {
	var at event.Place
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return at, refuse(http.StatusBadRequest, "the query cannot be read")
	}
	parts := map[string]*string{"tenant": &at.Tenant, "account": &at.Account, "region": &at.Region, "cluster": &at.Cluster, "host": &at.Host, "network": &at.Network}
	for key, values := range query {
		part := parts[key]
		if part == nil || len(values) != 1 {
			return at, refuse(http.StatusBadRequest, "the query says where records are from: tenant, account, region, cluster, host and network, each once")
		}
		*part = values[0]
	}
	if !namesPlace(at) {
		return at, refuse(http.StatusBadRequest, "the query has a name that is none")
	}
	return at, nil
}

// add adds the records of a text.
func (b *batch) add(f Format, at event.Place, text []byte) error {
	into, err := b.into(f.Name, at)
	if err != nil {
		return err
	}
	if f.JSON {
		return objects(text, into)
	}
	return lines(text, into)
}

// lines adds lines of text; empty ones are left out.
func lines(text []byte, into *bytes.Buffer) error {
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > MaxRecord {
			return errRecord
		}
		if len(bytes.TrimSpace(line)) > 0 {
			into.Write(line)
			into.WriteByte('\n')
		}
	}
	return nil
}

var errNotObjects = errors.New("the body is not JSON objects, one after another or in an array")

// objects adds JSON objects, one to a line, however they are printed: what one
// sender cuts off must not swallow what another sends.
func objects(text []byte, into *bytes.Buffer) error {
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		rest := bytes.TrimSpace(text[d.InputOffset():])
		if len(rest) == 0 {
			return nil
		}
		next := object
		if rest[0] == '[' {
			next = elements
		}
		if err := next(d, into); err != nil {
			return err
		}
	}
}

// elements adds the objects of an array.
func elements(d *json.Decoder, into *bytes.Buffer) error {
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errNotObjects
	}
	for d.More() {
		if err := object(d, into); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errNotObjects
	}
	return nil
}

// object adds the next value, which has to be an object.
func object(d *json.Decoder, into *bytes.Buffer) error {
	var one json.RawMessage
	err := d.Decode(&one)
	switch {
	case err != nil, one[0] != '{':
		return errNotObjects
	case len(one) > MaxRecord:
		return errRecord
	}
	if err := json.Compact(into, one); err != nil {
		return errNotObjects
	}
	into.WriteByte('\n')
	return nil
}

// auditFormat is the format of the API server's audit log.
const auditFormat = "k8s-audit"

var errNotAudit = errors.New("the body is no EventList of audit.k8s.io")

// auditOf takes what an API server's audit webhook sends, if the cluster is one
// of those that are configured.
func (r *receiver) auditOf(cluster string, body []byte) (reply, error) {
	for _, c := range r.opt.Clusters {
		if c == cluster {
			return r.audit(c, body)
		}
	}
	return reply{}, refuse(http.StatusNotFound, "no cluster of that name is configured")
}

// audit takes a batch of an API server: {"kind":"EventList","items":[…]}
// (kubernetes.io, "Auditing", webhook backend).
func (r *receiver) audit(cluster string, body []byte) (reply, error) {
	if _, ok := r.formats[auditFormat]; !ok {
		return reply{}, refuse(http.StatusNotFound, "audit logs are not taken")
	}
	b := r.newBatch()
	into, err := b.into(auditFormat, event.Place{Cluster: cluster})
	if err != nil {
		return reply{}, err
	}
	if err := auditItems(body, into); err != nil {
		return reply{}, err
	}
	b.record()
	return reply{}, nil
}

func auditItems(body []byte, into *bytes.Buffer) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errNotAudit
	}
	var kind, version string
	listed := false
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return errNotAudit
		}
		switch key {
		case "kind":
			err = d.Decode(&kind)
		case "apiVersion":
			err = d.Decode(&version)
		case "items":
			if listed {
				return errNotAudit
			}
			listed = true
			err = elements(d, into)
		default:
			var other json.RawMessage
			err = d.Decode(&other)
		}
		var refused *refusal
		if errors.As(err, &refused) {
			return err
		}
		if err != nil {
			return errNotAudit
		}
	}
	if _, err := d.Token(); err != nil || kind != "EventList" || !strings.HasPrefix(version, "audit.k8s.io/") {
		return errNotAudit
	}
	if len(bytes.TrimSpace(body[d.InputOffset():])) > 0 {
		return errNotAudit
	}
	return nil
}
