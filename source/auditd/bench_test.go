package auditd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"tidewaiter/source/sourcetest"
)

// generate writes n events of seven records each, as auditd with
// log_format=ENRICHED does, every eighth a connection; about 1.2 KB an event.
// Records of neighbours interleave, as on a host with several processors.
func generate(n int) []byte {
	r := rand.New(rand.NewPCG(7, 11))
	var b bytes.Buffer
	var pending []string
	for i := range n {
		at := fmt.Sprintf("%d.%03d:%d", 1795000000+i/50, i%50*20, 70000+i)
		pid, ppid := 2000+r.IntN(60000), 1+r.IntN(60000)
		lines := execLines(at, pid, ppid, i)
		if i%8 == 7 {
			lines = connectLines(at, pid, ppid, i)
		}
		if len(pending) == 0 && r.IntN(4) == 0 {
			b.WriteString(lines[0])
			pending = lines[1:]
			continue
		}
		for _, l := range lines {
			b.WriteString(l)
			if len(pending) > 0 {
				b.WriteString(pending[0])
				pending = pending[1:]
			}
		}
		for _, l := range pending {
			b.WriteString(l)
		}
		pending = nil
	}
	for _, l := range pending {
		b.WriteString(l)
	}
	return b.Bytes()
}

func execLines(at string, pid, ppid, i int) []string {
	return []string{
		fmt.Sprintf("type=SYSCALL msg=audit(%s): arch=c000003e syscall=59 success=yes exit=0 a0=55d0c%06x a1=55d0c%06x a2=55d0c%06x a3=8 items=2 ppid=%d pid=%d auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts1 ses=42 comm=\"rsync\" exe=\"/usr/bin/rsync\" subj=unconfined key=\"exec\"\x1dARCH=x86_64 SYSCALL=execve AUID=\"mira\" UID=\"root\" GID=\"root\" EUID=\"root\" SUID=\"root\" FSUID=\"root\" EGID=\"root\" SGID=\"root\" FSGID=\"root\"\n", at, i, i+8, i+16, ppid, pid),
		fmt.Sprintf("type=EXECVE msg=audit(%s): argc=4 a0=\"rsync\" a1=\"-a\" a2=2F7372762F6461746120646972 a3=\"backup.example:/vault/%d\"\n", at, i),
		fmt.Sprintf("type=CWD msg=audit(%s): cwd=\"/srv/jobs\"\n", at),
		fmt.Sprintf("type=PATH msg=audit(%s): item=0 name=\"/usr/bin/rsync\" inode=%d dev=fd:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\x1dOUID=\"root\" OGID=\"root\"\n", at, 90000+i),
		fmt.Sprintf("type=PATH msg=audit(%s): item=1 name=\"/lib64/ld-linux-x86-64.so.2\" inode=4711 dev=fd:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\x1dOUID=\"root\" OGID=\"root\"\n", at),
		fmt.Sprintf("type=PROCTITLE msg=audit(%s): proctitle=7273796E63002D61002F7372762F6461746120646972006261636B75702E6578616D706C653A2F7661756C742F31\n", at),
		fmt.Sprintf("type=EOE msg=audit(%s): \n", at),
	}
}

func connectLines(at string, pid, ppid, i int) []string {
	return []string{
		fmt.Sprintf("type=SYSCALL msg=audit(%s): arch=c000003e syscall=42 success=no exit=-115 a0=5 a1=7ffc0%06x a2=10 a3=4 items=0 ppid=%d pid=%d auid=4294967295 uid=33 gid=33 euid=33 suid=33 fsuid=33 egid=33 sgid=33 fsgid=33 tty=(none) ses=4294967295 comm=\"fetcher\" exe=\"/opt/fetch/fetcher\" subj=unconfined key=\"net\"\x1dARCH=x86_64 SYSCALL=connect AUID=\"unset\" UID=\"www-data\"\n", at, i, ppid, pid),
		fmt.Sprintf("type=SOCKADDR msg=audit(%s): saddr=020001BBC6336%03X0000000000000000\x1dSADDR={ saddr_fam=inet laddr=198.51.100.1 lport=443 }\n", at, i%4096),
		fmt.Sprintf("type=PROCTITLE msg=audit(%s): proctitle=\"/opt/fetch/fetcher\"\n", at),
		fmt.Sprintf("type=EOE msg=audit(%s): \n", at),
	}
}

// BenchmarkDecode has neighbours' records mixed, as generate writes them.
func BenchmarkDecode(b *testing.B) {
	sourcetest.Bench(b, Format(), generate(54_000))
}
