/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approve_link.c - the tables of the approvers' link, and the question
 */
#include "ipc/approve_link.h"

#define IN(s)                                (1u << CV_APPROVE_##s)
#define ROW(name, bytes, fds, states, flags) { #name, bytes, fds, states, flags },
const struct cv_ipc_rule cv_approve_req_rule[CV_APPROVE_REQ_COUNT] = { CV_APPROVE_REQS(ROW) };
const struct cv_ipc_rule cv_approve_reply_rule[CV_APPROVE_REPLY_COUNT] = { CV_APPROVE_REPLIES(
	ROW) };

static void word_put(struct cv_buf *b, struct cv_str s)
{
	cv_ipc_put_str(b, cv_str_slice(s, 0, CV_ASK_WORD_BYTES_MAX));
}

/* How many ancestors there is room for. */
static size_t ancestors_fit(const struct cv_ask *ask)
{
	size_t bytes = 0;

	for (size_t i = 0; i < ask->ancestor_count; i++) {
		bytes += CV_MIN(ask->ancestors[i].n, (size_t)CV_ASK_WORD_BYTES_MAX);
		if (i == CV_IDENTITY_ANCESTORS_MAX || bytes > CV_ASK_ANCESTORS_BYTES_MAX)
			return i;
	}
	return ask->ancestor_count;
}

bool cv_ask_put(struct cv_buf *b, const struct cv_ask *ask)
{
	const size_t n = ancestors_fit(ask);

	cv_ipc_put_u64(b, ask->id);
	cv_ipc_put_u32(b, ask->seconds);
	word_put(b, ask->sandbox);
	word_put(b, ask->who);
	word_put(b, ask->what);
	cv_ipc_put_str(b, cv_str_slice(ask->text, 0, CV_ASK_TEXT_BYTES_MAX));
	cv_ipc_put_u64(b, CV_MAX(ask->text_bytes, (uint64_t)ask->text.n));
	word_put(b, ask->rule);
	cv_ipc_put_u32(b, ask->flags);
	cv_ipc_put_u32(b, ask->pid);
	cv_ipc_put_u32(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		word_put(b, ask->ancestors[i]);
	cv_ipc_put_u32(b, ask->ancestors_more + (uint32_t)(ask->ancestor_count - n));
	return !b->is_overflown;
}

bool cv_ask_get(struct cv_str body, struct cv_ask *ret)
{
	struct cv_ipc_reader r = { .rest = body };

	*ret = (struct cv_ask){ .id = cv_ipc_get_u64(&r) };
	ret->seconds = cv_ipc_get_u32(&r);
	ret->sandbox = cv_ipc_get_str(&r);
	ret->who = cv_ipc_get_str(&r);
	ret->what = cv_ipc_get_str(&r);
	ret->text = cv_ipc_get_str(&r);
	ret->text_bytes = cv_ipc_get_u64(&r);
	ret->rule = cv_ipc_get_str(&r);
	ret->flags = cv_ipc_get_u32(&r);
	ret->pid = cv_ipc_get_u32(&r);
	ret->ancestor_count = cv_ipc_get_u32(&r);
	if (ret->ancestor_count > CV_IDENTITY_ANCESTORS_MAX)
		return false;
	for (size_t i = 0; i < ret->ancestor_count; i++)
		ret->ancestors[i] = cv_ipc_get_str(&r);
	ret->ancestors_more = cv_ipc_get_u32(&r);
	return cv_ipc_reader_is_done(&r) && ret->text_bytes >= ret->text.n;
}
