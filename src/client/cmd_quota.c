/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_quota.c - `quota`: what sandboxes take of the host and of workspaces, and who waits for room
 */
#include "client/client.h"
#include "client/commands.h"
#include "client/usage.h"

#include "base/amount.h"

#include "cove.pb-c.h"

#define METHOD(rpc) "/cove.v1.Cove/" #rpc

static const char *amount(struct cl *c, const char *resource, uint64_t v)
{
	char text[CV_AMOUNT_BYTES];

	return cl_dup(c, cl_usage_amount(resource, v, text));
}

static void rows_put(struct cl *c, struct cl_table *t, const char *of, const Cove__V1__Usage *u)
{
	for (size_t i = 0; u && i < u->n_resources; i++) {
		const Cove__V1__ResourceUsage *r = u->resources[i];

		cl_table_cell(t, cv_str_of(of));
		cl_table_cell(t, cv_str_of(r->resource));
		cl_table_cell(t, cv_str_of(amount(c, r->resource, r->used)));
		cl_table_cell(t, r->limited ? cv_str_of(amount(c, r->resource, r->limit))
					    : CV_STR("unlimited"));
	}
}

static void table_print(struct cl *c, const Cove__V1__GetUsageResponse *m)
{
	struct cl_table t;

	cl_table_init(&t, 4);
	cl_table_cell(&t, CV_STR("OF"));
	cl_table_cell(&t, CV_STR("RESOURCE"));
	cl_table_cell(&t, CV_STR("USED"));
	cl_table_cell(&t, CV_STR("QUOTA"));
	rows_put(c, &t, "host", m->host);
	for (size_t i = 0; i < m->n_workspaces; i++)
		rows_put(c, &t, cl_print(c, "workspace %s", m->workspaces[i]->workspace),
			m->workspaces[i]);
	cl_table_done(c, &t);
	if (m->host)
		printf("\n%u of at most %u wait for room; at most %u of one workspace.\n",
			m->host->queued, m->queue_length, m->workspace_queue_length);
	if (!m->n_queue)
		return;
	putchar('\n');
	cl_table_init(&t, 5);
	cl_table_cell(&t, CV_STR("PLACE"));
	cl_table_cell(&t, CV_STR("WORKSPACE"));
	cl_table_cell(&t, CV_STR("NAME"));
	cl_table_cell(&t, CV_STR("UNTIL"));
	cl_table_cell(&t, CV_STR("BECAUSE"));
	for (size_t i = 0; i < m->n_queue; i++) {
		const Cove__V1__QueuedSandbox *s = m->queue[i];

		cl_table_cell(&t, cv_str_of(cl_print(c, "%u", s->place)));
		cl_table_cell(&t, cv_str_of(s->workspace));
		cl_table_cell(&t, cv_str_of(s->sandbox_name));
		cl_table_cell(&t, cv_str_of(cl_time(c, s->expires_at_ms)));
		cl_table_cell(&t, cv_str_of(s->reason));
	}
	cl_table_done(c, &t);
}

static void usage_out(struct cl_out *o, const char *key, const Cove__V1__Usage *u)
{
	cl_out_object(o, key);
	if (!key)
		cl_out_str(o, "workspace", u->workspace);
	for (size_t i = 0; u && i < u->n_resources; i++) {
		const Cove__V1__ResourceUsage *r = u->resources[i];

		cl_out_object(o, r->resource);
		cl_out_u64(o, "used", r->used);
		if (r->limited)
			cl_out_u64(o, "quota", r->limit);
		else
			cl_out_str(o, "quota", NULL);
		cl_out_end(o);
	}
	cl_out_u64(o, "queued", u ? u->queued : 0);
	cl_out_end(o);
}

static int structured(struct cl *c, const Cove__V1__GetUsageResponse *m)
{
	struct cl_out o;

	cl_out_init(&o, cl_form(c));
	cl_out_object(&o, NULL);
	usage_out(&o, "host", m->host);
	cl_out_array(&o, "workspaces");
	for (size_t i = 0; i < m->n_workspaces; i++)
		usage_out(&o, NULL, m->workspaces[i]);
	cl_out_end(&o);
	cl_out_array(&o, "queue");
	for (size_t i = 0; i < m->n_queue; i++) {
		const Cove__V1__QueuedSandbox *s = m->queue[i];

		cl_out_object(&o, NULL);
		cl_out_u64(&o, "place", s->place);
		cl_out_str(&o, "workspace", s->workspace);
		cl_out_str(&o, "name", s->sandbox_name);
		cl_out_str(&o, "id", s->sandbox_id);
		cl_out_int(&o, "queued_at_ms", s->queued_at_ms);
		cl_out_int(&o, "expires_at_ms", s->expires_at_ms);
		cl_out_str(&o, "reason", s->reason);
		cl_out_end(&o);
	}
	cl_out_end(&o);
	cl_out_u64(&o, "queue_length", m->queue_length);
	cl_out_u64(&o, "workspace_queue_length", m->workspace_queue_length);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

int cl_run_quota(struct cl *c)
{
	Cove__V1__GetUsageRequest in;

	cove__v1__get_usage_request__init(&in);
	in.all_workspaces = cl_has(&c->w, "all-workspaces");
	in.workspace = cl_dup(c, in.all_workspaces ? "" : c->workspace);
	const Cove__V1__GetUsageResponse *m = (const void *)cl_ask(c, METHOD(GetUsage), &in.base,
		&cove__v1__get_usage_response__descriptor, NULL, NULL);
	if (cl_form(c) != CL_FORM_TABLE)
		return structured(c, m);
	table_print(c, m);
	return 0;
}
