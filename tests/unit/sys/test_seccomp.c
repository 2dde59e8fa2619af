/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_seccomp.c - the filters decide what their table says, for every number
 *
 * Goal: the programs that are built in mean the same as the rows a person reviewed, whichever
 * libseccomp made them; and the rows mean what the threats demand.
 *
 * Method: an interpreter of BPF runs the real programs.  An oracle reads the rows in the most naive
 * way.  Both are asked about every number from 0 to NR_END, with argument vectors drawn from all
 * values that appear in a row, their neighbours, and the same with garbage in the upper half.
 * Demands are stated again by hand, as calls and expected actions, without looking at the rows.
 */
#include "unit/test.h"

#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/seccomp.c"
#include "sys/seccomp_agent.h"
#include "sys/seccomp_own.h"
#include <linux/audit.h>

#define NR_END           600
#define VECTORS_PER_CALL 300
#define EPERM_RET        (SECCOMP_RET_ERRNO | EPERM)
#define ENOSYS_RET       (SECCOMP_RET_ERRNO | ENOSYS)

#if defined(__x86_64__)
#define ARCH_NATIVE  AUDIT_ARCH_X86_64
#define ARCH_FOREIGN AUDIT_ARCH_I386
#else
#define ARCH_NATIVE  AUDIT_ARCH_AARCH64
#define ARCH_FOREIGN AUDIT_ARCH_ARM
#endif

/* Runs a program as the kernel does; only the instructions that filters use. */
static uint32_t interpret(const struct cv_seccomp_filter *f, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (unsigned pc = 0; pc < f->insn_count; pc++) {
		const struct sock_filter *i = &f->insns[pc];
		bool is_taken;

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(i->k + sizeof(a) <= sizeof(*d) && i->k % sizeof(a) == 0);
			memcpy(&a, (const char *)d + i->k, sizeof(a));
			continue;
		case BPF_ALU | BPF_AND | BPF_K: a &= i->k; continue;
		case BPF_RET | BPF_K: return i->k;
		case BPF_JMP | BPF_JA: pc += i->k; continue;
		case BPF_JMP | BPF_JEQ | BPF_K: is_taken = a == i->k; break;
		case BPF_JMP | BPF_JGT | BPF_K: is_taken = a > i->k; break;
		case BPF_JMP | BPF_JGE | BPF_K: is_taken = a >= i->k; break;
		case BPF_JMP | BPF_JSET | BPF_K: is_taken = a & i->k; break;
		default:
			fail_msg("%s: instruction %u has code 0x%x", f->name, pc, i->code);
			return 0;
		}
		pc += is_taken ? i->jt : i->jf;
	}
	fail_msg("%s: ran off the end", f->name);
	return 0;
}

/* The table of a profile, as the generator sees it. */
struct table {
	uint32_t otherwise;
	bool is_agent;
	uint32_t connect;
	const struct cv_seccomp_call_row *calls;
	size_t call_count;
	const struct cv_seccomp_arg_row *permits, *refusals;
	const struct cv_seccomp_call_row *instead;
	size_t instead_count;
};

#define ROWS(a) a, sizeof(a) / sizeof(*(a))

