package drill

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// alone puts the test into a network of its own, with one address.
func alone(t *testing.T) *os.File {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip(err)
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip(err)
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := request.SetInet4Addr([]byte{192, 0, 2, 1}); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFADDR, request); err != nil {
		t.Fatal(err)
	}
	netns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netns.Close() })
	return netns
}

// routes are those of the test's network.
func routes(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/route")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the program sends ends in the drill's interface, which goes with it.
func TestWhatTheProgramSendsGoesNowhere(t *testing.T) {
	netns := alone(t)
	program, err := payload()
	if err != nil {
		t.Skip(err)
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "drill"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	hole, err := openNowhere(netns)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openNowhere(netns); err == nil || !strings.Contains(err.Error(), "another drill") {
		t.Errorf("a second drill at the same time: %v", err)
	}
	start := func(args ...string) *exec.Cmd {
		cmd := &exec.Cmd{Path: "/drill", Args: append([]string{"/drill"}, args...), SysProcAttr: &syscall.SysProcAttr{Chroot: root}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	unpacks, fetches := start(), start("fetch")
	for _, cmd := range []*exec.Cmd{unpacks, fetches} {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", cmd.Args, err)
		}
	}
	if !hole.Called(4444) || !hole.Called(80) || hole.Called(0) || hole.Swallowed() < 2 {
		t.Errorf("port 4444 called: %v, port 80: %v, %d packets", hole.Called(4444), hole.Called(80), hole.Swallowed())
	}
	if i, err := os.Stat(filepath.Join(root, "tmp", ".drill")); err != nil || i.Size() != int64(len(program)) || i.Mode() != 0o700 {
		t.Errorf("the copy: %v, %v", i, err)
	}
	if err := start("anything").Wait(); err == nil || err.Error() != "exit status 2" {
		t.Errorf("asked for anything else it ends with: %v", err)
	}
	if err := hole.Close(); err != nil {
		t.Error(err)
	}
	if left := routes(t); strings.Contains(left, device) {
		t.Errorf("a route is left:\n%s", left)
	}
	if err := start("fetch").Wait(); err == nil || err.Error() != "exit status 15" {
		t.Errorf("without a route to anywhere it ends with: %v", err)
	}
}
