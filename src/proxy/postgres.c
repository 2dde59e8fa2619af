/* SPDX-License-Identifier: Apache-2.0 */
/**
 * DOC: Theory of operation
 *
 * A session of PostgreSQL is two streams of messages.  Most are passed on without being held,
 * only counted: `up_left` and `down_left` are the bytes at the front of a side's text that may
 * pass, which may be more than have come.  Behind them the next message's head is looked at.
 *
 * Statements come in Query and Parse.  Each is decided when all of it is there, in the buffer it
 * was read into or, when it is longer, in `gather`.  What Bind, Execute, Describe and Close do
 * was decided with the Parse.
 *
 * One thing at a time.  After a Query or a Sync the client's next message stays until the
 * server's ReadyForQuery has come (only COPY data goes on).  So when something of ours has to be
 * said, nothing of the server's is outstanding before it, and what the server tells about its
 * settings is known before the next statement.  Clients that send several batches ahead lose
 * nothing but a round trip between them.
 *
 * A denied statement:
 *   - outside a transaction, with nothing of the batch at the server: we answer, error and (for a
 *     Parse, once the Sync has come) ReadyForQuery, and the server hears nothing
 *   - otherwise the server must know that something failed, or it would commit the rest.  It gets
 *     a statement of ours instead, one word that is no SQL; the error it makes of that is
 *     replaced by ours.  The denied text itself never goes there
 *
 * FunctionCall is refused: it names a function by number and passes no text.
 */
#include "proxy/postgres_int.h"

#include "base/assert.h"
#include "wire/pg_sql.h"

#define MARKER "cove_denied_statement"

/* Held by all connections, while gathered and while it can't be sent. */
static size_t gathered;

static void give_back(size_t *bytes, struct cv_buf *b)
{
	cv_assert(gathered >= *bytes);
	gathered -= *bytes;
	*bytes = 0;
	cv_buf_fini(b);
	cv_buf_init(b, CV_PROXY_PG_UP_BYTES_MAX);
}

void cv_pg_session_end(struct cv_pg *g)
{
	give_back(&g->gather_bytes, &g->gather);
	give_back(&g->lent_bytes, &g->up);
}

/* The gathered statement is what goes to the server next; `up` was empty. */
static void gathered_send(struct cv_pg *g)
{
	const struct cv_buf empty = g->up;

	g->up = g->gather;
	g->lent_bytes = g->gather_bytes;
	g->gather = empty;
	g->gather_bytes = 0;
}

bool cv_pg_flush(struct cv_leg *leg, struct cv_buf *b, bool *ret_has_moved)
{
	const struct cv_str s = cv_buf_str(b);
	const size_t n = s.n ? cv_leg_put(leg, s) : 0;

	if (n) {
		cv_buf_skip(b, n);
		*ret_has_moved = true;
	}
	return cv_buf_len(b) == 0;
}

static bool protocol_fail(struct cv_proxy *p, struct cv_flow *f, const char *why)
{
	return cv_pg_fail(p, f, "08P01", "protocol_error", cv_str_of(why));
}

/* ---- denied ---- */

/* g->denied goes to the client, now or in place of the server's error.  is_simple: of a Query,
 * which ends with ReadyForQuery; else what follows is skipped to the Sync. */
static void denied_send(struct cv_pg *g, bool is_simple)
{
	const bool is_local = g->status == 'I' && !g->has_batch;

	if (is_local) {
		cv_buf_put(&g->down, cv_buf_str(&g->denied));
		cv_buf_reset(&g->denied);
		if (is_simple)
			cv_pg_put_ready(&g->down, g->status);
	} else if (is_simple) {
		cv_pg_put_message(&g->up, 'Q', (struct cv_str){ MARKER, sizeof(MARKER) });
		g->waits = true;
		g->is_waiting_sync = false;
	} else {
		static const char body[] = "\0" MARKER "\0\0"; /* no name, the word, no types */

		cv_pg_put_message(&g->up, 'P', (struct cv_str){ body, sizeof(body) });
		g->has_batch = true;
	}
	g->is_skipping = !is_simple;
}

/* ---- from the client ---- */