static const struct table tables[CV_SECCOMP_PROFILE_COUNT] = {
	[CV_SECCOMP_AGENT] = { EPERM_RET, true, SECCOMP_RET_ALLOW, ROWS(cv_seccomp_agent_calls),
		cv_seccomp_agent_permits, cv_seccomp_agent_refusals, NULL, 0 },
	[CV_SECCOMP_AGENT_NOTIFY] = { EPERM_RET, true, SECCOMP_RET_USER_NOTIF,
		ROWS(cv_seccomp_agent_calls), cv_seccomp_agent_permits, cv_seccomp_agent_refusals,
		NULL, 0 },
	[CV_SECCOMP_PROXY] = { SECCOMP_RET_KILL_PROCESS, false, 0, ROWS(cv_seccomp_proxy_calls),
		cv_seccomp_proxy_permits, cv_seccomp_own_refusals, NULL, 0 },
	[CV_SECCOMP_KEEPER] = { SECCOMP_RET_KILL_PROCESS, false, 0, ROWS(cv_seccomp_keeper_calls),
		cv_seccomp_keeper_permits, cv_seccomp_own_refusals, NULL, 0 },
	[CV_SECCOMP_SSH] = { SECCOMP_RET_KILL_PROCESS, false, 0, ROWS(cv_seccomp_ssh_calls),
		cv_seccomp_ssh_permits, cv_seccomp_own_refusals, NULL, 0 },
	[CV_SECCOMP_NESTED] = { EPERM_RET, true, SECCOMP_RET_ALLOW, ROWS(cv_seccomp_agent_calls),
		cv_seccomp_agent_permits, cv_seccomp_agent_refusals,
		ROWS(cv_seccomp_nested_calls) },
	[CV_SECCOMP_NESTED_NOTIFY] = { EPERM_RET, true, SECCOMP_RET_USER_NOTIF,
		ROWS(cv_seccomp_agent_calls), cv_seccomp_agent_permits, cv_seccomp_agent_refusals,
		ROWS(cv_seccomp_nested_calls) },
};

/* The name of a number, or NULL. */
static const char *name_of(int nr, char *space, size_t space_bytes)
{
	for (size_t i = 0; i < sizeof(cv_seccomp_new_numbers) / sizeof(*cv_seccomp_new_numbers);
		i++)
		if (cv_seccomp_new_numbers[i].nr == nr)
			return cv_seccomp_new_numbers[i].name;
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

	if (!name)
		return NULL;
	snprintf(space, space_bytes, "%s", name);
	free(name);
	return space;
}

static int nr_of(const char *name)
{
	for (size_t i = 0; i < sizeof(cv_seccomp_new_numbers) / sizeof(*cv_seccomp_new_numbers);
		i++)
		if (strcmp(cv_seccomp_new_numbers[i].name, name) == 0)
			return cv_seccomp_new_numbers[i].nr;
	return seccomp_syscall_resolve_name(name);
}

static bool is_listed(const char *names, const char *name)
{
	const size_t n = strlen(name);

	for (const char *s = names; (s = strstr(s, name)); s += n)
		if ((s == names || s[-1] == ' ') && (s[n] == ' ' || s[n] == '\0'))
			return true;
	return false;
}

static bool row_holds(
	const struct cv_seccomp_arg_row *rows, const char *name, const struct seccomp_data *d)
{
	for (; rows->name; rows++) {
		bool holds = strcmp(rows->name, name) == 0;

		for (unsigned i = 0; holds && i < rows->cmp_count; i++)
			holds = (d->args[rows->cmp[i].arg] & rows->cmp[i].mask) ==
				rows->cmp[i].value;
		if (holds)
			return true;
	}
	return false;
}

static uint32_t call_action(const struct cv_seccomp_call_row *row)
{
	switch (row->verdict) {
	case CV_SECCOMP_PERMIT: return SECCOMP_RET_ALLOW;
	case CV_SECCOMP_EPERM: return EPERM_RET;
	case CV_SECCOMP_ENOSYS: return ENOSYS_RET;
	case CV_SECCOMP_PRETEND: return SECCOMP_RET_ERRNO;
	}
	fail();
	return 0;
}

/* What the rows say, read from top to bottom. */
static uint32_t oracle(const struct table *t, const char *name, const struct seccomp_data *d)
{
	if (d->arch != ARCH_NATIVE)
		return SECCOMP_RET_KILL_PROCESS;
	if (t->is_agent && (uint32_t)d->nr > CV_SECCOMP_NR_MAX)
		return ENOSYS_RET;
	if (!name)
		return t->otherwise;
	if (row_holds(t->refusals, name, d))
		return EPERM_RET;
	for (size_t i = 0; i < t->instead_count; i++)
		if (is_listed(t->instead[i].names, name))
			return call_action(&t->instead[i]);
	if (row_holds(t->permits, name, d))
		return SECCOMP_RET_ALLOW;
	if (t->is_agent && strcmp(name, "connect") == 0)
		return t->connect;
	for (size_t i = 0; i < t->call_count; i++)
		if (is_listed(t->calls[i].names, name))
			return call_action(&t->calls[i]);
	return t->otherwise;
}

