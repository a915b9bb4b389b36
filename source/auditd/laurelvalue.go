package auditd

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"tidewaiter/source/jsonrecord"
)

// laurelNumber reads a number as laurel prints it: decimal as a JSON number,
// others as text with a prefix, "0x1f" or "0o755".
func laurelNumber(v jsonrecord.Value) (n uint64, ok bool) {
	s := v.Bytes()
	base := 10
	switch {
	case len(s) == 0:
		return 0, false
	case hasPrefix(s, "0x"):
		s, base = s[2:], 16
	case hasPrefix(s, "0o"):
		s, base = s[2:], 8
	}
	n, err := strconv.ParseUint(string(s), base, 64)
	return n, err == nil
}

// laurelID reads a user, login or session id; -1 when it is unset or unknown.
// With drop-raw only the user's name is left, which names no id on another
// host, except root's.
func laurelID(v, name jsonrecord.Value) int {
	if n, ok := laurelNumber(v); ok {
		if n >= unset {
			return -1
		}
		return int(n)
	}
	if !v.Exists() && name.String() == "root" {
		return 0
	}
	return -1
}

// laurelText is the string that a value stands for; "" for the words by which
// audit says that there is none. laurel has taken off the quotes that would tell
// them from a file of that name.
func laurelText(v jsonrecord.Value) string {
	s := unescape(v.Number())
	if (value{text: []byte(s)}).isNone() {
		return ""
	}
	return s
}

