/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remove.c - the end of a sandbox's directory
 *
 * What an agent left there may be millions of files, and whoever owns the driver has other things to
 * do.  So a directory that is not all but empty gets another name, and a process of ours, one at a
 * time, removes whatever bears such a name.  What a killed owner left behind is found the same way.
 */
#include "driver/driver_int.h"

#include "sys/child.h"
#include "sys/fd.h"
#include "sys/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define REMOVED \
	"."     \
	"removed-"
#define TRIES 3 /* to remove one: what is added meanwhile makes it fail */

/* The workspace if it is empty, then the files that are ours, unless they are to be used again.  True:
 * nothing is left. */
static bool is_removed_at_once(struct cv_driver *d, struct cv_str id)
{
	static const struct {
		const char *name;
		int flags;
	} rows[] = { { "workspace", AT_REMOVEDIR }, { "log", 0 }, { "run", 0 },
		{ "policy.yaml", 0 }, { "", AT_REMOVEDIR } };
	char path[CV_DRIVER_ID_BYTES_MAX + 16];

	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		if (i == 2 && cv_driver_recycle_put(d, id))
			return true;
		snprintf(path, sizeof(path), "%.*s/%s", CV_STR_ARG(id), rows[i].name);
		if (unlinkat(d->sandboxes, path, rows[i].flags) < 0 && errno != ENOENT)
			return false;
	}
	return true;
}

/* Also what is of other ids than ours. */
static cv_code others_remove(const struct cv_driver *d, const char *name)
{
	static char *const env[] = { NULL };
	char path[PATH_MAX];
	char *const argv[] = { (char *)(uintptr_t)d->programs.exe_broker.p,
		(char *)(uintptr_t) "remove", path, NULL };
	int status = 0;

	if (snprintf(path, sizeof(path), "%s/%s", d->path.p, name) >= (int)sizeof(path))
		return CV_LIMIT;
	const pid_t pid = fork();
	if (pid == 0) {
		/* It opens files, and none may be its stderr. */
		while (open("/dev/null", O_RDWR) < 2)
			;
		execve(argv[0], argv, env);
		_exit(127);
	}
	return cv_child_wait(pid, &status) == CV_OK && WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? CV_OK
		       : CV_SYSTEM;
}

/* In the remover: everything that waits; exit status 1 when something is left. */
static CV_NORETURN void remover_main(const struct cv_driver *d)
{
	struct cv_err err;
	int status = 0;

	prctl(PR_SET_NAME, "cove-remover");
	setsid();
	/* Listeners and connections of the owner are not ours to keep open. */
	syscall(SYS_close_range, 0, ~0U, 0);
	DIR *list = chdir(d->path.p) < 0 ? NULL : opendir(".");
	for (struct dirent *e; list && (e = readdir(list));) {
		cv_code code = CV_NOT_FOUND;

		if (strncmp(e->d_name, REMOVED, sizeof(REMOVED) - 1) != 0)
			continue;
		for (int i = 0; i < TRIES && (!i || code != CV_OK); i++)
			code = cv_tree_remove(e->d_name, &err);
		if (code != CV_OK && code != CV_NOT_FOUND)
			code = others_remove(d, e->d_name);
		status |= code != CV_OK && code != CV_NOT_FOUND;
	}
	_exit(status);
}

void cv_driver_remover_turn(struct cv_driver *d)
{
	if (d->remover && waitpid(d->remover, NULL, WNOHANG) != 0)
		d->remover = 0;
	if (d->remover || !d->has_removed)
		return;
	d->has_removed = false;
	const pid_t pid = fork();
	if (pid == 0)
		remover_main(d);
	/* Without a process now, later: names are gone already. */
	d->remover = pid > 0 ? pid : 0;
	d->has_removed = pid < 0;
}

cv_code cv_driver_local_remove(struct cv_driver *d, struct cv_str id, struct cv_err *err)
{
	char from[CV_DRIVER_ID_BYTES_MAX + 1], to[CV_DRIVER_ID_BYTES_MAX + sizeof(REMOVED)];

	if (!cv_driver_id_is_plain(id))
		return cv_fail(err, CV_INVALID, "'%.*s' is no id of a sandbox", CV_STR_ARG(id));
	if (is_removed_at_once(d, id))
		return CV_OK;
	snprintf(from, sizeof(from), "%.*s", CV_STR_ARG(id));
	snprintf(to, sizeof(to), REMOVED "%.*s", CV_STR_ARG(id));
	if (renameat(d->sandboxes, from, d->sandboxes, to) < 0 && errno != ENOENT)
		return cv_fail_errno(err, "remove the directory of sandbox %s", from);
	d->has_removed = true;
	cv_driver_remover_turn(d);
	return CV_OK;
}

void cv_driver_spares_remove(struct cv_driver *d)
{
	DIR *list = opendir(d->path.p);

	for (struct dirent *e; list && (e = readdir(list));) {
		char to[sizeof(REMOVED) + NAME_MAX];

		if (strncmp(e->d_name, CV_DRIVER_SPARE_PREFIX,
			    sizeof(CV_DRIVER_SPARE_PREFIX) - 1) != 0)
			continue;
		snprintf(to, sizeof(to), REMOVED "%s", e->d_name);
		/* One that can't be renamed is tried by the next owner. */
		(void)renameat(d->sandboxes, e->d_name, d->sandboxes, to);
	}
	if (list)
		closedir(list);
}
