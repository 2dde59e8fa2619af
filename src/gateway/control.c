/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - start, stop, status, reload: a gateway of this user in the background, without a
 * service manager
 *
 *     start   certificates, if there are none --> `run` in a session of its own, its words in a log
 *             --> waits until it answers at admin.sock, which is when clients can come
 *             --> the files of clients say where it is
 *     stop    SIGTERM to who listens at admin.sock, and waits for its end
 *     status  what it answers there
 *     reload  it reads its configuration again, as at SIGHUP, and answers what came of it
 *
 * There is no file with a process id, which may be another's by now: who runs is who listens in the
 * state directory and holds its lock, and a signal goes through a pidfd that was opened before the
 * process was heard.  So all of it works with a gateway that was started in another way, too.
 *
 * What is wanted may be so already: that is no error.
 */
#include "gateway/command.h"

#include "gateway/admin.h"
#include "gateway/place.h"
#include "gateway/serve.h"
#include "gateway/state.h"
#include "sys/child.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOG_NAME      "gateway.log"
#define LOG_OLD_NAME  "gateway.log.1"
#define LOG_BYTES_MAX (16 << 20) /* at a start; then it becomes the old one, and that goes */
#define LOG_TAIL_MAX  4096       /* of what it said before it failed */
#define START_MS      60000      /* a store of many thousands, on a busy machine */
#define ANSWER_MS     5000       /* of one that runs: its loop is never away for so long */
#define STOP_MS       (CV_GW_DRAIN_MS + 15000)
#define LOOK_MS       20

struct control {
	char state[CV_GW_PATH_BYTES_MAX];
	struct cv_gw_config *config; /* of start; else NULL */
	bool is_json;
};

/* ---- words ---- */

cv_code cv_gw_control_state(char **env, struct cv_str state, char *config, char *ret,
	size_t ret_size, struct cv_err *err)
{
	char option[] = "--config", *flags[] = { option, config };
	struct cv_gw_config *c;

	if (state.n) {
		const struct cv_gw_config named = { .state_dir = state };

		return cv_gw_place_state(env, &named, ret, ret_size, err);
	}
	if (cv_gw_config_load(env, flags, config ? 2 : 0, &c, err) != CV_OK)
		return cv_wrap(err, "which state directory (or say --state-dir)");
	const cv_code code = cv_gw_place_state(env, c, ret, ret_size, err);
	cv_gw_config_free(c);
	return code;
}

/* --state-dir, --config, -o of stop and status. */
static cv_code words_read(
	int argc, char **argv, char **env, struct control *ret, struct cv_err *err)
{
	struct cv_str state = CV_STR_NONE;
	char *config = NULL;

	for (int i = 0; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--state-dir") && value) {
			state = cv_str_of(value);
		} else if (!strcmp(argv[i], "--config") && value) {
			config = argv[i + 1];
		} else if ((!strcmp(argv[i], "-o") || !strcmp(argv[i], "--output")) && value &&
			   (!strcmp(value, "json") || !strcmp(value, "table"))) {
			ret->is_json = value[0] == 'j';
		} else
			return cv_fail(
				err, CV_INVALID, "'%s' is too much, or needs a value", argv[i]);
	}
	return cv_gw_control_state(env, state, config, ret->state, sizeof(ret->state), err);
}

/* ---- the one that runs ---- */

static bool is_locked(const char *state)
{
	CV_AUTO_FD int dir = -1;
	struct cv_err err;
	int lock;

	if (access(state, F_OK) < 0 || cv_gw_dir_open(state, &dir, &err) != CV_OK)
		return false;
	if (cv_gw_dir_lock(dir, &lock, &err) != CV_OK)
		return true;
	close(lock);
	return false;
}

/* One that is there answers; one that is about to be, or to end, is waited for.  CV_NOT_FOUND: there
 * was none when it was looked for; by now somebody else may have started one. */
