package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// action is one notification, from whichever registry.
type action struct {
	at    event.Time
	key   string // the native id
	place event.Place
	// verb is "push", "pull", "mount" or "delete".
	verb string
	// registry is what it is called in the record; host is the same as it
	// stands in a reference.
	registry, host  string
	repository, tag string
	digest          string
	// reference is the whole name where the record has it.
	reference string
	mediaType string
	by        event.Principal
}

// maxText bounds names that clients choose, in bytes; maxAgent what they call
// themselves.
const (
	maxText  = 512
	maxAgent = 1 << 10
)

// bounded is s, cut at n bytes and marked if it is longer.
func bounded(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// notification reads one event of the distribution registry; see "Work with
// notifications" in its documentation.
func notification(v jsonrecord.Value) (action, error) {
	if !isNotification(v) {
		return action{}, errors.New("not a notification: want action, target and id or timestamp")
	}
	target, request := v.Get("target"), v.Get("request")
	a := action{
		verb:       v.String("action"),
		repository: bounded(target.String("repository"), maxText),
		tag:        bounded(target.String("tag"), maxText),
		digest:     bounded(target.String("digest"), maxText),
		mediaType:  bounded(target.String("mediaType"), maxText),
		registry:   bounded(request.String("host"), maxText),
	}
	var err error
	if a.at, err = timeOf(v.Get("timestamp"), "timestamp"); err != nil {
		return action{}, err
	}
	url := target.String("url")
	if err := a.matters(url); err != nil {
		return action{}, err
	}
	scheme, rest, _ := strings.Cut(url, "://")
	if a.registry == "" {
		a.registry, _, _ = strings.Cut(bounded(rest, maxText), "/")
	}
	if a.registry == "" { // the registry's own process, "registry-0:5000"
		a.registry = bounded(v.String("source", "addr"), maxText)
	}
	if a.registry == "" {
		return action{}, errors.New("no registry: none of request.host, target.url and source.addr")
	}
	a.host = authority(a.registry, scheme)
	a.by = event.Principal{
		Name:    bounded(v.String("actor", "name"), maxText),
		Clients: clients(request.String("addr")),
		Agent:   bounded(request.String("useragent"), maxAgent),
	}
	if a.key = bounded(v.String("id"), maxText); a.key == "" {
		a.key = strings.Join([]string{strconv.FormatInt(a.at.At, 10), a.verb, a.registry, a.repository, a.tag, a.digest}, "|")
	}
	return a, nil
}

// matters gives errNothing for what is not about a manifest. Deletions say
// neither type nor address; all are kept.
func (a *action) matters(url string) error {
	switch a.verb {
	case "push", "pull", "mount":
	case "delete":
		return nil
	case "":
		return errors.New("no action")
	default:
		return errNothing
	}
	switch {
	case isManifest(a.mediaType):
		return nil
	case a.mediaType != "", strings.Contains(url, "/blobs/"):
		return errNothing
	case strings.Contains(url, "/manifests/"), a.tag != "":
		return nil
	}
	return errors.New("neither mediaType nor url tells whether this is a manifest")
}

// isManifest knows the types of Docker's and OCI's manifests and indexes:
// application/vnd.docker.distribution.manifest.v2+json and .manifest.list.v2,
// application/vnd.oci.image.manifest.v1+json and .image.index.v1.
func isManifest(mediaType string) bool {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	return strings.Contains(mediaType, ".manifest.") || strings.Contains(mediaType, ".image.index.")
}

// authority is a registry's host as it must stand in a reference, where a name
// without dot and port would be a path on Docker Hub: then the port that the
// client did not have to name is added.
func authority(host, scheme string) string {
	switch {
	case strings.ContainsAny(host, ".:") || host == "localhost":
		return host
	case scheme == "http":
		return host + ":80"
	}
	return host + ":443"
}

// clients reads an address with or without port; a name is left out.
func clients(s string) []netip.Addr {
	if end, err := netip.ParseAddrPort(s); err == nil {
		return []netip.Addr{end.Addr().Unmap()}
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	return nil
}

// timeOf reads an RFC 3339 time.
func timeOf(v jsonrecord.Value, name string) (event.Time, error) {
	if v.IsNull() {
		return event.Time{}, fmt.Errorf("%w (%s)", errNoTime, name)
	}
	t, err := event.ParseRFC3339(v.String())
	if err == nil && t.At <= 0 {
		err = errNoTime
	}
	if err != nil {
		return event.Time{}, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}
