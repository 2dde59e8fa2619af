/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admission_rpc.c - what is taken of the quotas, as clients and as /metrics see it
 *
 * The host's numbers are told to whoever may ask at all: a refusal says them, too.
 */
#include "gateway/admission_int.h"

#include "gateway/access.h"
#include "gateway/config.h"
#include "gateway/metrics.h"

#include "cove.pb-c.h"

#include <math.h>

#define METRIC_WORKSPACES_MAX 64 /* with series of their own; of others the sum */
#define METRIC_NAME_BYTES     64

static uint64_t clipped(cv_quota_sum v)
{
	return v > UINT64_MAX ? UINT64_MAX : (uint64_t)v;
}

static char *text_of(struct cv_arena *arena, struct cv_str s)
{
	const struct cv_str copy = cv_arena_str(arena, s);

	return copy.p ? (char *)(uintptr_t)copy.p : NULL;
}

/* ---- GetUsage ---- */

/* room NULL: nobody is in the workspace. */
static Cove__V1__Usage *usage_of(struct cv_arena *arena, struct cv_str workspace,
	const struct cv_quota_room *room, const struct cv_quota_amount *limit)
{
	Cove__V1__Usage *u = cv_arena_new(arena, Cove__V1__Usage);

	if (!u)
		return NULL;
	cove__v1__usage__init(u);
	u->workspace = text_of(arena, workspace);
	u->queued = room ? (uint32_t)room->queued : 0;
	u->resources = cv_arena_array(arena, CV_QUOTA_COUNT, sizeof(*u->resources));
	for (size_t i = 0; u->resources && i < CV_QUOTA_COUNT; i++) {
		Cove__V1__ResourceUsage *r = cv_arena_new(arena, Cove__V1__ResourceUsage);

		if (!r)
			return NULL;
		cove__v1__resource_usage__init(r);
		r->resource = text_of(arena, cv_str_of(cv_quota_resource_name[i]));
		r->used = room ? clipped(room->used[i]) : 0;
		r->limited = limit->v[i] != CV_QUOTA_UNLIMITED;
		r->limit = r->limited ? limit->v[i] : 0;
		u->resources[u->n_resources++] = r;
	}
	return u;
}

static bool workspace_add(struct cv_rpc_call *c, struct cv_str name, Cove__V1__GetUsageResponse *m)
{
	const struct cv_quota *q = &cv_gw_of(c)->admission->q;
	const struct cv_quota_amount limit = cv_quota_limit_of(q, name);

	m->workspaces[m->n_workspaces] =
		usage_of(cv_rpc_call_arena(c), name, cv_quota_room_find(q, name), &limit);
	return m->workspaces[m->n_workspaces++] != NULL;
}

static bool may_see(const struct cv_rpc_call *c, struct cv_str workspace)
{
	struct cv_object *o;
	struct cv_err err;

	return cv_gw_workspace_open(c, workspace, false, &o, &err) == CV_RPC_OK;
}

static bool workspaces_add(
	struct cv_rpc_call *c, const struct cv_object *only, Cove__V1__GetUsageResponse *m)
{
	const struct cv_objects *objects = cv_gw_of(c)->objects;
	const struct cv_object_range all = cv_object_all(objects, CV_OBJECT_WORKSPACE);

	m->workspaces = cv_arena_array(
		cv_rpc_call_arena(c), all.end - all.first + 1, sizeof(*m->workspaces));
	if (!m->workspaces)
		return false;
	if (only)
		return workspace_add(c, only->name, m);
	for (size_t i = all.first; i < all.end; i++) {
		const struct cv_object *o = cv_object_at(objects, CV_OBJECT_WORKSPACE, i);

		if (may_see(c, o->name) && !workspace_add(c, o->name, m))
			return false;
	}
	return true;
}

static Cove__V1__QueuedSandbox *queued_of(
	struct cv_arena *arena, const struct cv_gw_box *b, uint32_t place)
{
	Cove__V1__QueuedSandbox *s = cv_arena_new(arena, Cove__V1__QueuedSandbox);
	const struct cv_quota_short why = cv_quota_why(&b->g->admission->q, &b->quota);
	struct cv_buf text;

	if (!s)
		return NULL;
	cv_buf_init(&text, 1024);
	cv_quota_explain(&text, &why, b->object->scope, b->asks_default);
	cove__v1__queued_sandbox__init(s);
	s->workspace = text_of(arena, b->object->scope);
	s->sandbox_id = text_of(arena, cv_str_of(b->object->id));
	s->sandbox_name = text_of(arena, b->object->name);
	s->place = place;
	s->queued_at_ms = b->wait_since_ms;
	s->expires_at_ms = b->wait_until_ms;
	s->reason = text_of(arena, cv_buf_str(&text));
	cv_buf_fini(&text);
	return s;
}

/* only: of this workspace; NULL: of all that the caller may see. */
static bool queue_add(
	struct cv_rpc_call *c, const struct cv_object *only, Cove__V1__GetUsageResponse *m)
{
	const struct cv_quota *q = &cv_gw_of(c)->admission->q;
	struct cv_arena *arena = cv_rpc_call_arena(c);
	uint32_t place = 0;