static cv_code who_runs(
	const char *state, int ms, struct cv_gw_admin_status *ret, struct cv_err *err)
{
	const int64_t until = cv_clock_ms() + ms;

	for (;;) {
		const cv_code code = cv_gw_admin_look(state, ANSWER_MS, ret, err);

		if (code != CV_UNAVAILABLE || cv_clock_ms() >= until)
			return code;
		if (!is_locked(state))
			return err->code = CV_NOT_FOUND;
		(void)poll(NULL, 0, LOOK_MS);
	}
}

static void none_say(const struct control *c)
{
	if (c->is_json)
		puts("{\"status\":\"stopped\"}");
	else
		printf("No gateway is running in %s.\n", c->state);
}

/* ---- start ---- */

/* *ret_at: where this gateway's words begin. */
static cv_code log_open(const char *state, int *ret_fd, off_t *ret_at, struct cv_err *err)
{
	CV_AUTO_FD int dir = -1;
	struct stat st;

	if (cv_gw_dir_open(state, &dir, err) != CV_OK)
		return err->code;
	if (fstatat(dir, LOG_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > LOG_BYTES_MAX)
		(void)renameat(dir, LOG_NAME, dir, LOG_OLD_NAME);

	CV_AUTO_FD int fd = openat(dir, LOG_NAME,
		O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cv_fail_errno(err, "open %s/" LOG_NAME, state);
	*ret_at = st.st_size;
	*ret_fd = cv_take_fd(fd);
	return CV_OK;
}

static cv_code spawn(int argc, char **argv, char **env, int log, pid_t *ret_pid, int *ret_pidfd,
	struct cv_err *err)
{
	char name[] = "cove-gateway", command[] = "run";
	char **words = calloc((size_t)argc + 3, sizeof(*words));
	CV_AUTO_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (!words || null < 0) {
		free(words);
		return cv_fail_errno(err, "/dev/null");
	}
	words[0] = name;
	words[1] = command;
	for (int i = 0; i < argc; i++)
		words[i + 2] = argv[i];
	*ret_pid = fork();
	if (*ret_pid == 0) {
		/* A terminal that closes, or its Ctrl-C, is nothing to it. */
		if (setsid() >= 0 && dup2(null, 0) >= 0 && dup2(log, 1) >= 0 && dup2(log, 2) >= 0)
			execve("/proc/self/exe", words, env);
		_exit(CV_GW_EXIT_USAGE);
	}
	free(words);
	if (*ret_pid < 0)
		return cv_fail_errno(err, "fork");
	*ret_pidfd = (int)syscall(SYS_pidfd_open, *ret_pid, 0);
	return *ret_pidfd < 0 ? cv_fail_errno(err, "pidfd_open") : CV_OK;
}

static void log_tail_print(const char *state, off_t at)
{
	char path[CV_GW_PATH_BYTES_MAX + 32], text[LOG_TAIL_MAX];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/" LOG_NAME, state);
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	at = CV_MAX(at, st.st_size - (off_t)sizeof(text));
	const ssize_t n = pread(fd, text, sizeof(text), at);
	if (n > 0)
		(void)!write(STDERR_FILENO, text, (size_t)n);
}

/* A word as a shell takes it. */
static void word_print(const char *s)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@";

	if (*s && strspn(s, plain) == strlen(s)) {
		fputs(s, stdout);
		return;
	}
	putchar('\'');
	for (; *s; s++)
		*s == '\'' ? (void)fputs("'\\''", stdout) : (void)putchar(*s);
	putchar('\'');
}

/* `stop` finds it by the same words as `start` did. */
static void stop_print(int argc, char **argv)
{
	static const char *const names[] = { "--config", "--state-dir" };

	fputs("  ends with: cove gateway stop", stdout);
	for (int i = 0; i < argc; i++)
		for (size_t k = 0; k < CV_ARRAY_LEN(names); k++) {
			const size_t n = strlen(names[k]);
			const char *value = strncmp(argv[i], names[k], n) != 0 ? NULL
					    : argv[i][n] == '='                ? argv[i] + n + 1
					    : !argv[i][n] && i + 1 < argc      ? argv[i + 1]
									       : NULL;

			if (!value)
				continue;
			printf(" %s ", names[k]);
			word_print(value);
		}
	putchar('\n');
}

static void started_say(const struct control *c, const struct cv_gw_admin_status *s, bool is_new,
	int argc, char **argv)
{
	printf("%s: %s\n", is_new ? "Gateway started" : "A gateway runs already", s->url);
	printf("  process:  %ld\n", (long)s->pid);
	if (is_new)
		printf("  log:      %s/" LOG_NAME "\n", c->state);
	if (is_new && c->config->disable_tls)
		printf("  for clients: cove gateway add %s\n", s->url);
	stop_print(argc, argv);
}

/* Until it answers, or has ended. */
static cv_code ready_wait(const struct control *c, pid_t pid, int pidfd,
	struct cv_gw_admin_status *ret, struct cv_err *err)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	const int64_t until = cv_clock_ms() + START_MS;
	int status = 0;

	while (cv_clock_ms() < until) {
		if (cv_gw_admin_look(c->state, ANSWER_MS, ret, err) == CV_OK) {
			close(cv_take_fd(ret->pidfd));
			if (ret->pid == pid)
				return CV_OK;
		}
		if (poll(&ended, 1, LOOK_MS) <= 0)
			continue;
		(void)cv_child_wait(pid, &status);
		return cv_fail(err,
			WIFEXITED(status) && WEXITSTATUS(status) == CV_GW_EXIT_USAGE
				? CV_INVALID
				: CV_UNAVAILABLE,
			"the gateway does not start; its log is %s/" LOG_NAME, c->state);
	}
	return cv_fail(err, CV_UNAVAILABLE,
		"the gateway is not ready after %d s, and goes on; its log is %s/" LOG_NAME,
		START_MS / 1000, c->state);
}

