/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket_down.c - what a server says: inflated, checked, scrubbed, passed on piece by piece
 *
 *     piece --compressed?--> inflated --text?--> UTF-8 --to be scrubbed?--> staged --> frames
 *
 * Only where there is something to scrub is anything staged; else a piece goes on at once.
 */
#include "proxy/websocket_int.h"

/* ---- scrubbing ---- */

void cv_websocket_scrub_fini(struct cv_websocket_scrub *s)
{
	cv_scrub_free(s->scrub);
	*s = (struct cv_websocket_scrub){ 0 };
}

/* s holds the flow's set.  When another takes its place, within a message perhaps, it starts with
 * what the old one still held: that could be the beginning of a value. */
static bool scrub_renew(struct cv_flow *f, struct cv_websocket_scrub *s, struct cv_buf *out)
{
	struct cv_scrub_set *set = f->cred->scrub_set;
	struct cv_buf held;

	if (s->scrub && s->set == set)
		return true;
	struct cv_scrub *next = set ? cv_scrub_new(set) : NULL;
	if (!next)
		return false;
	cv_buf_init(&held, CV_PROXY_WS_STAGE_MAX);
	const bool is_good = !s->scrub || (cv_scrub_end(s->scrub, &held) &&
						  cv_scrub_feed(next, cv_buf_str(&held), out));
	cv_buf_wipe(&held);
	cv_scrub_free(s->scrub);
	*s = (struct cv_websocket_scrub){ next, set };
	return is_good;
}

/* The next bytes of a server's message (inflated): appends to out what may pass.  False: out is
 * full, or there is no memory. */
static bool payload_scrub(struct cv_flow *f, struct cv_str in, bool is_last, struct cv_buf *out)
{
	struct cv_websocket_scrub *s = &f->ws->scrub;

	return scrub_renew(f, s, out) && cv_scrub_feed(s->scrub, in, out) &&
	       (!is_last || cv_scrub_end(s->scrub, out));
}

/* The n bytes at payload are those of a ping, pong or close: scrubbed in place, apart from the
 * message that they may stand in.  No longer than they were. */
static bool control_scrub(struct cv_flow *f, size_t n)
{
	struct cv_websocket_scrub *s = &f->ws->control_scrub;
	struct cv_buf out;

	if (!n || !cv_scrub_is_due(f))
		return true;
	cv_buf_init(&out, CV_WS_CONTROL_BYTES_MAX);
	const bool is_good =
		scrub_renew(f, s, &out) &&
		cv_scrub_text(s->scrub, (struct cv_str){ cv_websocket_payload, n }, &out) &&
		cv_buf_len(&out) == n;
	if (is_good)
		memcpy(cv_websocket_payload, cv_buf_str(&out).p, n);
	cv_buf_fini(&out);
	return is_good;
}

/* ---- pieces ---- */

/* The next frame of what is staged; false when there is no room, or the flow ended. */
static bool stage_pass(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;
	const struct cv_str rest = cv_buf_str(&ws->stage);
	const size_t room = cv_websocket_room(&f->client), n = CV_MIN(room, rest.n);
	const bool is_end = n == rest.n;

	if (!room)
		return false;
	if (n)
		memcpy(cv_websocket_payload, rest.p, n);
	if (!cv_websocket_frame_put(&f->client, false,
		    ws->is_stage_first ? ws->stage_opcode : CV_WS_CONTINUATION,
		    is_end && ws->is_stage_last, n)) {
		cv_flow_end(p, f, true);
		return false;
	}
	ws->is_stage_first = false;
	cv_buf_skip(&ws->stage, n);
	ws->is_staged = !is_end;
	if (is_end) { /* one that waits holds nothing */
		cv_buf_fini(&ws->stage);
		cv_buf_init(&ws->stage, CV_PROXY_WS_STAGE_MAX);
	}
	return true;
}

/* Stages the n bytes at payload, scrubbed.  False: the flow ended. */
static bool stage_put(struct cv_proxy *p, struct cv_flow *f, enum cv_ws_opcode opcode, size_t n,
	bool is_first, bool is_last)
{
	struct cv_websocket *ws = f->ws;

	if (is_first) {
		ws->is_stage_first = true;
		ws->stage_opcode = opcode;
	}
	ws->is_stage_last = is_last;
	if (!payload_scrub(f, (struct cv_str){ cv_websocket_payload, n }, is_last, &ws->stage)) {
		cv_websocket_server_fail(p, f, CV_WS_RC_SIZE);
		return false;
	}
	ws->is_staged = is_last || cv_buf_len(&ws->stage);
	return true;
}

