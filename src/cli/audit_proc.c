/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_proc.c - what is searched of a process; see audit_proc.h
 *
 * Memory is what is in RAM or swap of the mappings that can be read: /proc/PID/pagemap tells which
 * pages are there, so that terabytes that were only reserved cost nothing.  Streams go on from one
 * page to the next and from one mapping to its neighbour, and end at gaps.
 *
 * Who may read: for memory, environment and descriptors the kernel asks what it asks of a debugger
 * (ptrace(2), "Ptrace access mode checking").  Our own processes are not dumpable, so it takes
 * CAP_SYS_PTRACE; those of the sandbox are in a user namespace of the user's, who has it there.
 */
#include "cli/audit_proc.h"

#include "base/hex.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define TEXT_BYTES_MAX   (8u << 20)    /* argv and environment: the kernel's limit is 6 MiB */
#define MEMORY_BYTES_MAX (64ull << 30) /* of one process */
#define NAMELESS_MAX     (4ull << 30)  /* bytes of a deleted file or memfd */
#define DESCRIPTORS_MAX  100000
#define PAGE_BYTES       4096u
#define ENTRY_PRESENT    (1ull << 63) /* of pagemap(5) */
#define ENTRY_SWAPPED    (1ull << 62)
#define ENTRIES          4096         /* of pagemap, read at a time */
#define RESERVED_MAX     (1ull << 40) /* of a mapping, without PAGEMAP_SCAN: 2 GiB of pagemap */
#define REGIONS          256
#define PIECE_BYTES      (256u << 10)

/* <linux/fs.h> has these since 6.7; pagemap(5) does not yet. */
#ifndef PAGEMAP_SCAN
#define PAGE_IS_PRESENT (1ull << 3)
#define PAGE_IS_SWAPPED (1ull << 4)
struct page_region {
	uint64_t start, end, categories;
};
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

static int proc_open(const struct audit_proc *p, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)p->pid, name);
	return open(path, flags | O_CLOEXEC);
}

static bool is_gone(int error)
{
	return error == ENOENT || error == ESRCH;
}

static void refused(struct audit_row *row, const struct audit_proc *p, const char *what)
{
	if ((errno == EACCES || errno == EPERM) && geteuid() != 0)
		audit_row_unsearched(row, "%s of %d: %s; run as root to search it", what,
			(int)p->pid, strerror(errno));
	else
		audit_row_unsearched(row, "%s of %d: %s", what, (int)p->pid, strerror(errno));
}

static void file_search(struct audit_search *s, struct audit_row *row, const struct audit_proc *p,
	const char *name, const char *where)
{
	CV_AUTO_FD int fd = proc_open(p, name, O_RDONLY);

	if (fd >= 0)
		(void)audit_search_fd(s, row, where, fd, TEXT_BYTES_MAX);
	else if (!is_gone(errno))
		refused(row, p, name);
}

/* ---- the host's ---- */

static void where_of(const struct audit_proc *p, char ret[32])
{
	snprintf(ret, 32, "process %d", (int)p->pid);
}

void audit_proc_search_argv(
	struct audit_search *s, struct audit_row *row, const struct audit_proc *p)
{
	char where[32];

	where_of(p, where);
	file_search(s, row, p, "cmdline", where);
}

void audit_proc_search_environ(
	struct audit_search *s, struct audit_row *row, const struct audit_proc *p)
{
	char where[32];

	where_of(p, where);
	file_search(s, row, p, "environ", where);
}

/* ---- memory ---- */

struct memory {
	struct audit_search *s;
	struct audit_row *row;
	int mem, pagemap;
	uint64_t next; /* the stream goes on here; 0: there is none */
	uint64_t unread;
};

static void stream_end(struct memory *m)
{
	if (m->next)
		audit_search_end(m->s);
	m->next = 0;
}

static void stream_at(struct memory *m, uint64_t at)
{
	if (m->next == at)
		return;
	stream_end(m);
	audit_search_begin(m->s, m->row, "", at);
	m->next = at;
}

static void range_search(struct memory *m, uint64_t from, uint64_t to)
{
	static char piece[PIECE_BYTES];

	while (from < to) {
		const size_t want = (size_t)CV_MIN(to - from, sizeof(piece));
		const ssize_t got = pread(m->mem, piece, want, (off_t)from);

		if (got <= 0) { /* unmapped meanwhile, or a device's */
			m->unread += CV_MIN(to - from, PAGE_BYTES);
			stream_end(m);
			from += PAGE_BYTES;
			continue;
		}
		stream_at(m, from);
		audit_search_feed(m->s, (struct cv_str){ piece, (size_t)got });
		from += (uint64_t)got;
		m->next = from;
	}
	explicit_bzero(piece, sizeof(piece));
}

