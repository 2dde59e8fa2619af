/* SPDX-License-Identifier: Apache-2.0 */
/*
 * denial.c - see denial.h
 */
#include "proxy/denial.h"

#include "base/assert.h"
#include "plan/rootfs.h"
#include "policy/explain.h"
#include "proxy/local.h"
#include "proxy/h2.h"
#include "wire/h1_write.h"

#define ROW(name, status, error, member, code) { status, error, member, code },
static const struct {
	int status;
	const char *error, *member, *code;
} denial_row[] = { CV_DENIALS(ROW) };

const char *cv_denial_code(enum cv_denial d)
{
	return denial_row[d].code;
}

int cv_denial_status(enum cv_denial d)
{
	return denial_row[d].status;
}

/* ---- JSON, member by member ---- */

static void member_put(struct cv_buf *b, const char *key, struct cv_str value)
{
	cv_buf_put_byte(b, ',');
	cv_buf_put_json_member(b, key, value);
}

static struct cv_str path_shown(const struct cv_denial_text *t)
{
	if (t->path.n)
		return t->path;
	return t->request && t->request->path.n ? t->request->path : CV_STR("/");
}

/* "CONNECT h:p", "GET h:p/path" or, inside a tunnel, "GET /path". */
static void subject_put(
	struct cv_buf *b, const struct cv_flow *f, enum cv_denial d, const struct cv_denial_text *t)
{
	const struct cv_authority a = { f->host, f->port };

	cv_buf_put_json(b, t->request ? t->request->method : CV_STR("CONNECT"));
	cv_buf_put_byte(b, ' ');
	if (d != CV_DENIAL_L7)
		cv_authority_write(b, &a, 0);
	if (t->request && d != CV_DENIAL_SSRF)
		cv_buf_put_json(b, path_shown(t));
}

/* ---- the sentence ---- */

/* One is: before, what it is about, after, and the denial's own why. */
struct sentence {
	const char *before;
	enum { ABOUT_NOTHING, ABOUT_REQUEST, ABOUT_UPSTREAM } about;
	const char *after;
	bool ends_with_why;
};

/* clang-format off */
/* The first two of credentials are OpenShell's; why is said in a member of its own. */
static const struct sentence sentence_of[CV_DENIAL_COUNT] = {
	[CV_DENIAL_PROTOCOL]  = { .ends_with_why = true },
	[CV_DENIAL_NO_TLS]    = { .ends_with_why = true },
	[CV_DENIAL_AUDIT]     = { .ends_with_why = true },
	[CV_DENIAL_UPSTREAM]  = { .ends_with_why = true },
	[CV_DENIAL_WEBSOCKET] = { .ends_with_why = true },
	[CV_DENIAL_TARGET]    = { .ends_with_why = true },
	[CV_DENIAL_TIMEOUT]   = { .ends_with_why = true },
	[CV_DENIAL_APPROVAL_DENIED]  = { .ends_with_why = true },
	[CV_DENIAL_APPROVAL_TIMEOUT] = { .ends_with_why = true },
	[CV_DENIAL_APPROVAL_FLOOD]   = { .ends_with_why = true },
	[CV_DENIAL_SSRF]           = { "", ABOUT_REQUEST, " blocked: ", true },
	[CV_DENIAL_UNREACHABLE]    = { "connection to ", ABOUT_UPSTREAM, " failed", false },
	[CV_DENIAL_UPSTREAM_TLS]   = { "TLS to ", ABOUT_UPSTREAM, " failed: ", true },
	[CV_DENIAL_UPSTREAM_PROXY] = { "the upstream proxy did not connect to ", ABOUT_UPSTREAM, ": ", true },
	[CV_DENIAL_AUTHORITY] = { "HTTP request authority does not match the authorized tunnel endpoint" },
	[CV_DENIAL_MIDDLEWARE_DENIED]   = { "Request rejected by configured middleware" },
	[CV_DENIAL_MIDDLEWARE_FAILED]   = { "Request could not be processed by configured middleware" },
	[CV_DENIAL_MIDDLEWARE_REQUIRED] = { "tls: skip tunnel cannot be inspected by required middleware" },
	[CV_DENIAL_UNINSPECTED] =
		{ "credentialed endpoint requires L7 inspection; raw tunnel is not explicitly allowed" },
	[CV_DENIAL_CREDENTIAL_PLACE]       = { "Credential is not authorized for this request endpoint" },
	[CV_DENIAL_CREDENTIAL_UNAVAILABLE] = { "Credential placeholder could not be resolved" },
	[CV_DENIAL_CREDENTIAL_EXPIRED]     = { "Credential has expired and can't be renewed" },
	[CV_DENIAL_CREDENTIAL_SIGNING]     = { "Request can't be signed with the provider's credential" },
	[CV_DENIAL_CREDENTIAL_RENEWAL]     = { "Credential could not be renewed" },
	[CV_DENIAL_CREDENTIAL_KEEPER]      = { "Credentials are not available now; try again" },
	[CV_DENIAL_CREDENTIAL_TOKENS]      = { "The answer of this token endpoint can't be handed on" },
	[CV_DENIAL_BODY_LONG] = { .ends_with_why = true },
	[CV_DENIAL_BODY_LATE] = { .ends_with_why = true },
	[CV_DENIAL_BODY_ROOM] = { .ends_with_why = true },
	[CV_DENIAL_CREDENTIAL_OWN]         = { "This endpoint takes the provider's credential only" },
};
/* clang-format on */

