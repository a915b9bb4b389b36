package image

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Lookalike reports whether r imitates one of the trusted registry hosts or
// one of the well-known image names without being it, and says why in words.
//
// It looks for a trusted host inside another host (docker.io.evil.test,
// docker-io.test), drawn with other letters in another host (a Cyrillic о), or
// as a part of the path (dockerio/nginx), and for a part of the path that is
// one typing error away from a well-known name (ngnix). Only whole labels and
// whole path parts count, and only hosts with a dot. A subdomain of a trusted
// host is its owner's, and an official image of Docker Hub imitates nobody.
//
// It is a hint for people, never a verdict: two honest names can be alike.
func Lookalike(r Reference, hosts []string, names []string) (why string, ok bool) {
	if isOfficial(r, names) {
		return "", false
	}
	trusted := hostNames(hosts)
	host := displayHost(r)
	if !belongs(host, trusted) {
		for _, t := range trusted {
			if why, ok = hostImitates(host, t); ok {
				return why, true
			}
		}
	}
	if r.form != Named {
		return "", false
	}
	if why, ok = pathHasHost(r, host, trusted); ok {
		return why, true
	}
	return pathMistyped(r.path, names)
}

// isOfficial reports whether r is docker.io/library/<one of names>.
func isOfficial(r Reference, names []string) bool {
	name, found := strings.CutPrefix(r.path, "library/")
	return found && r.domain == dockerHub && slices.Contains(names, name)
}

// hostNames gives the trusted hosts that have a dot, in lower case and without
// port. A host of one label, such as localhost, is a common word.
func hostNames(hosts []string) []string {
	var out []string
	for _, h := range hosts {
		if h = withoutPort(strings.ToLower(h)); strings.Contains(h, ".") {
			out = append(out, h)
		}
	}
	return out
}

// withoutPort cuts ":5000" off. An IPv6 address has brackets and no dots, and
// is nobody's look-alike.
func withoutPort(host string) string {
	name, _, _ := strings.Cut(host, ":")
	return name
}

// displayHost is the host as people would see it, without port: for an
// internationalised host its letters, and for text that is no reference only
// because of them what stands before the first '/'.
func displayHost(r Reference) string {
	host := r.domain
	if r.form == Invalid {
		var found bool
		if host, _, found = strings.Cut(stripScheme(strings.TrimSpace(r.raw)), "/"); !found {
			return ""
		}
	}
	host = strings.Map(lowerLetter, withoutPort(host))
	if letters, err := idna.Punycode.ToUnicode(host); err == nil {
		return letters
	}
	return host
}

// belongs reports whether host is a trusted host or a subdomain of one.
func belongs(host string, trusted []string) bool {
	return slices.ContainsFunc(trusted, func(t string) bool {
		return host == t || strings.HasSuffix(host, "."+t)
	})
}

// hostImitates compares a host with one trusted host, as written and as drawn.
func hostImitates(host, trusted string) (why string, ok bool) {
	if embeds(host, trusted) {
		return fmt.Sprintf("host %q contains the name of %s", clip(host), trusted), true
	}
	drawn := skeleton(host)
	if drawn != host && (drawn == trusted || embeds(drawn, trusted)) {
		return fmt.Sprintf("host %q is drawn like %s with other letters", clip(host), trusted), true
	}
	return "", false
}

// embeds reports whether the trusted host's labels stand in host as whole
// labels with others behind them, or joined by hyphens in one label.
func embeds(host, trusted string) bool {
	if strings.Contains("."+host, "."+trusted+".") {
		return true
	}
	joined := "-" + strings.ReplaceAll(trusted, ".", "-") + "-"
	for label := range strings.SplitSeq(host, ".") {
		if strings.Contains("-"+label+"-", joined) {
			return true
		}
	}
	return false
}

