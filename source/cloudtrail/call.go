package cloudtrail

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/jsonrecord"
)

// call is one call of an API as CloudTrail tells it.
type call struct {
	v           jsonrecord.Value
	name        string
	asked, said jsonrecord.Value // requestParameters, responseElements
	at          event.Time
	place       event.Place
	account     string
	failure     string
	dryRun      bool
	by          event.Principal
}

// read takes what all calls have in common.
func (c *call) read(d *decoder) (err error) {
	if c.asked, err = d.parameters(c.v, "requestParameters", 0); err != nil {
		return err
	}
	if c.said, err = d.parameters(c.v, "responseElements", 1); err != nil {
		return err
	}
	if c.at, err = statedTime(text(c.v, "eventTime")); err != nil {
		return err
	}
	who := c.v.Get("userIdentity")
	if !who.Exists() {
		who = c.v.Get("useridentity")
	}
	c.account = cmp.Or(text(c.v, "recipientAccountId"), text(who, "accountId"))
	c.place = event.Place{Account: c.account, Region: text(c.v, "awsRegion")}
	c.failure = text(c.v, "errorCode")
	c.dryRun = strings.HasSuffix(c.failure, "DryRunOperation")
	c.by = c.principal(who)
	return nil
}

// parameters are what a call was given, or gave: an object, or one as text.
func (d *decoder) parameters(v jsonrecord.Value, key string, parser int) (jsonrecord.Value, error) {
	p := v.Get(key)
	if !p.Exists() {
		p = v.Get(strings.ToLower(key))
	}
	written := "{}" // so that the parser forgets the faults of records before
	if s := strings.TrimSpace(p.String()); strings.HasPrefix(s, "{") {
		written = s
	}
	parsed, err := d.texts[parser].Parse([]byte(written))
	if err != nil {
		return p, fmt.Errorf("%s: %w", key, err)
	}
	if p.IsString() {
		return parsed, nil
	}
	return p, nil
}

// statedTime reads a time in UTC: CloudTrail documents eventTime so. Athena
// prints it without the letters.
func statedTime(s string) (event.Time, error) {
	switch {
	case s == "":
		return event.Time{}, errNoTime
	case len(s) > 10 && s[10] == ' ' && !strings.ContainsAny(s[11:], "+-Z"):
		s = s[:10] + "T" + s[11:] + "Z"
	}
	return event.ParseRFC3339(s)
}

// principal says who called.
func (c *call) principal(who jsonrecord.Value) event.Principal {
	session := who.Get("sessionContext")
	agent := text(c.v, "userAgent")
	cloud := &event.CloudIdentity{
		Type:       who.String("type"),
		Account:    who.String("accountId"),
		Issuer:     session.String("sessionIssuer", "arn"),
		Federation: cmp.Or(who.String("identityProvider"), session.String("webIdFederationData", "federatedProvider")),
		Key:        who.String("accessKeyId"),
		Service:    who.String("invokedBy"),
		MFA:        flag(session.Get("attributes", "mfaAuthenticated")),
		Console:    flag(c.v.Get("sessionCredentialFromConsole")) || isConsole(agent),
	}
	by := event.Principal{
		Name:   cmp.Or(who.String("arn"), who.String("userName"), cloud.Service, who.String("principalId")),
		UID:    who.String("principalId"),
		Behind: session.String("sourceIdentity"),
		Agent:  agent,
		Cloud:  cloud,
	}
	from := text(c.v, "sourceIPAddress")
	if a, err := netip.ParseAddr(from); err == nil {
		by.Clients = []netip.Addr{a.Unmap().WithZone("")}
	} else if strings.HasSuffix(from, ".amazonaws.com") {
		cloud.Service = cmp.Or(cloud.Service, from)
	}
	return by
}

// isConsole knows the web console by the agent that AWS writes for it.
func isConsole(agent string) bool {
	return agent == "signin.amazonaws.com" || strings.HasPrefix(agent, "console.") && strings.Contains(agent, "amazonaws.com") || strings.HasPrefix(agent, "[S3Console/")
}

// flag reads a boolean that may be text.
func flag(v jsonrecord.Value) bool { return v.Bool() || v.String() == "true" }

// items are the elements of one of EC2's sets.
func items(v jsonrecord.Value, keys ...string) []jsonrecord.Value {
	return v.Get(keys...).Array("items")
}

// tags are a set's keys and values, nil if there are none.
func tags(list []jsonrecord.Value, key, value string) map[string]string {
	var out map[string]string
	for _, t := range list {
		if k := t.String(key); k != "" {
			if out == nil {
				out = map[string]string{}
			}
			out[k] = t.String(value)
		}
	}
	return out
}

// addrs parses those of texts that are addresses.
func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, a.Unmap().WithZone(""))
		}
	}
	return out
}

// millis is a time that EC2 writes as milliseconds since 1970, or as a text.
func millis(v jsonrecord.Value) event.Time {
	if n, ok := v.Int(); ok && n > 0 && n < 9_000_000_000_000 {
		return event.At(time.UnixMilli(n), event.Millisecond)
	}
	t, err := event.ParseRFC3339(v.String())
	if err != nil {
		return event.Time{}
	}
	return t
}

// ami is the image under a key.
func ami(v jsonrecord.Value, keys ...string) image.VM { return image.ParseAMI(v.String(keys...)) }
