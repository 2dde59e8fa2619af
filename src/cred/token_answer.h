/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_answer.h - the tokens in what a token endpoint answers, and the answer without them
 *
 * The answer is JSON (RFC 6749 section 5.1).  A token is a string that is the value of a member
 * named access_token, refresh_token, id_token or token, in any object of it: some issuers answer
 * with several accounts.  Its text is replaced where it stands, all else stays as it came.
 *
 * Whatever two readers could take differently is no answer (wire/json.h), nor is a token that is
 * neither a string nor null: then nothing may be handed on.  Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "ipc/keeper_link.h"

#include <stdint.h>

#define CV_TOKEN_ANSWER_BYTES_MAX (24 << 10) /* three tokens of 4 KiB, escaped, and claims */
#define CV_TOKEN_BYTES_MAX        8192       /* fits a head: CV_REWRITE_VALUE_BYTES_MAX */

struct cv_token {
	enum cv_keeper_token kind;
	struct cv_str value; /* decoded, in the arena */
	uint64_t lives_s; /* expires_in of its own object, if that stood before it; 0: not known */
	size_t at, end;   /* of its string, quotes included */
};

struct cv_token_answer {
	struct cv_token v[CV_KEEPER_TOKENS_MAX];
	size_t n;
};

/* NULL, or why text can't be handed on.  Values are secrets: the caller wipes the arena. */
CV_MUST const char *cv_token_answer_read(
	struct cv_str text, struct cv_arena *arena, struct cv_token_answer *ret);

/* text with words[i] in place of the i-th token; they are of bytes that JSON has as they are.
 * False: out is full. */
CV_MUST bool cv_token_answer_write(struct cv_str text, const struct cv_token_answer *a,
	const struct cv_str *words, struct cv_buf *out);