static void already_say(const struct control *c, const struct cv_gw_admin_status *s, int argc,
	char **argv, char **env)
{
	close(s->pidfd);
	started_say(c, s, false, argc, argv);
	cv_gw_init_after_start(c->config, c->state, s->url, env);
	if (argc)
		fputs("cove-gateway: it has the options of its own start, not these\n", stderr);
}

static cv_code start_new(struct control *c, int argc, char **argv, char **env, struct cv_err *err)
{
	struct cv_gw_admin_status s;
	struct cv_err unused;
	CV_AUTO_FD int log = -1, pidfd = -1;
	off_t at = 0;
	pid_t pid = -1;
	cv_code code = cv_gw_init_before_start(c->config, c->state, env, err);

	if (code == CV_OK)
		code = log_open(c->state, &log, &at, err);
	if (code != CV_OK)
		return code;
	(void)fflush(NULL);
	code = spawn(argc, argv, env, log, &pid, &pidfd, err);
	if (code == CV_OK)
		code = ready_wait(c, pid, pidfd, &s, err);
	if (code == CV_OK) {
		started_say(c, &s, true, argc, argv);
		cv_gw_init_after_start(c->config, c->state, s.url, env);
	} else if (who_runs(c->state, START_MS, &s, &unused) == CV_OK) {
		already_say(c, &s, argc, argv, env); /* somebody was quicker */
		code = CV_OK;
	} else
		log_tail_print(c->state, at);
	return code;
}

int cv_gw_control_start(int argc, char **argv, char **env)
{
	struct control c = { .config = NULL };
	struct cv_gw_admin_status s;
	struct cv_err err;

	umask(0077);
	if (cv_gw_config_load(env, argv, (size_t)argc, &c.config, &err) != CV_OK)
		return cv_gw_exit(&err);
	cv_code code = cv_gw_place_state(env, c.config, c.state, sizeof(c.state), &err);
	if (code == CV_OK)
		code = who_runs(c.state, START_MS, &s, &err);
	if (code == CV_OK)
		already_say(&c, &s, argc, argv, env);
	else if (code == CV_NOT_FOUND)
		code = start_new(&c, argc, argv, env, &err);
	cv_gw_config_free(c.config);
	return code == CV_OK ? 0 : cv_gw_exit(&err);
}

/* ---- stop ---- */

