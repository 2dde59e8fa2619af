/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery.c - see discovery.h
 */
#include "broker/discovery.h"

#include "base/word.h"
#include "wire/json_value.h"

bool discovery_may_call(const struct sandbox *s, const struct caller *c, const struct cv_tool *t)
{
	const struct cv_tool_facts facts = { .who = c->who, .tool = t->name };

	return s->policy && cv_policy_decide_tool(s->policy, &facts).action == CV_ACTION_ALLOW;
}

void discovery_known_put(struct broker *b, const struct sandbox *s, const struct caller *c,
	struct cv_buf *out)
{
	bool is_first = true;

	cv_buf_put_byte(out, '[');
	for (size_t i = 0; i < b->catalog->tool_count; i++) {
		if (!discovery_may_call(s, c, &b->catalog->tools[i]))
			continue;
		cv_buf_put(out, is_first ? CV_STR("\"") : CV_STR(",\""));
		cv_buf_put_json(out, b->catalog->tools[i].name);
		cv_buf_put_byte(out, '"');
		is_first = false;
	}
	cv_buf_put_byte(out, ']');
}

struct cv_str discovery_nearest(struct broker *b, const struct sandbox *s, const struct caller *c,
	struct cv_str name)
{
	size_t best = name.n / 3 > 1 ? name.n / 3 : 1;
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

void discovery_answer(
	struct broker *b, struct stream *s, const struct sandbox *box, enum discovery what)
{
	struct cv_buf body;
	bool is_first = true;

	(void)what;
	cv_buf_init(&body, 16u << 20);
	cv_buf_put_byte(&body, '[');
	for (size_t i = 0; i < b->catalog->tool_count; i++) {
		const struct cv_tool *t = &b->catalog->tools[i];

		if (!discovery_may_call(box, s->caller, t))
			continue;
		cv_buf_put(&body, is_first ? CV_STR("{") : CV_STR(",{"));
		cv_buf_printf(&body, "\"name\":\"%.*s\",\"endpoint\":\"/v1/tools/%.*s\",\"method\":\"POST\"",
			CV_STR_ARG(t->name), CV_STR_ARG(t->name));
		put_member_str(&body, "description", t->description);
		cv_buf_put(&body, CV_STR(",\"input_schema\":"));
		(void)!cv_json_value_write(&body, t->input);
		cv_buf_put_byte(&body, '}');
		is_first = false;
	}
	cv_buf_put(&body, CV_STR("]\n"));
	answer(b, s, &(struct answer){ .status = 200, .body = cv_buf_str(&body) });
	cv_buf_fini(&body);
}
