/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.c - commands in a sandbox: ExecSandbox, ExecSandboxInteractive, and the main command
 *
 *     call ──EXEC──► supervisor ──STARTED──► the outer ends of its pipes, or its terminal
 *       ▲                                        │ read, never looked at
 *       └──── stdout, stderr, exit ◄─────────────┘
 *
 * A command passes WAITING (for a supervisor that is about to dial), SENT, RUNNING and OVER.  It is
 * finished for its client when it has exited and its output has ended, or when nothing more came for
 * a moment after it exited: what it left running in the background may hold its pipes for ever.
 *
 * Flow control goes through: while the call takes no more, its pipes are not read, so the command
 * waits; while stdin is full, the call is held.  Descriptors are watched edge-triggered and once.
 *
 * A command without a client (who went, or whose gateway was another process) is told to end.  The
 * main command has no client: its output is kept, as much as a terminal would show, and it goes on.
 */
#include "gateway/exec_int.h"

#include "gateway/deliver.h"

#include "gateway/log.h"
#include "gateway/pb.h"
#include "gateway/ssh.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/wait.h>

#define EXEC_TERM_MS     2000        /* from SIGTERM to SIGKILL */
#define EXEC_DEAD_MS     10000       /* from SIGKILL until nobody waits any more */
#define EXEC_TAIL_MS     500         /* of silence after the exit, while a pipe is open */
#define CHUNK_BYTES      (32u << 10) /* of one message; half a pipe */
#define PUMPS_MAX        16          /* chunks of one pipe, before others get their turn */
#define STDIN_HOLD_BYTES (64u << 10)
#define REPLAY_BYTES     (256u << 10) /* of the main command's output */
#define TIMEOUT_STATUS   124
#define CUT_SHORT        "exec relay closed before the command reported an exit status"

/* ---- the table ---- */

struct cv_gw_exec *exec_find(const struct cv_gw_box *b, uint32_t id)
{
	for (struct cv_gw_exec *x = b->execs; x; x = x->next)
		if (x->id == id)
			return x;
	return NULL;
}

struct cv_gw_exec *exec_new(struct cv_gw_box *b, uint32_t id)
{
	struct cv_gw_exec *x = calloc(1, sizeof(*x));

	if (!x || !cv_slots_add(&b->g->execs->all, x, &x->ref)) {
		free(x);
		return NULL;
	}
	x->g = b->g;
	x->box = b->ref;
	x->id = id;
	x->fd[IN] = x->fd[OUT] = x->fd[ERR] = -1;
	cv_buf_init(&x->in, STDIN_BYTES_MAX);
	cv_buf_init(&x->replay, 2 * REPLAY_BYTES);
	x->next = b->execs;
	b->execs = x;
	return x;
}

static void end_close(struct cv_gw_exec *x, int i)
{
	if (x->fd[i] >= 0) {
		cv_loop_remove(&x->g->loop, x->fd[i]); /* the supervisor holds it too */
		close(x->fd[i]);
	}
	x->fd[i] = -1;
}

static void exec_free(struct cv_gw_exec *x)
{
	struct cv_gw_box *b = cv_gw_box_get(x->g, x->box);

	for (struct cv_gw_exec **i = b ? &b->execs : NULL; i && *i; i = &(*i)->next)
		if (*i == x) {
			*i = x->next;
			break;
		}
	for (int i = 0; i < ENDS; i++)
		end_close(x, i);
	exec_ssh_drop(x->ssh);
	cv_slots_remove(&x->g->execs->all, x->ref);
	cv_buf_wipe(&x->in);
	cv_buf_fini(&x->replay);
	cv_pb_free((void *)(uintptr_t)x->request);
	free(x);
}

/* Over for the supervisor and for the client: nobody needs it.  By its reference, because finishing
 * a call may close it at once, and with it the command. */
static void release(struct cv_gateway *g, struct cv_ref ref)
{
	struct cv_gw_exec *x = cv_slots_get(&g->execs->all, ref);

	if (x && x->state == EXEC_OVER && !x->call)
		exec_free(x);
}

void exec_deadline(struct cv_gw_exec *x, int64_t *which, int64_t ms)
{
	*which = ms ? x->g->loop.now_ms + ms : 0;
	if (ms)
		x->g->execs->deadline_ms = CV_MIN(x->g->execs->deadline_ms, *which);
}

static void link_u32s(struct cv_gw_exec *x, uint32_t type, uint32_t a, uint32_t b, size_t n)
{
	struct cv_gw_box *box = cv_gw_box_get(x->g, x->box);
	const uint32_t v[] = { a, b };

	if (box)
		(void)cv_gw_box_send_u32s(box, type, v, n);
}

