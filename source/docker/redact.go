package docker

import (
	"bytes"
	"regexp"
)

// secretQuery are the parameters of a request that hold secrets, as isSecretKey
// knows them, and variables that an import sets; userInfo is who asks within a
// URL, as it is and escaped.
var (
	secretQuery = regexp.MustCompile(`(?i)([?&](?:(?:buildargs|x-registry-auth|x-registry-config|authconfig|auth|password|secret|secrets|token|identitytoken|registrytoken)=|changes=env(?:%20|\+)))[^&\s"\\]*`)
	userInfo    = regexp.MustCompile(`(?i)(://|%3a%2f%2f)[^/@&\s"\\%]*(?::|%3a)[^/@&\s"\\]*?(@|%40)`)
)

// envKey is how a list of environment variables begins in a request's body, as it
// is and quoted once more by the log.
var envKey = regexp.MustCompile(`\\?"Env\\?":\[`)

// redactLog takes the secrets out of lines of dockerd's log: build arguments and
// credentials in requests, and the values of environment variables in what they
// carry. What is left is read as before. Lines without any are given as they are.
func redactLog(lines []byte) []byte {
	if secretQuery.Match(lines) {
		lines = secretQuery.ReplaceAll(lines, []byte("${1}redacted"))
	}
	if userInfo.Match(lines) {
		lines = userInfo.ReplaceAll(lines, []byte("${1}redacted${2}"))
	}
	if !envKey.Match(lines) {
		return lines
	}
	var out []byte
	for {
		at := envKey.FindIndex(lines)
		if at == nil {
			return append(out, lines...)
		}
		out = append(out, lines[:at[1]]...)
		lines = lines[at[1]:]
		lines = lines[endOfList(lines, out[len(out)-4] == '\\'):]
	}
}

// endOfList is where the bracket stands that ends a list of JSON strings, quoted
// once more by a log or not; the end of the line if there is none.
func endOfList(b []byte, quoted bool) int {
	inside := false
	for i := 0; i < len(b) && b[i] != '\n'; i++ {
		switch {
		case quoted && bytes.HasPrefix(b[i:], []byte(`\\\`)): // \\\" is a quote, \\\\ a backslash within a string
			i += 3
		case quoted && bytes.HasPrefix(b[i:], []byte(`\\`)): // \\n and the like
			i += 2
		case quoted && bytes.HasPrefix(b[i:], []byte(`\"`)):
			inside = !inside
			i++
		case !quoted && b[i] == '\\':
			i++
		case !quoted && b[i] == '"':
			inside = !inside
		case b[i] == ']' && !inside:
			return i
		}
	}
	if end := bytes.IndexByte(b, '\n'); end >= 0 {
		return end
	}
	return len(b)
}
