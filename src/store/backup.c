/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup.c - copies of a store, and back
 *
 * A backup is a SQLite file with the records, whatever the store is: so one taken of PostgreSQL can
 * be restored into SQLite, and the other way round.  It is written under another name in the same
 * directory and renamed when it is whole and on the disk; so there is never half a backup under the
 * name that was asked for, and the one from before stays until then.
 *
 * A restore is one transaction: whoever reads sees the old records or the new ones, and a failure
 * leaves the old ones.
 */
#include "store/store_int.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct copy {
	struct cv_store *to;
	cv_code code;
	struct cv_err *err;
};

static bool copy_each(void *arg, struct cv_str kind, const struct cv_record *r)
{
	struct copy *c = arg;

	c->code = c->to->ops->fill(c->to, kind, r, c->err);
	return c->code == CV_OK;
}

/* Instead of what is there. */
static cv_code records_copy(struct cv_store *from, struct cv_store *to, struct cv_err *err)
{
	struct copy c = { .to = to, .err = err };
	cv_code code = to->ops->begin(to, err);

	if (code != CV_OK)
		return code;
	code = to->ops->clear(to, err);
	if (code == CV_OK)
		code = from->ops->all(from, copy_each, &c, err);
	if (code == CV_OK)
		code = c.code;
	if (code == CV_OK)
		return to->ops->end(to, true, err);
	struct cv_err ignored;
	(void)!to->ops->end(to, false, &ignored);
	return code;
}

static cv_code file_write(struct cv_store *s, const char *path, struct cv_err *err)
{
	struct cv_store *to;

	if (s->ops->copy)
		return s->ops->copy(s, path, err);
	cv_code code = cv_store_open_scratch(path, &to, err);
	if (code != CV_OK)
		return code;
	code = records_copy(s, to, err);
	if (code == CV_OK)
		code = store_sqlite_settle(to, err);
	cv_store_close(to);
	return code;
}

/* The name, too, is on the disk. */
static cv_code rename_durably(const char *from, const char *to, struct cv_err *err)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(to, '/');
	const struct cv_str in =
		slash ? cv_str_range(to, slash == to ? slash + 1 : slash) : CV_STR(".");
	CV_AUTO_FD int file = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (!cv_str_to_cstr(in, dir, sizeof(dir)))
		return cv_fail(err, CV_LIMIT, "%s: too long", to);
	CV_AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file < 0 || fsync(file) < 0 || rename(from, to) < 0 || fd < 0 || fsync(fd) < 0)
		return cv_fail_errno(err, "write %s", to);
	return CV_OK;
}

static void leftovers_remove(const char *path)
{
	static const char *const suffix[] = { "", "-wal", "-shm", "-journal" };
	char name[PATH_MAX];

	for (size_t i = 0; i < CV_ARRAY_LEN(suffix); i++)
		if (snprintf(name, sizeof(name), "%s%s", path, suffix[i]) < (int)sizeof(name))
			(void)unlink(name);
}

cv_code cv_store_backup(struct cv_store *s, const char *path, struct cv_err *err)
{
	char name[PATH_MAX];

	if (snprintf(name, sizeof(name), "%s.new", path) >= (int)sizeof(name) - 16)
		return cv_fail(err, CV_LIMIT, "%s: too long", path);
	leftovers_remove(name); /* of a backup that was stopped */
	cv_code code = file_write(s, name, err);
	if (code == CV_OK)
		code = rename_durably(name, path, err);
	leftovers_remove(name);
	return code;
}

cv_code cv_store_backup_check(const char *path, struct cv_err *err)
{
	struct cv_store *from;
	const cv_code code = store_open_backup(path, &from, err);

	if (code == CV_OK)
		cv_store_close(from);
	return code;
}

cv_code cv_store_restore(struct cv_store *s, const char *path, struct cv_err *err)
{
	struct cv_store *from;
	cv_code code = store_open_backup(path, &from, err);

	if (code != CV_OK)
		return code;
	code = records_copy(from, s, err);
	cv_store_close(from);
	return code;
}
