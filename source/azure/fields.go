package azure

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// fields are a record's values by their names in lower case and without
// underscores: operationName, OperationName and operation_name are one.
type fields struct {
	byName map[string]jsonrecord.Value
	twice  error // a key that stands twice
}

// fieldsOf reads a record, with what Event Grid (data) and Filebeat
// (azure.activitylogs) put into objects of their own.
func fieldsOf(v jsonrecord.Value) fields {
	f := fields{byName: map[string]jsonrecord.Value{}}
	f.add(v)
	for _, path := range [][]string{{"data"}, {"azure"}, {"azure", "activitylogs"}} {
		f.add(v.Get(path...))
	}
	if id := v.Get("azure", "resource", "id"); id.IsString() {
		f.byName["resourceid"] = id
	}
	return f
}

func (f *fields) add(v jsonrecord.Value) {
	seen := map[string]bool{}
	v.Each(func(key string, val jsonrecord.Value) {
		if seen[key] {
			f.twice = fmt.Errorf("%w: %q", jsonrecord.ErrDuplicateKey, clip(key))
		}
		seen[key] = true
		name := strings.ToLower(key)
		if strings.ContainsAny(name, "_@") {
			name = strings.ReplaceAll(strings.ReplaceAll(name, "_", ""), "@", "")
		}
		if before, known := f.byName[name]; !known || before.IsNull() {
			f.byName[name] = val
		}
	})
}

// get is the first of some values that is there.
func (f *fields) get(names ...string) jsonrecord.Value {
	for _, n := range names {
		if v := f.byName[n]; !v.IsNull() {
			return v
		}
	}
	return jsonrecord.Value{}
}

// text is the first of some values that is a text, or an object with one as
// its value.
func (f *fields) text(names ...string) string {
	for _, n := range names {
		v := f.byName[n]
		if s := cmp.Or(v.String(), v.String("value")); s != "" {
			return s
		}
	}
	return ""
}

// object is the value under a name, which may be an object as text.
func (d *decoder) object(v jsonrecord.Value, parser int) (jsonrecord.Value, error) {
	s := strings.TrimSpace(v.String())
	if !strings.HasPrefix(s, "{") {
		return v, nil
	}
	return d.bodies[parser].Parse([]byte(s))
}

// fold looks a key up whatever the case of its letters.
func fold(v jsonrecord.Value, key string) jsonrecord.Value {
	if w := v.Get(key); w.Exists() {
		return w
	}
	var out jsonrecord.Value
	v.Each(func(k string, w jsonrecord.Value) {
		if strings.EqualFold(k, key) && !out.Exists() {
			out = w
		}
	})
	return out
}

// principal says who called.
func (c *call) principal() event.Principal {
	identity := c.get("identity")
	claims, rights := c.claims, c.get("authorization")
	if !claims.IsObject() {
		claims = identity.Get("claims")
	}
	if inner := identity.Get("authorization"); inner.IsObject() {
		rights = inner
	}
	const ns = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
	cloud := &event.CloudIdentity{
		Type: cmp.Or(rights.String("evidence", "principalType"), claims.String("idtyp")), Account: cmp.Or(c.text("tenantid"), claims.String("http://schemas.microsoft.com/identity/claims/tenantid")),
		App: cmp.Or(claims.String("appid"), claims.String("azp")), Role: rights.String("evidence", "role"), Federation: claims.String("http://schemas.microsoft.com/identity/claims/identityprovider"),
	}
	by := event.Principal{
		Name: cmp.Or(c.text("caller"), claims.String(ns+"upn"), claims.String(ns+"name"), claims.String("name"), cloud.App),
		UID:  cmp.Or(claims.String("http://schemas.microsoft.com/identity/claims/objectidentifier"), rights.String("evidence", "principalId")), Cloud: cloud,
	}
	if strings.Contains(strings.ToLower(by.Name), "autoscale") {
		cloud.Service = by.Name
	}
	for _, s := range []string{c.text("calleripaddress"), c.get("httprequest").String("clientIpAddress"), claims.String("ipaddr")} {
		a, err := netip.ParseAddr(s)
		if err != nil {
			ap, failed := netip.ParseAddrPort(s)
			a, err = ap.Addr(), failed
		}
		if err == nil {
			by.Clients = []netip.Addr{a.Unmap().WithZone("")}
			break
		}
	}
	return by
}
