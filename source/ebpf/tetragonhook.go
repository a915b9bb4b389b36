package ebpf

import (
	"fmt"
	"path"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// hook reads an event of a tracing policy. Which function it hooks and which
// arguments it records is up to the policy's author, so arguments are told by
// their type and order. A file that was only opened for all that is known
// (fd_install) says nothing about writing and is skipped, as is what Tetragon
// or the kernel refused.
func (t *tetragonEvent) hook() (event.Body, error) {
	args := t.v.Array("args")
	switch name := t.function(); name {
	case "tcp_connect", "tcp_v4_connect", "tcp_v6_connect", "security_socket_connect", "connect":
		return t.hookedConnect(args)
	case "security_file_permission":
		return t.onFile(args, func(file int) bool { return anyBit(args, file+1, mayWrite|mayAppend) })
	case "security_mmap_file":
		return t.onFile(args, func(file int) bool {
			return anyBit(args, file+1, protWrite) && anyBit(args, file+2, mapShared)
		})
	case "security_path_truncate", "write", "writev", "pwrite64", "pwritev", "pwritev2", "vfs_write", "__kernel_write":
		return t.onFile(args, func(int) bool { return true })
	case "open", "openat", "creat":
		return t.opened(args, name == "creat")
	case "rename", "renameat", "renameat2":
		return t.renamed(args)
	}
	return nil, nil
}

// Bits that say that a file is changed (linux/fs.h, asm-generic/mman-common.h).
const (
	mayWrite  = 2
	mayAppend = 8
	protWrite = 2
	mapShared = 1
)

// systemCallPrefixes are what the kernel calls the entry of a system call.
var systemCallPrefixes = []string{
	"__x64_sys_", "__ia32_sys_", "__arm64_sys_", "__s390x_sys_", "__riscv_sys_", "__se_sys_", "__do_sys_", "ksys_", "sys_",
}

// function is the name of what was hooked; of a system call without the
// architecture's prefix.
func (t *tetragonEvent) function() string {
	switch t.kind {
	case "process_tracepoint":
		name, isEntry := strings.CutPrefix(t.v.String("event"), "sys_enter_")
		if t.v.String("subsys") != "syscalls" || !isEntry {
			return ""
		}
		return name
	case "process_lsm":
		return "security_" + strings.TrimPrefix(t.v.String("function_name"), "security_")
	}
	name := t.v.String("function_name")
	for _, prefix := range systemCallPrefixes {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return rest
		}
	}
	return name
}

// failed reports whether the call was refused or failed: the policy had its
// result replaced, or recorded one that is an error. A connection of a
// non-blocking socket that was begun is none. Where the policy records no
// result, the call is taken to have been made.
func (t *tetragonEvent) failed() bool {
	for _, key := range []string{"action", "return_action"} {
		if t.v.String(key) == "KPROBE_ACTION_OVERRIDE" {
			return true
		}
	}
	result, told := argNumber(t.v.Get("return"))
	return told && result < 0 && result != inProgress
}

// inProgress is -EINPROGRESS.
const inProgress = -115

// hookedConnect reads a connection. Before the call the socket has no address,
// so the one that was asked for comes first.
func (t *tetragonEvent) hookedConnect(args []jsonrecord.Value) (event.Body, error) {
	for _, key := range []string{"sockaddr_arg", "sock_arg"} {
		for _, arg := range args {
			to, err := socketEndpoint(arg.Get(key))
			if err != nil {
				return nil, err
			}
			if !to.isZero() {
				return t.actor.socket(to, !t.failed()), nil
			}
		}
	}
	return nil, nil
}

// socketEndpoint reads KprobeSockaddr (addr, port) or KprobeSock (daddr,
// dport).
func socketEndpoint(v jsonrecord.Value) (endpoint, error) {
	if !v.IsObject() {
		return endpoint{}, nil
	}
	addr, port := v.String("addr"), v.Get("port")
	if addr == "" {
		addr, port = v.String("daddr"), v.Get("dport")
	}
	switch v.String("family") {
	case "AF_UNIX", "AF_LOCAL":
		return unixEndpoint(addr)
	case "AF_INET", "AF_INET6", "":
		if addr == "" {
			return endpoint{}, nil
		}
		return inetEndpoint(addr, port)
	}
	return endpoint{}, nil
}

// onFile reads a call on a file that the kernel resolved. changes is asked
// with the index of the file among the arguments.
func (t *tetragonEvent) onFile(args []jsonrecord.Value, changes func(file int) bool) (event.Body, error) {
	for i, arg := range args {
		name := arg.String("file_arg", "path")
		if name == "" {
			name = arg.String("path_arg", "path")
		}
		if name == "" {
			continue
		}
		if t.failed() || !changes(i) || !isFile(name) {
			return nil, nil
		}
		// Old versions leave out the slash at the beginning.
		return t.actor.fileWrite(path.Clean("/" + name))
	}
	return nil, nil
}

// isFile is false for pipes, sockets and other objects without a path, which
// the kernel prints as "pipe:[4711]" or "anon_inode:[eventpoll]".
func isFile(name string) bool {
	return strings.HasPrefix(name, "/") || !strings.Contains(name, ":")
}

// opened reads a system call that opens a file by its name: [directory,] name,
// flags. Without flags nothing is known of its purpose.
func (t *tetragonEvent) opened(args []jsonrecord.Value, creates bool) (event.Body, error) {
	file := indexOfString(args)
	if file < 0 || t.failed() {
		return nil, nil
	}
	if !creates {
		if file+1 >= len(args) {
			return nil, nil
		}
		flags, told := argNumber(args[file+1])
		if !told {
			return nil, fmt.Errorf("flags of %s are no number", clip(t.function()))
		}
		if flags&(openPath|openTmpfile) != 0 || flags&(openAccess|openTrunc) == 0 {
			return nil, nil
		}
	}
	return t.named(args, file)
}

// renamed reads a rename: the new name is the last string.
func (t *tetragonEvent) renamed(args []jsonrecord.Value) (event.Body, error) {
	last := -1
	strs := 0
	for i, arg := range args {
		if arg.Get("string_arg").IsString() {
			last = i
			strs++
		}
	}
	if strs < 2 || t.failed() {
		return nil, nil
	}
	return t.named(args, last)
}

// named makes the body for the file that the argument names. It counts from
// the working directory unless a directory before it says otherwise.
func (t *tetragonEvent) named(args []jsonrecord.Value, file int) (event.Body, error) {
	cwd := t.actor.cwd
	if file > 0 {
		if dir, told := argNumber(args[file-1]); told && int32(dir) != atCwd {
			cwd = ""
		}
	}
	name := args[file].String("string_arg")
	if name == "" {
		return nil, nil
	}
	return t.actor.fileWrite(absolute(cwd, name))
}

func indexOfString(args []jsonrecord.Value) int {
	for i, arg := range args {
		if arg.Get("string_arg").IsString() {
			return i
		}
	}
	return -1
}

// argNumber is the number in an argument, whatever its width.
func argNumber(arg jsonrecord.Value) (n int64, ok bool) {
	for _, key := range []string{"int_arg", "uint_arg", "long_arg", "size_arg"} {
		if v := arg.Get(key); v.Exists() {
			return v.Int()
		}
	}
	return 0, false
}

// anyBit reports whether an argument is a number with one of some bits.
func anyBit(args []jsonrecord.Value, i int, bits int64) bool {
	if i >= len(args) {
		return false
	}
	n, ok := argNumber(args[i])
	return ok && n&bits != 0
}
