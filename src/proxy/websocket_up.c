/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket_up.c - what a client says: text whole, binary messages as they come
 *
 *     first piece: may it speak at all? --text--> assembled --whole: UTF-8?--> made ready -->
 *     forwarded, frame by frame --> the next is read
 */
#include "proxy/websocket_int.h"

/* ---- binary messages ---- */

/* Is this a server that credentials may be released to?  Then binary messages, in which none are
 * replaced, may not pass. */
static bool is_credentialed(const struct cv_flow *f, const struct cv_policy_endpoint *e)
{
	return e->websocket_credential_rewrite || e->has_credential_binding ||
	       (f->cred && (f->cred->flags & CV_RELEASED_BOUND));
}

static bool binary_is_fine(const struct cv_flow *f, const struct cv_policy_endpoint *e)
{
	return !e || !is_credentialed(f, e) || e->allow_uninspected_credentials;
}

static bool binary_is_allowed(struct cv_proxy *p, struct cv_flow *f)
{
	if (!cv_websocket_message_is_allowed(p, f))
		return false;
	if (binary_is_fine(f, cv_policy_endpoint_of(f->policy, &f->ws->verdict)))
		return true;
	cv_websocket_client_refuse(p, f, CV_WS_CODE_POLICY, "ws_binary_uninspected",
		"binary message where credentials may be released");
	return false;
}

/* ---- text messages ---- */

/* The next frame of the text message; false when there is no room, or it is the end. */
static bool text_forward(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;
	const size_t room = cv_websocket_room(&f->server);
	const struct cv_str rest =
		cv_str_slice(cv_buf_str(&ws->text), ws->forwarded, cv_buf_len(&ws->text));
	const size_t n = CV_MIN(room, rest.n);

	if (!room)
		return false;
	if (n)
		memcpy(cv_websocket_payload, rest.p, n);
	if (!cv_websocket_frame_put(&f->server, true,
		    ws->forwarded ? CV_WS_CONTINUATION : CV_WS_TEXT, n == rest.n, n)) {
		cv_flow_end(p, f, true);
		return false;
	}
	ws->forwarded += n;
	if (ws->has_credential && n)
		explicit_bzero(cv_websocket_payload, n);
	if (n == rest.n) {
		ws->is_forwarding = false;
		cv_websocket_text_drop(&ws->text);
		cv_websocket_place_give(p, ws);
	}
	return true;
}

/* Its placeholders become credentials, or it is the end; false when it must wait, too. */
static bool text_make(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;
	const char *slug = NULL, *why = NULL;

	/* a policy that came while the keeper was asked decides as well */
	if (!cv_websocket_message_is_allowed(p, f))
		return false;
	const struct cv_policy_endpoint *e = cv_policy_endpoint_of(f->policy, &ws->verdict);
	switch (cv_cred_message(p, f, ws->path, e, &ws->text, &slug, &why)) {
	case CV_CRED_OK: return true;
	case CV_CRED_WAIT:
	case CV_CRED_AGAIN: return false;
	case CV_CRED_ANSWERED: break;
	}
	cv_websocket_client_refuse(p, f, CV_WS_CODE_POLICY, slug, why);
	return false;
}

/* The whole message is made ready to be sent; false when it must wait, or it is the end. */
static bool text_release(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;

	if (!text_make(p, f))
		return false;
	ws->has_credential = f->cred != NULL;
	ws->is_whole = false;
	ws->is_forwarding = true;
	ws->forwarded = 0;
	ws->began_ms = p->loop.now_ms;
	return true;
}

/* False: the flow's reading ends for now, or for ever. */
static bool text_take(struct cv_proxy *p, struct cv_flow *f, const struct cv_ws_piece *piece)
{
	struct cv_websocket *ws = f->ws;

	if (piece->is_first) {
		if (!cv_websocket_message_is_allowed(p, f))
			return false;
		ws->is_assembling = true;
		ws->began_ms = p->loop.now_ms;
	}
	ws->part_ms = p->loop.now_ms;
	if (!cv_buf_put(&ws->text, piece->data)) {
		cv_websocket_client_fail(p, f, CV_WS_RC_SIZE);
		return false;
	}
	if (piece->is_last) {
		ws->is_assembling = false;
		ws->is_whole = true;
		if (cv_utf8_is_valid(cv_buf_str(&ws->text)))
			return true;
		cv_websocket_client_fail(p, f, CV_WS_RC_UTF8);
		return false;
	}
	if (cv_websocket_place_take(p, ws))
		return true;
	if (!ws->is_waiting)
		cv_websocket_client_refuse(
			p, f, CV_WS_CODE_BUSY, "ws_busy", "too many messages are being assembled");
	return false;
}

/* The client says something that nobody looks into: a placeholder may not be in it. */
static bool placeholder_refuse(struct cv_proxy *p, struct cv_flow *f)
{
	cv_websocket_client_refuse(p, f, CV_WS_CODE_POLICY, "placeholder_in_message",
		"placeholder in a message that is not rewritten");
	return false;
}

void cv_websocket_scan_restart(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->ws->scan.set)
		cv_ph_scan_init(&f->ws->scan, &p->creds.set);
}

static bool binary_take(struct cv_proxy *p, struct cv_flow *f, const struct cv_ws_piece *piece)
{
	struct cv_websocket *ws = f->ws;

	if (piece->is_first) {
		if (!binary_is_allowed(p, f))
			return false;
		if (p->creds.count)
			cv_ph_scan_init(&ws->scan, &p->creds.set);
	}
	if (ws->scan.set && cv_ph_scan_feed(&ws->scan, piece->data))
		return placeholder_refuse(p, f);
	if (cv_websocket_frame_put(&f->server, true,
		    piece->is_first ? CV_WS_BINARY : CV_WS_CONTINUATION, piece->is_last,
		    piece->data.n))
		return true;
	cv_flow_end(p, f, true);
	return false;
}

static bool up_take(struct cv_proxy *p, struct cv_flow *f, const struct cv_ws_piece *piece)
{
	if (piece->opcode == CV_WS_TEXT)
		return text_take(p, f, piece);
	if (piece->opcode == CV_WS_BINARY)
		return binary_take(p, f, piece);
	if (p->creds.count && cv_ph_is_in(&p->creds.set, piece->data))
		return placeholder_refuse(p, f);
	if (cv_websocket_control_put(&f->server, true, piece->opcode, piece->data))
		return true;
	cv_flow_end(p, f, true);
	return false;
}

/* True when something moved.  The flow may have ended, or be closing. */
bool cv_websocket_up_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_websocket *ws = f->ws;
	struct cv_ws_piece piece;
	bool has_moved = false;

	ws->is_up_starved = false;
	for (;;) {
		if (ws->is_whole && !text_release(p, f))
			return has_moved;
		if (ws->is_forwarding) {
			if (!text_forward(p, f))
				return has_moved;
			has_moved = true;
			continue;
		}
		const size_t room = cv_websocket_room(&f->server);
		if (!room || (ws->is_waiting && !cv_websocket_place_take(p, ws)))
			return has_moved;
		switch (cv_websocket_event_next(&ws->up, &f->client, room, &piece, &has_moved)) {
		case CV_WS_MORE: ws->is_up_starved = true; return has_moved;
		case CV_WS_BAD: cv_websocket_client_fail(p, f, ws->up.rc); return true;
		case CV_WS_DATA:
		case CV_WS_FRAME:
			has_moved = true;
			if (!up_take(p, f, &piece))
				return true;
		}
	}
}
