// Package host looks at the host that it runs on: dockerd's arguments, sockets
// and network namespace, what its API tells, the packet filter, the kubelet.
//
// In: /proc, local sockets, configuration files; every request only reads. Out:
// posture.Facts. What could not be looked at is a gap, with its reason.
package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"tidewaiter/posture"
	"tidewaiter/posture/document"
)

// Options say where to look; zero values mean this host.
type Options struct {
	// Proc and Root are the paths of /proc and of the file system.
	Proc, Root string
	// Filter prints the packet filter of a process's network namespace; nil
	// means that iptables-save and nft are asked.
	Filter func(ctx context.Context, proc string) (texts []string, where string, err error)
}

type gatherer struct {
	opt   Options
	facts *posture.Facts
}

// Gather looks at the host and adds what it finds to the facts. It gives the
// sockets of the Docker daemons that answer.
func Gather(ctx context.Context, f *posture.Facts, opt Options) (sockets []string) {
	if opt.Proc == "" {
		opt.Proc = "/proc"
	}
	if opt.Root == "" {
		opt.Root = "/"
	}
	if opt.Filter == nil {
		opt.Filter = packetFilter
	}
	g := &gatherer{opt: opt, facts: f}
	all, skipped, err := g.processes(interesting)
	if err != nil || skipped > 0 {
		if err == nil {
			err = fmt.Errorf("the command lines of %d processes could not be read; run as root", skipped)
		}
		for _, t := range []posture.Topic{posture.TopicAPI, posture.TopicKubelet, posture.TopicUse} {
			g.gap(t, opt.Proc, err)
		}
	}
	filtered := map[string]bool{}
	engines := 0
	for _, p := range all {
		switch path.Base(p.args[0]) {
		case "dockerd":
			engines++
			sockets = append(sockets, g.engine(ctx, p)...)
			g.filter(ctx, p, filtered)
		case "kubelet":
			g.kubelet(p)
			g.filter(ctx, p, filtered)
		case "containerd":
			g.containerd(p)
		default:
			g.overSSH(p)
		}
	}
	if engines == 0 {
		g.configured()
		g.defaultSockets()
	}
	return sockets
}

// interesting tells the processes that are looked at.
func interesting(args []string) bool {
	switch path.Base(args[0]) {
	case "dockerd", "kubelet", "containerd":
		return true
	}
	return document.DialStdio(args)
}

func (g *gatherer) gap(t posture.Topic, where string, err error) {
	why := err.Error()
	var pe *fs.PathError
	if errors.As(err, &pe) {
		why = pe.Err.Error()
	}
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		why += "; run as root"
	}
	g.facts.Gaps = append(g.facts.Gaps, posture.Gap{Topic: t, Where: where, Why: why})
}

// engine looks at one dockerd. It gives the sockets on which it answers.
func (g *gatherer) engine(ctx context.Context, p process) (answers []string) {
	name := fmt.Sprintf("dockerd, process %d", p.pid)
	d := document.Daemon{Name: name, Args: p.args[1:], ArgsWhere: fmt.Sprintf("arguments of process %d", p.pid), Running: true}
	file := document.ConfigFile(d.Args)
	data, err := limited(g.of(p.pid, "root", file), 1<<20)
	switch {
	case err == nil:
		if len(strings.TrimSpace(string(data))) == 0 {
			data = []byte("{}")
		}
		d.Config, d.ConfigWhere = data, file
	case !errors.Is(err, fs.ErrNotExist):
		d.Unread = err.Error()
		g.gap(posture.TopicAPI, file, err)
	}
	inodes, err := g.inodes(p.pid)
	if err != nil {
		g.gap(posture.TopicAPI, g.of(p.pid, "fd"), err)
		g.gap(posture.TopicUse, g.of(p.pid, "fd"), err)
	}
	paths, err := g.unixSockets(p.pid, inodes)
	if err != nil {
		g.gap(posture.TopicSockets, g.of(p.pid, "net/unix"), err)
	}
	paths = slices.DeleteFunc(paths, func(s string) bool {
		return !strings.HasSuffix(s, ".sock") || strings.Contains(s, "/libnetwork/") || strings.HasSuffix(s, "/metrics.sock")
	})
	if len(paths) == 0 && len(inodes) == 0 {
		paths = unixListeners(d.Args)
	}
	for _, s := range paths {
		seen := filepath.Join(g.of(p.pid, "root"), s)
		g.socket(s, seen)
		if len(answers) == 0 && d.InfoWhere == "" {
			a := NewAPI(seen)
			a.Shown = s
			if g.ask(ctx, a, &d); d.InfoWhere != "" {
				answers = append(answers, seen)
			}
		}
	}
	if len(paths) == 0 {
		for _, t := range []posture.Topic{posture.TopicContainers, posture.TopicImages, posture.TopicNetworks} {
			g.gap(t, name, errors.New("it has no local socket to ask at"))
		}
	}
	e, gaps := d.Engine()
	g.facts.Gaps = append(g.facts.Gaps, gaps...)
	g.listeners(p.pid, &e, inodes)
	g.facts.Engines = append(g.facts.Engines, e)
	return answers
}

