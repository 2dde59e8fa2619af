/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_top.c - `top`: sandboxes, decisions and proposals, live; or once
 *
 *     key -> model -> frame -> terminal;  gateway -> model, meanwhile
 *
 * The screen is drawn after whatever happened, and at most a few times a second, however much does.
 */
#include "client/commands.h"
#include "client/sandbox.h"
#include "client/top_draw.h"
#include "client/top_stream.h"
#include "client/top_usage.h"
#include "sys/clock.h"

#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <unistd.h>

#define FRAME_MS      100
#define USAGE_MS      2000
#define ONCE_WIDTH    160
#define ONCE_LINES    20  /* of decisions */
#define KEYS_PER_TURN 256 /* a paste; then others have their turn */

static struct cl_top top;
static struct cl_top_stream stream;
static struct cl_top_frame frame;

/* ---- once ---- */

static void rows_print(struct cl *c, size_t from)
{
	size_t n = frame.count - 1; /* without the line of keys */
	struct cv_buf b;

	while (n && !frame.row[n - 1].n)
		n--;
	cv_buf_init(&b, CL_OUT_BYTES_MAX);
	for (size_t i = from; i < n; i++) {
		struct cv_str s = cv_str_slice(
			cv_buf_str(&frame.text), frame.row[i].at, frame.row[i].at + frame.row[i].n);

		while (s.n && s.p[s.n - 1] == ' ')
			s.n--;
		cv_buf_put(&b, s);
		cv_buf_put_byte(&b, '\n');
	}
	cl_write(c, cv_buf_str(&b));
	cv_buf_fini(&b);
}

static size_t height_for(size_t rows) /* which the frame gives a third of to what is below them */
{
	return CV_MIN(CV_MAX(rows + rows / 2, rows + ONCE_LINES) + 8, (size_t)CL_TOP_ROWS_MAX);
}

static int once_print(struct cl *c)
{
	cl_top_frame(&top, ONCE_WIDTH, height_for(top.box_count), cv_clock_unix_ms(), &frame);
	rows_print(c, 0);
	if (top.chunk_count) {
		top.view = CL_TOP_APPROVALS;
		cl_top_frame(
			&top, ONCE_WIDTH, height_for(top.chunk_count), cv_clock_unix_ms(), &frame);
		rows_print(c, top.quota ? 2 : 1);
	}
	return 0;
}

static void box_out(struct cl_out *o, const struct cl_top_box *b)
{
	size_t n = 0;

	for (size_t i = 0; i < top.chunk_count; i++)
		n += strcmp(top.chunks[i].box_id, b->id) == 0;
	cl_out_object(o, NULL);
	cl_out_str(o, "id", b->id);
	cl_out_str(o, "name", b->name);
	cl_out_str(o, "workspace", b->workspace);
	cl_out_str(o, "phase", b->phase);
	cl_out_int(o, "created_at_ms", b->created_ms);
	cl_out_u64(o, "policy_version", b->policy_version);
	cl_out_u64(o, "pending", n);
	if (b->has_usage)
		cl_out_u64(o, "memory_bytes", b->memory_bytes);
	cl_out_end(o);
}