static void signal_send(struct cv_gw_exec *x, int number)
{
	if (x->ssh) {
		exec_ssh_signal(x->ssh, number);
		return;
	}
	link_u32s(x, CV_GATEWAY_REQ_SIGNAL, x->id, (uint32_t)number, 2);
}

/* ---- to the client ---- */

static void client_fail(struct cv_gw_exec *x, enum cv_rpc_status s, const char *why)
{
	if (x->call && !x->is_finished) {
		x->is_finished = true;
		cv_rpc_finish(x->call, s, "%s", why);
	}
}

static void output_send(struct cv_gw_exec *x, int which, struct cv_str data)
{
	Openshell__V1__ExecSandboxEvent m;
	Openshell__V1__ExecSandboxStdout out;
	Openshell__V1__ExecSandboxStderr err;
	const ProtobufCBinaryData bytes = { data.n, (uint8_t *)(uintptr_t)data.p };

	openshell__v1__exec_sandbox_event__init(&m);
	if (which == OUT) {
		openshell__v1__exec_sandbox_stdout__init(&out);
		out.data = bytes;
		m.stdout = &out;
		m.payload_case = OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDOUT;
	} else {
		openshell__v1__exec_sandbox_stderr__init(&err);
		err.data = bytes;
		m.stderr = &err;
		m.payload_case = OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDERR;
	}
	if (!cv_rpc_send(x->call, &m.base))
		x->is_blocked = true;
}

static void exit_send(struct cv_gw_exec *x, int code)
{
	Openshell__V1__ExecSandboxEvent m;
	Openshell__V1__ExecSandboxExit e;

	if (!x->call || x->is_finished)
		return;
	x->is_finished = true;
	cv_gw_exec_ended(x->call, code);
	openshell__v1__exec_sandbox_event__init(&m);
	openshell__v1__exec_sandbox_exit__init(&e);
	e.exit_code = code;
	m.exit = &e;
	m.payload_case = OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_EXIT;
	(void)cv_rpc_send(x->call, &m.base);
	cv_rpc_finish(x->call, CV_RPC_OK, NULL);
}

static int exit_code(const struct cv_gw_exec *x)
{
	if (x->is_timed_out)
		return TIMEOUT_STATUS;
	return WIFSIGNALED(x->status) ? 128 + WTERMSIG(x->status) : WEXITSTATUS(x->status);
}

/* For a command that is over: x may be gone afterwards. */
static void finish_exit(struct cv_gw_exec *x, int code)
{
	struct cv_gateway *g = x->g;
	const struct cv_ref ref = x->ref;

	exit_send(x, code);
	release(g, ref);
}

void exec_finish_fail(struct cv_gw_exec *x, enum cv_rpc_status s, const char *why)
{
	struct cv_gateway *g = x->g;
	const struct cv_ref ref = x->ref;

	x->state = EXEC_OVER;
	client_fail(x, s, why);
	release(g, ref);
}

static void keep(struct cv_gw_exec *x, struct cv_str data)
{
	if (x->id != MAIN_ID)
		return;
	if (cv_buf_len(&x->replay) + data.n > REPLAY_BYTES)
		cv_buf_skip(&x->replay, CV_MIN(cv_buf_len(&x->replay), data.n));
	cv_buf_put(&x->replay, data);
}

/* ---- output ---- */

/* Until the pipe is empty, the client takes no more, or others should have their turn. */
static void pump(struct cv_gw_exec *x, int which)
{
	static char buf[CHUNK_BYTES];

	for (int i = 0; x->fd[which] >= 0 && !x->is_blocked && !x->is_lent; i++) {
		if (i == PUMPS_MAX) {
			x->is_more = x->g->execs->has_more = true;
			return;
		}
		const ssize_t n = read(x->fd[which], buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) { /* the end; of a terminal it is EIO */
			end_close(x, which);
			return;
		}
		const struct cv_str data = { buf, (size_t)n };
		if (x->call && !x->is_finished)
			output_send(x, which, data);
		else
			keep(x, data);
		if (x->tail_ms)
			exec_deadline(x, &x->tail_ms, EXEC_TAIL_MS);
	}
}

