package posture

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"tidewaiter/policy"
)

// Options are what facts are judged by.
type Options struct {
	// Policy says what is trusted, and what is dangerous. Never nil.
	Policy *policy.Policy
	// Now is when the facts were gathered.
	Now time.Time
	// Host is the host's name, for the policy's scopes; "" if unknown.
	Host string
	// MaxAge is the age from which an image counts as old; 0 means
	// DefaultMaxAge.
	MaxAge time.Duration
}

// DefaultMaxAge is the age from which an image counts as old if nobody says
// otherwise.
const DefaultMaxAge = 180 * 24 * time.Hour

// Checks lists all checks, in order.
func Checks() []Check {
	return slices.Concat(networkAccess(), privileges(), segmentation(), audit())
}

// Examine makes every check, in the order of Checks.
func Examine(f *Facts, opt Options) []Result {
	if opt.MaxAge == 0 {
		opt.MaxAge = DefaultMaxAge
	}
	var out []Result
	for _, c := range Checks() {
		q := &inquiry{Facts: f, opt: opt}
		c.look(q)
		out = append(out, q.result(c))
	}
	return out
}

// scope is the policy's scope for a namespace, or for the host.
func (q *inquiry) scope(namespace string) *policy.Scope {
	return q.opt.Policy.For(policy.Attributes{Namespace: namespace, Host: q.opt.Host})
}

// listed reports where a topic was listed in full.
func (q *inquiry) listed(t Topic) (Looked, bool) {
	i := slices.IndexFunc(q.Looked, func(l Looked) bool { return l.Topic == t })
	if i < 0 {
		return Looked{}, false
	}
	return q.Looked[i], true
}

// reach is from where an address can be reached.
type reach int

const (
	fromHost      reach = iota // loopback
	fromSomewhere              // one address of the host
	fromAnywhere               // every address
)

// reachOf tells from where a listener on host:port can be reached.
func reachOf(addr string) reach {
	host := hostOf(addr)
	switch host {
	case "", "0.0.0.0", "::", "*":
		return fromAnywhere
	case "localhost":
		return fromHost
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Unmap().IsLoopback() {
		return fromHost
	}
	return fromSomewhere
}

// hostOf is the host of host:port, without brackets.
func hostOf(addr string) string {
	host := addr
	if i := strings.LastIndexByte(addr, ':'); i >= 0 && !strings.HasSuffix(addr, "]") {
		host = addr[:i]
	}
	return strings.Trim(host, "[]")
}

// portOf is the port of host:port, "" if there is none.
func portOf(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 && !strings.HasSuffix(addr, "]") {
		return addr[i+1:]
	}
	return ""
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// several joins some words, and counts those that are too many.
func several(words []string) string {
	const most = 6
	if len(words) <= most {
		return strings.Join(words, ", ")
	}
	return strings.Join(words[:most], ", ") + fmt.Sprintf(" and %d more", len(words)-most)
}

// matches reports whether a selector selects these labels
// (k8s.io/apimachinery, "LabelSelector").
func (s Selector) matches(labels map[string]string) bool {
	for k, v := range s.MatchLabels {
		if has, ok := labels[k]; !ok || has != v {
			return false
		}
	}
	for _, r := range s.MatchExpressions {
		v, has := labels[r.Key]
		in := has && slices.Contains(r.Values, v)
		switch r.Operator {
		case "In":
			if !in {
				return false
			}
		case "NotIn":
			if in {
				return false
			}
		case "Exists":
			if !has {
				return false
			}
		case "DoesNotExist":
			if has {
				return false
			}
		}
	}
	return true
}
