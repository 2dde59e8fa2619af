/* SPDX-License-Identifier: Apache-2.0 */
/*
 * children.c - see children.h
 */
#include "sys/children.h"

#include "base/str.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN_MAX 4096 /* looked at in one pass; there is always another */

/* Asked first, since a walk through /proc costs three system calls for each process of the host. */
static bool has_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 ||
	       errno != ECHILD;
}

/* Our children by the kernel's list, which kernels without it leave empty. */
static size_t children_list(pid_t *ret, size_t max)
{
	static char text[CHILDREN_MAX * 8];
	char path[64];
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	const ssize_t bytes = read(fd, text, sizeof(text));
	struct cv_str rest = { text, bytes > 0 ? (size_t)bytes : 0 };
	while (rest.n && n < max) {
		uint64_t pid;

		if (cv_str_to_u64(cv_str_cut(&rest, ' '), INT32_MAX, &pid))
			ret[n++] = (pid_t)pid;
		if (!rest.p)
			break;
	}
	return n;
}

/* The parent of a process, from "PID (NAME) STATE PPID"; a name may hold anything. */
static pid_t parent_of(const char *pid)
{
	char path[64], text[512];
	uint64_t parent;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	struct cv_str s = { text, n > 0 ? (size_t)n : 0 };
	const size_t close_at = cv_str_rfind_byte(s, ')');
	if (close_at + 4 > s.n)
		return -1;
	s = cv_str_slice(s, close_at + 4, s.n);
	return cv_str_to_u64(cv_str_cut(&s, ' '), INT32_MAX, &parent) ? (pid_t)parent : -1;
}

static size_t children_scan(pid_t *ret, size_t max)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	size_t n = 0;

	while (d && n < max && (e = readdir(d)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
			parent_of(e->d_name) == getpid()) {
			uint64_t pid;

			if (cv_str_to_u64(cv_str_of(e->d_name), INT32_MAX, &pid))
				ret[n++] = (pid_t)pid;
		}
	if (d)
		closedir(d);
	return n;
}

static bool is_kept(pid_t pid, const pid_t *keep, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (keep[i] == pid)
			return true;
	return false;
}

static bool is_janitor(pid_t pid)
{
	static const char name[] = CV_JANITOR_NAME "\n";
	char path[64], text[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	return n == sizeof(name) - 1 && memcmp(text, name, sizeof(name) - 1) == 0;
}

static size_t signal_all(const pid_t *keep, size_t keep_count, int signal_number, bool waits)
{
	static pid_t pid[CHILDREN_MAX];
	const pid_t ours = getpgrp();
	size_t n, told = 0;

	if (!has_children())
		return 0;
	n = children_list(pid, CHILDREN_MAX);
	if (!n)
		n = children_scan(pid, CHILDREN_MAX);
	for (size_t i = 0; i < n; i++) {
		if (is_kept(pid[i], keep, keep_count) || (waits && is_janitor(pid[i])))
			continue;
		const pid_t group = getpgid(pid[i]);

		if (group > 1 && group != ours)
			kill(-group, signal_number);
		kill(pid[i], signal_number);
		if (waits)
			(void)!waitpid(pid[i], NULL, WNOHANG);
		told++;
	}
	return told;
}

size_t cv_children_kill(const pid_t *keep, size_t keep_count, int signal_number)
{
	return signal_all(keep, keep_count, signal_number, false);
}

void cv_children_end(const pid_t *keep, size_t keep_count, unsigned ms)
{
	for (unsigned i = 0; i < ms && signal_all(keep, keep_count, SIGKILL, true); i++)
		poll(NULL, 0, 1);
}