/* After anything that may have been the last. */
void exec_advance(struct cv_gw_exec *x)
{
	x->is_more = false;
	pump(x, OUT);
	pump(x, ERR);
	if (!x->has_exited || x->is_blocked || x->is_more)
		return;
	const bool is_silent = x->tail_ms && x->g->loop.now_ms >= x->tail_ms;
	if (x->fd[OUT] < 0 && x->fd[ERR] < 0) {
		x->state = EXEC_OVER;
	} else if (is_silent || !x->call) {
		end_close(x, OUT);
		end_close(x, ERR);
		x->state = EXEC_OVER;
	} else if (!x->tail_ms) {
		exec_deadline(x, &x->tail_ms, EXEC_TAIL_MS);
		return;
	} else {
		return;
	}
	x->deadline_ms = x->tail_ms = 0;
	end_close(x, IN);
	if (x->is_cut && !x->is_timed_out)
		exec_finish_fail(x, CV_RPC_UNAVAILABLE, CUT_SHORT);
	else
		finish_exit(x, exit_code(x));
}

void exec_cut(struct cv_gw_exec *x)
{
	if (x->has_exited)
		return;
	x->is_cut = x->has_exited = true;
	exec_advance(x);
}

/* ---- input ---- */

static int in_fd(const struct cv_gw_exec *x)
{
	return x->is_tty ? x->fd[OUT] : x->fd[IN];
}

static void in_end(struct cv_gw_exec *x)
{
	static const char eof = 4; /* of a terminal in its usual mode, termios(3) */

	if (x->is_tty) {
		if (x->fd[OUT] >= 0)
			(void)!write(x->fd[OUT], &eof, 1);
		return;
	}
	if (x->fd[IN] < 0)
		return;
	end_close(x, IN);
	link_u32s(x, CV_GATEWAY_REQ_STDIN_END, x->id, 0, 1);
}

static void in_flush(struct cv_gw_exec *x)
{
	while (cv_buf_len(&x->in) && in_fd(x) >= 0) {
		const struct cv_str rest = cv_buf_str(&x->in);
		const ssize_t n = write(in_fd(x), rest.p, rest.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		/* Nobody reads any more: as in a pipe, what comes is lost. */
		cv_buf_skip(&x->in, n < 0 ? cv_buf_len(&x->in) : (size_t)n);
		if (n < 0 && !x->is_tty)
			end_close(x, IN);
	}
	if (in_fd(x) < 0)
		cv_buf_reset(&x->in);
	if (x->has_stdin_ended) {
		x->has_stdin_ended = false; /* once */
		in_end(x);
	}
}

void exec_in_write(struct cv_gw_exec *x)
{
	if (x->state == EXEC_RUNNING)
		in_flush(x);
	/* Before it runs, too: it may take its time. */
	const bool is_held = cv_buf_len(&x->in) > STDIN_HOLD_BYTES;
	if (x->call && !x->is_finished && is_held != x->is_held) {
		x->is_held = is_held;
		cv_rpc_hold(x->call, is_held);
	}
}

/* Nobody wants it any more. */
void exec_abandon(struct cv_gw_exec *x)
{
	x->is_blocked = false;
	/* Over SSH nothing runs before it is known to. */
	if (x->state == EXEC_WAITING || (x->ssh && x->state == EXEC_SENT))
		x->state = EXEC_OVER;
	if (x->state == EXEC_OVER) {
		release(x->g, x->ref);
		return;
	}
	signal_send(x, SIGTERM);
	x->is_killed = false;
	exec_deadline(x, &x->deadline_ms, EXEC_TERM_MS);
	exec_advance(x);
}

void exec_orphan(struct cv_gw_box *b, uint32_t id, bool is_running)
{
	struct cv_gw_exec *x = exec_new(b, id);

	if (!x) {
		const uint32_t v[] = { id, SIGKILL };

		(void)cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_SIGNAL, v, 2);
		return;
	}
	x->state = is_running ? EXEC_RUNNING : EXEC_SENT;
	signal_send(x, SIGHUP); /* a shell tells its jobs */
	exec_abandon(x);
}

void exec_main_return(struct cv_gw_box *b)
{
	struct cv_gw_exec *x = exec_find(b, MAIN_ID);

	if (!x || !x->is_lent)
		return;
	x->is_lent = false;
	exec_advance(x);
}

/* ---- what supervisors say ---- */

static void end_take(struct cv_gw_exec *x, int which, int *fd, uint32_t events)
{
	struct cv_err err;

	x->fd[which] = cv_take_fd(*fd);
	(void)fcntl(x->fd[which], F_SETFL, fcntl(x->fd[which], F_GETFL) | O_NONBLOCK);
	if (cv_loop_add(&x->g->loop, x->fd[which], events | EPOLLET,
		    (struct cv_watch){ CV_GW_WATCH(CV_GW_PART_EXEC, which), x->ref },
		    &err) != CV_OK) {
		cv_log(CV_LOG_ERROR, "exec", CV_LOG_NONE, "%s", err.msg);
		close(x->fd[which]);
		x->fd[which] = -1;
	}
}