/* A small generator of its own, so that a failure can be repeated. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

struct pool {
	uint64_t v[1024];
	size_t n;
};

static void pool_add(struct pool *p, uint64_t v)
{
	assert_true(p->n < sizeof(p->v) / sizeof(p->v[0]));
	p->v[p->n++] = v;
}

static void pool_add_rows(struct pool *p, const struct cv_seccomp_arg_row *rows)
{
	for (; rows->name; rows++)
		for (unsigned i = 0; i < rows->cmp_count; i++) {
			pool_add(p, rows->cmp[i].value);
			pool_add(p, (uint32_t)~rows->cmp[i].mask);
			if ((uint32_t)rows->cmp[i].mask != UINT32_MAX)
				pool_add(p, rows->cmp[i].mask & -rows->cmp[i].mask);
		}
}

static uint64_t draw(const struct pool *p, uint64_t *seed)
{
	const uint64_t r = next_random(seed);
	uint64_t v = p->v[(r >> 8) % p->n];

	if (r & 1)
		return v; /* mostly what a row names */
	if (r & 2)
		v ^= 1ull << ((r >> 40) % 64);
	if (r & 4)
		v |= (r >> 32) << 32;
	if (r & 8)
		v = (uint64_t)(int64_t)(int32_t)v;
	return v;
}

/* Vectors that a row names in full are rare by chance: take the row itself, then bend it. */
static void draw_args(const struct pool *p, const struct table *t, const char *name, uint64_t *seed,
	uint64_t *args)
{
	const struct cv_seccomp_arg_row *lists[] = { t->permits, t->refusals };
	const uint64_t r = next_random(seed);
	unsigned matches = 0;

	for (int i = 0; i < 6; i++)
		args[i] = draw(p, seed);
	if (!name || (r & 3) == 0)
		return;
	for (int l = 0; l < 2; l++)
		for (const struct cv_seccomp_arg_row *row = lists[l]; row->name; row++) {
			if (strcmp(row->name, name) != 0 || next_random(seed) % ++matches != 0)
				continue;
			for (unsigned i = 0; i < row->cmp_count; i++) {
				args[row->cmp[i].arg] &= ~row->cmp[i].mask;
				args[row->cmp[i].arg] |= row->cmp[i].value;
			}
		}
	if (r & 4)
		args[(r >> 8) % 6] = draw(p, seed);
}

static void p1_every_number_gets_what_its_row_says(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15;
	unsigned seen[4] = { 0 };
	(void)state;

	for (int p = 0; p < CV_SECCOMP_PROFILE_COUNT; p++) {
		const struct table *t = &tables[p];
		struct pool pool = { .n = 0 };

		pool_add(&pool, 0);
		pool_add(&pool, UINT64_MAX);
		pool_add_rows(&pool, t->permits);
		pool_add_rows(&pool, t->refusals);
		for (int nr = 0; nr <= NR_END; nr++) {
			char space[64];
			const char *name = name_of(nr, space, sizeof(space));

			for (int k = 0; k < VECTORS_PER_CALL; k++) {
				struct seccomp_data d = { .nr = nr, .arch = ARCH_NATIVE };
				uint64_t args[6];

				draw_args(&pool, t, name, &seed, args);
				memcpy(d.args, args, sizeof(args));
				const uint32_t got = interpret(&filters[p], &d),
					       want = oracle(t, name, &d);

				if (got != want)
					fail_msg(
						"%s: %s (%d)(%llx, %llx, %llx, %llx, %llx): 0x%x, not 0x%x",
						filters[p].name, name ? name : "?", nr, d.args[0],
						d.args[1], d.args[2], d.args[3], d.args[4], got,
						want);
				if (name && p == CV_SECCOMP_AGENT && strcmp(name, "socket") == 0)
					seen[got == SECCOMP_RET_ALLOW]++;
			}
		}
	}
	/* The vectors are no use if they never reach both sides. */
	assert_true(seen[0] > VECTORS_PER_CALL / 10 && seen[1] > VECTORS_PER_CALL / 10);
}

