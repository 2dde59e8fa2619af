/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.c - the backend `command`: a program of the catalog's, once for each call
 *
 * Its words are the catalog's, with arguments only in the places that it has for them (template.h):
 * no shell, and no value is read as an option.  Its environment is what the catalog says, what the
 * launcher lets tools inherit, and a PATH.  Its directory is its own, unless the catalog names one, and
 * TMPDIR is the same, so that what is only passing goes with the call too.  A command that fails when
 * its directory was seen full, or that was ended for it, has its own error: workdir_full.
 *
 * What it writes on stdout is the result, up to the call's limit; the rest is read and dropped, and
 * past BROKER_DRAIN_BYTES_MAX it is ended.  What it writes on stderr is the job's log.
 */
#include "broker/broker.h"

#include "base/base64.h"
#include "base/utf8.h"
#include "broker/call_end.h"
#include "broker/self.h"
#include "broker/spawn.h"
#include "tools/template.h"
#include "wire/json.h"
#include "wire/json_value.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define ARGS_MAX     1024
#define BOX_WORDS    5 /* of `cove run` besides: itself, two values, --policy, -- */

struct command_run {
	struct spawned p;
	struct cv_buf out, in;
	uint64_t out_bytes, err_bytes;
	bool is_killed; /* grace is over */
	bool is_flooding;
	bool is_full, is_ended_for_it; /* its directory */
	char *remove;                  /* which its shepherd does not see; NULL: nothing */
	int start_errno;               /* it could not be started */
};

/* ---- its words ---- */

struct words {
	struct cv_arena arena;
	char *argv[ARGS_MAX + 1];
	char *env[BROKER_ENV_MAX + ARGS_MAX + 3];
	size_t env_count;
	struct cv_str wrong; /* the argument that does not fit */
	char workdir[PATH_MAX + 64];
	bool owns_workdir;
};

static struct words words; /* large; nothing in it outlives the call that fills it */

static cv_code place_fail(struct words *w, const struct cv_template_failure *f, struct cv_err *err)
{
	w->wrong = f->name;
	return cv_fail(err, CV_INVALID, "%s", cv_template_rc_text(f->rc));
}

static cv_code argv_make(struct words *w, const struct cv_tool_command *c,
	const struct cv_template_values *values, struct cv_err *err)
{
	struct cv_template_failure failure;
	struct cv_str *word;
	size_t n;

	if (cv_template_argv(c->argv, c->argc, values, &w->arena, &word, &n, &failure) !=
		CV_TEMPLATE_OK)
		return place_fail(w, &failure, err);
	if (n > ARGS_MAX)
		return cv_fail(err, CV_INVALID, "the arguments make too many words");
	for (size_t i = 0; i < n; i++)
		w->argv[i] = (char *)(uintptr_t)word[i].p;
	w->argv[n] = NULL;
	return CV_OK;
}

static void env_put(struct words *w, const char *text)
{
	const struct cv_str name =
		cv_str_slice(cv_str_of(text), 0, cv_str_find_byte(cv_str_of(text), '=') + 1);

	for (size_t i = 0; i < w->env_count; i++)
		if (cv_str_has_prefix(cv_str_of(w->env[i]), name)) {
			w->env[i] = (char *)(uintptr_t)text;
			return;
		}
	if (w->env_count + 1 < CV_ARRAY_LEN(w->env))
		w->env[w->env_count++] = (char *)(uintptr_t)text;
	w->env[w->env_count] = NULL;
}

