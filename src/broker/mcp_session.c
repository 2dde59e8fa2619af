/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_session.c - sessions of the Model Context Protocol, and the requests that are about them
 *
 * A session says which version was agreed on and which log messages are wanted, and it has a stream
 * for what no request asked for.  It gives no right: that is the connection's and the token's, so a
 * session is found only in the sandbox that began it, and a client that keeps none may still call.
 *
 *     POST    initialize begins one; the others name it, or none
 *     GET     its own stream; with Last-Event-ID any of its streams, from there on
 *     DELETE  ends it, with the calls that are under way in it
 *
 * When a sandbox has too many, the one that was not used for the longest time goes.  A client whose
 * session has gone is told 404, and begins another one.
 */
#include "broker/mcp_int.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

bool mcp_level_find(struct cv_str word, uint8_t *ret)
{
	static const char *const level[] = { "emergency", "alert", "critical", "error", "warning",
		"notice", "info", "debug" };

	for (size_t i = 0; i < CV_ARRAY_LEN(level); i++)
		if (cv_str_eq(word, cv_str_of(level[i]))) {
			*ret = (uint8_t)i;
			return true;
		}
	return false;
}

/* ---- sessions ---- */

static bool is_of(const struct mcp_session *x, struct cv_ref sandbox)
{
	return x->sandbox.index == sandbox.index && x->sandbox.gen == sandbox.gen;
}

static bool is_in(const struct mcp_channel *c, const struct mcp_session *x)
{
	return c->session.index == x->ref.index && c->session.gen == x->ref.gen;
}

static void session_end(struct broker *b, struct mcp_session *x)
{
	mcp_calls_end(b, x->ref);
	for (uint32_t i = 0; i < b->mcp_channels.top; i++) {
		struct mcp_channel *c = pool_at(&b->mcp_channels, i);

		if (c && is_in(c, x))
			mcp_channel_cut(b, c);
	}
	pool_free(&b->mcp_sessions, x->ref);
}

static bool is_busy(const struct broker *b, const struct mcp_session *x)
{
	for (uint32_t i = 0; i < b->mcp_channels.top; i++) {
		const struct mcp_channel *c = pool_at(&b->mcp_channels, i);

		if (c && is_in(c, x) && !c->is_done &&
			(c->worker.gen || pool_get(&b->streams, c->reader)))
			return true;
	}
	return false;
}

/* False: all of them are in use. */
static bool room_make(struct broker *b, struct cv_ref sandbox)
{
	struct mcp_session *oldest = NULL;
	uint32_t count = 0;

	for (uint32_t i = 0; i < b->mcp_sessions.top; i++) {
		struct mcp_session *x = pool_at(&b->mcp_sessions, i);

		if (!x || !is_of(x, sandbox))
			continue;
		count++;
		if ((!oldest || x->used_ms < oldest->used_ms) && !is_busy(b, x))
			oldest = x;
	}
	if (count < BROKER_MCP_SESSIONS_EACH_MAX)
		return true;
	if (oldest)
		session_end(b, oldest);
	return oldest != NULL;
}

struct mcp_session *mcp_session_new(
	struct broker *b, const struct stream *s, enum cv_mcp_version version)
{
	unsigned char random[MCP_SESSION_CHARS / 2];
	struct mcp_session *x;
	struct cv_ref ref;

	if (!room_make(b, s->sandbox) || !(x = pool_new(&b->mcp_sessions, &ref)))
		return NULL;
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		broker_die(CV_SYSTEM, "getrandom");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(x->id + 2 * i, 3, "%02x", random[i]);
	x->ref = ref;
	x->sandbox = s->sandbox;
	x->version = version;
	x->level = MCP_LEVEL_NONE;
	x->used_ms = b->loop.now_ms;
	return x;
}

struct mcp_session *mcp_session_of(struct broker *b, const struct stream *s, bool *ret_is_fine)
{
	*ret_is_fine = !s->request.mcp_session.n;
	for (uint32_t i = 0; !*ret_is_fine && i < b->mcp_sessions.top; i++) {
		struct mcp_session *x = pool_at(&b->mcp_sessions, i);

		if (!x || !is_of(x, s->sandbox) ||
			!cv_str_eq(cv_str_of(x->id), s->request.mcp_session))
			continue;
		x->used_ms = b->loop.now_ms;
		*ret_is_fine = true;
		return x;
	}
	return NULL;
}

