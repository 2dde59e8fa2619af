/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_json.c - see answer_json.h
 *
 * One pass of wire/json.h's reader; what stands on the first level is kept.
 */
#include "cred/answer_json.h"

struct walk {
	struct cv_json j;
	struct cv_json_object *to;
	struct cv_arena *arena;
	size_t at; /* of the member's container that is open */
};

static const char *key_take(struct walk *w, const struct cv_json_token *t)
{
	if (w->to->count == CV_JSON_MEMBERS_MAX)
		return "too many members";
	w->to->members[w->to->count].name = cv_json_text(t, w->arena);
	return w->to->members[w->to->count].name.p ? NULL : "too large";
}

/* A member is whole; t is its scalar, or the end of its container. */
static const char *member_put(struct walk *w, const struct cv_json_token *t)
{
	struct cv_json_member *m = &w->to->members[w->to->count++];
	const bool is_container = t->type == CV_JSON_OBJECT_END || t->type == CV_JSON_ARRAY_END;

	m->type = t->type == CV_JSON_OBJECT_END  ? CV_JSON_OBJECT
		  : t->type == CV_JSON_ARRAY_END ? CV_JSON_ARRAY
						 : t->type;
	m->text = t->type == CV_JSON_STRING ? cv_json_text(t, w->arena)
		  : is_container            ? cv_str_slice(w->j.text, w->at, t->end)
					    : t->raw;
	return m->text.p ? NULL : "too large";
}

static const char *token_take(struct walk *w, const struct cv_json_token *t)
{
	const bool is_open = t->type == CV_JSON_OBJECT || t->type == CV_JSON_ARRAY;
	const uint32_t depth = w->j.depth - is_open; /* of the container that it stands in */

	if (depth == 0)
		return t->type == CV_JSON_OBJECT || t->type == CV_JSON_OBJECT_END ? NULL
										  : "not an object";
	if (depth > 1)
		return NULL; /* within a member */
	if (is_open)
		w->at = t->at;
	else if (t->type == CV_JSON_KEY)
		return key_take(w, t);
	return is_open ? NULL : member_put(w, t);
}

cv_code cv_json_object_parse(
	struct cv_str text, struct cv_arena *arena, struct cv_json_object *ret, struct cv_err *err)
{
	struct walk w = { .to = ret, .arena = arena };
	const char *failure = NULL;
	struct cv_json_token t;

	ret->count = 0;
	cv_json_init(&w.j, text);
	while (!failure && cv_json_next(&w.j, &t) != CV_JSON_END)
		failure = t.type == CV_JSON_BAD ? cv_json_problem_text(w.j.problem)
						: token_take(&w, &t);
	cv_json_fini(&w.j);
	if (arena->is_overflown)
		return cv_fail(err, CV_LIMIT, "JSON: too large");
	return failure ? cv_fail(err, CV_PROTO, "JSON: %s", failure) : CV_OK;
}

/* ---- members ---- */

struct cv_json_member cv_json_get(const struct cv_json_object *o, struct cv_str name)
{
	for (size_t i = 0; i < o->count; i++)
		if (cv_str_eq(o->members[i].name, name))
			return o->members[i];
	return (struct cv_json_member){ .type = CV_JSON_END };
}

struct cv_str cv_json_get_string(const struct cv_json_object *o, struct cv_str name)
{
	const struct cv_json_member m = cv_json_get(o, name);

	return m.type == CV_JSON_STRING ? m.text : CV_STR_NONE;
}

bool cv_json_get_u64(
	const struct cv_json_object *o, struct cv_str name, uint64_t max, uint64_t *ret)
{
	const struct cv_json_member m = cv_json_get(o, name);

	return (m.type == CV_JSON_STRING || m.type == CV_JSON_NUMBER) &&
	       cv_str_to_u64(m.text, max, ret);
}