/* Of the two kinds whose words are the verdict's. */
static struct sentence policy_sentence(enum cv_denial d, const struct cv_verdict *v)
{
	struct sentence s = { .about = ABOUT_REQUEST, .after = " not permitted by policy" };

	if (d == CV_DENIAL_L7) {
		if (v && v->reason == CV_REASON_DENY_RULE)
			s.after = " blocked by deny rule";
	} else if (v && v->reason == CV_REASON_NO_PATH_ENDPOINT) {
		s.after = " did not match an L7 endpoint path";
	} else if (v) {
		s.after = " denied by L7 policy: ";
		s.ends_with_why = true;
	}
	return s;
}

static void sentence_put(
	struct cv_buf *b, const struct cv_flow *f, enum cv_denial d, const struct cv_denial_text *t)
{
	const struct cv_authority upstream = { f->host, f->port };
	const struct sentence s = d == CV_DENIAL_POLICY || d == CV_DENIAL_L7
					  ? policy_sentence(d, t->verdict)
					  : sentence_of[d];

	cv_assert(s.before || s.about || s.ends_with_why); /* it has a row */
	if (s.before)
		cv_buf_put(b, cv_str_of(s.before));
	if (s.about == ABOUT_REQUEST)
		subject_put(b, f, d, t);
	else if (s.about == ABOUT_UPSTREAM)
		cv_authority_write(b, &upstream, 0);
	if (s.after)
		cv_buf_put(b, cv_str_of(s.after));
	if (s.ends_with_why)
		cv_buf_put_json(b, t->why);
}

/* What this host would accept: method and path templates, and what a query must hold. */
static void allowed_put(struct cv_proxy *p, const struct cv_flow *f, const struct cv_denial_text *t,
	struct cv_buf *b)
{
	struct cv_allowed_row row[CV_PROXY_ALLOWED_ROWS_MAX];
	struct cv_facts facts;
	struct cv_buf one;
	bool has_any = false;

	cv_buf_init(&one, CV_PROXY_DENIAL_BYTES_MAX / 4);
	cv_decide_facts(p, f, t->request ? CV_OP_REQUEST : CV_OP_CONNECT, &facts);
	if (t->request) {
		facts.method = t->request->method;
		facts.path = path_shown(t);
		facts.query = t->request->query;
	}
	const size_t n =
		cv_policy_allowed(f->policy, &facts, &p->arena, row, CV_PROXY_ALLOWED_ROWS_MAX);
	cv_buf_put(b, CV_STR(",\"allowed\":["));
	for (size_t i = 0; i < n && cv_buf_len(b) < CV_PROXY_DENIAL_BYTES_MAX / 2; i++) {
		cv_buf_reset(&one);
		cv_policy_allowed_put(&row[i], &one);
		if (one.is_overflown) /* conditions that leave no room for others */
			continue;
		cv_buf_put(b, has_any ? CV_STR(",") : CV_STR_NONE);
		cv_buf_put(b, cv_buf_str(&one));
		has_any = true;
	}
	cv_buf_fini(&one);
	cv_buf_put_byte(b, ']');
}

static void place_put(struct cv_buf *b, const struct cv_flow *f, const struct cv_denial_text *t)
{
	cv_buf_put(b, CV_STR(",\"layer\":\"l7\""));
	member_put(b, "method", t->request->method);
	member_put(b, "path", path_shown(t));
	member_put(b, "host", cv_host_str(&f->host));
	cv_buf_printf(b, ",\"port\":%u", f->port);
	if (f->who && f->who->facts.exe.n)
		member_put(b, "binary", f->who->facts.exe);
}

