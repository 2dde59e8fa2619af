/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approval.c - see approval.h
 *
 * Followers are sent what is in the table in the order it came; one that does not read is not waited
 * for: it gets the rest when it does, and is let go when an end can't be told it.
 */
#include "gateway/approval.h"

#include "base/utf8.h"
#include "gateway/access.h"
#include "gateway/log.h"
#include "ipc/approve_link.h"
#include "ipc/approve_show.h"

#include "cove.pb-c.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define APPROVALS_MAX    16384 /* at once: 64 of a sandbox, of a few hundred that all ask */
#define FOLLOWERS_MAX    256
#define REASON_BYTES_MAX 512 /* it goes into an event of the audit, with the name of who decided */
#define ID_BYTES         (CV_DRIVER_INSTANCE_BYTES + 24)
#define LINE_BYTES_MAX   4096

typedef Cove__V1__Approval approval_pb;

struct approval {
	struct approval *next; /* in the order they came */
	uint64_t serial;
	struct cv_ref box;
	char id[ID_BYTES];
	uint64_t question;
	char *body;        /* owned */
	struct cv_ask ask; /* borrows from body */
	int64_t asked_ms, expires_ms;
	bool is_ended;               /* as the supervisor says; kept while somebody decides */
	struct cv_rpc_call *decider; /* waits for ANSWERED */
};

struct follower {
	struct follower *next;
	struct cv_gateway *g;
	struct cv_rpc_call *call;
	uint64_t sent;    /* the serial of the last that it was sent */
	bool has_begun;   /* the end of the list was told */
	bool is_full;     /* until writable() */
	bool is_finished; /* by us */
};

struct cv_gw_approvals {
	struct approval *first, **end;
	size_t count;
	uint64_t serial;
	struct follower *followers;
	size_t follower_count;
};

static struct cv_gw_approvals *table_of(const struct cv_gateway *g)
{
	return g->approvals;
}

/* ---- as clients see it ---- */

/* proto3's strings are UTF-8, and C's end at a NUL: what is neither becomes U+FFFD. */
static char *text_of(struct cv_arena *arena, struct cv_str s)
{
	struct cv_buf b;
	struct cv_str copy;

	cv_buf_init(&b, 3 * (CV_ASK_TEXT_BYTES_MAX + CV_ASK_ANCESTORS_BYTES_MAX));
	while (s.n) {
		const size_t n = cv_utf8_step(s);

		if (n && s.p[0])
			cv_buf_put(&b, cv_str_slice(s, 0, n));
		else
			cv_buf_put(&b, CV_STR("\xef\xbf\xbd"));
		s = cv_str_slice(s, CV_MAX(n, (size_t)1), s.n);
	}
	copy = cv_arena_str(arena, cv_buf_str(&b)); /* a NUL follows */
	cv_buf_fini(&b);
	return (char *)(uintptr_t)(copy.p ? copy.p : "");
}

static approval_pb *view(
	const struct cv_gateway *g, const struct approval *a, struct cv_arena *arena)
{
	const struct cv_gw_box *b = cv_gw_box_get(g, a->box);
	const struct cv_ask *ask = &a->ask;
	approval_pb *m = cv_arena_new(arena, approval_pb);

	if (!m || !b)
		return NULL;
	cove__v1__approval__init(m);
	m->id = text_of(arena, cv_str_of(a->id));
	m->workspace = text_of(arena, b->object->scope);
	m->sandbox_id = text_of(arena, cv_str_of(b->object->id));
	m->sandbox_name = text_of(arena, b->object->name);
	m->kind = text_of(arena, ask->flags & CV_ASK_NETWORK ? CV_STR("network") : CV_STR("tool"));
	m->subject = text_of(arena, ask->what);
	m->text = text_of(arena, ask->text);
	m->text_bytes = ask->text_bytes;
	m->binary = text_of(arena, ask->who);
	m->ancestors = cv_arena_array(arena, ask->ancestor_count + 1, sizeof(char *));
	for (size_t i = 0; m->ancestors && i < ask->ancestor_count; i++)
		m->ancestors[m->n_ancestors++] = text_of(arena, ask->ancestors[i]);
	m->ancestors_more = ask->ancestors_more;
	m->pid = ask->pid;
	m->rule = text_of(arena, ask->rule);
	m->asked_at_ms = a->asked_ms;
	m->expires_at_ms = a->expires_ms;
	m->each = (ask->flags & CV_ASK_EACH) != 0;
	m->once = (ask->flags & CV_ASK_ONCE) != 0;
	return arena->is_overflown ? NULL : m;
}

