package traffic

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// docker adds a line of docker events --format '{{json .}}'; the format ends in
// the two forms of the time.
func (h *host) docker(at int64, format string, args ...any) {
	h.add(dockerFile, at, fmt.Appendf(nil, format+"\n", append(args, at/second, at)...))
}

func (h *host) dockerContainer(at int64, action string, c container) {
	exit := ""
	if action == "die" {
		exit = `"exitCode":"0",`
	}
	h.docker(at, `{"Type":"container","Action":%q,"Actor":{"ID":%q,"Attributes":{`+exit+`"image":%q,"name":%q}},"scope":"local","time":%d,"timeNano":%d}`,
		action, c.id, c.image, c.name)
}

// containerd adds a line of ctr events.
func (h *host) containerd(at int64, topic, format string, args ...any) {
	head := time.Unix(0, at).UTC().Format("2006-01-02 15:04:05.999999999 -0700 MST") + " moby " + topic + " "
	h.add(containerdFile, at, fmt.Appendf([]byte(head), format+"\n", args...))
}

// exec adds an execve as auditd writes it: argv[0] is the program's file.
func (h *host) exec(at int64, pid, ppid int, argv []string) {
	h.serial++
	id := fmt.Sprintf("audit(%d.%03d:%d)", at/second, at%second/1e6, h.serial)
	exe, args := argv[0], argv[1:]
	var b strings.Builder
	fmt.Fprintf(&b, "type=SYSCALL msg=%s: arch=c000003e syscall=59 success=yes exit=0 a0=55d0c0ffee10 a1=55d0c0ffee58 a2=55d0c0ffee90 a3=8 items=2 ppid=%d pid=%d auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 comm=%q exe=%q subj=unconfined key=\"exec\"\n",
		id, ppid, pid, args[0], exe)
	fmt.Fprintf(&b, "type=EXECVE msg=%s: argc=%d", id, len(args))
	for i, a := range args {
		if strings.ContainsAny(a, " \"") {
			fmt.Fprintf(&b, " a%d=%s", i, strings.ToUpper(hex.EncodeToString([]byte(a))))
			continue
		}
		fmt.Fprintf(&b, " a%d=%q", i, a)
	}
	fmt.Fprintf(&b, "\ntype=CWD msg=%s: cwd=\"/\"\n", id)
	fmt.Fprintf(&b, "type=PATH msg=%s: item=0 name=%q inode=%d dev=00:2f mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\n", id, exe, 100000+pid)
	fmt.Fprintf(&b, "type=PROCTITLE msg=%s: proctitle=%s\n", id, strings.ToUpper(hex.EncodeToString([]byte(strings.Join(args, "\x00")))))
	h.add(auditFile, at, []byte(b.String()))
}

// flow adds what conntrack -E -o timestamp,id prints of a connection that lasts
// some seconds.
func (h *host) flow(at int64, from, to string, port int) {
	sport, id := 32768+h.rng.IntN(28000), h.rng.Uint32()
	h.add(conntrackFile, at, fmt.Appendf(nil, "[%d.%06d]\t    [NEW] tcp      6 120 SYN_SENT src=%s dst=%s sport=%d dport=%d [UNREPLIED] src=%s dst=192.0.2.17 sport=%d dport=%d id=%d\n",
		at/second, at%second/1000, from, to, sport, port, to, port, sport, id))
	end := at + h.rng.Int64N(60*second)
	h.add(conntrackFile, end, fmt.Appendf(nil, "[%d.%06d]\t[DESTROY] tcp      6 src=%s dst=%s sport=%d dport=%d src=%s dst=192.0.2.17 sport=%d dport=%d [ASSURED] id=%d\n",
		end/second, end%second/1000, from, to, sport, port, to, port, sport, id))
}

// describe adds what docker inspect says of a container while it runs.
func (h *host) describe(c container) {
	started := time.Unix(0, c.at+second/8).UTC().Format(time.RFC3339Nano)
	h.add(inspectFile, c.at, fmt.Appendf(nil, `{"Id":%q,"Created":%q,"Name":"/%s","Image":"sha256:%s","State":{"Pid":%d,"StartedAt":%q},"Config":{"Image":%q},"HostConfig":{"NetworkMode":"bridge"},"NetworkSettings":{"Networks":{"bridge":{"NetworkID":"b41d6e","IPAddress":%q}}}}`+"\n",
		c.id, started, c.name, c.digest, c.pid, started, c.image, c.addr))
}
