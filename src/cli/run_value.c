/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_value.c - one value from a variable, a file, a descriptor or a command of the host
 *
 * Bytes pass through one buffer that is wiped after each use.  No message holds any of them.
 */
#include "cli/run_provider.h"

#include "cred/limits_profile.h"
#include "policy/findings.h"
#include "sys/child.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMAND_MS_MAX 60000 /* a person may have to touch a security key */

static char scratch[CV_CRED_VALUE_BYTES_MAX + 3]; /* a newline at the end, and a byte too many */

cv_code run_secret_keep(
	struct run_providers *p, struct cv_str value, struct cv_str *ret, struct cv_err *err)
{
	if (p->secret_count == RUN_SECRETS_MAX)
		return cv_fail(err, CV_LIMIT, "more than %d values", RUN_SECRETS_MAX);
	const struct cv_str kept = cv_arena_str(&p->arena, value);
	if (!kept.p)
		return cv_fail(err, CV_LIMIT, "no memory for the values");
	p->secret[p->secret_count++] = kept;
	*ret = kept;
	return CV_OK;
}

/* What stands in scratch, n bytes of it. */
static cv_code scratch_keep(
	struct run_providers *p, size_t n, struct cv_str *ret, struct cv_err *err)
{
	struct cv_str s = { scratch, n };
	cv_code code;

	if (cv_str_has_suffix(s, CV_STR("\r\n")))
		s.n -= 2;
	else if (cv_str_has_suffix(s, CV_STR("\n")))
		s.n--;
	if (s.n > CV_CRED_VALUE_BYTES_MAX)
		code = cv_fail(err, CV_LIMIT, "longer than %u KiB", CV_CRED_VALUE_BYTES_MAX >> 10);
	else if (cv_str_has_byte(s, '\0'))
		code = cv_fail(err, CV_INVALID, "holds a NUL byte");
	else if (!s.n)
		code = cv_fail(err, CV_INVALID, "empty");
	else
		code = run_secret_keep(p, s, ret, err);
	explicit_bzero(scratch, sizeof(scratch));
	return code;
}

/* Up to the end or one byte too many; deadline 0: waits. */
static cv_code fd_read(int fd, int64_t deadline, size_t *ret_n, struct cv_err *err)
{
	size_t n = 0;

	while (n < sizeof(scratch)) {
		struct pollfd pfd = { fd, POLLIN, 0 };
		const int64_t left = deadline ? deadline - cv_clock_ms() : -1;

		if (deadline && (left <= 0 || poll(&pfd, 1, (int)left) == 0))
			return cv_fail(err, CV_UNAVAILABLE, "nothing came for %d s",
				COMMAND_MS_MAX / 1000);
		const ssize_t got = read(fd, scratch + n, sizeof(scratch) - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cv_fail_errno(err, "read");
		if (got == 0)
			break;
		n += (size_t)got;
	}
	*ret_n = n;
	return CV_OK;
}

static cv_code from_fd(struct run_providers *p, int fd, struct cv_str *ret, struct cv_err *err)
{
	size_t n = 0;
	const cv_code code = fd_read(fd, 0, &n, err);

	return code == CV_OK ? scratch_keep(p, n, ret, err) : code;
}

/* A secret that every user of the machine can read is none. */
static cv_code from_file(
	struct run_providers *p, const char *path, struct cv_str *ret, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return cv_fail_errno(err, "file %s", path);
	if (!S_ISREG(st.st_mode))
		return cv_fail(err, CV_INVALID, "file %s: not a regular file", path);
	if (st.st_mode & S_IROTH)
		return cv_fail(err, CV_DENIED,
			"file %s: everybody may read it (mode %04o); run chmod 600", path,
			(unsigned)st.st_mode & 07777);
	if (st.st_mode & S_IRGRP)
		fprintf(stderr, "cove: %s: your group may read it; run chmod 600\n", path);
	if (from_fd(p, fd, ret, err) != CV_OK)
		return cv_wrap(err, "file %s", path);
	return CV_OK;
}

/* ---- commands ---- */

static _Noreturn void child_run(char *const *argv, int out)
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0)
		_exit(126);
	execvp(argv[0], argv);
	_exit(errno == ENOENT ? 127 : 126);
}

static cv_code status_check(const char *name, int status, struct cv_err *err)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return CV_OK;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return cv_fail(err, CV_NOT_FOUND, "command %s: not found", name);
	if (WIFEXITED(status))
		return cv_fail(err, CV_UNAVAILABLE, "command %s: exit status %d", name,
			WEXITSTATUS(status));
	return cv_fail(err, CV_UNAVAILABLE, "command %s: ended by signal %d", name,
		WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static cv_code command_run(char *const *argv, size_t *ret_n, struct cv_err *err)
{
	cv_code code;
	int ends[2], status = 0;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return cv_fail_errno(err, "pipe");
	const pid_t pid = fork();
	if (pid == 0)
		child_run(argv, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return cv_fail_errno(err, "fork");
	}
	code = fd_read(ends[0], cv_clock_ms() + COMMAND_MS_MAX, ret_n, err);
	close(ends[0]);
	if (code != CV_OK)
		kill(pid, SIGKILL);
	(void)cv_child_wait(pid, &status);
	if (code != CV_OK)
		return cv_wrap(err, "command %s", argv[0]);
	return status_check(argv[0], status, err);
}

static cv_code from_command(struct run_providers *p, const struct cv_policy_texts *words,
	struct cv_str *ret, struct cv_err *err)
{
	char *argv[CV_CRED_ARGS_MAX + 1] = { NULL };
	size_t n = 0;

	for (size_t i = 0; i < words->n && i < CV_CRED_ARGS_MAX; i++)
		argv[i] = (char *)(uintptr_t)words->v[i].s.p; /* arena strings end in a NUL */
	const cv_code code = command_run(argv, &n, err);
	if (code != CV_OK) {
		explicit_bzero(scratch, sizeof(scratch));
		return code;
	}
	if (scratch_keep(p, n, ret, err) != CV_OK)
		return cv_wrap(err, "command %s: what it printed is", argv[0]);
	return CV_OK;
}

cv_code run_value_read(struct run_providers *p, const struct cv_instance_source *source,
	const char *from, bool is_dry_run, struct cv_str *ret, struct cv_err *err)
{
	if (source->env.is_present) {
		const char *value = getenv(source->env.s.p);

		if (!value || !*value)
			return cv_fail(err, CV_NOT_FOUND, "the variable %.*s is not set",
				CV_POLICY_QUOTE(source->env.s));
		return run_secret_keep(p, cv_str_of(value), ret, err);
	}
	if (source->file.is_present) {
		char *path = cv_provider_path(source->file.s.p, from);
		const cv_code code =
			path ? from_file(p, path, ret, err) : cv_fail(err, CV_LIMIT, "no memory");
		free(path);
		return code;
	}
	if (is_dry_run) { /* neither can be asked twice */
		*ret = CV_STR("(not read)");
		return CV_OK;
	}
	if (source->command.is_present)
		return from_command(p, &source->command, ret, err);
	const int fd = (int)CV_MIN(source->fd, (int64_t)INT32_MAX);
	if (from_fd(p, fd, ret, err) != CV_OK)
		return cv_wrap(err, "fd %d", fd);
	return CV_OK;
}
