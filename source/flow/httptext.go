package flow

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// Bounds of what a stranger can write into a request, in bytes. A browser's
// longest address is 2,000; servers refuse more than 8 KiB.
const (
	maxURI    = 8 << 10
	maxAgent  = 1 << 10
	maxMethod = 32
	maxHost   = 255
)

// bounded is s, cut at n bytes and marked if it is longer.
func bounded(s string, n int) string {
	if len(s) <= n {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	cut := n
	for cut > n-utf8.UTFMax && cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.ToValidUTF8(s[:cut], "\uFFFD") + "…"
}

// hostOf is the host in a Host header or an authority: without user, password
// and port, without the brackets of an IPv6 address, in lower case.
func hostOf(authority string) string {
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	if strings.HasPrefix(authority, "[") {
		if i := strings.IndexByte(authority, ']'); i > 0 {
			return domain(bounded(authority[1:i], maxHost))
		}
	}
	if i := strings.IndexByte(authority, ':'); i >= 0 && i == strings.LastIndexByte(authority, ':') {
		authority = authority[:i]
	}
	return domain(bounded(authority, maxHost))
}

// splitURL cuts "scheme://authority/path?query" before the path. authority is
// "" for a path alone.
func splitURL(address string) (authority, rest string) {
	scheme, after, found := strings.Cut(address, "://")
	if !found || strings.ContainsAny(scheme, "/?#") {
		return "", address
	}
	if i := strings.IndexAny(after, "/?#"); i >= 0 {
		return after[:i], after[i:]
	}
	return after, ""
}

// uriAsSent is a request's target as it was sent, except for secrets, which go
// into no event: user and password that a proxy may be sent inside it, and what
// withoutSecrets knows.
func uriAsSent(uri string) string {
	path, query, found := strings.Cut(withoutUser(uri), "?")
	if found {
		path += "?" + withoutSecrets(query)
	}
	return bounded(path, maxURI)
}

// redacted stands for a secret that a record held.
const redacted = "<redacted>"

// withoutUser hides user and password in an address.
func withoutUser(address string) string {
	authority, rest := splitURL(address)
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return address
	}
	scheme, _, _ := strings.Cut(address, "://")
	return scheme + "://" + redacted + authority[at:] + rest
}

// secretParameters are names, in lower case, of parameters that hold secrets:
// those of the Docker Engine, where build arguments are among them by habit,
// and what cloud storages and web programs call their keys and signatures.
var secretParameters = map[string]bool{
	"buildargs": true, "x-registry-auth": true, "x-registry-config": true, "authconfig": true, "identitytoken": true,
	"registrytoken": true, "auth": true, "password": true, "passwd": true, "pwd": true, "secret": true, "secrets": true,
	"client_secret": true, "token": true, "access_token": true, "refresh_token": true, "id_token": true,
	"api_key": true, "apikey": true, "sig": true, "signature": true, "x-amz-signature": true,
	"x-amz-security-token": true, "x-amz-credential": true, "x-goog-signature": true, "x-goog-credential": true,
}

// withoutSecrets hides in a query the values of secretParameters, users and
// passwords in addresses (remote=, fromSrc=), and variables that an image is
// given (changes=ENV …).
func withoutSecrets(query string) string {
	if !strings.Contains(query, "=") {
		return query
	}
	parts := strings.Split(query, "&")
	changed := false
	for i, part := range parts {
		name, val, _ := strings.Cut(part, "=")
		if val == "" {
			continue
		}
		if hidden, found := hideValue(strings.ToLower(unescaped(name)), unescaped(val)); found {
			parts[i], changed = name+"="+hidden, true
		}
	}
	if !changed {
		return query
	}
	return strings.Join(parts, "&")
}

// hideValue gives what to write in place of a parameter's value, if that holds
// a secret.
func hideValue(name, val string) (hidden string, found bool) {
	switch {
	case secretParameters[name]:
		return redacted, true
	case name == "changes" && len(val) > 4 && strings.EqualFold(val[:4], "env "):
		return val[:3] + "+" + redacted, true
	}
	plain := withoutUser(val)
	return url.QueryEscape(plain), plain != val
}

func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// statusOf is an HTTP status, 0 if s is none. It is the server's word, so a
// strange one makes no record unreadable.
func statusOf[T string | []byte](s T) int {
	if len(s) != 3 || !isDigits(s) || s[0] == '0' {
		return 0
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
}

// lengthOf is a count of bytes, -1 if s is none.
func lengthOf[T string | []byte](s T) int64 {
	n, err := parseCount(s)
	if err != nil {
		return -1
	}
	return n
}
