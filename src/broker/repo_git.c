/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo_git.c - git as a child of the worker
 *
 * It runs with an environment of our own: no configuration of the host, the user or a template; no
 * hooks, no fsmonitor, no credential helper, no askpass, no attributes of the system, so no filter
 * either; https alone, without redirects (which could lead to another repository than the one that
 * was allowed) and verified; every object checked when it arrives (fsck), which refuses trees with
 * ".git" or ".." in them. All of it is in GIT_CONFIG_COUNT and its pairs, so that git's own children
 * have it too, and so is the credential: in no argument, no URL and no file.
 *
 * It may write no file larger than the tool's limit (a fetch writes one pack), and may not have more
 * memory than a large repository needs.
 */
#include "broker/repo_int.h"

#include "plan/limits.h"
#include "sys/child.h"
#include "sys/fd.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- its environment ---- */

static const struct {
	const char *key, *value;
} config[] = {
	{ "core.hooksPath", "/dev/null" },
	{ "core.fsmonitor", "false" },
	{ "core.askPass", "" },
	{ "core.attributesFile", "/dev/null" },
	{ "core.excludesFile", "/dev/null" },
	{ "core.symlinks", "true" },
	{ "core.autocrlf", "false" },
	{ "core.protectHFS", "true" },
	{ "core.protectNTFS", "true" },
	{ "core.bigFileThreshold", "16m" }, /* larger ones are not held in memory */
	{ "core.logAllRefUpdates", "false" },
	{ "credential.helper", "" },
	{ "protocol.allow", "never" },
	{ "protocol.https.allow", "always" },
	{ "http.followRedirects", "false" },
	{ "http.sslVerify", "true" },
	{ "http.proxy", "" },
	{ "http.lowSpeedLimit", "1" },
	{ "http.lowSpeedTime", "60" },
	{ "http.emptyAuth", "false" },
	{ "fetch.fsckObjects", "true" },
	{ "fetch.unpackLimit", "1" }, /* one file, which has a limit */
	{ "fetch.recurseSubmodules", "false" },
	{ "submodule.recurse", "false" },
	{ "transfer.bundleURI", "false" },
	{ "pack.threads", "1" },
	{ "gc.auto", "0" },
	{ "maintenance.auto", "false" },
	{ "advice.detachedHead", "false" },
	{ "init.defaultBranch", "main" },
	/* Mistakes of old programs that are in the history of ordinary repositories, and harm
	 * nobody. */
	{ "fetch.fsck.zeroPaddedFilemode", "ignore" },
	{ "fetch.fsck.missingSpaceBeforeDate", "ignore" },
	{ "fetch.fsck.missingSpaceBeforeEmail", "ignore" },
	{ "fetch.fsck.missingNameBeforeEmail", "ignore" },
	{ "fetch.fsck.missingEmail", "ignore" },
	{ "fetch.fsck.badTimezone", "ignore" },
	{ "fetch.fsck.badDateOverflow", "ignore" },
	{ "fetch.fsck.badEmail", "ignore" },
	{ "fetch.fsck.missingTaggerEntry", "ignore" },
	/* Ours to say, by a finding that names the submodule. */
	{ "fetch.fsck.gitmodulesUrl", "ignore" },
	{ "fetch.fsck.gitmodulesPath", "ignore" },
	{ "fetch.fsck.gitmodulesUpdate", "ignore" },
	{ "fetch.fsck.gitmodulesSymlink", "ignore" },
};

#define ENV_MAX (2 * (CV_ARRAY_LEN(config) + CV_PLAN_PINS_MAX + 2) + 32)

struct env {
	struct cv_arena arena;
	char *v[ENV_MAX + 1];
	size_t n;
	unsigned pairs;
};

CV_PRINTF(2, 3) static void env_put(struct env *e, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	const int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n >= 0 && e->n < ENV_MAX)
		e->v[e->n++] = text;
	else if (n >= 0)
		free(text);
}

static void config_put(struct env *e, const char *key, const char *value)
{
	env_put(e, "GIT_CONFIG_KEY_%u=%s", e->pairs, key);
	env_put(e, "GIT_CONFIG_VALUE_%u=%s", e->pairs, value);
	e->pairs++;
}

static void network_put(struct env *e, const struct repo_work *w)
{
	char key[2048];
	size_t pins = 0;

	snprintf(key, sizeof(key), "http.%.*s/.extraHeader", CV_STR_ARG(w->tool->base));
	if (cv_buf_len(&w->header)) {
		char *value = NULL;

		if (asprintf(&value, "%.*s", CV_STR_ARG(cv_buf_str(&w->header))) < 0)
			return;
		config_put(e, key, value);
		explicit_bzero(value, strlen(value));
		free(value);
	}
	if (w->roots.n)
		env_put(e, "GIT_SSL_CAINFO=%s/roots.pem", w->dir);
	for (const struct curl_slist *p = w->pins; p && pins < CV_PLAN_PINS_MAX;
		p = p->next, pins++)
		config_put(e, "http.curloptResolve", p->data);
}

