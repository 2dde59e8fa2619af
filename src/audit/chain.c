/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.c - numbers and links for the JSON lines of one log; see chain.h
 */
#include "audit/chain.h"

#include "base/hex.h"

void cv_audit_chain_init(struct cv_audit_chain *c)
{
	*c = (struct cv_audit_chain){ 0 };
}

static bool put_line(struct cv_audit_chain *c, const struct cv_audit_event *e, struct cv_buf *out)
{
	const struct cv_str hash = { (const char *)c->hash, c->seq ? sizeof(c->hash) : 0 };
	struct cv_audit_event numbered = *e;
	struct cv_buf hex;
	bool ok;

	numbered.seq = c->seq + 1;
	cv_buf_init(&hex, 2 * CV_SHA256_BYTES);
	ok = cv_buf_put_hex(&hex, hash) && cv_audit_json(&numbered, cv_buf_str(&hex), out);
	cv_buf_fini(&hex);
	return ok;
}

bool cv_audit_chain_json(
	struct cv_audit_chain *c, const struct cv_audit_event *e, struct cv_buf *out)
{
	const size_t from = cv_buf_len(out);
	struct cv_sha256 sha;

	if (!put_line(c, e, out))
		return false;
	if (!cv_buf_reserve(out, 1)) /* room for the newline, before the chain moves */
		return false;
	cv_sha256_init(&sha);
	cv_sha256_update(&sha, cv_buf_str(out).p + from, cv_buf_len(out) - from);
	cv_sha256_final(&sha, c->hash);
	c->seq++;
	return cv_buf_put_byte(out, '\n');
}
