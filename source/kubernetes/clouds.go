package kubernetes

import (
	"fmt"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// envelopePlace says which cluster an envelope's records are from. CloudWatch
// tells it in the names of log groups (/aws/eks/CLUSTER/cluster), Azure in a
// resource id, which it prints in capitals now and then.
func envelopePlace(v jsonrecord.Value) event.Place {
	if group := v.String("logGroup"); group != "" {
		return event.Place{Account: v.String("owner"), Cluster: eksCluster(group)}
	}
	if account, group, ok := strings.Cut(v.String("@log"), ":"); ok {
		return event.Place{Account: account, Cluster: eksCluster(group)}
	}
	id := v.String("resourceId")
	if id == "" {
		id = v.String("ResourceId")
	}
	var p event.Place
	parts := strings.Split(strings.ToLower(strings.Trim(id, "/")), "/")
	for i := 0; i+1 < len(parts); i += 2 {
		switch parts[i] {
		case "subscriptions":
			p.Account = parts[i+1]
		case "managedclusters":
			p.Cluster = parts[i+1]
		}
	}
	if p.Cluster != "" {
		p.Region = strings.ToLower(v.String("location"))
	}
	return p
}

func eksCluster(group string) string {
	name, ok := strings.CutPrefix(group, "/aws/eks/")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(name, "/cluster")
}

// readCloudAudit takes a log entry of GKE apart: an AuditLog of the service
// k8s.io (cloud.google.com, "GKE audit logging information"). It has neither
// stages nor the request's URI.
func (r *request) readCloudAudit(v jsonrecord.Value) error {
	p := v.Get("protoPayload")
	r.id = v.String("insertId")
	if p.String("serviceName") != "k8s.io" {
		return errNotOfKube
	}
	method := p.String("methodName")
	r.verb = method[strings.LastIndexByte(method, '.')+1:]
	if r.verb == "" {
		return errNoAuditVerb
	}
	var err error
	if r.at, err = statedTime(v.Get("timestamp")); err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	if r.at.IsZero() {
		return fmt.Errorf("%w: want timestamp", errNoTime)
	}
	received, err := statedTime(v.Get("receiveTimestamp"))
	if err != nil {
		return fmt.Errorf("receiveTimestamp: %w", err)
	}
	if received.At > r.at.At {
		r.record = received.At
	}
	r.stage = responseComplete
	if op := v.Get("operation"); op.Bool("last") && !op.Bool("first") {
		r.stage = "" // the end of what was told at its beginning
	}
	r.splitName(p.String("resourceName"))
	labels := v.Get("resource", "labels")
	r.place = event.Place{Account: labels.String("project_id"), Region: labels.String("location"), Cluster: labels.String("cluster_name")}
	r.by = cloudPrincipal(p)
	r.takeBodies(p.Get("request"), p.Get("response"))
	r.code, err = cloudStatus(p)
	return err
}

// splitName reads GROUP/VERSION[/namespaces/NAMESPACE]/RESOURCE[/NAME[/SUB]].
func (r *request) splitName(s string) {
	parts := strings.Split(s, "/")
	if len(parts) < 3 {
		return
	}
	if r.group = parts[0]; r.group == "core" {
		r.group = ""
	}
	parts = parts[2:]
	if parts[0] == "namespaces" && len(parts) > 2 {
		r.namespace, parts = parts[1], parts[2:]
	}
	r.resource = parts[0]
	if len(parts) > 1 {
		r.name = parts[1]
	}
	if len(parts) > 2 {
		r.sub = parts[2]
	}
}

func cloudPrincipal(p jsonrecord.Value) event.Principal {
	auth, meta := p.Get("authenticationInfo"), p.Get("requestMetadata")
	by := event.Principal{
		Name:    auth.String("principalEmail"),
		UID:     auth.String("principalSubject"),
		Clients: addresses(meta.Strings("callerIp")),
		Agent:   meta.String("callerSuppliedUserAgent"),
	}
	for _, d := range auth.Array("serviceAccountDelegationInfo") {
		by.Behind = d.String("firstPartyPrincipal", "principalEmail")
		break
	}
	return by
}

// rpcStatus are the HTTP codes of google.rpc.Code, as that documents them.
var rpcStatus = map[int64]int{
	1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500, 14: 503, 15: 500, 16: 401,
}

// cloudStatus is the HTTP status, 0 for a success: which it was is not told.
func cloudStatus(p jsonrecord.Value) (int, error) {
	if answer := p.Get("response"); answer.String("status") == "Failure" {
		if code, err := httpStatus(answer.Get("code")); err != nil || code != 0 {
			return code, err
		}
	}
	v := p.Get("status", "code")
	code, ok := v.Int()
	if code == 0 && (ok || v.IsNull()) {
		return 0, nil
	}
	if http, ok := rpcStatus[code]; ok {
		return http, nil
	}
	return httpStatus(v)
}
