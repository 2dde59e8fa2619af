/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain_print.c - the whole explanation, for a person and for a program
 *
 * Everything that came from a policy or a request is escaped as in JSON, in the text form too: it
 * is printed on terminals.
 */
#include "policy/destination.h"
#include "policy/explain.h"

#include "base/assert.h"

/* As many near misses as anybody reads; the nearest are kept. */
#define NEAR_MISSES_MAX 16
/* When no entry names the host, a few show what there is. */
#define HOST_MISSES_MAX 4
#define ALLOWED_MAX     32
/* Texts of one explanation. */
#define TEXT_BYTES_MAX (1u << 20)

struct explanation {
	const struct cv_policy *p;
	const struct cv_facts *facts;
	struct cv_verdict v;
	struct cv_arena arena;
	struct cv_str text;
	struct cv_near_miss misses[NEAR_MISSES_MAX];
	struct cv_allowed_row allowed[ALLOWED_MAX];
	size_t miss_count, allowed_count;
};

static const char *const miss_names[] = {
	[CV_MISS_HOST] = "host",
	[CV_MISS_PORT] = "port",
	[CV_MISS_BINARY] = "binary",
	[CV_MISS_PATH_SELECTOR] = "path_selector",
	[CV_MISS_METHOD] = "method",
	[CV_MISS_PATH] = "path",
	[CV_MISS_QUERY] = "query",
	[CV_MISS_DENIED] = "deny_rule",
	[CV_MISS_NONE] = "allows",
};

static const struct {
	uint32_t bit;
	const char *name;
} obligation_names[] = {
	{ CV_OBLIGE_INSPECT, "inspect" },
	{ CV_OBLIGE_TLS_SKIP, "tls_skip" },
	{ CV_OBLIGE_LOG_ONLY, "log_only" },
	{ CV_OBLIGE_ENCODED_SLASH, "encoded_slash" },
	{ CV_OBLIGE_DECLARED_HOST, "declared_host" },
	{ CV_OBLIGE_ALLOWED_IPS, "allowed_ips" },
	{ CV_OBLIGE_TCP, "tcp" },
	{ CV_OBLIGE_WEBSOCKET, "websocket" },
	{ CV_OBLIGE_H2C, "h2c" },
	{ CV_OBLIGE_POSTGRES, "postgres" },
	{ CV_OBLIGE_APPROVE, "approve" },
};

static bool is_the_decider(const struct explanation *x, const struct cv_near_miss *m)
{
	return m->entry == x->v.entry && m->endpoint == x->v.endpoint && m->rule == x->v.rule;
}

static void explanation_init(
	struct explanation *x, const struct cv_policy *p, const struct cv_facts *facts)
{
	*x = (struct explanation){
		.p = p, .facts = facts, .v = cv_policy_decide_destination(p, facts)
	};
	cv_arena_init(&x->arena, TEXT_BYTES_MAX);
	x->text = cv_policy_denial_text(p, facts, &x->v, &x->arena);
	x->miss_count = cv_policy_near_misses(p, facts, &x->arena, x->misses, NEAR_MISSES_MAX);
	if (x->v.reason != CV_REASON_DESTINATION) /* there, nothing is */
		x->allowed_count = cv_policy_allowed(p, facts, &x->arena, x->allowed, ALLOWED_MAX);
	size_t nearer = 0; /* than "another host" */
	while (nearer < x->miss_count && x->misses[nearer].miss != CV_MISS_HOST)
		nearer++;
	x->miss_count = nearer ? nearer : CV_MIN(x->miss_count, (size_t)HOST_MISSES_MAX);
}

static struct cv_str file_of(const struct explanation *x)
{
	const struct cv_policy_doc *doc = cv_policy_doc(x->p);

	return doc && doc->file.n ? doc->file : CV_STR("policy");
}

/* "github.endpoints[0].rules[1]" */
static struct cv_str place_of(
	struct explanation *x, uint32_t entry, uint32_t endpoint, uint32_t rule, bool is_deny)
{
	const struct cv_str name = cv_policy_entry_name(x->p, entry);

	if (rule == CV_POLICY_NONE)
		return cv_arena_printf(&x->arena, "%.*s.endpoints[%u]", CV_STR_ARG(name), endpoint);
	return cv_arena_printf(&x->arena, "%.*s.endpoints[%u].%s[%u]", CV_STR_ARG(name), endpoint,
		is_deny ? "deny_rules" : "rules", rule);
}

static void line_put(struct explanation *x, struct cv_buf *out, const char *before,
	struct cv_str place, uint32_t line)
{
	cv_buf_printf(out, "%s", before);
	cv_buf_put_json(out, file_of(x));
	cv_buf_printf(out, ":%u  ", line);
	cv_buf_put_json(out, place);
}

static void operation_put(const struct cv_facts *f, struct cv_buf *out)
{
	cv_buf_put_json(out, f->op == CV_OP_CONNECT ? CV_STR("CONNECT") : f->method);
	cv_buf_printf(out, " ");
	cv_buf_put_json(out, f->host);
	cv_buf_printf(out, ":%u", f->port);
	if (f->op == CV_OP_REQUEST) {
		cv_buf_put_json(out, f->path);
		if (f->query.p) {
			cv_buf_printf(out, "?");
			cv_buf_put_json(out, f->query);
		}
	}
}

