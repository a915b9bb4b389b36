// The programs that run inside the kernel: they tell which programs are started,
// which processes end, and who asks for a connection. Every record is one of
// struct head, and for most kinds text after it.
//
// Only hooks are used that a locked-down kernel allows and that need no tracefs:
// tracepoints with type information, and a control group's own.
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char allowed[] SEC("license") = "Dual MIT/GPL";

// The kinds of records; ../record.go has the same.
enum kind { EXEC = 1, EXIT, TCP, UDP, KINDS };

// The pieces of text, in the order in which they follow the head.
enum piece { CGROUP, CGROUP2, EXE, ASKED, INTERP, CWD, ARGS, PIECES };

// Bounds, in bytes or steps.
#define MAX_NAME 256    // one name of a path, with the zero at its end
#define MAX_NODES 32    // names of a path
#define MAX_PATH 2048
#define MAX_ASKED 1024
#define MAX_ARGS 4096
#define MAX_GROUPS 8    // names of a control group's path, from the top
#define MAX_GROUP 128   // one of them
#define MAX_NESTING 128 // of control groups
#define MAX_TEXT 16384
#define SLOTS 4

// What was cut.
#define CUT_ARGS 1
#define CUT_CGROUP 2

struct head {
	u64 at;    // nanoseconds since the machine started, sleep included
	u64 since; // when the process began, on the same clock
	u32 kind;
	u32 pid, ppid;
	u32 uid, auid, session;
	s32 code; // of wait(2)
	u16 cut;
	u16 port; // of the address, in the host's order
	u16 family;
	u16 len[PIECES];
	char comm[16];
	u8 addr[16];
};

// A slot is where a record is put together: it is too large for the stack. A
// program of a control group can be preempted by another task's on the same CPU,
// so that there are several.
struct slot {
	u32 busy;
	u32 used; // of text
	u32 count; // of nodes; in memory, so that the verifier need not try every one
	const void *nodes[MAX_NODES];
	struct head head;
	char text[MAX_TEXT];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

// What there was to tell, by kind, and what of it could not be told.
struct counter {
	u64 seen, lost;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KINDS);
	__type(key, u32);
	__type(value, struct counter);
} counters SEC(".maps");

// Who sent a datagram where: it is told again after a while only.
struct datagram {
	u32 pid;
	u16 port, family;
	u8 addr[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct datagram);
	__type(value, u64);
} datagrams SEC(".maps");

const volatile u64 wake_at = 1 << 20;               // bytes that wait when the reader is woken
const volatile u64 again_after = 10000000000ULL;    // nanoseconds between datagrams that are told

static __always_inline struct counter *seen(u32 kind)
{
	struct counter *c = bpf_map_lookup_elem(&counters, &kind);
	if (c)
		c->seen++;
	return c;
}

// send gives a record to the reader. It is woken when the amount that waits
// passes a threshold, once; otherwise it looks by itself after a while. A wake-up
// for each record would cost several times what the rest does.
static __always_inline void send(const void *data, u64 size, struct counter *c)
{
	u64 waiting = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	u64 flags = waiting < wake_at && waiting + size >= wake_at ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
	if (bpf_ringbuf_output(&ring, (void *)data, size, flags) && c)
		c->lost++;
}

static __always_inline void fill(struct head *h, struct task_struct *t, u32 kind)
{
	__builtin_memset(h, 0, sizeof(*h));
	h->kind = kind;
	h->at = bpf_ktime_get_boot_ns();
	h->since = BPF_CORE_READ(t, group_leader, start_boottime);
	h->pid = BPF_CORE_READ(t, tgid);
	h->ppid = BPF_CORE_READ(t, real_parent, tgid);
	h->uid = BPF_CORE_READ(t, cred, uid.val);
	h->auid = -1;
	h->session = -1;
	if (bpf_core_field_exists(t->loginuid))
		h->auid = BPF_CORE_READ(t, loginuid.val);
	if (bpf_core_field_exists(t->sessionid))
		h->session = BPF_CORE_READ(t, sessionid);
	BPF_CORE_READ_INTO(&h->comm, t, comm);
}

