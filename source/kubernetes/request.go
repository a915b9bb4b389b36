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

// The keys of an audit.k8s.io record, and of the objectRef in it. A record is
// asked for most of them, and may be of a few hundred bytes: they are found in
// one pass.
const (
	keyID = iota
	keyStage
	keyVerb
	keyURI
	keyReceived
	keyTimestamp
	keyWritten
	keyRef
	keyStatus
	keyUser
	keyAs
	keyClients
	keyAgent
	keySent
	keyAnswered
)

const (
	refGroup = iota
	refResource
	refSub
	refNamespace
	refName
	refUID
)

var (
	auditKeys = jsonrecord.NewNames("auditID", "stage", "verb", "requestURI", "requestReceivedTimestamp", "timestamp", "stageTimestamp",
		"objectRef", "responseStatus", "user", "impersonatedUser", "sourceIPs", "userAgent", "requestObject", "responseObject")
	refKeys = jsonrecord.NewNames("apiGroup", "resource", "subresource", "namespace", "name", "uid")
)

// read takes an audit.k8s.io record apart.
func (r *request) read(v jsonrecord.Value) (err error) {
	var m, ref jsonrecord.Members
	v.Members(auditKeys, &m)
	r.id, r.stage, r.verb, r.uri = m.Get(keyID).String(), m.Get(keyStage).String(), m.Get(keyVerb).String(), m.Get(keyURI).String()
	switch {
	case r.stage == "":
		return errNoStage
	case r.verb == "":
		return errNoAuditVerb
	}
	if err := r.readTime(&m); err != nil {
		return err
	}
	m.Get(keyRef).Members(refKeys, &ref)
	r.group, r.resource, r.sub = ref.Get(refGroup).String(), ref.Get(refResource).String(), ref.Get(refSub).String()
	r.namespace, r.name, r.uid = ref.Get(refNamespace).String(), ref.Get(refName).String(), ref.Get(refUID).String()
	if !r.counts() {
		return nil
	}
	if r.code, err = httpStatus(m.Get(keyStatus).Get("code")); err != nil {
		return err
	}
	if r.tellsNothing() {
		touchPrincipal(&m)
	} else {
		r.by = principal(&m)
	}
	r.takeBodies(m.Get(keySent), m.Get(keyAnswered))
	return nil
}

// tellsNothing reports whether it is sure that the request has no body: most
// are readings, and the leases of controllers.
func (r *request) tellsNothing() bool {
	if r.sub == "" {
		switch r.verb {
		case "list", "watch", "deletecollection":
			return true
		}
	}
	switch r.group {
	case "":
		return r.resource != "pods" && r.resource != "bindings" && r.resource != "nodes" && workloads["/"+r.resource] == ""
	case "rbac.authorization.k8s.io":
		return grants[r.resource] == ""
	}
	return workloads[r.group+"/"+r.resource] == ""
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
func (r *request) readTime(m *jsonrecord.Members) (err error) {
	if r.at, err = statedTime(m.Get(keyReceived)); err != nil {
		return fmt.Errorf("requestReceivedTimestamp: %w", err)
	}
	if r.at.IsZero() {
		if r.at, err = statedTime(m.Get(keyTimestamp)); err != nil {
			return fmt.Errorf("timestamp: %w", err)
		}
	}
	if r.at.IsZero() {
		return fmt.Errorf("%w: want requestReceivedTimestamp, or timestamp in v1beta1", errNoTime)
	}
	written, err := statedTime(m.Get(keyWritten))
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
func principal(m *jsonrecord.Members) event.Principal {
	user := m.Get(keyUser)
	p := event.Principal{
		Clients: clientAddresses(m.Get(keyClients)),
		Agent:   m.Get(keyAgent).String(),
	}
	if as := m.Get(keyAs); as.IsObject() && as.String("username") != "" {
		p.Behind = user.String("username")
		user = as
	}
	p.Name, p.UID, p.Groups = user.String("username"), user.String("uid"), user.Strings("groups")
	return p
}

// touchPrincipal looks at what principal looks at, and makes nothing of it: a
// key that stands twice there is a fault of the record even if nobody cares for
// its request.
func touchPrincipal(m *jsonrecord.Members) {
	user := m.Get(keyUser)
	m.Get(keyClients)
	m.Get(keyAgent)
	if as := m.Get(keyAs); as.IsObject() && as.String("username") != "" {
		user.Get("username")
		user = as
	}
	user.Get("username")
	user.Get("uid")
	user.Get("groups")
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

// key appends what names the request, not its stage. A client may choose its auditID, so
// that alone could make one request pass for another's second delivery.
func (r *request) key(b []byte, body event.Body) []byte {
	if d, ok := body.(*event.HostDescription); ok {
		// A node reports its addresses every few minutes: one fact, told again.
		return fmt.Append(b, "node|", d.Name, "|", d.InstanceID, "|", d.Addrs)
	}
	b = append(append(b, r.id...), 0)
	b = r.at.AppendTo(b)
	for _, s := range [...]string{r.verb, r.uri, r.namespace, r.resource, r.name, r.sub} {
		b = append(append(b, 0), s...)
	}
	return b
}

func (r *request) refused() bool { return r.code >= 400 }

// dryRun reports whether the request asked for nothing to be done. The API
// server takes the option only for what changes an object, not for streams.
func (r *request) dryRun() bool {
	if streams[r.sub] {
		return false
	}
	if r.dry || !strings.Contains(r.uri, "dryRun") && !strings.Contains(r.uri, "%") {
		return r.dry // without an escape, an option stands there as it is called
	}
	return slices.Contains(r.query()["dryRun"], "All")
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
