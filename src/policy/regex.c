/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex.c - see regex.h
 *
 * PCRE2 counts the steps of one beginning only, and not what a repetition runs over.  So each item
 * of an expression is compiled with a callout, which is told where in the text it stands: the
 * distance from the last one is what was passed meanwhile.
 */
#include "policy/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

struct cv_regex {
	pcre2_code *code;
	pcre2_match_data *data; /* scratch: a snapshot belongs to one thread */
	pcre2_match_context *ctx;
};

struct meter {
	uint64_t *budget;
	size_t at;
};

static int step_count(pcre2_callout_block *block, void *ctx)
{
	struct meter *m = ctx;
	const size_t at = block->current_position;
	const uint64_t cost = 1 + (at > m->at ? at - m->at : m->at - at);

	m->at = at;
	if (*m->budget < cost) {
		*m->budget = 0;
		return PCRE2_ERROR_CALLOUT;
	}
	*m->budget -= cost;
	return 0;
}

void cv_regex_free(struct cv_regex *r)
{
	if (!r)
		return;
	pcre2_match_context_free(r->ctx);
	pcre2_match_data_free(r->data);
	pcre2_code_free(r->code);
	free(r);
}

/* (?C...) would take the place of our own callouts. */
static bool has_callout(struct cv_str text)
{
	for (size_t i = 0; i + 2 < text.n; i++)
		if (memcmp(text.p + i, "(?C", 3) == 0)
			return true;
	return false;
}

static bool matches_empty(const struct cv_regex *r)
{
	return pcre2_match(r->code, (PCRE2_SPTR) "", 0, 0, 0, r->data, r->ctx) >= 0;
}

static pcre2_code *code_compile(struct cv_str text, uint32_t options, struct cv_err *err)
{
	pcre2_compile_context *ctx = pcre2_compile_context_create(NULL);
	PCRE2_UCHAR said[128];
	pcre2_code *code;
	PCRE2_SIZE at;
	int fault;

	if (!ctx)
		return NULL;
	pcre2_set_parens_nest_limit(ctx, 32); /* compilation recurses */
	options |= PCRE2_AUTO_CALLOUT | PCRE2_NEVER_BACKSLASH_C;
	code = pcre2_compile((PCRE2_SPTR)(text.n ? text.p : ""), text.n, options, &fault, &at, ctx);
	pcre2_compile_context_free(ctx);
	if (!code) {
		pcre2_get_error_message(fault, said, sizeof(said));
		(void)!cv_fail(err, CV_INVALID, "%s at character %zu", (char *)said, at + 1);
	}
	return code;
}

static cv_code regex_new(
	struct cv_str text, uint32_t options, struct cv_regex **ret, struct cv_err *err)
{
	struct cv_regex *r = calloc(1, sizeof(*r));

	if (!r)
		return cv_fail(err, CV_LIMIT, "no memory");
	r->code = code_compile(text, options, err);
	if (!r->code) {
		cv_regex_free(r);
		return CV_INVALID;
	}
	r->data = pcre2_match_data_create(1, NULL);
	r->ctx = pcre2_match_context_create(NULL);
	if (!r->data || !r->ctx) {
		cv_regex_free(r);
		return cv_fail(err, CV_LIMIT, "no memory");
	}
	pcre2_set_match_limit(r->ctx, CV_REGEX_STEPS_MAX);
	pcre2_set_depth_limit(r->ctx, CV_REGEX_DEPTH_MAX);
	pcre2_set_heap_limit(r->ctx, CV_REGEX_HEAP_KIB_MAX);
	*ret = r;
	return CV_OK;
}

cv_code cv_regex_compile(struct cv_str text, struct cv_regex **ret, struct cv_err *err)
{
	struct cv_regex *r = NULL;

	if (!text.n)
		return cv_fail(err, CV_INVALID, "is empty");
	if (text.n > CV_REGEX_TEXT_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "is longer than %d bytes", CV_REGEX_TEXT_BYTES_MAX);
	if (has_callout(text))
		return cv_fail(err, CV_INVALID, "callouts (?C) are not accepted");
	const cv_code code = regex_new(text, PCRE2_NEVER_UTF | PCRE2_NEVER_UCP, &r, err);
	if (code != CV_OK)
		return code;
	if (matches_empty(r)) {
		cv_regex_free(r);
		return cv_fail(err, CV_INVALID, "matches the empty text");
	}
	*ret = r;
	return CV_OK;
}

