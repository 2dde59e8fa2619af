/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_attach.c - `exec attach`: into a command that goes on, with a terminal or with our stdin
 *
 * A terminal's output is what is kept of it, then what comes; the gateway tells the program in it to
 * draw anew, since the screen is another's.  Ctrl-P Ctrl-Q leaves, as does whatever ends us: the
 * command goes on.  Its end is told whenever we come.
 *
 * A stdin that was kept open gets ours; that it ends has to be asked for (--eof).  Bytes that may not
 * have arrived when a gateway went are not sent twice, nor forgotten: we end, and say how many.
 */
#include "client/sandbox.h"
#include "client/terminal.h"

#include "cove.pb-c.h"
#include "sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define METHOD(rpc) "/cove.v1.Cove/" #rpc
#define CTRL_P      0x10
#define CTRL_Q      0x11
#define CHUNK_BYTES (32u << 10)
#define UNTOLD_MAX  (256u << 10) /* of stdin: sent, and not known to have arrived */
#define PARTIAL_MAX 256          /* of a sequence whose beginning is not kept any more */
#define BACKOFF_MS  100
#define AWAY_MS_MAX 600000
#define TURN_MS     500

struct attached {
	struct cl *c;
	const struct cl_kept *k;
	const struct cl_attach *how;
	struct cl_stream st;
	uint64_t offset;
	bool has_end, is_unread;
	int exit_code;
	uint64_t sent, accepted; /* of stdin, by the present call */
	bool is_there;           /* likewise: the gateway took us */
	bool has_stdin;          /* there may be more of it */
	bool was_ctrl_p, is_left;
	size_t partial; /* bytes that may still be the rest of a sequence */
	int64_t away_ms, backoff_ms;
};

static CV_PRINTF(2, 3) void say(const struct attached *a, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	/* Perhaps in the middle of a line, and raw. */
	if (a->how->has_terminal)
		fprintf(stderr, "\r\n[%s]\r\n", text);
	else
		cl_note(a->c, "%s: %s", a->c->program, text);
}

static const char *how_to_attach(const struct attached *a)
{
	return cl_print(a->c, "%s exec attach %s %s", a->c->program, cl_shown(a->c, a->k->sandbox),
		cl_shown(a->c, a->k->id));
}

/* ---- what comes ---- */

/* What is kept may begin within a sequence: its rest would be text on the screen. */
static struct cv_str whole(struct attached *a, struct cv_str s)
{
	size_t i = 0;

	while (a->partial && i < s.n && s.p[i] != '\n' && s.p[i] != '\x1b') {
		a->partial--;
		i++;
	}
	if (i < s.n)
		a->partial = 0;
	return cv_str_slice(s, i, s.n);
}

static void output(struct attached *a, const Cove__V1__ExecOutput *o)
{
	const bool is_err = o->data_case == COVE__V1__EXEC_OUTPUT__DATA_STDERR;
	const ProtobufCBinaryData d = is_err ? o->stderr : o->stdout;
	struct cv_str s = { (const char *)d.data, d.len };

	if (o->data_case == COVE__V1__EXEC_OUTPUT__DATA__NOT_SET || o->offset != a->offset)
		cl_die(a->c, "the gateway answered with output of another place");
	a->offset += d.len;
	if (a->how->has_terminal)
		s = whole(a, s);
	if (!a->is_unread && !cl_fd_write(a->c, is_err ? STDERR_FILENO : STDOUT_FILENO, s))
		a->is_unread = true;
}

static void gap(struct attached *a, const Cove__V1__ExecGap *g)
{
	a->offset = g->offset + g->bytes;
	if (a->how->has_terminal)
		a->partial = PARTIAL_MAX;
	else
		say(a, "%llu bytes of output are not kept any more", (unsigned long long)g->bytes);
}

