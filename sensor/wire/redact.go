package wire

import (
	"net/url"
	"strings"
)

// redacted stands for what is not recorded.
const redacted = "<redacted>"

// plainParameters are those of Docker's API whose values are recorded; of all
// others the name alone is. Build arguments are the most known that hold
// secrets, but clients can put anything into a query.
var plainParameters = map[string]bool{
	"all": true, "container": true, "dockerfile": true, "force": true, "forcerm": true, "fromImage": true, "fromSrc": true, "limit": true,
	"name": true, "networkmode": true, "nocache": true, "platform": true, "pull": true, "q": true, "remote": true, "repo": true,
	"rm": true, "signal": true, "squash": true, "stream": true, "t": true, "tag": true, "target": true, "version": true,
}

// withoutSecrets is a request's target without what may be secret: user and
// password in it, and the values of all but plainParameters.
func withoutSecrets(target string) string {
	path, query, found := strings.Cut(withoutUser(target), "?")
	if !found {
		return bounded(path, maxURI)
	}
	path, _, _ = strings.Cut(path, "#")
	parts := strings.FieldsFunc(query, func(c rune) bool { return c == '&' || c == ';' })
	for i, part := range parts {
		name, val, said := strings.Cut(part, "=")
		if !said || val == "" {
			parts[i] = bounded(name, maxName)
			continue
		}
		parts[i] = bounded(name, maxName) + "=" + plainValue(name, val)
	}
	return bounded(path+"?"+strings.Join(parts, "&"), maxURI)
}

// plainValue is what is written of a parameter's value.
func plainValue(name, val string) string {
	plain, err := url.QueryUnescape(val)
	if unescaped, bad := url.QueryUnescape(name); err != nil || bad != nil || !plainParameters[unescaped] {
		return redacted
	}
	if !strings.ContainsAny(plain, "@?") {
		return val
	}
	// The address of a context or a source: its query may be signed.
	address, query, _ := strings.Cut(withoutUser(plain), "?")
	if query != "" {
		address += "?" + redacted
	}
	return url.QueryEscape(address)
}

// withoutUser hides user and password in an address.
func withoutUser(address string) string {
	scheme, rest, found := strings.Cut(address, "://")
	if !found {
		return address
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		return address
	}
	return scheme + "://" + redacted + rest[at:]
}
