/* SPDX-License-Identifier: Apache-2.0 */
/* approve.c - see approve.h */
#include "proxy/approve.h"

#include "base/assert.h"
#include "ipc/approve_link.h"
#include "proxy/idle.h"

#include <stdio.h>

/* ---- the question ---- */

static struct cv_str scheme_of(const struct cv_flow *f)
{
	return f->is_tls ? CV_STR("https") : CV_STR("http");
}

/* "POST https://api.example.com:443/v1/things" */
static struct cv_str what_of(struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_h1_request *r, struct cv_str path)
{
	return cv_arena_printf(&p->arena, "%.*s %.*s://%s:%u%.*s", CV_STR_ARG(r->method),
		CV_STR_ARG(scheme_of(f)), f->host.text, f->port, CV_STR_ARG(path));
}

/* The line of the request as it will be sent, and what is known of a body that nobody has read. */
static struct cv_str text_of(struct cv_proxy *p, const struct cv_h1_request *r, struct cv_str path)
{
	const struct cv_h1_header *type;
	size_t at = 0;
	char length[64] = "";

	if (r->body == CV_H1_BODY_LENGTH)
		snprintf(length, sizeof(length), ", body of %llu bytes",
			(unsigned long long)r->length);
	else if (r->body == CV_H1_BODY_CHUNKED)
		snprintf(length, sizeof(length), ", body of unknown length");
	type = cv_h1_header_next_named(r->header, r->header_count, CV_STR("Content-Type"), &at);
	return cv_arena_printf(&p->arena, "%.*s %.*s%s%.*s%s%s%.*s", CV_STR_ARG(r->method),
		CV_STR_ARG(path), r->query.p ? "?" : "", CV_STR_ARG(r->query), length,
		type ? ", " : "", CV_STR_ARG(type ? type->value : CV_STR_NONE));
}

static bool ask_send(struct cv_proxy *p, const struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_str path)
{
	struct cv_ask ask = {
		.id = f->http.approval.id,
		.what = what_of(p, f, r, path),
		.text = text_of(p, r, path),
		.rule = cv_policy_entry_name(f->policy, f->http.verdict.entry),
		.flags = CV_ASK_NETWORK,
	};
	struct cv_buf body;

	if (f->who) {
		ask.who = f->who->facts.exe;
		ask.pid = f->who->pid;
		for (size_t i = 0; i < f->who->facts.ancestor_count; i++)
			if (ask.ancestor_count < CV_ARRAY_LEN(ask.ancestors))
				ask.ancestors[ask.ancestor_count++] = f->who->facts.ancestors[i];
	}
	cv_buf_init(&body, CV_IPC_BODY_BYTES_MAX);
	const bool is_sent = cv_ask_put(&body, &ask) && cv_ipc_send_now(p->link, CV_PROXY_REPLY_ASK,
								cv_buf_str(&body), NULL) == CV_OK;
	cv_buf_fini(&body);
	return is_sent;
}

/* A question that can't be asked is answered at once. */
static void ask(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	struct cv_approval *a = &f->http.approval;

	*a = (struct cv_approval){ .state = CV_APPROVAL_ANSWERED, .answer = CV_APPROVAL_FLOOD };
	if (p->asks_held == CV_PROXY_ASKS_MAX)
		return;
	a->id = ++p->ask_id;
	if (!ask_send(p, f, r, path))
		return;
	a->state = CV_APPROVAL_HELD;
	p->asks_held++;
	if (f->stream || !f->is_tunnel)
		return;
	/* what was dialled for it would only be closed by the other side, for its silence */
	cv_idle_put(p, f);
	cv_flow_drop_server(f);
}

static void ask_forget(struct cv_proxy *p, struct cv_approval *a)
{
	if (a->state != CV_APPROVAL_HELD)
		return;
	a->state = CV_APPROVAL_NONE;
	p->asks_held--;
}

void cv_approve_end(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_approval *a = &f->http.approval;
	struct cv_buf body;

	if (a->state != CV_APPROVAL_HELD)
		return;
	ask_forget(p, a);
	cv_buf_init(&body, 16);
	cv_ipc_put_u64(&body, a->id);
	/* not taken: the supervisor's time for it ends, too */
	(void)!cv_ipc_send_now(p->link, CV_PROXY_REPLY_ASK_END, cv_buf_str(&body), NULL);
	cv_buf_fini(&body);
}

/* ---- the answer ---- */

