/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_logs.c - `logs`: what a sandbox and its gateway said
 *
 * The last lines, and with --tail those that come: both from one stream, so that none is missed
 * between them and none comes twice.
 */
#include "client/commands.h"
#include "client/sandbox.h"

#include "base/shown.h"
#include "sys/clock.h"

#include <stdlib.h>
#include <string.h>

#define LINES_DEFAULT 200u

static void padded(struct cv_buf *b, const char *text, size_t width)
{
	const size_t from = cv_buf_len(b);

	(void)cv_shown_put_line(b, cv_str_of(text), 0);
	while (cv_buf_len(b) - from < width)
		cv_buf_put_byte(b, ' ');
}

static void line_print(struct cl *c, const Openshell__V1__SandboxLogLine *l)
{
	struct cv_buf b;

	cv_buf_init(&b, CL_OUT_BYTES_MAX);
	cv_buf_printf(&b, "[%lld.%03lld] [", (long long)(l->timestamp_ms / 1000),
		(long long)(l->timestamp_ms % 1000));
	padded(&b, *l->source ? l->source : "gateway", 7);
	cv_buf_put(&b, CV_STR("] ["));
	padded(&b, l->level, 5);
	cv_buf_put(&b, CV_STR("] ["));
	padded(&b, l->target, 0);
	cv_buf_put(&b, CV_STR("] "));
	(void)cv_shown_put_line(&b, cv_str_of(l->message), 0);
	for (size_t i = 0; i < l->n_fields; i++) {
		cv_buf_put_byte(&b, ' ');
		padded(&b, l->fields[i]->key, 0);
		cv_buf_put_byte(&b, '=');
		padded(&b, l->fields[i]->value, 0);
	}
	cv_buf_put_byte(&b, '\n');
	cl_write(c, cv_buf_str(&b));
	cv_buf_fini(&b);
}

/* Sources as the message has them; none for all. */
static char **sources(struct cl *c, size_t *ret)
{
	static const char *const known[] = { "all", "gateway", "sandbox", "supervisor" };
	const size_t n = cl_flag_count(&c->w, "source");
	char **v = cl_alloc(c, (n + 1) * sizeof(*v));
	bool is_all = n == 0;

	*ret = 0;
	for (size_t i = 0; i < n; i++) {
		const char *s = cl_flag_at(&c->w, "source", i);
		size_t k = 0;

		while (k < CV_ARRAY_LEN(known) && strcmp(known[k], s) != 0)
			k++;
		if (k == CV_ARRAY_LEN(known))
			cl_die_usage(c,
				"invalid value '%s' for '--source <SOURCE>' [possible values: "
				"all, gateway, sandbox]",
				s);
		is_all |= k == 0;
		v[(*ret)++] = cl_dup(c, k == 3 ? "sandbox" : s); /* an older name of the same */
	}
	if (is_all)
		*ret = 0;
	return v;
}

static const char *level(struct cl *c)
{
	static const char *const known[] = { "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OCSF" };
	const char *given = cl_flag(&c->w, "level");

	for (size_t i = 0; given && i < CV_ARRAY_LEN(known); i++)
		if (cv_str_eq_nocase(cv_str_of(given), cv_str_of(known[i])))
			return known[i];
	if (given)
		cl_die_usage(c,
			"invalid value '%s' for '--level <LEVEL>' [possible values: trace, "
			"debug, info, warn, error]",
			given);
	return "";
}

static int64_t since(struct cl *c)
{
	const char *text = cl_flag(&c->w, "since");

	return text ? cv_clock_unix_ms() - cl_duration_ms(c, text) : 0;
}

static void saw(struct cl_stream *st, ProtobufCMessage *m)
{
	const Openshell__V1__SandboxStreamEvent *e = (const Openshell__V1__SandboxStreamEvent *)m;

	if (e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG)
		line_print(st->c, e->log);
	else if (e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_WARNING)
		cl_note(st->c, "Warning: %s", cl_shown(st->c, e->warning->message));
}

static int tail(struct cl *c, const char *id, uint32_t lines, int64_t since_ms)
{
	struct cl_stream st = { .on_message = saw };
	Openshell__V1__WatchSandboxRequest in;
	struct pollfd out = { 1, 0, 0 }; /* POLLERR: our reader went away */

	openshell__v1__watch_sandbox_request__init(&in);
	in.id = cl_dup(c, id);
	in.follow_logs = true;
	in.log_tail_lines = lines;
	in.log_since_ms = since_ms;
	in.log_sources = sources(c, &in.n_log_sources);
	in.log_min_level = cl_dup(c, level(c));
	cl_stream_open(
		c, &st, CL_METHOD(WatchSandbox), &openshell__v1__sandbox_stream_event__descriptor);
	cl_stream_send(&st, &in.base);
	if (st.s)
		cv_rpc_stream_half_close(st.s);
	while (!st.is_ended) {
		cl_turn(c, &out, 1, -1);
		if (fflush(stdout) != 0 || (out.revents & POLLERR))
			exit(CL_EXIT_FAILED);
	}
	if (st.status != CV_RPC_OK)
		cl_die_status(c, st.status, st.message);
	return 0;
}

int cl_run_logs(struct cl *c)
{
	const uint32_t lines = cl_number(&c->w, "lines", LINES_DEFAULT);
	Openshell__V1__GetSandboxLogsRequest in;

	openshell__v1__get_sandbox_logs_request__init(&in);
	in.since_ms = since(c);
	in.sources = sources(c, &in.n_sources);
	in.min_level = cl_dup(c, level(c));
	in.workspace = cl_dup(c, c->workspace);
	in.lines = lines;
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), false);
	if (cl_has(&c->w, "tail"))
		return tail(c, s->metadata->id, lines, in.since_ms);
	in.sandbox_id = s->metadata->id;
	const Openshell__V1__GetSandboxLogsResponse *m =
		CL_ASK(c, GetSandboxLogs, in, GetSandboxLogsResponse, get_sandbox_logs_response);
	if (in.since_ms && m->n_logs && m->n_logs == m->buffer_total)
		cl_note(c,
			"Warning: log buffer contains only the last %u lines; --since results may be "
			"incomplete.",
			m->buffer_total);
	for (size_t i = 0; i < m->n_logs; i++)
		line_print(c, m->logs[i]);
	return 0;
}
