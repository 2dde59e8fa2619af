/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_files.c - see audit_files.h
 *
 * Mounts are read from /proc/PID/mountinfo and walked through /proc/PID/root, each for itself: a
 * directory that is another mount's is left to that one.  The tree belongs to somebody hostile who
 * is at work in it, so links are read and not followed, nothing but regular files is opened, each
 * step is relative to an open directory, and depth, entries and bytes have limits.  What is beyond
 * a limit was not searched, and the row says so.
 */
#include "cli/audit_files.h"

#include "sys/fd.h"
#include "sys/openat2.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define DEPTH_MAX      128 /* directories, a descriptor for each; trees of packages have 30 */
#define ENTRIES_MAX    5000000u
#define MOUNTS_MAX     4096
#define AUDIT_FILE_MAX (64ull << 30)

struct mount {
	char *point, *type;
	bool is_writable;
};

struct walk {
	struct audit_search *s;
	struct audit_row *row;
	struct mount mount[MOUNTS_MAX];
	size_t mount_count;
	uint64_t left;    /* bytes */
	uint32_t entries; /* seen */
	char path[2 * PATH_MAX];
	size_t path_n;
};

/* ---- mounts ---- */

/* \040 and the like, in place. */
static void unescape(char *z)
{
	char *to = z;

	for (const char *p = z; *p; p++, to++) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] && p[3]) {
			*to = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 3;
		} else {
			*to = *p;
		}
	}
	*to = '\0';
}

static char *text_of(struct cv_str s)
{
	return cv_str_dup(s);
}

/* id parent dev root POINT OPTIONS tags... - TYPE source options */
static bool mount_parse(struct cv_str line, struct mount *m)
{
	struct cv_str field[6];

	for (size_t i = 0; i < CV_ARRAY_LEN(field); i++)
		field[i] = cv_str_cut(&line, ' ');
	while (line.p && !cv_str_eq(cv_str_cut(&line, ' '), CV_STR("-")))
		;
	*m = (struct mount){ text_of(field[4]), text_of(cv_str_cut(&line, ' ')),
		cv_str_has_prefix(field[5], CV_STR("rw")) };
	if (m->point)
		unescape(m->point);
	return m->point && m->type && *m->point == '/' && *m->type;
}

static bool mounts_read(struct walk *w, const struct audit_proc *in)
{
	char path[64], *line = NULL;
	size_t cap = 0;
	bool is_ok = true;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)in->pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	while (is_ok && (n = getline(&line, &cap, f)) > 0) {
		struct mount m = { 0 };

		is_ok = w->mount_count < MOUNTS_MAX &&
			mount_parse((struct cv_str){ line, (size_t)n - 1 }, &m);
		if (is_ok) {
			w->mount[w->mount_count++] = m;
		} else {
			free(m.point);
			free(m.type);
		}
	}
	is_ok = is_ok && !ferror(f) && w->mount_count;
	free(line);
	fclose(f);
	return is_ok;
}

static bool is_under(const char *path, const char *dir)
{
	const size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* What is nobody's writing, or was on the host's system before there was a sandbox. */
static const char *exempt_of(const struct mount *m)
{
	static const char *const kernels[] = { "proc", "sysfs", "cgroup", "cgroup2", "devpts",
		"mqueue", "devtmpfs", "binfmt_misc" };
	static const char *const systems[] = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
		"/libx32", "/etc", "/opt" };

	for (size_t i = 0; i < CV_ARRAY_LEN(kernels); i++)
		if (!strcmp(m->type, kernels[i]))
			return "the kernel's own";
	for (size_t i = 0; i < CV_ARRAY_LEN(systems) && !m->is_writable; i++)
		if (is_under(m->point, systems[i]))
			return "the host's system, read-only";
	return NULL;
}

static bool is_mount_point(const struct walk *w, const char *path)
{
	for (size_t i = 0; i < w->mount_count; i++)
		if (!strcmp(w->mount[i].point, path))
			return true;
	return false;
}

/* ---- the walk ---- */

static void name_search(struct walk *w, const char *name, const char *what)
{
	audit_search_begin(w->s, w->row, what, 0);
	audit_search_feed(w->s, cv_str_of(name));
	audit_search_end(w->s);
}

static void lost(struct walk *w, const char *why)
{
	if (errno != ENOENT) /* removed meanwhile */
		audit_row_unsearched(w->row, "%s: %s", w->path, why ? why : strerror(errno));
}

static void regular_search(struct walk *w, int dir, const char *name)
{
	/* O_NONBLOCK: it may have become a pipe. */
	CV_AUTO_FD int fd =
		openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		lost(w, NULL);
		return;
	}
	if (!S_ISREG(st.st_mode))
		return;
	const uint64_t n = audit_search_fd(w->s, w->row, w->path, fd, w->left);
	w->left -= CV_MIN(n, w->left);
}