static int once_out(struct cl *c)
{
	struct cl_out o;

	cl_out_init(&o, cl_form(c));
	cl_out_object(&o, NULL);
	cl_out_str(&o, "gateway", c->gateway.name);
	if (top.quota)
		cl_out_str(&o, "quota", top.quota);
	cl_out_array(&o, "sandboxes");
	for (size_t i = 0; i < top.box_count; i++)
		box_out(&o, &top.boxes[i]);
	cl_out_end(&o);
	cl_out_array(&o, "pending");
	for (size_t i = 0; i < top.chunk_count; i++) {
		const struct cl_top_chunk *k = &top.chunks[i];

		cl_out_object(&o, NULL);
		cl_out_str(&o, "sandbox_id", k->box_id);
		cl_out_str(&o, "id", k->id);
		cl_out_str(&o, "rule_name", k->rule);
		cl_out_str(&o, "endpoints", k->endpoints);
		cl_out_str(&o, "program", k->program);
		cl_out_str(&o, "rationale", k->rationale);
		cl_out_str(&o, "security_notes", k->notes);
		cl_out_end(&o);
	}
	cl_out_end(&o);
	cl_out_array(&o, "decisions");
	for (size_t i = 0; i < top.line_count; i++) {
		const struct cl_top_line *l = &top.lines[i];

		if (!l->is_decision)
			continue;
		cl_out_object(&o, NULL);
		cl_out_str(&o, "sandbox_id", l->box_id);
		cl_out_int(&o, "timestamp_ms", l->ms);
		cl_out_bool(&o, "is_denied", l->is_denied);
		cl_out_str(&o, "message", l->text);
		cl_out_end(&o);
	}
	cl_out_end(&o);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

static int once(struct cl *c)
{
	cl_top_stream_once(c, &top, cl_has(&c->w, "all-workspaces"));
	cl_top_usage(&top, cv_clock_unix_ms());
	return cl_form(c) == CL_FORM_TABLE ? once_print(c) : once_out(c);
}

/* ---- live ---- */

/* False: enough. */
static bool keys_take(void)
{
	int key;

	for (int i = 0; i < KEYS_PER_TURN && (key = cl_top_screen_key()) >= 0; i++) {
		if (key == CL_TOP_SCREEN_RESIZED)
			continue;
		switch (cl_top_press(&top, key)) {
		case CL_TOP_DOES_QUIT: return false;
		case CL_TOP_DOES_APPROVE: cl_top_stream_decide(&stream, top.asked, true); break;
		case CL_TOP_DOES_REJECT: cl_top_stream_decide(&stream, top.asked, false); break;
		case CL_TOP_DOES_NOTHING: break;
		}
	}
	return true;
}

static void show(void)
{
	size_t width, height;

	cl_top_screen_size(&width, &height);
	cl_top_frame(&top, width, height, cv_clock_unix_ms(), &frame);
	cl_top_screen_show(&frame);
}

/* Hung up, while SIGHUP is ignored: it would be readable, with nothing to read, for ever. */
static bool terminal_is_gone(void)
{
	struct pollfd v = { STDIN_FILENO, POLLIN, 0 };

	return poll(&v, 1, 0) > 0 && (v.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static int live(struct cl *c)
{
	int64_t drawn_ms = 0, usage_ms = 0;
	bool has_key = true;

	cl_connect(c); /* a gateway that is not there at first is an error, one that goes is not */
	cl_top_stream_init(&stream, c, &top, cl_has(&c->w, "all-workspaces"));
	if (!cl_top_screen_open(c->has_colour))
		cl_die(c,
			"top needs a terminal (TERM, stdin and stdout)\n"
			"hint: %s top --once prints what there is",
			c->program);
	while (keys_take() && !(has_key && terminal_is_gone())) {
		const int64_t now = cv_clock_ms();

		if (now - usage_ms >= USAGE_MS) {
			usage_ms = now;
			cl_top_usage(&top, cv_clock_unix_ms());
		}
		if (has_key || now - drawn_ms >= FRAME_MS) {
			drawn_ms = now;
			show();
		}
		has_key = cl_top_stream_turn(&stream, STDIN_FILENO, FRAME_MS);
	}
	cl_top_screen_close();
	cl_top_stream_fini(&stream);
	return 0;
}

int cl_run_top(struct cl *c)
{
	cl_top_init(&top);
	top.program = c->program;
	cl_top_frame_init(&frame);
	const bool is_once = cl_has(&c->w, "once") || cl_form(c) != CL_FORM_TABLE;
	const int status = is_once ? once(c) : live(c);
	cl_top_frame_fini(&frame);
	cl_top_fini(&top);
	return status;
}