// unescape undoes laurel's percent encoding of bytes that are no printable text
// (src/quote.rs). A '%' that begins no such code stays.
func unescape(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if out, ok := appendHex(b, []byte(s[i+1:i+3])); ok {
				b = out
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func trimPrefixes(s string, prefixes ...string) string {
	for _, p := range prefixes {
		s = strings.TrimPrefix(s, p)
	}
	return s
}

// putText stores a string in the group.
func (g *group) putText(s string) (ref, error) {
	if len(s) > maxText {
		return ref{}, errLongText
	}
	g.text = append(g.text, s...)
	return ref{len(g.text) - len(s), len(s)}, nil
}

// readSyscall reads the SYSCALL record. laurel turns a0 to a3 into ARGV.
func (g *group) readSyscall(v jsonrecord.Value) (err error) {
	s := &g.syscall
	pid, pidOK := laurelNumber(v.Get("pid"))
	if !v.IsObject() || !pidOK || pid == 0 || pid >= 1<<31 || !v.Get("exe").Exists() {
		return errNoSyscall
	}
	s.pid, s.items = int(pid), -1
	if ppid, ok := laurelNumber(v.Get("ppid")); ok && ppid < 1<<31 {
		s.ppid = int(ppid)
	}
	if n, ok := laurelNumber(v.Get("items")); ok && n < 1<<16 {
		s.items = int(n)
	}
	s.ok = v.String("success") == "yes"
	s.exit, _ = v.Int("exit")
	for i, a := range v.Array("ARGV") {
		n, _ := laurelNumber(a)
		switch i {
		case 0:
			s.a0 = n
		case 1:
			s.a1 = n
		case 2:
			s.a2 = n
		}
	}
	s.uid, s.auid = laurelID(v.Get("uid"), v.Get("UID")), laurelID(v.Get("auid"), v.Get("AUID"))
	s.ses = laurelID(v.Get("ses"), jsonrecord.Value{})
	if err := g.readCall(v); err != nil {
		return err
	}
	for _, f := range []struct {
		key string
		dst *ref
	}{{"exe", &s.exe}, {"comm", &s.comm}, {"tty", &s.tty}} {
		if *f.dst, err = g.putText(laurelText(v.Get(f.key))); err != nil {
			return err
		}
	}
	g.have |= hasSyscall
	return nil
}

// readCall finds out which system call it is: by its number where there is a
// table for the architecture, else by the name that laurel or auditd added.
func (g *group) readCall(v jsonrecord.Value) error {
	s := &g.syscall
	number, numbered := laurelNumber(v.Get("syscall"))
	arch, _ := laurelNumber(v.Get("arch"))
	name := v.String("SYSCALL")
	if !numbered && name == "" {
		if name = v.String("syscall"); name == "" {
			return errNoSyscall
		}
	}
	if numbered && number < 1<<32 {
		if c, known := callOf(arch, int64(number), s.a0); known {
			s.call = c
			return nil
		}
	}
	switch {
	case name == "":
		s.call = callUnknown
	case name == "socketcall" && s.a0 == sysConnect:
		s.call = callConnect
	default:
		s.call = callNamed([]byte(name))
	}
	return nil
}

// skippedMark begins the words that laurel puts in the place of arguments in
// the middle of a long list (execve-argv-limit-bytes).
const skippedMark = "<<< Skipped: args="

// readExecve reads argv.
func (g *group) readExecve(v jsonrecord.Value) {
	if !v.IsObject() {
		return
	}
	g.have |= hasExecve
	if n, ok := laurelNumber(v.Get("argc")); ok {
		g.args.argc = int(min(n, 1<<31-1))
	}
	list := v.Array("ARGV")
	if line := v.Get("ARGV_STR"); len(list) == 0 && line.IsString() {
		g.putArgs(g.splitLine(unescape(line.String())))
		return
	}
	for i, a := range list {
		if a.IsNull() { // lost on the way: it keeps its place
			g.args.damaged = true
			continue
		}
		g.putArg(i, unescape(a.Number()))
	}
	if g.args.argc < 0 {
		g.args.argc = len(list)
	}
}

func (g *group) putArgs(args []string) {
	for i, a := range args {
		g.putArg(i, a)
	}
}

func (g *group) putArg(i int, arg string) {
	if strings.HasPrefix(arg, skippedMark) {
		g.args.damaged = true
	}
	g.args.take(argPiece{arg: i}, argText, value{text: []byte(arg), form: quoted})
}

// splitLine makes argv of the line that laurel can be told to print instead:
// the arguments with blanks between, so that those with a blank inside are lost.
// PROCTITLE still has them apart, as far as it goes; what follows belongs to
// its last argument if that has a blank inside, as the script of a shell has.
// argc tells if that went wrong.
func (g *group) splitLine(line string) []string {
	title := string(g.bytes(g.title))
	args := strings.Split(title, "\x00")
	rest, ok := strings.CutPrefix(line, strings.ReplaceAll(title, "\x00", " "))
	switch last := len(args) - 1; {
	case title == "" || !ok:
		return strings.Split(line, " ")
	case strings.Contains(args[last], " "):
		args[last] += rest
	case rest != "":
		more := strings.Split(rest, " ")
		args[last] += more[0]
		args = append(args, more[1:]...)
	}
	return args
}

// readTitle reads the command line, which the kernel cuts. laurel has dropped
// empty arguments.
func (g *group) readTitle(v jsonrecord.Value) (err error) {
	title := unescape(v.String("proctitle"))
	if list := v.Strings("ARGV"); len(list) > 0 {
		for i, a := range list {
			list[i] = unescape(a)
		}
		title = strings.Join(list, "\x00")
	}
	if title == "" {
		return nil
	}
	g.title, err = g.putText(title)
	g.have |= hasTitle
	return err
}

// readSockaddr stores the address as the kernel's structure: its bytes if they
// are there, or what laurel or auditd read from them.
func (g *group) readSockaddr(v jsonrecord.Value) error {
	records := laurelRecords(v)
	if len(records) == 0 {
		return nil
	}
	b, ok := sockaddrBytes(records[0])
	if !ok || len(b) < 2 || len(b) > maxSockaddr {
		return errLaurelAddr
	}
	if b[0] == familyUnix && len(b) > 2 && b[2] != '/' && !records[0].Get("saddr").Exists() {
		g.cwd = ref{} // laurel drops the mark of an abstract name: it is no path
	}
	g.saddr = ref{len(g.text), len(b)}
	g.text = append(g.text, b...)
	g.have |= hasSockaddr
	return nil
}

// familyOther stands for the families that are not read.
const familyOther = 16

func sockaddrBytes(r jsonrecord.Value) (b []byte, ok bool) {
	if raw := r.Get("saddr"); raw.IsString() {
		b := []byte(unescape(raw.String()))
		if decoded, err := hex.DecodeString(string(b)); err == nil {
			return decoded, true
		}
		return b, true
	}
	s := r.Get("SADDR")
	if !s.IsObject() {
		return nil, false
	}
	switch first(s, "saddr_fam", "fam") {
	case "local", "unix":
		return append([]byte{familyUnix, 0}, unescape(first(s, "path"))...), true
	case "inet", "ipv4", "inet6", "ipv6":
		return inetBytes(first(s, "addr", "laddr"), first(s, "port", "lport"))
	case "":
		return nil, false
	}
	return []byte{familyOther, 0}, true
}

// inetBytes is a struct sockaddr_in or sockaddr_in6.
func inetBytes(addr, port string) (b []byte, ok bool) {
	ip, err := netip.ParseAddr(addr)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil {
		return nil, false
	}
	b = []byte{familyInet, 0}
	if ip.Is6() {
		b[0] = familyInet6
	}
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	if ip.Is6() {
		b = append(b, 0, 0, 0, 0) // flow label
	}
	return append(b, ip.AsSlice()...), true
}

// first is the first of some keys' values that is there.
func first(v jsonrecord.Value, keys ...string) string {
	for _, k := range keys {
		if s := v.Number(k); s != "" {
			return s
		}
	}
	return ""
}
