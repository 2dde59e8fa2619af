/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_model.c - what `cove top` knows, and what keys change; see top.h
 *
 * Without memory a thing is left out, not the program: a monitor that is short of it shows less.
 */
#include "client/top.h"
#include "client/usage.h"

#include "base/assert.h"
#include "base/shown.h"
#include "rpc/policy_merge.h"

#include <stdlib.h>
#include <string.h>

#define CHANGES_BYTES_MAX (256u << 10) /* of one proposal's text */

static char *dup_z(const char *z)
{
	return cv_str_dup(cv_str_of(z));
}

/* One line that is safe to show. */
static char *shown(const char *z, size_t bytes_max)
{
	struct cv_buf b;

	cv_buf_init(&b, CHANGES_BYTES_MAX);
	(void)cv_shown_put_line(&b, cv_str_of(z), bytes_max);
	char *p = cv_str_dup(cv_buf_str(&b));
	cv_buf_fini(&b);
	return p;
}

static bool is_same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static void replace(char **p, char *with)
{
	free(*p);
	*p = with;
}

/* ---- life ---- */

void cl_top_init(struct cl_top *t)
{
	*t = (struct cl_top){ .view = CL_TOP_SANDBOXES };
	t->boxes = calloc(CL_TOP_BOXES_MAX, sizeof(*t->boxes));
	t->chunks = calloc(CL_TOP_CHUNKS_MAX, sizeof(*t->chunks));
	t->lines = calloc(CL_TOP_LINES_MAX, sizeof(*t->lines));
	cv_assert(t->boxes && t->chunks && t->lines);
}

static void box_free(struct cl_top_box *b)
{
	free(b->id);
	free(b->name);
	free(b->workspace);
	free(b->shown);
}

static void chunk_free(struct cl_top_chunk *k)
{
	free(k->box_id);
	free(k->id);
	free(k->token);
	free(k->box);
	free(k->rule);
	free(k->endpoints);
	free(k->program);
	free(k->rationale);
	free(k->notes);
	free(k->changes);
}

static void line_free(struct cl_top_line *l)
{
	free(l->box_id);
	free(l->box);
	free(l->text);
}

static void asked_drop(struct cl_top *t)
{
	if (t->asked)
		chunk_free(t->asked);
	free(t->asked);
	t->asked = NULL;
}

void cl_top_fini(struct cl_top *t)
{
	for (size_t i = 0; i < t->box_count; i++)
		box_free(&t->boxes[i]);
	for (size_t i = 0; i < t->chunk_count; i++)
		chunk_free(&t->chunks[i]);
	for (size_t i = 0; i < t->line_count; i++)
		line_free(&t->lines[(t->line_first + i) % CL_TOP_LINES_MAX]);
	asked_drop(t);
	free(t->boxes);
	free(t->chunks);
	free(t->lines);
	free(t->at);
	free(t->at_chunk);
	free(t->logs_of);
	free(t->gateway);
	free(t->state);
	free(t->note);
	free(t->quota);
}

void cl_top_set_state(struct cl_top *t, const char *gateway, const char *state)
{
	replace(&t->gateway, shown(gateway, CL_TOP_TEXT_MAX));
	replace(&t->state, shown(state, CL_TOP_TEXT_MAX));
}

void cl_top_set_note(struct cl_top *t, const char *note)
{
	replace(&t->note, note ? shown(note, CL_TOP_TEXT_MAX) : NULL);
}

/* ---- sandboxes ---- */

static const char *phase_word(const Openshell__V1__Sandbox *s)
{
	static const char *const words[] = { "Unspecified", "Provisioning", "Ready", "Error",
		"Deleting", "Unknown", "Stopping", "Stopped", "Starting" };
	const size_t i = s->status ? (size_t)s->status->phase : 0;

	return i < CV_ARRAY_LEN(words) ? words[i] : "Unknown";
}

struct cl_top_box *cl_top_box(struct cl_top *t, const char *id)
{
	for (size_t i = 0; i < t->box_count; i++)
		if (is_same(t->boxes[i].id, id))
			return &t->boxes[i];
	return NULL;
}