/* The parts of a mapping that are there, by entries of pagemap: for kernels before 6.7. */
static void entries_search(struct memory *m, uint64_t from, uint64_t to)
{
	static uint64_t entry[ENTRIES];

	if (to - from > RESERVED_MAX) { /* eight bytes to read for each page that isn't there */
		audit_row_unsearched(m->row, "a mapping of %llu GiB, which takes Linux 6.7",
			(unsigned long long)(to - from) >> 30);
		return;
	}
	while (from < to) {
		const size_t n = (size_t)CV_MIN((to - from) / PAGE_BYTES, ENTRIES);
		const ssize_t got = pread(m->pagemap, entry, n * sizeof(entry[0]),
			(off_t)(from / PAGE_BYTES * sizeof(entry[0])));
		if (got < (ssize_t)sizeof(entry[0])) { /* not told: all of it */
			range_search(m, from, to);
			return;
		}
		const size_t told = (size_t)got / sizeof(entry[0]);
		for (size_t i = 0, first; i < told; i++) {
			if (!(entry[i] & (ENTRY_PRESENT | ENTRY_SWAPPED)))
				continue;
			for (first = i; i < told && entry[i] & (ENTRY_PRESENT | ENTRY_SWAPPED); i++)
				;
			range_search(m, from + first * PAGE_BYTES, from + i * PAGE_BYTES);
		}
		from += told * PAGE_BYTES;
	}
}

/* The parts of a mapping that are there. */
static void mapping_search(struct memory *m, uint64_t from, uint64_t to)
{
	struct page_region region[REGIONS];

	while (from < to) {
		struct pm_scan_arg arg = { .size = sizeof(arg),
			.start = from,
			.end = to,
			.vec = (uint64_t)(uintptr_t)region,
			.vec_len = REGIONS,
			.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
			.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED };
		const int n = ioctl(m->pagemap, PAGEMAP_SCAN, &arg);

		if (n < 0 || arg.walk_end <= from) {
			entries_search(m, from, to);
			return;
		}
		for (int i = 0; i < n; i++)
			range_search(m, region[i].start, region[i].end);
		from = arg.walk_end;
	}
}

static bool hex_number(struct cv_str s, uint64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < s.n; i++) {
		const int digit = cv_hex_digit(s.p[i]);

		if (digit < 0 || i == 16)
			return false;
		*ret = *ret << 4 | (uint64_t)digit;
	}
	return s.n > 0;
}

/* A line of maps: from-to perms offset dev inode name. */
static void line_search(struct memory *m, struct cv_str line)
{
	const struct cv_str whole = line;
	struct cv_str to = cv_str_cut(&line, ' ');
	const struct cv_str from = cv_str_cut(&to, '-'), perms = cv_str_cut(&line, ' ');
	uint64_t a, b;

	if (cv_str_has_suffix(whole, CV_STR("[vvar]")) ||
		cv_str_has_suffix(whole, CV_STR("[vvar_vclock]")) ||
		cv_str_has_suffix(whole, CV_STR("[vsyscall]")))
		return; /* the kernel's own pages, the same for all processes */
	if (!hex_number(from, &a) || !hex_number(to, &b) || perms.n < 3) {
		audit_row_unsearched(m->row, "a mapping that can't be understood");
		return;
	}
	if (cv_str_has_prefix(perms, CV_STR("---")))
		return;
	if (m->row->bytes > MEMORY_BYTES_MAX)
		audit_row_unsearched(m->row, "more than %llu GiB", MEMORY_BYTES_MAX >> 30);
	else
		mapping_search(m, a, b);
}

static void maps_search(struct memory *m, FILE *maps)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, maps)) > 0)
		line_search(m, (struct cv_str){ line, (size_t)n - (line[n - 1] == '\n') });
	stream_end(m);
	free(line);
}

static bool process_is_gone(const struct audit_proc *p)
{
	CV_AUTO_FD int fd = proc_open(p, "stat", O_PATH);

	return fd < 0;
}

static void memory_search(struct audit_search *s, struct audit_row *row, const struct audit_proc *p)
{
	CV_AUTO_FD int mem = proc_open(p, "mem", O_RDONLY);
	CV_AUTO_FD int pagemap = proc_open(p, "pagemap", O_RDONLY);
	const int maps_fd = mem < 0 ? -1 : proc_open(p, "maps", O_RDONLY);
	struct memory m = { .s = s, .row = row, .mem = mem, .pagemap = pagemap };
	FILE *maps = maps_fd < 0 ? NULL : fdopen(maps_fd, "re");

	if (!maps) {
		if (maps_fd >= 0)
			close(maps_fd);
		if (!is_gone(errno))
			refused(row, p, "memory");
		return;
	}
	maps_search(&m, maps);
	fclose(maps);
	/* A process that ended while it was read has no memory that could be missed. */
	if (m.unread && !process_is_gone(p))
		audit_row_unsearched(row, "%llu bytes could not be read; look again",
			(unsigned long long)m.unread);
}

