/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_proposal.c - http://policy.local/v1/proposals: an agent asks for a rule, and waits for word
 *
 *     POST /v1/proposals            BODY --read, PROPOSE SUBMIT--> ASKED --PROPOSED--> answered
 *     GET  /v1/proposals/ID         PROPOSE SHOW --> ASKED --PROPOSED--> answered
 *     GET  /v1/proposals/ID/wait    ... --PROPOSED, not decided--> PAUSE --a moment--> ASKED ...
 *
 * Routes and bodies are OpenShell's (openshell-behaviour 3.10).  The document is read here, and what goes
 * on is data (plan/proposal.h); what is answered is the gateway's text.  An agent can propose as
 * fast as it likes, and each proposal is a write of the gateway's: so there is a limit by the minute.
 */
#include "proxy/local.h"

#include "ipc/gateway_link.h"
#include "plan/proposal.h"
#include "proxy/body.h"
#include "wire/json_value.h"

#include <stdlib.h>

#define JSON      CV_STR("application/json")
#define PROPOSALS CV_STR("/v1/proposals")
#define WAIT      CV_STR("/wait")

enum phase { BODY, ASKED, PAUSE };

struct cv_local_proposal {
	enum phase phase;
	struct cv_arena arena; /* of the head's copy */
	struct cv_h1_request request;
	struct cv_body up;
	struct cv_buf body;
	struct cv_str id; /* SHOW; in the arena */
	uint64_t tag;
	int64_t until_ms; /* of the loop: who waits is answered by then; 0: at once */
};

static bool is_submit(const struct cv_local_proposal *l)
{
	return l->id.p == NULL;
}

static void finish(struct cv_proxy *p, struct cv_flow *f, int status, struct cv_str json)
{
	const struct cv_h1_request *r = &f->local->proposal->request;

	cv_local_record(p, f, r, status);
	cv_local_answer(p, f, status, JSON, json, false);
}

CV_PRINTF(5, 6)
static bool refuse(
	struct cv_proxy *p, struct cv_flow *f, int status, const char *error, const char *fmt, ...)
{
	char detail[512];
	struct cv_buf b;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	cv_buf_init(&b, 4096);
	cv_buf_printf(&b, "{\"error\":\"%s\",\"detail\":", error);
	cv_buf_put_json_str(&b, cv_str_of(detail));
	cv_buf_put_byte(&b, '}');
	finish(p, f, status, cv_buf_str(&b));
	cv_buf_fini(&b);
	return true;
}

/* ---- asking ---- */

static bool ask(
	struct cv_proxy *p, struct cv_flow *f, enum cv_gateway_propose what, struct cv_str text)
{
	struct cv_local_proposal *l = f->local->proposal;
	struct cv_buf b;

	l->tag = ++p->proposal_tag;
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	cv_ipc_put_u64(&b, l->tag);
	cv_ipc_put_u32(&b, what);
	cv_ipc_put_str(&b, text);
	const bool is_sent = !b.is_overflown && cv_ipc_send_now(p->link, CV_PROXY_REPLY_PROPOSE,
							cv_buf_str(&b), NULL) == CV_OK;
	cv_buf_fini(&b);
	if (!is_sent)
		return refuse(p, f, 503, "gateway_unavailable", "try again");
	l->phase = ASKED;
	f->deadline_ms = p->loop.now_ms + CV_PROXY_PROPOSAL_MS;
	return true;
}

static bool may_propose(struct cv_proxy *p)
{
	if (p->loop.now_ms - p->proposals_since_ms >= 60000) {
		p->proposals_since_ms = p->loop.now_ms;
		p->proposals = 0;
	}
	return p->proposals++ < CV_PROXY_PROPOSALS_MINUTE_MAX;
}

