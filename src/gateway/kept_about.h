/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept_about.h - what the ring of a kept command says about it, so that any gateway can tell
 *
 * Written by the gateway that started the command, read by whichever has the ring.  Pure.
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"
#include "base/sha256.h"

#define KEPT_COMMAND_BYTES 1024                     /* of its words that lists show */
#define KEPT_ARGS_MAX      (KEPT_COMMAND_BYTES / 4) /* each has four bytes beside its own */

struct kept_about { /* what the ring says about the command; borrows from it, or from a request */
	struct cv_str id, subject, key, workdir, args[KEPT_ARGS_MAX];
	size_t arg_count;
	bool is_cut;
	bool is_tty, has_stdin; /* has_stdin: it was left open, for whoever attaches */
	int64_t created_ms;
	unsigned char digest[CV_SHA256_BYTES]; /* of the request */
};

/* False: it does not fit. */
CV_MUST bool kept_about_put(struct cv_buf *b, const struct kept_about *a);
/* False: it is none.  ret borrows from bytes. */
CV_MUST bool kept_about_get(struct cv_str bytes, struct kept_about *ret);