static cv_code env_make(struct broker *b, struct words *w, const struct cv_tool_command *c,
	const struct cv_template_values *values, struct cv_err *err)
{
	env_put(w, PATH_DEFAULT);
	if (w->owns_workdir && !c->is_sandboxed) {
		const struct cv_str temporary = cv_arena_printf(&w->arena, "TMPDIR=%s", w->workdir);

		if (temporary.p)
			env_put(w, temporary.p);
	}
	for (size_t i = 0; i < b->env_count; i++)
		env_put(w, b->env[i]);
	for (size_t i = 0; i < c->env_count; i++) {
		struct cv_template_failure failure;
		struct cv_buf text;

		if (!cv_template_is_there(c->env[i].value, values))
			continue;
		cv_buf_init(&text, BROKER_ARGV_BYTES_MAX - 1); /* without its NUL */
		(void)!cv_buf_reserve(&text, text.max); /* so that it leaves no copy behind */
		cv_buf_put(&text, c->env[i].name);
		cv_buf_put_byte(&text, '=');
		if (cv_template_text(c->env[i].value, values, &text, &failure) != CV_TEMPLATE_OK) {
			cv_buf_wipe(&text);
			return place_fail(w, &failure, err);
		}
		const struct cv_str kept = cv_arena_str(&w->arena, cv_buf_str(&text));
		cv_buf_wipe(&text);
		if (!kept.p)
			return cv_fail(err, CV_LIMIT, "the environment is too large");
		env_put(w, kept.p);
	}
	return CV_OK;
}

/* j NULL: only to see whether the arguments fit. */
static cv_code workdir_name(struct broker *b, const struct cv_tool_command *c, const struct job *j,
	struct words *w, struct cv_err *err)
{
	w->workdir[0] = 0;
	w->owns_workdir = j && !c->workdir.n;
	if (w->owns_workdir)
		snprintf(w->workdir, sizeof(w->workdir), "%s/calls/%s", b->state_path, j->id);
	else if (!cv_str_to_cstr(c->workdir, w->workdir, sizeof(w->workdir)))
		return cv_fail(err, CV_INVALID, "workdir is too long");
	return CV_OK;
}

static cv_code workdir_make(
	struct broker *b, struct spawn_plan *plan, bool *ret_has_made, struct cv_err *err)
{
	if (!plan->owns_workdir)
		return CV_OK;
	if (mkdirat(b->state_dir, "calls", 0711) < 0 && errno != EEXIST)
		return cv_fail_errno(err, "mkdir calls");
	const cv_code code = spawn_workdir_make(plan, ret_has_made, err);
	plan->remove = *ret_has_made ? plan->workdir : NULL;
	return code;
}

static bool env_has(const struct words *w, struct cv_str name)
{
	for (size_t i = 0; i < w->env_count; i++)
		if (strncmp(w->env[i], name.p, name.n) == 0 && w->env[i][name.n] == '=')
			return true;
	return false;
}

/* In a sandbox of its own: the words become a `cove run`'s, which gets the tool's environment as its
 * own and hands on what the catalog names, so that no value is in its words. */
static cv_code box_put(struct words *w, const struct cv_tool_command *c, struct cv_err *err)
{
	static const char *const begin[] = { "run", "-q", "--no-tty", "--workdir" };
	static char *inner[ARGS_MAX + 1];
	static char cove[PATH_MAX];
	const char *out[CV_ARRAY_LEN(begin) + BOX_WORDS];
	size_t n = 0, argc = 0;

	while (w->argv[argc])
		argc++;
	memcpy(inner, w->argv, (argc + 1) * sizeof(*inner));
	if (!self_find(cove, sizeof(cove)))
		return cv_fail(err, CV_UNAVAILABLE, "cove is not beside cove-broker");
	if (argc + CV_ARRAY_LEN(out) + 2 * c->env_count > ARGS_MAX)
		return cv_fail(err, CV_INVALID, "the arguments make too many words");
	out[n++] = cove;
	for (size_t i = 0; i < CV_ARRAY_LEN(begin); i++)
		out[n++] = begin[i];
	out[n++] = w->workdir;
	if (c->sandbox_policy.n) {
		out[n++] = "--policy";
		out[n++] = c->sandbox_policy.p;
	}
	for (size_t i = 0; i < n; i++)
		w->argv[i] = (char *)(uintptr_t)out[i];
	for (size_t i = 0; i < c->env_count; i++) {
		if (!env_has(w, c->env[i].name))
			continue; /* an argument that it needs was left out */
		w->argv[n++] = (char *)(uintptr_t) "--env";
		w->argv[n++] = (char *)(uintptr_t)c->env[i].name.p;
	}
	w->argv[n++] = (char *)(uintptr_t) "--";
	memcpy(&w->argv[n], inner, (argc + 1) * sizeof(*inner));
	return CV_OK;
}