static bool submit(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_value *document;
	struct cv_proposals all;
	struct cv_arena arena;
	struct cv_err err;
	struct cv_buf bytes;
	size_t at = 0;
	bool ret;

	if (!may_propose(p))
		return refuse(p, f, 429, "too_many_proposals", "at most %d in a minute",
			CV_PROXY_PROPOSALS_MINUTE_MAX);
	cv_arena_init(&arena, CV_PROXY_PROPOSAL_ARENA_MAX);
	cv_buf_init(&bytes, CV_PROPOSALS_BYTES_MAX);
	const enum cv_json_problem problem =
		cv_json_value_read(cv_buf_str(&f->local->proposal->body), &arena, &document, &at);
	if (problem != CV_JSON_PROBLEM_NONE)
		ret = refuse(p, f, 400, "invalid_proposal", "no JSON, at byte %zu: %s", at,
			cv_json_problem_text(problem));
	else if (cv_proposals_read(document, &arena, &all, &err) != CV_OK)
		ret = refuse(p, f, 400, "invalid_proposal", "%s", err.msg);
	else if (!cv_proposals_put(&all, &bytes))
		ret = refuse(p, f, 400, "invalid_proposal", "too long");
	else
		ret = ask(p, f, CV_GATEWAY_PROPOSE_SUBMIT, cv_buf_str(&bytes));
	cv_buf_fini(&bytes);
	cv_arena_fini(&arena);
	return ret;
}

/* ---- the request ---- */

static struct cv_local_proposal *proposal_new(struct cv_flow *f, const struct cv_h1_request *r)
{
	struct cv_local_proposal *l = calloc(1, sizeof(*l));

	f->local->proposal = l;
	if (!l)
		return NULL;
	cv_arena_init(&l->arena, 4 * CV_H1_TUNNEL_HEAD_BYTES_MAX);
	cv_buf_init(&l->body, CV_PROPOSAL_JSON_MAX);
	return cv_local_head_take(f, r, &l->arena, &l->request) ? l : NULL;
}

static bool id_is_good(struct cv_str id)
{
	bool is_good = id.n > 0 && id.n <= CV_PROPOSAL_ID_BYTES_MAX;

	for (size_t i = 0; is_good && i < id.n; i++)
		is_good = cv_str_has_byte(CV_STR("0123456789abcdefghijklmnopqrstuvwxyz-"), id.p[i]);
	return is_good;
}

/* Seconds of ?timeout=; 0: they make no sense. */
static uint32_t timeout_of(struct cv_proxy *p, const struct cv_h1_request *r)
{
	const struct cv_str text = cv_local_query(p, r, CV_STR("timeout"));
	uint64_t n = CV_PROXY_PROPOSAL_WAIT_S;

	if (text.p && (!cv_str_to_u64(text, CV_PROXY_PROPOSAL_WAIT_S_MAX, &n) || !n))
		return 0;
	return (uint32_t)n;
}

static bool show_start(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_local_proposal *l = f->local->proposal;
	struct cv_str id = cv_str_slice(l->request.path, PROPOSALS.n + 1, l->request.path.n);
	const bool is_wait = cv_str_has_suffix(id, WAIT);
	uint32_t seconds = 0;

	if (is_wait) {
		id = cv_str_slice(id, 0, id.n - WAIT.n);
		seconds = timeout_of(p, &l->request);
	}
	l->id = id;
	if (!id_is_good(id))
		return refuse(p, f, 404, "not_found", "no proposal of this sandbox has that id");
	if (is_wait && !seconds)
		return refuse(p, f, 400, "invalid_request", "timeout is 1 to %d seconds",
			CV_PROXY_PROPOSAL_WAIT_S_MAX);
	l->until_ms = is_wait ? p->loop.now_ms + (int64_t)seconds * 1000 : 0;
	return ask(p, f, CV_GATEWAY_PROPOSE_SHOW, id);
}

bool cv_local_proposal_is(const struct cv_h1_request *r)
{
	if (cv_str_eq(r->method, CV_STR("POST")))
		return cv_str_eq(r->path, PROPOSALS);
	return cv_str_eq(r->method, CV_STR("GET")) &&
	       cv_str_has_prefix(r->path, CV_STR("/v1/proposals/")) && r->path.n > PROPOSALS.n + 1;
}

bool cv_local_proposal_head(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	struct cv_local_proposal *l = proposal_new(f, r);

	if (!l) {
		cv_flow_end(p, f, true);
		return false;
	}
	if (cv_str_eq(l->request.method, CV_STR("GET")))
		return show_start(p, f);
	if (l->request.body == CV_H1_BODY_LENGTH && l->request.length > CV_PROPOSAL_JSON_MAX)
		return refuse(p, f, 400, "invalid_proposal", "longer than %d bytes",
			CV_PROPOSAL_JSON_MAX);
	cv_local_body_start(f, &l->request, &l->up);
	f->deadline_ms = p->loop.now_ms + CV_PROXY_PROPOSAL_BODY_MS; /* for all of it */
	return l->up.is_done ? submit(p, f) : true;
}

