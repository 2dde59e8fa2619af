/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logfile.c - see logfile.h
 *
 * A file is opened for each append and closed again: thousands of sandboxes would otherwise hold
 * thousands of descriptors for lines that seldom come.
 */
#include "gateway/logfile.h"

#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BEFORE ".1"

/* ---- names ---- */

cv_code logfile_name(const struct logfile_of *of, char ret[LOGFILE_NAME_BYTES], struct cv_err *err)
{
	const int n = snprintf(ret, LOGFILE_NAME_BYTES - sizeof(BEFORE), "%.*s--%.*s--%.*s",
		CV_STR_ARG(of->workspace), CV_STR_ARG(of->name), CV_STR_ARG(of->id));

	/* Names were checked when they were given; a slash would lead elsewhere. */
	if (n < 0 || (size_t)n >= LOGFILE_NAME_BYTES - sizeof(BEFORE) || strchr(ret, '/') ||
		ret[0] == '.')
		return cv_fail(err, CV_INVALID, "a sandbox whose name can't be a file's");
	return CV_OK;
}

static void before_name(const char *file, char ret[LOGFILE_NAME_BYTES])
{
	snprintf(ret, LOGFILE_NAME_BYTES, "%.*s" BEFORE, (int)(LOGFILE_NAME_BYTES - sizeof(BEFORE)),
		file);
}

static bool part_take(struct cv_str *rest, struct cv_str *ret)
{
	for (size_t i = 0; i + 1 < rest->n; i++)
		if (rest->p[i] == '-' && rest->p[i + 1] == '-') {
			*ret = cv_str_slice(*rest, 0, i);
			*rest = cv_str_slice(*rest, i + 2, rest->n);
			return true;
		}
	return false;
}

bool logfile_parse(const char *file, struct logfile_of *ret)
{
	struct cv_str rest = cv_str_of(file);

	if (rest.n >= LOGFILE_NAME_BYTES - sizeof(BEFORE) || !part_take(&rest, &ret->workspace) ||
		!part_take(&rest, &ret->name))
		return false;
	ret->id = rest;
	return rest.n && cv_str_find_byte(rest, '.') == rest.n;
}

/* ---- records ---- */

void logfile_record_put(struct cv_buf *b, struct cv_str line)
{
	cv_buf_put_u32be(b, (uint32_t)line.n);
	cv_buf_put(b, line);
}

bool logfile_record_next(struct cv_str *rest, struct cv_str *ret)
{
	const unsigned char *p = (const unsigned char *)rest->p;

	if (rest->n < 4)
		return false;
	const uint32_t n = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	if (!n || n > LOGFILE_LINE_BYTES_MAX || n > rest->n - 4)
		return false;
	*ret = cv_str_slice(*rest, 4, 4 + (size_t)n);
	*rest = cv_str_slice(*rest, 4 + (size_t)n, rest->n);
	return true;
}

/* ---- writing ---- */

static cv_code all_write(int fd, off_t end, struct cv_str s, struct cv_err *err)
{
	while (s.n) {
		const ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			const int why = n < 0 ? errno : ENOSPC;

			if (ftruncate(fd, end) < 0) /* no half record, if that can be helped */
				return cv_fail_errno(err, "cut a log");
			errno = why;
			return cv_fail_errno(err, "write a log");
		}
		s = cv_str_slice(s, (size_t)n, s.n);
	}
	return CV_OK;
}