cv_code cv_regex_compile_utf8(struct cv_str text, struct cv_regex **ret, struct cv_err *err)
{
	const uint32_t options = PCRE2_UTF | PCRE2_NEVER_UCP | PCRE2_DOLLAR_ENDONLY |
				 PCRE2_ALLOW_EMPTY_CLASS | PCRE2_MATCH_UNSET_BACKREF;
	const cv_code code = regex_new(text, options, ret, err);

	if (code == CV_OK) { /* lists of words are repeated over texts longer than a secret is */
		pcre2_set_depth_limit((*ret)->ctx, CV_REGEX_UTF8_DEPTH_MAX);
		pcre2_set_heap_limit((*ret)->ctx, CV_REGEX_UTF8_HEAP_KIB_MAX);
	}
	return code;
}

/* One window, which begins at `at` and sees a little of what is before it. */
static enum cv_regex_rc window_find(const struct cv_regex *r, struct cv_str text, size_t at,
	size_t *ret_start, size_t *ret_end, uint64_t *budget)
{
	const size_t before = CV_MIN(at, (size_t)CV_REGEX_BEHIND_BYTES);
	const struct cv_str seen = cv_str_slice(text, at - before, at + CV_REGEX_WINDOW_BYTES);
	const uint32_t options = PCRE2_NOTEMPTY | (at > before ? PCRE2_NOTBOL : 0) |
				 (seen.p + seen.n < text.p + text.n ? PCRE2_NOTEOL : 0);
	struct meter meter = { budget, before };

	pcre2_set_callout(r->ctx, step_count, &meter);
	const int rc =
		pcre2_match(r->code, (PCRE2_SPTR)seen.p, seen.n, before, options, r->data, r->ctx);
	pcre2_set_callout(r->ctx, NULL, NULL);
	if (rc == PCRE2_ERROR_NOMATCH)
		return CV_REGEX_NONE;
	if (rc < 0)
		return CV_REGEX_COSTLY;
	const PCRE2_SIZE *span = pcre2_get_ovector_pointer(r->data);
	/* \K may put the beginning behind the end, or before what was searched */
	*ret_start = at - before + CV_MIN(span[0], span[1]);
	*ret_end = at - before + CV_MAX(span[0], span[1]);
	*ret_start = CV_MAX(*ret_start, at);
	*ret_end = CV_MAX(*ret_end, *ret_start + 1);
	return CV_REGEX_HIT;
}

enum cv_regex_rc cv_regex_find(const struct cv_regex *r, struct cv_str text, size_t *from,
	size_t *ret_end, uint64_t *budget)
{
	const size_t step = CV_REGEX_WINDOW_BYTES - CV_REGEX_MATCH_BYTES;
	size_t at = *from, start;

	while (at < text.n) {
		const bool is_last = text.n - at <= CV_REGEX_WINDOW_BYTES;
		const enum cv_regex_rc rc = window_find(r, text, at, &start, ret_end, budget);

		if (rc == CV_REGEX_COSTLY)
			return rc;
		/* what begins so late may be cut: the next window sees it whole */
		if (rc == CV_REGEX_HIT && (is_last || start < at + step)) {
			*from = start;
			return rc;
		}
		if (is_last)
			break;
		at = rc == CV_REGEX_HIT ? start : at + step;
	}
	return CV_REGEX_NONE;
}

enum cv_regex_rc cv_regex_test(const struct cv_regex *r, struct cv_str text, uint64_t *budget)
{
	struct meter meter = { budget, 0 };

	if (*budget <= text.n) { /* that it is UTF-8 is looked at first */
		*budget = 0;
		return CV_REGEX_COSTLY;
	}
	*budget -= text.n;
	pcre2_set_callout(r->ctx, step_count, &meter);
	const int rc = pcre2_match(
		r->code, (PCRE2_SPTR)(text.n ? text.p : ""), text.n, 0, 0, r->data, r->ctx);
	pcre2_set_callout(r->ctx, NULL, NULL);
	if (rc >= 0)
		return CV_REGEX_HIT;
	return rc == PCRE2_ERROR_NOMATCH ? CV_REGEX_NONE : CV_REGEX_COSTLY;
}
