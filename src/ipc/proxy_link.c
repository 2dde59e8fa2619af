/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_link.c - the tables of the proxy's link, and the one body that is more than a field
 */
#include "ipc/proxy_link.h"

#define IN(s)                                (1u << CV_PROXY_##s)
#define ROW(name, bytes, fds, states, flags) { #name, bytes, fds, states, flags },
const struct cv_ipc_rule cv_proxy_req_rule[CV_PROXY_REQ_COUNT] = { CV_PROXY_REQS(ROW) };
const struct cv_ipc_rule cv_proxy_reply_rule[CV_PROXY_REPLY_COUNT] = { CV_PROXY_REPLIES(ROW) };

bool cv_proxy_identity_put(struct cv_buf *b, const struct cv_proxy_identity *id)
{
	cv_ipc_put_u64(b, id->cookie);
	cv_ipc_put_u32(b, id->pid);
	cv_ipc_put_str(b, id->unknown_reason);
	cv_ipc_put_str(b, id->changed_path);
	cv_ipc_put_str(b, id->exe);
	cv_ipc_put_u32(b, (uint32_t)id->ancestor_count);
	for (size_t i = 0; i < id->ancestor_count; i++)
		cv_ipc_put_str(b, id->ancestors[i]);
	return !b->is_overflown;
}

bool cv_proxy_identity_get(struct cv_str body, struct cv_proxy_identity *ret)
{
	struct cv_ipc_reader r = { .rest = body };
	struct cv_proxy_identity id = { 0 };

	id.cookie = cv_ipc_get_u64(&r);
	id.pid = cv_ipc_get_u32(&r);
	id.unknown_reason = cv_ipc_get_str(&r);
	id.changed_path = cv_ipc_get_str(&r);
	id.exe = cv_ipc_get_str(&r);
	id.ancestor_count = cv_ipc_get_u32(&r);
	if (id.ancestor_count > CV_IDENTITY_ANCESTORS_MAX)
		return false;
	for (size_t i = 0; i < id.ancestor_count; i++)
		id.ancestors[i] = cv_ipc_get_str(&r);
	if (!cv_ipc_reader_is_done(&r))
		return false;
	*ret = id;
	return true;
}
