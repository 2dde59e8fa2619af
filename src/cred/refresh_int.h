/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh_int.h - between refresh.c and the strategies, a file for each family
 */
#pragma once
#include "cred/refresh.h"

/* What a strategy gets to write its request. */
struct cv_refresh_ask {
	const struct cv_cred_refresh *refresh;
	struct cv_str url; /* the plan's or the strategy's, placeholders filled in */
	int64_t now_s;
	const unsigned char *random;
	struct cv_arena *arena;
};

typedef cv_code cv_refresh_write(
	const struct cv_refresh_ask *ask, struct cv_refresh_request *ret, struct cv_err *err);
typedef void cv_refresh_read(const struct cv_cred_refresh *refresh,
	const struct cv_refresh_answer *answer, int64_t now_s, struct cv_arena *arena,
	struct cv_refresh_result *ret);

cv_refresh_write cv_refresh_oauth_token_write, cv_refresh_oauth_client_write,
	cv_refresh_google_write, cv_refresh_aws_write, cv_refresh_github_write,
	cv_refresh_command_write, cv_refresh_probe_bearer_write, cv_refresh_probe_key_write,
	cv_refresh_probe_open_write;
cv_refresh_read cv_refresh_oauth_read, cv_refresh_aws_read, cv_refresh_github_read,
	cv_refresh_command_read, cv_refresh_probe_read;

/* CV_STR_NONE if there is none of that name. */
struct cv_str cv_refresh_material(const struct cv_cred_refresh *refresh, const char *name);

/* ---- requests ---- */

/* name=value of a form, percent-encoded; left out if value is empty. */
void cv_refresh_form_put(struct cv_buf *b, const char *name, struct cv_str value);
void cv_refresh_header_add(struct cv_refresh_request *r, struct cv_str name, struct cv_str value);
/* A POST of the form in b, which is freed, with Accept: application/json.  CV_LIMIT. */
CV_MUST cv_code cv_refresh_form_post(const struct cv_refresh_ask *ask, struct cv_buf *b,
	struct cv_refresh_request *ret, struct cv_err *err);
/* As CV_LIMIT if b is overflown; else its text, copied.  b is wiped and freed. */
CV_MUST cv_code cv_refresh_buf_take(
	struct cv_buf *b, struct cv_arena *arena, struct cv_str *ret, struct cv_err *err);

/* ---- answers ---- */

void cv_refresh_fail(struct cv_refresh_result *r, enum cv_refresh_reason reason);
/* By status alone, and Retry-After: for answers without a word that the strategy knows. */
void cv_refresh_fail_status(struct cv_refresh_result *r, const struct cv_refresh_answer *answer);
/* False (and the result is a failure) when the value can't be a token: empty, too long, or with a
 * byte that a header may not have.  Values are copied into the arena. */
bool cv_refresh_output_add(
	struct cv_refresh_result *r, const char *name, struct cv_str value, struct cv_arena *arena);
/* The last step: RENEWED unless that is over already. */
void cv_refresh_renewed(struct cv_refresh_result *r, const struct cv_cred_refresh *refresh,
	int64_t now_s, int64_t expires_s);

/* Words of issuers' errors and what they mean. */
struct cv_refresh_word {
	const char *word;
	enum cv_refresh_reason reason;
};
/* CV_REFRESH_REASON_COUNT when the word is not listed. */
enum cv_refresh_reason cv_refresh_word_find(
	const struct cv_refresh_word *words, size_t count, struct cv_str word);