/* A demand, stated without the table. */
struct demand {
	const char *call;
	uint64_t args[6];
	uint32_t want;
};

static void check_demands(enum cv_seccomp_profile p, const struct demand *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct seccomp_data d = { .nr = nr_of(list[i].call), .arch = ARCH_NATIVE };

		if (d.nr < 0)
			continue; /* not on this architecture */
		memcpy(d.args, list[i].args, sizeof(list[i].args));
		const uint32_t got = interpret(&filters[p], &d);

		if (got != list[i].want)
			fail_msg("%s: %s(0x%llx, 0x%llx, 0x%llx) [%zu]: 0x%x, not 0x%x",
				filters[p].name, list[i].call, d.args[0], d.args[1], d.args[2], i,
				got, list[i].want);
	}
}

#define CHECK(p, list) check_demands(p, list, sizeof(list) / sizeof((list)[0]))
#define OK             SECCOMP_RET_ALLOW
#define NO             EPERM_RET
#define HIGH           0x100000000ull

static void n3_sockets_of_other_kinds_are_refused(void **state)
{
	static const struct demand list[] = {
		{ "socket", { AF_INET, SOCK_STREAM, 0 }, OK },
		{ "socket", { AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP },
			OK },
		{ "socket", { AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP }, OK },
		{ "socket", { AF_INET6 | HIGH, SOCK_DGRAM, 0 },
			OK }, /* the kernel ignores the upper half */
		{ "socket", { AF_UNIX, SOCK_SEQPACKET, 0 }, OK },
		{ "socket", { AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0 }, OK },
		{ "socketpair", { AF_UNIX, SOCK_STREAM, 0 }, OK },
		{ "socket", { AF_INET, SOCK_STREAM, 262 }, NO },    /* MPTCP */
		{ "socket", { AF_INET, SOCK_STREAM, 132 }, NO },    /* SCTP */
		{ "socket", { AF_INET, SOCK_SEQPACKET, 132 }, NO }, /* SCTP */
		{ "socket", { AF_INET6, SOCK_DGRAM, 136 }, NO },    /* UDP-Lite */
		{ "socket", { AF_INET, SOCK_DGRAM, IPPROTO_ICMP }, NO },
		{ "socket", { AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6 }, NO },
		{ "socket", { AF_INET, SOCK_RAW, IPPROTO_TCP }, NO },
		{ "socket", { AF_INET, SOCK_PACKET, 0 }, NO }, /* becomes AF_PACKET */
		{ "socket", { AF_INET, SOCK_DCCP, 33 }, NO },
		{ "socket", { AF_INET, SOCK_STREAM | 0x100, 0 }, NO },
		{ "socket", { AF_INET | HIGH, SOCK_STREAM, 262 | HIGH }, NO },
		{ "socket", { AF_NETLINK, SOCK_RAW, 4 }, NO },  /* sock_diag */
		{ "socket", { AF_NETLINK, SOCK_RAW, 12 }, NO }, /* netfilter */
		{ "socket", { AF_NETLINK, SOCK_RAW, 15 }, NO }, /* uevents */
		{ "socket", { AF_NETLINK, SOCK_RAW, 16 }, NO }, /* generic */
		{ "socket", { AF_VSOCK, SOCK_STREAM, 0 }, NO },
		{ "socket", { AF_PACKET, SOCK_RAW, 0 }, NO },
		{ "socket", { AF_ALG, SOCK_SEQPACKET, 0 }, NO },
		{ "socket", { 43, SOCK_STREAM, 0 }, NO }, /* SMC */
		{ "socket", { 44, SOCK_RAW, 0 }, NO },    /* XDP */
		{ "socket", { AF_BLUETOOTH, SOCK_RAW, 0 }, NO },
		{ "socket", { AF_KEY, SOCK_RAW, 2 }, NO },
		{ "socket", { AF_RDS, SOCK_SEQPACKET, 0 }, NO },
		{ "socket", { AF_TIPC, SOCK_STREAM, 0 }, NO },
		{ "socket", { AF_CAN, SOCK_RAW, 1 }, NO },
		{ "socketpair", { AF_TIPC, SOCK_STREAM, 0 }, NO },
		{ "sendto", { 3, 0, 0, MSG_NOSIGNAL }, OK },
		{ "sendto", { 3, 0, 0, MSG_FASTOPEN }, NO },
		{ "sendto", { 3, 0, 0, MSG_FASTOPEN | MSG_NOSIGNAL | HIGH }, NO },
		{ "sendmsg", { 3, 0, MSG_FASTOPEN }, NO },
		{ "sendmmsg", { 3, 0, 1, MSG_FASTOPEN }, NO },
		{ "sendmmsg", { 3, 0, 1, MSG_DONTWAIT }, OK },
		{ "setsockopt", { 3, SOL_SOCKET, SO_REUSEADDR }, OK },
		{ "setsockopt", { 3, SOL_SOCKET, 31 }, OK },
		{ "setsockopt", { 3, IPPROTO_TCP, 1 }, OK },  /* TCP_NODELAY */
		{ "setsockopt", { 3, IPPROTO_TCP, 31 }, NO }, /* TCP_ULP: SMC */
		{ "setsockopt", { 3, IPPROTO_TCP | HIGH, 31 | HIGH }, NO },
	};
	(void)state;

	CHECK(CV_SECCOMP_AGENT, list);
	CHECK(CV_SECCOMP_AGENT_NOTIFY, list);
}