void exec_size_tell(struct cv_gw_exec *x)
{
	if (x->has_size && x->is_tty && x->fd[OUT] >= 0)
		(void)ioctl(x->fd[OUT], TIOCSWINSZ, &x->size);
}

static void on_started(struct cv_gw_box *b, struct cv_gw_exec *x, struct cv_ipc_msg *m)
{
	if (x->state == EXEC_RUNNING || x->state == EXEC_OVER)
		return; /* told again: the ends are those that we have */
	x->state = EXEC_RUNNING;
	cv_gw_exec_ran(x->call);
	if (m->type == CV_GATEWAY_REPLY_STARTED_TTY) {
		x->is_tty = true;
		end_take(x, OUT, &m->fds[0], EPOLLIN | EPOLLOUT);
		exec_size_tell(x);
	} else {
		if (!x->is_stdin_none) /* else it only swallows, and can't be watched */
			end_take(x, IN, &m->fds[0], EPOLLOUT);
		end_take(x, OUT, &m->fds[1], EPOLLIN);
		end_take(x, ERR, &m->fds[2], EPOLLIN);
	}
	(void)b;
	exec_in_write(x);
	if (!x->call && x->id != MAIN_ID)
		exec_abandon(x); /* it went meanwhile, or was another gateway's */
	else
		exec_advance(x);
}

static void on_failed(struct cv_gw_exec *x, struct cv_ipc_reader *r)
{
	const uint32_t stage = cv_ipc_get_u32(r);
	const int error = (int)cv_ipc_get_u32(r);
	const struct cv_str text = cv_ipc_get_str(r);

	(void)stage;
	link_u32s(x, CV_GATEWAY_REQ_SETTLED, CV_GATEWAY_REPLY_FAILED, x->id, 2);
	x->state = EXEC_OVER;
	if (x->call && !x->is_finished && text.n) {
		struct cv_buf line;

		cv_buf_init(&line, 8192);
		cv_buf_printf(&line, "cove: %.*s\n", CV_STR_ARG(text));
		output_send(x, x->is_tty ? OUT : ERR, cv_buf_str(&line));
		cv_buf_fini(&line);
	}
	finish_exit(x, error == ENOENT ? 127 : 126); /* as a shell says it */
}

static void on_exited(struct cv_gw_box *b, struct cv_gw_exec *x, uint32_t id, uint32_t status)
{
	const uint32_t settled[] = { CV_GATEWAY_REPLY_EXITED, id };

	(void)cv_gw_box_send_u32s(b, CV_GATEWAY_REQ_SETTLED, settled, 2);
	if (!x || x->has_exited)
		return;
	if (x->is_lent)
		cv_gw_ssh_main_exited(b, status);
	x->has_exited = true;
	x->status = (int)status;
	exec_advance(x);
}

void exec_message(struct cv_gw_box *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t id = cv_ipc_get_u32(&r);
	struct cv_gw_exec *x = exec_find(b, id);

	if (!x && cv_gw_ssh_exec_message(b, id, m))
		return;
	if (m->type == CV_GATEWAY_REPLY_STARTED || m->type == CV_GATEWAY_REPLY_STARTED_TTY) {
		if (!x)
			x = exec_new(b, id);
		if (x)
			on_started(b, x, m);
	} else if (m->type == CV_GATEWAY_REPLY_EXITED) {
		on_exited(b, x, id, cv_ipc_get_u32(&r));
	} else if (x) {
		on_failed(x, &r);
	}
}

void exec_ready(struct cv_gw_box *b)
{
	if (cv_gw_env_is_pending(b))
		return; /* it is called again */
	for (struct cv_gw_exec *x = b->execs, *next; x; x = next) {
		next = x->next;
		if (x->state == EXEC_WAITING)
			exec_send(x, b);
	}
	kept_ready(b);
}

void cv_gw_exec_resume(struct cv_gw_box *b)
{
	if (b->state == CV_GW_UP)
		exec_ready(b);
}

/* What was asked for and never confirmed may not have arrived. */
void exec_link_lost(struct cv_gw_box *b)
{
	for (struct cv_gw_exec *x = b->execs, *next; x; x = next) {
		next = x->next;
		if (x->state == EXEC_SENT)
			exec_finish_fail(x, CV_RPC_UNAVAILABLE,
				"supervisor relay failed: the link is broken");
	}
}

