/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ws_handshake.c - requests and 101s, as rows of the fields that make them wrong or right
 */
#include "unit/test.h"

#include "wire/ws_handshake.c"

#include <stdio.h>

#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define UP      "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define ACCEPT  "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static enum cv_ws_hand ask(const char *start, const char *fields, struct cv_ws_offer *ret)
{
	static struct cv_h1_request r;
	static char text[4096];
	size_t scanned = 0;

	snprintf(text, sizeof(text), "%s\r\nHost: a.test\r\n%s\r\n", start, fields);
	const enum cv_h1_rc rc = cv_h1_request_parse(cv_str_of(text), sizeof(text), &scanned, &r);
	if (rc != CV_H1_OK)
		fail_msg("%s: %s", fields, cv_h1_rc_row(rc)->slug);
	return cv_ws_request_check(&r, ret);
}

static void test_requests(void **state)
{
	static const struct {
		const char *start, *fields, *slug;
	} rows[] = {
		{ "GET / HTTP/1.1", UP VERSION KEY, "ok" },
		{ "GET / HTTP/1.1",
			"Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n" VERSION KEY,
			"ok" },
		{ "POST / HTTP/1.1", UP VERSION KEY, "ws_method" },
		{ "GET / HTTP/1.1", UP VERSION KEY "Content-Length: 0\r\n", "ws_method" },
		{ "GET / HTTP/1.1", UP VERSION KEY "Transfer-Encoding: chunked\r\n", "ws_method" },
		{ "GET / HTTP/1.0", UP VERSION KEY, "ws_upgrade" },
		{ "GET / HTTP/1.1", "Upgrade: websocket\r\n" VERSION KEY, "ws_upgrade" },
		{ "GET / HTTP/1.1", "Connection: Upgrade\r\n" VERSION KEY, "ws_upgrade" },
		{ "GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket/13\r\n" VERSION KEY,
			"ws_upgrade" },
		{ "GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket, x\r\n" VERSION KEY,
			"ws_upgrade" },
		{ "GET / HTTP/1.1", UP KEY, "ws_version" },
		{ "GET / HTTP/1.1", UP KEY "Sec-WebSocket-Version: 013\r\n", "ws_version" },
		{ "GET / HTTP/1.1", UP KEY "Sec-WebSocket-Version: 13, 8\r\n", "ws_version" },
		{ "GET / HTTP/1.1", UP KEY VERSION "Sec_WebSocket_Version: 8\r\n", "ws_version" },
		{ "GET / HTTP/1.1", UP VERSION, "ws_key" },
		{ "GET / HTTP/1.1", UP VERSION KEY KEY, "ws_key" },
		{ "GET / HTTP/1.1", UP VERSION KEY "sec_websocket_key: x\r\n", "ws_key" },
		{ "GET / HTTP/1.1", UP VERSION "Sec-WebSocket-Key: \r\n", "ws_key" },
		{ "GET / HTTP/1.1", UP VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n",
			"ws_key" },
		{ "GET / HTTP/1.1", UP VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n",
			"ws_key" },
		{ "GET / HTTP/1.1", UP VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==AA\r\n",
			"ws_key" },
		{ "GET / HTTP/1.1",
			UP VERSION KEY
			"Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n",
			"ok" },
		{ "GET / HTTP/1.1",
			UP VERSION KEY
			"Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: a\r\n",
			"ws_protocol" },
		{ "GET / HTTP/1.1", UP VERSION KEY "Sec-WebSocket-Protocol: \r\n", "ws_protocol" },
		{ "GET / HTTP/1.1", UP VERSION KEY "Sec-WebSocket-Protocol: a,,b\r\n",
			"ws_protocol" },
		{ "GET / HTTP/1.1", UP VERSION KEY "Sec-WebSocket-Protocol: a/b\r\n",
			"ws_protocol" },
		{ "GET / HTTP/1.1", UP VERSION KEY "Sec-WebSocket-Accept: " ACCEPT "\r\n",
			"ws_unasked" },
	};
	struct cv_ws_offer o;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		const char *slug = cv_ws_hand_slug(ask(rows[i].start, rows[i].fields, &o));

		if (strcmp(slug, rows[i].slug) != 0)
			fail_msg("row %zu: %s: got %s, want %s", i, rows[i].fields, slug,
				rows[i].slug);
	}
}

static void test_offers(void **state)
{
	static const struct {
		const char *value;
		bool has_deflate;
	} rows[] = {
		{ "permessage-deflate", true },
		{ "permessage-deflate; client_max_window_bits", true },
		{ "foo, permessage-deflate;server_max_window_bits=10", true },
		{ "x-webkit-deflate-frame", false },
		{ "permessage-deflated", false },
		{ "foo; permessage-deflate", false },
	};
	struct cv_ws_offer o;
	char fields[512];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		snprintf(fields, sizeof(fields), UP VERSION KEY "Sec-WebSocket-Extensions: %s\r\n",
			rows[i].value);
		assert_int_equal(ask("GET / HTTP/1.1", fields, &o), CV_WS_HAND_OK);
		assert_int_equal(o.has_deflate, rows[i].has_deflate);
		assert_str(o.key, "dGhlIHNhbXBsZSBub25jZQ==");
	}
	assert_int_equal(ask("GET / HTTP/1.1",
				 UP VERSION KEY
				 "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n",
				 &o),
		CV_WS_HAND_OK);
	assert_int_equal(o.protocol_count, 3);
	assert_str(o.protocols[2], "c");
}

