/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_logs.c - `logs`: what a sandbox and its gateway said
 *
 * The last lines, and with --tail those that come: both from one stream, so that none is missed
 * between them and none comes twice.
 *
 * A gateway that goes and comes back has kept the lines: we wait for it, ask for those since the
 * last one that we printed, and leave out what we know already.
 */
#include "client/commands.h"
#include "client/sandbox.h"

#include "base/sha256.h"
#include "base/shown.h"
#include "sys/clock.h"

#include <stdlib.h>
#include <string.h>

#define LINES_DEFAULT  200u
#define SEEN_MAX       2000u  /* as many as a gateway begins with at most */
#define AWAY_MS_MAX    600000 /* a gateway is upgraded in less */
#define BACKOFF_MS     100
#define LINE_BYTES_MAX (1u << 20) /* packed; a message has no more */

static void padded(struct cv_buf *b, const char *text, size_t width)
{
	const size_t from = cv_buf_len(b);

	(void)cv_shown_put_record(b, cv_str_of(text));
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
	(void)cv_shown_put_record(&b, cv_str_of(l->message));
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

struct tailing {
	struct cl_stream st;
	uint64_t seen[SEEN_MAX]; /* digests of the last lines */
	uint64_t n;              /* how many there were */
	int64_t newest_ms;       /* of their times */
	int64_t last_ms;         /* the same without those that say they are yet to come */
	int64_t known_ms;        /* up to then lines may come again; 0: this is the first time */
};

static uint64_t digest_of(const Openshell__V1__SandboxLogLine *l)
{
	const size_t n = protobuf_c_message_get_packed_size(&l->base);
	unsigned char digest[CV_SHA256_BYTES];
	uint64_t ret = 0;
	struct cv_buf b;
	char *to;

	cv_buf_init(&b, LINE_BYTES_MAX);
	to = n ? cv_buf_reserve(&b, n) : NULL;
	if (to) {
		struct cv_sha256 s;

		cv_sha256_init(&s);
		cv_sha256_update(&s, to, protobuf_c_message_pack(&l->base, (uint8_t *)to));
		cv_sha256_final(&s, digest);
		memcpy(&ret, digest, sizeof(ret));
	}
	cv_buf_fini(&b);
	return ret;
}

/* False: it was printed before the gateway went. */
static bool line_note(struct tailing *t, const Openshell__V1__SandboxLogLine *l)
{
	const uint64_t digest = digest_of(l);

	/* Of what is new, two lines may well be the same. */
	for (uint64_t i = 0; l->timestamp_ms <= t->known_ms && i < CV_MIN(t->n, (uint64_t)SEEN_MAX);
		i++)
		if (t->seen[i] == digest)
			return false;
	t->seen[t->n++ % SEEN_MAX] = digest;
	t->newest_ms = CV_MAX(t->newest_ms, l->timestamp_ms);
	t->last_ms = CV_MAX(t->last_ms, CV_MIN(l->timestamp_ms, cv_clock_unix_ms()));
	return true;
}

static void saw(struct cl_stream *st, ProtobufCMessage *m)
{
	const Openshell__V1__SandboxStreamEvent *e = (const Openshell__V1__SandboxStreamEvent *)m;

	if (e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG) {
		if (line_note(st->arg, e->log))
			line_print(st->c, e->log);
	} else if (e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_WARNING)
		cl_note(st->c, "Warning: %s", cl_shown(st->c, e->warning->message));
}

/* False: the connection, or the gateway, is gone. */
static bool tail_once(struct cl *c, struct tailing *t, const Openshell__V1__WatchSandboxRequest *in)
{
	struct pollfd out = { 1, 0, 0 }; /* POLLERR: our reader went away */
	struct cv_err err = { 0 };

	t->st = (struct cl_stream){ .on_message = saw, .arg = t };
	cv_code code = cl_stream_try(c, &t->st, CL_METHOD(WatchSandbox),
		&openshell__v1__sandbox_stream_event__descriptor, &err);
	if (code == CV_OK)
		cl_stream_send(&t->st, &in->base);
	if (t->st.s)
		cv_rpc_stream_half_close(t->st.s);
	while (code == CV_OK && !t->st.is_ended) {
		code = cl_turn_try(c, &out, 1, -1, &err);
		if (fflush(stdout) != 0 || (out.revents & POLLERR))
			exit(CL_EXIT_FAILED);
	}
	if (code == CV_DENIED)
		cl_die(c, "%s", cl_shown(c, err.msg));
	if (code != CV_OK || t->st.status == CV_RPC_UNAVAILABLE)
		return false;
	if (t->st.status != CV_RPC_OK)
		cl_die_status(c, t->st.status, t->st.message);
	return true;
}

static void wait_for_gateway(struct cl *c)
{
	const int64_t until = cv_clock_ms() + AWAY_MS_MAX;
	int64_t backoff_ms = BACKOFF_MS;

	cl_note(c, "%s: the connection to the gateway was lost; we go on when it is back",
		c->program);
	while (!cl_reconnect(c, &backoff_ms))
		if (cv_clock_ms() >= until)
			cl_die(c, "the gateway did not come back");
}

static int tail(struct cl *c, const char *id, uint32_t lines, int64_t since_ms)
{
	struct tailing *t = cl_alloc(c, sizeof(*t));
	Openshell__V1__WatchSandboxRequest in;

	openshell__v1__watch_sandbox_request__init(&in);
	in.id = cl_dup(c, id);
	in.follow_logs = true;
	in.log_tail_lines = lines;
	in.log_since_ms = since_ms;
	in.log_sources = sources(c, &in.n_log_sources);
	in.log_min_level = cl_dup(c, level(c));
	while (!tail_once(c, t, &in)) {
		wait_for_gateway(c);
		in.log_tail_lines = SEEN_MAX;
		in.log_since_ms = CV_MAX(since_ms, t->last_ms);
		t->known_ms = t->newest_ms;
	}
	return 0;
}

/* The id, since some gateways know no other; a name is what is left of a sandbox that is gone,
 * whose lines are kept for a while. */
static const char *whose(struct cl *c)
{
	const char *name = cl_sandbox_name(c, cl_arg(&c->w, 0));
	const Openshell__V1__Sandbox *s = cl_sandbox_find(c, name);

	if (!s)
		return name;
	cl_sandbox_remember(c, name);
	return s->metadata->id;
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
	if (cl_has(&c->w, "tail"))
		return tail(c, cl_sandbox_of(c, cl_arg(&c->w, 0), false)->metadata->id, lines,
			in.since_ms);
	in.sandbox_id = cl_dup(c, whose(c));
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
