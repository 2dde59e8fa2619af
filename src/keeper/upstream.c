/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream.c - what the run's upstream proxy wants to be shown
 *
 * Kept as the value of the header, so that nobody else has to have the password to make it.  It is
 * asked for once for each connection to that proxy: cove-proxy forgets it when the head is written.
 */
#include "keeper/keeper.h"

#include "base/base64.h"
#include "plan/forward.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_BYTES_MAX \
	(2 * CV_FORWARD_SECRET_BYTES_MAX - 64) /* as the link takes it, with its tag */

cv_code keeper_upstream_take(struct keeper *k, int fd, struct cv_err *err)
{
	char *text;
	size_t n;

	if (cv_ipc_fd_read_all(fd, CV_FORWARD_SECRET_BYTES_MAX, &text, &n, err) != CV_OK)
		return cv_wrap(err, "read the upstream proxy's credentials");
	cv_buf_init(&k->upstream, VALUE_BYTES_MAX);
	const bool is_put =
		cv_buf_reserve(&k->upstream, VALUE_BYTES_MAX) &&
		cv_buf_put(&k->upstream, CV_STR("Basic ")) &&
		cv_buf_put_base64(&k->upstream, (struct cv_str){ text, n }, CV_BASE64_STD);
	explicit_bzero(text, n);
	free(text);
	return is_put ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");
}

cv_code keeper_upstream_answer(struct keeper *k, struct cv_str body, struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t tag = cv_ipc_get_u32(&r);
	struct cv_buf b;

	if (!cv_ipc_reader_is_done(&r))
		return cv_fail(err, CV_PROTO, "UPSTREAM: bad body");
	cv_buf_init(&b, VALUE_BYTES_MAX + 16);
	const bool is_put = cv_buf_reserve(&b, VALUE_BYTES_MAX + 16) && cv_ipc_put_u32(&b, tag) &&
			    cv_ipc_put_str(&b, cv_buf_str(&k->upstream));
	const cv_code code = is_put ? cv_ipc_send(k->proxy, CV_KEEPER_REPLY_UPSTREAM_VALUE,
					      cv_buf_str(&b), NULL, 0, err)
				    : cv_fail(err, CV_LIMIT, "no memory");
	cv_buf_wipe(&b);
	return code;
}