static bool body_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_local_proposal *l = f->local->proposal;
	struct cv_leg *c = &f->client;
	const bool has_moved = cv_leg_fill(c);
	struct cv_str in = cv_leg_text(c), data;
	const size_t given = in.n;

	while (!l->up.is_done && in.n) {
		const enum cv_chunk_event ev = cv_local_body_next(&l->up, &in, &data);

		if (ev == CV_CHUNK_BAD)
			return refuse(p, f, 400, "invalid_proposal", "its chunks are malformed");
		if (ev != CV_CHUNK_DATA)
			break;
		if (!cv_local_hold(p, f, data.n))
			return refuse(p, f, 503, "gateway_unavailable", "try again");
		if (!cv_buf_put(&l->body, data))
			return refuse(p, f, 400, "invalid_proposal", "longer than %d bytes",
				CV_PROPOSAL_JSON_MAX);
	}
	cv_leg_take(c, given - in.n);
	if (l->up.is_done)
		return submit(p, f);
	if (c->is_broken || (c->is_eof && cv_body_is_starved(&l->up, c))) {
		cv_flow_end(p, f, true);
		return false;
	}
	return has_moved || given != in.n;
}

bool cv_local_proposal_step(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->local->proposal->phase == BODY)
		return body_step(p, f);
	cv_leg_fill(&f->client);
	if (!f->client.is_broken && !f->client.is_eof)
		return false;
	cv_flow_end(p, f, true); /* nobody waits for it any more */
	return false;
}

void cv_local_proposal_timeout(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_local_proposal *l = f->local->proposal;

	if (f->local->is_answering || l->phase == BODY)
		cv_flow_end(p, f, true);
	else if (l->phase == PAUSE)
		ask(p, f, CV_GATEWAY_PROPOSE_SHOW, l->id);
	else if (is_submit(l))
		refuse(p, f, 502, "proposal_submit_failed", "the gateway did not answer");
	else
		refuse(p, f, 502, "gateway_lookup_failed", "the gateway did not answer");
}

/* ---- the answer ---- */

static void late_put(struct cv_proxy *p, struct cv_flow *f, int status, struct cv_str json)
{
	struct cv_buf b;

	cv_buf_init(&b, json.n + 64);
	cv_buf_put(&b, cv_str_slice(json, 0, json.n - 1)); /* an object */
	cv_buf_put(&b, CV_STR(",\"timed_out\":true}"));
	finish(p, f, status, cv_buf_str(&b));
	cv_buf_fini(&b);
}

static struct cv_flow *asker_find(struct cv_proxy *p, uint64_t tag)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->local && f->local->proposal && !f->local->is_answering &&
			f->local->proposal->phase == ASKED && f->local->proposal->tag == tag)
			return f;
	}
	return NULL;
}

bool cv_local_proposed(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint64_t tag = cv_ipc_get_u64(&r);
	const uint32_t status = cv_ipc_get_u32(&r), is_final = cv_ipc_get_u32(&r);
	const struct cv_str json = cv_ipc_get_str(&r);
	struct cv_flow *f;

	if (!cv_ipc_reader_is_done(&r) || status < 200 || status > 599 || json.n < 2)
		return false;
	f = asker_find(p, tag);
	if (!f)
		return true; /* it has gone */
	struct cv_local_proposal *l = f->local->proposal;
	const int64_t left_ms = l->until_ms - p->loop.now_ms;
	if (status != 200 || is_final || !l->until_ms) {
		finish(p, f, (int)status, json);
	} else if (left_ms <= 0) {
		late_put(p, f, (int)status, json);
	} else {
		l->phase = PAUSE;
		f->deadline_ms =
			p->loop.now_ms + CV_MIN(left_ms, (int64_t)CV_PROXY_PROPOSAL_LOOK_MS);
	}
	cv_proxy_queue(p, f);
	return true;
}

void cv_local_proposal_end(struct cv_flow *f)
{
	struct cv_local_proposal *l = f->local->proposal;

	if (!l)
		return;
	cv_buf_fini(&l->body);
	cv_arena_fini(&l->arena);
	free(l);
	f->local->proposal = NULL;
}