// unixListeners are the local sockets that arguments name, or the default one.
func unixListeners(args []string) []string {
	d := document.Daemon{Name: "dockerd", Args: args, ArgsWhere: "arguments"}
	e, _ := d.Engine() // arguments alone have no faults
	var out []string
	for _, l := range e.Listeners {
		switch l.Network {
		case "unix":
			out = append(out, l.Addr)
		case "fd":
			out = append(out, "/var/run/docker.sock")
		}
	}
	return out
}

// otherPorts are those on which dockerd serves something else than its API:
// swarm's management and gossip, and by custom the metrics.
var otherPorts = []uint16{2377, 7946, 9323}

// listeners compares the addresses that a daemon should have with those on which
// it listens, in its own network namespace, and finds who is connected.
func (g *gatherer) listeners(pid int, e *posture.Engine, inodes map[string]bool) {
	where := g.of(pid, "net/tcp")
	all, err := g.connections(pid)
	if err != nil {
		g.gap(posture.TopicAPI, where, err)
		g.gap(posture.TopicUse, where, err)
		return
	}
	var own []connection
	for _, c := range all {
		if c.state == listening && inodes[c.inode] {
			own = append(own, c)
		}
	}
	for _, c := range own {
		i := slices.IndexFunc(e.Listeners, func(l posture.Listener) bool { return l.Network == "tcp" && same(l.Addr, c.local) })
		switch {
		case i >= 0:
			e.Listeners[i].Bound = true
			e.Listeners[i].Where += "; " + where
		case slices.Contains(otherPorts, c.local.Port()):
		default:
			e.Listeners = append(e.Listeners, posture.Listener{Network: "tcp", Addr: c.local.String(), Where: where, Bound: true})
		}
	}
	g.peers(all, e, where)
}

// peers keeps the clients that are connected to a daemon's TCP addresses now.
func (g *gatherer) peers(all []connection, e *posture.Engine, where string) {
	found := false
	for _, c := range all {
		if c.state != established {
			continue
		}
		for _, l := range e.Listeners {
			if l.Network != "tcp" || !l.Bound || !same(l.Addr, c.local) {
				continue
			}
			way, what := "tcp", "connected now to "+e.Name+" at tcp://"+l.Addr
			if l.Verify.Value {
				way = "tls"
			}
			found = true
			g.facts.Uses = append(g.facts.Uses, posture.Use{Way: way, From: c.remote.String(), What: what, Where: where})
		}
	}
	if !found {
		g.facts.Looked = append(g.facts.Looked, posture.Looked{Topic: posture.TopicUse, Where: where, What: "none is connected now over TCP, and none over SSH"})
	}
}

// same reports whether a configured address is the one that a socket has.
func same(addr string, at netip.AddrPort) bool {
	host, port := addr, ""
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		host, port = strings.Trim(addr[:i], "[]"), addr[i+1:]
	}
	if port != strconv.Itoa(int(at.Port())) {
		return false
	}
	if host == "" || host == "0.0.0.0" || host == "::" || host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap() == at.Addr() || err != nil
}

