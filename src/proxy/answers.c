/* SPDX-License-Identifier: Apache-2.0 */
/* answers.c - see answers.h */
#include "proxy/answers.h"

#include "ipc/keeper_link.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void next_set(struct cv_answers *a)
{
	a->next_ms = INT64_MAX;
	for (size_t i = 0; a->kept && i < CV_PROXY_ANSWERS_MAX; i++)
		if (a->v[i].state == CV_ANSWER_KEPT && a->v[i].until_ms < a->next_ms)
			a->next_ms = a->v[i].until_ms;
}

static void bytes_free(char *p, size_t n)
{
	if (p)
		explicit_bzero(p, n);
	free(p);
}

static void end(struct cv_answers *a, struct cv_answer *e)
{
	bytes_free(e->masked, e->text_bytes);
	bytes_free(e->pad, e->text_bytes);
	free((char *)(uintptr_t)e->question.rest.p);
	a->kept -= e->state == CV_ANSWER_KEPT;
	*e = (struct cv_answer){ .state = CV_ANSWER_FREE };
}

static bool is_of(const struct cv_answer *e, const struct cv_question *q)
{
	return e->state != CV_ANSWER_FREE && cv_str_eq(e->question.rest, q->rest) &&
	       (e->is_any_path ? cv_keeper_path_is_plain(q->path)
			       : cv_str_eq(e->question.path, q->path));
}

/* The place of the same question, a free one, or that of the oldest question. */
static struct cv_answer *place_get(struct cv_answers *a, const struct cv_question *q)
{
	struct cv_answer *oldest = &a->v[0];

	for (size_t i = 0; i < CV_PROXY_ANSWERS_MAX; i++)
		if (is_of(&a->v[i], q))
			return &a->v[i];
	for (size_t i = 0; i < CV_PROXY_ANSWERS_MAX; i++) {
		if (a->v[i].state == CV_ANSWER_FREE)
			return &a->v[i];
		if (a->v[i].asked_ms < oldest->asked_ms)
			oldest = &a->v[i];
	}
	return oldest;
}

void cv_answers_asked(
	struct cv_answers *a, uint32_t tag, const struct cv_question *q, int64_t now_ms)
{
	const size_t n = q->rest.n + q->path.n;
	char *copy = q->rest.n && n <= CV_PROXY_ANSWER_QUESTION_MAX ? malloc(n) : NULL;

	if (!copy)
		return;
	struct cv_answer *e = place_get(a, q);
	end(a, e);
	memcpy(copy, q->rest.p, q->rest.n);
	if (q->path.n)
		memcpy(copy + q->rest.n, q->path.p, q->path.n);
	*e = (struct cv_answer){
		.state = CV_ANSWER_ASKED,
		.tag = tag,
		.question = { { copy + q->rest.n, q->path.n }, { copy, q->rest.n } },
		.asked_ms = now_ms,
	};
	next_set(a);
}

void cv_answers_version(struct cv_answers *a, uint64_t version)
{
	if (version == a->version)
		return;
	a->version = version;
	for (size_t i = 0; i < CV_PROXY_ANSWERS_MAX; i++)
		if (a->v[i].state == CV_ANSWER_KEPT)
			end(a, &a->v[i]);
	next_set(a);
}

static bool text_keep(struct cv_answer *e, struct cv_str text)
{
	if (!text.n || text.n > CV_PROXY_ANSWER_VALUES_MAX)
		return false;
	e->text_bytes = text.n;
	e->pad = malloc(text.n);
	e->masked = malloc(text.n);
	if (!e->pad || !e->masked || getrandom(e->pad, text.n, 0) != (ssize_t)text.n)
		return false;
	for (size_t i = 0; i < text.n; i++)
		e->masked[i] = (char)(text.p[i] ^ e->pad[i]);
	return true;
}

void cv_answers_put(struct cv_answers *a, uint32_t tag, const struct cv_answer_term *term,
	struct cv_str text, int64_t now_ms)
{
	struct cv_answer *e = NULL;

	if (term->version < a->version)
		return; /* judged before what was heard of meanwhile */
	cv_answers_version(a, term->version);
	for (size_t i = 0; i < CV_PROXY_ANSWERS_MAX && !e; i++)
		if (a->v[i].state == CV_ANSWER_ASKED && a->v[i].tag == tag)
			e = &a->v[i];
	if (!e)
		return;
	e->until_ms = e->asked_ms + term->keep_ms;
	if (e->until_ms <= now_ms || !text_keep(e, text)) {
		end(a, e);
		return;
	}
	e->is_any_path = term->is_any_path;
	e->state = CV_ANSWER_KEPT;
	a->kept++;
	next_set(a);
}

char *cv_answers_find(
	const struct cv_answers *a, const struct cv_question *q, int64_t now_ms, size_t *ret_n)
{
	for (size_t i = 0; a->kept && i < CV_PROXY_ANSWERS_MAX; i++) {
		const struct cv_answer *e = &a->v[i];

		if (e->state != CV_ANSWER_KEPT || e->until_ms <= now_ms || !is_of(e, q))
			continue;
		char *text = malloc(e->text_bytes);
		for (size_t k = 0; text && k < e->text_bytes; k++)
			text[k] = (char)(e->masked[k] ^ e->pad[k]);
		*ret_n = e->text_bytes;
		return text;
	}
	return NULL;
}

void cv_answers_forget(struct cv_answers *a)
{
	for (size_t i = 0; i < CV_PROXY_ANSWERS_MAX; i++)
		if (a->v[i].state != CV_ANSWER_FREE)
			end(a, &a->v[i]);
	next_set(a);
}

void cv_answers_sweep(struct cv_answers *a, int64_t now_ms)
{
	if (!a->kept || a->next_ms > now_ms)
		return;
	for (size_t i = 0; i < CV_PROXY_ANSWERS_MAX; i++)
		if (a->v[i].state == CV_ANSWER_KEPT && a->v[i].until_ms <= now_ms)
			end(a, &a->v[i]);
	next_set(a);
}
