/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_answer.c - see token_answer.h
 *
 * One pass of the pull reader.  expires_in may stand behind the tokens it is about, so it is noted
 * by the object it stands in and given to that object's tokens when the object ends.
 */
#include "cred/token_answer.h"

#include "wire/json.h"

static const struct {
	struct cv_str name;
	enum cv_keeper_token kind;
} token_name[] = {
	{ CV_STR("access_token"), CV_KEEPER_TOKEN_ACCESS },
	{ CV_STR("refresh_token"), CV_KEEPER_TOKEN_REFRESH },
	{ CV_STR("id_token"), CV_KEEPER_TOKEN_ID },
	{ CV_STR("token"), CV_KEEPER_TOKEN_ACCESS },
};

#define LIVES_S_MAX (UINT64_C(100) * 366 * 86400) /* what is longer is not known */

struct walk {
	struct cv_json j;
	struct cv_json_token key; /* of the value that comes */
	struct cv_arena *arena;
	struct cv_token_answer *to;
	uint32_t depth_of[CV_KEEPER_TOKENS_MAX]; /* of each token that waits for its object's end */
	uint64_t lives_s[CV_JSON_DEPTH_MAX + 1];
	const char *failure;
};

static const enum cv_keeper_token *kind_of(const struct cv_json_token *key)
{
	for (size_t i = 0; key->type == CV_JSON_KEY && i < CV_ARRAY_LEN(token_name); i++)
		if (cv_json_says(key, token_name[i].name))
			return &token_name[i].kind;
	return NULL;
}

static void token_take(struct walk *w, const struct cv_json_token *t, enum cv_keeper_token kind)
{
	const struct cv_str value = cv_json_text(t, w->arena);
	struct cv_token_answer *to = w->to;

	if (!value.p)
		w->failure = "no memory";
	else if (value.n > CV_TOKEN_BYTES_MAX)
		w->failure = "a token that is too long";
	else if (cv_str_has_control(value))
		w->failure = "a token with a control byte";
	else if (value.n && to->n == CV_KEEPER_TOKENS_MAX)
		w->failure = "too many tokens";
	if (w->failure || !value.n)
		return;
	w->depth_of[to->n] = w->j.depth;
	to->v[to->n++] =
		(struct cv_token){ .kind = kind, .value = value, .at = t->at, .end = t->end };
}

static void object_end(struct walk *w)
{
	const uint32_t depth = w->j.depth + 1; /* it is closed */

	for (size_t i = 0; i < w->to->n; i++) {
		if (w->depth_of[i] != depth)
			continue;
		if (w->to->v[i].kind != CV_KEEPER_TOKEN_REFRESH) /* RFC 6749: of the access token */
			w->to->v[i].lives_s = w->lives_s[depth];
		w->depth_of[i] = 0;
	}
}

static void value_look(struct walk *w, const struct cv_json_token *t)
{
	const enum cv_keeper_token *kind = kind_of(&w->key);
	uint64_t lives_s;

	if (kind && t->type == CV_JSON_STRING)
		token_take(w, t, *kind);
	else if (kind && t->type != CV_JSON_NULL && t->type != CV_JSON_OBJECT)
		w->failure = "a token that is no string";
	else if (w->key.type == CV_JSON_KEY && cv_json_says(&w->key, CV_STR("expires_in")) &&
		 (cv_json_to_u64(t, &lives_s) ||
			 (t->type == CV_JSON_STRING &&
				 cv_str_to_u64(t->raw, LIVES_S_MAX, &lives_s))))
		w->lives_s[w->j.depth] = lives_s <= LIVES_S_MAX ? lives_s : 0;
}

const char *cv_token_answer_read(
	struct cv_str text, struct cv_arena *arena, struct cv_token_answer *ret)
{
	struct walk w = { .arena = arena, .to = ret };
	struct cv_json_token t;

	ret->n = 0;
	if (text.n > CV_TOKEN_ANSWER_BYTES_MAX)
		return "an answer that is too long";
	cv_json_init(&w.j, text);
	while (!w.failure && cv_json_next(&w.j, &t) != CV_JSON_END) {
		if (t.type == CV_JSON_BAD)
			w.failure = cv_json_problem_text(w.j.problem);
		else if (t.type == CV_JSON_OBJECT_END)
			object_end(&w);
		else if (t.type != CV_JSON_KEY)
			value_look(&w, &t);
		if (t.type == CV_JSON_OBJECT)
			w.lives_s[w.j.depth] = 0;
		w.key = t; /* no key: an element of an array, or what a container starts with */
	}
	cv_json_fini(&w.j);
	return w.failure;
}

bool cv_token_answer_write(struct cv_str text, const struct cv_token_answer *a,
	const struct cv_str *words, struct cv_buf *out)
{
	size_t at = 0;

	for (size_t i = 0; i < a->n; i++) {
		cv_buf_put(out, cv_str_slice(text, at, a->v[i].at));
		cv_buf_put_byte(out, '"');
		cv_buf_put(out, words[i]);
		cv_buf_put_byte(out, '"');
		at = a->v[i].end;
	}
	cv_buf_put(out, cv_str_slice(text, at, text.n));
	return !out->is_overflown;
}
