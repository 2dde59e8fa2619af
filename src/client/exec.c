/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.c - a command in a sandbox, with our standard streams as its own
 *
 * Everything streams: stdin as it comes (a pipe that stays open does not hold the command back),
 * stdout and stderr as they come, each to its own descriptor.  Our descriptors block, and that is
 * the flow control: while we wait for our reader, nothing is read from the gateway, whose window
 * fills; while the gateway has no room, stdin is not read.
 *
 * With a terminal ours becomes raw, and its size follows; it is put back at the end, whatever the end
 * is.  Without one, a signal ends us, the call is reset, and the gateway ends the command.
 *
 * `cove` runs what it can in another way, in which the command outlives us: exec_kept.c.
 */
#include "client/commands.h"
#include "client/sandbox.h"
#include "client/terminal.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES   (32u << 10) /* of stdin, at a time */
#define FED_BYTES_MAX (1u << 20)  /* of what feed() gives at a time */
#define LINGER_MS     10000       /* beyond the command's own time, until we stop waiting */

struct run {
	const struct cl_exec *e;
	bool has_exit, has_stdin, is_started;
	int exit_code;
	struct cv_buf fed;
};

/* ---- what comes ---- */

bool cl_fd_write(struct cl *c, int fd, struct cv_str bytes)
{
	for (size_t done = 0; done < bytes.n;) {
		const ssize_t n = write(fd, bytes.p + done, bytes.n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) { /* somebody shares our stdout and set it so */
			struct pollfd p = { fd, POLLOUT, 0 };
			(void)poll(&p, 1, -1);
			continue;
		}
		if (n < 0 && errno == EPIPE)
			return false;
		if (n < 0)
			cl_die(c, "write: %s", strerror(errno));
		done += (size_t)n;
	}
	return true;
}

static void fd_write(struct cl *c, int fd, ProtobufCBinaryData data)
{
	if (!cl_fd_write(c, fd, (struct cv_str){ (const char *)data.data, data.len }))
		exit(CL_EXIT_FAILED); /* nobody reads any more */
}

static void saw(struct cl_stream *st, ProtobufCMessage *m)
{
	const Openshell__V1__ExecSandboxEvent *e = (const Openshell__V1__ExecSandboxEvent *)m;
	struct run *r = st->arg;

	if (e->payload_case == OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDOUT) {
		const ProtobufCBinaryData d = e->stdout->data;

		if (r->e->out)
			r->e->out(r->e->arg, (struct cv_str){ (const char *)d.data, d.len });
		else
			fd_write(st->c, STDOUT_FILENO, d);
	} else if (e->payload_case == OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDERR) {
		const ProtobufCBinaryData d = e->stderr->data;

		if (r->e->err)
			cv_buf_put(r->e->err, (struct cv_str){ (const char *)d.data, d.len });
		else
			fd_write(st->c, STDERR_FILENO, d);
	} else if (e->payload_case == OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_EXIT) {
		r->has_exit = true;
		r->exit_code = e->exit->exit_code;
	}
}

/* ---- what goes ---- */

static void send_start(struct cl *c, struct cl_stream *st, const struct cl_exec *e)
{
	Openshell__V1__ExecSandboxRequest start;
	Openshell__V1__ExecSandboxInput in;

	openshell__v1__exec_sandbox_request__init(&start);
	start.sandbox_id = cl_dup(c, e->id);
	start.command = cl_alloc(c, (e->argc + 1) * sizeof(char *));
	start.n_command = e->argc;
	for (size_t i = 0; i < e->argc; i++)
		start.command[i] = cl_dup(c, e->argv[i]);
	start.workdir = cl_dup(c, e->workdir);
	start.environment = e->env;
	start.n_environment = e->env_count;
	start.timeout_seconds = e->timeout_s;
	start.tty = e->has_tty;
	if (e->has_tty)
		cl_terminal_size(&start.cols, &start.rows);
	openshell__v1__exec_sandbox_input__init(&in);
	in.payload_case = OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_START;
	in.start = &start;
	cl_stream_send(st, &in.base);
}

