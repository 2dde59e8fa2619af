/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite_apply.c - a head with the released values in it; see rewrite.h
 *
 * The plan's uses stand in the order of the text, grouped: path, query, then header by header.  Each
 * group is one splice, which fails if anything of a placeholder is in what it made.  What has no
 * use was seen to be clean when the plan was made.
 */
#include "base/assert.h"
#include "base/base64.h"
#include "cred/rewrite_int.h"

struct apply {
	const struct cv_ph_set *set;
	const struct cv_rewrite_head *head;
	const struct cv_str *values;
	struct cv_arena *arena;
	struct cv_rewrite *out;
};

static bool is_basic(enum cv_rewrite_place place)
{
	return place == CV_REWRITE_IN_BASIC_USER || place == CV_REWRITE_IN_BASIC_PASSWORD;
}

static bool is_one_text(const struct cv_rewrite_use *a, const struct cv_rewrite_use *b)
{
	if (a->place == CV_REWRITE_IN_PATH || a->place == CV_REWRITE_IN_QUERY)
		return a->place == b->place;
	return b->place != CV_REWRITE_IN_PATH && b->place != CV_REWRITE_IN_QUERY &&
	       a->header == b->header;
}

/* Where the credentials of a `Basic ...` value start; it was one when the plan was made. */
static size_t basic_at(struct cv_str value)
{
	size_t at = cv_str_find_byte(value, ' ');

	while (at < value.n && value.p[at] == ' ')
		at++;
	return at;
}

static enum cv_rewrite_rc basic_apply(struct apply *a, const struct cv_rewrite_use *use,
	size_t count, struct cv_str value, struct cv_str *ret)
{
	const size_t at = basic_at(value);
	enum cv_rewrite_rc rc = CV_REWRITE_MEMORY;
	struct cv_str pair = CV_STR_NONE;
	struct cv_buf old, text;

	cv_buf_init(&old, value.n);
	if (cv_base64_decode(cv_str_slice(value, at, value.n), CV_BASE64_STD, &old))
		rc = rewrite_splice(
			a->set, cv_buf_str(&old), use, count, a->values, a->arena, &pair);
	cv_buf_fini(&old);
	if (rc != CV_REWRITE_OK)
		return rc;

	/* all at once, so that no half-grown copy is left behind */
	cv_buf_init(&text, at + (pair.n + 2) / 3 * 4);
	char *room = cv_buf_reserve(&text, text.max);
	if (room && cv_buf_put(&text, cv_str_slice(value, 0, at)) &&
		cv_buf_put_base64(&text, pair, CV_BASE64_STD))
		*ret = cv_arena_str(a->arena, cv_buf_str(&text));
	rewrite_wipe(cv_buf_str(&text));
	rewrite_wipe(pair);
	cv_buf_fini(&text);
	return ret->p ? CV_REWRITE_OK : CV_REWRITE_MEMORY;
}

static enum cv_rewrite_rc header_apply(
	struct apply *a, const struct cv_rewrite_use *use, size_t count)
{
	const struct cv_str value = a->head->request->header[use->header].value;
	struct cv_str made = CV_STR_NONE;
	enum cv_rewrite_rc rc;

	rc = is_basic(use->place)
		     ? basic_apply(a, use, count, value, &made)
		     : rewrite_splice(a->set, value, use, count, a->values, a->arena, &made);
	if (rc == CV_REWRITE_OK)
		a->out->header[a->out->count++] = (struct cv_rewrite_header){ use->header, made };
	return rc;
}

static bool has_dot_segment(struct cv_str path)
{
	while (path.p) {
		const struct cv_str segment = cv_str_cut(&path, '/');

		if (cv_str_eq(segment, CV_STR(".")) || cv_str_eq(segment, CV_STR("..")))
			return true;
	}
	return false;
}

static enum cv_rewrite_rc group_apply(
	struct apply *a, const struct cv_rewrite_use *use, size_t count)
{
	struct cv_rewrite *out = a->out;
	enum cv_rewrite_rc rc;

	if (use->place == CV_REWRITE_IN_PATH) {
		rc = rewrite_splice(
			a->set, a->head->path, use, count, a->values, a->arena, &out->path);
		out->is_path_new = rc == CV_REWRITE_OK;
		/* a value may be a dot beside another one */
		return rc == CV_REWRITE_OK && has_dot_segment(out->path) ? CV_REWRITE_VALUE_PLACE
									 : rc;
	}
	if (use->place == CV_REWRITE_IN_QUERY) {
		rc = rewrite_splice(
			a->set, a->head->query, use, count, a->values, a->arena, &out->query);
		out->is_query_new = rc == CV_REWRITE_OK;
		return rc;
	}
	return header_apply(a, use, count);
}

enum cv_rewrite_rc cv_rewrite_apply(const struct cv_ph_set *set, const struct cv_rewrite_head *head,
	const struct cv_rewrite_plan *plan, const struct cv_str *values, struct cv_arena *arena,
	struct cv_rewrite *ret)
{
	struct apply a = { set, head, values, arena, ret };
	enum cv_rewrite_rc rc = rewrite_values_check(plan, set, values);

	*ret = (struct cv_rewrite){ .path = head->path, .query = head->query };
	for (size_t i = 0, n; rc == CV_REWRITE_OK && i < plan->count; i += n) {
		for (n = 1; i + n < plan->count; n++)
			if (!is_one_text(&plan->use[i], &plan->use[i + n]))
				break;
		rc = group_apply(&a, &plan->use[i], n);
	}
	if (rc == CV_REWRITE_OK && ret->path.n + ret->query.n >= CV_H1_TARGET_BYTES_MAX)
		rc = CV_REWRITE_TARGET_LONG;
	if (rc != CV_REWRITE_OK)
		cv_rewrite_wipe(ret);
	return rc;
}

void cv_rewrite_put(const struct cv_rewrite *w, struct cv_h1_request *request)
{
	for (size_t i = 0; i < w->count; i++) {
		cv_assert(w->header[i].index < request->header_count);
		request->header[w->header[i].index].value = w->header[i].value;
	}
}

void cv_rewrite_wipe(struct cv_rewrite *w)
{
	for (size_t i = 0; i < w->count; i++)
		rewrite_wipe(w->header[i].value);
	if (w->is_path_new)
		rewrite_wipe(w->path);
	if (w->is_query_new)
		rewrite_wipe(w->query);
	*w = (struct cv_rewrite){ 0 };
}