static cv_code end_wait(int pidfd, long pid, struct cv_err *err)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };

	if (syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
		return cv_fail_errno(err, "stop process %ld", pid);
	const int64_t until = cv_clock_ms() + STOP_MS;
	for (int64_t now; (now = cv_clock_ms()) < until;)
		if (poll(&ended, 1, (int)(until - now)) > 0)
			return CV_OK;
	return cv_fail(
		err, CV_UNAVAILABLE, "process %ld has not ended after %d s", pid, STOP_MS / 1000);
}

int cv_gw_control_stop(int argc, char **argv, char **env)
{
	struct control c = { .config = NULL };
	struct cv_gw_admin_status s = { .pidfd = -1 };
	struct cv_err err;

	if (words_read(argc, argv, env, &c, &err) != CV_OK)
		return cv_gw_exit(&err);
	cv_code code = who_runs(c.state, STOP_MS, &s, &err); /* it may be ending already */
	if (code == CV_NOT_FOUND) {
		none_say(&c);
		return 0;
	}
	if (code == CV_OK) {
		code = end_wait(s.pidfd, (long)s.pid, &err);
		close(s.pidfd);
	}
	if (code != CV_OK)
		return cv_gw_exit(&err);
	if (c.is_json)
		puts("{\"status\":\"stopped\"}");
	else
		printf("Gateway stopped (process %ld). Its sandboxes go on.\n", (long)s.pid);
	return 0;
}

/* ---- status ---- */

static void status_json(const struct control *c, const struct cv_gw_admin_status *s)
{
	struct cv_buf b;

	cv_buf_init(&b, 4 * CV_GW_PATH_BYTES_MAX);
	cv_buf_put(&b, CV_STR("{\"status\":\"running\","));
	cv_buf_put_json_member(&b, "endpoint", cv_str_of(s->url));
	cv_buf_printf(&b, ",\"process\":%ld,\"started_at_ms\":%lld,\"sandboxes\":%u,", (long)s->pid,
		(long long)s->started_ms, s->sandboxes);
	cv_buf_put_json_member(&b, "version", cv_str_of(s->version));
	cv_buf_put_byte(&b, ',');
	cv_buf_put_json_member(&b, "state_dir", cv_str_of(c->state));
	printf("%.*s}\n", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
}

static void status_table(const struct control *c, const struct cv_gw_admin_status *s)
{
	const time_t began = (time_t)(s->started_ms / 1000);
	char since[32] = "", path[CV_GW_PATH_BYTES_MAX + 32];
	struct tm t;

	if (gmtime_r(&began, &t))
		(void)strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S", &t);
	(void)snprintf(path, sizeof(path), "%s/" LOG_NAME, c->state);
	printf("Gateway:   running\n"
	       "Endpoint:  %s\n"
	       "Process:   %ld, since %s UTC\n"
	       "Version:   %s\n"
	       "Sandboxes: %u\n"
	       "State:     %s\n",
		s->url, (long)s->pid, since, s->version, s->sandboxes, c->state);
	if (access(path, F_OK) == 0)
		printf("Log:       %s\n", path);
}

int cv_gw_control_status(int argc, char **argv, char **env)
{
	struct control c = { .config = NULL };
	struct cv_gw_admin_status s = { .pidfd = -1 };
	struct cv_err err;

	if (words_read(argc, argv, env, &c, &err) != CV_OK)
		return cv_gw_exit(&err);
	const cv_code code = who_runs(c.state, ANSWER_MS, &s, &err);
	if (code == CV_NOT_FOUND) {
		none_say(&c);
		return CV_GW_EXIT_IDLE;
	}
	if (code != CV_OK)
		return cv_gw_exit(&err);
	close(s.pidfd);
	if (c.is_json)
		status_json(&c, &s);
	else
		status_table(&c, &s);
	return 0;
}

/* ---- reload ---- */

int cv_gw_control_reload(int argc, char **argv, char **env)
{
	struct control c = { .config = NULL };
	struct cv_err err;
	char said[1024];

	if (words_read(argc, argv, env, &c, &err) != CV_OK ||
		cv_gw_admin_ask(c.state, "reload", said, sizeof(said), &err) != CV_OK)
		return cv_gw_exit(&err);
	puts(said + 1);
	return 0;
}
