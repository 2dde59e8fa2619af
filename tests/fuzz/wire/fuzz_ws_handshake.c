/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_ws_handshake.c - hostile upgrades: the first byte chooses between request and 101
 *
 * Properties: a request that is accepted has a key of 16 bytes and tokens that are all different;
 * a 101 that is accepted has the accept value, and compression only where it was offered.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/base64.h"
#include "wire/ws_handshake.h"

static void request_try(struct cv_str s)
{
	static struct cv_h1_request r;
	char input[CV_WS_ACCEPT_INPUT_BYTES];
	struct cv_ws_offer o;
	struct cv_buf key;
	size_t scanned = 0;

	if (cv_h1_request_parse(s, CV_H1_TUNNEL_HEAD_BYTES_MAX, &scanned, &r) != CV_H1_OK)
		return;
	const enum cv_ws_hand rc = cv_ws_request_check(&r, &o);
	cv_assert(cv_ws_hand_slug(rc) && cv_ws_hand_text(rc));
	if (rc != CV_WS_HAND_OK)
		return;
	cv_assert(r.is_upgrade && r.minor == 1 && cv_str_eq(r.method, CV_STR("GET")));
	cv_buf_init(&key, 64);
	cv_assert(cv_base64_decode(o.key, CV_BASE64_STD, &key) && cv_buf_len(&key) == 16);
	cv_buf_fini(&key);
	cv_ws_accept_input(o.key, input);
	for (size_t i = 0; i < o.protocol_count; i++)
		for (size_t k = 0; k <= i; k++) {
			cv_assert(cv_h1_is_token(o.protocols[i]));
			cv_assert(k == i || !cv_str_eq(o.protocols[i], o.protocols[k]));
		}
}

static void response_try(struct cv_str s, bool has_deflate)
{
	static const struct cv_str offered[] = { { "a", 1 }, { "b", 1 } };
	static struct cv_h1_response r;
	const struct cv_ws_asked asked = { CV_STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), offered, 2,
		has_deflate };
	const struct cv_h1_header *h;
	bool is_deflated = false;
	size_t scanned = 0, at = 0;

	if (cv_h1_response_parse(s, CV_H1_REPLY_HEAD_BYTES_MAX, &scanned, CV_H1_ASKED_OTHER, &r) !=
			CV_H1_OK ||
		r.status != 101)
		return;
	if (cv_ws_response_check(&r, &asked, &is_deflated) != CV_WS_HAND_OK) {
		cv_assert(!is_deflated);
		return;
	}
	cv_assert(has_deflate || !is_deflated);
	h = cv_h1_header_next_named(r.header, r.header_count, CV_STR("Sec-WebSocket-Accept"), &at);
	cv_assert(h && cv_str_eq(h->value, asked.accept));
	at = 0;
	h = cv_h1_header_next_named(
		r.header, r.header_count, CV_STR("Sec-WebSocket-Extensions"), &at);
	cv_assert(is_deflated == (h != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	const struct cv_str s = { (const char *)data + 1, size - 1 };

	if (data[0] & 1)
		request_try(s);
	else
		response_try(s, data[0] & 2);
	return 0;
}
