/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approve_gateway.c - questions of a sandbox that belongs to a gateway
 *
 * The table is the same as in other runs, with its limits and deadlines: what is held stays held
 * while there is no gateway, and is denied when its time is over.  A gateway that comes is told of
 * each question again; it only passes on what people say.
 */
#include "supervisor/supervisor.h"

/* A message that is as large as a question may be has its own buffer: no stack, no small heap. */
static void ask_tell(struct supervisor *s, const struct question *q)
{
	struct cv_ask ask = q->ask;
	struct cv_buf b;

	ask.seconds = approve_seconds(q);
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	if (cv_ask_put(&b, &ask))
		service_tell(s, CV_GATEWAY_REPLY_ASK, cv_buf_str(&b), NULL, 0);
	cv_buf_fini(&b);
}

bool approve_gateway_ask(struct supervisor *s, struct question *q)
{
	if (!s->service.is_on)
		return false;
	q->ask.sandbox = s->plan.gateway.sandbox;
	ask_tell(s, q);
	return true;
}

void approve_gateway_ended(struct supervisor *s, uint64_t id)
{
	struct cv_buf b;

	if (!s->service.is_on)
		return;
	cv_buf_init(&b, 8);
	cv_ipc_put_u64(&b, id);
	service_tell(s, CV_GATEWAY_REPLY_ASK_END, cv_buf_str(&b), NULL, 0);
	cv_buf_fini(&b);
}

void approve_retell(struct supervisor *s)
{
	const struct question *q = NULL;

	while ((q = approve_next(s, q ? q->id : 0)))
		ask_tell(s, q);
}

/* What is neither yes nor no is no. */
void approve_gateway_answer(struct supervisor *s, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint64_t id = cv_ipc_get_u64(&r);
	const uint32_t answer = cv_ipc_get_u32(&r), is_for_all = cv_ipc_get_u32(&r);
	const struct cv_str who =
		cv_str_slice(cv_ipc_get_str(&r), 0, 900); /* ANSWER has room for 1024 */
	struct cv_buf b;

	if (!cv_ipc_reader_is_done(&r)) {
		say("gateway: an answer makes no sense");
		return;
	}
	const enum cv_approve_result result = approve_answer(s, id,
		answer == CV_APPROVAL_ALLOW ? CV_APPROVAL_ALLOW : CV_APPROVAL_DENY, is_for_all != 0,
		who);
	cv_buf_init(&b, 16);
	cv_ipc_put_u64(&b, id);
	cv_ipc_put_u32(&b, result);
	service_tell(s, CV_GATEWAY_REPLY_ANSWERED, cv_buf_str(&b), NULL, 0);
	cv_buf_fini(&b);
}
