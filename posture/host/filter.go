package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tidewaiter/posture"
	"tidewaiter/posture/document"
)

const (
	filterTimeout = 15 * time.Second
	maxFilter     = 64 << 20
)

// filter reads the packet filter of a process's network namespace, once.
func (g *gatherer) filter(ctx context.Context, p process, done map[string]bool) {
	ns, err := os.Readlink(g.of(p.pid, "ns/net"))
	if err != nil {
		g.gap(posture.TopicFirewall, g.of(p.pid, "ns/net"), err)
		return
	}
	if done[ns] {
		return
	}
	done[ns] = true
	texts, where, err := g.opt.Filter(ctx, g.of(p.pid))
	if err != nil {
		g.gap(posture.TopicFirewall, "packet filter of process "+fmt.Sprint(p.pid), err)
		return
	}
	g.facts.Firewalls = append(g.facts.Firewalls, document.PacketFilter(fmt.Sprintf("process %d (%s)", p.pid, ns), where, texts...))
}

// packetFilter asks iptables-save, ip6tables-save and nft, in the network
// namespace of the process at proc. At least one of them must answer.
func packetFilter(ctx context.Context, proc string) (texts []string, where string, err error) {
	ctx, cancel := context.WithTimeout(ctx, filterTimeout)
	defer cancel()
	var asked []string
	var faults []error
	for _, c := range [][]string{{"iptables-save"}, {"nft", "list", "ruleset"}} {
		program, err := find(c[0])
		if err != nil {
			faults = append(faults, fmt.Errorf("%s is not installed", c[0]))
			continue
		}
		text, err := inNamespace(ctx, filepath.Join(proc, "ns/net"), program, c[1:]...)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", c[0], err))
			continue
		}
		texts = append(texts, text)
		asked = append(asked, strings.Join(c, " "))
	}
	if len(texts) == 0 {
		return nil, "", errors.Join(faults...)
	}
	return texts, strings.Join(asked, " and "), nil
}

// find looks for a program also where root's programs are.
func find(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p, nil
		}
	}
	return "", exec.ErrNotFound
}

// inNamespace runs a program in a network namespace. The thread that entered it
// is thrown away.
func inNamespace(ctx context.Context, ns, program string, args ...string) (string, error) {
	own, err1 := os.Readlink("/proc/self/ns/net")
	other, err2 := os.Readlink(ns)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	if own == other {
		return output(ctx, program, args...)
	}
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime ends the thread with the goroutine
		f, err := os.Open(ns)
		if err != nil {
			done <- answer{"", err}
			return
		}
		defer f.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- answer{"", fmt.Errorf("enter the network namespace: %w", err)}
			return
		}
		text, err := output(ctx, program, args...)
		done <- answer{text, err}
	}()
	a := <-done
	return a.text, a.err
}

// output runs a program, with a bound on what it prints.
func output(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs limitedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	if err := cmd.Run(); err != nil {
		if first, _, _ := strings.Cut(strings.TrimSpace(errs.String()), "\n"); first != "" {
			return "", fmt.Errorf("%w: %s", err, first)
		}
		return "", err
	}
	return out.String(), nil
}

// limitedBuffer fails when too much is written.
type limitedBuffer struct{ bytes.Buffer }

// Write implements io.Writer.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxFilter {
		return 0, fmt.Errorf("more than %d MiB", maxFilter>>20)
	}
	return b.Buffer.Write(p)
}