static void p1_kernel_surface_is_refused(void **state)
{
	static const struct demand list[] = {
		{ "clone", { SIGCHLD }, OK },
		{ "clone",
			{ CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
				CLONE_CHILD_CLEARTID },
			OK },
		{ "clone", { CLONE_VM | CLONE_VFORK | SIGCHLD }, OK },
		{ "clone", { CLONE_NEWUSER | SIGCHLD }, NO },
		{ "clone", { CLONE_NEWNS | SIGCHLD }, NO },
		{ "clone", { CLONE_NEWNET | HIGH }, NO },
		{ "clone", { CLONE_NEWPID }, NO },
		{ "clone", { CLONE_NEWIPC }, NO },
		{ "clone", { CLONE_NEWUTS }, NO },
		{ "clone", { CLONE_NEWCGROUP }, NO },
		{ "clone", { 0x80 }, NO },
		{ "clone3", { 0 }, ENOSYS_RET },
		{ "io_uring_setup", { 0 }, ENOSYS_RET },
		{ "io_uring_enter", { 0 }, ENOSYS_RET },
		{ "io_uring_register", { 0 }, ENOSYS_RET },
		{ "seccomp", { SECCOMP_SET_MODE_FILTER }, NO },
		{ "seccomp", { SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER }, NO },
		{ "seccomp", { SECCOMP_SET_MODE_STRICT }, NO },
		{ "seccomp", { SECCOMP_GET_ACTION_AVAIL }, OK },
		{ "prctl", { PR_SET_SECCOMP, 2 }, NO },
		{ "prctl", { PR_SET_SECCOMP | HIGH, 2 }, NO },
		{ "prctl", { PR_SET_MM, 13 }, NO },
		{ "prctl", { PR_SET_PTRACER }, NO },
		{ "prctl", { PR_SET_NAME }, OK },
		{ "prctl", { PR_SET_NO_NEW_PRIVS, 1 }, OK },
		{ "prctl", { PR_SET_PDEATHSIG, 9 }, OK },
		{ "bpf", { 0 }, NO },
		{ "perf_event_open", { 0 }, NO },
		{ "userfaultfd", { 0 }, NO },
		{ "add_key", { 0 }, NO },
		{ "keyctl", { 0 }, NO },
		{ "request_key", { 0 }, NO },
		{ "kexec_load", { 0 }, NO },
		{ "kexec_file_load", { 0 }, NO },
		{ "init_module", { 0 }, NO },
		{ "finit_module", { 0 }, NO },
		{ "delete_module", { 0 }, NO },
		{ "open_by_handle_at", { 0 }, NO },
		{ "fanotify_init", { 0 }, NO },
		{ "mount", { 0 }, NO },
		{ "umount2", { 0 }, NO },
		{ "fsopen", { 0 }, NO },
		{ "fsconfig", { 0 }, NO },
		{ "fsmount", { 0 }, NO },
		{ "fspick", { 0 }, NO },
		{ "move_mount", { 0 }, NO },
		{ "open_tree", { 0 }, NO },
		{ "open_tree_attr", { 0 }, NO },
		{ "mount_setattr", { 0 }, NO },
		{ "pivot_root", { 0 }, NO },
		{ "chroot", { 0 }, NO },
		{ "setns", { 0 }, NO },
		{ "unshare", { CLONE_NEWUSER }, NO },
		{ "unshare", { CLONE_FILES }, NO },
		{ "quotactl", { 0 }, NO },
		{ "acct", { 0 }, NO },
		{ "swapon", { 0 }, NO },
		{ "reboot", { 0 }, NO },
		{ "syslog", { 0 }, NO },
		{ "iopl", { 3 }, NO },
		{ "ioperm", { 0 }, NO },
		{ "modify_ldt", { 0 }, NO },
		{ "clock_settime", { 0 }, NO },
		{ "personality", { 0 }, OK },
		{ "personality", { UINT64_MAX }, OK },
		{ "personality", { ADDR_NO_RANDOMIZE }, OK },
		{ "personality", { READ_IMPLIES_EXEC }, NO },
		{ "personality", { PER_LINUX32 }, NO },
		{ "execveat", { 3, 0, 0, 0, AT_EMPTY_PATH }, NO },
		{ "execveat", { 3, 0, 0, 0, 0 }, OK },
		{ "landlock_restrict_self", { 0 }, OK },
		{ "memfd_create", { 0 }, OK },
		{ "pidfd_open", { 0 }, OK },
		{ "futex_wait", { 0 }, OK },
		{ "mseal", { 0 }, OK },
		{ "listmount", { 0 }, NO },
	};
	(void)state;

	CHECK(CV_SECCOMP_AGENT, list);
	CHECK(CV_SECCOMP_AGENT_NOTIFY, list);
}

