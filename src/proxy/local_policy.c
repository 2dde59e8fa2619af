/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_policy.c - http://policy.local, the read side: what may I do, and why was I refused
 *
 *     GET /v1/policy/current[?format=json|raw]   the policy that decides now
 *     GET /v1/denials[?last=N]                   the newest denials of this run
 *     GET /v1/allowed?host=H[&port=P]            what this caller may do there
 *
 * Routes and bodies of the first two are OpenShell's (openshell-behaviour 3.10).  Proposals are
 * local_proposal.c's.
 */
#include "proxy/local.h"

#include "policy/explain.h"
#include "policy/yaml_json.h"
#include "wire/path.h"
#include "wire/query.h"

#define JSON            CV_STR("application/json")
#define DENIALS_DEFAULT 10
#define HTTPS_PORT      443

struct reply {
	int status;
	struct cv_str type;
	struct cv_buf body;
};

static void member_put(struct cv_buf *b, const char *before, struct cv_str value)
{
	cv_buf_put(b, cv_str_of(before));
	cv_buf_put_json_str(b, value);
}

static void error_set(struct reply *to, int status, const char *error, const char *detail)
{
	cv_buf_reset(&to->body);
	to->status = status;
	to->type = JSON;
	cv_buf_printf(&to->body, "{\"error\":\"%s\",\"detail\":\"%s\"}", error, detail);
}

struct cv_str cv_local_query(struct cv_proxy *p, const struct cv_h1_request *r, struct cv_str key)
{
	struct cv_query_pair pair;
	struct cv_query q;

	cv_query_start(&q, r->query, &p->arena);
	while (cv_query_next(&q, &pair) == CV_QUERY_PAIR)
		if (cv_str_eq(pair.key, key))
			return pair.value;
	return CV_STR_NONE;
}

static void current_get(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct reply *to)
{
	const struct cv_str format = cv_local_query(p, r, CV_STR("format"));
	bool is_good = true;

	(void)f;
	if (!p->policy_text.p) {
		error_set(to, 404, "policy_unavailable", "this sandbox runs without a policy");
	} else if (cv_str_eq(format, CV_STR("raw"))) {
		to->type = CV_STR("application/yaml");
		is_good = cv_buf_put(&to->body, p->policy_text);
	} else if (cv_str_eq(format, CV_STR("json"))) {
		cv_buf_put(&to->body, CV_STR("{\"format\":\"json\",\"policy\":"));
		is_good = cv_policy_yaml_to_json(p->policy_text, &to->body) &&
			  cv_buf_put_byte(&to->body, '}');
	} else {
		member_put(&to->body, "{\"format\":\"yaml\",\"policy_yaml\":", p->policy_text);
		is_good = cv_buf_put_byte(&to->body, '}');
	}
	if (!is_good)
		error_set(
			to, 500, "policy_serialize_failed", "the policy is too large to be shown");
}

static void denials_get(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct reply *to)
{
	const struct cv_denied *d = &p->sinks.denied;
	uint64_t last = DENIALS_DEFAULT;

	(void)f;
	if (cv_str_to_u64(cv_local_query(p, r, CV_STR("last")), UINT32_MAX, &last))
		last = CV_MIN(CV_MAX(last, (uint64_t)1), (uint64_t)CV_PROXY_DENIED_MAX);
	const size_t n = (size_t)CV_MIN(last, (uint64_t)cv_denied_kept(d));
	cv_buf_put(&to->body, CV_STR("{\"denials\":["));
	for (size_t i = 0; i < n; i++)
		member_put(&to->body, i ? "," : "", cv_denied_at(d, i));
	cv_buf_put(&to->body, CV_STR("],\"log_available\":true}"));
}

