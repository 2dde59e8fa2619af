/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept_about.c - see kept_about.h
 */
#include "gateway/kept_about.h"

#include "ipc/frame.h"

#include <string.h>

enum { IS_CUT = 1 << 0, IS_TTY = 1 << 1, HAS_STDIN = 1 << 2 };

bool kept_about_put(struct cv_buf *b, const struct kept_about *a)
{
	cv_ipc_put_str(b, a->id);
	cv_ipc_put_str(b, a->subject);
	cv_ipc_put_str(b, a->key);
	cv_ipc_put_str(b, a->workdir);
	cv_ipc_put_u64(b, (uint64_t)a->created_ms);
	cv_ipc_put_str(b, (struct cv_str){ (const char *)a->digest, sizeof(a->digest) });
	cv_ipc_put_u32(b, (a->is_cut ? IS_CUT : 0) | (a->is_tty ? IS_TTY : 0) |
				  (a->has_stdin ? HAS_STDIN : 0));
	for (size_t i = 0; i < a->arg_count; i++)
		cv_ipc_put_str(b, a->args[i]);
	return !b->is_overflown;
}

bool kept_about_get(struct cv_str bytes, struct kept_about *ret)
{
	struct cv_ipc_reader r = { .rest = bytes };

	*ret = (struct kept_about){ .id = cv_ipc_get_str(&r) };
	ret->subject = cv_ipc_get_str(&r);
	ret->key = cv_ipc_get_str(&r);
	ret->workdir = cv_ipc_get_str(&r);
	ret->created_ms = (int64_t)cv_ipc_get_u64(&r);
	const struct cv_str digest = cv_ipc_get_str(&r);
	const uint32_t flags = cv_ipc_get_u32(&r);
	ret->is_cut = flags & IS_CUT;
	ret->is_tty = flags & IS_TTY;
	ret->has_stdin = flags & HAS_STDIN;
	while (!r.is_bad && r.rest.n && ret->arg_count < KEPT_ARGS_MAX)
		ret->args[ret->arg_count++] = cv_ipc_get_str(&r);
	if (!cv_ipc_reader_is_done(&r) || digest.n != sizeof(ret->digest) || !ret->id.n)
		return false;
	memcpy(ret->digest, digest.p, digest.n);
	return true;
}
