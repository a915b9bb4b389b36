package command

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// endpoint notes a place elsewhere and reports whether it is one. What names a
// host without port adds nothing to what names it with one.
func (r *reader) endpoint(e Endpoint) bool {
	e.Host = strings.ToLower(strings.TrimSuffix(e.Host, "."))
	if a, err := netip.ParseAddr(e.Host); err == nil {
		e.Addr = a.Unmap().WithZone("")
		e.Host = e.Addr.String()
	} else if a, ok := oldIPv4(e.Host); ok {
		e.Addr, e.Host = a, a.String()
	}
	_, named := isHost(e.Host)
	if e.Addr.IsUnspecified() || !e.Addr.IsValid() && !named {
		return false
	}
	for i, known := range r.out.Endpoints {
		switch bare := known.Port == 0 && known.Scheme == ""; {
		case known == e || known.Host == e.Host && e.Port == 0 && e.Scheme == "":
			return true
		case known.Host == e.Host && bare:
			r.out.Endpoints[i] = e
			return true
		}
	}
	if len(r.out.Endpoints) < maxItems {
		r.out.Endpoints = append(r.out.Endpoints, e)
	}
	return true
}

// isHost reports whether a text can be a host's name, and counts its labels:
// letters of any language, digits, hyphens and underscores. The last label is
// no number.
func isHost(s string) (labels int, ok bool) {
	if len(s) > maxName {
		return 0, false
	}
	last := ""
	for last = range strings.SplitSeq(s, ".") {
		other := strings.IndexFunc(last, func(c rune) bool {
			return c != '-' && c != '_' && !unicode.In(c, unicode.Letter, unicode.Number, unicode.Mark)
		})
		if last == "" || len(last) > 63 || other >= 0 || last[0] == '-' {
			return 0, false
		}
		labels++
	}
	return labels, strings.ContainsFunc(last, unicode.IsLetter)
}

// isDomain reports whether a text is a host's name with a dot whose last label
// could be a top-level domain.
func isDomain(s string) bool {
	labels, ok := isHost(strings.TrimSuffix(s, "."))
	top := strings.ToLower(s[strings.LastIndexByte(strings.TrimSuffix(s, "."), '.')+1:])
	return ok && labels > 1 && len(top) > 1 && (strings.HasPrefix(top, "xn--") || !strings.ContainsFunc(top, func(c rune) bool { return !unicode.IsLetter(c) && c != '.' }))
}

// oldIPv4 reads the forms of IPv4 addresses that resolvers still take:
// "3405803777", "0xcb.0.0x7101", "127.1". An address of the network 0 is a
// number that means something else.
func oldIPv4(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 0, 32)
		left := 8 * (4 - i) // bits that this part and the later ones fill
		size := 8
		if i == len(parts)-1 {
			size = left
		}
		if err != nil || strings.ContainsAny(p, "_oO") || strings.HasPrefix(p, "0b") || strings.HasPrefix(p, "0B") || n >= 1<<size {
			return netip.Addr{}, false
		}
		sum |= n << (left - size)
	}
	a := netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	return a, sum >= 1<<24
}

// scan finds the places that any text names for sure: URLs, addresses, and
// host:port.
func (r *reader) scan(s string) {
	r.urls(s)
	for token := range strings.FieldsFuncSeq(s, func(c rune) bool { return c <= ' ' || strings.ContainsRune("\"'(),;|<>={}&`", c) }) {
		if len(token) <= maxName && !strings.Contains(token, "://") {
			r.token(token)
		}
	}
}

// urls finds URLs, and reports whether there are any that name a place.
func (r *reader) urls(s string) (found bool) {
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			return found
		}
		scheme := schemePattern.FindString(s[max(0, i-32):i])
		s = s[i+len("://"):]
		if scheme == "" || slices.Contains([]string{"file", "unix", "npipe", "fd", "s3", "gs"}, strings.ToLower(scheme)) {
			continue // not on a network, or a name that only its service knows
		}
		end := strings.IndexAny(s, "/?#\\\"'<>|` \t\r\n")
		if end < 0 {
			end = len(s)
		}
		if e, ok := authority(s[:end]); ok {
			e.Scheme = strings.ToLower(scheme)
			if e.Port == 0 {
				e.Port = map[string]int{"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21, "ssh": 22, "git": 9418, "ldap": 389, "ldaps": 636}[e.Scheme]
			}
			found = r.endpoint(e) || found
		}
	}
}

