/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_approve.c - what sandboxes of a gateway hold for a person, listed and answered
 *
 * The same words, and the same view of a question, as for runs of `cove run` (ipc/approve_show.h):
 * every text of a sandbox's is escaped by base/shown.h.  An answer is a word that is typed after the
 * question was shown; what was typed before is thrown away.
 */
#include "client/client.h"
#include "client/commands.h"
#include "client/sandbox.h"
#include "ipc/approve_show.h"

#include "cove.pb-c.h"
#include "sys/clock.h"

#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define METHOD(rpc)      "/cove.v1.Cove/" #rpc
#define OUTPUT_BYTES_MAX (64u << 20)
#define LINE_BYTES       600 /* an answer, and a reason */

struct waiting { /* for an answer, in the order they came */
	Cove__V1__Approval *approval;
	struct waiting *next;
	bool is_gone;
};

struct approving {
	struct cl_stream stream; /* first: its callback finds us by it */
	struct waiting *first, **end;
	bool is_listed;
};

/* ---- showing ---- */

static struct cv_ask ask_of(const Cove__V1__Approval *a)
{
	const char *number = strrchr(a->id, '-');
	struct cv_ask ask = {
		.id = number ? strtoull(number + 1, NULL, 10) : 0,
		.seconds =
			(uint32_t)CV_MAX((a->expires_at_ms - cv_clock_unix_ms() + 999) / 1000, 0),
		.sandbox = cv_str_of(a->sandbox_name),
		.who = cv_str_of(a->binary),
		.what = cv_str_of(a->subject),
		.text = cv_str_of(a->text),
		.text_bytes = a->text_bytes,
		.rule = cv_str_of(a->rule),
		.pid = a->pid,
		.ancestors_more = a->ancestors_more,
	};

	ask.flags = strcmp(a->kind, "network") == 0 ? CV_ASK_NETWORK : CV_ASK_JSON;
	ask.flags |= (a->each ? CV_ASK_EACH : 0) | (a->once ? CV_ASK_ONCE : 0);
	for (size_t i = 0; i < a->n_ancestors && i < CV_IDENTITY_ANCESTORS_MAX; i++)
		ask.ancestors[ask.ancestor_count++] = cv_str_of(a->ancestors[i]);
	return ask;
}

static void show(struct cl *c, const Cove__V1__Approval *a, bool is_whole)
{
	const struct cv_ask ask = ask_of(a);
	struct cv_buf b;

	cv_buf_init(&b, CV_ASK_SHOW_BYTES_MAX);
	cv_ask_show(&b, &ask, is_whole);
	cl_write(c, cv_buf_str(&b));
	printf("  id         %s\n", cl_shown(c, a->id));
	fflush(stdout);
	cv_buf_fini(&b);
}

static void json_put(struct cl_out *o, const Cove__V1__Approval *a)
{
	cl_out_object(o, NULL);
	cl_out_str(o, "id", a->id);
	cl_out_str(o, "workspace", a->workspace);
	cl_out_str(o, "sandbox", a->sandbox_name);
	cl_out_str(o, "sandbox_id", a->sandbox_id);
	cl_out_str(o, "kind", a->kind);
	cl_out_str(o, "what", a->subject);
	cl_out_str(o, "text", a->text);
	cl_out_u64(o, "text_bytes", a->text_bytes);
	cl_out_str(o, "rule", a->rule);
	cl_out_str(o, "approval", a->once ? "once" : "each");
	cl_out_str(o, "binary", a->binary);
	cl_out_u64(o, "pid", a->pid);
	cl_out_array(o, "ancestors");
	for (size_t i = 0; i < a->n_ancestors; i++)
		cl_out_str(o, NULL, a->ancestors[i]);
	cl_out_end(o);
	cl_out_u64(o, "ancestors_more", a->ancestors_more);
	cl_out_int(o, "asked_at_ms", a->asked_at_ms);
	cl_out_int(o, "expires_at_ms", a->expires_at_ms);
	cl_out_end(o);
}

static void line_print(struct cl *c, const Cove__V1__Approval *a)
{
	const struct cv_ask ask = ask_of(a);
	struct cv_buf b;

	cv_buf_init(&b, CV_ASK_SHOW_BYTES_MAX);
	cv_buf_printf(&b, "%s  %s  %4u s  ", cl_shown(c, a->id), cl_shown(c, a->sandbox_name),
		ask.seconds);
	cv_ask_show_line(&b, &ask);
	cv_buf_put_byte(&b, '\n');
	cl_write(c, cv_buf_str(&b));
	cv_buf_fini(&b);
}

