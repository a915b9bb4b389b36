//go:build linux && (amd64 || arm64)

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"tidewaiter/sensor"
)

// kernel is what is loaded into the running kernel. All of it goes when the
// process ends, however it ends.
type kernel struct {
	loaded []*ebpf.Collection
	links  []link.Link
	maps   map[string]*ebpf.Map
	reader *ringbuf.Reader
	lacks  []*sensor.Lack
}

const defaultBuffer = 8 << 20

// attach loads the programs and has them run. An error is a *sensor.Lack unless
// it can pass by itself.
func attach(o Options) (*kernel, error) {
	if lack := unable(); lack != nil {
		return nil, lack
	}
	spec, err := loadProgram()
	if err != nil {
		return nil, fmt.Errorf("reading the eBPF programs: %w", err)
	}
	size := o.Buffer
	if size <= 0 {
		size = defaultBuffer
	}
	size = 1 << bits.Len(uint(max(size, os.Getpagesize())-1))
	spec.Maps[programMapRing].MaxEntries = uint32(size)
	if err := spec.Variables[programVarWakeAt].Set(uint64(size) / 8); err != nil {
		return nil, fmt.Errorf("reading the eBPF programs: %w", err)
	}
	// Needed before Linux 5.11, and refused without CAP_SYS_RESOURCE; then
	// loading says so.
	_ = rlimit.RemoveMemlock()
	k := &kernel{}
	if err := k.attachTracepoints(spec); err != nil {
		k.close()
		return nil, err
	}
	if k.reader, err = ringbuf.NewReader(k.maps[programMapRing]); err != nil {
		k.close()
		return nil, fmt.Errorf("opening the kernel's ring buffer: %w", err)
	}
	if err := k.attachDatagrams(spec); err != nil {
		k.lacks = append(k.lacks, err)
	}
	return k, nil
}

// load loads some of the programs, with the maps that are there already.
func (k *kernel) load(spec *ebpf.CollectionSpec, names ...string) (*ebpf.Collection, error) {
	part := spec.Copy()
	for name := range part.Programs {
		if !slices.Contains(names, name) {
			delete(part.Programs, name)
		}
	}
	c, err := ebpf.NewCollectionWithOptions(part, ebpf.CollectionOptions{MapReplacements: k.maps})
	if err != nil {
		return nil, err
	}
	k.loaded = append(k.loaded, c)
	return c, nil
}

func (k *kernel) attachTracepoints(spec *ebpf.CollectionSpec) error {
	names := []string{programProgOnExec, programProgOnExit, programProgOnState}
	c, err := k.load(spec, names...)
	if err != nil {
		return refused(err)
	}
	k.maps = map[string]*ebpf.Map{}
	for _, name := range []string{programMapRing, programMapSlots, programMapCounters, programMapDatagrams} {
		k.maps[name] = c.Maps[name]
	}
	for _, name := range names {
		l, err := link.AttachTracing(link.TracingOptions{Program: c.Programs[name]})
		if err != nil {
			return refused(err)
		}
		k.links = append(k.links, l)
	}
	return nil
}

// refused says that the kernel did not take the programs, unless that can pass.
func refused(err error) error {
	for _, passing := range []error{unix.ENOMEM, unix.EAGAIN, unix.EMFILE, unix.ENFILE, unix.EINTR} {
		if errors.Is(err, passing) {
			return fmt.Errorf("loading the eBPF programs: %w", err)
		}
	}
	return &sensor.Lack{
		What: "the kernel refuses the eBPF programs",
		Mend: "Linux 5.8 or later with CONFIG_DEBUG_INFO_BTF, no lockdown in confidentiality mode, and no seccomp profile that forbids bpf(2)",
		Err:  said(err),
	}
}

// said is what the kernel said. A refusal is told without the loader's guess at
// the reason, which is wrong since Linux 5.11.
func said(err error) error {
	if errors.Is(err, unix.EPERM) {
		return unix.EPERM
	}
	return err
}