/* The n bytes at payload are a piece of the server's message.  False: the flow ended. */
static bool down_put(struct cv_proxy *p, struct cv_flow *f, enum cv_ws_opcode opcode, size_t n,
	bool is_first, bool is_last)
{
	struct cv_websocket *ws = f->ws;

	if (is_first)
		ws->utf8 = (struct cv_utf8_stream){ 0 };
	if (opcode == CV_WS_TEXT &&
		(!cv_utf8_stream_put(&ws->utf8, (struct cv_str){ cv_websocket_payload, n }) ||
			(is_last && !cv_utf8_stream_is_whole(&ws->utf8)))) {
		cv_websocket_server_fail(p, f, CV_WS_RC_UTF8);
		return false;
	}
	if (cv_scrub_is_due(f))
		return stage_put(p, f, opcode, n, is_first, is_last);
	if (cv_websocket_frame_put(
		    &f->client, false, is_first ? opcode : CV_WS_CONTINUATION, is_last, n))
		return true;
	cv_flow_end(p, f, true);
	return false;
}

/* What a compressed piece has become, as far as there is room; false: the flow ended. */
static bool inflate_pass(struct cv_proxy *p, struct cv_flow *f, size_t room)
{
	struct cv_websocket *ws = f->ws;
	enum cv_ws_rc rc = CV_WS_RC_OK;
	size_t n = 0;
	const enum cv_ws_inflated got =
		cv_ws_inflate_next(ws->inflate, cv_websocket_payload, room, &n, &rc);

	if (got == CV_WS_INFLATED_BAD) {
		cv_websocket_server_fail(p, f, rc);
		return false;
	}
	if (got != CV_WS_INFLATED_SOME)
		ws->is_inflating = false;
	if ((n || got == CV_WS_INFLATED_END) &&
		!down_put(p, f, ws->out_opcode, n, ws->is_out_first, got == CV_WS_INFLATED_END))
		return false;
	if (n)
		ws->is_out_first = false;
	if (got == CV_WS_INFLATED_END) {
		cv_ws_inflate_free(ws->inflate);
		ws->inflate = NULL;
	}
	return true;
}

static bool down_take(struct cv_proxy *p, struct cv_flow *f, const struct cv_ws_piece *piece)
{
	struct cv_websocket *ws = f->ws;

	if (piece->opcode != CV_WS_TEXT && piece->opcode != CV_WS_BINARY) {
		if (piece->data.n)
			memcpy(cv_websocket_payload, piece->data.p, piece->data.n);
		if (!control_scrub(f, piece->data.n)) {
			cv_websocket_server_fail(p, f, CV_WS_RC_SIZE);
			return false;
		}
		if (cv_websocket_frame_put(&f->client, false, piece->opcode, true, piece->data.n))
			return true;
		cv_flow_end(p, f, true);
		return false;
	}
	if (!piece->is_compressed)
		return down_put(
			p, f, piece->opcode, piece->data.n, piece->is_first, piece->is_last);
	if (piece->is_first) {
		ws->inflate = cv_ws_inflate_new();
		ws->out_opcode = piece->opcode;
		ws->is_out_first = true;
		if (!ws->inflate) {
			cv_websocket_server_fail(p, f, CV_WS_RC_SIZE);
			return false;
		}
	}
	cv_ws_inflate_put(ws->inflate, piece->data, piece->is_last);
	ws->is_inflating = true;
	return true;
}

bool cv_websocket_down_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;
	struct cv_ws_piece piece;
	bool has_moved = false;

	ws->is_down_starved = false;
	for (;;) {
		size_t room = cv_websocket_room(&f->client);

		if (!room)
			return has_moved;
		if (ws->is_staged) {
			if (!stage_pass(p, f))
				return has_moved;
			has_moved = true;
			continue;
		}
		if (ws->is_inflating) {
			if (!inflate_pass(p, f, room))
				return true;
			has_moved = true;
			continue;
		}
		if (ws->may_inflate)
			room = CV_MIN(room, (size_t)CV_WS_INFLATE_IN_BYTES);
		switch (cv_websocket_event_next(&ws->down, &f->server, room, &piece, &has_moved)) {
		case CV_WS_MORE: ws->is_down_starved = true; return has_moved;
		case CV_WS_BAD: cv_websocket_server_fail(p, f, ws->down.rc); return true;
		case CV_WS_DATA:
		case CV_WS_FRAME:
			has_moved = true;
			if (!down_take(p, f, &piece))
				return true;
		}
	}
}