// add appends a string to the slot's text: 0 if there is no room for max bytes.
static __always_inline bool add(struct slot *s, const void *from, u32 max)
{
	u32 at = s->used;
	if (at > MAX_TEXT - MAX_ASKED)
		return false;
	long n = bpf_probe_read_kernel_str(s->text + at, max, from);
	if (n > 1 && n <= max)
		s->used = at + n - 1; // without the zero
	return true;
}

static __always_inline void add_slash(struct slot *s)
{
	u32 at = s->used;
	if (at < MAX_TEXT - MAX_ASKED) {
		s->text[at] = '/';
		s->used = at + 1;
	}
}

static __always_inline struct kernfs_node *group_above(struct kernfs_node *kn)
{
	struct kernfs_node___before615 *old = (void *)kn;
	if (bpf_core_field_exists(old->parent))
		return (void *)BPF_CORE_READ(old, parent);
	return BPF_CORE_READ(kn, __parent);
}

// add_group appends the path of a control group. What lies deep below others is
// left out, not what they lie in: whoever may make groups within a container
// must not be able to hide whose they are.
static __noinline int add_group(struct slot *s, struct kernfs_node *kn)
{
	bool whole = false;
	s->count = 0;
	for (int i = 0; i < MAX_NESTING; i++) {
		struct kernfs_node *up = group_above(kn);
		if (!up) {
			whole = true;
			break;
		}
		s->nodes[s->count++ % MAX_GROUPS] = BPF_CORE_READ(kn, name);
		kn = up;
	}
	if (!whole) {
		s->head.cut |= CUT_CGROUP;
		return 0;
	}
	if (s->count == 0)
		add_slash(s);
	for (int i = 0; i < MAX_GROUPS && s->count > 0; i++) {
		add_slash(s);
		add(s, s->nodes[--s->count % MAX_GROUPS], MAX_GROUP);
	}
	return 0;
}

// add_groups tells in which control groups a task is. Runtimes put containers
// into every hierarchy; the one of pids is used because only they and systemd
// do. Where that is not the unified one, the task's place there is told too,
// unless that is the root: then there is nothing to tell.
static __always_inline void add_groups(struct slot *s, struct task_struct *t)
{
	struct css_set *set = BPF_CORE_READ(t, cgroups);
	struct cgroup *unified = BPF_CORE_READ(set, dfl_cgrp), *pids = 0;
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) {
		u32 id = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
		struct cgroup_subsys_state *css = 0;
		void *list = (void *)set + bpf_core_field_offset(set->subsys);
		bpf_probe_read_kernel(&css, sizeof(css), list + id * sizeof(css));
		pids = BPF_CORE_READ(css, cgroup);
	}
	// In the unified hierarchy a controller may be on for a group above only.
	if (!pids || BPF_CORE_READ(pids, root) == BPF_CORE_READ(unified, root)) {
		add_group(s, BPF_CORE_READ(unified, kn));
		s->head.len[CGROUP] = s->used;
		return;
	}
	add_group(s, BPF_CORE_READ(pids, kn));
	s->head.len[CGROUP] = s->used;
	struct kernfs_node *kn = BPF_CORE_READ(unified, kn);
	if (group_above(kn)) {
		u32 before = s->used;
		add_group(s, kn);
		s->head.len[CGROUP2] = s->used - before;
	}
}

static __always_inline struct mount *mount_of(struct vfsmount *m)
{
	return (void *)m - bpf_core_field_offset(struct mount, mnt);
}

