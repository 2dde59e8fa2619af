/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_stream.c - what `cove top` asks a gateway; see top_stream.h
 *
 * Questions are streams with one message each way, so that an answer that is slow holds up nothing.
 * A watch that ends is opened again by the next list, from the line after the last that was seen; so
 * a gateway that restarts, or lets a slow reader go, costs no line that it still has.
 */
#include "client/top_stream.h"

#include "client/sandbox.h"
#include "sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define LIST_EVERY_MS    1000
#define DRAFTS_EVERY_MS  500 /* a few sandboxes each time, of those that are not watched */
#define DRAFTS_AT_ONCE   4
#define USAGE_EVERY_MS   5000
#define RETRY_MIN_MS     500
#define RETRY_MAX_MS     5000
#define TAIL_LINES       50
#define REQUEST_BYTES    (64u << 10)
#define COVE_METHOD(rpc) "/cove.v1.Cove/" rpc
#define ONCE_BOXES_MAX   100 /* whose lines and proposals --once asks for, one after the other */

enum kind {
	CALL_LIST,
	CALL_DRAFTS,
	CALL_APPROVE,
	CALL_REJECT,
	CALL_WATCH,
	CALL_QUESTIONS,
	CALL_ANSWER,
	CALL_USAGE
};

static char *text(struct cl_top_stream *s, const char *z)
{
	return (char *)(uintptr_t)cv_arena_str(&s->arena, cv_str_of(z)).p;
}

/* ---- answers ---- */

static struct cl_top_call *watch_of(struct cl_top_stream *s, const char *id)
{
	for (size_t i = 0; i < CL_TOP_WATCHES_MAX; i++)
		if (s->watch[i].s && strcmp(s->watch[i].box_id, id) == 0)
			return &s->watch[i];
	return NULL;
}

static void watch_took(
	struct cl_top *t, struct cl_top_call *watch, const Openshell__V1__SandboxStreamEvent *e)
{
	if (e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_LOG)
		cl_top_log(t, watch->box_id, e->log);
	else if (e->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_SANDBOX)
		cl_top_sandbox(t, e->sandbox);
	else if (e->payload_case ==
		 OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_DRAFT_POLICY_UPDATE)
		watch->is_draft_due = true;
}

/* What is held, one message after the other; then what comes and goes. */
static void question_took(struct cl_top_stream *s, const Cove__V1__ApprovalEvent *e)
{
	if (!s->has_questions)
		cl_top_questions_forget(s->t);
	s->has_questions = true;
	if (e->event_case == COVE__V1__APPROVAL_EVENT__EVENT_HELD)
		cl_top_question(s->t, e->held);
	else if (e->event_case == COVE__V1__APPROVAL_EVENT__EVENT_ENDED_ID)
		cl_top_question_end(s->t, e->ended_id);
}

static void on_message(void *arg, ProtobufCMessage *m)
{
	struct cl_top_call *call = arg;
	struct cl_top_stream *s = call->of;

	switch ((enum kind)call->kind) {
	case CALL_LIST:
		cl_top_list(s->t, (const Openshell__V1__ListSandboxesResponse *)m);
		s->retry_wait_ms = RETRY_MIN_MS;
		break;
	case CALL_DRAFTS:
		cl_top_drafts(s->t, call->box_id, (const Openshell__V1__GetDraftPolicyResponse *)m);
		break;
	case CALL_WATCH:
		watch_took(s->t, call, (const Openshell__V1__SandboxStreamEvent *)m);
		break;
	case CALL_QUESTIONS: question_took(s, (const Cove__V1__ApprovalEvent *)m); break;
	case CALL_USAGE: cl_top_usage_set(s->t, (const Cove__V1__GetUsageResponse *)m); break;
	case CALL_ANSWER: cl_top_set_note(s->t, "answered"); break;
	case CALL_APPROVE: cl_top_set_note(s->t, "approved"); break;
	case CALL_REJECT: cl_top_set_note(s->t, "rejected"); break;
	}
	protobuf_c_message_free_unpacked(m, NULL);
}

