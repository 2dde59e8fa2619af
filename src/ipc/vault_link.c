/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault_link.c - the tables of the vault's link, and references
 *
 * A reference is "sealed:CONTEXT:ENVELOPE", both in base64 without padding: one text per pair, of
 * characters that a value of a set may have.
 */
#include "ipc/vault_link.h"

#include "base/base64.h"

#define REF_PREFIX CV_STR("sealed:")

/* clang-format off */
#define IN(s)                                (1u << CV_VAULT_##s)
#define ROW(name, bytes, fds, states, flags) { #name, bytes, fds, states, flags },
const struct cv_ipc_rule cv_vault_req_rule[CV_VAULT_REQ_COUNT] = { CV_VAULT_REQS(ROW) };
const struct cv_ipc_rule cv_vault_reply_rule[CV_VAULT_REPLY_COUNT] = { CV_VAULT_REPLIES(ROW) };
/* clang-format on */

bool cv_vault_ref_put(struct cv_buf *b, struct cv_str context, struct cv_str envelope)
{
	cv_buf_put(b, REF_PREFIX);
	cv_buf_put_base64(b, context, CV_BASE64_URL);
	cv_buf_put_byte(b, ':');
	return cv_buf_put_base64(b, envelope, CV_BASE64_URL);
}

bool cv_vault_ref_get(struct cv_str text, struct cv_buf *ret_context, struct cv_buf *ret_envelope)
{
	if (!cv_str_has_prefix(text, REF_PREFIX))
		return false;
	struct cv_str rest = cv_str_slice(text, REF_PREFIX.n, text.n);
	const struct cv_str context = cv_str_cut(&rest, ':');

	return context.n && rest.n && cv_base64_decode(context, CV_BASE64_URL, ret_context) &&
	       cv_base64_decode(rest, CV_BASE64_URL, ret_envelope);
}