enum next {
	NEXT_STAY, /* not now */
	NEXT_PASS, /* this message may go: up_left has it */
	NEXT_DONE, /* it was taken, or is being skipped or gathered */
};

/* A whole statement; message is head and body. */
static bool statement_decide(struct cv_proxy *p, struct cv_flow *f, struct cv_str message)
{
	const struct cv_str body = cv_str_slice(message, CV_PG_HEAD_BYTES, message.n);
	const bool is_simple = message.p[0] == 'Q';
	struct cv_str sql = CV_STR_NONE, name;

	if (is_simple ? !cv_pg_query_parse(body, &sql) : !cv_pg_parse_parse(body, &name, &sql)) {
		cv_pg_refuse(p, f, "08P01", "statement_malformed",
			CV_STR("the message that carries the statement is malformed"));
		return false;
	}
	return cv_pg_decide(p, f, sql);
}

static void statement_sent(struct cv_pg *g, bool is_simple)
{
	if (is_simple) {
		g->waits = true;
		g->is_waiting_sync = false;
	} else {
		g->has_batch = true;
	}
}

/* text is the statement's beginning, with its head. */
static enum next statement_next(
	struct cv_proxy *p, struct cv_flow *f, struct cv_str text, const struct cv_pg_head *h)
{
	const size_t whole = CV_PG_HEAD_BYTES + h->body_bytes;
	const bool is_simple = h->type == 'Q';
	struct cv_pg *g = f->pg;

	if (g->up_left || g->down_left || cv_buf_len(&g->down) || cv_buf_len(&g->up))
		return NEXT_STAY; /* what we may have to say goes behind that */
	if (text.n >= whole) {
		if (statement_decide(p, f, cv_str_slice(text, 0, whole))) {
			statement_sent(g, is_simple);
			g->up_left = whole;
			return NEXT_PASS;
		}
		denied_send(g, is_simple);
		cv_leg_take(&f->client, whole);
		return NEXT_DONE;
	}
	if (whole <= CV_PROXY_IO_BYTES / 2)
		return NEXT_STAY;
	if (whole <= CV_PROXY_PG_STATEMENT_BYTES_MAX &&
		gathered + whole <= CV_PROXY_PG_GATHER_BYTES_MAX) {
		cv_buf_fini(&g->gather);
		cv_buf_init(&g->gather, CV_PROXY_PG_STATEMENT_BYTES_MAX + 64);
		g->gather_bytes = whole;
		gathered += whole;
		return NEXT_DONE;
	}
	cv_pg_refuse(p, f, "54000", "statement_too_long",
		CV_STR("the statement is too long to be decided on; send values as parameters"));
	denied_send(g, is_simple);
	g->skip_left = whole;
	return NEXT_DONE;
}

/* Takes what is there of the statement being gathered; decides when it is whole. */
static bool gather_step(struct cv_proxy *p, struct cv_flow *f, struct cv_str text)
{
	struct cv_pg *g = f->pg;
	const size_t n = CV_MIN(text.n, g->gather_bytes - cv_buf_len(&g->gather));

	if (!n)
		return false;
	if (!cv_buf_put(&g->gather, cv_str_slice(text, 0, n)))
		return protocol_fail(p, f, "out of memory");
	cv_leg_take(&f->client, n);
	if (cv_buf_len(&g->gather) < g->gather_bytes)
		return true;
	const struct cv_str message = cv_buf_str(&g->gather);
	const bool is_simple = message.p[0] == 'Q';
	if (statement_decide(p, f, message)) {
		statement_sent(g, is_simple);
		gathered_send(g);
	} else {
		give_back(&g->gather_bytes, &g->gather);
		denied_send(g, is_simple);
	}
	return true;
}

static enum next skip(struct cv_pg *g, size_t whole)
{
	if (g->up_left)
		return NEXT_STAY;
	g->skip_left = whole;
	return NEXT_DONE;
}