void exec_ended(struct cv_gw_box *b)
{
	while (b->execs) {
		struct cv_gw_exec *x = b->execs;

		b->execs = x->next;
		x->box = (struct cv_ref){ UINT32_MAX, 0 };
		x->state = EXEC_OVER;
		x->is_more = false;
		pump(x, OUT);
		pump(x, ERR);
		for (int i = 0; i < ENDS; i++)
			end_close(x, i);
		if (x->has_exited && !x->is_cut)
			finish_exit(x, exit_code(x));
		else
			exec_finish_fail(x, CV_RPC_UNAVAILABLE, CUT_SHORT);
	}
}

/* ---- the part ---- */

static void exec_late(struct cv_gw_exec *x)
{
	x->deadline_ms = 0;
	if (x->state == EXEC_WAITING) {
		exec_finish_fail(x, CV_RPC_UNAVAILABLE,
			"supervisor relay failed: no live session of the sandbox");
		return;
	}
	if (x->state == EXEC_OVER || x->has_exited)
		return;
	if (x->call && !x->is_timed_out) {
		x->is_timed_out = true;
		signal_send(x, SIGTERM);
		exec_deadline(x, &x->deadline_ms, EXEC_TERM_MS);
	} else if (!x->is_killed) {
		x->is_killed = true;
		signal_send(x, SIGKILL);
		exec_deadline(x, &x->deadline_ms, EXEC_DEAD_MS);
	} else {
		/* It can't be killed now; its client waits no longer. */
		exit_send(x, TIMEOUT_STATUS);
		if (x->ssh) /* a server that does nothing about signals: the connection ends */
			exec_finish_fail(x, CV_RPC_UNAVAILABLE, CUT_SHORT);
	}
}

static void part_event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	struct cv_gw_exec *x = cv_slots_get(&g->execs->all, e->watch.ref);

	if (!x)
		return;
	if (e->events & EPOLLOUT)
		exec_in_write(x);
	if (CV_GW_WATCH_SUB(e->watch.kind) == IN && (e->events & EPOLLERR))
		end_close(x, IN); /* nobody reads it any more */
	if (CV_GW_WATCH_SUB(e->watch.kind) != IN)
		exec_advance(x);
}

static int64_t part_turn(struct cv_gateway *g)
{
	struct cv_gw_execs *s = g->execs;
	const bool is_due = g->loop.now_ms >= s->deadline_ms;
	int64_t next = INT64_MAX;

	if (!is_due && !s->has_more)
		return s->deadline_ms;
	s->has_more = false;
	s->deadline_ms = INT64_MAX;
	for (size_t i = 0; i < s->all.n; i++) {
		struct cv_gw_exec *x = s->all.v[i].thing;

		if (x && x->deadline_ms && g->loop.now_ms >= x->deadline_ms)
			exec_late(x);
		x = s->all.v[i].thing;
		if (x && (x->is_more || (x->tail_ms && g->loop.now_ms >= x->tail_ms)))
			exec_advance(x);
		x = s->all.v[i].thing;
		if (x && x->deadline_ms)
			next = CV_MIN(next, x->deadline_ms);
		if (x && x->tail_ms)
			next = CV_MIN(next, x->tail_ms);
	}
	s->deadline_ms = CV_MIN(s->deadline_ms, next);
	return s->has_more ? g->loop.now_ms : s->deadline_ms;
}

static cv_code part_start(struct cv_gateway *g, struct cv_err *err)
{
	g->execs = calloc(1, sizeof(*g->execs));
	if (!g->execs)
		return cv_fail(err, CV_LIMIT, "no memory");
	g->execs->deadline_ms = INT64_MAX;
	/* Numbers of a gateway before this one are not used again but by chance, and then only if
	 * the command has long ended. */
	if (getrandom(&g->execs->next_id, sizeof(g->execs->next_id), 0) !=
		sizeof(g->execs->next_id))
		return cv_fail_errno(err, "getrandom");
	signal(SIGPIPE, SIG_IGN);
	return CV_OK;
}

static void part_stop(struct cv_gateway *g)
{
	for (size_t i = 0; g->execs && i < g->execs->all.n; i++)
		if (g->execs->all.v[i].thing)
			exec_free(g->execs->all.v[i].thing);
	if (g->execs)
		cv_slots_fini(&g->execs->all);
	free(g->execs);
	g->execs = NULL;
}

const struct cv_gw_part cv_gw_part_exec = {
	.name = "exec",
	.methods = exec_methods,
	.method_count = EXEC_METHODS,
	.start = part_start,
	.stop = part_stop,
	.event = part_event,
	.turn = part_turn,
};
