/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools_answer.c - what the route says itself: refusals, and what may be asked for instead
 *
 * One refusal is one event and one answer, after which the connection ends as after any denial.
 */
#include "policy/tools.h"
#include "proxy/denial.h"
#include "proxy/tools.h"
#include "tools/discover.h"

#include "wire/json_value.h"

#define CONDITIONS_MAX 8 /* of a tool, in a denial: a page, not a manual */

void cv_tools_body_put(struct cv_buf *b, const struct cv_tools_refusal *why)
{
	cv_buf_printf(b, "{\"error\":\"%s\",\"detail\":", why->code);
	cv_buf_put_json_str(b, why->detail);
	if (why->tool.n) {
		cv_buf_put(b, CV_STR(",\"tool\":"));
		cv_buf_put_json_str(b, why->tool);
	}
	cv_buf_put(b, why->more);
	cv_buf_put_byte(b, '}');
}

/* What is recorded of a path.  In a tool's own route there are arguments, which no record holds: then
 * it is the tool's other one. */
static struct cv_str path_recorded(
	struct cv_proxy *p, const struct cv_h1_request *r, struct cv_str path)
{
	const struct cv_str asked = path.n || !r ? path : r->path;
	const struct cv_toolmap_tool *t;
	struct cv_toolmap_args args;
	struct cv_str allow;

	t = r ? cv_toolmap_route(&p->toolmap, r->method, asked, &p->arena, &args, &allow) : NULL;
	return t && args.n ? cv_arena_printf(
				     &p->arena, CV_TOOL_ROUTE_PREFIX "%.*s", CV_STR_ARG(t->name))
			   : path;
}

static void record(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_str path, const struct cv_tools_refusal *why, int status)
{
	const struct cv_audit_pair extra = { .key = "tool", .value = why->tool };
	const struct cv_verdict v = {
		.entry = CV_POLICY_NONE,
		.endpoint = CV_POLICY_NONE,
		.rule = CV_POLICY_NONE,
		.settings = CV_POLICY_NONE,
		.line = why->line,
	};
	const struct cv_fact fact = {
		.action = why->action,
		.activity =
			why->action == CV_AUDIT_ACTION_DENY ? CV_ACTIVITY_REFUSE : CV_ACTIVITY_FAIL,
		.request = r,
		.path = path_recorded(p, r, path),
		.verdict = &v,
		.engine = "tools",
		.reason_code = why->reason ? why->reason : why->code,
		.reason = why->detail,
		.status = (uint16_t)status,
		.extra = &extra,
		.extra_count = why->tool.n > 0,
	};

	cv_decide_record(p, f, &fact);
}

void cv_tools_refuse_with(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_str path, const struct cv_tools_refusal *why, int status, struct cv_str body)
{
	const struct cv_h1_header field[] = {
		{ .name = CV_STR("Content-Type"), .value = CV_STR("application/json") },
		{ .name = why->status == 429 ? CV_STR("Retry-After") : CV_STR("Allow"),
			.value = why->status == 429 ? CV_STR("1") : why->allow },
	};

	record(p, f, r, path, why, status);
	cv_deny_fields(p, f, status, field, field[1].value.n ? 2 : 1, body,
		r && cv_str_eq(r->method, CV_STR("HEAD")));
}

void cv_tools_refuse(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_str path, const struct cv_tools_refusal *why)
{
	struct cv_buf b;

	cv_buf_init(&b, CV_PROXY_DENIAL_BYTES_MAX);
	cv_tools_body_put(&b, why);
	if (b.is_overflown) {
		cv_buf_reset(&b);
		cv_buf_printf(&b, "{\"error\":\"%s\"}", why->code);
	}
	cv_tools_refuse_with(p, f, r, path, why, why->status, cv_buf_str(&b));
	cv_buf_fini(&b);
}

/* ---- what may be called ---- */

static bool is_callable(
	const struct cv_flow *f, const struct cv_toolmap_tool *t, struct cv_tool_facts *ret)
{
	*ret = (struct cv_tool_facts){ .tool = t->name };
	if (f->who)
		ret->who = f->who->facts;
	/* Of names that only the broker knows, it tells itself. */
	return !t->is_glob && cv_policy_decide_tool(f->policy, ret).action == CV_ACTION_ALLOW;
}

static void conditions_put(struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_tool_facts *facts, struct cv_buf *b)
{
	struct cv_str row[CONDITIONS_MAX];
	const size_t n =
		cv_policy_tool_conditions(f->policy, facts, row, CONDITIONS_MAX, &p->arena);

	cv_buf_put(b, CV_STR(",\"conditions\":["));
	for (size_t i = 0; i < n; i++) {
		if (i)
			cv_buf_put_byte(b, ',');
		cv_buf_put_json_str(b, row[i]);
	}
	cv_buf_put_byte(b, ']');
}

void cv_tools_allowed_put(struct cv_proxy *p, const struct cv_flow *f, struct cv_buf *b)
{
	struct cv_tool_facts facts;
	bool is_first = true;

	cv_buf_put(b, CV_STR(",\"allowed\":["));
	for (size_t i = 0; i < p->toolmap.n && cv_buf_len(b) < CV_PROXY_TOOL_LIST_BYTES; i++) {
		if (!is_callable(f, &p->toolmap.v[i], &facts))
			continue;
		cv_buf_put(b, is_first ? CV_STR("{\"name\":") : CV_STR(",{\"name\":"));
		cv_buf_put_json_str(b, facts.tool);
		conditions_put(p, f, &facts, b);
		cv_buf_put_byte(b, '}');
		is_first = false;
	}
	cv_buf_put_byte(b, ']');
}

void cv_tools_known_put(struct cv_proxy *p, const struct cv_flow *f, struct cv_buf *b)
{
	struct cv_tool_facts facts;
	bool is_first = true;

	cv_buf_put(b, CV_STR(",\"known\":["));
	for (size_t i = 0; i < p->toolmap.n && cv_buf_len(b) < CV_PROXY_TOOL_LIST_BYTES; i++) {
		if (!is_callable(f, &p->toolmap.v[i], &facts))
			continue;
		if (!is_first)
			cv_buf_put_byte(b, ',');
		cv_buf_put_json_str(b, facts.tool);
		is_first = false;
	}
	cv_buf_put_byte(b, ']');
}