static void on_ended(void *arg, enum cv_rpc_status status, const char *message)
{
	struct cl_top_call *call = arg;
	struct cl_top_stream *s = call->of;

	struct cl_top_call *watch =
		call->kind == CALL_DRAFTS && status != CV_RPC_OK ? watch_of(s, call->box_id) : NULL;

	if (watch) { /* asked again, in a while; of one that is gone the watch ends, too */
		watch->is_draft_due = true;
		s->drafts_ms = cv_clock_ms() + DRAFTS_EVERY_MS;
	}
	call->s = NULL;
	free(call->box_id);
	call->box_id = NULL;
	if (call->kind == CALL_LIST && status == CV_RPC_UNAUTHENTICATED)
		s->is_refused = true;
	if (call->kind == CALL_QUESTIONS && status != CV_RPC_OK && s->has_questions)
		cl_top_questions_forget(s->t);
	if (status != CV_RPC_OK && call->kind != CALL_WATCH && call->kind != CALL_DRAFTS &&
		call->kind != CALL_QUESTIONS && call->kind != CALL_USAGE)
		cl_top_set_note(s->t, *message ? message : cv_rpc_status_name(status));
}

static const struct cv_rpc_stream_events call_events = { on_message, on_ended, NULL };

/* ---- questions ---- */

static struct cl_top_call *free_one(struct cl_top_call *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!v[i].s)
			return &v[i];
	return NULL;
}

static void start(struct cl_top_stream *s, struct cl_top_call *call, enum kind kind,
	const char *box_id, const char *method, const ProtobufCMessage *in,
	const ProtobufCMessageDescriptor *out)
{
	struct cv_err err;

	if (!call || !s->c->rpc)
		return;
	char *id = strdup(box_id);
	if (!id)
		return;
	*call = (struct cl_top_call){ .of = s, .kind = (int)kind, .box_id = id };
	if (cv_rpc_stream_open(s->c->rpc, method, out, &call_events, call, &call->s, &err) !=
		CV_OK) {
		free(call->box_id);
		*call = (struct cl_top_call){ .of = s };
		return;
	}
	(void)cv_rpc_stream_send(call->s, in);
	if (call->s)
		cv_rpc_stream_half_close(call->s);
}