static void p1_a_nested_sandbox_gets_namespaces_and_no_more(void **state)
{
	static const struct demand list[] = {
		{ "clone", { CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD }, OK },
		{ "clone", { SIGCHLD }, OK },
		{ "clone3", { 0 }, ENOSYS_RET },
		{ "unshare", { CLONE_NEWUSER }, OK },
		{ "setns", { 3 }, OK },
		{ "mount", { 0 }, OK },
		{ "pivot_root", { 0 }, OK },
		{ "setgroups", { 1 }, SECCOMP_RET_ERRNO },
		{ "fsopen", { 0 }, NO },
		{ "open_tree", { 0 }, NO },
		{ "socket", { AF_NETLINK, SOCK_RAW, 12 }, NO }, /* netfilter */
		{ "socket", { AF_INET, SOCK_RAW, IPPROTO_TCP }, NO },
		{ "socket", { AF_PACKET, SOCK_RAW, 0 }, NO },
		{ "ptrace", { 0 }, NO },
		{ "process_vm_readv", { 1 }, NO },
		{ "bpf", { 0 }, NO },
		{ "io_uring_setup", { 0 }, ENOSYS_RET },
		{ "keyctl", { 0 }, NO },
		{ "open_by_handle_at", { 0 }, NO },
		{ "ioctl", { 0, 0x5412 }, NO },
		{ "seccomp", { SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER }, NO },
	};
	(void)state;

	CHECK(CV_SECCOMP_NESTED, list);
	CHECK(CV_SECCOMP_NESTED_NOTIFY, list);
}