static void env_make(struct env *e, const struct repo_work *w, const struct repo_git *g)
{
	*e = (struct env){ 0 };
	env_put(e, "PATH=/usr/local/bin:/usr/bin:/bin");
	env_put(e, "HOME=%s/home", w->dir);
	env_put(e, "XDG_CONFIG_HOME=%s/home", w->dir);
	env_put(e, "LC_ALL=C");
	env_put(e, "GIT_CONFIG_NOSYSTEM=1");
	env_put(e, "GIT_CONFIG_SYSTEM=/dev/null");
	env_put(e, "GIT_CONFIG_GLOBAL=/dev/null");
	env_put(e, "GIT_ATTR_NOSYSTEM=1");
	env_put(e, "GIT_TERMINAL_PROMPT=0");
	env_put(e, "GIT_ASKPASS=/bin/false");
	env_put(e, "GIT_ALLOW_PROTOCOL=https");
	env_put(e, "GIT_LFS_SKIP_SMUDGE=1");
	env_put(e, "GIT_NO_REPLACE_OBJECTS=1");
	if (!g->is_outside) {
		env_put(e, "GIT_DIR=%s/clone/.git", w->dir);
		env_put(e, "GIT_WORK_TREE=%s/clone", w->dir);
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(config); i++)
		config_put(e, config[i].key, config[i].value);
	if (g->is_network)
		network_put(e, w);
	env_put(e, "GIT_CONFIG_COUNT=%u", e->pairs);
}

static void env_drop(struct env *e)
{
	for (size_t i = 0; i < e->n; i++) {
		explicit_bzero(e->v[i], strlen(e->v[i]));
		free(e->v[i]);
	}
}

/* ---- the child ---- */

static void limits_set(const struct repo_work *w)
{
	const struct rlimit size = { w->tool->bytes_max, w->tool->bytes_max },
			    memory = { REPO_GIT_MEMORY, REPO_GIT_MEMORY };

	setrlimit(RLIMIT_FSIZE, &size);
	setrlimit(RLIMIT_DATA, &memory);
}

#define WORDS_MAX 40

static CV_NORETURN void become(const struct repo_work *w, const struct repo_git *g, char **env,
	int out, int err, pid_t parent)
{
	char program[PATH_MAX];
	const char *argv[WORDS_MAX + 2] = { "git" };
	size_t n = 1;

	for (size_t i = 0; g->argv[i] && n < WORDS_MAX; i++)
		argv[n++] = g->argv[i];
	const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	limits_set(w);
	signal(SIGXFSZ, SIG_IGN); /* git says what is too large, and cleans up */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent && null >= 0 && dup2(null, 0) >= 0 && dup2(out, 1) >= 0 &&
		dup2(err, 2) >= 0 && chdir(w->dir) == 0 &&
		syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0 &&
		cv_str_to_cstr(w->tool->git, program, sizeof(program)))
		execve(program, (char *const *)(uintptr_t)argv, env);
	_exit(127);
}

/* ---- what it says ---- */

/* The last of it stays. */
static void said_put(struct cv_buf *said, struct cv_str s)
{
	s = cv_str_slice(s, s.n - CV_MIN(s.n, said->max / 2), s.n);
	if (cv_buf_len(said) + s.n > said->max)
		cv_buf_skip(said, cv_buf_len(said) + s.n - said->max);
	cv_buf_put(said, s);
}

/* False: it has ended there, or what it says is too much. */
static bool piece_read(struct pollfd *p, const struct repo_git *g, struct cv_buf *said, bool is_err)
{
	static char piece[65536];
	const ssize_t n = read(p->fd, piece, sizeof(piece));
	const struct cv_str s = { piece, n > 0 ? (size_t)n : 0 };

	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0) {
		p->fd = -1;
		return true;
	}
	if (is_err) {
		said_put(said, s);
		(void)!write(2, s.p, s.n); /* the job's log */
	} else if (g->out) {
		cv_buf_put(g->out, s);
	}
	return !g->out || !g->out->is_overflown;
}

/* Until both have ended.  False: too much. */
static bool pipes_read(int out, int err, const struct repo_git *g, struct cv_buf *said)
{
	struct pollfd p[] = { { .fd = out, .events = POLLIN }, { .fd = err, .events = POLLIN } };

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return false;
		for (size_t i = 0; i < 2; i++)
			if (p[i].fd >= 0 && p[i].revents && !piece_read(&p[i], g, said, i == 1))
				return false;
	}
	return true;
}

enum repo_git_end repo_git(const struct repo_work *w, const struct repo_git *g, struct cv_buf *said)
{
	int out[2] = { -1, -1 }, err[2] = { -1, -1 }, status = 0;
	const pid_t self = getpid();
	struct env e;

	cv_buf_reset(said);
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		return REPO_GIT_BROKEN;
	env_make(&e, w, g);
	const pid_t pid = fork();
	if (pid == 0)
		become(w, g, e.v, out[1], err[1], self);
	env_drop(&e);
	close(out[1]);
	close(err[1]);
	const bool is_read = pid > 0 && pipes_read(out[0], err[0], g, said);
	close(out[0]);
	close(err[0]);
	if (pid < 0)
		return REPO_GIT_BROKEN;
	if (!is_read)
		kill(pid, SIGKILL); /* what it started ends with its pipes, or with the worker */
	(void)cv_child_wait(pid, &status);
	if (!is_read)
		return REPO_GIT_LARGE;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return REPO_GIT_BROKEN;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? REPO_GIT_OK : REPO_GIT_FAILED;
}