/* ---- who may see what ---- */

struct filter {
	struct cv_str workspace, sandbox;
	bool is_all;
};

static struct filter filter_of(const char *workspace, const char *sandbox, bool is_all)
{
	return (struct filter){ cv_gw_workspace_name(cv_str_of(workspace)), cv_str_of(sandbox),
		is_all };
}

static enum cv_rpc_status filter_check(
	const struct cv_rpc_call *c, const char *workspace, bool is_all, struct cv_err *err)
{
	struct cv_object *o;

	if (is_all && *workspace)
		return cv_fail(err, CV_INVALID, "workspace and all_workspaces exclude each other"),
		       CV_RPC_INVALID_ARGUMENT;
	return is_all ? CV_RPC_OK : cv_gw_workspace_open(c, cv_str_of(workspace), false, &o, err);
}

static bool may_manage(const struct cv_rpc_call *c, struct cv_str workspace)
{
	struct cv_object *o;
	struct cv_err err;

	return cv_gw_workspace_may(cv_gw_of(c), cv_rpc_call_principal(c), CV_RPC_ROLE_MANAGER,
		       workspace, false, &o, &err) == CV_RPC_OK;
}

static bool is_for(const struct cv_rpc_call *c, const struct filter *f, const struct approval *a)
{
	const struct cv_gw_box *b = cv_gw_box_get(cv_gw_of(c), a->box);

	if (!b || a->is_ended)
		return false;
	if (!f->is_all && !cv_str_eq(b->object->scope, f->workspace))
		return false;
	if (f->sandbox.n && !cv_str_eq(b->object->name, f->sandbox))
		return false;
	return may_manage(c, b->object->scope);
}

/* ---- followers ---- */

static void follower_end(struct follower *f, enum cv_rpc_status s, const char *why)
{
	if (f->is_finished)
		return;
	f->is_finished = true;
	cv_rpc_finish(f->call, s, "%s", why);
}

static bool event_send(struct follower *f, const Cove__V1__ApprovalEvent *e)
{
	f->is_full = !cv_rpc_send(f->call, &e->base);
	return !f->is_full;
}

static const Cove__V1__WatchApprovalsRequest *asked(const struct follower *f);

static void held_send(struct follower *f, const struct approval *a)
{
	Cove__V1__ApprovalEvent e;
	struct cv_arena arena;

	cv_arena_init(&arena, 8 * (CV_ASK_TEXT_BYTES_MAX + CV_ASK_ANCESTORS_BYTES_MAX));
	cove__v1__approval_event__init(&e);
	e.event_case = COVE__V1__APPROVAL_EVENT__EVENT_HELD;
	e.held = view(f->g, a, &arena);
	if (e.held)
		(void)event_send(f, &e);
	cv_arena_fini(&arena);
}

static void follower_pump(struct follower *f)
{
	const Cove__V1__WatchApprovalsRequest *q = asked(f);
	const struct filter filter = filter_of(q->workspace, q->sandbox_name, q->all_workspaces);
	Cove__V1__ApprovalEvent e;

	for (const struct approval *a = table_of(f->g)->first; a; a = a->next) {
		if (f->is_full || f->is_finished)
			return;
		if (a->serial <= f->sent)
			continue;
		f->sent = a->serial;
		if (is_for(f->call, &filter, a))
			held_send(f, a);
	}
	if (f->has_begun || f->is_full || f->is_finished)
		return;
	f->has_begun = true;
	cove__v1__approval_event__init(&e);
	(void)event_send(f, &e);
}

static void followers_pump(struct cv_gateway *g)
{
	for (struct follower *f = table_of(g)->followers; f; f = f->next)
		follower_pump(f);
}

static void ended_tell(struct cv_gateway *g, const struct approval *a)
{
	Cove__V1__ApprovalEvent e;

	cove__v1__approval_event__init(&e);
	e.event_case = COVE__V1__APPROVAL_EVENT__EVENT_ENDED_ID;
	e.ended_id = (char *)(uintptr_t)a->id;
	for (struct follower *f = table_of(g)->followers; f; f = f->next) {
		const Cove__V1__WatchApprovalsRequest *q = asked(f);
		const struct filter filter =
			filter_of(q->workspace, q->sandbox_name, q->all_workspaces);

		if (f->is_finished || a->serial > f->sent || !is_for(f->call, &filter, a))
			continue;
		if (f->is_full)
			follower_end(f, CV_RPC_RESOURCE_EXHAUSTED, "read faster, or list");
		else
			(void)event_send(f, &e);
	}
}

/* ---- the table ---- */