static void box_take(struct cl_top_box *b, const Openshell__V1__Sandbox *s)
{
	b->phase = phase_word(s);
	b->created_ms = s->metadata->created_at_ms;
	b->policy_version = s->status ? s->status->current_policy_version : 0;
}

void cl_top_sandbox(struct cl_top *t, const Openshell__V1__Sandbox *s)
{
	struct cl_top_box *b = s->metadata ? cl_top_box(t, s->metadata->id) : NULL;

	if (b)
		box_take(b, s);
}

/* Of one kind; box_id NULL: of all sandboxes. */
static void chunks_drop(struct cl_top *t, const char *box_id, bool is_question)
{
	size_t n = 0;

	for (size_t i = 0; i < t->chunk_count; i++)
		if (t->chunks[i].is_question == is_question &&
			(!box_id || is_same(t->chunks[i].box_id, box_id)))
			chunk_free(&t->chunks[i]);
		else
			t->chunks[n++] = t->chunks[i];
	t->chunk_count = n;
}

static void box_add(struct cl_top *t, const Openshell__V1__Sandbox *s)
{
	struct cl_top_box b = { .id = dup_z(s->metadata->id),
		.name = dup_z(s->metadata->name),
		.workspace = dup_z(s->metadata->workspace),
		.shown = shown(s->metadata->name, CL_TOP_TEXT_MAX),
		.is_there = true };

	if (!b.id || !b.name || !b.workspace || !b.shown || t->box_count == CL_TOP_BOXES_MAX) {
		t->has_more |= t->box_count == CL_TOP_BOXES_MAX;
		box_free(&b);
		return;
	}
	box_take(&b, s);
	t->boxes[t->box_count++] = b;
}

static void boxes_sweep(struct cl_top *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->box_count; i++) {
		if (t->boxes[i].is_there) {
			t->boxes[n++] = t->boxes[i];
			continue;
		}
		chunks_drop(t, t->boxes[i].id, false);
		chunks_drop(t, t->boxes[i].id, true);
		box_free(&t->boxes[i]);
	}
	t->box_count = n;
}

void cl_top_list(struct cl_top *t, const Openshell__V1__ListSandboxesResponse *m)
{
	t->has_more = false;
	for (size_t i = 0; i < t->box_count; i++)
		t->boxes[i].is_there = false;
	/* two walks, so that those who are gone make room for those who came */
	for (size_t i = 0; i < m->n_sandboxes; i++) {
		const Openshell__V1__Sandbox *s = m->sandboxes[i];
		struct cl_top_box *b = s->metadata ? cl_top_box(t, s->metadata->id) : NULL;

		if (b) {
			b->is_there = true;
			box_take(b, s);
		}
	}
	boxes_sweep(t);
	for (size_t i = 0; i < m->n_sandboxes; i++)
		if (m->sandboxes[i]->metadata && !cl_top_box(t, m->sandboxes[i]->metadata->id))
			box_add(t, m->sandboxes[i]);
	if (!cl_top_box(t, t->at))
		replace(&t->at, t->box_count ? dup_z(t->boxes[0].id) : NULL);
}

/* ---- lines ---- */

void cl_top_log(struct cl_top *t, const char *box_id, const Openshell__V1__SandboxLogLine *l)
{
	struct cl_top_box *b = cl_top_box(t, box_id);
	struct cl_top_line *to;

	if (!b)
		return;
	b->seen_ms = CV_MAX(b->seen_ms, l->timestamp_ms);
	struct cl_top_line line = { .box_id = dup_z(box_id),
		.box = dup_z(b->shown),
		.text = shown(l->message, CL_TOP_TEXT_MAX),
		.ms = l->timestamp_ms,
		.nth = t->line_next++,
		.is_decision = strcmp(l->level, "OCSF") == 0 };
	if (!line.box_id || !line.box || !line.text) {
		line_free(&line);
		return;
	}
	line.is_denied = line.is_decision && strstr(line.text, " DENIED ") != NULL;
	line.is_allowed = line.is_decision && strstr(line.text, " ALLOWED ") != NULL;
	if (t->line_count == CL_TOP_LINES_MAX) {
		line_free(&t->lines[t->line_first]);
		t->line_first = (t->line_first + 1) % CL_TOP_LINES_MAX;
		t->line_count--;
	}
	to = &t->lines[(t->line_first + t->line_count++) % CL_TOP_LINES_MAX];
	*to = line;
}

