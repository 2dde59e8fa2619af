/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp-gen.c - makes the BPF programs of src/sys/seccomp_table.h; runs at build time only
 *
 *     seccomp-gen > seccomp_filters.h
 *
 * libseccomp turns rows into a search tree over numbers and checks of arguments, with the default
 * of the profile; nothing that cove installs links it.  This program puts a head in front, for what one
 * default and positive rules cannot say (2, 3 and 4 of AGENT alone), and for what is most of its table:
 *
 *   1. a foreign architecture is killed (libseccomp's part says so again)
 *   2. x32 numbers, and numbers after the last that the table knows: ENOSYS
 *   3. the refusals by argument: EPERM
 *   4. calls that are permitted whatever their arguments, by ranges of numbers: there are a quarter as many
 *      of these as calls, and a filter is compiled by the kernel for each process that installs it
 *
 * Jumps in BPF are relative and forward, so a program keeps its meaning behind a head that falls
 * through into it.
 */
#include <assert.h> /* static_assert */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/seccomp_agent.h"
#include "sys/seccomp_own.h"

#define X32_BIT        0x40000000u
#define NAME_BYTES_MAX 64

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "which AUDIT_ARCH is this?"
#endif

struct profile {
	const char *name;
	uint32_t otherwise; /* the default */
	bool is_agent;      /* has the long head, and a table of all calls */
	uint32_t connect;   /* what connect() gets, in an agent's */
	const struct cv_seccomp_call_row *calls;
	size_t call_count;
	const struct cv_seccomp_arg_row *permits, *refusals;
	const struct cv_seccomp_call_row *instead; /* of all other rows of their names */
	size_t instead_count;
};

#define ROWS(a) a, sizeof(a) / sizeof(*(a))

static const struct profile profiles[] = {
	{ "agent", SCMP_ACT_ERRNO(EPERM), true, SCMP_ACT_ALLOW, ROWS(cv_seccomp_agent_calls),
		cv_seccomp_agent_permits, cv_seccomp_agent_refusals, NULL, 0 },
	{ "agent_notify", SCMP_ACT_ERRNO(EPERM), true, SCMP_ACT_NOTIFY,
		ROWS(cv_seccomp_agent_calls), cv_seccomp_agent_permits, cv_seccomp_agent_refusals,
		NULL, 0 },
	{ "nested", SCMP_ACT_ERRNO(EPERM), true, SCMP_ACT_ALLOW, ROWS(cv_seccomp_agent_calls),
		cv_seccomp_agent_permits, cv_seccomp_agent_refusals,
		ROWS(cv_seccomp_nested_calls) },
	{ "nested_notify", SCMP_ACT_ERRNO(EPERM), true, SCMP_ACT_NOTIFY,
		ROWS(cv_seccomp_agent_calls), cv_seccomp_agent_permits, cv_seccomp_agent_refusals,
		ROWS(cv_seccomp_nested_calls) },
	{ "proxy", SCMP_ACT_KILL_PROCESS, false, 0, ROWS(cv_seccomp_proxy_calls),
		cv_seccomp_proxy_permits, cv_seccomp_own_refusals, NULL, 0 },
	{ "keeper", SCMP_ACT_KILL_PROCESS, false, 0, ROWS(cv_seccomp_keeper_calls),
		cv_seccomp_keeper_permits, cv_seccomp_own_refusals, NULL, 0 },
	{ "ssh", SCMP_ACT_KILL_PROCESS, false, 0, ROWS(cv_seccomp_ssh_calls),
		cv_seccomp_ssh_permits, cv_seccomp_own_refusals, NULL, 0 },
};

struct program {
	struct sock_filter insns[BPF_MAXINSNS];
	unsigned count;
};

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("seccomp-gen: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

/* The number of a name; -1 where this architecture has no such call. */
static int number_of(const char *name)
{
	for (size_t i = 0; i < sizeof(cv_seccomp_new_numbers) / sizeof(*cv_seccomp_new_numbers);
		i++)
		if (strcmp(cv_seccomp_new_numbers[i].name, name) == 0)
			return cv_seccomp_new_numbers[i].nr;
	int nr = seccomp_syscall_resolve_name(name);

	if (nr == __NR_SCMP_ERROR)
		die("%s: no such system call", name);
	return nr < 0 ? -1 : nr;
}

static uint32_t action_of(enum cv_seccomp_verdict verdict)
{
	switch (verdict) {
	case CV_SECCOMP_PERMIT: return SCMP_ACT_ALLOW;
	case CV_SECCOMP_EPERM: return SCMP_ACT_ERRNO(EPERM);
	case CV_SECCOMP_ENOSYS: return SCMP_ACT_ERRNO(ENOSYS);
	case CV_SECCOMP_PRETEND: return SCMP_ACT_ERRNO(0);
	}
	die("verdict %d", (int)verdict);
}

static bool is_listed(const char *names, const char *name)
{
	const size_t n = strlen(name);

	for (const char *s = names; (s = strstr(s, name)); s += n)
		if ((s == names || s[-1] == ' ') && (s[n] == ' ' || s[n] == '\0'))
			return true;
	return false;
}

/* Whether a profile has a row of its own for what another's row is about. */
static bool is_replaced(const struct profile *p, const char *name)
{
	for (size_t i = 0; i < p->instead_count; i++)
		if (is_listed(p->instead[i].names, name))
			return true;
	return false;
}

/* Adds every name of a row; marks the numbers as known, and those that are permitted for the head. */
static void add_call_row(scmp_filter_ctx ctx, const struct profile *p,
	const struct cv_seccomp_call_row *row, bool is_instead, bool *known, bool *permitted)
{
	const uint32_t action = action_of(row->verdict);

	for (const char *s = row->names; *s;) {
		const size_t n = strcspn(s, " ");
		char name[NAME_BYTES_MAX];

		if (n == 0 || n >= sizeof(name))
			die("bad names: %s", row->names);
		memcpy(name, s, n);
		name[n] = '\0';
		s += n + (s[n] == ' ');

		const int nr = number_of(name);

		if (nr < 0 || (!is_instead && is_replaced(p, name)))
			continue;
		if (known[nr])
			die("%s: %s has two rows", p->name, name);
		known[nr] = true;
		if (p->is_agent && action == SCMP_ACT_ALLOW) {
			permitted[nr] = true;
			continue;
		}
		if (action == p->otherwise)
			continue; /* the default, said aloud for the reader */
		const int rc = seccomp_rule_add(ctx, action, nr, 0);

		if (rc < 0)
			die("%s: %s: %s", p->name, name, strerror(-rc));
	}
}

static void add_arg_row(scmp_filter_ctx ctx, const struct profile *p,
	const struct cv_seccomp_arg_row *row, bool *known)
{
	struct scmp_arg_cmp cmp[CV_SECCOMP_CMP_MAX];
	const int nr = number_of(row->name);

	if (nr < 0 || is_replaced(p, row->name))
		return;
	for (unsigned i = 0; i < row->cmp_count; i++)
		cmp[i] = (struct scmp_arg_cmp){ .arg = row->cmp[i].arg,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = row->cmp[i].mask,
			.datum_b = row->cmp[i].value };
	const int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, row->cmp_count, cmp);

	if (rc < 0)
		die("%s: %s: %s", p->name, row->name, strerror(-rc));
	known[nr] = true;
}

static void put(struct program *out, struct sock_filter insn)
{
	if (out->count == BPF_MAXINSNS)
		die("program too long");
	out->insns[out->count++] = insn;
}

static void put_load(struct program *out, size_t offset)
{
	put(out, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* A refusal: number, then each argument; whatever differs jumps behind it.  A has the number at
 * the start and at the end. */
static void put_refusal(struct program *out, const struct cv_seccomp_arg_row *row)
{
	const int nr = number_of(row->name);
	const uint8_t body = (uint8_t)(row->cmp_count * 2 + 2); /* compares, EPERM, reload */

	if (nr < 0)
		return;
	put(out, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, body));
	for (unsigned i = 0; i < row->cmp_count; i++) {
		const struct cv_seccomp_cmp *c = &row->cmp[i];
		const uint8_t to_reload = (uint8_t)((row->cmp_count - 1 - i) * 2 + 1);

		if (c->mask != CV_SECCOMP_LOW32)
			die("%s: a refusal compares all of 32 bits", row->name);
		put_load(out, offsetof(struct seccomp_data, args) +
				      c->arg * sizeof(uint64_t)); /* little endian */
		put(out, (struct sock_filter)BPF_JUMP(
				 BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)c->value, 0, to_reload));
	}
	put(out, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
	put_load(out, offsetof(struct seccomp_data, nr));
}

static void put_head(struct program *out, const struct profile *p)
{
	const struct sock_filter enosys = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);

	put_load(out, offsetof(struct seccomp_data, arch));
	put(out, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0));
	put(out, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
	if (!p->is_agent)
		return;
	put_load(out, offsetof(struct seccomp_data, nr));
	/* x32 numbers are greater than every native one, so one comparison refuses both. */
	static_assert(CV_SECCOMP_NR_MAX < X32_BIT, "x32 numbers would pass");
	put(out, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, CV_SECCOMP_NR_MAX, 0, 1));
	put(out, enosys);
	for (const struct cv_seccomp_arg_row *r = p->refusals; r->name; r++)
		put_refusal(out, r);
}