static void verdict_put(struct explanation *x, struct cv_buf *out)
{
	const bool is_allowed = x->v.action == CV_ACTION_ALLOW;
	const bool is_held = x->v.obligations & CV_OBLIGE_APPROVE;

	cv_buf_printf(out, "%s ", is_held ? "HOLD" : is_allowed ? "ALLOW" : "DENY");
	operation_put(x->facts, out);
	if (x->v.reason != CV_REASON_NONE) {
		cv_buf_printf(out,
			is_held      ? "\n  waits for a person's approval: %s: "
			: is_allowed ? "\n  only logged, would be denied: %s: "
				     : "\n  %s: ",
			cv_reason_code(x->v.reason));
		cv_buf_put_json(out, x->text);
	}
	if (x->v.entry != CV_POLICY_NONE) {
		const bool is_deny = x->v.reason == CV_REASON_DENY_RULE;

		line_put(x, out, "\n  decided at ",
			place_of(x, x->v.entry, x->v.endpoint, x->v.rule, is_deny), x->v.line);
	}
	cv_buf_printf(out, "\n");
}

void cv_policy_explain_text(
	const struct cv_policy *policy, const struct cv_facts *facts, struct cv_buf *out)
{
	struct explanation x;

	explanation_init(&x, policy, facts);
	verdict_put(&x, out);
	for (size_t i = 0; i < CV_ARRAY_LEN(obligation_names); i++)
		if (x.v.obligations & obligation_names[i].bit)
			cv_buf_printf(out, "  with %s\n", obligation_names[i].name);
	for (size_t i = 0; i < x.miss_count; i++) {
		const struct cv_near_miss *m = &x.misses[i];

		if (is_the_decider(&x, m) && m->miss == CV_MISS_NONE)
			continue;
		line_put(&x, out, i ? "  near: " : "  nearest: ",
			place_of(&x, m->entry, m->endpoint, m->rule, m->miss == CV_MISS_DENIED),
			m->line);
		cv_buf_printf(out, ": ");
		cv_buf_put_json(out, m->text);
		cv_buf_printf(out, "\n");
	}
	for (size_t i = 0; i < x.allowed_count && x.v.action == CV_ACTION_DENY; i++) {
		cv_buf_printf(out, "  allowed here: ");
		cv_buf_put_json(out, x.allowed[i].method);
		cv_buf_printf(out, " ");
		cv_buf_put_json(out, x.allowed[i].path);
		if (x.allowed[i].rule) {
			cv_buf_printf(out, " with query ");
			cv_policy_query_put(x.allowed[i].rule, out);
		}
		cv_buf_printf(out, "\n");
	}
	cv_arena_fini(&x.arena);
}

static void place_json(struct explanation *x, struct cv_buf *out, uint32_t entry, uint32_t endpoint,
	uint32_t rule, uint32_t line)
{
	if (entry == CV_POLICY_NONE)
		return;
	cv_buf_put_json_member(out, "policy", cv_policy_entry_name(x->p, entry));
	cv_buf_printf(out, ",\"endpoint\":%u,", endpoint);
	if (rule != CV_POLICY_NONE)
		cv_buf_printf(out, "\"rule\":%u,", rule);
	cv_buf_put_json_member(out, "file", file_of(x));
	cv_buf_printf(out, ",\"line\":%u,", line);
}

static void near_json(struct explanation *x, struct cv_buf *out)
{
	cv_buf_printf(out, ",\"near_misses\":[");
	for (size_t i = 0; i < x->miss_count; i++) {
		const struct cv_near_miss *m = &x->misses[i];

		cv_buf_printf(out, i ? ",{" : "{");
		place_json(x, out, m->entry, m->endpoint, m->rule, m->line);
		cv_buf_printf(out, "\"miss\":\"%s\",", miss_names[m->miss]);
		cv_buf_put_json_member(out, "text", m->text);
		cv_buf_printf(out, "}");
	}
	cv_buf_printf(out, "],\"allowed\":[");
	for (size_t i = 0; i < x->allowed_count; i++) {
		cv_buf_printf(out, i ? "," : "");
		cv_policy_allowed_put(&x->allowed[i], out);
	}
	cv_buf_printf(out, "]");
}

void cv_policy_explain_json(
	const struct cv_policy *policy, const struct cv_facts *facts, struct cv_buf *out)
{
	struct explanation x;
	bool is_first = true;

	explanation_init(&x, policy, facts);
	cv_buf_printf(out, "{\"action\":\"%s\",\"reason\":\"%s\",",
		x.v.action == CV_ACTION_ALLOW ? "allow" : "deny", cv_reason_code(x.v.reason));
	place_json(&x, out, x.v.entry, x.v.endpoint, x.v.rule, x.v.line);
	cv_buf_put_json_member(out, "text", x.text);
	cv_buf_printf(out, ",\"obligations\":[");
	for (size_t i = 0; i < CV_ARRAY_LEN(obligation_names); i++)
		if (x.v.obligations & obligation_names[i].bit) {
			cv_buf_printf(
				out, "%s\"%s\"", is_first ? "" : ",", obligation_names[i].name);
			is_first = false;
		}
	cv_buf_printf(out, "]");
	near_json(&x, out);
	cv_buf_printf(out, "}\n");
	cv_arena_fini(&x.arena);
}