// add_path appends the path of a file as the task sees it. It is without a
// leading slash if it is not whole.
static __noinline int add_path(struct slot *s, struct path *of)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct fs_struct *fs = BPF_CORE_READ(t, fs);
	struct dentry *top = BPF_CORE_READ(fs, root.dentry), *d = BPF_CORE_READ(of, dentry);
	struct vfsmount *top_mount = BPF_CORE_READ(fs, root.mnt), *m = BPF_CORE_READ(of, mnt);
	u32 from = s->used;
	bool whole = false;
	s->count = 0;
	for (int i = 0; i < 2 * MAX_NODES && s->count < MAX_NODES; i++) {
		struct dentry *up = BPF_CORE_READ(d, d_parent);
		if (d == top && m == top_mount) {
			whole = true;
			break;
		}
		if (d == BPF_CORE_READ(m, mnt_root)) {
			struct mount *mount = mount_of(m), *below = BPF_CORE_READ(mount, mnt_parent);
			if (below == mount) {
				whole = true;
				break;
			}
			d = BPF_CORE_READ(mount, mnt_mountpoint);
			m = (void *)below + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		s->nodes[s->count++ % MAX_NODES] = BPF_CORE_READ(d, d_name.name);
		if (d == up) { // a file without a folder, in memory only
			whole = true;
			break;
		}
		d = up;
	}
	if (whole && s->count == 0)
		add_slash(s);
	for (int i = 0; i < MAX_NODES && s->count > 0 && s->used - from < MAX_PATH; i++) {
		if (i || whole)
			add_slash(s);
		add(s, s->nodes[--s->count % MAX_NODES], MAX_NAME);
	}
	return 0;
}

static __always_inline void add_exe(struct slot *s, struct task_struct *t)
{
	u32 before = s->used;
	struct file *f = BPF_CORE_READ(t, mm, exe_file);
	if (f)
		add_path(s, (void *)f + bpf_core_field_offset(f->f_path));
	s->head.len[EXE] = s->used - before;
}

static __always_inline void add_args(struct slot *s, struct task_struct *t)
{
	unsigned long from = BPF_CORE_READ(t, mm, arg_start), n = BPF_CORE_READ(t, mm, arg_end) - from;
	u32 at = s->used;
	if (n > MAX_ARGS) {
		n = MAX_ARGS;
		s->head.cut |= CUT_ARGS;
	}
	if (at > MAX_TEXT - MAX_ARGS || n == 0)
		return;
	if (bpf_probe_read_user(s->text + at, n, (void *)from)) {
		s->head.cut |= CUT_ARGS;
		return;
	}
	s->head.len[ARGS] = n;
	s->used = at + n;
}

// begin takes a free slot and fills in who does something.
static __always_inline struct slot *begin(struct task_struct *t, u32 kind, struct counter **c)
{
	*c = seen(kind);
	for (u32 i = 0; i < SLOTS; i++) {
		u32 key = i;
		struct slot *s = bpf_map_lookup_elem(&slots, &key);
		if (!s || s->busy)
			continue;
		s->busy = 1;
		s->used = 0;
		fill(&s->head, t, kind);
		add_groups(s, t);
		return s;
	}
	if (*c)
		(*c)->lost++;
	return 0;
}

static __always_inline void end(struct slot *s, struct counter *c)
{
	u64 size = s->used % MAX_TEXT; // it is smaller; the verifier cannot know
	send(&s->head, sizeof(s->head) + size, c);
	s->busy = 0;
}

// (task, old pid, binprm)
SEC("tp_btf/sched_process_exec")
int on_exec(u64 *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct linux_binprm *b = (void *)ctx[2];
	struct counter *c;
	struct slot *s = begin(t, EXEC, &c);
	if (!s)
		return 0;
	add_exe(s, t);
	const char *asked = BPF_CORE_READ(b, filename), *interp = BPF_CORE_READ(b, interp);
	u32 before = s->used;
	add(s, asked, MAX_ASKED);
	s->head.len[ASKED] = s->used - before;
	if (asked != interp) { // a script
		before = s->used;
		add(s, interp, MAX_NAME);
		s->head.len[INTERP] = s->used - before;
		char first = 0;
		bpf_probe_read_kernel(&first, 1, asked);
		if (first != '/') {
			before = s->used;
			struct fs_struct *fs = BPF_CORE_READ(t, fs);
			add_path(s, (void *)fs + bpf_core_field_offset(fs->pwd));
			s->head.len[CWD] = s->used - before;
		}
	}
	add_args(s, t);
	end(s, c);
	return 0;
}