	m->queue = cv_arena_array(arena, q->queued + 1, sizeof(*m->queue));
	if (!m->queue)
		return false;
	for (const struct cv_quota_holder *h = q->first; h; h = h->next) {
		const struct cv_gw_box *b = h->owner;

		place++;
		if (only ? !cv_str_eq(b->object->scope, only->name) : !may_see(c, b->object->scope))
			continue;
		m->queue[m->n_queue] = queued_of(arena, b, place);
		if (!m->queue[m->n_queue++])
			return false;
	}
	return true;
}

static void get_usage(struct cv_rpc_call *c, const ProtobufCMessage *request)
{
	const Cove__V1__GetUsageRequest *r = (const void *)request;
	const struct cv_gateway *g = cv_gw_of(c);
	const struct cv_quota *q = &g->admission->q;
	enum cv_rpc_status s = CV_RPC_OK;
	struct cv_object *only = NULL;
	Cove__V1__GetUsageResponse m;
	struct cv_err err;

	if (r->all_workspaces && *r->workspace)
		s = cv_gw_invalid(&err, "workspace and all_workspaces exclude each other");
	else if (!r->all_workspaces)
		s = cv_gw_workspace_open(c, cv_str_of(r->workspace), false, &only, &err);
	if (s != CV_RPC_OK) {
		cv_gw_fail(c, s, &err);
		return;
	}
	cove__v1__get_usage_response__init(&m);
	m.queue_length = g->config->queue_length;
	m.workspace_queue_length = admission_queue_share(g);
	m.host = usage_of(cv_rpc_call_arena(c), CV_STR(""), &q->host, &q->host.limit);
	if (m.host)
		m.host->queued = (uint32_t)q->queued;
	if (m.host && workspaces_add(c, only, &m) && queue_add(c, only, &m) &&
		!cv_rpc_call_arena(c)->is_overflown)
		cv_rpc_reply(c, &m.base);
	else
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED,
			"the answer is too large; ask for one workspace");
}

const struct cv_gw_method admission_methods[ADMISSION_METHODS] = {
	{ "GetUsage", { .message = get_usage } },
};

/* ---- numbers ---- */

/* Processors, bytes, pieces. */
static double number_of(size_t resource, double v)
{
	return resource == CV_QUOTA_CPU ? v / 1000 : v;
}

static double limit_number(size_t resource, uint64_t limit)
{
	return limit == CV_QUOTA_UNLIMITED ? INFINITY : number_of(resource, (double)limit);
}

/* Workspaces that have had series of their own since this process began: those of one that is gone must
 * become 0, and never another's. */
static struct {
	char name[METRIC_WORKSPACES_MAX][METRIC_NAME_BYTES];
	size_t n;
} told;

static bool has_series(struct cv_str name)
{
	for (size_t i = 0; i < told.n; i++)
		if (cv_str_eq(cv_str_of(told.name[i]), name))
			return true;
	if (told.n == METRIC_WORKSPACES_MAX ||
		!cv_str_to_cstr(name, told.name[told.n], METRIC_NAME_BYTES))
		return false;
	told.n++;
	return true;
}

void cv_gw_admission_metrics(const struct cv_gateway *g)
{
	const struct cv_quota *q = &g->admission->q;
	cv_quota_sum other[CV_QUOTA_COUNT] = { 0 };
	bool has_other = false;

	for (size_t i = 0; i < q->room_count; i++) {
		if (has_series(cv_str_of(q->room[i]->name)))
			continue;
		has_other = true;
		for (size_t r = 0; r < CV_QUOTA_COUNT; r++)
			other[r] += q->room[i]->used[r];
	}
	cv_metric_set(CV_METRIC_ADMISSION_QUEUE, (double)q->queued);
	for (size_t r = 0; r < CV_QUOTA_COUNT; r++) {
		const char *resource = cv_quota_resource_name[r];

		cv_metric_set(CV_METRIC_HOST_USED, number_of(r, (double)q->host.used[r]), resource);
		cv_metric_set(CV_METRIC_HOST_QUOTA, limit_number(r, q->host.limit.v[r]), resource);
		if (has_other)
			cv_metric_set(CV_METRIC_WORKSPACE_USED, number_of(r, (double)other[r]),
				"_other", resource);
		for (size_t i = 0; i < told.n; i++) {
			const struct cv_str name = cv_str_of(told.name[i]);
			const struct cv_quota_room *room = cv_quota_room_find(q, name);
			const struct cv_quota_amount limit = cv_quota_limit_of(q, name);

			cv_metric_set(CV_METRIC_WORKSPACE_USED,
				number_of(r, room ? (double)room->used[r] : 0), told.name[i],
				resource);
			cv_metric_set(CV_METRIC_WORKSPACE_QUOTA, limit_number(r, limit.v[r]),
				told.name[i], resource);
		}
	}
}