/* The Sync of a batch.  One that the server never saw ends here. */
static enum next sync_next(struct cv_pg *g, size_t whole)
{
	if (g->is_skipping && !g->has_batch) {
		if (g->down_left || g->up_left)
			return NEXT_STAY;
		g->is_skipping = false;
		cv_pg_put_ready(&g->down, g->status);
		return skip(g, whole);
	}
	g->is_skipping = false;
	g->has_batch = false;
	g->waits = g->is_waiting_sync = true;
	g->up_left += whole;
	return NEXT_PASS;
}

/* While the server takes COPY data, a Sync that came too early is none to it. */
static enum next copy_next(struct cv_pg *g, const struct cv_pg_head *h, size_t whole)
{
	if (h->type == 'c' || h->type == 'f')
		g->is_copying_in = false;
	g->up_left += whole;
	return NEXT_PASS;
}

static enum next client_next(
	struct cv_proxy *p, struct cv_flow *f, struct cv_str text, const struct cv_pg_head *h)
{
	const size_t whole = CV_PG_HEAD_BYTES + h->body_bytes;
	struct cv_pg *g = f->pg;

	if (g->is_copying_in && strchr("dcfHS", h->type))
		return copy_next(g, h, whole);
	if (g->waits)
		return NEXT_STAY;
	switch (h->type) {
	case 'S': return sync_next(g, whole);
	case 'X': g->up_left += whole; return NEXT_PASS;
	case 'd':
	case 'c':
	case 'f': return skip(g, whole); /* what the server would throw away too */
	default: break;
	}
	if (g->is_skipping)
		return skip(g, whole);
	switch (h->type) {
	case 'Q':
	case 'P': return statement_next(p, f, text, h);
	case 'F':
		if (g->up_left || g->down_left)
			return NEXT_STAY;
		cv_pg_refuse(p, f, "42501", "function_call_refused",
			CV_STR("the function-call protocol is not permitted; use SELECT"));
		denied_send(g, true);
		return skip(g, whole);
	case 'p': protocol_fail(p, f, "a password that was not asked for"); return NEXT_DONE;
	default: break;
	}
	g->has_batch = true; /* Bind, Execute, Describe, Close, Flush */
	g->up_left += whole;
	return NEXT_PASS;
}

/* Looks at the messages behind what may pass already; true when something was taken. */
static bool client_scan(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_pg *g = f->pg;

	for (;;) {
		const struct cv_str text = cv_leg_text(&f->client);
		struct cv_pg_head h;

		if (g->up_left >= text.n || cv_buf_len(&g->up))
			return false;
		const struct cv_str rest = cv_str_slice(text, g->up_left, text.n);
		const enum cv_pg_rc rc = cv_pg_head_parse(rest, false, &h);
		if (rc == CV_PG_MORE)
			return false;
		if (rc == CV_PG_ERROR)
			return protocol_fail(p, f, "the client's message is malformed");
		switch (client_next(p, f, rest, &h)) {
		case NEXT_STAY: return false;
		case NEXT_PASS: continue;
		case NEXT_DONE: return true;
		}
	}
}

/* Bytes that may pass go to the other side; true when some did. */
static bool text_pass(struct cv_leg *from, struct cv_leg *to, size_t *left)
{
	const struct cv_str text = cv_str_slice(cv_leg_text(from), 0, *left);
	const size_t n = text.n ? cv_leg_put(to, text) : 0;

	if (!n)
		return false;
	cv_leg_take(from, n);
	*left -= n;
	return true;
}

static bool up_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_pg *g = f->pg;
	bool has_moved = cv_leg_fill(&f->client);

	if (!cv_pg_flush(&f->server, &g->up, &has_moved))
		return has_moved;
	if (g->lent_bytes)
		give_back(&g->lent_bytes, &g->up);
	if (g->skip_left) {
		const size_t n = CV_MIN(g->skip_left, cv_leg_text(&f->client).n);

		if (n)
			cv_leg_take(&f->client, n);
		g->skip_left -= n;
		return has_moved || n;
	}
	if (g->gather_bytes)
		return gather_step(p, f, cv_leg_text(&f->client)) || has_moved;
	has_moved |= client_scan(p, f);
	if (f->state != CV_FLOW_PG)
		return true;
	return text_pass(&f->client, &f->server, &g->up_left) || has_moved;
}

/* ---- from the server ---- */