#define START(s, call, kind, id, rpc, in, type) \
	start(s, call, kind, id, CL_METHOD(rpc), &(in).base, &openshell__v1__##type##__descriptor)

static struct cl_top_call *call_free(struct cl_top_stream *s)
{
	return free_one(s->call, CL_TOP_CALLS_MAX);
}

static bool is_asked(const struct cl_top_stream *s, enum kind kind)
{
	for (size_t i = 0; i < CL_TOP_CALLS_MAX; i++)
		if (s->call[i].s && s->call[i].kind == (int)kind)
			return true;
	return false;
}

static Openshell__V1__ListSandboxesRequest list_request(
	struct cl_top_stream *s, bool is_all_workspaces)
{
	Openshell__V1__ListSandboxesRequest in;

	openshell__v1__list_sandboxes_request__init(&in);
	in.limit = CL_TOP_BOXES_MAX;
	in.all_workspaces = is_all_workspaces;
	if (!is_all_workspaces)
		in.workspace = text(s, s->c->workspace);
	return in;
}

static void list_ask(struct cl_top_stream *s)
{
	const Openshell__V1__ListSandboxesRequest in = list_request(s, s->is_all_workspaces);

	if (!is_asked(s, CALL_LIST))
		START(s, call_free(s), CALL_LIST, "", ListSandboxes, in, list_sandboxes_response);
}

static void questions_ask(struct cl_top_stream *s)
{
	Cove__V1__WatchApprovalsRequest in;

	if (is_asked(s, CALL_QUESTIONS))
		return;
	cove__v1__watch_approvals_request__init(&in);
	in.all_workspaces = s->is_all_workspaces;
	in.workspace = text(s, s->is_all_workspaces ? "" : s->c->workspace);
	s->has_questions = false;
	start(s, call_free(s), CALL_QUESTIONS, "", COVE_METHOD("WatchApprovals"), &in.base,
		&cove__v1__approval_event__descriptor);
}

static Cove__V1__GetUsageRequest usage_request(struct cl_top_stream *s, bool is_all_workspaces)
{
	Cove__V1__GetUsageRequest in;

	cove__v1__get_usage_request__init(&in);
	in.all_workspaces = is_all_workspaces;
	in.workspace = text(s, is_all_workspaces ? "" : s->c->workspace);
	return in;
}

static void usage_ask(struct cl_top_stream *s)
{
	const Cove__V1__GetUsageRequest in = usage_request(s, s->is_all_workspaces);

	if (!is_asked(s, CALL_USAGE))
		start(s, call_free(s), CALL_USAGE, "", COVE_METHOD("GetUsage"), &in.base,
			&cove__v1__get_usage_response__descriptor);
}

static void answer(struct cl_top_stream *s, const struct cl_top_chunk *k, bool is_approved)
{
	Cove__V1__DecideApprovalRequest in;

	cove__v1__decide_approval_request__init(&in);
	in.id = text(s, k->id);
	in.approve = is_approved;
	start(s, call_free(s), CALL_ANSWER, "", COVE_METHOD("DecideApproval"), &in.base,
		&cove__v1__decide_approval_response__descriptor);
}

static Openshell__V1__GetDraftPolicyRequest drafts_request(
	struct cl_top_stream *s, const struct cl_top_box *b)
{
	Openshell__V1__GetDraftPolicyRequest in;

	openshell__v1__get_draft_policy_request__init(&in);
	in.name = text(s, b->name);
	in.workspace = text(s, b->workspace);
	in.status_filter = text(s, "pending");
	return in;
}

static void drafts_ask_of(struct cl_top_stream *s, const struct cl_top_box *b)
{
	const Openshell__V1__GetDraftPolicyRequest in = drafts_request(s, b);

	START(s, call_free(s), CALL_DRAFTS, b->id, GetDraftPolicy, in, get_draft_policy_response);
}

/* Of those that are watched, when their watch says so. */
static void drafts_ask_due(struct cl_top_stream *s)
{
	size_t n = 0;

	for (size_t i = 0; i < CL_TOP_WATCHES_MAX && n < DRAFTS_AT_ONCE && call_free(s); i++) {
		struct cl_top_call *w = &s->watch[i];
		const struct cl_top_box *b =
			w->s && w->is_draft_due ? cl_top_box(s->t, w->box_id) : NULL;

		if (!b)
			continue;
		w->is_draft_due = false;
		drafts_ask_of(s, b);
		n++;
	}
}

/* Of the others, a few in turn. */
static void drafts_ask_others(struct cl_top_stream *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->t->box_count && n < DRAFTS_AT_ONCE; i++) {
		const struct cl_top_box *b = &s->t->boxes[s->drafts_at++ % s->t->box_count];

		if (watch_of(s, b->id))
			continue;
		drafts_ask_of(s, b);
		n++;
	}
}

static void watch_start(struct cl_top_stream *s, const struct cl_top_box *b)
{
	Openshell__V1__WatchSandboxRequest in;

	openshell__v1__watch_sandbox_request__init(&in);
	in.id = text(s, b->id);
	in.follow_logs = in.follow_status = true;
	in.log_tail_lines = TAIL_LINES;
	in.log_since_ms = b->seen_ms ? b->seen_ms + 1 : 0;
	START(s, free_one(s->watch, CL_TOP_WATCHES_MAX), CALL_WATCH, b->id, WatchSandbox, in,
		sandbox_stream_event);
	struct cl_top_call *w = watch_of(s, b->id);
	if (w)
		w->is_draft_due = true; /* what there is already */
}

/* The one whose log is shown is watched, whoever has to make room for it. */
static void watches_start(struct cl_top_stream *s)
{
	const struct cl_top_box *first =
		s->t->view == CL_TOP_LOGS && s->t->logs_of ? cl_top_box(s->t, s->t->logs_of) : NULL;

	if (first && !watch_of(s, first->id)) {
		if (!free_one(s->watch, CL_TOP_WATCHES_MAX)) {
			cv_rpc_stream_cancel(s->watch[0].s);
			free(s->watch[0].box_id);
			s->watch[0] = (struct cl_top_call){ .of = s };
		}
		watch_start(s, first);
	}
	for (size_t i = 0; i < s->t->box_count && free_one(s->watch, CL_TOP_WATCHES_MAX); i++)
		if (!watch_of(s, s->t->boxes[i].id))
			watch_start(s, &s->t->boxes[i]);
}