var schemePattern = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*$`)

// authority reads "user:password@host:port"; the host alone is kept.
func authority(s string) (Endpoint, bool) {
	s = s[strings.LastIndexByte(s, '@')+1:]
	var e Endpoint
	var port string
	if inner, ok := strings.CutPrefix(s, "["); ok {
		host, rest, closed := strings.Cut(inner, "]")
		if a, err := netip.ParseAddr(host); !closed || err != nil || !a.Is6() {
			return Endpoint{}, false
		}
		e.Host, port = host, strings.TrimPrefix(rest, ":")
	} else {
		e.Host = s
		if i := strings.IndexFunc(s, func(c rune) bool { return c < 0x80 && !isHostByte(byte(c)) }); i >= 0 {
			e.Host, port = s[:i], strings.TrimPrefix(s[i:], ":")
		}
		e.Host = knownEnd(e.Host)
		if plain, err := url.PathUnescape(e.Host); err == nil {
			e.Host = plain
		}
	}
	if n, err := strconv.ParseUint(port[:digits(port)], 10, 16); err == nil {
		e.Port = int(n)
	}
	return e, e.Host != ""
}

func isHostByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(".-_%$", c) >= 0
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// knownEnd is what is known of a host's name of which some is not: the domain
// behind the last unknown label.
func knownEnd(host string) string {
	i := strings.LastIndexByte(host, '$')
	if i < 0 {
		return host
	}
	_, domain, _ := strings.Cut(host[i:], ".")
	if !strings.Contains(domain, ".") {
		return ""
	}
	return domain
}

// token reads a word that may be /dev/tcp/HOST/PORT, host:port or an address.
func (r *reader) token(s string) {
	if rest, ok := strings.CutPrefix(s, "/dev/"); ok {
		if e, ok := deviceEndpoint(rest); ok {
			r.endpoint(e)
		}
		return
	}
	if len(s) > 2 && s[0] == '-' {
		r.token(strings.TrimLeft(s[2:], "-")) // -oHOST:PORT
		return
	}
	if a, err := netip.ParseAddr(s); err == nil && strings.ContainsAny(s, "0123456789") {
		r.endpoint(Endpoint{Host: a.String()})
		return
	}
	if e, ok := hostPort(s); ok {
		r.endpoint(e)
	}
}

// deviceEndpoint reads what bash opens as a connection: "tcp/HOST/PORT".
func deviceEndpoint(s string) (Endpoint, bool) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 || parts[0] != "tcp" && parts[0] != "udp" {
		return Endpoint{}, false
	}
	port, err := strconv.ParseUint(parts[2], 10, 16)
	if err != nil && !strings.Contains(parts[2], "$") {
		return Endpoint{}, false
	}
	return Endpoint{Host: knownEnd(parts[1]), Port: int(port)}, true
}

// hostPort reads "host:port" where the host is an address, a domain name with
// a dot or "localhost"; a "key:123" and a "file.txt:12" are none of these.
func hostPort(s string) (Endpoint, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return Endpoint{Host: ap.Addr().String(), Port: int(ap.Port())}, true
	}
	s = s[strings.LastIndexByte(s, '@')+1:]
	host, port, found := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if !found || err != nil || n == 0 {
		return Endpoint{}, false
	}
	if host != "localhost" && !isDomain(host) || filePattern.MatchString(host) {
		return Endpoint{}, false
	}
	return Endpoint{Host: host, Port: int(n)}, true
}

// filePattern fits names that end in what no top-level domain is called.
var filePattern = regexp.MustCompile(`(?i)\.(c|conf|cfg|cpp|crt|css|csv|env|exe|go|gz|h|html|ini|jar|java|js|json|key|log|php|pem|pid|rb|service|so|sock|sql|tar|tgz|toml|ts|txt|xml|yaml|yml)$`)

// operand reads an operand that is a host for sure, such as "db", "u@db:22" or
// "db.example/path"; scheme and port are what the program takes without being
// told.
func (r *reader) operand(s, scheme string, port int) bool {
	if i := strings.IndexAny(s, "/?#\\"); i >= 0 {
		s = s[:i]
	}
	e, ok := authority(s)
	if a, err := netip.ParseAddr(s); err == nil {
		e, ok = Endpoint{Host: a.String()}, true // IPv6 without brackets
	}
	if e.Port == 0 {
		e.Port = port
	}
	e.Scheme = scheme
	return ok && r.endpoint(e)
}