static int by_time(const void *a, const void *b)
{
	const struct cl_top_line *x = a, *y = b;

	if (x->ms != y->ms)
		return x->ms < y->ms ? -1 : 1;
	return x->nth < y->nth ? -1 : x->nth > y->nth;
}

void cl_top_lines_sort(struct cl_top *t)
{
	/* A ring that is not full begins at 0, and one that is has no end. */
	qsort(t->lines, t->line_count, sizeof(*t->lines), by_time);
	t->line_first = 0;
}

/* ---- proposals ---- */

static void endpoint_put(struct cv_buf *b, const Openshell__Sandbox__V1__NetworkEndpoint *e)
{
	(void)cv_shown_put_line(b, cv_str_of(e->host), CL_TOP_TEXT_MAX);
	if (!e->n_ports)
		cv_buf_printf(b, ":%u", e->port);
	for (size_t i = 0; i < e->n_ports; i++)
		cv_buf_printf(b, "%c%u", i ? ',' : ':', e->ports[i]);
}

/* Each line of text escaped, behind mark. */
static void lines_put(struct cv_buf *b, const char *mark, struct cv_str text)
{
	while (text.n) {
		const struct cv_str line = cv_str_cut(&text, '\n');

		cv_buf_put(b, cv_str_of(mark));
		(void)cv_shown_put_line(b, line, 0);
		cv_buf_put_byte(b, '\n');
	}
}

/* The rule as a policy's text has it: all of it, whatever it allows. */
static bool rule_put(struct cv_buf *b, const Openshell__V1__PolicyChunk *k)
{
	Openshell__Sandbox__V1__SandboxPolicy__NetworkPoliciesEntry entry, *entries = &entry;
	Openshell__Sandbox__V1__SandboxPolicy policy;
	struct cv_buf text;
	struct cv_err err;

	if (!k->proposed_rule)
		return false;
	openshell__sandbox__v1__sandbox_policy__init(&policy);
	openshell__sandbox__v1__sandbox_policy__network_policies_entry__init(&entry);
	entry.key = k->rule_name;
	entry.value = k->proposed_rule;
	policy.network_policies = &entries;
	policy.n_network_policies = 1;
	cv_buf_init(&text, CHANGES_BYTES_MAX);
	const bool is_whole = cv_policy_pb_text(&policy, &text, &err) == CV_OK;
	if (is_whole)
		lines_put(b, "  ", cv_buf_str(&text));
	cv_buf_fini(&text);
	return is_whole;
}

/* What would be another, and the rule itself. */
static char *changes_of(const Openshell__V1__PolicyChunk *k)
{
	struct cv_buf b, text;

	cv_buf_init(&b, CHANGES_BYTES_MAX);
	cv_buf_init(&text, CHANGES_BYTES_MAX);
	if (k->current_effective_policy && k->candidate_effective_policy) {
		cv_policy_diff(k->current_effective_policy, k->candidate_effective_policy, &text);
		lines_put(&b, "", cv_buf_str(&text));
	}
	const bool is_whole = rule_put(&b, k) && !b.is_overflown && !text.is_overflown;
	char *p = is_whole ? cv_str_dup(cv_buf_str(&b))
			   : dup_z("This cannot be shown here: see cove rule get.\n");
	cv_buf_fini(&text);
	cv_buf_fini(&b);
	return p;
}

static char *endpoints_of(const Openshell__Sandbox__V1__NetworkPolicyRule *r)
{
	struct cv_buf b;

	cv_buf_init(&b, CHANGES_BYTES_MAX);
	for (size_t i = 0; r && i < r->n_endpoints; i++) {
		if (i)
			cv_buf_put(&b, CV_STR(", "));
		endpoint_put(&b, r->endpoints[i]);
	}
	char *p = cv_str_dup(cv_buf_str(&b));
	cv_buf_fini(&b);
	return p;
}

static void chunk_keep(struct cl_top *t, struct cl_top_chunk *c)
{
	if (!c->box_id || !c->id || !c->token || !c->box || !c->rule || !c->endpoints ||
		!c->program || !c->rationale || !c->notes || !c->changes ||
		t->chunk_count == CL_TOP_CHUNKS_MAX)
		chunk_free(c);
	else
		t->chunks[t->chunk_count++] = *c;
}