static void stdin_make(const struct job *j, struct cv_buf *in, bool *ret_has)
{
	const struct cv_tool_command *c = j->tool->command;
	const struct cv_value *v = NULL;

	*ret_has = true;
	cv_buf_init(in, 8 * BROKER_BODY_BYTES_MAX);
	switch (c->stdin_kind) {
	case CV_TOOL_STDIN_JSON: cv_buf_put(in, cv_buf_str(&j->canonical)); return;
	case CV_TOOL_STDIN_ARGUMENT:
		v = cv_value_get(j->arguments, c->stdin_argument);
		if (v && v->type == CV_VALUE_STRING)
			cv_buf_put(in, v->s);
		else if (v)
			(void)!cv_json_value_write(in, v);
		return;
	case CV_TOOL_STDIN_NONE: break;
	}
	*ret_has = false;
}

/* ---- its start ---- */

static bool watch(struct broker *b, struct job *j, int fd, uint32_t events, enum watch kind,
	struct cv_err *err)
{
	return fd < 0 || cv_loop_add(&b->loop, fd, events,
				 (struct cv_watch){ (uint8_t)kind, j->ref }, err) == CV_OK;
}

/* keys, j NULL: only to see whether the arguments fit. */
static cv_code words_make(struct broker *b, const struct cv_tool *t,
	const struct cv_value *arguments, struct keys *keys, const struct job *j, struct words *w,
	struct cv_err *err)
{
	const struct cv_template_values values = {
		.arguments = arguments,
		.credential = keys ? keys_get : keys_get_empty,
		.arg = keys,
	};

	w->env_count = 0;
	w->wrong = CV_STR("");
	cv_arena_init(&w->arena, 4 * BROKER_BODY_BYTES_MAX);
	if (workdir_name(b, t->command, j, w, err) != CV_OK ||
		argv_make(w, t->command, &values, err) != CV_OK ||
		env_make(b, w, t->command, &values, err) != CV_OK)
		return err->code;
	return CV_OK;
}

static cv_code command_check(struct broker *b, const struct cv_tool *t,
	const struct cv_value *arguments, struct cv_arena *arena, struct cv_str *ret_pointer,
	struct cv_err *err)
{
	const cv_code code = words_make(b, t, arguments, NULL, NULL, &words, err);

	cv_arena_wipe(&words.arena);
	if (code != CV_OK && words.wrong.n)
		*ret_pointer = cv_arena_printf(arena, "/%.*s", CV_STR_ARG(words.wrong));
	return code;
}

static bool command_start(struct broker *b, struct job *j, struct cv_err *err)
{
	const struct cv_tool_command *c = j->tool->command;
	struct words *const w = &words;
	struct spawn_plan plan = {
		.argv = w->argv,
		.env = w->env,
		.workdir = w->workdir,
		.room = &c->room,
		.owns_workdir = !c->workdir.n,
		.cleans_up = c->is_sandboxed,
	};
	struct command_run *run = calloc(1, sizeof(*run));
	bool has_made = false, is_started = false;

	if (!run)
		return cv_fail(err, CV_LIMIT, "no memory"), false;
	stdin_make(j, &run->in, &plan.has_stdin);
	cv_buf_init(&run->out, (size_t)CV_MAX(j->bytes_max, (uint64_t)1));
	run->p = (struct spawned){ .control = -1, .in = -1, .out = -1, .err = -1 };
	if (words_make(b, j->tool, j->arguments, j->keys, j, w, err) == CV_OK &&
		(!c->user.n || spawn_user_find(c->user, &plan.user, err) == CV_OK) &&
		(!c->is_sandboxed || box_put(w, c, err) == CV_OK) &&
		workdir_make(b, &plan, &has_made, err) == CV_OK)
		is_started = spawn(&plan, &run->p, err) == CV_OK;
	if (is_started && has_made && spawn_has_cells() && c->room.is_private && !c->is_sandboxed)
		run->remove = strdup(w->workdir);
	else if (!is_started && has_made)
		tree_remove(AT_FDCWD, w->workdir);
	cv_arena_wipe(&w->arena);
	j->run = run;
	if (!is_started || !watch(b, j, run->p.control, EPOLLIN, WATCH_RUN, err) ||
		!watch(b, j, run->p.out, EPOLLIN, WATCH_RUN_OUT, err) ||
		!watch(b, j, run->p.err, EPOLLIN, WATCH_RUN_ERR, err) ||
		!watch(b, j, run->p.in, EPOLLOUT, WATCH_RUN_IN, err)) {
		command_backend.drop(b, j);
		return false;
	}
	return true;
}

