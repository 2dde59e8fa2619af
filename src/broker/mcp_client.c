/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_client.c - see mcp_client.h; a server's life
 *
 *     NEW -> KEYS -> STARTING -> READY
 *                       ^  |        |
 *                       |  +--------+--> DOWN --(MCP_AGAIN_MS)--+--> FAILED, when too often
 *                       +---------------------------------------+
 *
 * One that does not come up the first time ends the run, with the end of its stderr.  Later it may
 * die: calls under way fail, a new one is started, at most MCP_RESTARTS_MAX in a minute; its tools
 * stay in the lists meanwhile and say that it is down.
 */
#include "broker/mcp_client.h"

#include "tools/template.h"
#include "wire/json_value.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static bool is_stdio(const struct mcp_server *m)
{
	return m->its->argc > 0;
}

static CV_NORETURN void mcp_die(const struct mcp_server *m, const char *why)
{
	const struct cv_str tail = cv_buf_str(&m->tail);
	const struct cv_str last = cv_str_slice(
		tail, tail.n > SERVER_TAIL_SAID ? tail.n - SERVER_TAIL_SAID : 0, tail.n);

	broker_die(CV_UNAVAILABLE, "MCP server %.*s: %s%s%.*s", CV_STR_ARG(m->its->name), why,
		last.n ? "; the last that it said:\n" : "", CV_STR_ARG(last));
}

/* ---- its start ---- */

struct mcp_words {
	struct cv_arena arena;
	char *argv[CV_TOOL_ARGS_MAX + 1];
	char *env[BROKER_ENV_MAX + CV_TOOL_ENV_MAX + 4];
	size_t env_count;
	char workdir[PATH_MAX + 64];
};

static struct mcp_words words; /* large; used up within one call */

static void env_put(struct mcp_words *w, struct cv_str pair)
{
	const struct cv_str name = cv_str_slice(pair, 0, cv_str_find_byte(pair, '=') + 1);
	size_t i = 0;

	while (i < w->env_count && !cv_str_has_prefix(cv_str_of(w->env[i]), name))
		i++;
	w->env[i] = (char *)(uintptr_t)pair.p;
	if (i == w->env_count)
		w->env_count++;
	w->env[w->env_count] = NULL;
}

static bool words_make(struct broker *b, struct mcp_server *m, struct mcp_words *w)
{
	const struct cv_template_values values = { .credential = keys_get, .arg = m->keys };
	struct cv_buf value;
	size_t n = 0;

	cv_arena_init(&w->arena, 4u << 20);
	for (; n < m->its->argc; n++)
		w->argv[n] = (char *)(uintptr_t)cv_arena_str(&w->arena, m->its->argv[n]).p;
	w->argv[n] = NULL;
	w->env_count = 0;
	env_put(w, CV_STR(PATH_DEFAULT));
	snprintf(w->workdir, sizeof(w->workdir), "%s/mcp/%.*s", b->state_path,
		CV_STR_ARG(m->its->name));
	env_put(w, cv_arena_printf(&w->arena, "TMPDIR=%s", w->workdir));
	for (size_t i = 0; i < b->env_count; i++)
		env_put(w, cv_str_of(b->env[i]));
	for (size_t i = 0; i < m->its->env_count; i++) {
		cv_buf_init(&value, BROKER_ARGV_BYTES_MAX);
		(void)!cv_buf_reserve(&value, value.max);
		if (cv_template_text(m->its->env[i].value, &values, &value, NULL) != CV_TEMPLATE_OK)
			return false;
		env_put(w, cv_arena_printf(&w->arena, "%.*s=%.*s", CV_STR_ARG(m->its->env[i].name),
				   CV_STR_ARG(cv_buf_str(&value))));
		cv_buf_wipe(&value);
	}
	return !w->arena.is_overflown;
}

static bool watch(struct broker *b, struct mcp_server *m, int fd, uint32_t events, enum watch kind)
{
	return cv_loop_add(&b->loop, fd, events, (struct cv_watch){ (uint8_t)kind, m->ref },
		       NULL) == CV_OK;
}

