package wire

import (
	"fmt"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The ports that are looked at, by convention.
const (
	portDNS    = 53
	portDocker = 2375 // Docker's API in clear text
)

// portsTLS are those of HTTPS and of the Kubernetes API.
var portsTLS = []uint16{443, 8443, 6443}

// step is one instruction of a filter; where it jumps to is said by name, ""
// for the next one.
type step struct {
	name           string
	do             bpf.Instruction
	yes, otherwise string
}

// pass and drop are the names of a filter's ends.
const (
	pass = "pass"
	drop = "drop"
)

// filter lets pass, in the kernel, what is read here: datagrams from and to the
// port of DNS, and of TCP what is not empty from and to the ports of DNS and
// Docker's API, and segments to the ports of TLS that begin with a ClientHello
// (RFC 8446, 5.1: a record of type 22 and of version 3.x whose message is of
// type 1). It is given packets from the network header on. The header that
// follows that of IPv6 must be the transport's; of IPv4 only the first fragment
// is read.
func filter() []step {
	is := func(name string, val uint32, yes, otherwise string) step {
		return step{name, bpf.JumpIf{Cond: bpf.JumpEqual, Val: val}, yes, otherwise}
	}
	do := func(name string, i bpf.Instruction) step { return step{name: name, do: i} }
	steps := []step{
		do("", bpf.LoadAbsolute{Off: 0, Size: 1}),
		do("", bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4}),
		is("", 6, "ipv6", ""),
		is("", 4, "", drop),
		do("", bpf.LoadAbsolute{Off: 6, Size: 2}),
		{"", bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff}, drop, ""},
		do("", bpf.LoadMemShift{Off: 0}),
		do("", bpf.LoadAbsolute{Off: 9, Size: 1}),
		{"", bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_UDP}, "udp", "maybe tcp"},
		do("ipv6", bpf.LoadConstant{Dst: bpf.RegX, Val: 40}),
		do("", bpf.LoadAbsolute{Off: 6, Size: 1}),
		is("", unix.IPPROTO_UDP, "udp", ""),
		is("maybe tcp", unix.IPPROTO_TCP, "", drop),

		do("", bpf.LoadIndirect{Off: 0, Size: 2}),
		is("", portDNS, "any payload", ""),
		is("", portDocker, "any payload", ""),
		do("", bpf.LoadIndirect{Off: 2, Size: 2}),
		is("", portDNS, "any payload", ""),
		is("", portDocker, "any payload", ""),
	}
	for i, port := range portsTLS {
		last := ""
		if i == len(portsTLS)-1 {
			last = drop
		}
		steps = append(steps, is("", uint32(port), "hello", last))
	}
	// The header's length is in the upper half of a byte, in words of four bytes.
	payload := func(name string) []step {
		return []step{
			do(name, bpf.LoadIndirect{Off: 12, Size: 1}),
			do("", bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0}),
			do("", bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 2}),
			do("", bpf.ALUOpX{Op: bpf.ALUOpAdd}),
			do("", bpf.TAX{}),
		}
	}
	steps = append(steps, payload("hello")...)
	steps = append(steps,
		do("", bpf.LoadIndirect{Off: 0, Size: 2}),
		is("", recordHandshake<<8|3, "", drop),
		do("", bpf.LoadIndirect{Off: 5, Size: 1}),
		is("", messageClientHello, pass, drop),
	)
	steps = append(steps, payload("any payload")...)
	return append(steps,
		do("", bpf.LoadExtension{Num: bpf.ExtLen}),
		step{"", bpf.JumpIfX{Cond: bpf.JumpGreaterThan}, pass, drop},

		do("udp", bpf.LoadIndirect{Off: 0, Size: 2}),
		is("", portDNS, pass, ""),
		do("", bpf.LoadIndirect{Off: 2, Size: 2}),
		is("", portDNS, pass, drop),
		do(drop, bpf.RetConstant{Val: 0}),
		do(pass, bpf.RetConstant{Val: maxPacket}),
	)
}

// resolve puts distances in place of names.
func resolve(steps []step) ([]bpf.Instruction, error) {
	at := map[string]int{}
	for i, s := range steps {
		if s.name != "" {
			at[s.name] = i
		}
	}
	out := make([]bpf.Instruction, len(steps))
	for i, s := range steps {
		skip := func(name string) uint8 {
			if name == "" {
				return 0
			}
			return uint8(at[name] - i - 1)
		}
		for _, name := range []string{s.yes, s.otherwise} {
			if to, known := at[name]; name != "" && (!known || to <= i || to-i > 255) {
				return nil, fmt.Errorf("filter: no way from %d to %q", i, name)
			}
		}
		switch j := s.do.(type) {
		case bpf.JumpIf:
			j.SkipTrue, j.SkipFalse = skip(s.yes), skip(s.otherwise)
			out[i] = j
		case bpf.JumpIfX:
			j.SkipTrue, j.SkipFalse = skip(s.yes), skip(s.otherwise)
			out[i] = j
		default:
			out[i] = s.do
		}
	}
	return out, nil
}

// attach has the kernel run the filter before anything is given to a socket.
func attach(fd int) error {
	program, err := resolve(filter())
	if err != nil {
		return err
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
	return os.NewSyscallError("setsockopt", err)
}