/* ---- files without a name ---- */

static void descriptor_search(struct audit_search *s, struct audit_row *row, int dir,
	const struct audit_proc *p, const char *number)
{
	char where[64];
	struct stat st;

	/* Not opened unless it is a file: to open a pipe or a terminal does something to it. */
	if (fstatat(dir, number, &st, 0) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 0)
		return;
	snprintf(where, sizeof(where), "descriptor %.10s", number);
	CV_AUTO_FD int fd = openat(dir, number, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0)
		(void)audit_search_fd(s, row, where, fd, NAMELESS_MAX);
	else if (!is_gone(errno))
		refused(row, p, where);
}

static void descriptors_search(
	struct audit_search *s, struct audit_row *row, const struct audit_proc *p)
{
	int fd = proc_open(p, "fd", O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	unsigned n = 0;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		if (!is_gone(errno))
			refused(row, p, "descriptors");
		return;
	}
	for (const struct dirent *e; (e = readdir(dir)) && n < DESCRIPTORS_MAX; n++)
		if (e->d_name[0] != '.')
			descriptor_search(s, row, dirfd(dir), p, e->d_name);
	if (n == DESCRIPTORS_MAX)
		audit_row_unsearched(row, "more than %d descriptors", DESCRIPTORS_MAX);
	closedir(dir);
}

/* ---- a process of a run ---- */

static void keeper_row(struct audit_report *r, pid_t run, const struct audit_proc *p)
{
	audit_row_add(r, run, "process", "%s %d", p->comm, (int)p->pid)->exempt =
		"where values must be";
}

void audit_proc_search(struct audit_search *s, struct audit_report *r, pid_t run,
	const struct audit_proc *p, enum audit_role role)
{
	struct audit_row *row;

	row = audit_row_add(r, run, "arguments", "%s %d", p->comm, (int)p->pid);
	file_search(s, row, p, "cmdline", "");
	file_search(s, row, p, "comm", "comm");
	if (role == AUDIT_ROLE_KEEPER) {
		keeper_row(r, run, p);
		return;
	}
	row = audit_row_add(r, run, "environment", "%s %d", p->comm, (int)p->pid);
	file_search(s, row, p, "environ", "");
	row = audit_row_add(r, run, "memory", "%s %d", p->comm, (int)p->pid);
	memory_search(s, row, p);
	row = audit_row_add(r, run, "nameless files", "%s %d", p->comm, (int)p->pid);
	if (role == AUDIT_ROLE_SUPERVISOR)
		row->exempt = "holds the sealed memory that a new keeper would be given";
	else
		descriptors_search(s, row, p);
}

/* ---- cores ---- */

/* The hard limit, from a line such as "Max core file size  0  0  bytes". */
static bool core_is_limited(const struct audit_proc *p)
{
	CV_AUTO_FD int fd = proc_open(p, "limits", O_RDONLY);
	char text[4096];
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	struct cv_str rest = { text, n > 0 ? (size_t)n : 0 };

	while (rest.n) {
		struct cv_str line = cv_str_cut(&rest, '\n');

		if (cv_str_has_prefix(line, CV_STR("Max core file size")))
			return cv_str_has_prefix(
				cv_str_trim(cv_str_slice(line, 18, line.n)), CV_STR("0 "));
	}
	return false;
}

/* Files of a process that isn't dumpable belong to root, whoever it runs as (proc(5)). */
static bool is_undumpable(const struct audit_proc *p)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)p->pid);
	return stat(path, &st) == 0 && st.st_uid != p->euid;
}

void audit_core_look(struct audit_report *r, pid_t run, const struct audit_proc *p)
{
	CV_AUTO_FD int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
	struct audit_row *row = audit_row_add(r, run, "core", "%s %d", p->comm, (int)p->pid);
	char pattern[256] = "";
	const ssize_t n = fd < 0 ? -1 : read(fd, pattern, sizeof(pattern) - 1);

	if (is_undumpable(p))
		return; /* no core, whatever the limit and the pattern are */
	if (n <= 0)
		audit_row_unsearched(row, "core_pattern can't be read");
	else if (!core_is_limited(p))
		audit_row_unsearched(row, "a crash would write its memory: core limit not 0");
	else if (pattern[0] == '|')
		audit_row_unsearched(row,
			"core_pattern is a pipe, which the core limit of 0 does not stop; whether a "
			"process of root is dumpable can't be seen");
}