/* A setting that the server tells of; NULL: fine. */
static const char *setting_problem(const struct cv_pg *g, struct cv_str body)
{
	struct cv_str name, value;

	if (!cv_pg_pair_parse(body, &name, &value))
		return "the server's message is malformed";
	if (g->is_read_only && cv_str_eq(name, CV_STR("default_transaction_read_only")) &&
		!cv_str_eq(value, CV_STR("on")))
		return "the session is no longer read-only";
	if (g->is_restricted && cv_str_eq(name, CV_STR("client_encoding")) &&
		!cv_pg_encoding_is_safe(value))
		return "the session has a client encoding in which statements can't be told";
	return NULL;
}

static bool is_markers_error(struct cv_str body)
{
	const struct cv_str said = cv_pg_error_field(body, 'M');

	return said.n && memmem(said.p, said.n, MARKER, sizeof(MARKER) - 1);
}

static void ready_take(struct cv_pg *g, char status)
{
	g->status = status;
	g->waits = g->is_waiting_sync = g->is_copying_in = false;
	g->has_batch = false;
	cv_buf_reset(&g->denied);
}

/* Messages that are read.  rest begins with a whole one; its place in the text is at down_left. */
static enum next server_read(
	struct cv_proxy *p, struct cv_flow *f, struct cv_str rest, const struct cv_pg_head *h)
{
	const size_t whole = CV_PG_HEAD_BYTES + h->body_bytes;
	const struct cv_str body = cv_str_slice(rest, CV_PG_HEAD_BYTES, whole);
	struct cv_pg *g = f->pg;
	const char *problem;

	switch (h->type) {
	case 'Z':
		if (body.n != 1)
			break;
		ready_take(g, body.p[0]);
		g->down_left += whole;
		return NEXT_PASS;
	case 'S':
		problem = setting_problem(g, body);
		if (problem) {
			cv_pg_fail(p, f, "57P01", "session_setting_refused", cv_str_of(problem));
			return NEXT_DONE;
		}
		g->down_left += whole;
		return NEXT_PASS;
	case 'K':
		if (body.n < 8 || body.n > 4 + sizeof(g->key))
			break;
		g->pid = (uint32_t)(unsigned char)body.p[0] << 24 |
			 (uint32_t)(unsigned char)body.p[1] << 16 |
			 (uint32_t)(unsigned char)body.p[2] << 8 | (unsigned char)body.p[3];
		g->key_n = body.n - 4;
		memcpy(g->key, body.p + 4, g->key_n);
		g->down_left += whole;
		return NEXT_PASS;
	case 'E': /* perhaps what our marker made */
		if (!is_markers_error(body)) {
			g->down_left += whole;
			return NEXT_PASS;
		}
		if (g->down_left || cv_buf_len(&g->down))
			return NEXT_STAY;
		cv_buf_put(&g->down, cv_buf_str(&g->denied));
		cv_buf_reset(&g->denied);
		cv_leg_take(&f->server, whole);
		return NEXT_DONE;
	default: break;
	}
	protocol_fail(p, f, "the server's message is malformed");
	return NEXT_DONE;
}

static enum next server_next(
	struct cv_proxy *p, struct cv_flow *f, struct cv_str rest, const struct cv_pg_head *h)
{
	const size_t whole = CV_PG_HEAD_BYTES + h->body_bytes;
	struct cv_pg *g = f->pg;
	bool is_read = false;

	switch (h->type) {
	case 'Z':
	case 'S':
	case 'K': is_read = true; break;
	case 'E':
		g->is_copying_in = false;
		is_read = cv_buf_len(&g->denied) > 0 &&
			  h->body_bytes <= CV_PROXY_PG_MESSAGE_BYTES_MAX;
		break;
	case 'G':
		g->is_copying_in = g->has_batch = true;
		if (g->is_waiting_sync) /* the server will read it as part of the COPY: as nothing */
			g->waits = g->is_waiting_sync = false;
		break;
	case 'R':
	case 'W':
	case 'v':
		protocol_fail(p, f, "a message of the server's that has no place here");
		return NEXT_DONE;
	default: break;
	}
	if (!is_read) {
		g->down_left += whole;
		return NEXT_PASS;
	}
	if (h->body_bytes > CV_PROXY_PG_MESSAGE_BYTES_MAX) {
		protocol_fail(p, f, "the server's message is too long");
		return NEXT_DONE;
	}
	return rest.n < whole ? NEXT_STAY : server_read(p, f, rest, h);
}