/* The members that only a denied request inside a tunnel has. */
static void l7_put(struct cv_buf *b, const struct cv_flow *f, const struct cv_denial_text *t)
{
	member_put(b, "policy", cv_policy_entry_name(f->policy, t->verdict->entry));
	cv_buf_put(b, CV_STR(",\"rule\":\""));
	cv_buf_put_json(b, t->request->method);
	cv_buf_put_byte(b, ' ');
	cv_buf_put_json(b, path_shown(t));
	cv_buf_put(b, CV_STR("\",\"protocol\":\"rest\""));
	place_put(b, f, t);
	cv_buf_put(b, CV_STR(",\"rule_missing\":{\"type\":\"rest_allow\""));
	place_put(b, f, t);
	cv_buf_put_byte(b, '}');
}

/* Who may ask for a rule is told how; OpenShell's agents look for these (openshell-behaviour 4.4). */
static void next_steps_put(struct cv_buf *b, bool may_propose)
{
	cv_buf_put(b, CV_STR(",\"next_steps\":["));
	if (!may_propose) {
		cv_buf_put_byte(b, ']');
		return;
	}
#define STEP(action, more) "{\"action\":\"" action "\"," more "}"
#define CALL(method, path) "\"method\":\"" method "\",\"url\":\"http://policy.local" path "\""
	cv_buf_put(b,
		CV_STR(STEP("read_skill", "\"path\":\"" CV_ADVISOR_SKILL "\"") "," STEP(
			"inspect_policy",
			CALL("GET", "/v1/policy/current")) "," STEP("inspect_recent_denials",
			CALL("GET", "/v1/denials?last=5")) "," STEP("submit_proposal",
			CALL("POST",
				"/v1/proposals") ",\"body_type\":\"PolicyMergeOperation\"") "],"
											    "\"agent_guidance\":\"The policy of this sandbox does not allow this. Look whether an "
											    "allowed request does the job. If not, read the skill and propose the least rule that "
											    "the task needs, say what it is for, and wait for the decision at "
											    "/v1/proposals/ID/wait; once it is approved and loaded, send the request again. Do "
											    "not look for a way round.\""));
#undef CALL
#undef STEP
}

/* What OpenShell's clients look for, and which middleware it was. */
static void middleware_put(
	struct cv_buf *b, const struct cv_flow *f, const struct cv_denial_text *t)
{
	if (f->policy && t->verdict)
		member_put(b, "policy", cv_policy_entry_name(f->policy, t->verdict->entry));
	member_put(b, "middleware", t->middleware);
	if (t->reason_code.n)
		member_put(b, "reason_code", t->reason_code);
	member_put(b, "reason", t->why);
	if (t->request)
		place_put(b, f, t);
}

static void body_put(struct cv_proxy *p, const struct cv_flow *f, enum cv_denial d,
	const struct cv_denial_text *t, struct cv_buf *b)
{
	cv_buf_printf(b, "{\"error\":\"%s\",\"%s\":\"", denial_row[d].error, denial_row[d].member);
	sentence_put(b, f, d, t);
	cv_buf_put_byte(b, '"');
	if (d == CV_DENIAL_L7)
		l7_put(b, f, t);
	if (t->middleware.n)
		middleware_put(b, f, t);
	if (t->why.n && (d >= CV_DENIAL_CREDENTIAL_PLACE || (d == CV_DENIAL_POLICY && !t->verdict)))
		member_put(b, "reason", t->why);
	if (d == CV_DENIAL_L7 || d == CV_DENIAL_POLICY)
		allowed_put(p, f, t, b);
	if (d == CV_DENIAL_L7 || (d == CV_DENIAL_POLICY && p->may_propose))
		next_steps_put(b, p->may_propose);
	cv_buf_put_byte(b, '}');
}

/* What gRPC's clients make of a status (its own mapping, statuses of ours). */
static unsigned grpc_status(int status)
{
	return status == 403 || status == 421 ? 7 : status == 504 ? 4 : status >= 500 ? 14 : 13;
}

/* A client of gRPC reads no body of an error: the reason is in its trailers, which stand in the
 * head when there is nothing else. */
