/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idmap.c - see idmap.h
 */
#include "sys/idmap.h"

#include "sys/child.h"
#include "sys/fd.h"
#include "sys/userns.h"

#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_BYTES_MAX 65536 /* a line for each user of a machine; what is behind it is not seen */
#define NEWUIDMAP      "/usr/bin/newuidmap"
#define NEWGIDMAP      "/usr/bin/newgidmap"

/* NAME:FIRST:COUNT, or UID:FIRST:COUNT.  The first that is the caller's. */
static bool range_find(struct cv_str text, struct cv_str name, uint32_t uid, uint32_t *ret_first,
	uint32_t *ret_count)
{
	while (text.n) {
		struct cv_str line = cv_str_cut(&text, '\n');
		const struct cv_str who = cv_str_cut(&line, ':'), first = cv_str_cut(&line, ':');
		uint64_t id, from, count;
		const bool is_ours = (name.n && cv_str_eq(who, name)) ||
				     (cv_str_to_u64(who, UINT32_MAX, &id) && id == uid);

		if (!is_ours || !line.p || !cv_str_to_u64(first, UINT32_MAX - 1, &from) ||
			!cv_str_to_u64(cv_str_trim(line), UINT32_MAX, &count) || !count || !from ||
			from + count >= UINT32_MAX)
			continue;
		*ret_first = (uint32_t)from;
		*ret_count = (uint32_t)CV_MIN(count, (uint64_t)CV_IDMAP_IDS_MAX);
		return true;
	}
	return false;
}

static cv_code file_range(const char *path, struct cv_str name, uint32_t *ret_first,
	uint32_t *ret_count, struct cv_err *err)
{
	static char text[FILE_BYTES_MAX];
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));

	if (n > 0 && range_find((struct cv_str){ text, (size_t)n }, name, geteuid(), ret_first,
			     ret_count))
		return CV_OK;
	return cv_fail(err, CV_UNAVAILABLE, "%s gives no ids to user %u", path, geteuid());
}

cv_code cv_idmap_find(struct cv_idmap *ret, struct cv_err *err)
{
	const struct passwd *p = getpwuid(geteuid());
	const struct cv_str name = p ? cv_str_of(p->pw_name) : CV_STR_NONE;

	if (access(NEWUIDMAP, X_OK) < 0 || access(NEWGIDMAP, X_OK) < 0)
		return cv_fail(err, CV_UNAVAILABLE,
			"newuidmap and newgidmap are not installed (Debian: uidmap)");
	if (file_range("/etc/subuid", name, &ret->uid_first, &ret->uid_count, err) != CV_OK)
		return err->code;
	return file_range("/etc/subgid", name, &ret->gid_first, &ret->gid_count, err);
}

static cv_code program_run(char *const argv[], struct cv_err *err)
{
	static char *const env[] = { NULL };
	int status;
	const pid_t pid = fork();

	if (pid == 0) {
		execve(argv[0], argv, env);
		_exit(127);
	}
	if (pid < 0)
		return cv_fail_errno(err, "fork");
	if (cv_child_wait(pid, &status) != CV_OK)
		return cv_fail_errno(err, "wait for %s", argv[0]);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? CV_OK
		       : cv_fail(err, CV_UNAVAILABLE, "%s did not map the ids", argv[0]);
}

static cv_code map(const char *program, pid_t pid, uint32_t inner, uint32_t own, uint32_t first,
	uint32_t count, struct cv_err *err)
{
	const uint32_t number[] = { (uint32_t)pid, inner, own, 1, inner + 1, first, count };
	char text[CV_ARRAY_LEN(number)][16], *argv[CV_ARRAY_LEN(number) + 2];

	if (inner >= UINT32_MAX - 1 - count)
		return cv_fail(err, CV_INVALID, "no room for more ids behind %u", inner);
	argv[0] = (char *)(uintptr_t)program;
	for (size_t i = 0; i < CV_ARRAY_LEN(number); i++) {
		snprintf(text[i], sizeof(text[i]), "%u", number[i]);
		argv[i + 1] = text[i];
	}
	argv[CV_ARRAY_LEN(number) + 1] = NULL;
	return program_run(argv, err);
}

cv_code cv_idmap_apply(pid_t pid, uint32_t inner_uid, uint32_t inner_gid, const struct cv_idmap *m,
	struct cv_err *err)
{
	const cv_code code =
		map(NEWUIDMAP, pid, inner_uid, geteuid(), m->uid_first, m->uid_count, err);

	return code == CV_OK
		       ? map(NEWGIDMAP, pid, inner_gid, getegid(), m->gid_first, m->gid_count, err)
		       : code;
}

/* Of the two only the one that stays outside can map. */
static CV_NORETURN void outside_main(int link, pid_t pid, const struct cv_idmap *m)
{
	struct cv_err err;
	char byte;

	if (read(link, &byte, 1) != 1 || cv_idmap_apply(pid, 0, 0, m, &err) != CV_OK)
		_exit(1);
	_exit(0);
}

cv_code cv_idmap_enter(struct cv_err *err)
{
	const pid_t self = getpid();
	struct cv_idmap m;
	int pair[2], status;

	if (cv_idmap_find(&m, err) != CV_OK)
		return err->code;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return cv_fail_errno(err, "socketpair");
	const pid_t pid = fork();
	if (pid == 0)
		outside_main(pair[1], self, &m);
	CV_AUTO_FD int link = pair[0], other = pair[1];
	if (pid < 0 || unshare(CLONE_NEWUSER) < 0)
		return cv_fail_errno(err, "a user namespace");
	if (cv_userns_write("/proc/self/setgroups", "deny", err) != CV_OK)
		return err->code;
	if (write(link, "", 1) != 1)
		return cv_fail_errno(err, "ask for ids");
	close(cv_take_fd(other));
	if (cv_child_wait(pid, &status) != CV_OK)
		return cv_fail_errno(err, "wait for ids");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? CV_OK
		       : cv_fail(err, CV_UNAVAILABLE, "the ids were not mapped");
}