static void send_stdin(struct cl_stream *st, struct cv_str bytes)
{
	Openshell__V1__ExecSandboxInput in;

	while (bytes.n) {
		const size_t n = CV_MIN(bytes.n, (size_t)CHUNK_BYTES);

		openshell__v1__exec_sandbox_input__init(&in);
		in.payload_case = OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_STDIN;
		in.stdin = (ProtobufCBinaryData){ n, (uint8_t *)(uintptr_t)bytes.p }; /* read */
		cl_stream_send(st, &in.base);
		bytes = cv_str_slice(bytes, n, bytes.n);
	}
}

static void send_size(struct cl_stream *st)
{
	Openshell__V1__ExecSandboxWindowResize size;
	Openshell__V1__ExecSandboxInput in;

	openshell__v1__exec_sandbox_window_resize__init(&size);
	cl_terminal_size(&size.cols, &size.rows);
	openshell__v1__exec_sandbox_input__init(&in);
	in.payload_case = OPENSHELL__V1__EXEC_SANDBOX_INPUT__PAYLOAD_RESIZE;
	in.resize = &size;
	cl_stream_send(st, &in.base);
}

static void stdin_end(struct cl_stream *st, struct run *r)
{
	r->has_stdin = false;
	if (st->s)
		cv_rpc_stream_half_close(st->s);
}

static void stdin_read(struct cl_stream *st, struct run *r)
{
	char bytes[CHUNK_BYTES];
	const ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (n > 0)
		send_stdin(st, (struct cv_str){ bytes, (size_t)n });
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		stdin_end(st, r);
}

static void feed(struct cl_stream *st, struct run *r)
{
	while (r->has_stdin && !st->is_full && st->s) {
		const bool has_more = r->e->feed(r->e->arg, &r->fed);

		send_stdin(st, cv_buf_str(&r->fed));
		cv_buf_reset(&r->fed);
		if (!has_more)
			stdin_end(st, r);
	}
}

/* 137 alone says nothing of a command that ended with its sandbox. */
static void end_tell(struct cl *c, const char *id)
{
	const Openshell__V1__Sandbox *s = cl_sandbox_find(c, id);
	const Openshell__V1__SandboxCondition *ready = s ? cl_sandbox_condition(s) : NULL;

	if (ready && cl_phase(s) == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_ERROR)
		cl_note(c, "the sandbox ended: %s: %s", cl_shown(c, ready->reason),
			cl_shown(c, ready->message));
}

static int finish(struct cl *c, const struct cl_stream *st, const struct run *r)
{
	cl_terminal_restore();
	if (r->has_exit && r->exit_code == 128 + SIGKILL)
		end_tell(c, r->e->id);
	if (r->has_exit)
		return r->exit_code;
	if (st->status == CV_RPC_DEADLINE_EXCEEDED)
		return CL_EXIT_TIMEOUT;
	cl_die_status(c, st->status,
		st->status == CV_RPC_OK ? "the command ended without an exit status" : st->message);
}

int cl_exec(struct cl *c, const struct cl_exec *e)
{
	struct run r = { .e = e, .has_stdin = !e->has_no_stdin };
	struct cl_stream st = { .on_message = saw, .arg = &r };
	const int64_t deadline =
		e->timeout_s ? cv_clock_ms() + (int64_t)e->timeout_s * 1000 + LINGER_MS : INT64_MAX;

	cv_buf_init(&r.fed, FED_BYTES_MAX);
	fflush(stdout);
	cl_stream_open(c, &st, CL_METHOD(ExecSandboxInteractive),
		&openshell__v1__exec_sandbox_event__descriptor);
	send_start(c, &st, e);
	if (e->has_tty)
		cl_terminal_raw();
	if (!r.has_stdin)
		stdin_end(&st, &r);
	while (!st.is_ended) {
		const bool reads = r.has_stdin && !e->feed && !st.is_full;
		struct pollfd in = { STDIN_FILENO, POLLIN, 0 };
		const int64_t left = deadline - cv_clock_ms();

		if (left <= 0) {
			cl_terminal_restore();
			return CL_EXIT_TIMEOUT;
		}
		if (e->feed)
			feed(&st, &r);
		cl_turn(c, &in, reads, (int)CV_MIN(left, 1 << 30));
		if (e->has_tty && cl_terminal_was_resized())
			send_size(&st);
		if (reads && in.revents)
			stdin_read(&st, &r);
	}
	cv_buf_fini(&r.fed);
	return finish(c, &st, &r);
}

