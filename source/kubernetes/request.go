package kubernetes

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/jsonrecord"
)

// request is one call of the Kubernetes API, as any of the forms tells it.
type request struct {
	id, stage, verb, uri string
	// What was called: the API group, "" for core, the resource and its
	// subresource, and the object's names as far as the record has them.
	group, resource, sub, namespace, name, uid string

	at     event.Time
	record int64
	code   int
	by     event.Principal
	// sent and answered are the bodies, which the audit level may leave out.
	sent, answered jsonrecord.Value
	dry            bool // the body asks for a dry run

	place event.Place
	refs  *image.Parser
}

// stages of a request, in the words of audit.k8s.io.
const (
	responseStarted  = "ResponseStarted"
	responseComplete = "ResponseComplete"
)

// read takes an audit.k8s.io record apart.
func (r *request) read(v jsonrecord.Value) (err error) {
	r.id, r.stage, r.verb, r.uri = v.String("auditID"), v.String("stage"), v.String("verb"), v.String("requestURI")
	switch {
	case r.stage == "":
		return errNoStage
	case r.verb == "":
		return errNoAuditVerb
	}
	if err := r.readTime(v); err != nil {
		return err
	}
	ref := v.Get("objectRef")
	r.group, r.resource, r.sub = ref.String("apiGroup"), ref.String("resource"), ref.String("subresource")
	r.namespace, r.name, r.uid = ref.String("namespace"), ref.String("name"), ref.String("uid")
	if !r.counts() {
		return nil
	}
	if r.code, err = httpStatus(v.Get("responseStatus", "code")); err != nil {
		return err
	}
	r.by = principal(v)
	r.takeBodies(v.Get("requestObject"), v.Get("responseObject"))
	return nil
}

// takeBodies keeps the objects that were sent and given back. An answer may be
// something else: a status, or a table for people.
func (r *request) takeBodies(sent, answered jsonrecord.Value) {
	r.sent = sent
	switch answered.String("kind") {
	case "Status":
		if r.verb == "delete" {
			r.uid = cmp.Or(r.uid, answered.String("details", "uid"))
		}
	case "Table":
	default:
		r.answered = answered
	}
	if sent.String("kind") == "DeleteOptions" {
		r.sent = jsonrecord.Value{}
		r.dry = slices.Contains(sent.Strings("dryRun"), "All")
	}
}

// readTime reads when the request was received. In v1beta1 that may be told
// only to the second, as timestamp. The time of the stage is when the record
// was written.
func (r *request) readTime(v jsonrecord.Value) (err error) {
	if r.at, err = statedTime(v.Get("requestReceivedTimestamp")); err != nil {
		return fmt.Errorf("requestReceivedTimestamp: %w", err)
	}
	if r.at.IsZero() {
		if r.at, err = statedTime(v.Get("timestamp")); err != nil {
			return fmt.Errorf("timestamp: %w", err)
		}
	}
	if r.at.IsZero() {
		return fmt.Errorf("%w: want requestReceivedTimestamp, or timestamp in v1beta1", errNoTime)
	}
	written, err := statedTime(v.Get("stageTimestamp"))
	if err != nil {
		return fmt.Errorf("stageTimestamp: %w", err)
	}
	if written.At > r.at.At {
		r.record = written.At
	}
	return nil
}

var errBadCode = errors.New("response code is no HTTP status")

func httpStatus(v jsonrecord.Value) (int, error) {
	if v.IsNull() {
		return 0, nil
	}
	n, ok := v.Int()
	if !ok || n < 0 || n > 999 {
		return 0, errBadCode
	}
	return int(n), nil
}

// principal is who the request was made as. Under impersonation that is the
// impersonated user; the one who did it stands behind.
func principal(v jsonrecord.Value) event.Principal {
	user := v.Get("user")
	p := event.Principal{
		Clients: addresses(v.Strings("sourceIPs")),
		Agent:   v.String("userAgent"),
	}
	if as := v.Get("impersonatedUser"); as.IsObject() && as.String("username") != "" {
		p.Behind = user.String("username")
		user = as
	}
	p.Name, p.UID, p.Groups = user.String("username"), user.String("uid"), user.Strings("groups")
	return p
}

// streams are the subresources whose requests last as long as somebody is in
// the pod, so that the record of their end may come hours later, or never.
var streams = map[string]bool{"exec": true, "attach": true, "portforward": true, "proxy": true}

// counts reports whether this stage of this request is told.
func (r *request) counts() bool {
	if r.resource == "" {
		return false
	}
	return r.stage == responseComplete || r.stage == responseStarted && streams[r.sub]
}

// key names the request, not its stage. A client may choose its auditID, so
// that alone could make one request pass for another's second delivery.
func (r *request) key(body event.Body) string {
	if d, ok := body.(*event.HostDescription); ok {
		// A node reports its addresses every few minutes: one fact, told again.
		return fmt.Sprint("node|", d.Name, "|", d.InstanceID, "|", d.Addrs)
	}
	return strings.Join([]string{r.id, r.at.String(), r.verb, r.uri, r.namespace, r.resource, r.name, r.sub}, "\x00")
}

func (r *request) refused() bool { return r.code >= 400 }

// dryRun reports whether the request asked for nothing to be done. The API
// server takes the option only for what changes an object, not for streams.
func (r *request) dryRun() bool {
	if streams[r.sub] {
		return false
	}
	return r.dry || slices.Contains(r.query()["dryRun"], "All")
}

// query parses the query as the API server does: what is not well-formed is
// left out.
func (r *request) query() url.Values {
	_, q, _ := strings.Cut(r.uri, "?")
	values, _ := url.ParseQuery(q)
	return values
}

// apiVerb is what was done. Applying an object that is not there creates it:
// then a patch, or an update, is answered with 201.
func (r *request) apiVerb() event.APIVerb {
	switch r.verb {
	case "create":
		return event.VerbCreate
	case "update", "patch":
		if r.code == 201 {
			return event.VerbCreate
		}
		return event.VerbUpdate
	case "delete":
		return event.VerbDelete
	}
	return ""
}

// event says what the request was about. It has no body if that matters to
// nobody.
func (r *request) event() (event.Event, error) {
	body, err := r.body()
	e := event.Event{Time: r.at, Record: r.record, Body: body}
	if d, ok := body.(*event.HostDescription); ok {
		e = event.Event{Body: body, Place: event.Place{Host: d.Name}}
	}
	return e, err
}

func (r *request) body() (event.Body, error) {
	switch {
	case r.dryRun():
		return nil, nil
	case r.group == "" && r.resource == "pods":
		return r.podBody()
	case r.group == "" && r.resource == "bindings" && r.sub == "":
		return r.binding(), nil
	case r.group == "" && r.resource == "nodes":
		return r.nodeBody(), nil
	case r.group == "rbac.authorization.k8s.io" && r.sub == "" && grants[r.resource] != "":
		return r.grant(), nil
	case r.sub == "" && workloads[r.group+"/"+r.resource] != "":
		return r.workload()
	}
	return nil, nil
}