/* Somewhere, when what was selected does not wait any more. */
static void chunk_reselect(struct cl_top *t)
{
	for (size_t i = 0; i < t->chunk_count; i++)
		if (is_same(t->chunks[i].id, t->at_chunk))
			return;
	replace(&t->at_chunk, t->chunk_count ? dup_z(t->chunks[0].id) : NULL);
	if (t->view == CL_TOP_REVIEW)
		t->view = CL_TOP_APPROVALS;
}

static void chunk_add(
	struct cl_top *t, const struct cl_top_box *b, const Openshell__V1__PolicyChunk *k)
{
	const Openshell__Sandbox__V1__NetworkPolicyRule *r = k->proposed_rule;
	const char *program = r && r->n_binaries ? r->binaries[0]->path : k->binary;
	struct cl_top_chunk c = { .box_id = dup_z(b->id),
		.id = dup_z(k->id),
		.token = dup_z(k->review_token),
		.box = dup_z(b->shown),
		.rule = shown(k->rule_name, CL_TOP_TEXT_MAX),
		.endpoints = endpoints_of(r),
		.program = shown(program, CL_TOP_TEXT_MAX),
		.rationale = shown(k->rationale, CL_TOP_TEXT_MAX),
		.notes = shown(k->security_notes, CL_TOP_TEXT_MAX),
		.changes = changes_of(k) };

	chunk_keep(t, &c);
}

void cl_top_drafts(
	struct cl_top *t, const char *box_id, const Openshell__V1__GetDraftPolicyResponse *m)
{
	const struct cl_top_box *b = cl_top_box(t, box_id);

	if (!b)
		return;
	chunks_drop(t, b->id, false);
	for (size_t i = 0; i < m->n_chunks; i++)
		if (strcmp(m->chunks[i]->status, "pending") == 0)
			chunk_add(t, b, m->chunks[i]);
	chunk_reselect(t);
}

static void question_add(struct cl_top *t, const Cove__V1__Approval *a)
{
	struct cv_buf text;

	cv_buf_init(&text, CHANGES_BYTES_MAX);
	lines_put(&text, "  ", cv_str_of(a->text));
	const bool is_whole = !text.is_overflown && a->text_bytes <= strlen(a->text);
	struct cl_top_chunk c = { .is_question = true,
		.box_id = dup_z(a->sandbox_id),
		.id = dup_z(a->id),
		.token = dup_z(""),
		.box = shown(a->sandbox_name, CL_TOP_TEXT_MAX),
		.rule = shown(a->rule, CL_TOP_TEXT_MAX),
		.endpoints = shown(a->subject, CL_TOP_TEXT_MAX),
		.program = shown(a->binary, CL_TOP_TEXT_MAX),
		.rationale = dup_z(strcmp(a->kind, "network") == 0 ? "held request" : "held call"),
		.notes = dup_z(is_whole ? "" : "not all of it is shown: see cove approve"),
		.changes = text.is_overflown ? dup_z("") : cv_str_dup(cv_buf_str(&text)) };

	cv_buf_fini(&text);
	chunk_keep(t, &c);
}

void cl_top_questions(struct cl_top *t, const Cove__V1__ListApprovalsResponse *m)
{
	chunks_drop(t, NULL, true);
	for (size_t i = 0; i < m->n_approvals; i++)
		question_add(t, m->approvals[i]);
	chunk_reselect(t);
}

void cl_top_questions_forget(struct cl_top *t)
{
	chunks_drop(t, NULL, true);
	chunk_reselect(t);
}

void cl_top_question_end(struct cl_top *t, const char *id)
{
	size_t n = 0;

	for (size_t i = 0; i < t->chunk_count; i++)
		if (t->chunks[i].is_question && strcmp(t->chunks[i].id, id) == 0)
			chunk_free(&t->chunks[i]);
		else
			t->chunks[n++] = t->chunks[i];
	t->chunk_count = n;
	chunk_reselect(t);
}

void cl_top_question(struct cl_top *t, const Cove__V1__Approval *a)
{
	cl_top_question_end(t, a->id); /* told again */
	question_add(t, a);
	chunk_reselect(t);
}

