/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool_explain_print.c - the whole explanation of a call, for a person and for a program
 *
 * Of an allowed call the rules before the one that decided are told, as far as they name the tool;
 * of a denied one all that name it, nearest first, and a few others when none does.  Everything is
 * escaped as in JSON, in the text form too (but for quotes): it is printed on terminals.
 */
#include "policy/explain.h"

#include "policy/tool_rule.h"

#include "base/assert.h"

#include <inttypes.h>

#define NEAR_MAX       16 /* as many as anybody reads */
#define OTHERS_MAX     4  /* when no rule names the tool, a few show what there is */
#define TEXT_BYTES_MAX (1u << 20)

struct explanation {
	const struct cv_policy *p;
	const struct cv_tool_facts *facts;
	struct cv_tool_verdict v;
	struct cv_arena arena;
	struct cv_str text;
	uint32_t near[NEAR_MAX]; /* rules */
	size_t near_count;
};

static const char *const miss_names[] = {
	[CV_TOOL_MISS_TOOL] = "tool",
	[CV_TOOL_MISS_BINARY] = "binary",
	[CV_TOOL_MISS_ARGUMENTS] = "arguments",
	[CV_TOOL_MISS_NONE] = "allows",
};

static const char *const approval_names[] = {
	[CV_TOOL_APPROVAL_NEVER] = "never",
	[CV_TOOL_APPROVAL_ONCE] = "once",
	[CV_TOOL_APPROVAL_ALWAYS] = "always",
};

static enum cv_tool_miss miss_of(const struct explanation *x, uint32_t rule)
{
	return cv_tool_rule_miss(&x->p->tool_rules[rule], x->facts);
}

static void near_add(struct explanation *x, enum cv_tool_miss miss, size_t max)
{
	const uint32_t end = x->v.action == CV_ACTION_ALLOW ? x->v.rule : x->p->tool_rule_count;

	for (uint32_t i = 0; i < end && x->near_count < max; i++)
		if (miss_of(x, i) == miss)
			x->near[x->near_count++] = i;
}

static void explanation_init(
	struct explanation *x, const struct cv_policy *p, const struct cv_tool_facts *facts)
{
	*x = (struct explanation){ .p = p, .facts = facts, .v = cv_policy_decide_tool(p, facts) };
	cv_arena_init(&x->arena, TEXT_BYTES_MAX);
	x->text = cv_policy_tool_denial_text(p, facts, &x->v, &x->arena);
	near_add(x, CV_TOOL_MISS_ARGUMENTS, NEAR_MAX);
	near_add(x, CV_TOOL_MISS_BINARY, NEAR_MAX);
	if (!x->near_count && x->v.action == CV_ACTION_DENY)
		near_add(x, CV_TOOL_MISS_TOOL, OTHERS_MAX);
}

static struct cv_str file_of(const struct explanation *x)
{
	const struct cv_policy_doc *doc = cv_policy_doc(x->p);

	return doc && doc->file.n ? doc->file : CV_STR("policy");
}

/* ---- text ---- */

/* As cv_buf_put_json(), but a quote stays one: no string is written around it. */
static void shown_put(struct cv_buf *out, struct cv_str s)
{
	while (s.p) {
		cv_buf_put_json(out, cv_str_cut(&s, '"'));
		if (s.p)
			cv_buf_put_byte(out, '"');
	}
}

static void rule_put(struct explanation *x, struct cv_buf *out, const char *before, uint32_t rule)
{
	const struct cv_policy_tool_rule *source = x->p->tool_rules[rule].source;

	cv_buf_printf(out, "  %s", before);
	shown_put(out, file_of(x));
	cv_buf_printf(out, ":%u  tools.", source->pos.line);
	shown_put(out, source->key.s);
}

static void limits_put(const struct cv_tool_limits *l, struct cv_buf *out)
{
	if (l->calls)
		cv_buf_printf(out, "  at most %" PRIu64 " calls\n", l->calls);
	if (l->concurrency)
		cv_buf_printf(out, "  at most %u at the same time\n", l->concurrency);
	if (l->seconds)
		cv_buf_printf(out, "  at most %u seconds\n", l->seconds);
	if (l->bytes)
		cv_buf_printf(out, "  at most %" PRIu64 " bytes of result\n", l->bytes);
}

