/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota.c - see quota.h
 */
#include "gateway/quota.h"

#include "base/amount.h"
#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

const char *const cv_quota_resource_name[CV_QUOTA_COUNT] = { "sandboxes", "memory", "cpu" };

static const enum cv_amount_kind kind_of[CV_QUOTA_COUNT] = { CV_AMOUNT_COUNT, CV_AMOUNT_MEMORY,
	CV_AMOUNT_CPU };

/* ---- rooms ---- */

void cv_quota_init(struct cv_quota *q)
{
	const struct cv_quota_amount none = { { CV_QUOTA_UNLIMITED, CV_QUOTA_UNLIMITED,
		CV_QUOTA_UNLIMITED } };

	*q = (struct cv_quota){ .limits = { .host = none, .workspace = none },
		.host = { .limit = none } };
}

static void room_free(struct cv_quota_room *r)
{
	free(r->name);
	free(r);
}

void cv_quota_fini(struct cv_quota *q)
{
	for (size_t i = 0; i < q->room_count; i++)
		room_free(q->room[i]);
	free(q->room);
	cv_quota_init(q);
}

struct cv_quota_amount cv_quota_limit_of(const struct cv_quota *q, struct cv_str workspace)
{
	for (size_t i = 0; i < q->limits.n; i++)
		if (cv_str_eq(q->limits.name[i], workspace))
			return q->limits.own[i];
	return q->limits.workspace;
}

void cv_quota_configure(struct cv_quota *q, const struct cv_quota_limits *limits)
{
	q->limits = *limits;
	q->host.limit = limits->host;
	for (size_t i = 0; i < q->room_count; i++)
		q->room[i]->limit = cv_quota_limit_of(q, cv_str_of(q->room[i]->name));
}