// socket looks at a local socket's owner and mode. seen is its path from here.
func (g *gatherer) socket(shown, seen string) {
	if slices.ContainsFunc(g.facts.Sockets, func(s posture.Socket) bool { return s.Where == seen }) {
		return
	}
	info, err := os.Stat(seen)
	if err != nil {
		g.gap(posture.TopicSockets, shown, err)
		return
	}
	s := posture.Socket{Path: shown, Mode: info.Mode(), Where: seen}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		g.gap(posture.TopicSockets, shown, errors.New("this system does not tell its owner"))
		return
	}
	s.UID, s.GID = int(st.Uid), int(st.Gid)
	if grp, err := user.LookupGroupId(strconv.Itoa(s.GID)); err == nil {
		s.Group = grp.Name
		s.Members = members(filepath.Join(g.opt.Root, "etc/group"), grp.Name)
	}
	g.facts.Sockets = append(g.facts.Sockets, s)
}

// members are the users that a group file lists for a group (group(5)).
func members(file, group string) []string {
	data, err := limited(file, 8<<20)
	if err != nil {
		return nil // the mode is judged without them
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 4 && f[0] == group && f[3] != "" {
			return strings.Split(f[3], ",")
		}
	}
	return nil
}

// containerd looks at the sockets of a containerd.
func (g *gatherer) containerd(p process) {
	inodes, err := g.inodes(p.pid)
	if err != nil {
		g.gap(posture.TopicSockets, g.of(p.pid, "fd"), err)
		return
	}
	paths, err := g.unixSockets(p.pid, inodes)
	if err != nil {
		g.gap(posture.TopicSockets, g.of(p.pid, "net/unix"), err)
		return
	}
	for _, s := range paths {
		if strings.HasSuffix(s, ".sock") || strings.HasSuffix(s, ".sock.ttrpc") {
			g.socket(s, filepath.Join(g.of(p.pid, "root"), s))
		}
	}
}

// overSSH keeps a Docker client at the other end of an SSH session.
func (g *gatherer) overSSH(p process) {
	who := "a user"
	if info, err := os.Stat(g.of(p.pid)); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			who = "user " + strconv.Itoa(int(st.Uid))
			if u, err := user.LookupId(strconv.Itoa(int(st.Uid))); err == nil {
				who = "user " + u.Username
			}
		}
	}
	g.facts.Uses = append(g.facts.Uses, posture.Use{Way: "ssh", From: who, What: "docker system dial-stdio runs, as an SSH session of a Docker client does", Where: fmt.Sprintf("process %d", p.pid)})
}

// kubelet looks at one kubelet.
func (g *gatherer) kubelet(p process) {
	where := fmt.Sprintf("arguments of process %d", p.pid)
	var config []byte
	file := document.KubeletConfigFile(p.args[1:])
	if file != "" {
		data, err := limited(g.of(p.pid, "root", file), 1<<20)
		if err == nil {
			config, err = document.ConfigJSON(data)
		}
		if err != nil {
			g.gap(posture.TopicKubelet, file, err)
			file = ""
		}
	}
	k := document.KubeletParts{Name: fmt.Sprintf("kubelet, process %d", p.pid), Args: p.args[1:], ArgsWhere: where, Config: config, ConfigWhere: file}.Kubelet()
	inodes, err := g.inodes(p.pid)
	if err != nil {
		g.gap(posture.TopicKubelet, g.of(p.pid, "fd"), err)
	}
	all, err := g.connections(p.pid)
	if err != nil {
		g.gap(posture.TopicKubelet, g.of(p.pid, "net/tcp"), err)
	}
	for _, c := range all {
		if c.state == listening && inodes[c.inode] {
			k.Listeners = append(k.Listeners, posture.Listener{Network: "tcp", Addr: c.local.String(), Where: g.of(p.pid, "net/tcp"), Bound: true})
		}
	}
	g.facts.Kubelets = append(g.facts.Kubelets, k)
}
