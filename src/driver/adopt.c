/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adopt.c - the supervisor of a sandbox that an earlier owner of the driver started; and what is
 * left of those that it had begun to start and not come to write down
 *
 * A process is known by its pid and when it started, and told from any other by the pidfd, which is
 * taken first: what is then read about the pid is about that process, or about one that has the
 * number now and started at another time.
 */
#include "driver/driver_int.h"

#include "base/hex.h"
#include "ipc/blank_link.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

/* "INSTANCE TOKEN\n" */
#define RUN_SECOND_LINE (CV_DRIVER_INSTANCE_BYTES + 1 + 2 * CV_PLAN_GATEWAY_TOKEN_BYTES + 1)
#define STAT_BYTES      1024 /* 52 numbers and a name of 15 bytes */
#define FIELD_STATE     3
#define FIELD_STARTED   22

bool cv_driver_id_is_plain(struct cv_str id)
{
	if (!id.n || id.n > CV_DRIVER_ID_BYTES_MAX || id.p[0] == '.')
		return false;
	for (size_t i = 0; i < id.n; i++) {
		const char c = cv_ascii_lower(id.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.')
			return false;
	}
	return true;
}

uint64_t cv_driver_pid_started(pid_t pid)
{
	char path[32], text[STAT_BYTES];
	uint64_t started = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (n <= 0)
		return 0;
	struct cv_str rest = { text, (size_t)n };
	const size_t close = cv_str_rfind_byte(rest, ')');
	const struct cv_str comm = cv_str_slice(rest, cv_str_find_byte(rest, '('), close + 1);
	if (close == rest.n || !(cv_str_has_prefix(comm, CV_STR("(" CV_SUPERVISOR_COMM)) ||
				       cv_str_eq(comm, CV_STR("(" CV_BLANK_COMM ")"))))
		return 0; /* a blank: its plan is sent, and not yet read */
	rest = cv_str_slice(rest, close + 2, rest.n);
	for (int field = FIELD_STATE; rest.p && field < FIELD_STARTED; field++) {
		const struct cv_str value = cv_str_cut(&rest, ' ');

		if (field == FIELD_STATE &&
			(cv_str_eq(value, CV_STR("Z")) || cv_str_eq(value, CV_STR("X"))))
			return 0; /* ended, and not yet waited for */
	}
	return rest.p && cv_str_to_u64(cv_str_cut(&rest, ' '), UINT64_MAX, &started) ? started : 0;
}

/* The words of `run`; false: it was not written by us. */
static bool run_parse(
	struct cv_str text, struct cv_driver_process *ret, uint64_t *ret_pid, uint64_t *ret_started)
{
	struct cv_str first = cv_str_cut(&text, '\n'), second = CV_STR_NONE;
	const struct cv_str instance = cv_str_cut(&first, ' ');

	*ret_pid = *ret_started = 0;
	if (instance.n != CV_DRIVER_INSTANCE_BYTES || !text.p ||
		!cv_str_to_cstr(instance, ret->instance, sizeof(ret->instance)) ||
		!cv_hex_decode(first, ret->token, sizeof(ret->token)))
		return false;
	second = cv_str_cut(&text, '\n');
	const struct cv_str pid = cv_str_cut(&second, ' ');
	/* A line that is not whole is none: the process will dial, if there is one. */
	if (!text.p || !cv_str_to_u64(pid, INT32_MAX, ret_pid) ||
		!cv_str_to_u64(second, UINT64_MAX, ret_started))
		*ret_pid = 0;
	return true;
}

static cv_code run_read(struct cv_driver *d, struct cv_str id, struct cv_driver_process *ret,
	uint64_t *ret_pid, uint64_t *ret_started, struct cv_err *err)
{
	char path[CV_DRIVER_ID_BYTES_MAX + 8], *text = NULL;
	size_t n = 0;

	snprintf(path, sizeof(path), "%.*s/run", CV_STR_ARG(id));
	CV_AUTO_FD int fd =
		openat(d->sandboxes, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? cv_fail(err, CV_NOT_FOUND, "no supervisor was started")
				       : cv_fail_errno(err, "open %s", path);
	cv_code code = cv_ipc_fd_read_all(fd, CV_DRIVER_RUN_BYTES_MAX, &text, &n, err);
	if (code == CV_OK && !run_parse((struct cv_str){ text, n }, ret, ret_pid, ret_started))
		code = cv_fail(err, CV_NOT_FOUND, "%s says nothing", path);
	if (text)
		explicit_bzero(text, n);
	free(text);
	return code;
}

/* ---- those that are new ---- */

/* Best effort, as the line that other starts write: without it a later owner waits for the process to
 * dial. */
void cv_driver_local_confirm(
	struct cv_driver *d, struct cv_str id, const struct cv_driver_process *p)
{
	char path[CV_DRIVER_ID_BYTES_MAX + 8], line[64];

	if (!cv_driver_id_is_plain(id))
		return;
	snprintf(path, sizeof(path), "%.*s/run", CV_STR_ARG(id));
	CV_AUTO_FD int fd = openat(d->sandboxes, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	const int n = snprintf(line, sizeof(line), "%d %llu\n", p->pid,
		(unsigned long long)cv_driver_pid_started(p->pid));
	if (fd >= 0)
		(void)!pwrite(fd, line, (size_t)n, RUN_SECOND_LINE);
}

static bool is_new(const struct cv_driver *d, const char *id)
{
	char path[NAME_MAX + 8], text[CV_DRIVER_RUN_BYTES_MAX];

	snprintf(path, sizeof(path), "%s/run", id);
	CV_AUTO_FD int fd =
		openat(d->sandboxes, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text), RUN_SECOND_LINE);
	return n > 0 && cv_str_eq((struct cv_str){ text, (size_t)n }, CV_STR(CV_DRIVER_RUN_NEW));
}

void cv_driver_local_sweep(
	struct cv_driver *d, bool (*is_known)(void *arg, struct cv_str id), void *arg)
{
	DIR *list = opendir(d->path.p);
	struct cv_err ignored; /* then the next owner finds it */

	for (struct dirent *e; list && (e = readdir(list));) {
		const struct cv_str id = cv_str_of(e->d_name);

		if (cv_driver_id_is_plain(id) && !is_known(arg, id) && is_new(d, e->d_name))
			(void)!cv_driver_local_remove(d, id, &ignored);
	}
	if (list)
		closedir(list);
}

/* ---- those that run ---- */

cv_code cv_driver_local_adopt(
	struct cv_driver *d, struct cv_str id, struct cv_driver_process *ret, struct cv_err *err)
{
	struct cv_driver_process p = { .pidfd = -1 };
	uint64_t pid, started;

	if (!cv_driver_id_is_plain(id))
		return cv_fail(err, CV_INVALID, "'%.*s' is no id of a sandbox", CV_STR_ARG(id));
	const cv_code code = run_read(d, id, &p, &pid, &started, err);
	if (code != CV_OK)
		return code;
	if (pid) {
		CV_AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
		const uint64_t now = pidfd < 0 ? 0 : cv_driver_pid_started((pid_t)pid);

		if (!now || now != started)
			return cv_fail(err, CV_NOT_FOUND, "its supervisor has ended");
		p.pid = (pid_t)pid;
		p.pidfd = cv_take_fd(pidfd);
	}
	*ret = p;
	return CV_OK;
}
