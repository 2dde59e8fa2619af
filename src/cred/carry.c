/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carry.c - see carry.h; bodies are laid out as ipc/courier_link.h says
 */
#include "cred/carry.h"

static uint32_t names_count(struct cv_str more)
{
	uint32_t n = 0;

	while (cv_carry_env[n])
		n++;
	while (more.p)
		n += cv_str_trim(cv_str_cut(&more, ',')).n > 0;
	return n;
}

static void command_put(const struct cv_cred_refresh *refresh, struct cv_buf *b)
{
	struct cv_str more = CV_STR_NONE;

	for (size_t i = 0; i < refresh->material_count; i++)
		if (cv_str_eq(refresh->materials[i].name, CV_STR("env")))
			more = refresh->materials[i].value;
	cv_ipc_put_u32(b, (uint32_t)refresh->argc);
	for (size_t i = 0; i < refresh->argc; i++)
		cv_ipc_put_str(b, refresh->argv[i]);
	cv_ipc_put_u32(b, names_count(more));
	for (size_t i = 0; cv_carry_env[i]; i++)
		cv_ipc_put_str(b, cv_str_of(cv_carry_env[i]));
	while (more.p) {
		const struct cv_str name = cv_str_trim(cv_str_cut(&more, ','));

		if (name.n)
			cv_ipc_put_str(b, name);
	}
}

static void fetch_put(const struct cv_refresh_request *request, struct cv_buf *b)
{
	cv_ipc_put_str(b, request->method);
	cv_ipc_put_str(b, request->url);
	cv_ipc_put_u32(b, (uint32_t)request->header_count);
	for (size_t i = 0; i < request->header_count; i++) {
		cv_ipc_put_str(b, request->headers[i].name);
		cv_ipc_put_str(b, request->headers[i].value);
	}
	cv_ipc_put_str(b, request->body);
}

cv_code cv_carry_put(const struct cv_cred_refresh *refresh,
	const struct cv_refresh_request *request, uint32_t tag, struct cv_buf *ret,
	enum cv_courier_req *ret_type, struct cv_err *err)
{
	cv_ipc_put_u32(ret, tag);
	if (request->is_command)
		command_put(refresh, ret);
	else
		fetch_put(request, ret);
	if (ret->is_overflown || cv_buf_len(ret) > CV_IPC_BODY_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "refresh: request is too large for a message");
	*ret_type = request->is_command ? CV_COURIER_REQ_COMMAND : CV_COURIER_REQ_FETCH;
	return CV_OK;
}

cv_code cv_carry_get(enum cv_courier_reply type, struct cv_str message, struct cv_carry_reply *ret,
	struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = message };
	struct cv_carry_reply reply = { .tag = cv_ipc_get_u32(&r) };
	const uint32_t word = cv_ipc_get_u32(&r);

	if (type == CV_COURIER_REPLY_FAILED) {
		reply.is_failed = true;
		reply.failure = (enum cv_courier_failure)word;
		cv_ipc_get_str(&r); /* the sentence is in our table as well */
		if (word >= CV_COURIER_FAILURE_COUNT)
			r.is_bad = true;
	} else {
		const uint32_t count = cv_ipc_get_u32(&r);

		reply.status = (int)CV_MIN(word, 999u);
		for (uint32_t i = 0; i < count && !r.is_bad; i++) {
			const struct cv_str name = cv_ipc_get_str(&r), value = cv_ipc_get_str(&r);

			if (i == CV_CARRY_HEADERS_MAX)
				r.is_bad = true;
			else
				reply.headers[reply.header_count++] =
					(struct cv_cred_header){ name, value };
		}
	}
	if (!cv_ipc_reader_is_done(&r))
		return cv_fail(err, CV_PROTO, "courier: bad reply");
	*ret = reply;
	return CV_OK;
}

void cv_carry_result(const struct cv_cred_refresh *refresh, const struct cv_carry_reply *reply,
	struct cv_str body, int64_t now_s, struct cv_arena *arena, struct cv_refresh_result *ret)
{
	const struct cv_refresh_answer answer = { reply->status, reply->headers,
		reply->header_count, body };

	if (!reply->is_failed) {
		cv_refresh_response(refresh, &answer, now_s, arena, ret);
		return;
	}
	*ret = (struct cv_refresh_result){ .verdict = CV_REFRESH_LATER,
		.reason =
			refresh->argc ? CV_REFRESH_REASON_COMMAND : CV_REFRESH_REASON_UNAVAILABLE };
}