#define PF_KTHREAD 0x00200000

// (task): the last thread of a process ended, and so the process.
SEC("tp_btf/sched_process_exit")
int on_exit(u64 *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	if (BPF_CORE_READ(t, signal, live.counter) != 0 || BPF_CORE_READ(t, flags) & PF_KTHREAD)
		return 0;
	struct head h;
	fill(&h, t, EXIT);
	h.code = BPF_CORE_READ(t, signal, group_exit_code);
	if (h.code == 0)
		h.code = BPF_CORE_READ(t, group_leader, exit_code);
	send(&h, sizeof(h), seen(EXIT));
	return 0;
}

#define AF_INET 2
#define AF_INET6 10
#define TCP_SYN_SENT 2
#define SOCK_DGRAM 2
#define IPPROTO_UDP 17

static __always_inline u16 host_order(u16 port) { return __builtin_bswap16(port); }

// (socket, old state, new state): whoever connects is the current task then.
SEC("tp_btf/inet_sock_set_state")
int on_state(u64 *ctx)
{
	if ((int)ctx[2] != TCP_SYN_SENT)
		return 0;
	struct sock *sk = (void *)ctx[0];
	struct task_struct *t = (void *)bpf_get_current_task();
	if (!BPF_CORE_READ(t, mm)) // the kernel's own work
		return 0;
	struct counter *c;
	struct slot *s = begin(t, TCP, &c);
	if (!s)
		return 0;
	s->head.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	s->head.port = host_order(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (s->head.family == AF_INET6)
		BPF_CORE_READ_INTO(&s->head.addr, sk, __sk_common.skc_v6_daddr);
	else
		bpf_core_read(s->head.addr, 4, &sk->__sk_common.skc_daddr);
	add_exe(s, t);
	end(s, c);
	return 0;
}

static __always_inline void on_datagram(struct datagram *to)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	if (to->port == 0 || !BPF_CORE_READ(t, mm))
		return;
	u64 now = bpf_ktime_get_boot_ns();
	to->pid = BPF_CORE_READ(t, tgid);
	u64 *last = bpf_map_lookup_elem(&datagrams, to);
	if (last && now - *last < again_after)
		return;
	bpf_map_update_elem(&datagrams, to, &now, BPF_ANY);
	struct counter *c;
	struct slot *s = begin(t, UDP, &c);
	if (!s)
		return;
	s->head.family = to->family;
	s->head.port = to->port;
	__builtin_memcpy(s->head.addr, to->addr, sizeof(to->addr));
	add_exe(s, t);
	end(s, c);
}

static __always_inline int datagram4(struct bpf_sock_addr *ctx)
{
	if (ctx->type != SOCK_DGRAM || ctx->protocol != IPPROTO_UDP)
		return 1;
	struct datagram to = {.family = AF_INET, .port = host_order(ctx->user_port)};
	u32 ip = ctx->user_ip4;
	__builtin_memcpy(to.addr, &ip, 4);
	on_datagram(&to);
	return 1; // always let it go on
}

static __always_inline int datagram6(struct bpf_sock_addr *ctx)
{
	if (ctx->type != SOCK_DGRAM || ctx->protocol != IPPROTO_UDP)
		return 1;
	struct datagram to = {.family = AF_INET6, .port = host_order(ctx->user_port)};
	u32 ip[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
	__builtin_memcpy(to.addr, ip, 16);
	on_datagram(&to);
	return 1;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *ctx) { return datagram4(ctx); }

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *ctx) { return datagram6(ctx); }

SEC("cgroup/sendmsg4")
int on_sendmsg4(struct bpf_sock_addr *ctx) { return datagram4(ctx); }

SEC("cgroup/sendmsg6")
int on_sendmsg6(struct bpf_sock_addr *ctx) { return datagram6(ctx); }
