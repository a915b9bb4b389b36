// Package kubernetes reads what a Kubernetes cluster writes about its pods: the
// API server's audit log, Kubernetes Events, and the kubelet's own log, bare
// and in the envelopes of the clouds.
//
// In: records of one of its formats. Out: events about pods, what makes them,
// their status, who reached into them, rights that were given, and
// descriptions of nodes.
package kubernetes

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/jsonrecord"
)

var (
	errNoTime = errors.New("no time")
)

// stringMap is an object's string values, nil if there are none. It fails on a
// key that stands twice.
func stringMap(v jsonrecord.Value) (map[string]string, error) {
	var out map[string]string
	var err error
	v.Each(func(key string, val jsonrecord.Value) {
		if !val.IsString() {
			return
		}
		if out == nil {
			out = map[string]string{}
		}
		if _, twice := out[key]; twice {
			err = fmt.Errorf("%w: %q", jsonrecord.ErrDuplicateKey, clip(key))
		}
		out[key] = val.String()
	})
	return out, err
}

// statedTime reads a time that may be missing: "", null, or the year 1, which
// is how Go prints a time that was never set.
func statedTime(v jsonrecord.Value) (event.Time, error) {
	if v.IsNull() {
		return event.Time{}, nil
	}
	if !v.IsString() {
		return event.Time{}, errors.New("a time that is no string")
	}
	s := v.Bytes()
	if len(s) == 0 || bytes.HasPrefix(s, []byte("0001-01-01T")) {
		return event.Time{}, nil
	}
	return event.ParseRFC3339(s)
}

// addresses parses those of texts that are addresses, with or without a port.
// The others are left out: a proxy may hand on what a client wrote.
func addresses(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts[:min(len(texts), maxAddresses)] {
		if a, ok := address(s); ok {
			out = append(out, a)
		}
	}
	return out
}

// clientAddresses is addresses of a list, or of one that stands alone.
func clientAddresses(v jsonrecord.Value) []netip.Addr {
	if !v.IsArray() {
		return addresses(v.Strings())
	}
	var out []netip.Addr
	n := 0
	for _, e := range v.Array() {
		if !e.IsString() {
			continue
		}
		if n++; n > maxAddresses {
			break
		}
		if a, ok := address(e.String()); ok {
			out = append(out, a)
		}
	}
	return out
}

// maxAddresses bounds the addresses that are taken from one list.
const maxAddresses = 64

func address(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

// imageID reads what a runtime calls the image that it ran:
// docker-pullable://repo@digest, docker://digest, repo@digest, or a digest.
func imageID(s string) image.Digest {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = s[i+1:]
	}
	d, err := image.ParseID(s)
	if err != nil {
		return image.Digest{}
	}
	return d
}

// runtimeID is a container's id without the scheme of its runtime.
func runtimeID(s string) string {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		return rest
	}
	return s
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
