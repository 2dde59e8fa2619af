/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_unary.c - one question, one answer, in a loop of its own; see client.h
 */
#include "rpc/client_int.h"
#include "rpc/limits.h"
#include "sys/clock.h"

#include <poll.h>

struct unary {
	ProtobufCMessage *answer;
	enum cv_rpc_status status;
	bool is_ended, has_two;
	struct cv_err *err;
};

static void answer_came(void *arg, ProtobufCMessage *m)
{
	struct unary *u = arg;

	if (u->answer) {
		u->has_two = true;
		protobuf_c_message_free_unpacked(m, NULL);
		return;
	}
	u->answer = m;
}

static enum cv_rpc_status say(struct cv_err *err, enum cv_rpc_status s, const char *text)
{
	static const cv_code code_of[CV_RPC_STATUS_COUNT] = {
		[CV_RPC_INVALID_ARGUMENT] = CV_INVALID,
		[CV_RPC_OUT_OF_RANGE] = CV_INVALID,
		[CV_RPC_NOT_FOUND] = CV_NOT_FOUND,
		[CV_RPC_PERMISSION_DENIED] = CV_DENIED,
		[CV_RPC_UNAUTHENTICATED] = CV_DENIED,
		[CV_RPC_RESOURCE_EXHAUSTED] = CV_LIMIT,
	};

	(void)cv_fail(err, code_of[s] ? code_of[s] : CV_UNAVAILABLE, "%s",
		text && text[0] ? text : cv_rpc_status_name(s));
	return s;
}

static void ended(void *arg, enum cv_rpc_status s, const char *text)
{
	struct unary *u = arg;

	u->is_ended = true;
	u->status = s;
	if (s != CV_RPC_OK)
		(void)say(u->err, s, text);
}

/* False: the time is over. */
static bool run(struct cv_rpc_client *c, struct unary *u, int64_t until_ms)
{
	struct cv_err ignored; /* ended() said it */

	const int64_t heard_by_ms = cv_clock_ms() + CV_RPC_HANDSHAKE_MS;

	while (!u->is_ended) {
		struct pollfd p = { .fd = cv_rpc_client_fd(c),
			.events = cv_rpc_client_interest(c) };
		const int64_t by_ms = c->has_settings ? until_ms : CV_MIN(until_ms, heard_by_ms);
		const int64_t left = by_ms - cv_clock_ms();

		if (left <= 0)
			return false;
		if (poll(&p, 1, (int)CV_MIN(left, (int64_t)60000)) > 0)
			(void)!cv_rpc_client_turn(c, &ignored);
	}
	return true;
}

enum cv_rpc_status cv_rpc_client_unary(struct cv_rpc_client *c, const char *method,
	const ProtobufCMessage *in, const ProtobufCMessageDescriptor *out, ProtobufCMessage **ret,
	int timeout_ms, struct cv_err *err)
{
	const struct cv_rpc_stream_events events = { .message = answer_came, .ended = ended };
	const int64_t from_ms = cv_clock_ms();
	const int64_t until_ms = timeout_ms > 0 ? from_ms + timeout_ms : INT64_MAX / 2;
	struct unary u = { .err = err };
	struct cv_rpc_stream *s;

	*ret = NULL;
	const cv_code code = cv_rpc_stream_open_until(
		c, method, out, &events, &u, CV_MAX(timeout_ms, 0), &s, err);
	if (code != CV_OK)
		return code == CV_DENIED ? CV_RPC_UNAUTHENTICATED : CV_RPC_UNAVAILABLE;
	(void)cv_rpc_stream_send(s, in);
	cv_rpc_stream_half_close(s);
	if (!run(c, &u, until_ms)) {
		const bool is_silent = !c->has_settings && cv_clock_ms() < until_ms;
		struct cv_err ignored;

		cv_rpc_stream_cancel(s);
		(void)!cv_rpc_client_turn(c, &ignored); /* so that the server hears of it */
		u.status = is_silent ? CV_RPC_UNAVAILABLE : CV_RPC_DEADLINE_EXCEEDED;
		(void)cv_fail(err, CV_UNAVAILABLE,
			is_silent ? "%s takes connections and says nothing; waited %lld ms"
				  : "no answer from %s within %lld ms",
			c->d.where, (long long)(cv_clock_ms() - from_ms));
	}
	if (u.status == CV_RPC_OK && (!u.answer || u.has_two))
		u.status = say(err, CV_RPC_INTERNAL,
			u.answer ? "the server answered twice" : "the server's answer is empty");
	if (u.status == CV_RPC_OK) {
		*ret = u.answer;
		return CV_RPC_OK;
	}
	if (u.answer)
		protobuf_c_message_free_unpacked(u.answer, NULL);
	return u.status;
}