static Cove__V1__ListApprovalsResponse *list_get(struct cl *c)
{
	Cove__V1__ListApprovalsRequest in;

	cove__v1__list_approvals_request__init(&in);
	in.all_workspaces = cl_has(&c->w, "all-workspaces");
	in.workspace = cl_dup(c, in.all_workspaces ? "" : c->workspace);
	in.sandbox_name = cl_dup(c, cl_flag(&c->w, "sandbox"));
	return (Cove__V1__ListApprovalsResponse *)cl_ask(c, METHOD(ListApprovals), &in.base,
		&cove__v1__list_approvals_response__descriptor, NULL, NULL);
}

static int list_print(struct cl *c, const Cove__V1__ListApprovalsResponse *m)
{
	struct cl_out o;

	if (cl_form(c) == CL_FORM_TABLE) {
		for (size_t i = 0; i < m->n_approvals; i++)
			if (cl_has(&c->w, "full"))
				show(c, m->approvals[i], true);
			else
				line_print(c, m->approvals[i]);
		if (!m->n_approvals)
			printf("nothing is held\n");
		return 0;
	}
	cl_out_init(&o, cl_form(c));
	cl_out_array(&o, NULL);
	for (size_t i = 0; i < m->n_approvals; i++)
		json_put(&o, m->approvals[i]);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

/* ---- answering ---- */

static bool decide(struct cl *c, const char *id, bool is_yes, bool is_for_all, const char *reason,
	struct cv_err *err)
{
	enum cv_rpc_status s = CV_RPC_OK;
	Cove__V1__DecideApprovalRequest in;

	cove__v1__decide_approval_request__init(&in);
	in.id = cl_dup(c, id);
	in.approve = is_yes;
	in.all_alike = is_for_all;
	in.reason = cl_dup(c, reason);
	(void)cl_ask(c, METHOD(DecideApproval), &in.base,
		&cove__v1__decide_approval_response__descriptor, &s, err);
	return s == CV_RPC_OK;
}

enum said { SAID_NOTHING, SAID_DONE };

/* "no it is not yours": a word, and a reason. */
static enum said line_take(struct cl *c, struct waiting *w, char *line)
{
	char *reason = line + strcspn(line, " ");
	struct cv_err err = { 0 };

	if (*reason)
		*reason++ = 0;
	const bool is_always = !strcmp(line, "always");
	const bool is_yes = is_always || !strcmp(line, "yes") || !strcmp(line, "y");
	if (!strcmp(line, "all")) {
		show(c, w->approval, true);
		return SAID_NOTHING;
	}
	if (!strcmp(line, "skip"))
		return SAID_DONE;
	if (!is_yes && strcmp(line, "no") != 0 && strcmp(line, "n") != 0)
		return SAID_NOTHING;
	if (decide(c, w->approval->id, is_yes, is_always, reason, &err))
		puts(is_yes ? "allowed" : "denied");
	else
		printf("%s\n", cl_shown(c, err.msg));
	return SAID_DONE;
}

static void prompt(const struct waiting *w)
{
	const struct cv_ask ask = ask_of(w->approval);

	printf("allow it? (yes, no [REASON]%s%s, skip) ", w->approval->each ? "" : ", always",
		cv_ask_is_long(&ask) ? ", all: show all of it" : "");
	fflush(stdout);
}

/* False: stdin has ended. */
static bool question_ask(struct cl *c, struct waiting *w)
{
	struct pollfd in = { 0, POLLIN, 0 };
	char line[LINE_BYTES];

	tcflush(0, TCIFLUSH);
	show(c, w->approval, cl_has(&c->w, "full"));
	prompt(w);
	while (!w->is_gone) {
		cl_turn(c, &in, 1, -1);
		if (!in.revents)
			continue;
		const ssize_t n = read(0, line, sizeof(line) - 1);
		if (n <= 0)
			return false;
		line[n] = 0;
		line[strcspn(line, "\n")] = 0;
		if (line_take(c, w, line) == SAID_DONE)
			return true;
		prompt(w);
	}
	puts("\nit needs no answer any more");
	return true;
}

/* ---- following ---- */

static void *copied(const ProtobufCMessage *m)
{
	uint8_t *bytes = malloc(protobuf_c_message_get_packed_size(m) + 1);
	void *copy = NULL;

	if (bytes)
		copy = protobuf_c_message_unpack(
			m->descriptor, NULL, protobuf_c_message_pack(m, bytes), bytes);
	free(bytes);
	return copy;
}

static void event_take(struct cl_stream *st, ProtobufCMessage *m)
{
	struct approving *x = (struct approving *)(void *)st;
	const Cove__V1__ApprovalEvent *e = (const Cove__V1__ApprovalEvent *)m;

	if (e->event_case == COVE__V1__APPROVAL_EVENT__EVENT_HELD) {
		struct waiting *w = cl_alloc(st->c, sizeof(*w));

		w->approval = copied(&e->held->base);
		w->next = NULL;
		w->is_gone = !w->approval;
		*x->end = w;
		x->end = &w->next;
	} else if (e->event_case == COVE__V1__APPROVAL_EVENT__EVENT_ENDED_ID) {
		for (struct waiting *w = x->first; w; w = w->next)
			if (w->approval && !strcmp(w->approval->id, e->ended_id))
				w->is_gone = true;
	} else {
		x->is_listed = true;
	}
}

static void follow(struct cl *c, struct approving *x)
{
	Cove__V1__WatchApprovalsRequest in;

	*x = (struct approving){ .stream = { .on_message = event_take } };
	x->end = &x->first;
	cove__v1__watch_approvals_request__init(&in);
	in.all_workspaces = cl_has(&c->w, "all-workspaces");
	in.workspace = cl_dup(c, in.all_workspaces ? "" : c->workspace);
	in.sandbox_name = cl_dup(c, cl_flag(&c->w, "sandbox"));
	cl_stream_open(
		c, &x->stream, METHOD(WatchApprovals), &cove__v1__approval_event__descriptor);
	cl_stream_send(&x->stream, &in.base);
	if (x->stream.s)
		cv_rpc_stream_half_close(x->stream.s);
}

static void taken_free(struct approving *x)
{
	struct waiting *w = x->first;

	x->first = w->next;
	if (!x->first)
		x->end = &x->first;
	if (w->approval)
		cove__v1__approval__free_unpacked(w->approval, NULL);
}

static void one_print(struct cl *c, const Cove__V1__Approval *a)
{
	struct cl_out o;

	if (cl_form(c) == CL_FORM_TABLE) {
		show(c, a, cl_has(&c->w, "full"));
		return;
	}
	cl_out_init(&o, cl_form(c));
	json_put(&o, a);
	(void)cl_out_done(c, &o);
	fflush(stdout);
}

/* Each in turn; with is_watching until stdin or the gateway ends. */
static int all_follow(struct cl *c, bool is_asking, bool is_watching)
{
	struct approving x;
	struct pollfd out = { 1, 0, 0 }; /* POLLERR: our reader went away */

	follow(c, &x);
	while (!x.stream.is_ended || x.first) {
		if (!x.first && x.is_listed && !is_watching)
			return 0;
		if (!x.first) {
			cl_turn(c, &out, 1, -1);
			if (fflush(stdout) != 0 || (out.revents & POLLERR))
				exit(CL_EXIT_FAILED);
			continue;
		}
		if (!x.first->is_gone && is_asking && !question_ask(c, x.first))
			return 0;
		if (!x.first->is_gone && !is_asking)
			one_print(c, x.first->approval);
		taken_free(&x);
	}
	if (x.stream.status != CV_RPC_OK)
		cl_die_status(c, x.stream.status, x.stream.message);
	return 0;
}

/* ---- the command ---- */

static Cove__V1__Approval *approval_find(struct cl *c, const char *id)
{
	Cove__V1__ListApprovalsResponse *m = list_get(c);

	for (size_t i = 0; i < m->n_approvals; i++)
		if (!strcmp(m->approvals[i]->id, id))
			return m->approvals[i];
	cl_die(c, "question %s is not held", cl_shown(c, id));
}

static int one(struct cl *c, const char *id, bool is_asking)
{
	const bool is_yes = cl_has(&c->w, "yes"), is_no = cl_has(&c->w, "no");
	struct cv_err err = { 0 };

	if (is_yes || is_no) {
		if (!decide(c, id, is_yes, cl_has(&c->w, "always"), cl_flag(&c->w, "reason"), &err))
			cl_die(c, "question %s: %s", cl_shown(c, id), cl_shown(c, err.msg));
		puts(is_yes ? "allowed" : "denied");
		return 0;
	}
	struct waiting w = { .approval = approval_find(c, id) };
	if (is_asking)
		(void)question_ask(c, &w);
	else
		one_print(c, w.approval);
	return 0;
}

int cl_run_approve(struct cl *c)
{
	const bool has_answer = cl_has(&c->w, "yes") || cl_has(&c->w, "no");
	const bool is_asking =
		isatty(0) && isatty(1) && !cl_has(&c->w, "list") && cl_form(c) == CL_FORM_TABLE;
	const char *id = cl_arg(&c->w, 0);

	if (has_answer && !id)
		cl_die_usage(c, "say which: %s approve ID %s", c->program,
			cl_has(&c->w, "yes") ? "--yes" : "--no");
	if ((cl_has(&c->w, "always") || cl_flag(&c->w, "reason")) && !has_answer)
		cl_die_usage(c, "--always and --reason go with --yes or --no");
	if (id && (cl_has(&c->w, "watch") || cl_has(&c->w, "list")))
		cl_die_usage(c, "--watch and --list are for all questions");
	if (id)
		return one(c, id, is_asking);
	if (cl_has(&c->w, "watch") || is_asking)
		return all_follow(c, is_asking, cl_has(&c->w, "watch"));
	return list_print(c, list_get(c));
}