static void p2_other_processes_are_out_of_reach(void **state)
{
	static const struct demand list[] = {
		{ "ptrace", { 0 }, NO },
		{ "ptrace", { 16, 1 }, NO },
		{ "process_vm_readv", { 1 }, NO },
		{ "process_vm_writev", { 1 }, NO },
		{ "pidfd_getfd", { 3, 1 }, NO },
		{ "kcmp", { 1, 2 }, NO },
		{ "process_madvise", { 3 }, NO },
	};
	(void)state;

	CHECK(CV_SECCOMP_AGENT, list);
	CHECK(CV_SECCOMP_AGENT_NOTIFY, list);
}

static void p9_typing_into_the_terminal_is_refused(void **state)
{
	static const struct demand list[] = {
		{ "ioctl", { 0, 0x5412 }, NO },
		{ "ioctl", { 0, 0x5412 | HIGH }, NO },
		{ "ioctl", { 0, 0xffffffff00005412 }, NO },
		{ "ioctl", { 0, 0x541c }, NO },
		{ "ioctl", { 0, 0x541c | HIGH }, NO },
		{ "ioctl", { 0, 0x5413 }, OK }, /* TIOCGWINSZ */
		{ "ioctl", { 0, 0x5401 }, OK },
		{ "ioctl", { 0x5412, 0x541b, 0x5412 }, OK },
	};
	(void)state;

	CHECK(CV_SECCOMP_AGENT, list);
	CHECK(CV_SECCOMP_AGENT_NOTIFY, list);
}

static void connect_is_told_to_the_listener(void **state)
{
	static const struct demand plain[] = { { "connect", { 3 }, OK } };
	static const struct demand notify[] = { { "connect", { 3 }, SECCOMP_RET_USER_NOTIF },
		{ "accept4", { 3 }, OK }, { "bind", { 3 }, OK } };
	(void)state;

	CHECK(CV_SECCOMP_AGENT, plain);
	CHECK(CV_SECCOMP_AGENT_NOTIFY, notify);
}

static void p1_foreign_entry_points_are_closed(void **state)
{
	(void)state;

	for (int p = 0; p < CV_SECCOMP_PROFILE_COUNT; p++) {
		const bool is_agent = tables[p].is_agent;

		for (int nr = 0; nr <= NR_END; nr++) {
			struct seccomp_data d = { .nr = nr, .arch = ARCH_FOREIGN };

			assert_int_equal(interpret(&filters[p], &d), SECCOMP_RET_KILL_PROCESS);
			d.arch = ARCH_NATIVE;
			d.nr = nr | 0x40000000; /* x32 */
			assert_int_equal(interpret(&filters[p], &d),
				is_agent ? ENOSYS_RET : SECCOMP_RET_KILL_PROCESS);
			if (nr <= CV_SECCOMP_NR_MAX)
				continue;
			d.nr = nr;
			assert_int_equal(interpret(&filters[p], &d),
				is_agent ? ENOSYS_RET : SECCOMP_RET_KILL_PROCESS);
		}
		struct seccomp_data skipped = { .nr = -1, .arch = ARCH_NATIVE };

		assert_int_not_equal(interpret(&filters[p], &skipped), SECCOMP_RET_ALLOW);
	}
}

