/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery.c - see discovery.h
 */
#include "broker/discovery.h"

#include "base/word.h"
#include "tools/discover.h"

bool discovery_may_call(const struct sandbox *s, const struct caller *c, const struct cv_tool *t)
{
	const struct cv_tool_facts facts = { .who = c->who, .tool = t->name };

	return s->policy && cv_policy_decide_tool(s->policy, &facts).action == CV_ACTION_ALLOW;
}

/* Who looks; conditions of one tool at a time. */
struct looker {
	const struct sandbox *box;
	const struct caller *who;
	struct cv_arena arena;
	struct cv_str condition[BROKER_CONDITIONS_MAX];
};

static bool may_call(void *arg, const struct cv_tool *t, struct cv_discover_conditions *ret)
{
	struct looker *l = arg;
	const struct cv_tool_facts facts = { .who = l->who->who, .tool = t->name };

	if (!discovery_may_call(l->box, l->who, t))
		return false;
	cv_arena_reset(&l->arena);
	ret->v = l->condition;
	ret->n = cv_policy_tool_conditions(
		l->box->policy, &facts, l->condition, CV_ARRAY_LEN(l->condition), &l->arena);
	return true;
}

bool discovery_put(struct broker *b, const struct sandbox *box, const struct caller *who,
	enum cv_discover_document document, struct cv_str cursor, struct cv_buf *out)
{
	struct looker l = { .box = box, .who = who };
	const struct cv_discover d = {
		.catalog = b->catalog,
		.version = CV_STR(CV_VERSION),
		.may_call = may_call,
		.arg = &l,
		.cursor = cursor,
	};

	cv_arena_init(&l.arena, BROKER_CONDITION_BYTES_MAX);
	const bool is_whole = cv_discover_write(&d, document, out);
	cv_arena_fini(&l.arena);
	return is_whole;
}

struct cv_str discovery_nearest(
	struct broker *b, const struct sandbox *s, const struct caller *c, struct cv_str name)
{
	size_t best = name.n / 3 > 1 ? name.n / 3 : 1; /* as cv_word_nearest() has it */
	struct cv_str found = CV_STR("");

	for (size_t i = 0; i < b->catalog->tool_count; i++) {
		const struct cv_tool *t = &b->catalog->tools[i];
		const size_t n = cv_word_distance(name, t->name);

		if (n <= best && discovery_may_call(s, c, t)) {
			best = n;
			found = t->name;
		}
	}
	return found;
}

void discovery_answer(struct broker *b, struct stream *s, const struct sandbox *box,
	enum cv_discover_document document)
{
	struct cv_buf body;

	cv_buf_init(&body, BROKER_DOCUMENT_BYTES_MAX);
	if (discovery_put(b, box, s->caller, document, CV_STR_NONE, &body))
		answer(b, s,
			&(struct answer){
				.status = 200,
				.type = cv_discover_content_type(document),
				.body = cv_buf_str(&body),
			});
	else
		answer_error(b, s, 503, "broker_unavailable", "the document is too large");
	cv_buf_fini(&body);
}