static bool server_scan(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_pg *g = f->pg;

	for (;;) {
		const struct cv_str text = cv_leg_text(&f->server);
		struct cv_pg_head h;

		if (g->down_left >= text.n)
			return false;
		const struct cv_str rest = cv_str_slice(text, g->down_left, text.n);
		const enum cv_pg_rc rc = cv_pg_head_parse(rest, true, &h);
		if (rc == CV_PG_MORE)
			return false;
		if (rc == CV_PG_ERROR)
			return protocol_fail(p, f, "the server's message is malformed");
		switch (server_next(p, f, rest, &h)) {
		case NEXT_STAY: return false;
		case NEXT_PASS: continue;
		case NEXT_DONE: return true;
		}
	}
}

static bool down_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_pg *g = f->pg;
	bool has_moved = cv_leg_fill(&f->server);

	/* ours goes between the server's messages: at down_left 0 */
	if (!g->down_left && !cv_pg_flush(&f->client, &g->down, &has_moved))
		return has_moved;
	if (!cv_buf_len(&g->down))
		has_moved |= server_scan(p, f);
	if (f->state != CV_FLOW_PG)
		return true;
	return text_pass(&f->server, &f->client, &g->down_left) || has_moved;
}

/* ---- the session ---- */

/* One side has ended: what it said is passed on, then the other side's end follows.  The beginning
 * of a message that has no end is not. */
static bool ends_step(struct cv_proxy *p, struct cv_flow *f, bool has_moved)
{
	struct cv_pg *g = f->pg;

	if (f->client.is_broken || f->server.is_broken) {
		cv_flow_end(p, f, f->server.is_broken);
		return true;
	}
	if (f->server.is_eof && !cv_buf_len(&g->down) &&
		(!cv_leg_text(&f->server).n || (!g->down_left && !has_moved))) {
		cv_flow_finish(p, f);
		return true;
	}
	if (f->client.is_eof && !f->server.wants_shut && !cv_buf_len(&g->up) &&
		(!cv_leg_text(&f->client).n || g->waits || (!g->up_left && !has_moved))) {
		cv_leg_shut(&f->server);
		return true;
	}
	return false;
}

bool cv_pg_session_step(struct cv_proxy *p, struct cv_flow *f)
{
	bool has_moved = down_step(p, f);

	if (f->state == CV_FLOW_PG)
		has_moved |= up_step(p, f);
	if (f->state != CV_FLOW_PG)
		return true;
	if (f->pg->up.is_overflown || f->pg->down.is_overflown)
		return protocol_fail(p, f, "out of memory");
	if (has_moved)
		f->deadline_ms = p->loop.now_ms + CV_PROXY_PG_IDLE_MS;
	return ends_step(p, f, has_moved) || has_moved;
}

bool cv_postgres_again(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_policy_endpoint *e;
	struct cv_pg *g = f->pg;
	const bool was_restricted = g->is_restricted, was_read_only = g->is_read_only;
	const uint32_t before = g->allowed;
	bool stands = cv_decide_connect(p, f) && f->verdict.obligations & CV_OBLIGE_POSTGRES;

	if (stands && g->path_n)
		stands = cv_pg_access_find(p, f, g, CV_STR_NONE, &e) && !(before & ~g->allowed);
	/* what was prepared under the old policy needs all of it; what was told at the start stays */
	g->is_restricted = was_restricted;
	g->is_read_only = was_read_only;
	if (!stands) {
		const struct cv_fact fact = {
			.action = CV_AUDIT_ACTION_DENY,
			.activity = CV_ACTIVITY_CLOSE,
			.engine = "opa",
			.reason_code = "policy_changed",
			.reason = CV_STR("the new policy does not allow the session as it began"),
		};
		cv_decide_record(p, f, &fact);
	}
	return stands;
}