// pathHasHost finds a trusted host among the parts of the path. One that
// stands first in the path on a trusted host is the usual form of a
// pull-through cache and imitates nothing, but not on Docker Hub, where the
// first part is anybody's user name.
func pathHasHost(r Reference, host string, trusted []string) (why string, ok bool) {
	cache := r.domain != dockerHub && belongs(host, trusted)
	for i, part := range strings.Split(r.path, "/") {
		for _, t := range trusted {
			if part == t && cache && i == 0 {
				continue
			}
			if isHostWord(part, t) {
				return fmt.Sprintf("path part %q imitates the registry host %s", clip(part), t), true
			}
		}
	}
	return "", false
}

// isHostWord reports whether a path part is the host, with or without dots.
func isHostWord(part, host string) bool {
	if len(part) > len(host) {
		return false
	}
	for _, sep := range [...]string{".", "", "-", "_"} {
		if part == strings.ReplaceAll(host, ".", sep) {
			return true
		}
	}
	return false
}

// minLikeness is the shortest word that can be imitated: among words of three
// letters almost all are one error apart.
const minLikeness = 4

// pathMistyped finds a path part that is one typing error away from a
// well-known name and is no well-known name itself. A digit behind a name is a
// version ("mysql8") and no error.
func pathMistyped(path string, names []string) (why string, ok bool) {
	for part := range strings.SplitSeq(path, "/") {
		if len(part) < minLikeness || slices.Contains(names, part) {
			continue
		}
		for _, name := range names {
			if len(name) >= minLikeness && oneEdit(part, name) && strings.TrimRight(part, "0123456789") != name {
				return fmt.Sprintf("path part %q is one letter away from the well-known name %q", clip(part), name), true
			}
		}
	}
	return "", false
}

// oneEdit reports whether a becomes b by one insertion, deletion, substitution
// or exchange of two neighbours: optimal string alignment distance 1.
func oneEdit(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	if len(a) > len(b)+1 || a == b {
		return false
	}
	i := 0
	for i < len(b) && a[i] == b[i] {
		i++
	}
	if len(a) > len(b) {
		return a[i+1:] == b[i:]
	}
	swapped := i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	return swapped || a[i+1:] == b[i+1:]
}

// skeleton is the ASCII text that s is drawn like: compatibility forms and
// accents removed (Unicode normalisation form KD), then the letters of
// confusable replaced, and what is not drawn at all left out.
func skeleton(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x80:
			return r
		case unicode.In(r, unicode.Mn, unicode.Cf):
			return -1
		case r == '。': // what IDNA takes for a dot as well
			return '.'
		}
		if ascii, ok := confusable[r]; ok {
			return ascii
		}
		return r
	}, strings.ToLower(norm.NFKD.String(s)))
}

// confusable lists lower-case letters of other alphabets that common fonts
// draw like an ASCII letter (Unicode Technical Standard 39, confusables).
var confusable = map[rune]rune{
	// Cyrillic
	'а': 'a', 'ь': 'b', 'с': 'c', 'ԁ': 'd', 'е': 'e', 'г': 'r', 'һ': 'h', 'і': 'i', 'ј': 'j',
	'к': 'k', 'ӏ': 'l', 'м': 'm', 'п': 'n', 'о': 'o', 'р': 'p', 'ԛ': 'q', 'ѕ': 's', 'т': 't', 'ц': 'u',
	'ѵ': 'v', 'ԝ': 'w', 'х': 'x', 'у': 'y',
	// Greek
	'α': 'a', 'ς': 'c', 'ε': 'e', 'η': 'n', 'ι': 'i', 'κ': 'k', 'ν': 'v', 'ο': 'o', 'σ': 'o', 'ρ': 'p',
	'τ': 't', 'υ': 'u', 'ω': 'w', 'χ': 'x', 'γ': 'y',
	// Armenian
	'օ': 'o', 'ո': 'n', 'ս': 'u', 'հ': 'h', 'ց': 'g', 'զ': 'q',
	// Latin letters that do not decompose
	'ɑ': 'a', 'ƅ': 'b', 'đ': 'd', 'ɡ': 'g', 'ħ': 'h', 'ı': 'i', 'ɩ': 'i', 'ł': 'l', 'ø': 'o', 'ŧ': 't', 'ʋ': 'u',
}