static void grpc_answer(struct cv_proxy *p, struct cv_flow *f, int status, struct cv_str text)
{
	static const char hex[] = "0123456789ABCDEF";

	cv_buf_reset(&p->head);
	cv_buf_printf(&p->head,
		"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: %u\r\n"
		"grpc-message: ",
		grpc_status(status));
	for (size_t i = 0; i < text.n && i < CV_PROXY_GRPC_MESSAGE_BYTES_MAX; i++) {
		const unsigned char c = (unsigned char)text.p[i];
		const char coded[] = { '%', hex[c >> 4], hex[c & 15] };

		if (c > 0x20 && c < 0x7f && c != '%')
			cv_buf_put_byte(&p->head, text.p[i]);
		else if (c == ' ' && i > 0 && i + 1 < text.n)
			cv_buf_put_byte(&p->head, ' ');
		else
			cv_buf_put(&p->head, (struct cv_str){ coded, sizeof(coded) });
	}
	cv_buf_put(&p->head, CV_STR("\r\ncontent-length: 0\r\n\r\n"));
	cv_leg_put(&f->client, cv_buf_str(&p->head));
	cv_flow_finish(p, f);
}

/* Status, fields and body as the sandbox will see them, then the end of the flow. */
static void answer(struct cv_proxy *p, struct cv_flow *f, int status,
	const struct cv_h1_header *fields, size_t field_count, struct cv_str body, bool is_head)
{
	const struct cv_h1_edit edit = {
		.set = fields,
		.set_count = field_count,
		.body = body.n || field_count ? CV_H1_BODY_LENGTH : CV_H1_BODY_NONE,
		.length = body.n,
	};

	if (f->is_routed) { /* nobody reads it: whoever asked goes on with the next route */
		cv_local_inner_failed(p, f);
		cv_flow_end(p, f, true);
		return;
	}
	cv_buf_reset(&p->head);
	if (cv_h1_write_status(&p->head, status, &edit) && (is_head || cv_buf_put(&p->head, body)))
		cv_leg_put(&f->client, cv_buf_str(&p->head));
	cv_flow_finish(p, f);
}

/* An entry's name is any text; as a header's value it must be one. */
static struct cv_str header_value(struct cv_str s)
{
	return cv_h1_is_field_value(s) ? s : CV_STR("-");
}

void cv_deny(
	struct cv_proxy *p, struct cv_flow *f, enum cv_denial d, const struct cv_denial_text *t)
{
	struct cv_h1_header field[2] = {
		{ .name = CV_STR("Content-Type"), .value = CV_STR("application/json") },
	};
	size_t n = 1;
	struct cv_buf body;

	cv_buf_init(&body, CV_PROXY_DENIAL_BYTES_MAX);
	body_put(p, f, d, t, &body);
	if (body.is_overflown) { /* names and paths of many escapes: say less */
		cv_buf_reset(&body);
		cv_buf_printf(&body, "{\"error\":\"%s\"}", denial_row[d].error);
	}
	if (d == CV_DENIAL_L7)
		field[n++] = (struct cv_h1_header){
			.name = CV_STR("X-OpenShell-Policy"),
			.value = header_value(cv_policy_entry_name(f->policy, t->verdict->entry)),
		};
	if (f->stream && f->stream->is_grpc) {
		cv_buf_reset(&body);
		cv_buf_printf(&body, "%s: ", denial_row[d].error);
		sentence_put(&body, f, d, t);
		grpc_answer(p, f, denial_row[d].status, cv_buf_str(&body));
		cv_buf_fini(&body);
		return;
	}
	/* on a connection of streams, 421 tells the client to make one of its own for that host */
	const int status = d == CV_DENIAL_AUTHORITY && f->stream ? 421 : denial_row[d].status;
	answer(p, f, status, field, n, cv_buf_str(&body),
		t->request && cv_str_eq(t->request->method, CV_STR("HEAD")));
	cv_buf_fini(&body);
}

void cv_deny_json(
	struct cv_proxy *p, struct cv_flow *f, int status, struct cv_str body, bool is_head)
{
	const struct cv_h1_header field = {
		.name = CV_STR("Content-Type"),
		.value = CV_STR("application/json"),
	};

	answer(p, f, status, &field, 1, body, is_head);
}

void cv_deny_fields(struct cv_proxy *p, struct cv_flow *f, int status,
	const struct cv_h1_header *fields, size_t field_count, struct cv_str body, bool is_head)
{
	answer(p, f, status, fields, field_count, body, is_head);
}

void cv_deny_bare(struct cv_proxy *p, struct cv_flow *f, int status, struct cv_str body)
{
	answer(p, f, status, NULL, 0, body, false);
}