/* ---- while it runs ---- */

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void flood_check(struct broker *b, struct job *j, struct command_run *run)
{
	if (run->is_flooding ||
		(run->out_bytes <= j->bytes_max + BROKER_DRAIN_BYTES_MAX &&
			run->err_bytes <= BROKER_LOG_BYTES_MAX + BROKER_DRAIN_BYTES_MAX))
		return;
	run->is_flooding = true;
	if (!j->is_stopping) {
		j->is_stopping = true;
		j->stop_state = JOB_FAILED;
	}
	j->due_ms = b->loop.now_ms + BROKER_GRACE_MS;
	due_at(b, j->due_ms);
	spawn_tell(&run->p, SPAWN_KILL);
}

/* At most this much for each descriptor and turn: others want to be heard too. */
#define READS_MAX  16
#define READ_BYTES 32768

/* A tool may write what it was given. */
static void piece_wipe(const struct job *j, char piece[READ_BYTES])
{
	if (j->keys)
		explicit_bzero(piece, READ_BYTES);
}

static void out_read(struct broker *b, struct job *j, struct command_run *run)
{
	char piece[READ_BYTES];
	ssize_t n = 0;

	for (int i = 0; i < READS_MAX && run->p.out >= 0; i++) {
		n = read(run->p.out, piece, sizeof(piece));
		if (n <= 0)
			break;
		run->out_bytes += (uint64_t)n;
		call_out(j, (struct cv_str){ piece, (size_t)n }, &run->out);
	}
	piece_wipe(j, piece);
	if (n == 0)
		fd_close(&run->p.out);
	flood_check(b, j, run);
}

static void err_read(struct broker *b, struct job *j, struct command_run *run)
{
	char piece[READ_BYTES];
	ssize_t n = 0;

	for (int i = 0; i < READS_MAX && run->p.err >= 0; i++) {
		n = read(run->p.err, piece, sizeof(piece));
		if (n <= 0)
			break;
		run->err_bytes += (uint64_t)n;
		call_log(b, j, (struct cv_str){ piece, (size_t)n });
	}
	piece_wipe(j, piece);
	if (n == 0)
		fd_close(&run->p.err);
	flood_check(b, j, run);
}