static int file_open(int dir, const char *file, int flags)
{
	return openat(dir, file, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
}

cv_code logfile_append(
	int dir, const struct logfile_of *of, struct cv_str records, struct cv_err *err)
{
	char file[LOGFILE_NAME_BYTES], before[LOGFILE_NAME_BYTES];
	const int flags = O_WRONLY | O_APPEND | O_CREAT;
	struct stat st;
	cv_code code = logfile_name(of, file, err);

	if (code != CV_OK)
		return code;
	CV_AUTO_FD int fd = file_open(dir, file, flags);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cv_fail_errno(err, "open a log");
	if (st.st_size && (size_t)st.st_size + records.n > LOGFILE_BYTES_MAX) {
		before_name(file, before);
		if (renameat(dir, file, dir, before) < 0)
			return cv_fail_errno(err, "rename a log");
		close(fd);
		fd = file_open(dir, file, flags);
		if (fd < 0)
			return cv_fail_errno(err, "open a log");
		st.st_size = 0;
	}
	return all_write(fd, st.st_size, records, err);
}

void logfile_remove(int dir, const struct logfile_of *of)
{
	char file[LOGFILE_NAME_BYTES], before[LOGFILE_NAME_BYTES];
	struct cv_err err;

	if (logfile_name(of, file, &err) != CV_OK)
		return;
	before_name(file, before);
	unlinkat(dir, before, 0);
	unlinkat(dir, file, 0);
}

/* ---- reading ---- */

static cv_code one_read(int dir, const char *file, struct cv_buf *ret, struct cv_err *err)
{
	CV_AUTO_FD int fd = file_open(dir, file, O_RDWR);
	const size_t from = cv_buf_len(ret);
	struct cv_str rest, record;
	char *to;

	if (fd < 0)
		return errno == ENOENT ? CV_OK : cv_fail_errno(err, "open a log");
	for (;;) {
		to = cv_buf_reserve(ret, LOGFILE_LINE_BYTES_MAX);
		if (!to)
			return cv_fail(err, CV_LIMIT, "a log is longer than it should be");
		const ssize_t n = read(fd, to, LOGFILE_LINE_BYTES_MAX);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cv_fail_errno(err, "read a log");
		if (n == 0)
			break;
		cv_buf_commit(ret, (size_t)n);
	}
	rest = cv_str_slice(cv_buf_str(ret), from, cv_buf_len(ret));
	const size_t all = rest.n;
	while (logfile_record_next(&rest, &record))
		;
	if (rest.n) {
		(void)!ftruncate(fd, (off_t)(all - rest.n));
		ret->end -= rest.n;
	}
	return CV_OK;
}

cv_code logfile_read(int dir, const struct logfile_of *of, struct cv_buf *ret, struct cv_err *err)
{
	char file[LOGFILE_NAME_BYTES], before[LOGFILE_NAME_BYTES];
	cv_code code = logfile_name(of, file, err);

	if (code != CV_OK)
		return code;
	before_name(file, before);
	code = one_read(dir, before, ret, err);
	return code == CV_OK ? one_read(dir, file, ret, err) : code;
}

/* ---- all of them ---- */

static DIR *all_open(int dir)
{
	const int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d && fd >= 0)
		close(fd);
	return d;
}

static int64_t last_ms(int dir, const char *file)
{
	struct stat st;

	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

bool logfile_find(int dir, struct cv_str workspace, struct cv_str id_or_name,
	char file[LOGFILE_NAME_BYTES], struct logfile_of *ret)
{
	DIR *d = all_open(dir);
	int64_t newest = -1;
	const struct dirent *e;
	struct logfile_of of;

	while (d && (e = readdir(d))) {
		if (!logfile_parse(e->d_name, &of) ||
			(!cv_str_eq(id_or_name, of.id) &&
				!(cv_str_eq(id_or_name, of.name) &&
					cv_str_eq(workspace, of.workspace))))
			continue;
		const int64_t ms = last_ms(dir, e->d_name);
		if (ms > newest) {
			newest = ms;
			snprintf(file, LOGFILE_NAME_BYTES, "%.*s", LOGFILE_NAME_BYTES - 1,
				e->d_name);
		}
	}
	if (d)
		closedir(d);
	return newest >= 0 && logfile_parse(file, ret);
}

struct gone {
	char file[LOGFILE_NAME_BYTES];
	int64_t ms;
};

static int gone_cmp(const void *a, const void *b)
{
	const int64_t x = ((const struct gone *)a)->ms, y = ((const struct gone *)b)->ms;

	return (x < y) - (x > y); /* the newest first */
}

void logfile_sweep(
	int dir, int64_t unix_ms, bool (*is_there)(void *arg, struct cv_str id), void *arg)
{
	DIR *d = all_open(dir);
	struct gone *v = NULL;
	size_t n = 0, cap = 0;
	const struct dirent *e;
	struct logfile_of of;

	while (d && (e = readdir(d))) {
		if (!logfile_parse(e->d_name, &of) || is_there(arg, of.id))
			continue;
		if (n == cap) {
			struct gone *more = reallocarray(v, cap ? 2 * cap : 64, sizeof(*v));

			if (!more)
				break;
			v = more;
			cap = cap ? 2 * cap : 64;
		}
		v[n].ms = last_ms(dir, e->d_name);
		snprintf(
			v[n++].file, LOGFILE_NAME_BYTES, "%.*s", LOGFILE_NAME_BYTES - 1, e->d_name);
	}
	if (d)
		closedir(d);
	if (n)
		qsort(v, n, sizeof(*v), gone_cmp);
	for (size_t i = 0; i < n; i++)
		if ((i >= LOGFILE_GONE_MAX || unix_ms - v[i].ms >= LOGFILE_KEPT_MS) &&
			logfile_parse(v[i].file, &of))
			logfile_remove(dir, &of);
	free(v);
}