// attachDatagrams has the programs run that see datagrams. Without them the
// rest goes on.
func (k *kernel) attachDatagrams(spec *ebpf.CollectionSpec) *sensor.Lack {
	lack := func(mend string, err error) *sensor.Lack {
		return &sensor.Lack{What: "who sends UDP datagrams is not seen", Mend: mend, Err: said(err)}
	}
	root := unifiedRoot()
	if root == "" {
		return lack("mount the root of the control groups' unified hierarchy (cgroup2)", nil)
	}
	hooks := []struct {
		name string
		at   ebpf.AttachType
	}{
		{programProgOnConnect4, ebpf.AttachCGroupInet4Connect}, {programProgOnConnect6, ebpf.AttachCGroupInet6Connect},
		{programProgOnSendmsg4, ebpf.AttachCGroupUDP4Sendmsg}, {programProgOnSendmsg6, ebpf.AttachCGroupUDP6Sendmsg},
	}
	const mend = "CAP_NET_ADMIN, and a kernel with CONFIG_CGROUP_BPF"
	var names []string
	for _, h := range hooks {
		names = append(names, h.name)
	}
	c, err := k.load(spec, names...)
	if err != nil {
		return lack(mend, err)
	}
	for _, h := range hooks {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: root, Attach: h.at, Program: c.Programs[h.name]})
		if err != nil {
			return lack(mend, err)
		}
		k.links = append(k.links, l)
	}
	return nil
}

// rootInode is the number of the root of a hierarchy of control groups. In a
// name space the root of which is a container's, it is another.
const rootInode = 1

// unifiedRoot is where the root of the unified hierarchy is mounted, "" if that
// cannot be seen. In a container that shares the host's process ids, the host's
// own mounts are looked at too.
func unifiedRoot() string {
	for _, process := range []string{"self", "1"} {
		mounts, err := os.ReadFile("/proc/" + process + "/mountinfo")
		if err != nil {
			continue
		}
		for _, path := range unifiedMounts(mounts) {
			if process != "self" {
				path = "/proc/" + process + "/root" + path
			}
			var at unix.Stat_t
			if unix.Stat(path, &at) == nil && at.Ino == rootInode {
				return path
			}
		}
	}
	return ""
}

// unifiedMounts lists where a mountinfo (proc_pid_mountinfo(5)) has hierarchies
// of type cgroup2: the fifth field is the path, and the type follows a "-".
func unifiedMounts(mountinfo []byte) (paths []string) {
	for line := range bytes.Lines(mountinfo) {
		fields := bytes.Fields(line)
		dash := slices.IndexFunc(fields, func(f []byte) bool { return string(f) == "-" })
		if dash >= 5 && dash+1 < len(fields) && string(fields[dash+1]) == "cgroup2" {
			paths = append(paths, string(fields[4]))
		}
	}
	return paths
}

// counts are how much there was to tell since the programs were loaded, and how
// much of it was lost.
func (k *kernel) counts() (seen, lost uint64, err error) {
	var each []struct{ Seen, Lost uint64 } // by CPU
	for kind := range uint32(kinds) {
		if err := k.maps[programMapCounters].Lookup(kind, &each); err != nil {
			return 0, 0, fmt.Errorf("reading the kernel's counters: %w", err)
		}
		for _, c := range each {
			seen, lost = seen+c.Seen, lost+c.Lost
		}
	}
	return seen, lost, nil
}

// detach has the programs run no more; what they told can still be read.
func (k *kernel) detach() {
	for _, l := range k.links {
		_ = l.Close()
	}
	k.links = nil
}

func (k *kernel) close() {
	k.detach()
	if k.reader != nil {
		_ = k.reader.Close()
	}
	for _, c := range k.loaded {
		c.Close()
	}
}

// unable finds what is missing before anything is tried: what the kernel says
// then helps nobody.
func unable() *sensor.Lack {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err == nil {
		have := uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
		can := func(c int) bool { return have&(1<<c) != 0 }
		if !can(unix.CAP_SYS_ADMIN) && !(can(unix.CAP_BPF) && can(unix.CAP_PERFMON)) {
			return &sensor.Lack{What: "no right to load eBPF programs", Mend: "run as root, or with CAP_BPF and CAP_PERFMON (and CAP_NET_ADMIN to see UDP)"}
		}
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		return &sensor.Lack{What: "the kernel tells nothing of its types", Mend: "a kernel with CONFIG_DEBUG_INFO_BTF, and /sys mounted", Err: err}
	}
	return nil
}