void mcp_session_refuse(struct broker *b, struct stream *s)
{
	answer_error(b, s, 404, "unknown_session",
		"there is no such session, or no more; initialize begins one");
}

/* ---- GET ---- */

static void listen(struct broker *b, struct stream *s, struct mcp_session *x)
{
	struct mcp_channel *c = pool_get(&b->mcp_channels, x->server);

	if (!c) {
		c = mcp_channel_new(b, s->sandbox, x->ref);
		if (!c) {
			answer_error(b, s, 429, "too_many_at_once", "too many streams are open");
			return;
		}
		x->server = c->ref;
		if (x->version >= CV_MCP_2025_11_25)
			mcp_channel_prime(b, c);
	}
	mcp_channel_read(b, s, c, c->sent, NULL);
}

void mcp_get(struct broker *b, struct stream *s)
{
	struct mcp_session *x;
	struct mcp_channel *c;
	bool is_fine;
	uint64_t next;

	if (!mcp_accepts(s->request.accept, "text/event-stream", false)) {
		answer_error(b, s, 406, "not_acceptable", "GET is answered with text/event-stream");
		return;
	}
	x = mcp_session_of(b, s, &is_fine);
	if (!is_fine) {
		mcp_session_refuse(b, s);
		return;
	}
	if (!s->request.last_event_id.n) {
		if (x)
			listen(b, s, x);
		else
			answer_error(b, s, 400, "bad_request",
				"a stream is a session's: name it with Mcp-Session-Id");
		return;
	}
	c = mcp_channel_find(
		b, s, x ? x->ref : (struct cv_ref){ 0, 0 }, s->request.last_event_id, &next);
	if (!c)
		answer_error(b, s, 400, "unknown_event",
			"no stream is kept that Last-Event-ID stands in");
	else if (c->is_done && next >= c->next)
		answer(b, s, &(struct answer){ .status = 204 }); /* all was seen: don't ask again */
	else
		mcp_channel_read(b, s, c, next, NULL);
}

/* ---- DELETE ---- */

void mcp_delete(struct broker *b, struct stream *s)
{
	bool is_fine;
	struct mcp_session *x = mcp_session_of(b, s, &is_fine);

	if (!is_fine) {
		mcp_session_refuse(b, s);
	} else if (!x) {
		answer_error(b, s, 400, "bad_request", "name the session with Mcp-Session-Id");
	} else {
		session_end(b, x);
		answer(b, s, &(struct answer){ .status = 204 });
	}
}

/* ---- what else happens ---- */

void mcp_init(struct broker *b)
{
	pool_init(&b->mcp_sessions, BROKER_MCP_SESSIONS_MAX, sizeof(struct mcp_session));
	pool_init(&b->mcp_channels, BROKER_MCP_CHANNELS_MAX, sizeof(struct mcp_channel));
}

void mcp_sandbox_end(struct broker *b, const struct sandbox *box)
{
	for (uint32_t i = 0; i < b->mcp_channels.top; i++) {
		struct mcp_channel *c = pool_at(&b->mcp_channels, i);

		if (c && pool_get(&b->sandboxes, c->sandbox) == box)
			mcp_channel_free(b, c);
	}
	for (uint32_t i = 0; i < b->mcp_sessions.top; i++) {
		const struct mcp_session *x = pool_at(&b->mcp_sessions, i);

		if (x && pool_get(&b->sandboxes, x->sandbox) == box)
			pool_free(&b->mcp_sessions, x->ref);
	}
}

/* What tools/list says may be another list now. */
void mcp_policy_changed(struct broker *b, const struct sandbox *box)
{
	struct cv_buf text;

	cv_buf_init(&text, 1024);
	cv_mcp_write_notification(&text, CV_MCP_METHOD_TOOLS_CHANGED, CV_STR_NONE);
	for (uint32_t i = 0; i < b->mcp_sessions.top; i++) {
		const struct mcp_session *x = pool_at(&b->mcp_sessions, i);
		struct mcp_channel *c = x ? pool_get(&b->mcp_channels, x->server) : NULL;

		if (c && pool_get(&b->sandboxes, x->sandbox) == box)
			mcp_channel_put(b, c, cv_buf_str(&text), false);
	}
	cv_buf_fini(&text);
}
