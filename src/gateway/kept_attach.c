/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept_attach.c - AttachExec: a follower who also writes (kept_input.c)
 *
 * First `start`, then stdin, sizes, and the end of stdin, which is never to be concluded from the end
 * of the call.  Output is that of FollowExec.
 */
#include "gateway/kept_int.h"

#include "gateway/access.h"

static const char *writer_name(const struct kept_follower *f)
{
	const char *subject = cv_rpc_call_principal(f->call)->subject;

	return subject && *subject ? subject : "somebody";
}

/* The one who writes now, if there is one, gives way to c. */
static enum cv_rpc_status former_end(const struct cv_gw_kept *k, const struct cv_rpc_call *c,
	bool takes_over, struct cv_err *err)
{
	struct kept_follower *f = k->writer;
	const char *subject = cv_rpc_call_principal(c)->subject;

	if (!f || f->is_finished)
		return CV_RPC_OK;
	if (!takes_over)
		return cv_fail(err, CV_DENIED,
			       "%.200s is attached to it and writes; take over, or follow it",
			       writer_name(f)),
		       CV_RPC_FAILED_PRECONDITION;
	f->is_finished = true;
	cv_rpc_finish(f->call, CV_RPC_ABORTED, "%.200s took over",
		subject && *subject ? subject : "somebody");
	return CV_RPC_OK;
}

static enum cv_rpc_status input_check(const struct cv_gw_kept *k, struct cv_err *err)
{
	struct cv_kept_end end;

	if (kept_end_of(k, &end))
		return CV_RPC_OK; /* its end is told */
	if (!kept_takes_input(k))
		return cv_fail(err, CV_DENIED,
			       "it takes no input: it was started without a terminal, and its "
			       "stdin was not kept open"),
		       CV_RPC_FAILED_PRECONDITION;
	if (k->is_input_over || k->has_eof)
		return cv_fail(err, CV_DENIED, "its stdin has ended; follow it"),
		       CV_RPC_FAILED_PRECONDITION;
	return CV_RPC_OK;
}

static enum cv_rpc_status attach(
	struct cv_rpc_call *c, const Cove__V1__AttachExecStart *q, struct cv_err *err)
{
	struct kept_follower *f;
	struct cv_gw_kept *k;
	enum cv_rpc_status s = kept_open(c, q->sandbox_id, q->exec_id, true, &k, err);

	if (s == CV_RPC_OK && (q->rows > UINT16_MAX || q->cols > UINT16_MAX))
		s = cv_gw_invalid(err, "cols and rows must be at most 65535");
	if (s == CV_RPC_OK)
		s = input_check(k, err);
	if (s == CV_RPC_OK)
		s = kept_follower_check(k, q->from_offset, err);
	if (s == CV_RPC_OK)
		s = former_end(k, c, q->take_over, err);
	if (s == CV_RPC_OK)
		s = kept_follower_new(c, k, q->from_offset, q->hold, &f, err);
	if (s != CV_RPC_OK)
		return s;
	kept_writer_set(k, f);
	kept_resize(k, q->rows, q->cols, true);
	kept_input_flush(k);
	kept_pump(f);
	return CV_RPC_OK;
}

static enum cv_rpc_status refuse(struct cv_err *err, const char *what)
{
	cv_fail(err, CV_INVALID, "%s", what);
	return CV_RPC_INVALID_ARGUMENT;
}

void kept_attach_message(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const Cove__V1__AttachExecInput *in = (const Cove__V1__AttachExecInput *)m;
	struct kept_follower *f = cv_rpc_call_state(c);
	struct cv_gw_kept *k = f ? f->of : NULL;
	enum cv_rpc_status s = CV_RPC_OK;
	struct cv_err err;

	if (f && (f->is_finished || !k))
		return;
	if (!f && in->payload_case != COVE__V1__ATTACH_EXEC_INPUT__PAYLOAD_START)
		s = refuse(&err, "first message must be start");
	else if (!f)
		s = attach(c, in->start, &err);
	else if (in->payload_case == COVE__V1__ATTACH_EXEC_INPUT__PAYLOAD_START)
		s = refuse(&err, "start was sent twice");
	else if (in->payload_case == COVE__V1__ATTACH_EXEC_INPUT__PAYLOAD_STDIN)
		kept_input_put(k, (struct cv_str){ (const char *)in->stdin.data, in->stdin.len });
	else if (in->payload_case == COVE__V1__ATTACH_EXEC_INPUT__PAYLOAD_RESIZE)
		kept_resize(k, in->resize->rows, in->resize->cols, false);
	else if (in->payload_case == COVE__V1__ATTACH_EXEC_INPUT__PAYLOAD_STDIN_END)
		kept_input_end(k);
	if (s == CV_RPC_OK)
		return;
	if (f)
		f->is_finished = true;
	cv_gw_fail(c, s, &err);
}

void kept_attach_half_closed(struct cv_rpc_call *c)
{
	if (!cv_rpc_call_state(c))
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT, "first message must be start");
}
