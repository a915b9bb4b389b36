package auditd

// call is a system call that is read; callOther is every other one.
type call uint8

const (
	callOther    call = iota
	callUnknown       // of an architecture without a table, and without a name
	callExecve        // also execveat
	callConnect       // also socketcall(SYS_CONNECT)
	callCreat         // always writes
	callOpen          // flags in a1
	callOpenat        // flags in a2, directory in a0
	callOpenat2       // flags in an OPENAT2 record, directory in a0
	callRename        // paths only
	callRenameat      // also renameat2; directory of the new name in a2
	callExecveat      // directory in a0
)

// Architectures as AUDIT_ARCH_* of linux/audit.h.
const (
	archX86_64  = 0xc000003e
	archI386    = 0x40000003
	archAarch64 = 0xc00000b7
)

// callOf names a system call by its number, from each architecture's table
// (arch/x86/entry/syscalls/syscall_64.tbl and syscall_32.tbl,
// include/uapi/asm-generic/unistd.h). a0 tells what an i386 socketcall does.
// known is false for an architecture without a table here.
func callOf(arch uint64, number int64, a0 uint64) (c call, known bool) {
	switch arch {
	case archX86_64:
		return callX86_64(number), true
	case archI386:
		return callI386(number, a0), true
	case archAarch64:
		return callAarch64(number), true
	}
	return callOther, false
}

// x32Bit marks the x32 calling convention, which has the architecture of
// x86-64: a way past a rule or a decoder that knows only the plain numbers.
const x32Bit = 1 << 30

func callX86_64(number int64) call {
	if number&x32Bit != 0 {
		switch number &^ x32Bit {
		case 520:
			return callExecve
		case 545:
			return callExecveat
		}
		number &^= x32Bit
	}
	switch number {
	case 2:
		return callOpen
	case 42:
		return callConnect
	case 59:
		return callExecve
	case 82:
		return callRename
	case 85:
		return callCreat
	case 257:
		return callOpenat
	case 264, 316:
		return callRenameat
	case 322:
		return callExecveat
	case 437:
		return callOpenat2
	}
	return callOther
}

// sysConnect is SYS_CONNECT of linux/net.h, the first argument of socketcall.
const sysConnect = 3

func callI386(number int64, a0 uint64) call {
	switch number {
	case 5:
		return callOpen
	case 8:
		return callCreat
	case 11:
		return callExecve
	case 38:
		return callRename
	case 102:
		if a0 == sysConnect {
			return callConnect
		}
	case 295:
		return callOpenat
	case 302, 353:
		return callRenameat
	case 358:
		return callExecveat
	case 362:
		return callConnect
	case 437:
		return callOpenat2
	}
	return callOther
}

func callAarch64(number int64) call {
	switch number {
	case 38, 276:
		return callRenameat
	case 56:
		return callOpenat
	case 203:
		return callConnect
	case 221:
		return callExecve
	case 281:
		return callExecveat
	case 437:
		return callOpenat2
	}
	return callOther
}

// callNamed names a system call by the name that auditd's enriched part gives.
func callNamed(name []byte) call {
	switch string(name) {
	case "execve":
		return callExecve
	case "execveat":
		return callExecveat
	case "connect":
		return callConnect
	case "creat":
		return callCreat
	case "open":
		return callOpen
	case "openat":
		return callOpenat
	case "openat2":
		return callOpenat2
	case "rename":
		return callRename
	case "renameat", "renameat2":
		return callRenameat
	}
	return callOther
}

// String is the call's name.
func (c call) String() string {
	switch c {
	case callExecve:
		return "execve"
	case callExecveat:
		return "execveat"
	case callConnect:
		return "connect"
	case callCreat:
		return "creat"
	case callOpen:
		return "open"
	case callOpenat:
		return "openat"
	case callOpenat2:
		return "openat2"
	case callRename:
		return "rename"
	case callRenameat:
		return "renameat"
	case callUnknown:
		return "unknown call"
	}
	return "another call"
}

// executes reports whether c starts a program.
func (c call) executes() bool { return c == callExecve || c == callExecveat }

// renames reports whether c gives a file a new name.
func (c call) renames() bool { return c == callRename || c == callRenameat }

// Flags of open, the same on x86-64, i386 and aarch64
// (include/uapi/asm-generic/fcntl.h).
const (
	openAccess  = 0o3 // O_WRONLY, O_RDWR, or both
	openTrunc   = 0o1000
	openPath    = 0o10000000 // O_PATH: every other flag is ignored
	openTmpfile = 0o20000000 // __O_TMPFILE: a file without a name
)

// writes reports whether a file opened with flags can be written. O_CREAT on a
// file that was there already changes nothing; that a file was made is told by
// its PATH record.
func writes(flags uint64) bool {
	if flags&(openPath|openTmpfile) != 0 {
		return false
	}
	return flags&(openAccess|openTrunc) != 0
}

// atCwd reports whether a directory argument is AT_FDCWD (-100, an int).
func atCwd(dirfd uint64) bool { return int32(uint32(dirfd)) == -100 }

// inProgress is -EINPROGRESS: the connection of a non-blocking socket was
// begun, and what becomes of it is never audited.
const inProgress = -115
