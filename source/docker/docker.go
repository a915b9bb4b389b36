// Package docker reads what the Docker Engine and its tools write about
// images and containers: the event stream as JSON and as text, inspect output,
// and the daemon's own log.
//
// In: records of one of its formats. Out: events about images, containers,
// execs, network attachments, API requests and build steps, and descriptions.
package docker

// isHex reports whether s is n or more lower-case hex digits, at most 64: the
// form of an id, whole or shortened.
func isHex(s string, n int) bool {
	if len(s) < n || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
