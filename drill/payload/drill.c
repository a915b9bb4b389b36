/*
 * The program in the images of drills. It does no harm: it listens to nothing,
 * reads nothing but itself, and writes one file in its own container. Whom it
 * calls is a documentation address (RFC 5737) that nobody has.
 *
 *   /drill          copies itself to /tmp/.drill and becomes that, as stage2
 *   /drill stage2   connects to 203.0.113.66:4444, waits two seconds at most
 *   /drill fetch    connects to 203.0.113.66:80, waits two seconds at most
 *
 * Exit status: 0; 2 for anything else it is asked; 10 to 15 for the step that
 * failed. It needs no library, so that an image holds nothing but it.
 */

typedef unsigned long u64;

enum { AT_FDCWD = -100, O_RDONLY = 0, O_WRONLY = 1, O_CREAT = 0100, O_TRUNC = 01000 };
enum { AF_INET = 2, SOCK_STREAM = 1, SOCK_NONBLOCK = 04000, EINPROGRESS = 115, POLLOUT = 4 };

#if defined(__x86_64__)
enum { SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_socket = 41, SYS_connect = 42, SYS_execve = 59,
       SYS_fchmod = 91, SYS_exit_group = 231, SYS_openat = 257, SYS_ppoll = 271 };

static long sys(long n, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	long r;
	register u64 r10 __asm__("r10") = d;
	register u64 r8 __asm__("r8") = e;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return r;
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");
#elif defined(__aarch64__)
enum { SYS_fchmod = 52, SYS_openat = 56, SYS_close = 57, SYS_read = 63, SYS_write = 64, SYS_ppoll = 73,
       SYS_exit_group = 94, SYS_socket = 198, SYS_connect = 203, SYS_execve = 221 };

static long sys(long n, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	register long x8 __asm__("x8") = n;
	register u64 x0 __asm__("x0") = a;
	register u64 x1 __asm__("x1") = b;
	register u64 x2 __asm__("x2") = c;
	register u64 x3 __asm__("x3") = d;
	register u64 x4 __asm__("x4") = e;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}

__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x0, sp\n\tand sp, x0, #-16\n\tbl begin\n");
#endif

static __attribute__((noreturn)) void leave(int status)
{
	for (;;)
		sys(SYS_exit_group, status, 0, 0, 0, 0);
}

static int same(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return *a == *b;
}

struct address {
	unsigned short family, port;
	unsigned char ip[4], rest[8];
};
struct pollfd {
	int fd;
	short events, revents;
};
struct timespec {
	long seconds, nanoseconds;
};

/* Whoever answers is told nothing; nobody does. */
static void call(unsigned short port)
{
	struct address to = {AF_INET, (unsigned short)(port >> 8 | port << 8), {203, 0, 113, 66}, {0}};
	struct timespec most = {2, 0};
	long fd = sys(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0);
	if (fd < 0)
		leave(14);
	long r = sys(SYS_connect, fd, (u64)&to, sizeof to, 0, 0);
	if (r < 0 && r != -EINPROGRESS)
		leave(15);
	struct pollfd wait = {(int)fd, POLLOUT, 0};
	sys(SYS_ppoll, (u64)&wait, 1, (u64)&most, 0, 0);
	leave(0);
}

/* Copies itself and becomes the copy: a file that was written after start and
 * then run. */
static void unpack(const char *self, char **environment)
{
	static char buffer[4096];
	static const char copy[] = "/tmp/.drill";
	long in = sys(SYS_openat, AT_FDCWD, (u64)self, O_RDONLY, 0, 0);
	if (in < 0)
		leave(10);
	long out = sys(SYS_openat, AT_FDCWD, (u64)copy, O_WRONLY | O_CREAT | O_TRUNC, 0600, 0);
	if (out < 0)
		leave(11);
	for (;;) {
		long n = sys(SYS_read, in, (u64)buffer, sizeof buffer, 0, 0);
		if (n == 0)
			break;
		if (n < 0 || sys(SYS_write, out, (u64)buffer, n, 0, 0) != n)
			leave(12);
	}
	sys(SYS_fchmod, out, 0700, 0, 0, 0);
	sys(SYS_close, out, 0, 0, 0, 0);
	sys(SYS_close, in, 0, 0, 0, 0);
	const char *args[] = {copy, "stage2", 0};
	sys(SYS_execve, (u64)copy, (u64)args, (u64)environment, 0, 0);
	leave(13);
}

__attribute__((used, noreturn)) void begin(u64 *stack)
{
	u64 count = stack[0];
	char **args = (char **)(stack + 1);
	if (count == 1)
		unpack(args[0], args + count + 1);
	if (count == 2 && same(args[1], "stage2"))
		call(4444);
	if (count == 2 && same(args[1], "fetch"))
		call(80);
	leave(2);
}