static struct approval *approval_find(
	const struct cv_gateway *g, struct cv_ref box, uint64_t question)
{
	for (struct approval *a = table_of(g)->first; a; a = a->next)
		if (a->box.index == box.index && a->box.gen == box.gen && a->question == question)
			return a;
	return NULL;
}

static void approval_remove(struct cv_gateway *g, struct approval *a)
{
	struct cv_gw_approvals *t = table_of(g);

	for (struct approval **p = &t->first; *p; p = &(*p)->next) {
		if (*p != a)
			continue;
		*p = a->next;
		if (t->end == &a->next)
			t->end = p;
		t->count--;
		free(a->body);
		free(a);
		return;
	}
}

/* It needs no answer any more: nobody sees it, but who decides it hears what became of that. */
static void approval_end(struct cv_gateway *g, struct approval *a)
{
	if (!a->is_ended)
		ended_tell(g, a);
	a->is_ended = true;
	if (!a->decider)
		approval_remove(g, a);
}

/* What its supervisor said is of the past. */
static void box_forget(struct cv_gw_box *b)
{
	struct approval *next;

	for (struct approval *a = table_of(b->g)->first; a; a = next) {
		next = a->next;
		if (a->box.index != b->ref.index || a->box.gen != b->ref.gen)
			continue;
		if (a->decider)
			cv_rpc_finish(a->decider, CV_RPC_UNAVAILABLE,
				"the sandbox's supervisor went away; list again to see whether it "
				"is still held");
		a->decider = NULL;
		approval_end(b->g, a);
	}
}

static struct approval *approval_new(struct cv_gw_box *b, struct cv_str body)
{
	struct cv_gw_approvals *t = table_of(b->g);
	struct approval *a = t->count < APPROVALS_MAX ? calloc(1, sizeof(*a)) : NULL;

	if (!a || !(a->body = malloc(body.n ? body.n : 1))) {
		free(a);
		return NULL;
	}
	memcpy(a->body, body.p, body.n);
	if (!cv_ask_get((struct cv_str){ a->body, body.n }, &a->ask)) {
		free(a->body);
		free(a);
		return NULL;
	}
	a->box = b->ref;
	a->question = a->ask.id;
	a->serial = ++t->serial;
	a->asked_ms = cv_clock_unix_ms();
	a->expires_ms = a->asked_ms + (int64_t)a->ask.seconds * 1000;
	snprintf(a->id, sizeof(a->id), "%s-%llu", b->process.instance,
		(unsigned long long)a->question);
	*t->end = a;
	t->end = &a->next;
	t->count++;
	return a;
}

static void line_log(struct cv_gw_box *b, const char *level, const struct approval *a,
	const char *what, struct cv_str who)
{
	struct cv_buf line;

	cv_buf_init(&line, LINE_BYTES_MAX);
	cv_ask_show_line(&line, &a->ask);
	cv_gw_box_log(b, level, "approval", "%.*s %s%s%.*s", CV_STR_ARG(cv_buf_str(&line)), what,
		who.n ? " by " : "", CV_STR_ARG(who));
	cv_log(CV_LOG_INFO, "approval",
		CV_LOG_FIELDS({ "id", cv_str_of(a->id) }, { "sandbox", b->object->name },
			{ "workspace", b->object->scope }, { "who", who }),
		"%.*s %s", CV_STR_ARG(cv_buf_str(&line)), what);
	cv_buf_fini(&line);
}

/* ---- what supervisors say ---- */

static void on_ask(struct cv_gw_box *b, struct cv_str body)
{
	static struct cv_ask ask; /* scratch: it is large */

	if (!cv_ask_get(body, &ask) || approval_find(b->g, b->ref, ask.id))
		return;
	const struct approval *a = approval_new(b, body);
	if (!a) {
		cv_gw_box_log(b, "WARN", "approval",
			"a question can't be shown, and will be denied: too many are held");
		return;
	}
	line_log(b, "WARN", a, "waits for approval", CV_STR_NONE);
	followers_pump(b->g);
}