static bool process_start(struct broker *b, struct mcp_server *m, struct cv_err *err)
{
	struct spawn_plan plan = {
		.argv = words.argv,
		.env = words.env,
		.workdir = words.workdir,
		.has_stdin = true,
		.room = &m->its->room,
		.owns_workdir = true,
	};
	bool has_made;

	cv_buf_init(&m->in, 2 * MCP_MESSAGE_BYTES_MAX);
	cv_buf_init(&m->out, MCP_OUT_BYTES_MAX);
	const bool is_good =
		words_make(b, m, &words) &&
		(spawn_workdir_make(&plan, &has_made, err) == CV_OK || err->sys == EEXIST) &&
		spawn(&plan, &m->p, err) == CV_OK;
	cv_arena_wipe(&words.arena);
	if (!is_good)
		return cv_fail(err, CV_SYSTEM, "can't be started"), false;
	/* Its stdin is watched by edges: it is written to whenever there is something. */
	return watch(b, m, m->p.control, EPOLLIN, WATCH_MCP) &&
	       watch(b, m, m->p.out, EPOLLIN, WATCH_MCP_OUT) &&
	       watch(b, m, m->p.err, EPOLLIN, WATCH_MCP_ERR) &&
	       watch(b, m, m->p.in, EPOLLOUT | EPOLLET, WATCH_MCP_IN);
}

static void start(struct broker *b, struct mcp_server *m)
{
	struct mcp_request *r;
	struct cv_err err;

	m->state = MCP_STARTING;
	m->due_ms = b->loop.now_ms + MCP_START_MS;
	due_at(b, m->due_ms);
	m->session[0] = 0;
	m->version = CV_MCP_VERSION_NEWEST;
	if (is_stdio(m) && !process_start(b, m, &err)) {
		mcp_down(b, m, "%s", err.msg);
		return;
	}
	const struct cv_str version = cv_mcp_version_text(CV_MCP_VERSION_NEWEST);
	char params[256];
	const int n = snprintf(params, sizeof(params),
		"{\"protocolVersion\":\"%.*s\",\"capabilities\":{},"
		"\"clientInfo\":{\"name\":\"cove\",\"version\":\"" CV_VERSION "\"}}",
		CV_STR_ARG(version));
	r = mcp_send(b, m, MCP_INITIALIZE, CV_MCP_METHOD_INITIALIZE,
		(struct cv_str){ params, (size_t)n }, &err);
	if (!r)
		mcp_down(b, m, "%s", err.msg);
}

void mcps_start(struct broker *b)
{
	const size_t n = b->catalog->mcp_count;

	if (!n)
		return;
	b->mcps = calloc(n, sizeof(*b->mcps));
	if (!b->mcps || (mkdirat(b->state_dir, "mcp", 0700) < 0 && errno != EEXIST))
		broker_die(CV_SYSTEM, "no place for MCP servers");
	b->mcp_count = (uint32_t)n;
	for (uint32_t i = 0; i < n; i++) {
		struct mcp_server *m = &b->mcps[i];

		*m = (struct mcp_server){
			.its = &b->catalog->mcps[i],
			.ref = { .index = i },
			.p = { .control = -1, .in = -1, .out = -1, .err = -1 },
		};
		cv_buf_init(&m->tail, SERVER_TAIL_BYTES);
	}
	for (uint32_t i = 0; i < n; i++) {
		struct mcp_server *m = &b->mcps[i];

		if (!m->its->uses.n) {
			start(b, m);
			continue;
		}
		m->state = MCP_KEYS;
		m->keys = keys_ask(b, KEYS_MCP, m->ref, "mcp", m->its->name, &m->its->uses);
		if (!m->keys)
			mcp_die(m, "no memory");
	}
}

void mcp_keys_come(struct broker *b, struct cv_ref ref, const struct cv_err *failed)
{
	struct mcp_server *m = ref.index < b->mcp_count ? &b->mcps[ref.index] : NULL;

	if (!m || m->state != MCP_KEYS)
		return;
	if (failed)
		mcp_die(m, failed->msg);
	if (!keys_scrub_init(&m->log_scrub, m->keys, NULL))
		mcp_die(m, "no memory");
	start(b, m);
}