static void test_accept_input(void **state)
{
	char input[CV_WS_ACCEPT_INPUT_BYTES];

	(void)state;
	cv_ws_accept_input(CV_STR("dGhlIHNhbXBsZSBub25jZQ=="), input);
	assert_str(((struct cv_str){ input, sizeof(input) }),
		"dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
}

#define DEFLATE "Sec-WebSocket-Extensions: permessage-deflate"

static void test_answers(void **state)
{
	static const struct cv_str offered[] = { { "chat", 4 }, { "v2.chat", 7 } };
	static const struct {
		bool has_deflate;
		const char *fields, *slug; /* slug "deflate": ok, and compressed */
	} rows[] = {
		{ false, "Sec-WebSocket-Accept: " ACCEPT "\r\n", "ok" },
		{ true, "Sec-WebSocket-Accept: " ACCEPT "\r\n", "ok" },
		{ false, "", "ws_accept" },
		{ false, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\r\n", "ws_accept" },
		{ false, "Sec-WebSocket-Accept: " ACCEPT "x\r\n", "ws_accept" },
		{ false, "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "ws_accept" },
		{ false, "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Accept: x\r\n",
			"ws_accept" },
		{ false, "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Protocol: v2.chat\r\n",
			"ok" },
		{ false, "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Protocol: Chat\r\n",
			"ws_protocol_taken" },
		{ false,
			"Sec-WebSocket-Accept: " ACCEPT
			"\r\nSec-WebSocket-Protocol: chat, v2.chat\r\n",
			"ws_protocol_taken" },
		{ false, "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Protocol: \r\n",
			"ws_protocol_taken" },
		{ false,
			"Sec-WebSocket-Accept: " ACCEPT "\r\n" DEFLATE
			"; server_no_context_takeover\r\n",
			"ws_extension" },
		{ true,
			"Sec-WebSocket-Accept: " ACCEPT "\r\n" DEFLATE
			"; server_no_context_takeover\r\n",
			"deflate" },
		{ true,
			"Sec-WebSocket-Accept: " ACCEPT "\r\n" DEFLATE
			"; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=\"10\"\r\n",
			"deflate" },
		{ true, "Sec-WebSocket-Accept: " ACCEPT "\r\n" DEFLATE "\r\n", "ws_extension" },
		{ true,
			"Sec-WebSocket-Accept: " ACCEPT "\r\n" DEFLATE
			"; server_no_context_takeover=1\r\n",
			"ws_extension" },
		{ true,
			"Sec-WebSocket-Accept: " ACCEPT "\r\n" DEFLATE
			"; server_no_context_takeover;\r\n",
			"ws_extension" },
		{ true,
			"Sec-WebSocket-Accept: " ACCEPT "\r\n" DEFLATE
			"; server_no_context_takeover; server_max_window_bits\r\n",
			"ws_extension" },
		{ true,
			"Sec-WebSocket-Accept: " ACCEPT "\r\n" DEFLATE
			"; server_no_context_takeover; server_max_window_bits=7\r\n",
			"ws_extension" },
		{ true,
			"Sec-WebSocket-Accept: " ACCEPT "\r\n" DEFLATE
			"; server_no_context_takeover; server_max_window_bits=08\r\n",
			"ws_extension" },
		{ true,
			"Sec-WebSocket-Accept: " ACCEPT "\r\n" DEFLATE
			"; server_no_context_takeover; client_max_window_bits=15\r\n",
			"ws_extension" },
		{ true,
			"Sec-WebSocket-Accept: " ACCEPT "\r\n" DEFLATE
			"; server_no_context_takeover, foo\r\n",
			"ws_extension" },
		{ true, "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Extensions: foo\r\n",
			"ws_extension" },
		{ true, "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Extensions: \r\n",
			"ws_extension" },
	};
	static struct cv_h1_response r;
	char text[2048];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		const struct cv_ws_asked asked = { CV_STR(ACCEPT), offered, 2,
			rows[i].has_deflate };
		bool is_deflated = false;
		size_t scanned = 0;

		snprintf(text, sizeof(text), "HTTP/1.1 101 x\r\n" UP "%s\r\n", rows[i].fields);
		assert_int_equal(cv_h1_response_parse(cv_str_of(text), sizeof(text), &scanned,
					 CV_H1_ASKED_OTHER, &r),
			CV_H1_OK);
		const enum cv_ws_hand rc = cv_ws_response_check(&r, &asked, &is_deflated);
		const char *slug = is_deflated ? "deflate" : cv_ws_hand_slug(rc);
		if (strcmp(slug, rows[i].slug) != 0)
			fail_msg("row %zu: %s: got %s, want %s", i, rows[i].fields, slug,
				rows[i].slug);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_offers),
		cmocka_unit_test(test_accept_input),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