static void allowed_put(struct explanation *x, struct cv_buf *out)
{
	const struct cv_str asks =
		cv_tool_rule_conditions_text(&x->p->tool_rules[x->v.rule], &x->arena);

	rule_put(x, out, "decided at ", x->v.rule);
	cv_buf_put_byte(out, '\n');
	if (asks.n) {
		cv_buf_printf(out, x->facts->arguments ? "  since " : "  where ");
		shown_put(out, asks);
		cv_buf_put_byte(out, '\n');
	}
	if (x->v.approval != CV_TOOL_APPROVAL_NEVER)
		cv_buf_printf(
			out, "  after a person's approval: %s\n", approval_names[x->v.approval]);
	limits_put(&x->v.limits, out);
}

void cv_policy_explain_tool_text(
	const struct cv_policy *policy, const struct cv_tool_facts *facts, struct cv_buf *out)
{
	struct explanation x;

	explanation_init(&x, policy, facts);
	const bool is_allowed = x.v.action == CV_ACTION_ALLOW;
	cv_buf_printf(out, "%s tool ", is_allowed ? "ALLOW" : "DENY");
	shown_put(out, facts->tool);
	cv_buf_put_byte(out, '\n');
	if (is_allowed) {
		allowed_put(&x, out);
	} else {
		cv_buf_printf(out, "  %s: ", cv_reason_code(x.v.reason));
		shown_put(out, x.text);
		cv_buf_put_byte(out, '\n');
	}
	for (size_t i = 0; i < x.near_count; i++) {
		rule_put(&x, out,
			is_allowed ? "before it: "
			: i        ? "near: "
				   : "nearest: ",
			x.near[i]);
		cv_buf_printf(out, ": ");
		shown_put(out,
			cv_tool_rule_miss_text(&policy->tool_rules[x.near[i]], facts, &x.arena));
		cv_buf_put_byte(out, '\n');
	}
	cv_arena_fini(&x.arena);
}

/* ---- JSON ---- */

static void place_json(struct explanation *x, struct cv_buf *out, uint32_t rule)
{
	if (rule == CV_POLICY_NONE)
		return;
	cv_buf_put_json_member(out, "rule", cv_policy_tool_rule_name(x->p, rule));
	cv_buf_put_byte(out, ',');
	cv_buf_put_json_member(out, "file", file_of(x));
	cv_buf_printf(out, ",\"line\":%u,", x->p->tool_rules[rule].source->pos.line);
}

static void near_json(struct explanation *x, struct cv_buf *out)
{
	cv_buf_printf(out, ",\"near_misses\":[");
	for (size_t i = 0; i < x->near_count; i++) {
		cv_buf_printf(out, i ? ",{" : "{");
		place_json(x, out, x->near[i]);
		cv_buf_printf(out, "\"miss\":\"%s\",", miss_names[miss_of(x, x->near[i])]);
		cv_buf_put_json_member(out, "text",
			cv_tool_rule_miss_text(&x->p->tool_rules[x->near[i]], x->facts, &x->arena));
		cv_buf_put_byte(out, '}');
	}
	cv_buf_put_byte(out, ']');
}

static void conditions_json(struct explanation *x, struct cv_buf *out)
{
	struct cv_str line[NEAR_MAX];
	const size_t n = cv_policy_tool_conditions(x->p, x->facts, line, NEAR_MAX, &x->arena);

	cv_buf_printf(out, ",\"conditions\":[");
	for (size_t i = 0; i < n; i++) {
		if (i)
			cv_buf_put_byte(out, ',');
		cv_buf_put_json_str(out, line[i]);
	}
	cv_buf_put_byte(out, ']');
}

void cv_policy_explain_tool_json(
	const struct cv_policy *policy, const struct cv_tool_facts *facts, struct cv_buf *out)
{
	struct explanation x;

	explanation_init(&x, policy, facts);
	const struct cv_tool_limits *l = &x.v.limits;
	cv_buf_printf(out, "{\"action\":\"%s\",\"reason\":\"%s\",",
		x.v.action == CV_ACTION_ALLOW ? "allow" : "deny", cv_reason_code(x.v.reason));
	cv_buf_put_json_member(out, "tool", facts->tool);
	cv_buf_put_byte(out, ',');
	place_json(&x, out, x.v.rule);
	cv_buf_put_json_member(out, "text", x.text);
	if (x.v.action == CV_ACTION_ALLOW)
		cv_buf_printf(out,
			",\"approval\":\"%s\",\"limits\":{\"calls\":%" PRIu64
			",\"concurrency\":%u,\"seconds\":%u,\"bytes\":%" PRIu64 "}",
			approval_names[x.v.approval], l->calls, l->concurrency, l->seconds,
			l->bytes);
	conditions_json(&x, out);
	near_json(&x, out);
	cv_buf_printf(out, "}\n");
	cv_arena_fini(&x.arena);
}
