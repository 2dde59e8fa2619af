/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_websocket_up.c - binary messages beside credentials
 *
 * What the other parts do is recorded here instead: whether a frame was sent, which code closed.
 */
#include "unit/test.h"

#include "proxy/websocket_up.c"

static struct cv_policy_endpoint endpoint;
static unsigned frames, closed_with;
static char room[CV_PROXY_WS_PIECE_BYTES];
char *const cv_websocket_payload = room;

const struct cv_policy_endpoint *cv_policy_endpoint_of(
	const struct cv_policy *policy, const struct cv_verdict *verdict)
{
	(void)policy;
	(void)verdict;
	return &endpoint;
}

size_t cv_websocket_room(const struct cv_leg *to)
{
	(void)to;
	return sizeof(room);
}

bool cv_websocket_frame_put(
	struct cv_leg *to, bool is_masked, enum cv_ws_opcode opcode, bool is_final, size_t n)
{
	(void)to;
	(void)opcode;
	(void)is_final;
	(void)n;
	assert_true(is_masked);
	frames++;
	return true;
}

bool cv_websocket_control_put(
	struct cv_leg *to, bool is_masked, enum cv_ws_opcode opcode, struct cv_str data)
{
	return cv_websocket_frame_put(to, is_masked, opcode, true, data.n);
}

enum cv_ws_event cv_websocket_event_next(
	struct cv_ws *w, struct cv_leg *from, size_t n, struct cv_ws_piece *piece, bool *has_moved)
{
	(void)w;
	(void)from;
	(void)n;
	(void)piece;
	(void)has_moved;
	return CV_WS_MORE;
}

void cv_websocket_client_refuse(
	struct cv_proxy *p, struct cv_flow *f, uint16_t code, const char *slug, const char *why)
{
	(void)p;
	(void)f;
	assert_true(slug[0] && why[0]);
	closed_with = code;
}

void cv_websocket_client_fail(struct cv_proxy *p, struct cv_flow *f, enum cv_ws_rc rc)
{
	cv_websocket_client_refuse(p, f, 1002, "x", rc == CV_WS_RC_UTF8 ? "utf8" : "other");
}

bool cv_websocket_message_is_allowed(struct cv_proxy *p, struct cv_flow *f)
{
	(void)p;
	(void)f;
	return true;
}

bool cv_websocket_place_take(struct cv_proxy *p, struct cv_websocket *ws)
{
	(void)p;
	(void)ws;
	return true;
}

void cv_websocket_place_give(struct cv_proxy *p, struct cv_websocket *ws)
{
	(void)p;
	(void)ws;
}

void cv_websocket_text_drop(struct cv_buf *text)
{
	cv_buf_reset(text);
}

void cv_flow_end(struct cv_proxy *p, struct cv_flow *f, bool reset)
{
	(void)p;
	(void)f;
	(void)reset;
	fail_msg("the flow ended");
}

static void test_binary(void **state)
{
	static const struct {
		bool rewrites, is_bound, may_pass;
		unsigned code;
	} rows[] = {
		{ false, false, false, 0 },
		{ true, false, false, 1008 },
		{ false, true, false, 1008 },
		{ true, true, true, 0 },
	};
	const struct cv_ws_piece piece = { CV_WS_BINARY, true, true, false, CV_STR("x") };
	static struct cv_proxy p;
	static struct cv_flow f;
	static struct cv_websocket ws;

	(void)state;
	f.ws = &ws;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		frames = closed_with = 0;
		endpoint = (struct cv_policy_endpoint){
			.websocket_credential_rewrite = rows[i].rewrites,
			.has_credential_binding = rows[i].is_bound,
			.allow_uninspected_credentials = rows[i].may_pass,
		};
		assert_int_equal(up_take(&p, &f, &piece), rows[i].code == 0);
		assert_int_equal(closed_with, rows[i].code);
		assert_int_equal(frames, rows[i].code == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_binary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
