/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_handshake.c - see ws_handshake.h
 */
#include "wire/ws_handshake.h"

#include "base/assert.h"
#include "base/base64.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */

static const struct {
	const char *slug, *text;
} hand_row[] = {
#define HAND_ROW(name, slug, text) { slug, text },
	CV_WS_HANDS(HAND_ROW)
#undef HAND_ROW
};

const char *cv_ws_hand_slug(enum cv_ws_hand rc)
{
	cv_assert(rc < CV_WS_HAND_COUNT);
	return hand_row[rc].slug;
}

const char *cv_ws_hand_text(enum cv_ws_hand rc)
{
	cv_assert(rc < CV_WS_HAND_COUNT);
	return hand_row[rc].text;
}

struct fields {
	const struct cv_h1_header *v;
	size_t n;
};

/* How many fields have that name; *ret is the first one's value. */
static size_t field_find(struct fields f, const char *name, struct cv_str *ret)
{
	const struct cv_h1_header *h;
	size_t at = 0, count = 0;

	while ((h = cv_h1_header_next_named(f.v, f.n, cv_str_of(name), &at)))
		if (count++ == 0)
			*ret = h->value;
	return count;
}

/* ---- the request ---- */

/* A text of 24 letters whose bytes are 16: strict, so it has one form. */
static bool key_is_fine(struct cv_str key)
{
	struct cv_buf bytes;
	bool is_fine;

	if (key.n != CV_WS_KEY_TEXT_BYTES)
		return false;
	cv_buf_init(&bytes, CV_WS_KEY_TEXT_BYTES);
	is_fine = cv_base64_decode(key, CV_BASE64_STD, &bytes) &&
		  cv_buf_len(&bytes) == CV_WS_KEY_BYTES;
	cv_buf_fini(&bytes);
	return is_fine;
}

static bool protocol_add(struct cv_ws_offer *o, struct cv_str token)
{
	if (!cv_h1_is_token(token) || o->protocol_count == CV_WS_PROTOCOLS_MAX)
		return false;
	for (size_t i = 0; i < o->protocol_count; i++)
		if (cv_str_eq(o->protocols[i], token))
			return false;
	o->protocols[o->protocol_count++] = token;
	return true;
}

static bool protocols_read(struct fields f, struct cv_ws_offer *o)
{
	const struct cv_h1_header *h;
	size_t at = 0;

	while ((h = cv_h1_header_next_named(f.v, f.n, CV_STR("Sec-WebSocket-Protocol"), &at)))
		for (struct cv_str rest = h->value; rest.p;)
			if (!protocol_add(o, cv_str_trim(cv_str_cut(&rest, ','))))
				return false;
	return true;
}

/* A malformed offer is none: it is not sent on, so nobody else has to understand it. */
static bool deflate_is_offered(struct fields f)
{
	const struct cv_h1_header *h;
	size_t at = 0;

	while ((h = cv_h1_header_next_named(f.v, f.n, CV_STR("Sec-WebSocket-Extensions"), &at)))
		for (struct cv_str rest = h->value; rest.p;) {
			struct cv_str one = cv_str_cut(&rest, ',');

			if (cv_str_eq(cv_str_trim(cv_str_cut(&one, ';')),
				    CV_STR("permessage-deflate")))
				return true;
		}
	return false;
}

enum cv_ws_hand cv_ws_request_check(const struct cv_h1_request *r, struct cv_ws_offer *ret)
{
	const struct fields f = { r->header, r->header_count };
	struct cv_str version = CV_STR_NONE, key = CV_STR_NONE, other;

	*ret = (struct cv_ws_offer){ 0 };
	if (!r->is_upgrade || !cv_str_eq_nocase(r->upgrade, CV_STR("websocket")))
		return CV_WS_HAND_UPGRADE;
	if (!cv_str_eq(r->method, CV_STR("GET")) || r->body != CV_H1_BODY_NONE)
		return CV_WS_HAND_METHOD;
	if (field_find(f, "Sec-WebSocket-Version", &version) != 1 ||
		!cv_str_eq(version, CV_STR("13")))
		return CV_WS_HAND_VERSION;
	if (field_find(f, "Sec-WebSocket-Key", &key) != 1 || !key_is_fine(key))
		return CV_WS_HAND_KEY;
	if (!protocols_read(f, ret))
		return CV_WS_HAND_PROTOCOL;
	if (field_find(f, "Sec-WebSocket-Accept", &other))
		return CV_WS_HAND_UNASKED;
	ret->key = key;
	ret->has_deflate = deflate_is_offered(f);
	return CV_WS_HAND_OK;
}