static void allowed_put(struct cv_proxy *p, struct cv_flow *to, struct cv_buf *b)
{
	struct cv_allowed_row row[CV_PROXY_ALLOWED_ROWS_MAX];
	struct cv_facts facts;

	cv_decide_facts(p, to, CV_OP_CONNECT, &facts);
	const size_t n =
		cv_policy_allowed(p->policy, &facts, &p->arena, row, CV_PROXY_ALLOWED_ROWS_MAX);
	cv_buf_put(b, CV_STR(",\"allowed\":["));
	for (size_t i = 0; i < n; i++) {
		cv_buf_put(b, i ? CV_STR(",") : CV_STR_NONE);
		cv_policy_allowed_put(&row[i], b);
	}
	cv_buf_put_byte(b, ']');
}

static void allowed_get(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct reply *to)
{
	static struct cv_flow there; /* scratch: the caller, and where it would go */
	const struct cv_str port = cv_local_query(p, r, CV_STR("port"));
	uint64_t n = HTTPS_PORT;

	there = (struct cv_flow){ .who = f->who, .who_problem = f->who_problem };
	if (cv_host_parse_bare(cv_local_query(p, r, CV_STR("host")), &there.host) != CV_HOST_OK ||
		(port.p && (!cv_str_to_u64(port, UINT16_MAX, &n) || n == 0))) {
		error_set(to, 400, "invalid_request", "give host=NAME and perhaps port=1 to 65535");
		return;
	}
	there.port = (uint16_t)n;
	const bool is_allowed = cv_decide_connect(p, &there);
	const struct cv_verdict *v = &there.verdict;
	member_put(&to->body, "{\"host\":", cv_host_str(&there.host));
	cv_buf_printf(&to->body, ",\"port\":%u", there.port);
	if (f->who && f->who->facts.exe.n)
		member_put(&to->body, ",\"binary\":", f->who->facts.exe);
	cv_buf_printf(&to->body, ",\"connect\":%s", is_allowed ? "true" : "false");
	if (is_allowed)
		member_put(&to->body, ",\"policy\":", cv_policy_entry_name(there.policy, v->entry));
	else
		member_put(&to->body,
			",\"reason\":", cv_decide_reason(p, &there, v, NULL, CV_STR_NONE));
	cv_buf_printf(&to->body, ",\"inspected\":%s",
		is_allowed && (v->obligations & CV_OBLIGE_INSPECT) ? "true" : "false");
	allowed_put(p, &there, &to->body);
	cv_buf_put_byte(&to->body, '}');
	cv_policy_unref(there.policy);
}

static void not_found(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct reply *to)
{
	(void)p;
	(void)f;
	(void)r;
	error_set(to, 404, "not_found",
		"GET /v1/policy/current, /v1/denials?last=N, /v1/allowed?host=H&port=P, "
		"POST /v1/proposals");
}

static const struct route {
	struct cv_str method, path;
	void (*get)(
		struct cv_proxy *, struct cv_flow *, const struct cv_h1_request *, struct reply *);
} route[] = {
	{ CV_STR("GET"), CV_STR("/v1/policy/current"), current_get },
	{ CV_STR("GET"), CV_STR("/v1/denials"), denials_get },
	{ CV_STR("GET"), CV_STR("/v1/allowed"), allowed_get },
};

static const struct route *route_find(struct cv_str method, struct cv_str path)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(route); i++) {
		const struct route *at = &route[i];

		if (cv_str_eq(method, at->method) && cv_str_eq(path, at->path))
			return at;
	}
	return NULL;
}

bool cv_local_policy_step(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	struct reply to = { .status = 200, .type = JSON };
	const struct route *at = route_find(r->method, r->path);

	if (cv_local_proposal_is(r))
		return cv_local_proposal_head(p, f, r);
	cv_buf_init(&to.body, CV_PROXY_ANSWER_BYTES_MAX);
	if (at)
		at->get(p, f, r, &to);
	else
		not_found(p, f, r, &to);
	cv_local_record(p, f, r, to.status);
	cv_local_answer(p, f, to.status, to.type, cv_buf_str(&to.body),
		cv_str_eq(r->method, CV_STR("HEAD")));
	cv_buf_fini(&to.body);
	return true;
}