void cl_top_stream_decide(struct cl_top_stream *s, const struct cl_top_chunk *k, bool is_approved)
{
	const struct cl_top_box *b = cl_top_box(s->t, k->box_id);
	Openshell__V1__ApproveDraftChunkRequest yes;
	Openshell__V1__RejectDraftChunkRequest no;

	if (!b || !s->c->rpc || !call_free(s)) {
		cl_top_set_note(
			s->t, b ? "not connected: nothing was done" : "the sandbox is gone");
		return;
	}
	if (k->is_question) {
		answer(s, k, is_approved);
		return;
	}
	openshell__v1__approve_draft_chunk_request__init(&yes);
	openshell__v1__reject_draft_chunk_request__init(&no);
	yes.name = no.name = text(s, b->name);
	yes.workspace = no.workspace = text(s, b->workspace);
	yes.chunk_id = no.chunk_id = text(s, k->id);
	yes.review_token = text(s, k->token);
	if (is_approved)
		START(s, call_free(s), CALL_APPROVE, b->id, ApproveDraftChunk, yes,
			approve_draft_chunk_response);
	else
		START(s, call_free(s), CALL_REJECT, b->id, RejectDraftChunk, no,
			reject_draft_chunk_response);
}

/* ---- the connection ---- */

static void state_set(struct cl_top_stream *s, const char *state)
{
	cl_top_set_state(s->t, s->c->gateway.name, state);
}

static void disconnect(struct cl_top_stream *s)
{
	for (size_t i = 0; i < CL_TOP_WATCHES_MAX; i++)
		free(s->watch[i].box_id);
	for (size_t i = 0; i < CL_TOP_CALLS_MAX; i++)
		free(s->call[i].box_id);
	memset(s->watch, 0, sizeof(s->watch));
	memset(s->call, 0, sizeof(s->call));
	cv_rpc_client_close(s->c->rpc);
	s->c->rpc = NULL;
}

static void lose(struct cl_top_stream *s, const struct cv_err *err)
{
	disconnect(s);
	state_set(s, cl_print(s->c, "not connected: %s", err->msg));
	s->retry_ms = cv_clock_ms() + s->retry_wait_ms;
	s->retry_wait_ms = CV_MIN(2 * s->retry_wait_ms, (int64_t)RETRY_MAX_MS);
}

static void connect_again(struct cl_top_stream *s)
{
	struct cv_err err;

	if (cl_gateway_open(s->c, &err) != CV_OK) {
		s->c->rpc = NULL;
		lose(s, &err);
		return;
	}
	state_set(s, "connected");
	s->list_ms = s->drafts_ms = s->others_ms = s->usage_ms = 0;
}

void cl_top_stream_init(
	struct cl_top_stream *s, struct cl *c, struct cl_top *t, bool is_all_workspaces)
{
	*s = (struct cl_top_stream){ .c = c,
		.t = t,
		.is_all_workspaces = is_all_workspaces,
		.retry_wait_ms = RETRY_MIN_MS };
	cv_arena_init(&s->arena, REQUEST_BYTES);
	state_set(s, "connected");
}

void cl_top_stream_fini(struct cl_top_stream *s)
{
	disconnect(s);
	cv_arena_fini(&s->arena);
}

static void due(struct cl_top_stream *s)
{
	const int64_t now = cv_clock_ms();

	if (!s->c->rpc) {
		if (now >= s->retry_ms)
			connect_again(s);
		return;
	}
	if (now >= s->list_ms) {
		s->list_ms = now + LIST_EVERY_MS;
		watches_start(s);
		list_ask(s);
		questions_ask(s);
	}
	cv_arena_reset(&s->arena); /* what was sent is encoded */
	if (now >= s->usage_ms) {
		s->usage_ms = now + USAGE_EVERY_MS;
		usage_ask(s);
	}
	if (now >= s->drafts_ms && !is_asked(s, CALL_DRAFTS))
		drafts_ask_due(s);
	if (now >= s->others_ms && !is_asked(s, CALL_DRAFTS)) {
		s->others_ms = now + DRAFTS_EVERY_MS;
		drafts_ask_others(s);
	}
	cv_arena_reset(&s->arena);
}