void cv_ws_accept_input(struct cv_str key, char dst[static CV_WS_ACCEPT_INPUT_BYTES])
{
	cv_assert(key.n == CV_WS_KEY_TEXT_BYTES);
	memcpy(dst, key.p, CV_WS_KEY_TEXT_BYTES);
	memcpy(dst + CV_WS_KEY_TEXT_BYTES, GUID, sizeof(GUID) - 1);
}

/* ---- the 101 ---- */

static bool protocol_is_fine(struct fields f, const struct cv_ws_asked *asked)
{
	struct cv_str taken = CV_STR_NONE;
	const size_t count = field_find(f, "Sec-WebSocket-Protocol", &taken);

	for (size_t i = 0; i < asked->protocol_count && count == 1; i++)
		if (cv_str_eq(asked->protocols[i], taken))
			return true;
	return count == 0;
}

/* 8 to 15, as a token or a quoted one (RFC 7692 7.1.2). */
static bool window_is_fine(struct cv_str v)
{
	uint64_t bits;

	if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
		v = cv_str_slice(v, 1, v.n - 1);
	return v.n && v.p[0] != '0' && cv_str_to_u64(v, 15, &bits) && bits >= 8;
}

enum { TOOK_SERVER_NO = 1, TOOK_CLIENT_NO = 2, TOOK_SERVER_BITS = 4 };

/* The parameter's bit; 0 for one that may not be in this answer. */
static unsigned parameter_read(struct cv_str p)
{
	struct cv_str value = p;
	const struct cv_str name = cv_str_trim(cv_str_cut(&value, '='));

	if (cv_str_eq(name, CV_STR("server_no_context_takeover")))
		return value.p ? 0 : TOOK_SERVER_NO;
	if (cv_str_eq(name, CV_STR("client_no_context_takeover")))
		return value.p ? 0 : TOOK_CLIENT_NO;
	if (cv_str_eq(name, CV_STR("server_max_window_bits")))
		return value.p && window_is_fine(cv_str_trim(value)) ? TOOK_SERVER_BITS : 0;
	return 0; /* client_max_window_bits too: it was not offered */
}

static bool deflate_is_fine(struct cv_str answer)
{
	unsigned seen = 0;

	if (!cv_str_eq(cv_str_trim(cv_str_cut(&answer, ';')), CV_STR("permessage-deflate")))
		return false;
	while (answer.p) {
		const unsigned bit = parameter_read(cv_str_trim(cv_str_cut(&answer, ';')));

		if (!bit || (seen & bit))
			return false;
		seen |= bit;
	}
	return seen & TOOK_SERVER_NO; /* who takes the offer must say so (RFC 7692 7.1.1.1) */
}

enum cv_ws_hand cv_ws_response_check(
	const struct cv_h1_response *r, const struct cv_ws_asked *asked, bool *ret_deflate)
{
	const struct fields f = { r->header, r->header_count };
	struct cv_str accept = CV_STR_NONE, extension = CV_STR_NONE;

	if (!r->is_upgrade || !cv_str_eq_nocase(r->upgrade, CV_STR("websocket")))
		return CV_WS_HAND_UPGRADE;
	if (field_find(f, "Sec-WebSocket-Accept", &accept) != 1 ||
		!cv_str_eq(accept, asked->accept))
		return CV_WS_HAND_ACCEPT;
	if (!protocol_is_fine(f, asked))
		return CV_WS_HAND_PROTOCOL_TAKEN;
	const size_t extensions = field_find(f, "Sec-WebSocket-Extensions", &extension);
	if (extensions > 1 ||
		(extensions == 1 && !(asked->has_deflate && deflate_is_fine(extension))))
		return CV_WS_HAND_EXTENSION;
	*ret_deflate = extensions == 1;
	return CV_WS_HAND_OK;
}
