/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaf.c - a certificate for one name and the proxy's key
 */
#include "keeper/keeper.h"

#include "sys/clock.h"

#define LEAF_DER_BYTES_MAX 2048 /* a P-256 leaf is about 400 bytes, plus a name of 253 */

cv_code keeper_leaf_answer(struct keeper *k, struct cv_str body, struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t tag = cv_ipc_get_u32(&r);
	const struct cv_str host = cv_ipc_get_str(&r);
	const struct cv_str spki = cv_ipc_get_str(&r);
	uint32_t reply = CV_KEEPER_REPLY_LEAF_CERT;
	int64_t not_after_s = 0;
	struct cv_buf der, out;

	if (!cv_ipc_reader_is_done(&r))
		return cv_fail(err, CV_PROTO, "LEAF: bad body");
	cv_buf_init(&der, LEAF_DER_BYTES_MAX);
	cv_buf_init(&out, LEAF_DER_BYTES_MAX + CV_ERR_MSG_BYTES_MAX);
	cv_ipc_put_u32(&out, tag);
	if (cv_ca_leaf_sign(k->ca, host, spki, cv_clock_unix_s(), &der, &not_after_s, err) ==
		CV_OK) {
		cv_ipc_put_str(&out, cv_buf_str(&der));
		cv_ipc_put_u64(&out, (uint64_t)not_after_s);
	} else {
		reply = CV_KEEPER_REPLY_LEAF_REFUSED;
		cv_ipc_put_str(&out, cv_str_of(err->msg));
	}
	const cv_code code = cv_ipc_send(k->proxy, reply, cv_buf_str(&out), NULL, 0, err);
	cv_buf_fini(&der);
	cv_buf_fini(&out);
	return code;
}