bool mcps_are_ready(const struct broker *b)
{
	for (uint32_t i = 0; i < b->mcp_count; i++)
		if (!b->mcps[i].was_ready)
			return false;
	return true;
}

void mcp_listed(struct broker *b, struct mcp_server *m)
{
	mcp_list_commit(b, m);
	m->state = MCP_READY;
	m->due_ms = 0;
	m->was_ready = true;
	link_ready_check(b);
}

/* ---- its end ---- */

static void fds_close(struct mcp_server *m)
{
	spawn_close(&m->p);
	cv_buf_wipe(&m->in);
	cv_buf_wipe(&m->out);
}

void mcp_down(struct broker *b, struct mcp_server *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->why, sizeof(m->why), fmt, ap);
	va_end(ap);
	if (!m->was_ready)
		mcp_die(m, m->why);
	if (m->state == MCP_DOWN || m->state == MCP_FAILED)
		return;
	if (b->loop.now_ms - m->restarts_since_ms > MCP_RESTARTS_MS) {
		m->restarts_since_ms = b->loop.now_ms;
		m->restarts = 0;
	}
	m->state = ++m->restarts > MCP_RESTARTS_MAX ? MCP_FAILED : MCP_DOWN;
	m->due_ms = m->state == MCP_DOWN ? b->loop.now_ms + MCP_AGAIN_MS : 0;
	due_at(b, m->due_ms);
	audit_note(b, m->state == MCP_FAILED, "MCP server %.*s: %s; %s", CV_STR_ARG(m->its->name),
		m->why, m->state == MCP_FAILED ? "it dies too often" : "it is started again");
	fds_close(m);
	mcp_list_free(m->fresh);
	m->fresh = NULL;
	while (m->requests) {
		struct mcp_request *r = m->requests;

		if (r->kind == MCP_CALL)
			mcp_call_answer(b, r, NULL, m->why);
		mcp_request_free(r);
	}
}

static void control_read(struct broker *b, struct mcp_server *m)
{
	struct spawn_report report;
	const ssize_t n = recv(m->p.control, &report, sizeof(report), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	mcp_log_read(m);
	if (n == sizeof(report) && report.kind == SPAWN_REPORT_FULL)
		audit_note(b, true,
			"MCP server %.*s: its directory is full: %llu bytes in %llu files at most",
			CV_STR_ARG(m->its->name), (unsigned long long)m->its->room.bytes,
			(unsigned long long)m->its->room.files);
	else if (n != sizeof(report))
		mcp_down(b, m, "it was lost");
	else if (report.kind == SPAWN_REPORT_FAILED)
		mcp_down(b, m, "it can't be started: %s", strerror(report.value));
	else if (WIFSIGNALED(report.value))
		mcp_down(b, m, "it was ended by signal %d", WTERMSIG(report.value));
	else
		mcp_down(b, m, "it ended by itself with exit code %d", WEXITSTATUS(report.value));
}

void mcp_event(struct broker *b, struct cv_ref ref, int what, uint32_t events)
{
	struct mcp_server *m = ref.index < b->mcp_count ? &b->mcps[ref.index] : NULL;

	(void)events;
	if (!m || m->p.control < 0)
		return;
	switch (what) {
	case WATCH_MCP_OUT: mcp_stdio_read(b, m); break;
	case WATCH_MCP_ERR: mcp_log_read(m); break;
	case WATCH_MCP_IN: mcp_stdio_write(b, m); break;
	default: control_read(b, m); break;
	}
}

void mcps_due(struct broker *b)
{
	for (uint32_t i = 0; i < b->mcp_count; i++) {
		struct mcp_server *m = &b->mcps[i];

		if (m->due_ms && m->due_ms <= b->loop.now_ms) {
			m->due_ms = 0;
			if (m->state == MCP_DOWN)
				start(b, m);
			else if (m->state == MCP_STARTING)
				mcp_down(b, m, "it was not there after %d seconds",
					MCP_START_MS / 1000);
		}
		due_at(b, m->due_ms);
	}
}

/* Closing stdin is how stdio servers are told to end; their shepherds end what does not. */
void mcps_stop(struct broker *b)
{
	for (uint32_t i = 0; i < b->mcp_count; i++)
		spawn_close(&b->mcps[i].p);
}
