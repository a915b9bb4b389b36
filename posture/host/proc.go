package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Bounds on what is read of /proc.
const (
	maxProcesses = 100_000
	maxArgs      = 1 << 20  // bytes of a command line
	maxTable     = 32 << 20 // bytes of a table of sockets
	maxFDs       = 100_000
)

// process is one running program of interest.
type process struct {
	pid  int
	args []string
}

// processes lists the processes that want says are of interest. skipped counts
// those whose command line could not be read.
func (g *gatherer) processes(want func(args []string) bool) (out []process, skipped int, err error) {
	entries, err := os.ReadDir(g.opt.Proc)
	if err != nil {
		return nil, 0, err
	}
	n := 0
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if n++; n > maxProcesses {
			return out, skipped, fmt.Errorf("more than %d processes", maxProcesses)
		}
		line, err := limited(filepath.Join(g.opt.Proc, e.Name(), "cmdline"), maxArgs)
		switch {
		case errors.Is(err, fs.ErrNotExist): // it ended
			continue
		case err != nil:
			skipped++
			continue
		}
		args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
		if len(line) > 0 && want(args) {
			out = append(out, process{pid, args})
		}
	}
	return out, skipped, nil
}

// limited reads a file up to a bound.
func limited(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("more than %d bytes", most)
	}
	return data, err
}

func (g *gatherer) of(pid int, parts ...string) string {
	return filepath.Join(append([]string{g.opt.Proc, strconv.Itoa(pid)}, parts...)...)
}

// inodes are the sockets that a process holds.
func (g *gatherer) inodes(pid int) (map[string]bool, error) {
	dir := g.of(pid, "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(entries) > maxFDs {
		return nil, fmt.Errorf("more than %d open files", maxFDs)
	}
	out := map[string]bool{}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			out[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return out, nil
}

// connection is one line of /proc/PID/net/tcp.
type connection struct {
	local, remote netip.AddrPort
	state         string
	inode         string
}

// States of TCP, as the kernel prints them (net/tcp_states.h).
const (
	established = "01"
	listening   = "0A"
)

// connections reads the TCP sockets of a process's network namespace.
func (g *gatherer) connections(pid int) ([]connection, error) {
	var out []connection
	for _, name := range []string{"tcp", "tcp6"} {
		data, err := limited(g.of(pid, "net", name), maxTable)
		if errors.Is(err, fs.ErrNotExist) && name == "tcp6" {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		for i, line := range bytes.Split(data, []byte("\n")) {
			f := strings.Fields(string(line))
			if i == 0 || len(f) < 10 {
				continue
			}
			local, err1 := address(f[1])
			remote, err2 := address(f[2])
			if err := errors.Join(err1, err2); err != nil {
				return nil, fmt.Errorf("%s, line %d: %w", name, i+1, err)
			}
			out = append(out, connection{local, remote, f[3], f[9]})
		}
	}
	return out, nil
}

// address reads an address as the kernel prints it: 32-bit words in the
// machine's order, which is little endian here, then the port.
func address(s string) (netip.AddrPort, error) {
	host, port, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || len(host) != 8 && len(host) != 32 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", s)
	}
	var b []byte
	for at := 0; at < len(host); at += 8 {
		w, err := strconv.ParseUint(host[at:at+8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("%q is no address", s)
		}
		b = append(b, byte(w), byte(w>>8), byte(w>>16), byte(w>>24))
	}
	a, _ := netip.AddrFromSlice(b) // 4 or 16 bytes
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}

// unixSockets lists the paths on which a process listens (proc_pid_net(5), unix).
func (g *gatherer) unixSockets(pid int, inodes map[string]bool) ([]string, error) {
	data, err := limited(g.of(pid, "net", "unix"), maxTable)
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) == 8 && f[3] == "00010000" && inodes[f[6]] && strings.HasPrefix(f[7], "/") && !slices.Contains(out, f[7]) {
			out = append(out, f[7])
		}
	}
	return out, nil
}