/* ---- the commands ---- */

int cl_shell(struct cl *c, const char *id)
{
	static const char *const argv[] = { "/bin/sh", "-c",
		"if [ -x /bin/bash ]; then exec /bin/bash -l; else exec /bin/sh -l; fi" };
	size_t env_count = 0;
	const char *term = getenv("TERM");
	void *env = cl_map_add(c, NULL, &env_count,
		&openshell__v1__exec_sandbox_request__environment_entry__descriptor, "TERM",
		term && *term ? term : "xterm-256color");
	const struct cl_exec e = { .id = id,
		.argv = argv,
		.argc = CV_ARRAY_LEN(argv),
		.env = env,
		.env_count = env_count,
		.has_tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) };

	return cl_exec(c, &e);
}

static void env_check(struct cl *c)
{
	for (size_t i = 0; i < cl_flag_count(&c->w, "env"); i++) {
		const char *value;
		const char *key = cl_pair(c, cl_flag_at(&c->w, "env", i), &value);
		const size_t n = strspn(
			key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");

		if (key[n] || (key[0] >= '0' && key[0] <= '9'))
			cl_die_usage(
				c, "invalid value for '--env': '%s' is no name of a variable", key);
		if (strncmp(key, "OPENSHELL_", 10) == 0)
			cl_die_usage(
				c, "invalid value for '--env': names with OPENSHELL_ are reserved");
	}
}

int cl_run_sandbox_exec(struct cl *c)
{
	const bool is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	static const char *const own[] = { "detach", "stdin" };
	size_t env_count;

	if (!c->w.tail_count)
		cl_die_usage(c, "the following required arguments were not provided: <CMD>");
	for (size_t i = 0; i < CV_ARRAY_LEN(own) && strcmp(c->program, "cove") != 0; i++)
		if (cl_has(&c->w, own[i]))
			cl_die_usage(c, "unexpected argument '--%s' found", own[i]);
	if (cl_has(&c->w, "stdin") && !cl_has(&c->w, "detach"))
		cl_die_usage(c, "'--stdin' is of use with '--detach' only");
	env_check(c);
	void *env = cl_map_of_flag(c, "env",
		&openshell__v1__exec_sandbox_request__environment_entry__descriptor, &env_count);
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_flag(&c->w, "name"), true);
	const bool is_detached = cl_has(&c->w, "detach");
	const bool has_tty =
		cl_has(&c->w, "tty") || (is_terminal && !is_detached && !cl_has(&c->w, "no-tty"));
	const char *term = getenv("TERM");
	bool has_term = false;

	for (size_t i = 0; i < env_count; i++)
		has_term |= strcmp(((struct cl_entry **)env)[i]->key, "TERM") == 0;
	if (has_tty && !has_term)
		env = cl_map_add(c, env, &env_count,
			&openshell__v1__exec_sandbox_request__environment_entry__descriptor, "TERM",
			term && *term ? term : "xterm-256color");
	const struct cl_exec e = { .id = s->metadata->id,
		.argv = (const char *const *)c->w.tail,
		.argc = c->w.tail_count,
		.workdir = cl_flag(&c->w, "workdir"),
		.env = env,
		.env_count = env_count,
		.timeout_s = cl_number(&c->w, "timeout", 0),
		.has_tty = has_tty,
		.keeps_stdin = cl_has(&c->w, "stdin") };
	int status;

	/* Other people's scripts get what they know. */
	if (strcmp(c->program, "cove") == 0 && (!has_tty || is_detached) &&
		cl_exec_kept(c, &e, s->metadata->name, is_detached, &status))
		return status;
	if (is_detached)
		cl_die(c, "this gateway has no commands that outlive their client");
	return cl_exec(c, &e);
}

int cl_run_exec(struct cl *c)
{
	return cl_run_sandbox_exec(c);
}

int cl_run_sandbox_connect(struct cl *c)
{
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), true);

	if (cl_has(&c->w, "editor"))
		return cl_editor(c, s->metadata->name);
	return cl_shell(c, s->metadata->id);
}