static void on_answered(struct cv_gw_box *b, struct cv_ipc_reader *r)
{
	const uint64_t question = cv_ipc_get_u64(r);
	const uint32_t result = cv_ipc_get_u32(r);
	struct approval *a = approval_find(b->g, b->ref, question);
	Cove__V1__DecideApprovalResponse m;

	if (!a || !a->decider)
		return;
	struct cv_rpc_call *c = a->decider;
	const struct cv_principal *who = cv_rpc_call_principal(c);
	a->decider = NULL;
	cove__v1__decide_approval_response__init(&m);
	m.approval = view(b->g, a, cv_rpc_call_arena(c));
	m.decided_by = text_of(cv_rpc_call_arena(c), cv_str_of(who->subject));
	switch (result) {
	case CV_APPROVE_DONE: cv_rpc_reply(c, &m.base); break;
	case CV_APPROVE_EACH:
		cv_rpc_finish(c, CV_RPC_FAILED_PRECONDITION,
			"policy wants an answer to each; this one can't be for all alike");
		break;
	case CV_APPROVE_FULL:
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED,
			"too many answers for all alike in this sandbox");
		break;
	default: cv_rpc_finish(c, CV_RPC_NOT_FOUND, "approval not found"); break;
	}
	if (a->is_ended)
		approval_remove(b->g, a);
}

static void on_message(struct cv_gw_box *b, uint32_t type, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	struct approval *a;

	if (type == CV_GATEWAY_REPLY_ASK) {
		on_ask(b, body);
	} else if (type == CV_GATEWAY_REPLY_ASK_END) {
		a = approval_find(b->g, b->ref, cv_ipc_get_u64(&r));
		if (a)
			approval_end(b->g, a);
	} else if (type == CV_GATEWAY_REPLY_ANSWERED) {
		on_answered(b, &r);
	}
}

/* It tells again what it holds. */
static void on_dialled(struct cv_gw_box *b, uint64_t revision)
{
	(void)revision;
	box_forget(b);
}

static const struct cv_gw_box_hooks hooks = {
	.dialled = on_dialled,
	.message = on_message,
	.ended = box_forget,
	.deleted = box_forget,
};

/* ---- ListApprovals ---- */

static void list(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const Cove__V1__ListApprovalsRequest *q = (const void *)request;
	const struct filter filter = filter_of(q->workspace, q->sandbox_name, q->all_workspaces);
	struct cv_gw_approvals *t = table_of(cv_gw_of(c));
	Cove__V1__ListApprovalsResponse m;
	struct cv_err err;
	const enum cv_rpc_status s = filter_check(c, q->workspace, q->all_workspaces, &err);

	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	cove__v1__list_approvals_response__init(&m);
	m.approvals = cv_arena_array(cv_rpc_call_arena(c), t->count + 1, sizeof(*m.approvals));
	for (const struct approval *a = t->first; a && m.approvals; a = a->next) {
		approval_pb *p;

		if (!is_for(c, &filter, a))
			continue;
		p = view(cv_gw_of(c), a, cv_rpc_call_arena(c));
		if (!p) /* more than an answer holds: those that come first, come first */
			break;
		m.approvals[m.n_approvals++] = p;
	}
	cv_rpc_reply(c, &m.base);
}

/* ---- WatchApprovals ---- */

struct watching {
	struct follower follower;                       /* first */
	const Cove__V1__WatchApprovalsRequest *request; /* until closed() */
};

static const Cove__V1__WatchApprovalsRequest *asked(const struct follower *f)
{
	return ((const struct watching *)(const void *)f)->request;
}

static void watch(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const Cove__V1__WatchApprovalsRequest *q = (const void *)request;
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_gw_approvals *t = table_of(g);
	struct cv_err err;
	enum cv_rpc_status s = filter_check(c, q->workspace, q->all_workspaces, &err);
	struct watching *w = NULL;

	if (s == CV_RPC_OK &&
		(t->follower_count >= FOLLOWERS_MAX || !(w = calloc(1, sizeof(*w))))) {
		cv_fail(&err, CV_LIMIT, "too many follow approvals; at most %d", FOLLOWERS_MAX);
		s = CV_RPC_RESOURCE_EXHAUSTED;
	}
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	w->request = q;
	w->follower.g = g;
	w->follower.call = c;
	w->follower.next = t->followers;
	t->followers = &w->follower;
	t->follower_count++;
	cv_rpc_call_set_state(c, w);
	follower_pump(&w->follower);
}

static void watch_writable(struct cv_rpc_call *c)
{
	struct watching *w = cv_rpc_call_state(c);

	if (!w)
		return;
	w->follower.is_full = false;
	follower_pump(&w->follower);
}

static void watch_closed(struct cv_rpc_call *c)
{
	struct watching *w = cv_rpc_call_state(c);
	struct cv_gw_approvals *t = w ? table_of(w->follower.g) : NULL;

	for (struct follower **p = t ? &t->followers : NULL; p && *p; p = &(*p)->next)
		if (*p == &w->follower) {
			*p = w->follower.next;
			t->follower_count--;
			break;
		}
	free(w);
}

/* ---- DecideApproval ---- */