/* ---- quotas ---- */

void cl_top_usage_set(struct cl_top *t, const Cove__V1__GetUsageResponse *m)
{
	struct cv_buf b, one;

	cv_buf_init(&b, CL_TOP_TEXT_MAX);
	cv_buf_init(&one, CL_USAGE_BYTES);
	for (size_t i = 0; i <= m->n_workspaces; i++) {
		const Cove__V1__Usage *u = i ? m->workspaces[i - 1] : m->host;

		cv_buf_reset(&one);
		cl_usage_put(&one, u);
		if (cv_buf_len(&one))
			cv_buf_printf(&b, "%s%.64s: %.*s", cv_buf_len(&b) ? "  " : "",
				i ? u->workspace : "host", CV_STR_ARG(cv_buf_str(&one)));
	}
	cv_buf_put_byte(&b, '\0');
	const char *text = cv_buf_str(&b).p;
	replace(&t->quota, text && *text ? shown(text, CL_TOP_TEXT_MAX) : NULL);
	cv_buf_fini(&one);
	cv_buf_fini(&b);
}

/* ---- keys ---- */

bool cl_top_box_fits(const struct cl_top *t, size_t i)
{
	return !*t->filter || strstr(t->boxes[i].shown, t->filter);
}

bool cl_top_chunk_fits(const struct cl_top *t, size_t i)
{
	const struct cl_top_chunk *k = &t->chunks[i];

	return !*t->filter || strstr(k->box, t->filter) || strstr(k->endpoints, t->filter);
}

/* The selection of a list goes by `by` rows that fit. */
static void walk(struct cl_top *t, long by)
{
	const bool is_boxes = t->view == CL_TOP_SANDBOXES;
	const size_t n = is_boxes ? t->box_count : t->chunk_count;
	char **at = is_boxes ? &t->at : &t->at_chunk;
	const char *to = NULL;
	long from = -1, seen = 0;

	for (size_t i = 0; i < n; i++) {
		if (!(is_boxes ? cl_top_box_fits(t, i) : cl_top_chunk_fits(t, i)))
			continue;
		if (is_same(is_boxes ? t->boxes[i].id : t->chunks[i].id, *at))
			from = seen;
		seen++;
	}
	const long goal = CV_MAX(0L, CV_MIN(seen - 1, from < 0 ? 0 : from + by));
	for (size_t i = 0, k = 0; i < n; i++) {
		if (!(is_boxes ? cl_top_box_fits(t, i) : cl_top_chunk_fits(t, i)))
			continue;
		if ((long)k++ == goal)
			to = is_boxes ? t->boxes[i].id : t->chunks[i].id;
	}
	if (to)
		replace(at, dup_z(to));
}

static void move(struct cl_top *t, long by)
{
	if (t->view == CL_TOP_SANDBOXES || t->view == CL_TOP_APPROVALS) {
		walk(t, by);
		return;
	}
	/* lines are counted from their end, a review's from its beginning */
	const long to = (long)t->scroll + (t->view == CL_TOP_LOGS ? -by : by);
	t->scroll = (size_t)CV_MAX(0L, CV_MIN(to, (long)CL_TOP_LINES_MAX));
}

static struct cl_top_chunk *chunk_at(struct cl_top *t)
{
	for (size_t i = 0; i < t->chunk_count; i++)
		if (is_same(t->chunks[i].id, t->at_chunk) && cl_top_chunk_fits(t, i))
			return &t->chunks[i];
	return NULL;
}

static void view(struct cl_top *t, enum cl_top_view to)
{
	t->view = to;
	t->scroll = 0;
}