static void saw(struct cl_stream *st, ProtobufCMessage *m)
{
	const Cove__V1__FollowExecEvent *e = (const Cove__V1__FollowExecEvent *)m;
	struct attached *a = st->arg;

	a->is_there = true;
	a->away_ms = 0;
	a->backoff_ms = BACKOFF_MS;
	switch ((int)e->event_case) {
	case COVE__V1__FOLLOW_EXEC_EVENT__EVENT_OUTPUT: output(a, e->output); break;
	case COVE__V1__FOLLOW_EXEC_EVENT__EVENT_GAP: gap(a, e->gap); break;
	case COVE__V1__FOLLOW_EXEC_EVENT__EVENT_ACCEPTED: a->accepted = e->accepted->bytes; break;
	case COVE__V1__FOLLOW_EXEC_EVENT__EVENT_END:
		a->has_end = true;
		a->exit_code = e->end->exit_code;
		break;
	default: break;
	}
}

/* ---- what goes ---- */

static void start_send(struct attached *a, bool takes_over)
{
	Cove__V1__AttachExecStart start;
	Cove__V1__AttachExecInput in;

	cove__v1__attach_exec_start__init(&start);
	cove__v1__attach_exec_input__init(&in);
	start.sandbox_id = cl_dup(a->c, a->k->sandbox_id);
	start.exec_id = cl_dup(a->c, a->k->id);
	start.from_offset = a->offset;
	start.hold = !a->how->has_terminal; /* a screen holds nobody up */
	start.take_over = takes_over;
	if (a->how->has_terminal)
		cl_terminal_size(&start.cols, &start.rows);
	in.payload_case = COVE__V1__ATTACH_EXEC_INPUT__PAYLOAD_START;
	in.start = &start;
	cl_stream_send(&a->st, &in.base);
}

static void bytes_send(struct attached *a, struct cv_str bytes)
{
	Cove__V1__AttachExecInput in;

	if (!bytes.n)
		return;
	cove__v1__attach_exec_input__init(&in);
	in.payload_case = COVE__V1__ATTACH_EXEC_INPUT__PAYLOAD_STDIN;
	in.stdin = (ProtobufCBinaryData){ bytes.n, (uint8_t *)(uintptr_t)bytes.p }; /* read */
	cl_stream_send(&a->st, &in.base);
	a->sent += bytes.n;
}

static void size_send(struct attached *a)
{
	Openshell__V1__ExecSandboxWindowResize size;
	Cove__V1__AttachExecInput in;

	openshell__v1__exec_sandbox_window_resize__init(&size);
	cl_terminal_size(&size.cols, &size.rows);
	cove__v1__attach_exec_input__init(&in);
	in.payload_case = COVE__V1__ATTACH_EXEC_INPUT__PAYLOAD_RESIZE;
	in.resize = &size;
	cl_stream_send(&a->st, &in.base);
}

static void stdin_over(struct attached *a)
{
	Cove__V1__AttachExecStdinEnd end;
	Cove__V1__AttachExecInput in;

	a->has_stdin = false;
	if (!a->how->ends_stdin)
		return;
	cove__v1__attach_exec_stdin_end__init(&end);
	cove__v1__attach_exec_input__init(&in);
	in.payload_case = COVE__V1__ATTACH_EXEC_INPUT__PAYLOAD_STDIN_END;
	in.stdin_end = &end;
	cl_stream_send(&a->st, &in.base);
}

/* All but the two keys that leave. */
static void keys_send(struct attached *a, const char *keys, size_t n)
{
	static char out[2 * CHUNK_BYTES];
	size_t m = 0;

	for (size_t i = 0; i < n && !a->is_left; i++) {
		if (a->was_ctrl_p && keys[i] == CTRL_Q) {
			a->is_left = true;
			break;
		}
		if (a->was_ctrl_p)
			out[m++] = CTRL_P;
		a->was_ctrl_p = keys[i] == CTRL_P;
		if (!a->was_ctrl_p)
			out[m++] = keys[i];
	}
	bytes_send(a, (struct cv_str){ out, m });
}

static void stdin_read(struct attached *a)
{
	static char bytes[CHUNK_BYTES];
	const ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (n > 0 && a->how->has_terminal)
		keys_send(a, bytes, (size_t)n);
	else if (n > 0)
		bytes_send(a, (struct cv_str){ bytes, (size_t)n });
	else if (n == 0 && a->how->has_terminal)
		a->is_left = true; /* hung up */
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		stdin_over(a);
}

/* ---- one call ---- */

