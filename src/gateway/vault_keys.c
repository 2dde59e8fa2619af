/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault_keys.c - see vault_keys.h
 *
 * The file is replaced as a whole and never written into.
 */
#include "gateway/vault_keys.h"

#include "base/base64.h"
#include "gateway/state.h"
#include "ipc/frame.h"
#include "ipc/vault_link.h"
#include "sys/child.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEY_FILE           "key"
#define KEY_FILE_BYTES_MAX (CV_VAULT_KEYS_MAX * 64)

/* Appends a line. */
static cv_code key_make(struct cv_buf *b, struct cv_err *err)
{
	unsigned char key[CV_VAULT_KEY_BYTES];

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return cv_fail_errno(err, "make a key");
	cv_buf_put_base64(b, (struct cv_str){ (const char *)key, sizeof(key) }, CV_BASE64_STD);
	cv_buf_put_byte(b, '\n');
	explicit_bzero(key, sizeof(key));
	return CV_OK;
}

/* On the disk when it is OK: what is sealed from then on is lost without it. */
static cv_code file_put(int dir, struct cv_str text, struct cv_err *err)
{
	const cv_code code = cv_gw_file_write(dir, KEY_FILE, text, 0600, err);

	return code == CV_OK && fsync(dir) < 0 ? cv_fail_errno(err, "write the key file") : code;
}

/* A key of its own for a new gateway. */
static cv_code key_file_make(int dir, struct cv_err *err)
{
	struct cv_buf text;

	cv_buf_init(&text, 64);
	cv_code code = key_make(&text, err);
	if (code == CV_OK)
		code = file_put(dir, cv_buf_str(&text), err);
	cv_buf_wipe(&text);
	return code;
}

static cv_code key_lines_read(struct cv_str text, struct cv_buf *ret, struct cv_err *err)
{
	size_t line_number = 0;

	while (text.p) {
		const struct cv_str line = cv_str_trim(cv_str_cut(&text, '\n'));
		const size_t before = cv_buf_len(ret);

		line_number++;
		if (!line.n)
			continue;
		if (!cv_base64_decode(line, CV_BASE64_STD, ret) ||
			cv_buf_len(ret) - before != CV_VAULT_KEY_BYTES)
			return cv_fail(err, CV_INVALID,
				"line %zu: not base64 of 32 bytes, or too many keys", line_number);
	}
	return cv_buf_len(ret) ? CV_OK : cv_fail(err, CV_INVALID, "there is no key");
}

/* The text of the file, which the caller wipes. */
static cv_code file_text(int dir, char **ret, size_t *ret_n, struct cv_err *err)
{
	CV_AUTO_FD int fd = openat(dir, KEY_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 && errno == ENOENT) {
		if (key_file_make(dir, err) != CV_OK)
			return err->code;
		fd = openat(dir, KEY_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return cv_fail_errno(err, "open the key file");
	if (st.st_mode & 077)
		return cv_fail(err, CV_DENIED,
			"the key file may be read by others (mode %04o); run chmod 600, and make a "
			"new key if somebody did",
			(unsigned)st.st_mode & 07777);
	cv_code code = cv_ipc_fd_read_all(fd, KEY_FILE_BYTES_MAX, ret, ret_n, err);

	return code == CV_OK ? CV_OK : cv_wrap(err, "read the key file");
}

/* ---- a command ---- */

static cv_code command_start(
	struct cv_str command, char **env, int out, pid_t *ret, struct cv_err *err)
{
	char *const argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char *)(uintptr_t)command.p,
		NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setpgroup(&attr, 0);
	const int fault = posix_spawn(ret, "/bin/sh", &actions, &attr, argv, env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	errno = fault;
	return fault ? cv_fail_errno(err, "start key_command") : CV_OK;
}

/* Until it closes its output. */
static cv_code command_read(int fd, struct cv_buf *ret, struct cv_err *err)
{
	const int64_t until = cv_clock_ms() + CV_GW_KEY_COMMAND_MS;
	char part[512];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		const int64_t left = until - cv_clock_ms();

		if (left <= 0 || (poll(&p, 1, (int)left) == 0))
			return cv_fail(err, CV_UNAVAILABLE, "key_command does not end");
		const ssize_t n = read(fd, part, sizeof(part));
		if (n < 0 && errno != EINTR)
			return cv_fail_errno(err, "read key_command");
		if (n == 0)
			return CV_OK;
		if (n > 0 && !cv_buf_put(ret, (struct cv_str){ part, (size_t)n }))
			return cv_fail(err, CV_LIMIT, "key_command says too much");
		explicit_bzero(part, sizeof(part));
	}
}

static cv_code command_text(
	struct cv_str command, char **env, struct cv_buf *ret, struct cv_err *err)
{
	int pipes[2], status = 0;
	pid_t pid = 0;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return cv_fail_errno(err, "pipe");
	cv_code code = command_start(command, env, pipes[1], &pid, err);
	close(pipes[1]);
	if (code == CV_OK)
		code = command_read(pipes[0], ret, err);
	close(pipes[0]);
	if (pid > 0 && code != CV_OK)
		kill(-pid, SIGKILL);
	(void)cv_child_wait(pid, &status);
	if (code == CV_OK && status)
		code = cv_fail(err, CV_UNAVAILABLE, "key_command failed");
	return code;
}

/* ---- all ---- */

cv_code cv_gw_keys_read(
	int dir, struct cv_str command, char **env, struct cv_buf *ret, struct cv_err *err)
{
	struct cv_buf said;
	char *text;
	size_t n;
	cv_code code;

	if (command.n) {
		cv_buf_init(&said, KEY_FILE_BYTES_MAX);
		code = command_text(command, env, &said, err);
		if (code == CV_OK && key_lines_read(cv_buf_str(&said), ret, err) != CV_OK)
			code = cv_wrap(err, "key_command");
		cv_buf_wipe(&said);
		return code;
	}
	code = file_text(dir, &text, &n, err);
	if (code != CV_OK)
		return code;
	if (key_lines_read((struct cv_str){ text, n }, ret, err) != CV_OK)
		code = cv_wrap(err, "the key file");
	explicit_bzero(text, n);
	free(text);
	return code;
}

cv_code cv_gw_keys_add(int dir, struct cv_err *err)
{
	struct cv_buf all;
	char *text;
	size_t n;
	cv_code code = file_text(dir, &text, &n, err);

	if (code != CV_OK)
		return code;
	cv_buf_init(&all, KEY_FILE_BYTES_MAX + 64);
	code = key_make(&all, err);
	cv_buf_put(&all, (struct cv_str){ text, n });
	if (code == CV_OK)
		code = file_put(dir, cv_buf_str(&all), err);
	cv_buf_wipe(&all);
	explicit_bzero(text, n);
	free(text);
	return code;
}

cv_code cv_gw_keys_keep_first(int dir, struct cv_err *err)
{
	char *text;
	size_t n;
	cv_code code = file_text(dir, &text, &n, err);

	if (code != CV_OK)
		return code;
	struct cv_str rest = { text, n };
	const struct cv_str first = cv_str_cut(&rest, '\n');
	struct cv_buf line;
	cv_buf_init(&line, 128);
	cv_buf_put(&line, first);
	cv_buf_put_byte(&line, '\n');
	code = file_put(dir, cv_buf_str(&line), err);
	cv_buf_wipe(&line);
	explicit_bzero(text, n);
	free(text);
	return code;
}
