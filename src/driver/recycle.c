/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recycle.c - directories of sandboxes that went, for those that come
 *
 *     sandboxes/ID/ {run, policy.yaml} --remove--> recycled/N/ {run, policy.yaml} --start--> sandboxes/ID'/
 *                                                    + workspace/, log, both new
 *
 * To make a file and to remove it is most of what a file system has to do for a sandbox that lives
 * for a moment: inodes are searched for, and some file systems spare those that were freed in the
 * last seconds and look at each of them for every new one. To rename a directory is one entry here
 * and one there.
 *
 * Only what nobody but the owner of the driver ever wrote is used again: not the workspace, which
 * was the agent's and may have modes and attributes from it, and not the log, which some process
 * may have open still. These are new ones, made when a sandbox goes, for which nobody waits,
 * instead of when one comes.  A directory in which there is anything else is removed as ever. What
 * the files say is void (`run`) or written over before it is read (`policy.yaml`). After a restart
 * what is there is removed.
 */
#include "driver/driver_int.h"

#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define DIRS_MAX 64 /* as many sandboxes as come and go in the time between two starts of each */

static const char *const kept[] = { ".", "..", "run", "policy.yaml" };

static void name_of(uint32_t number, char text[16])
{
	snprintf(text, 16, "%u", number);
}

static bool is_kept(const char *name)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(kept); i++)
		if (strcmp(name, kept[i]) == 0)
			return true;
	return false;
}

static bool has_kept_alone(const struct cv_driver *d, const char *id)
{
	CV_AUTO_FD int fd =
		openat(d->sandboxes, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	bool is_alone = list != NULL;

	if (!list)
		return false;
	(void)cv_take_fd(fd);
	for (struct dirent *e; is_alone && (e = readdir(list));)
		is_alone = is_kept(e->d_name);
	closedir(list);
	return is_alone;
}

/* What can't be made now is made by the start. */
static void rest_make(const struct cv_driver *d, const char *name)
{
	char path[32];

	snprintf(path, sizeof(path), "%s/workspace", name);
	(void)mkdirat(d->recycled, path, 0755);
	snprintf(path, sizeof(path), "%s/log", name);
	CV_AUTO_FD int fd = openat(
		d->recycled, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	(void)fd;
}

bool cv_driver_recycle_put(struct cv_driver *d, struct cv_str id)
{
	char from[CV_DRIVER_ID_BYTES_MAX + 1], to[16];

	if (d->recycled < 0 || d->recycled_count >= DIRS_MAX ||
		!cv_str_to_cstr(id, from, sizeof(from)) || !has_kept_alone(d, from))
		return false;
	name_of(d->recycled_count, to);
	if (renameat(d->sandboxes, from, d->recycled, to) < 0)
		return false;
	rest_make(d, to);
	d->recycled_count++;
	return true;
}

bool cv_driver_recycle_take(struct cv_driver *d, struct cv_str id)
{
	char from[16], to[CV_DRIVER_ID_BYTES_MAX + 1];

	if (!d->recycled_count || !cv_str_to_cstr(id, to, sizeof(to)))
		return false;
	name_of(d->recycled_count - 1, from);
	/* One that was started before has its own. */
	if (syscall(SYS_renameat2, d->recycled, from, d->sandboxes, to, RENAME_NOREPLACE) < 0)
		return false;
	d->recycled_count--;
	return true;
}

static void remove_one(int dir, const char *name)
{
	char path[NAME_MAX + 16];

	for (size_t i = 2; i < CV_ARRAY_LEN(kept); i++) {
		snprintf(path, sizeof(path), "%s/%s", name, kept[i]);
		(void)unlinkat(dir, path, 0);
	}
	snprintf(path, sizeof(path), "%s/log", name);
	(void)unlinkat(dir, path, 0);
	snprintf(path, sizeof(path), "%s/workspace", name);
	(void)unlinkat(dir, path, AT_REMOVEDIR);
	(void)unlinkat(dir, name, AT_REMOVEDIR);
}

void cv_driver_recycle_open(struct cv_driver *d, struct cv_str state)
{
	char path[PATH_MAX];
	DIR *list;

	if ((size_t)snprintf(path, sizeof(path), "%.*s/recycled", CV_STR_ARG(state)) >=
			sizeof(path) ||
		(mkdir(path, 0700) < 0 && errno != EEXIST))
		return; /* then each directory is made, and removed */
	d->recycled = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	list = d->recycled < 0 ? NULL : opendir(path);
	for (struct dirent *e; list && (e = readdir(list));)
		if (e->d_name[0] != '.')
			remove_one(d->recycled, e->d_name);
	if (list)
		closedir(list);
}