/* ---- permitted calls, by ranges ---- */

struct range {
	uint32_t first; /* up to the next one's */
	bool is_permitted;
};

/* Where ranges [from, to) are told apart, by halves.  `end` is where a permitted one leads; what is not goes
 * on behind that. */
static void put_halves(
	struct program *out, const struct range *v, unsigned from, unsigned to, unsigned end)
{
	const unsigned middle = (from + to) / 2, at = out->count;
	unsigned jump[2]; /* below the middle's first number; from there on */

	if (to - from < 2)
		return;
	put(out, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, v[middle].first, 0, 0));
	jump[0] = middle - from > 1 ? out->count : v[from].is_permitted ? end : end + 1;
	put_halves(out, v, from, middle, end);
	jump[1] = to - middle > 1 ? out->count : v[middle].is_permitted ? end : end + 1;
	put_halves(out, v, middle, to, end);
	for (int i = 0; i < 2; i++)
		if (jump[i] - at - 1 > UINT8_MAX)
			die("too many ranges");
	out->insns[at].jf = (uint8_t)(jump[0] - at - 1);
	out->insns[at].jt = (uint8_t)(jump[1] - at - 1);
}

static void put_permitted(struct program *out, const bool *permitted)
{
	static struct range v[CV_SECCOMP_NR_MAX + 3];
	unsigned n = 0;

	v[n++] = (struct range){ 0, permitted[0] };
	for (uint32_t nr = 1; nr <= CV_SECCOMP_NR_MAX; nr++)
		if (permitted[nr] != v[n - 1].is_permitted)
			v[n++] = (struct range){ nr, permitted[nr] };
	if (v[n - 1].is_permitted)
		v[n++] = (struct range){ CV_SECCOMP_NR_MAX + 1, false };
	put_load(out, offsetof(struct seccomp_data, nr));
	put_halves(out, v, 0, n, out->count + n - 1);
	put(out, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

/* Appends what libseccomp makes of the rules. */
static void put_rules(struct program *out, scmp_filter_ctx ctx)
{
	const int fd = memfd_create("bpf", MFD_CLOEXEC);
	int rc;

	if (fd < 0)
		die("memfd: %s", strerror(errno));
	rc = seccomp_export_bpf(ctx, fd);
	if (rc < 0)
		die("export: %s", strerror(-rc));
	if (lseek(fd, 0, SEEK_SET) < 0)
		die("lseek: %s", strerror(errno));
	for (struct sock_filter insn;;) {
		const ssize_t n = read(fd, &insn, sizeof(insn));

		if (n == 0)
			break;
		if (n != (ssize_t)sizeof(insn))
			die("short read of the program");
		put(out, insn);
	}
	close(fd);
}

/* Every call that libseccomp knows must have a row in an agent's table. */
static void check_complete(const struct profile *p, const bool *known)
{
	bool is_missing = false;

	for (int nr = 0; nr <= CV_SECCOMP_NR_MAX; nr++) {
		if (known[nr])
			continue;
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (name) {
			fprintf(stderr, "seccomp-gen: %s: %s (%d) has no row\n", p->name, name, nr);
			is_missing = true;
		}
		free(name);
	}
	if (is_missing)
		die("%s: incomplete", p->name);
}

static void make(struct program *out, const struct profile *p)
{
	bool known[CV_SECCOMP_NR_MAX + 1] = { false }, permitted[CV_SECCOMP_NR_MAX + 1] = { false };
	scmp_filter_ctx ctx = seccomp_init(p->otherwise);

	if (!ctx || seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0 ||
		seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0)
		die("libseccomp is too old");
	for (size_t i = 0; i < p->instead_count; i++)
		add_call_row(ctx, p, &p->instead[i], true, known, permitted);
	for (size_t i = 0; i < p->call_count; i++)
		add_call_row(ctx, p, &p->calls[i], false, known, permitted);
	for (const struct cv_seccomp_arg_row *r = p->permits; r->name; r++)
		add_arg_row(ctx, p, r, known);
	if (p->is_agent) {
		const int nr = number_of("connect");
		const int rc = seccomp_rule_add(ctx, p->connect, nr, 0);

		if (rc < 0)
			die("connect: %s", strerror(-rc));
		known[nr] = true;
		check_complete(p, known);
	}
	put_head(out, p);
	if (p->is_agent)
		put_permitted(out, permitted);
	put_rules(out, ctx);
	seccomp_release(ctx);
}

int main(void)
{
	static struct program program;

	/* What the build host's kernel can do is no matter. */
	if (seccomp_api_set(5) < 0)
		die("libseccomp is too old");
	puts("/* Made by tools/seccomp-gen.c; see src/sys/seccomp_table.h. */\n#include <linux/filter.h>");
	for (size_t i = 0; i < sizeof(profiles) / sizeof(*profiles); i++) {
		program.count = 0;
		make(&program, &profiles[i]);
		printf("\nstatic const struct sock_filter %s_insns[%u] = {\n", profiles[i].name,
			program.count);
		for (unsigned k = 0; k < program.count; k++)
			printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", program.insns[k].code,
				program.insns[k].jt, program.insns[k].jf, program.insns[k].k);
		puts("};");
	}
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
