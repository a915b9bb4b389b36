// Package guest reads what a virtual machine itself tells of its first boot: user
// data as it lies there, cloud-init's logs, and the logs of Google's and
// Azure's agents.
//
// In: scripts, cloud-config and MIME archives, plain, compressed or in base64;
// logs as files, through syslog or journald. Out: event.GuestScript.
package guest

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"tidewaiter/event"
)

// Bounds of what is kept of one script.
const (
	maxText     = 64 << 10
	maxCommands = 1000
	maxCommand  = 8 << 10
)

// secrets are what looks like one. The first group stays.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`(?i)((?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|account[_-]?key|credentials?)["']?\s*[:=]\s*["']?)[^\s"'<>,;&|]+`),
	regexp.MustCompile(`(?i)(--?(?:password|passwd|token|secret|api-key)[ =]["']?)[^\s"'<>,;&|]+`),
	regexp.MustCompile(`(?i)(authorization:\s*\S+\s+)[^\s"']+`),
	regexp.MustCompile(`([a-z][a-z0-9+.-]*://)[^\s/@"']+:[^\s/@"']+@`),
	regexp.MustCompile(`(-----BEGIN [A-Z ]*PRIVATE KEY-----)[^-]*`),
}

// redact replaces what looks like a secret. It can't know every form; a script
// is kept because what it runs must be seen.
func redact(s string) string {
	for _, re := range secrets {
		s = re.ReplaceAllString(s, "${1}<redacted>")
	}
	return s
}

// describe puts the text of a script, or of another part, into a body.
func describe(b *event.GuestScript, text []byte) {
	sum := sha256.Sum256(text)
	b.SHA256, b.Size = hex.EncodeToString(sum[:]), int64(len(text))
	s := strings.ToValidUTF8(string(text), "\uFFFD")
	if len(s) > maxText {
		s, b.Truncated = strings.ToValidUTF8(s[:maxText], ""), true
	}
	b.Text = redact(s)
}

// addCommand adds a command that is run, once more of the same left out.
func addCommand(list []string, s string) []string {
	s = strings.TrimSpace(s)
	if s == "" || len(list) >= maxCommands {
		return list
	}
	if len(s) > maxCommand {
		s = strings.ToValidUTF8(s[:maxCommand], "")
	}
	if s = redact(s); slices.Contains(list[max(0, len(list)-64):], s) {
		return list
	}
	return append(list, s)
}

// scriptCommands are the lines of a script, without comments, and with lines
// put together that a backslash continues.
func scriptCommands(text string) []string {
	var out []string
	var held strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if s := strings.TrimSpace(line); held.Len() == 0 && (s == "" || strings.HasPrefix(s, "#")) {
			continue
		}
		if rest, more := strings.CutSuffix(line, `\`); more && held.Len() < maxCommand {
			held.WriteString(rest)
			continue
		}
		held.WriteString(line)
		out = addCommand(out, held.String())
		held.Reset()
	}
	return addCommand(out, held.String())
}

// quoteArgs writes arguments as a shell reads them.
func quoteArgs(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		if a == "" || strings.ContainsAny(a, " \t\n\"'`$&|;<>()*?[]{}~#!\\") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		quoted[i] = a
	}
	return strings.Join(quoted, " ")
}

// addresses are the URLs in a text.
var addresses = regexp.MustCompile(`(?:https?|ftp|s3|gs)://[^\s"'<>\\|;&)]+`)

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
