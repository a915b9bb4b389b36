package gcp

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/jsonrecord"
)

// call is one call of Compute Engine's API, or one end of it.
type call struct {
	entry, payload jsonrecord.Value
	asked, said    jsonrecord.Value
	at             event.Time
	written        int64
	insertID       string
	operation      string
	first, last    bool
	failure        string
	place          event.Place
	resource       string // "projects/p/zones/z/instances/n"
	project, zone  string
	by             event.Principal
}

// read takes what all calls have in common.
func (c *call) read() (err error) {
	if c.at, err = statedTime(c.entry.String("timestamp")); err != nil {
		return err
	}
	if received, err := statedTime(either(c.entry, "receiveTimestamp").String()); err == nil && received.At > c.at.At {
		c.written = received.At
	}
	c.insertID = either(c.entry, "insertId").String()
	op := c.entry.Get("operation")
	c.operation, c.first, c.last = op.String("id"), op.Bool("first"), op.Bool("last")
	c.resource = image.GCPPath(either(c.payload, "resourceName").String())
	labels := c.entry.Get("resource", "labels")
	c.project = cmp.Or(labels.String("project_id"), part(c.resource, "projects"))
	c.zone = cmp.Or(part(c.resource, "zones"), labels.String("zone"), labels.String("location"))
	c.place = event.Place{Account: c.project, Region: cmp.Or(region(c.zone), part(c.resource, "regions"))}
	c.failure = failure(c.payload)
	c.by = c.principal()
	return nil
}

// statedTime reads a time; stores that print it without its letters print it in
// UTC, as the log has it.
func statedTime(s string) (event.Time, error) {
	switch {
	case s == "":
		return event.Time{}, errNoTime
	case len(s) > 10 && s[10] == ' ' && !strings.ContainsAny(s[11:], "+-Z"):
		s = s[:10] + "T" + s[11:] + "Z"
	}
	return event.ParseRFC3339(s)
}

// part is the name behind a collection in a resource's path.
func part(path, collection string) string {
	_, rest, ok := strings.Cut("/"+path, "/"+collection+"/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

func last(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// region is that of a zone: "us-central1" of "us-central1-a".
func region(zone string) string {
	if strings.Count(zone, "-") == 2 {
		zone = zone[:strings.LastIndexByte(zone, '-')]
	}
	return zone
}

// rpcNames are the names of google.rpc.Code.
var rpcNames = []string{"", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
	"FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}

// failure is why nothing was done, "" if it was.
func failure(payload jsonrecord.Value) string {
	status := payload.Get("status")
	code, ok := status.Int("code")
	switch {
	case !ok || code == 0:
		if errs := payload.Array("response", "error", "errors"); len(errs) > 0 {
			return cmp.Or(errs[0].String("code"), errs[0].String("message"), "error")
		}
		return ""
	case code > 0 && code < int64(len(rpcNames)):
		if message := status.String("message"); code == 2 || code == 3 || code == 9 {
			return cmp.Or(clip(message), rpcNames[code]) // the code says little
		}
		return rpcNames[code]
	}
	return "code " + status.Number("code")
}

// principal says who called.
func (c *call) principal() event.Principal {
	auth, meta := c.payload.Get("authenticationInfo"), c.payload.Get("requestMetadata")
	email, subject := auth.String("principalEmail"), auth.String("principalSubject")
	agent := meta.String("callerSuppliedUserAgent")
	kind, _, _ := strings.Cut(subject, ":")
	if strings.HasSuffix(email, "gserviceaccount.com") {
		kind = "serviceAccount"
	}
	cloud := &event.CloudIdentity{Type: cmp.Or(kind, "user"), Key: last(auth.String("serviceAccountKeyName")), Console: strings.HasPrefix(agent, "Mozilla/")}
	if strings.Contains(subject, "workforcePools/") || strings.Contains(subject, "workloadIdentityPools/") {
		cloud.Federation = strings.TrimPrefix(subject, "principal://iam.googleapis.com/")
	}
	if strings.HasSuffix(email, "@cloudservices.gserviceaccount.com") || strings.HasPrefix(agent, "GCE Managed Instance Group") {
		cloud.Service = cmp.Or(agent, email)
	}
	by := event.Principal{Name: cmp.Or(email, subject), UID: subject, Agent: agent, Cloud: cloud}
	for _, d := range auth.Array("serviceAccountDelegationInfo") {
		by.Behind = cmp.Or(d.String("firstPartyPrincipal", "principalEmail"), d.String("principalSubject"))
		break
	}
	if a, err := netip.ParseAddr(cmp.Or(meta.String("callerIp"), meta.String("callerIP"))); err == nil {
		by.Clients = []netip.Addr{a.Unmap().WithZone("")}
	}
	return by
}

// pairs are labels, which the log writes as a list, and the API as an object.
func pairs(v jsonrecord.Value) map[string]string {
	if v.IsObject() {
		return v.Map()
	}
	var out map[string]string
	for _, l := range v.Array() {
		if k := l.String("key"); k != "" {
			if out == nil {
				out = map[string]string{}
			}
			out[k] = l.String("value")
		}
	}
	return out
}

// bootKeys are the metadata keys whose value is run at a boot, or says where
// to fetch what is run.
var bootKeys = []string{"startup-script", "startup-script-url", "user-data", "shutdown-script", "shutdown-script-url", "gce-container-declaration",
	"sysprep-specialize-script-ps1", "sysprep-specialize-script-cmd", "sysprep-specialize-script-bat", "sysprep-specialize-script-url",
	"windows-startup-script-ps1", "windows-startup-script-cmd", "windows-startup-script-bat", "windows-startup-script-url"}

// maxScript bounds the text of a script that is kept: metadata values have at
// most 256 KiB.
const maxScript = 64 << 10

// maxKeys bounds the names of other keys that are kept.
const maxKeys = 256

// metadata reads what a request, or what the log tells of the change that it
// made, says of metadata: what runs at a boot, and the other keys.
func (c *call) metadata(items []jsonrecord.Value) (data event.UserData, others []string, group string) {
	take := func(key, value string) {
		switch {
		case slices.Contains(bootKeys, key):
			if !slices.Contains(data.Keys, key) {
				data.Keys = append(data.Keys, key)
			}
			if data.Text == "" {
				data.Text = value[:min(len(value), maxScript)]
			}
		case key == "created-by":
			group = image.GCPPath(value)
		case key != "" && len(others) < maxKeys && !slices.Contains(others, key):
			others = append(others, key)
		}
	}
	for _, item := range items {
		take(item.String("key"), item.String("value"))
	}
	for _, delta := range []string{"instanceMetadataDelta", "projectMetadataDelta"} {
		for _, change := range []string{"addedMetadataKeys", "modifiedMetadataKeys"} {
			for _, key := range c.payload.Strings("metadata", delta, change) {
				take(key, "")
			}
		}
	}
	data.Present = len(data.Keys) > 0
	data.Redacted = data.Present && data.Text == ""
	return data, others, group
}
