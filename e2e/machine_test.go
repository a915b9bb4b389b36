//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// kernelVariable names a folder that a kernel package of Debian was unpacked to.
const kernelVariable = "TIDEWAITER_KERNEL"

// machineVariable is set within an emulated machine, where the clock can be set
// and an init system runs, and nobody else is disturbed.
const machineVariable = "TIDEWAITER_MACHINE"

// rootModules are what the kernel needs to reach the host's file system.
var rootModules = []string{"9p", "9pnet_virtio", "virtio_pci", "overlay"}

// machine is an emulated machine with Debian's kernel, a clock of its own, and
// the file system of this one, not written to.
type machine struct {
	Systemd bool   // boots systemd
	Tests   string // which of these tests run in it
	Limit   time.Duration
}

// needsMachine skips a test outside of an emulated machine.
func needsMachine(t *testing.T) {
	t.Helper()
	if os.Getenv(machineVariable) == "" {
		t.Skip("runs in an emulated machine only: see machine_test.go")
	}
}

// run boots the machine and logs what the tests log in it. Every one of them must
// have passed, and not been skipped.
func (m machine) run(t *testing.T) {
	t.Helper()
	kernel := os.Getenv(kernelVariable)
	if kernel == "" {
		t.Skip(kernelVariable + " is not set to a folder with an unpacked kernel package (apt-get download linux-image-..., dpkg-deb -x)")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to share the file system with the machine")
	}
	emulator, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("qemu-system-x86_64 is missing (apt-get install qemu-system-x86)")
	}
	image := only(t, filepath.Join(kernel, "boot", "vmlinuz-*"))
	release := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
	if out, err := exec.Command("/bin/busybox", "depmod", "-b", kernel, release).CombinedOutput(); err != nil {
		t.Fatalf("depmod: %v: %s", err, out)
	}
	dir := t.TempDir()
	project, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	m.prepare(t, dir, kernel, project)
	first := filepath.Join(dir, "initrd")
	if err := os.WriteFile(first, firstFiles(t, kernel, release), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), m.Limit+time.Minute)
	defer cancel()
	var console bytes.Buffer
	cmd := exec.CommandContext(ctx, emulator, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-M", "q35", "-m", "4096",
		"-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", image, "-initrd", first,
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off",
		"-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap", "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
		"-fsdev", "local,id=machine,path="+dir+",security_model=none", "-device", "virtio-9p-pci,fsdev=machine,mount_tag=machine")
	cmd.Stdout, cmd.Stderr = &console, &console
	ended := cmd.Run()
	said, err := os.ReadFile(filepath.Join(dir, "said"))
	status, statusErr := os.ReadFile(filepath.Join(dir, "status"))
	if err := errors.Join(ended, err, statusErr); err != nil || strings.TrimSpace(string(status)) != "0" || bytes.Contains(said, []byte("--- SKIP")) {
		t.Fatalf("in the machine: status %q, %v\n%s\nconsole: %s", status, err, said, console.String())
	}
	for line := range strings.Lines(string(said)) {
		if strings.Contains(line, "_test.go:") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// prepare fills the folder that the machine can write to.
func (m machine) prepare(t *testing.T, dir, kernel, project string) {
	t.Helper()
	for name, mode := range map[string]os.FileMode{"start": 0o755, "tests": 0o755, "tests.service": 0o644} {
		copyFile(t, filepath.Join("testdata", "machine", name), filepath.Join(dir, name), mode)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, self, filepath.Join(dir, "e2e.test"), 0o755)
	systemd := 0
	if m.Systemd {
		systemd = 1
	}
	settings := fmt.Sprintf("KERNEL=%q\nPROJECT=%q\nTESTS=%q\nLIMIT=%v\nSYSTEMD=%d\n", kernel, project, m.Tests, m.Limit, systemd)
	if err := os.WriteFile(filepath.Join(dir, "settings"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// only is the one file of a pattern.
func only(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	return files[0]
}

// firstFiles are what the kernel starts with: busybox, init, and modules, as a
// cpio archive in its "new" form, which the kernel documents as initramfs buffer
// format.
func firstFiles(t *testing.T, kernel, release string) []byte {
	t.Helper()
	var out bytes.Buffer
	add := func(name string, mode uint32, data []byte) {
		fmt.Fprintf(&out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
		out.Write(make([]byte, -out.Len()&3))
		out.Write(data)
		out.Write(make([]byte, -out.Len()&3))
	}
	file := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	const folder, plain, executable = 0o040755, 0o100644, 0o100755
	for _, dir := range []string{"bin", "dev", "lower", "memory", "modules", "proc", "root", "sys"} {
		add(dir, folder, nil)
	}
	add("init", executable, file(filepath.Join("testdata", "machine", "init")))
	add("bin/busybox", executable, file("/bin/busybox"))
	base := filepath.Join(kernel, "lib", "modules", release)
	order := ""
	for _, path := range inOrder(t, base) {
		name := strings.TrimSuffix(filepath.Base(path), ".ko")
		order += name + "\n"
		add("modules/"+name+".ko", plain, file(filepath.Join(base, path)))
	}
	add("modules/order", plain, []byte(order))
	add("TRAILER!!!", 0, nil)
	return out.Bytes()
}

// inOrder are the files of the modules that the root needs, each behind those
// that it needs.
func inOrder(t *testing.T, base string) (paths []string) {
	t.Helper()
	deps, err := os.ReadFile(filepath.Join(base, "modules.dep"))
	if err != nil {
		t.Fatal(err)
	}
	needs := map[string][]string{}
	names := map[string]string{}
	for line := range strings.Lines(string(deps)) {
		path, rest, _ := strings.Cut(line, ":")
		needs[path] = strings.Fields(rest)
		names[strings.TrimSuffix(filepath.Base(path), ".ko")] = path
	}
	var add func(path string)
	add = func(path string) {
		if slices.Contains(paths, path) {
			return
		}
		for _, need := range needs[path] {
			add(need)
		}
		paths = append(paths, path)
	}
	for _, name := range rootModules {
		if names[name] == "" {
			t.Fatalf("the kernel package has no module %s: not one for clouds, please", name)
		}
		add(names[name])
	}
	return paths
}
