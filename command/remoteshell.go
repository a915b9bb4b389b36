package command

import (
	"regexp"
	"slices"
	"strings"
)

// Ways to join a shell to a connection, so that somebody elsewhere types its
// commands: the shell's own redirection, relays that start a program, a pipe
// with a name before a relay, and program text that opens a connection and
// gives it to a shell.
var (
	shellOnSocket = regexp.MustCompile(`\b(ba|da|z|k|a|c|tc|fi)?sh\b[^\n;|]*[<>]&?\s*/dev/(tcp|udp)/|\bexec\s+[0-9]+<>\s*/dev/(tcp|udp)/`)
	relayToShell  = regexp.MustCompile(`\b(nc|ncat|netcat)\b[^\n;|]*\s(-[a-zA-Z]*[ec]|--exec|--sh-exec|--lua-exec)[ =]\s*\S*(sh|bash|cmd|powershell)|\bsocat\b[^\n;]*\b(EXEC|SYSTEM|exec|system):`)
	shellByPipe   = regexp.MustCompile(`\b(mkfifo|mknod)\b[^\n]*\b(ba|da|z|k|a)?sh\b[^\n]*\|[^\n]*\b(nc|ncat|netcat|telnet|openssl)\b`)
	opensSocket   = regexp.MustCompile(`\b(socket|fsockopen|stream_socket_client|TCPSocket|TCPClient|createConnection|net\.Socket|net\.connect)\b|IO::Socket`)
	givesToShell  = regexp.MustCompile(`dup2|pty\.spawn|>&\s*\$?[A-Z]\b|[<>]&[0-9%]|\b(/bin/)?(ba|da|z)?sh["' ,\]]|cmd\.exe|powershell`)
)

// remoteShell reports whether shell text joins a shell to a connection.
func remoteShell(s string) bool {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(s, w) })
	}
	return has("/dev/tcp/", "/dev/udp/") && shellOnSocket.MatchString(s) ||
		has("nc", "netcat", "socat") && relayToShell.MatchString(s) ||
		has("mkfifo", "mknod") && shellByPipe.MatchString(s)
}

// codeIsRemoteShell is remoteShell for the text of an interpreter that is no
// shell.
func codeIsRemoteShell(s string) bool {
	return opensSocket.MatchString(s) && givesToShell.MatchString(s)
}