static void decide(struct cl_top *t, enum cl_top_ask ask)
{
	const struct cl_top_chunk *k = chunk_at(t);

	if (!k || (t->view != CL_TOP_APPROVALS && t->view != CL_TOP_REVIEW)) {
		cl_top_set_note(t, k ? "press p to see what waits for approval"
				     : "nothing is selected that could be decided");
		return;
	}
	asked_drop(t);
	t->asked = calloc(1, sizeof(*t->asked));
	if (!t->asked)
		return;
	*t->asked = (struct cl_top_chunk){ .is_question = k->is_question,
		.box_id = dup_z(k->box_id),
		.id = dup_z(k->id),
		.token = dup_z(k->token),
		.box = dup_z(k->box),
		.endpoints = dup_z(k->endpoints),
		.rule = dup_z(k->rule) };
	const struct cl_top_chunk *a = t->asked;
	view(t, CL_TOP_REVIEW); /* nobody decides about what he does not see */
	if (a->box_id && a->id && a->token && a->box && a->endpoints && a->rule)
		t->ask = ask;
}

static enum cl_top_does answer(struct cl_top *t, int key)
{
	const enum cl_top_ask ask = t->ask;
	const size_t n = strlen(t->filter);

	if (ask != CL_TOP_ASK_FILTER) {
		t->ask = CL_TOP_ASK_NOTHING;
		if (key == 'y')
			return ask == CL_TOP_ASK_APPROVE ? CL_TOP_DOES_APPROVE : CL_TOP_DOES_REJECT;
		return CL_TOP_DOES_NOTHING;
	}
	if (key == CL_TOP_KEY_ESCAPE)
		t->filter[0] = '\0';
	if (key == CL_TOP_KEY_ESCAPE || key == CL_TOP_KEY_ENTER)
		t->ask = CL_TOP_ASK_NOTHING;
	else if (key == CL_TOP_KEY_BACKSPACE && n)
		t->filter[n - 1] = '\0';
	else if (key >= ' ' && key < 0x7f && n < CL_TOP_FILTER_MAX) {
		t->filter[n] = (char)key;
		t->filter[n + 1] = '\0';
	}
	walk(t, 0);
	return CL_TOP_DOES_NOTHING;
}

static void enter(struct cl_top *t)
{
	if (t->view == CL_TOP_APPROVALS && chunk_at(t)) {
		view(t, CL_TOP_REVIEW);
	} else if (t->view == CL_TOP_SANDBOXES && cl_top_box(t, t->at)) {
		replace(&t->logs_of, dup_z(t->at));
		view(t, CL_TOP_LOGS);
	}
}

static void back(struct cl_top *t)
{
	if (t->view == CL_TOP_SANDBOXES)
		t->filter[0] = '\0';
	view(t, t->view == CL_TOP_REVIEW ? CL_TOP_APPROVALS : CL_TOP_SANDBOXES);
}

enum cl_top_does cl_top_press(struct cl_top *t, int key)
{
	const long page = (long)CV_MAX(t->page, (size_t)1);

	cl_top_set_note(t, NULL);
	if (t->ask != CL_TOP_ASK_NOTHING)
		return answer(t, key);
	switch (key) {
	case 'q': return CL_TOP_DOES_QUIT;
	case 'j':
	case CL_TOP_KEY_DOWN: move(t, 1); break;
	case 'k':
	case CL_TOP_KEY_UP: move(t, -1); break;
	case CL_TOP_KEY_PAGE_DOWN:
	case 'f' & 0x1f: move(t, page); break;
	case CL_TOP_KEY_PAGE_UP:
	case 'b' & 0x1f: move(t, -page); break;
	case 'g':
	case CL_TOP_KEY_HOME: move(t, -(long)CL_TOP_LINES_MAX); break;
	case 'G':
	case CL_TOP_KEY_END: move(t, CL_TOP_LINES_MAX); break;
	case 'l':
	case CL_TOP_KEY_ENTER: enter(t); break;
	case 'h':
	case CL_TOP_KEY_ESCAPE: back(t); break;
	case CL_TOP_KEY_TAB:
		view(t, t->view == CL_TOP_SANDBOXES ? CL_TOP_APPROVALS : CL_TOP_SANDBOXES);
		break;
	case 'p': view(t, CL_TOP_APPROVALS); break;
	case 's': view(t, CL_TOP_SANDBOXES); break;
	case '?': view(t, CL_TOP_HELP); break;
	case '/': t->ask = CL_TOP_ASK_FILTER; break;
	case 'a': decide(t, CL_TOP_ASK_APPROVE); break;
	case 'x': decide(t, CL_TOP_ASK_REJECT); break;
	default: break;
	}
	return CL_TOP_DOES_NOTHING;
}