static bool has_room(const struct attached *a)
{
	return a->has_stdin && !a->st.is_full &&
	       (a->how->has_terminal || a->sent - a->accepted < UNTOLD_MAX);
}

/* Of input that goes on, all of it has to be there before we leave it to others. */
static bool is_done(const struct attached *a)
{
	return a->is_left ||
	       (a->how->leaves && a->is_there && !a->has_stdin && a->accepted == a->sent);
}

static CV_NORETURN void refused(struct attached *a)
{
	const enum cv_rpc_status s = a->st.status;
	const char *why = a->st.message;

	cl_terminal_restore();
	if (s == CV_RPC_ABORTED && a->how->has_terminal) {
		say(a, "%s", cl_shown(a->c, why));
		exit(CL_EXIT_FAILED);
	}
	if (s == CV_RPC_FAILED_PRECONDITION && strstr(why, "take over"))
		cl_die(a->c, "%s\nhint: %s --take-over", cl_said(a->c, why), how_to_attach(a));
	cl_die_status(a->c, s, s == CV_RPC_OK ? "the command ended without an exit status" : why);
}

/* False: the connection, or the gateway, is gone. */
static bool attach_once(struct attached *a, bool takes_over)
{
	struct cv_err err = { 0 };
	cv_code code = CV_OK;

	a->st = (struct cl_stream){ .on_message = saw, .arg = a };
	a->sent = a->accepted = 0;
	a->is_there = false;
	cl_stream_open(a->c, &a->st, METHOD(AttachExec), &cove__v1__follow_exec_event__descriptor);
	start_send(a, takes_over);
	while (!a->st.is_ended && code == CV_OK && !is_done(a)) {
		struct pollfd in = { STDIN_FILENO, POLLIN, 0 };
		const bool reads = has_room(a);

		code = cl_turn_try(a->c, &in, reads, TURN_MS, &err);
		if (code != CV_OK)
			break;
		if (a->is_unread)
			exit(CL_EXIT_FAILED);
		if (a->how->has_terminal && cl_terminal_was_resized())
			size_send(a);
		if (reads && in.revents)
			stdin_read(a);
	}
	if (a->has_end || is_done(a))
		return true;
	if (code == CV_DENIED) {
		cl_terminal_restore();
		cl_die(a->c, "%s", cl_shown(a->c, err.msg));
	}
	if (code == CV_OK && a->st.status != CV_RPC_UNAVAILABLE)
		refused(a);
	return false;
}

static void wait_for_gateway(struct attached *a)
{
	if (!a->how->has_terminal && a->sent != a->accepted)
		cl_die(a->c,
			"the connection to the gateway was lost; %llu bytes of input may not have "
			"arrived; the command goes on",
			(unsigned long long)(a->sent - a->accepted));
	if (!a->away_ms) {
		a->away_ms = cv_clock_ms();
		say(a, "the connection to the gateway was lost; the command goes on");
	}
	do
		if (cv_clock_ms() - a->away_ms > AWAY_MS_MAX) {
			cl_terminal_restore();
			cl_die(a->c, "the gateway did not come back; go on with: %s",
				how_to_attach(a));
		}
	while (!cl_reconnect(a->c, &a->backoff_ms));
}

int cl_exec_attach(struct cl *c, const struct cl_kept *k, const struct cl_attach *how)
{
	static const char clear[] = "\x1b[H\x1b[2J";
	struct attached a = { .c = c,
		.k = k,
		.how = how,
		.offset = how->offset,
		.has_stdin = true,
		.backoff_ms = BACKOFF_MS };
	bool takes_over = how->takes_over;

	fflush(stdout);
	if (how->has_terminal) {
		cl_terminal_raw();
		a.is_unread =
			!cl_fd_write(c, STDOUT_FILENO, (struct cv_str){ clear, sizeof(clear) - 1 });
	}
	while (!attach_once(&a, takes_over)) {
		takes_over = false; /* whoever came meanwhile was there first */
		wait_for_gateway(&a);
	}
	cl_terminal_restore();
	if (a.has_end)
		return a.exit_code;
	if (how->has_terminal)
		say(&a, "left; it goes on: %s", how_to_attach(&a));
	return 0;
}