static struct approval *by_id(const struct cv_rpc_call *c, struct cv_str id)
{
	const struct filter all = { .is_all = true };

	for (struct approval *a = table_of(cv_gw_of(c))->first; a; a = a->next)
		if (cv_str_eq(cv_str_of(a->id), id))
			return is_for(c, &all, a) ? a : NULL;
	return NULL;
}

/* "alice through the gateway: looks fine", behind "approved by" */
static void who_put(struct cv_buf *b, const struct cv_principal *who, struct cv_str reason)
{
	cv_buf_printf(b, "%s through the gateway", who->subject);
	if (reason.n)
		cv_buf_printf(b, ": %.*s", CV_STR_ARG(reason));
}

static bool answer_send(struct cv_gw_box *b, const struct approval *a,
	const Cove__V1__DecideApprovalRequest *q, struct cv_str who)
{
	struct cv_buf body;

	cv_buf_init(&body, 2048);
	cv_ipc_put_u64(&body, a->question);
	cv_ipc_put_u32(&body, q->approve ? CV_APPROVAL_ALLOW : CV_APPROVAL_DENY);
	cv_ipc_put_u32(&body, q->all_alike);
	cv_ipc_put_str(&body, who);
	const bool is_sent = !body.is_overflown &&
			     cv_gw_box_send(b, CV_GATEWAY_REQ_ANSWER, cv_buf_str(&body), NULL, 0);
	cv_buf_fini(&body);
	return is_sent;
}

static void decide(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const Cove__V1__DecideApprovalRequest *q = (const void *)request;
	const struct cv_str reason = cv_str_of(q->reason);
	struct approval *a = by_id(c, cv_str_of(q->id));
	struct cv_buf who;

	if (reason.n > REASON_BYTES_MAX) {
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT,
			"reason exceeds maximum length (%zu > %d)", reason.n, REASON_BYTES_MAX);
		return;
	}
	if (!a) {
		cv_rpc_finish(c, CV_RPC_NOT_FOUND, "approval not found");
		return;
	}
	if (a->decider) {
		cv_rpc_finish(c, CV_RPC_ABORTED, "somebody else is answering it");
		return;
	}
	struct cv_gw_box *b = cv_gw_box_get(cv_gw_of(c), a->box); /* is_for() saw it */
	cv_buf_init(&who, 2048);
	who_put(&who, cv_rpc_call_principal(c), reason);
	if (answer_send(b, a, q, cv_buf_str(&who))) {
		a->decider = c;
		cv_rpc_call_set_state(c, a);
		line_log(b, "INFO", a,
			q->approve ? q->all_alike ? "is approved, with all alike," : "is approved"
			: q->all_alike ? "is denied, with all alike,"
				       : "is denied",
			cv_buf_str(&who));
	} else {
		cv_rpc_finish(c, CV_RPC_UNAVAILABLE,
			"the sandbox's supervisor is not connected; try again");
	}
	cv_buf_fini(&who);
}

static void decide_closed(struct cv_rpc_call *c)
{
	struct cv_gateway *g = cv_gw_of(c);

	/* The approval may be gone: it is looked for, not trusted. */
	for (struct approval *a = table_of(g) ? table_of(g)->first : NULL; a; a = a->next)
		if (a->decider == c) {
			a->decider = NULL;
			if (a->is_ended)
				approval_remove(g, a);
			return;
		}
}

/* ---- the part ---- */

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	struct cv_gw_approvals *t = calloc(1, sizeof(*t));

	if (!t)
		return cv_fail(err, CV_LIMIT, "no memory");
	t->end = &t->first;
	g->approvals = t;
	cv_gw_box_hook(g, &hooks);
	return CV_OK;
}

/* Who follows would keep an ending gateway for as long as it may. */
static void drain(struct cv_gateway *g)
{
	for (struct follower *f = table_of(g)->followers; f; f = f->next)
		follower_end(f, CV_RPC_UNAVAILABLE, "the gateway ends");
}

static void stop(struct cv_gateway *g)
{
	while (g->approvals && g->approvals->first)
		approval_remove(g, g->approvals->first);
	free(g->approvals);
	g->approvals = NULL;
}

static const struct cv_gw_method methods[] = {
	{ "ListApprovals", { .message = list } },
	{ "WatchApprovals",
		{ .message = watch, .writable = watch_writable, .closed = watch_closed } },
	{ "DecideApproval", { .message = decide, .closed = decide_closed } },
};

const struct cv_gw_part cv_gw_part_approval = {
	.name = "approval",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = start,
	.drain = drain,
	.stop = stop,
};