static void link_search(struct walk *w, int dir, const char *name)
{
	char target[PATH_MAX + 1] = "";

	if (readlinkat(dir, name, target, sizeof(target) - 1) < 0)
		lost(w, NULL);
	else
		name_search(w, target, w->path);
}

static void dir_search(struct walk *w, int fd, unsigned depth);

static void child_search(struct walk *w, int dir, const char *name, unsigned depth)
{
	struct stat st;

	name_search(w, name, "a file's name");
	if (is_mount_point(w, w->path))
		return;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		lost(w, NULL);
		return;
	}
	if (S_ISREG(st.st_mode))
		regular_search(w, dir, name);
	else if (S_ISLNK(st.st_mode))
		link_search(w, dir, name);
	if (!S_ISDIR(st.st_mode))
		return;
	errno = 0;
	if (depth == DEPTH_MAX) {
		lost(w, "too deep");
		return;
	}
	const int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		lost(w, NULL);
	else
		dir_search(w, fd, depth + 1);
}

/* Takes fd. */
static void dir_search(struct walk *w, int fd, unsigned depth) /* NOLINT(misc-no-recursion) */
{
	const size_t n = w->path_n;
	DIR *dir = fdopendir(fd);

	if (!dir) {
		lost(w, NULL);
		close(fd);
		return;
	}
	for (const struct dirent *e; (e = readdir(dir));) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		errno = 0;
		const int more = snprintf(
			w->path + n, sizeof(w->path) - n, "%s%s", n > 1 ? "/" : "", e->d_name);
		if (++w->entries > ENTRIES_MAX || more < 0 || n + (size_t)more >= sizeof(w->path)) {
			w->path[n] = '\0';
			lost(w, "too many files, or too long a path");
			break;
		}
		w->path_n = n + (size_t)more;
		child_search(w, dirfd(dir), e->d_name, depth);
		w->path_n = n;
		w->path[n] = '\0';
	}
	closedir(dir);
}

static void mount_search(struct walk *w, int root, const struct mount *m)
{
	struct stat st;

	w->path_n = (size_t)snprintf(w->path, sizeof(w->path), "%s", m->point);
	const char *below = m->point[1] ? m->point + 1 : ".";
	const int fd = cv_openat2(root, below, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	if (fd < 0 || fstat(fd, &st) < 0) {
		audit_row_unsearched(w->row, "%s: %s", m->point, strerror(errno));
	} else if (S_ISREG(st.st_mode)) {
		CV_AUTO_FD int file =
			cv_openat2(root, below, O_RDONLY | O_NONBLOCK | O_NOCTTY, RESOLVE_IN_ROOT);
		if (file < 0)
			audit_row_unsearched(w->row, "%s: %s", m->point, strerror(errno));
		else
			(void)audit_search_fd(w->s, w->row, w->path, file, w->left);
	} else if (S_ISDIR(st.st_mode)) {
		const int dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (dir < 0)
			audit_row_unsearched(w->row, "%s: %s", m->point, strerror(errno));
		else
			dir_search(w, dir, 0);
	}
	if (fd >= 0)
		close(fd);
}

/* One mounted over another at the same point hides it. */
static bool is_hidden(const struct walk *w, size_t at)
{
	for (size_t i = at + 1; i < w->mount_count; i++)
		if (!strcmp(w->mount[i].point, w->mount[at].point))
			return true;
	return false;
}

void audit_files_search(struct audit_search *s, struct audit_report *r, pid_t run,
	const struct audit_proc *in, uint64_t bytes_max)
{
	struct walk *w = calloc(1, sizeof(*w));
	char path[64];

	if (!w) {
		r->is_overflown = true;
		return;
	}
	w->s = s;
	w->left = bytes_max;
	snprintf(path, sizeof(path), "/proc/%d/root", (int)in->pid);
	CV_AUTO_FD int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || !mounts_read(w, in))
		audit_row_unsearched(audit_row_add(r, run, "files", "all"), "%s: %s", path,
			root < 0 ? strerror(errno) : "its mounts can't be read");
	for (size_t i = 0; root >= 0 && i < w->mount_count; i++) {
		const struct mount *m = &w->mount[i];

		if (is_hidden(w, i) || (!strcmp(m->type, "devtmpfs")))
			continue;
		w->row = audit_row_add(r, run, "files", "%s", m->point);
		w->row->exempt = exempt_of(m);
		if (!w->row->exempt)
			mount_search(w, root, m);
	}
	for (size_t i = 0; i < w->mount_count; i++) {
		free(w->mount[i].point);
		free(w->mount[i].type);
	}
	free(w);
}

void audit_file_search(
	struct audit_search *s, struct audit_report *r, const char *place, const char *path)
{
	struct audit_row *row = audit_row_add(r, 0, place, "%s", path);
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		audit_row_unsearched(row, "%s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		audit_row_unsearched(row, "not a regular file");
	else
		(void)audit_search_fd(s, row, "", fd, AUDIT_FILE_MAX);
}