static void own_processes_cannot_open_exec_or_signal(void **state)
{
	static const struct demand list[] = {
		{ "read", { 0 }, OK },
		{ "pread64", { 0 }, OK }, /* a memfd from the supervisor */
		{ "fcntl", { 0, F_GET_SEALS }, OK },
		{ "mmap", { 0, 4096, PROT_READ | PROT_WRITE }, OK },
		{ "mmap", { 0, 4096, PROT_READ | PROT_EXEC }, SECCOMP_RET_KILL_PROCESS },
		{ "mprotect", { 0, 4096, PROT_EXEC }, SECCOMP_RET_KILL_PROCESS },
		{ "openat", { 0 }, NO },
		{ "execve", { 0 }, SECCOMP_RET_KILL_PROCESS },
		{ "clone", { SIGCHLD }, SECCOMP_RET_KILL_PROCESS },
		{ "kill", { 1, SIGKILL }, SECCOMP_RET_KILL_PROCESS },
		{ "tgkill", { 1, 1, SIGKILL }, SECCOMP_RET_KILL_PROCESS },
		{ "tgkill", { 1, 1, SIGABRT }, OK },
		{ "ptrace", { 0 }, SECCOMP_RET_KILL_PROCESS },
		{ "prlimit64", { 0, 7, 0, 4096 }, OK },
		{ "prlimit64", { 0, 7, HIGH, 0 }, SECCOMP_RET_KILL_PROCESS },
		{ "unlink", { 0 }, SECCOMP_RET_KILL_PROCESS },
		{ "ioctl", { 0, 0x5412 }, SECCOMP_RET_KILL_PROCESS },
		{ "fcntl", { 0, F_SETOWN }, SECCOMP_RET_KILL_PROCESS },
		{ "socket", { AF_UNIX, SOCK_STREAM, 0 }, SECCOMP_RET_KILL_PROCESS },
		{ "socket", { AF_NETLINK, SOCK_RAW, 0 }, SECCOMP_RET_KILL_PROCESS },
	};
	static const struct demand proxy[] = {
		{ "socket", { AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0 }, OK },
		{ "socket", { AF_INET6, SOCK_DGRAM, 0 }, OK },
		{ "socket", { AF_INET, SOCK_RAW, 0 }, SECCOMP_RET_KILL_PROCESS },
		{ "connect", { 3 }, OK },
	};
	static const struct demand keeper[] = {
		{ "socket", { AF_INET, SOCK_STREAM, 0 }, SECCOMP_RET_KILL_PROCESS },
		{ "connect", { 3 }, SECCOMP_RET_KILL_PROCESS },
		{ "accept4", { 3 }, SECCOMP_RET_KILL_PROCESS },
		{ "sendto", { 3 }, SECCOMP_RET_KILL_PROCESS },
	};
	static const struct demand ssh[] = {
		{ "socket", { AF_INET, SOCK_STREAM, 0 }, SECCOMP_RET_KILL_PROCESS },
		{ "connect", { 3 }, SECCOMP_RET_KILL_PROCESS },
		{ "accept4", { 3 }, SECCOMP_RET_KILL_PROCESS },
		{ "ioctl", { 3, TIOCSTI }, SECCOMP_RET_KILL_PROCESS },
		{ "ioctl", { 3, TIOCSWINSZ }, OK },
		{ "sendto", { 3 }, OK },
	};
	(void)state;

	CHECK(CV_SECCOMP_PROXY, list);
	CHECK(CV_SECCOMP_KEEPER, list);
	CHECK(CV_SECCOMP_PROXY, proxy);
	CHECK(CV_SECCOMP_KEEPER, keeper);
	CHECK(CV_SECCOMP_SSH, list);
	CHECK(CV_SECCOMP_SSH, ssh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(p1_every_number_gets_what_its_row_says),
		cmocka_unit_test(p1_kernel_surface_is_refused),
		cmocka_unit_test(p1_foreign_entry_points_are_closed),
		cmocka_unit_test(p1_a_nested_sandbox_gets_namespaces_and_no_more),
		cmocka_unit_test(p2_other_processes_are_out_of_reach),
		cmocka_unit_test(n3_sockets_of_other_kinds_are_refused),
		cmocka_unit_test(p9_typing_into_the_terminal_is_refused),
		cmocka_unit_test(connect_is_told_to_the_listener),
		cmocka_unit_test(own_processes_cannot_open_exec_or_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
