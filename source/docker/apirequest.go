package docker

import (
	"fmt"
	"net/url"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/jsonrecord"
)

// redacted stands for a secret that a record held.
const redacted = "<redacted>"

// Paths of the calls whose bodies the daemon's log may show.
const (
	pathCreate = "/containers/create"
	pathCommit = "/commit"
)

// changes reports whether a call can change something or start something. Of
// the calls with these methods, only waiting for a container and resizing a
// terminal cannot.
func changes(method, path string) bool {
	switch method {
	case "POST":
		process := strings.HasPrefix(path, "/containers/") || strings.HasPrefix(path, "/exec/")
		idle := strings.HasSuffix(path, "/wait") || strings.HasSuffix(path, "/resize")
		return path != "/events" && !(process && idle)
	case "PUT", "DELETE":
		return true
	}
	return false
}

// parseRequest reads the method and target of a call of the Engine API. It
// fails on a target that no HTTP server accepts.
func parseRequest(method, target string) (*event.APIRequest, error) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, fmt.Errorf("request target %q is not a path with query", clip(target))
	}
	req := &event.APIRequest{Method: method}
	req.Version, req.Path = cutVersion(u.Path)
	// The engine refuses a query that cannot be parsed, so that nothing is
	// lost with the part that ParseQuery leaves out.
	req.Query, _ = url.ParseQuery(u.RawQuery)
	redactQuery(req.Query)
	return req, nil
}

// cutVersion takes /v1.41 from the front of a path.
func cutVersion(path string) (version, rest string) {
	after, found := strings.CutPrefix(path, "/v")
	number, _, more := strings.Cut(after, "/")
	if !found || !more || number == "" || strings.Trim(number, "0123456789.") != "" {
		return "", path
	}
	return number, after[len(number):]
}

// isSecretKey reports whether the values of a query key may be secrets. Build
// arguments are, by habit, although they should not.
func isSecretKey(key string) bool {
	switch strings.ToLower(key) {
	case "buildargs", "x-registry-auth", "x-registry-config", "authconfig", "auth", "password", "secret", "secrets",
		"token", "identitytoken", "registrytoken":
		return true
	}
	return false
}

// redactQuery replaces secrets in values: those of secret keys, user names and
// passwords in URLs (remote=, fromSrc=), and variables set by changes=ENV ….
func redactQuery(q url.Values) {
	for key, values := range q {
		for i, val := range values {
			switch {
			case isSecretKey(key):
				values[i] = redacted
			case key == "changes" && len(val) > 4 && strings.EqualFold(val[:4], "env "):
				values[i] = val[:4] + redacted
			default:
				values[i] = redactUser(val)
			}
		}
	}
}

// redactUser hides what stands between "://" and "@" in a URL.
func redactUser(s string) string {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		return s
	}
	host, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	at := strings.LastIndexByte(host, '@')
	if at < 0 {
		return s
	}
	return scheme + "://" + redacted + host[at:] + path
}

// isCreateBody reports whether a body is that of a container's creation, or
// the equally built one of a commit.
func isCreateBody(body jsonrecord.Value) bool { return body.Get("Image").IsString() }

// describeCreate reads the body of POST /containers/create. Env is not kept.
func describeCreate(body jsonrecord.Value, name string) (*event.ContainerDescription, error) {
	labels, err := stringMap(body.Get("Labels"), nil)
	if err != nil {
		return nil, err
	}
	return &event.ContainerDescription{
		Name:        strings.TrimPrefix(name, "/"),
		Image:       image.ParseDocker(body.String("Image")),
		Command:     command(jsonrecord.Value{}, body),
		HealthCheck: healthCheck(body, ""),
		Risk:        risk(body.Get("HostConfig"), nil, body.String("User")),
		Labels:      labels,
	}, nil
}