/* One event of who said what; what becomes of the request has its own. */
static void answer_record(struct cv_proxy *p, const struct cv_flow *f, enum cv_approval_answer what,
	struct cv_str who)
{
	static const char *const message[CV_APPROVAL_ANSWER_COUNT] = {
		[CV_APPROVAL_DENY] = "held request was denied",
		[CV_APPROVAL_ALLOW] = "held request was approved",
		[CV_APPROVAL_TIMEOUT] = "held request was not answered",
		[CV_APPROVAL_FLOOD] = "held request was denied unseen",
	};
	const struct cv_str text = f->hold ? cv_buf_str(&f->hold->head) : cv_leg_text(&f->client);
	const struct cv_audit_pair extra[] = {
		{ "request", cv_str_slice(text, 0, CV_MIN(cv_str_find_byte(text, '\r'), 1024)) },
		{ "rule", cv_policy_entry_name(f->policy, f->http.verdict.entry) },
		{ "by", who },
	};
	struct cv_audit_event e = {
		.kind = CV_AUDIT_CONFIG,
		.activity = CV_ACTIVITY_OTHER,
		.action = what == CV_APPROVAL_ALLOW ? CV_AUDIT_ACTION_ALLOW : CV_AUDIT_ACTION_DENY,
		.host = cv_host_str(&f->host),
		.port = f->port,
		.message = cv_str_of(message[what]),
		.extra = extra,
		.extra_count = CV_ARRAY_LEN(extra),
	};

	cv_sinks_event(&p->sinks, &e);
}

static struct cv_flow *held_find(struct cv_proxy *p, uint64_t id)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state != CV_FLOW_FREE && f->http.approval.state == CV_APPROVAL_HELD &&
			f->http.approval.id == id)
			return f;
	}
	return NULL;
}

bool cv_approve_answer(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint64_t id = cv_ipc_get_u64(&r);
	const uint32_t what = cv_ipc_get_u32(&r);
	const struct cv_str who = cv_ipc_get_str(&r);

	if (!cv_ipc_reader_is_done(&r) || what >= CV_APPROVAL_ANSWER_COUNT)
		return false;
	struct cv_flow *f = held_find(p, id);
	if (!f)
		return true; /* its client went away meanwhile */
	ask_forget(p, &f->http.approval);
	f->http.approval.state = CV_APPROVAL_ANSWERED;
	f->http.approval.answer = (enum cv_approval_answer)what;
	answer_record(p, f, (enum cv_approval_answer)what, who);
	f->deadline_ms = p->loop.now_ms + CV_PROXY_HEAD_MS;
	cv_proxy_queue(p, f);
	return true;
}

static enum cv_approve_step refuse(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	static const struct {
		enum cv_denial denial;
		const char *why;
	} row[CV_APPROVAL_ANSWER_COUNT] = {
		[CV_APPROVAL_DENY] = { CV_DENIAL_APPROVAL_DENIED,
			"a person has denied the request" },
		[CV_APPROVAL_TIMEOUT] = { CV_DENIAL_APPROVAL_TIMEOUT,
			"nobody has approved the request in time" },
		[CV_APPROVAL_FLOOD] = { CV_DENIAL_APPROVAL_FLOOD,
			"too many requests wait for a person already, or came in a short time" },
	};
	const enum cv_approval_answer a = f->http.approval.answer;
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.request = r,
		.path = path,
		.verdict = &f->http.verdict,
		.engine = "l7",
		.reason_code = cv_denial_code(row[a].denial),
		.reason = cv_str_of(row[a].why),
		.status = (uint16_t)cv_denial_status(row[a].denial),
	};
	const struct cv_denial_text t = {
		.request = r,
		.path = path,
		.why = cv_str_of(row[a].why),
	};

	cv_decide_record(p, f, &fact);
	cv_deny(p, f, row[a].denial, &t);
	return CV_APPROVE_ENDED;
}

/* An end of a stream's request is no end of its client; see approve.h for the others. */
static bool is_client_gone(const struct cv_flow *f)
{
	const struct cv_leg *c = &f->client;

	return c->is_broken || (!f->stream && (c->is_eof || c->is_wire_eof || c->has_hangup));
}

enum cv_approve_step cv_approve_request(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	struct cv_approval *a = &f->http.approval;

	if (!(f->verdict.obligations & CV_OBLIGE_INSPECT) ||
		!(f->http.verdict.obligations & CV_OBLIGE_APPROVE)) {
		cv_approve_end(p, f); /* a policy that came meanwhile asks nobody */
		return CV_APPROVE_PASS;
	}
	if (a->state == CV_APPROVAL_NONE)
		ask(p, f, r, path);
	if (a->state == CV_APPROVAL_HELD) {
		f->deadline_ms = p->loop.now_ms + CV_PROXY_ASK_MS;
		if (!is_client_gone(f))
			return CV_APPROVE_WAIT;
		cv_flow_end(p, f, false);
		return CV_APPROVE_ENDED;
	}
	return a->answer == CV_APPROVAL_ALLOW ? CV_APPROVE_PASS : refuse(p, f, r, path);
}