bool cl_top_stream_turn(struct cl_top_stream *s, int fd, int timeout_ms)
{
	struct pollfd v[2] = { { fd, POLLIN, 0 }, { -1, 0, 0 } };
	struct cv_err err;

	due(s);
	if (s->c->rpc)
		v[1] = (struct pollfd){ cv_rpc_client_fd(s->c->rpc),
			cv_rpc_client_interest(s->c->rpc), 0 };
	if (poll(v, CV_ARRAY_LEN(v), timeout_ms) <= 0)
		return false;
	if (s->c->rpc && v[1].revents && cv_rpc_client_turn(s->c->rpc, &err) != CV_OK)
		lose(s, &err);
	if (s->c->rpc && s->is_refused) { /* the token ran out: the next connection has another */
		(void)cv_fail(&err, CV_DENIED, "the gateway wants a new log-in");
		lose(s, &err);
	}
	s->is_refused = false;
	return v[0].revents != 0;
}

/* ---- once ---- */

static void once_box(struct cl_top_stream *s, const struct cl_top_box *b)
{
	const Openshell__V1__GetDraftPolicyRequest drafts = drafts_request(s, b);
	Openshell__V1__GetSandboxLogsRequest logs;
	enum cv_rpc_status status; /* it may be gone since the list */
	struct cv_err err;

	openshell__v1__get_sandbox_logs_request__init(&logs);
	logs.sandbox_id = text(s, b->id);
	logs.lines = TAIL_LINES;
	const Openshell__V1__GetDraftPolicyResponse *d = CL_TRY(s->c, GetDraftPolicy, drafts,
		GetDraftPolicyResponse, get_draft_policy_response, &status, &err);
	if (d)
		cl_top_drafts(s->t, b->id, d);
	const Openshell__V1__GetSandboxLogsResponse *l = CL_TRY(s->c, GetSandboxLogs, logs,
		GetSandboxLogsResponse, get_sandbox_logs_response, &status, &err);
	for (size_t i = 0; l && i < l->n_logs; i++)
		cl_top_log(s->t, b->id, l->logs[i]);
}

void cl_top_stream_once(struct cl *c, struct cl_top *t, bool is_all_workspaces)
{
	static struct cl_top_stream s; /* for its arena and the requests; nothing is opened */

	cl_connect(c);
	cl_top_stream_init(&s, c, t, is_all_workspaces);
	const Openshell__V1__ListSandboxesRequest in = list_request(&s, is_all_workspaces);
	cl_top_list(
		t, CL_ASK(c, ListSandboxes, in, ListSandboxesResponse, list_sandboxes_response));
	Cove__V1__ListApprovalsRequest held;
	enum cv_rpc_status status; /* not everybody may see them */
	struct cv_err err;
	cove__v1__list_approvals_request__init(&held);
	held.all_workspaces = is_all_workspaces;
	held.workspace = text(&s, is_all_workspaces ? "" : c->workspace);
	const ProtobufCMessage *m = cl_ask(c, COVE_METHOD("ListApprovals"), &held.base,
		&cove__v1__list_approvals_response__descriptor, &status, &err);
	if (m)
		cl_top_questions(t, (const Cove__V1__ListApprovalsResponse *)m);
	const Cove__V1__GetUsageRequest usage = usage_request(&s, is_all_workspaces);
	m = cl_ask(c, COVE_METHOD("GetUsage"), &usage.base,
		&cove__v1__get_usage_response__descriptor, &status, &err);
	if (m)
		cl_top_usage_set(t, (const Cove__V1__GetUsageResponse *)m);
	for (size_t i = 0; i < CV_MIN(t->box_count, (size_t)ONCE_BOXES_MAX); i++) {
		cv_arena_reset(&s.arena);
		once_box(&s, &t->boxes[i]);
	}
	cl_top_lines_sort(t);
	cv_arena_fini(&s.arena);
}