static void in_write(struct command_run *run)
{
	while (cv_buf_len(&run->in)) {
		const struct cv_str s = cv_buf_str(&run->in);
		const ssize_t n = write(run->p.in, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break; /* it does not want to read it, which is its own affair */
		cv_buf_skip(&run->in, (size_t)n);
	}
	cv_buf_fini(&run->in);
	fd_close(&run->p.in);
}

/* ---- its end ---- */

static bool exit_is_ok(const struct cv_tool *t, int code)
{
	for (size_t i = 0; i < t->exit_ok_count; i++)
		if (t->exit_ok[i] == code)
			return true;
	return !t->exit_ok_count && code == 0;
}

static void run_free(struct command_run *run)
{
	spawn_close(&run->p); /* its shepherd, if there is one, sees that and ends it all */
	if (run->remove)
		spawn_remove(run->remove);
	free(run->remove);
	cv_buf_fini(&run->out);
	cv_buf_wipe(&run->in);
	free(run);
}

static void finish(struct broker *b, struct job *j, const struct spawn_report *report)
{
	struct command_run *run = j->run;
	const bool is_exit = report && WIFEXITED(report->value);

	call_out_end(j, &run->out);
	call_log_end(b, j);
	struct call_end e = {
		.outcome = CALL_FAILED,
		.output = cv_buf_str(&run->out),
		.is_truncated = run->out_bytes > cv_buf_len(&run->out),
		.bytes = run->out_bytes,
		.stderr_tail = job_log_tail(j),
		.has_exit = is_exit,
		.exit = is_exit ? WEXITSTATUS(report->value) : 0,
		.signal = report && WIFSIGNALED(report->value) ? WTERMSIG(report->value) : 0,
	};

	if (!report) {
		e.outcome = CALL_BROKEN;
		e.detail = "the command was lost";
	} else if (run->start_errno) {
		e = (struct call_end){
			.outcome = CALL_BROKEN,
			.detail = strerror(run->start_errno),
		};
	} else if (run->is_flooding) {
		e.detail = "it wrote more than it may, and was ended";
	} else if (run->is_ended_for_it ||
		   (run->is_full && !(is_exit && exit_is_ok(j->tool, e.exit)))) {
		e.outcome = CALL_FULL;
		e.is_ended_for_it = run->is_ended_for_it;
	} else if (is_exit && exit_is_ok(j->tool, e.exit)) {
		e.outcome = CALL_OK;
	}
	if (j->is_stopping && j->stop_state == JOB_CANCELLED)
		e.outcome = CALL_CANCELLED;
	if (j->is_stopping && j->stop_state == JOB_TIMED_OUT)
		e.outcome = CALL_TIMEOUT;
	j->run = NULL; /* it is no more, whoever asks */
	call_end(b, j, &e);
	run_free(run);
}

static void control_read(struct broker *b, struct job *j, struct command_run *run)
{
	struct spawn_report report;
	const ssize_t n = recv(run->p.control, &report, sizeof(report), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof(report) && report.kind == SPAWN_REPORT_FAILED) {
		run->start_errno = report.value ? report.value : EIO; /* its end is said too */
		return;
	}
	if (n == sizeof(report) && report.kind == SPAWN_REPORT_FULL) {
		run->is_full = true;
		run->is_ended_for_it |= report.value != 0;
		return;
	}
	/* All that could write has ended, so what is in the pipes is all there is. */
	for (int i = 0; run->p.out >= 0 && i < 64; i++)
		out_read(b, j, run);
	for (int i = 0; run->p.err >= 0 && i < 64; i++)
		err_read(b, j, run);
	if (n != sizeof(report)) {
		b->orphans_until_ms = b->loop.now_ms + 1000;
		due_at(b, b->loop.now_ms);
	}
	finish(b, j, n == sizeof(report) ? &report : NULL);
}

static void command_event(struct broker *b, struct job *j, enum watch what, uint32_t events)
{
	struct command_run *run = j->run;

	(void)events;
	switch ((int)what) {
	case WATCH_RUN_OUT: out_read(b, j, run); break;
	case WATCH_RUN_ERR: err_read(b, j, run); break;
	case WATCH_RUN_IN: in_write(run); break;
	default: control_read(b, j, run); break;
	}
}

static void command_stop(struct broker *b, struct job *j)
{
	struct command_run *run = j->run;

	spawn_tell(&run->p, SPAWN_TERM);
	j->due_ms = b->loop.now_ms + BROKER_GRACE_MS;
	due_at(b, j->due_ms);
}

/* Grace is over.  A shepherd that does not listen, because what it watches keeps it from that, goes
 * too: the end of its link is the call's, and what it leaves comes to us. */
static void command_due(struct broker *b, struct job *j)
{
	struct command_run *run = j->run;

	if (run->is_killed) {
		spawn_signal(&run->p, SIGKILL);
		return;
	}
	run->is_killed = true;
	spawn_tell(&run->p, SPAWN_KILL);
	j->due_ms = b->loop.now_ms + BROKER_GRACE_MS;
	due_at(b, j->due_ms);
}

static void command_drop(struct broker *b, struct job *j)
{
	struct command_run *run = j->run;

	(void)b;
	if (!run)
		return;
	j->run = NULL;
	run_free(run);
}

const struct backend command_backend = {
	.name = "command",
	.check = command_check,
	.start = command_start,
	.event = command_event,
	.stop = command_stop,
	.due = command_due,
	.drop = command_drop,
};