/* Where it is, or where it would be. */
static size_t room_at(const struct cv_quota *q, struct cv_str name, bool *ret_is_there)
{
	size_t low = 0, high = q->room_count;

	while (low < high) {
		const size_t mid = low + (high - low) / 2;
		const int order = cv_str_cmp(cv_str_of(q->room[mid]->name), name);

		if (!order) {
			*ret_is_there = true;
			return mid;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_is_there = false;
	return low;
}

struct cv_quota_room *cv_quota_room_find(const struct cv_quota *q, struct cv_str workspace)
{
	bool is_there;
	const size_t at = room_at(q, workspace, &is_there);

	return is_there ? q->room[at] : NULL;
}

static struct cv_quota_room *room_make(struct cv_quota *q, struct cv_str name)
{
	bool is_there;
	const size_t at = room_at(q, name, &is_there);

	if (is_there)
		return q->room[at];
	if (q->room_count == q->room_cap) {
		const size_t cap = q->room_cap ? q->room_cap * 2 : 16;
		struct cv_quota_room **more =
			realloc(q->room, cap * sizeof(struct cv_quota_room *));

		if (!more)
			return NULL;
		q->room = more;
		q->room_cap = cap;
	}
	struct cv_quota_room *r = calloc(1, sizeof(*r));
	if (!r || !(r->name = malloc(name.n + 1))) {
		free(r);
		return NULL;
	}
	if (name.n)
		memcpy(r->name, name.p, name.n);
	r->name[name.n] = '\0';
	r->limit = cv_quota_limit_of(q, name);
	memmove(q->room + at + 1, q->room + at,
		(q->room_count - at) * sizeof(struct cv_quota_room *));
	q->room[at] = r;
	q->room_count++;
	return r;
}

bool cv_quota_join(struct cv_quota *q, struct cv_quota_holder *h, struct cv_str workspace)
{
	struct cv_quota_room *r = room_make(q, workspace);

	if (!r)
		return false;
	r->holders++;
	q->host.holders++;
	h->room = r;
	h->counted = (struct cv_quota_amount){ { 0 } };
	return true;
}

void cv_quota_leave(struct cv_quota *q, struct cv_quota_holder *h)
{
	static const struct cv_quota_amount nothing;
	struct cv_quota_room *r = h->room;
	bool is_there;

	if (!r)
		return;
	cv_quota_dequeue(q, h);
	cv_quota_count(q, h, &nothing);
	h->room = NULL;
	q->host.holders--;
	if (--r->holders)
		return;
	const size_t at = room_at(q, cv_str_of(r->name), &is_there);
	cv_assert(is_there && q->room[at] == r);
	q->room_count--;
	memmove(q->room + at, q->room + at + 1,
		(q->room_count - at) * sizeof(struct cv_quota_room *));
	room_free(r);
}

void cv_quota_count(
	struct cv_quota *q, struct cv_quota_holder *h, const struct cv_quota_amount *now)
{
	for (size_t i = 0; i < CV_QUOTA_COUNT; i++) {
		h->room->used[i] += (cv_quota_sum)now->v[i] - h->counted.v[i];
		q->host.used[i] += (cv_quota_sum)now->v[i] - h->counted.v[i];
	}
	h->counted = *now;
}

/* ---- judging ---- */

static uint64_t clipped(cv_quota_sum v)
{
	return v > UINT64_MAX ? UINT64_MAX : (uint64_t)v;
}

/* Is there no room for it?  The first resource that is short says why; but one that can never be
 * enough says more than one that is taken. */
static bool is_short(const struct cv_quota_room *r, const struct cv_quota_amount *need,
	const struct cv_quota_amount *counted, struct cv_quota_short *ret)
{
	bool is_found = false;

	for (enum cv_quota_resource i = 0; i < CV_QUOTA_COUNT; i++) {
		const uint64_t limit = r->limit.v[i];
		const uint64_t more = need->v[i] > counted->v[i] ? need->v[i] - counted->v[i] : 0;
		const bool is_never = more && need->v[i] > limit;

		if (limit == CV_QUOTA_UNLIMITED || !more || r->used[i] + more <= limit ||
			(is_found && !is_never))
			continue;
		*ret = (struct cv_quota_short){
			.verdict = is_never ? CV_QUOTA_NEVER : CV_QUOTA_SHORT,
			.resource = i,
			.is_host = !r->name,
			.used = clipped(r->used[i]),
			.asked = more,
			.limit = limit,
		};
		if (is_never)
			return true;
		is_found = true;
	}
	return is_found;
}

/* Of the workspace, then of the host. */
static enum cv_quota_verdict shortage(const struct cv_quota *q, const struct cv_quota_room *r,
	const struct cv_quota_amount *need, const struct cv_quota_amount *counted,
	struct cv_quota_short *ret)
{
	struct cv_quota_short host;

	*ret = (struct cv_quota_short){ .verdict = CV_QUOTA_FITS };
	if (is_short(r, need, counted, ret) && ret->verdict == CV_QUOTA_NEVER)
		return CV_QUOTA_NEVER;
	if (is_short(&q->host, need, counted, &host) &&
		(host.verdict == CV_QUOTA_NEVER || ret->verdict == CV_QUOTA_FITS))
		*ret = host;
	return ret->verdict;
}

static bool waits_for_host(const struct cv_quota *q, const struct cv_quota_holder *h)
{
	struct cv_quota_short s;

	return is_short(&q->host, &h->need, &h->counted, &s) &&
	       !is_short(h->room, &h->need, &h->counted, &s);
}

/* Who waits in front of h, or of whoever comes now (h NULL), and has been overtaken often enough. */
static const struct cv_quota_holder *closed_by(
	const struct cv_quota *q, const struct cv_quota_holder *h)
{
	for (const struct cv_quota_holder *i = q->first; i && i != h; i = i->next)
		if (i->overtaken >= CV_QUOTA_OVERTAKES_MAX && waits_for_host(q, i))
			return i;
	return NULL;
}

/* Everybody up to h (NULL: to the end) who waits for the host sees somebody go first. */
static void overtake(struct cv_quota *q, const struct cv_quota_holder *h)
{
	for (struct cv_quota_holder *i = q->first; i && i != h; i = i->next)
		if (i->overtaken < CV_QUOTA_OVERTAKES_MAX && waits_for_host(q, i))
			i->overtaken++;
}

/* In front of h, or of whoever comes now. */
static size_t ahead_of(
	const struct cv_quota *q, const struct cv_quota_room *r, const struct cv_quota_holder *h)
{
	size_t n = 0;

	for (const struct cv_quota_holder *i = q->first; i && i != h; i = i->next)
		n += !r->name || i->room == r;
	return n;
}

static enum cv_quota_verdict behind(const struct cv_quota *q, const struct cv_quota_room *r,
	const struct cv_quota_holder *h, struct cv_quota_short *ret)
{
	const bool is_host = !ahead_of(q, r, h);

	if (is_host && !closed_by(q, h))
		return CV_QUOTA_FITS;
	*ret = (struct cv_quota_short){
		.verdict = CV_QUOTA_BEHIND,
		.is_host = is_host,
		.ahead = ahead_of(q, is_host ? &q->host : r, h),
	};
	return CV_QUOTA_BEHIND;
}

enum cv_quota_verdict cv_quota_judge(struct cv_quota *q, struct cv_str workspace,
	const struct cv_quota_amount *need, const struct cv_quota_amount *counted,
	struct cv_quota_short *ret)
{
	char none[1] = "";
	const struct cv_quota_room empty = { .limit = cv_quota_limit_of(q, workspace),
		.name = none };
	const struct cv_quota_room *r = cv_quota_room_find(q, workspace);
	struct cv_quota_short s;
	enum cv_quota_verdict v = shortage(q, r ? r : &empty, need, counted, &s);

	if (v == CV_QUOTA_FITS && q->queued)
		v = behind(q, r ? r : &empty, NULL, &s);
	if (v == CV_QUOTA_FITS)
		overtake(q, NULL);
	if (ret)
		*ret = s;
	return v;
}

struct cv_quota_short cv_quota_why(const struct cv_quota *q, const struct cv_quota_holder *h)
{
	struct cv_quota_short s;

	if (shortage(q, h->room, &h->need, &h->counted, &s) == CV_QUOTA_FITS)
		(void)behind(q, h->room, h, &s);
	return s;
}

/* ---- sentences ---- */

static void of_put(struct cv_buf *out, const struct cv_quota_short *s, struct cv_str workspace)
{
	if (s->is_host)
		cv_buf_put(out, CV_STR("the host"));
	else
		cv_buf_printf(out, "workspace '%.*s'", CV_STR_ARG(workspace));
}

void cv_quota_explain(struct cv_buf *out, const struct cv_quota_short *s, struct cv_str workspace,
	unsigned defaults)
{
	const char *name = cv_quota_resource_name[s->resource];
	const bool is_default = (defaults & (1u << s->resource)) != 0;
	char used[CV_AMOUNT_BYTES], asked[CV_AMOUNT_BYTES], limit[CV_AMOUNT_BYTES];

	cv_amount_text(kind_of[s->resource], s->used, used);
	cv_amount_text(kind_of[s->resource], s->asked, asked);
	cv_amount_text(kind_of[s->resource], s->limit, limit);
	of_put(out, s, workspace);
	switch (s->verdict) {
	case CV_QUOTA_FITS: cv_buf_put(out, CV_STR(" has room")); return;
	case CV_QUOTA_BEHIND:
		cv_buf_printf(out, " has room, but %zu wait%s for it already", s->ahead,
			s->ahead == 1 ? "s" : "");
		return;
	case CV_QUOTA_NEVER:
		cv_buf_printf(out, " may use %s of %s at all, and the sandbox asks for %s", limit,
			name, asked);
		break;
	case CV_QUOTA_SHORT:
		cv_buf_printf(out,
			" is short of %s: %s of %s are used, and the sandbox asks for %s", name,
			used, limit, asked);
		break;
	}
	if (is_default)
		cv_buf_put(out, CV_STR(" (the default of one without a limit of its own)"));
}

const char *cv_quota_advice(const struct cv_quota_short *s)
{
	switch (s->verdict) {
	case CV_QUOTA_NEVER:
		return s->resource == CV_QUOTA_SANDBOXES ? "have the quota raised"
							 : "ask for less, or have the quota raised";
	case CV_QUOTA_SHORT:
		return s->resource == CV_QUOTA_SANDBOXES
			       ? "delete one, or ask to wait (x-cove-queue, --queue)"
			       : "stop one, ask for less, or ask to wait (x-cove-queue, --queue)";
	case CV_QUOTA_BEHIND:
	case CV_QUOTA_FITS: break;
	}
	return "try again later, or ask to wait, too (x-cove-queue, --queue)";
}

/* ---- the queue ---- */

/* In the order of arrival; who comes now goes to the end at once. */
void cv_quota_enqueue(struct cv_quota *q, struct cv_quota_holder *h,
	const struct cv_quota_amount *need, int64_t since_ms, int64_t until_ms)
{
	struct cv_quota_holder *before = q->last;

	cv_assert(!h->is_queued && h->room);
	while (before && before->since_ms > since_ms)
		before = before->before;
	h->need = *need;
	h->since_ms = since_ms;
	h->until_ms = until_ms;
	h->overtaken = 0;
	h->is_queued = true;
	h->before = before;
	h->next = before ? before->next : q->first;
	if (h->next)
		h->next->before = h;
	else
		q->last = h;
	if (before)
		before->next = h;
	else
		q->first = h;
	q->queued++;
	h->room->queued++;
}

void cv_quota_dequeue(struct cv_quota *q, struct cv_quota_holder *h)
{
	if (!h->is_queued)
		return;
	if (h->before)
		h->before->next = h->next;
	else
		q->first = h->next;
	if (h->next)
		h->next->before = h->before;
	else
		q->last = h->before;
	h->next = h->before = NULL;
	h->is_queued = false;
	q->queued--;
	h->room->queued--;
}

struct cv_quota_holder *cv_quota_next(struct cv_quota *q)
{
	const uint64_t mark = ++q->mark;
	struct cv_quota_short s;

	for (struct cv_quota_holder *h = q->first; h; h = h->next) {
		if (h->overtaken >= CV_QUOTA_OVERTAKES_MAX && waits_for_host(q, h))
			return NULL;
		if (h->room->mark == mark) /* somebody of its workspace waits in front of it */
			continue;
		if (shortage(q, h->room, &h->need, &h->counted, &s) == CV_QUOTA_FITS) {
			overtake(q, h);
			return h;
		}
		h->room->mark = mark;
	}
	return NULL;
}

struct cv_quota_holder *cv_quota_expired(const struct cv_quota *q, int64_t now_ms)
{
	for (struct cv_quota_holder *h = q->first; h; h = h->next)
		if (h->until_ms <= now_ms)
			return h;
	return NULL;
}

int64_t cv_quota_due_ms(const struct cv_quota *q)
{
	int64_t due = INT64_MAX;

	for (const struct cv_quota_holder *h = q->first; h; h = h->next)
		due = CV_MIN(due, h->until_ms);
	return due;
}

size_t cv_quota_place(const struct cv_quota *q, const struct cv_quota_holder *h)
{
	return ahead_of(q, &q->host, h) + 1;
}
