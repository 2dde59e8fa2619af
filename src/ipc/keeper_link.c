/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_link.c - the tables of the keeper's links
 */
#include "ipc/keeper_link.h"

/* clang-format off */
#define IN(s)                                (1u << CV_KEEPER_##s)
#define ROW(name, bytes, fds, states, flags) { #name, bytes, fds, states, flags },
const struct cv_ipc_rule cv_keeper_control_rule[CV_KEEPER_CONTROL_COUNT] = {
	CV_KEEPER_CONTROLS(ROW)
};
const struct cv_ipc_rule cv_keeper_control_reply_rule[CV_KEEPER_CONTROL_REPLY_COUNT] = {
	CV_KEEPER_CONTROL_REPLIES(ROW)
};
const struct cv_ipc_rule cv_keeper_req_rule[CV_KEEPER_REQ_COUNT] = { CV_KEEPER_REQS(ROW) };
const struct cv_ipc_rule cv_keeper_reply_rule[CV_KEEPER_REPLY_COUNT] = { CV_KEEPER_REPLIES(ROW) };
const struct cv_ipc_rule cv_keeper_tool_req_rule[CV_KEEPER_TOOL_REQ_COUNT] = {
	CV_KEEPER_TOOL_REQS(ROW)
};
const struct cv_ipc_rule cv_keeper_tool_reply_rule[CV_KEEPER_TOOL_REPLY_COUNT] = {
	CV_KEEPER_TOOL_REPLIES(ROW)
};
/* clang-format on */

bool cv_keeper_release_put(struct cv_buf *b, const struct cv_keeper_release *r)
{
	cv_ipc_put_u32(b, r->tag);
	cv_ipc_put_str(b, r->host);
	cv_ipc_put_u32(b, r->host_is_ip);
	cv_ipc_put_u32(b, r->port);
	cv_ipc_put_str(b, r->method);
	cv_ipc_put_u32(b, (uint32_t)r->count);
	for (size_t i = 0; i < r->count; i++)
		cv_ipc_put_u32(b, r->creds[i]);
	cv_ipc_put_str(b, r->path); /* last: whoever keeps answers may leave it out */
	return !b->is_overflown;
}

bool cv_keeper_release_get(struct cv_str body, struct cv_keeper_release *ret)
{
	struct cv_ipc_reader r = { .rest = body };

	*ret = (struct cv_keeper_release){ .tag = cv_ipc_get_u32(&r) };
	ret->host = cv_ipc_get_str(&r);
	ret->host_is_ip = cv_ipc_get_u32(&r) != 0;
	ret->port = (uint16_t)cv_ipc_get_u32(&r);
	ret->method = cv_ipc_get_str(&r);
	ret->count = cv_ipc_get_u32(&r);
	if (ret->count > CV_KEEPER_CREDS_MAX)
		return false;
	for (size_t i = 0; i < ret->count; i++)
		ret->creds[i] = cv_ipc_get_u32(&r);
	ret->path = cv_ipc_get_str(&r);
	return cv_ipc_reader_is_done(&r) && ret->host.n && ret->path.n;
}

bool cv_keeper_mint_put(struct cv_buf *b, const struct cv_keeper_mint *m)
{
	struct cv_buf request;

	cv_buf_init(&request, 32768);
	const bool is_put = cv_keeper_release_put(&request, &m->request) &&
			    cv_ipc_put_str(b, cv_buf_str(&request));
	cv_buf_fini(&request);
	cv_ipc_put_u32(b, (uint32_t)m->count);
	for (size_t i = 0; i < m->count; i++) {
		cv_ipc_put_u32(b, m->token[i].kind);
		cv_ipc_put_u64(b, m->token[i].lives_s);
		cv_ipc_put_str(b, m->token[i].value);
	}
	return is_put && !b->is_overflown;
}

bool cv_keeper_mint_get(struct cv_str body, struct cv_keeper_mint *ret)
{
	struct cv_ipc_reader r = { .rest = body };

	*ret = (struct cv_keeper_mint){ .count = 0 };
	if (!cv_keeper_release_get(cv_ipc_get_str(&r), &ret->request) || ret->request.count)
		return false;
	ret->count = cv_ipc_get_u32(&r);
	if (!ret->count || ret->count > CV_KEEPER_TOKENS_MAX)
		return false;
	for (size_t i = 0; i < ret->count; i++) {
		const uint32_t kind = cv_ipc_get_u32(&r);

		if (kind >= CV_KEEPER_TOKEN_COUNT)
			return false;
		ret->token[i].kind = (enum cv_keeper_token)kind;
		ret->token[i].lives_s = cv_ipc_get_u64(&r);
		ret->token[i].value = cv_ipc_get_str(&r);
		if (!ret->token[i].value.n)
			return false;
	}
	return cv_ipc_reader_is_done(&r);
}

const char *cv_release_slug(enum cv_release r)
{
#define SLUG(name, slug) [CV_RELEASE_##name] = slug,
	static const char *const slugs[] = { CV_RELEASES(SLUG) };
#undef SLUG

	return slugs[r];
}
