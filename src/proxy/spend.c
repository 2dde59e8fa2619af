/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spend.c - see spend.h
 *
 * Bytes are those of the connection to the destination, both ways, TLS included.  They are counted
 * at the end of each turn in which a flow moved, and once more when it ends; so a flow passes a
 * budget by what one turn carries at most.
 */
#include "proxy/spend.h"

#include "proxy/denial.h"

static struct cv_budget_where where_of(const struct cv_flow *f)
{
	return (struct cv_budget_where){ .is_run = true, .host = cv_host_str(&f->host) };
}

static void bytes_count(struct cv_proxy *p, struct cv_flow *f)
{
	const uint64_t passed =
		f->closed_up + f->closed_down + f->server.bytes_out + f->server.bytes_in;
	const struct cv_budget_where where = where_of(f);

	/* where the other side is ours too, the flow that has the socket counts */
	if (f->local || f->is_tools || (f->stream && f->server.fd < 0))
		return;
	if (passed > f->bytes_spent)
		cv_budgets_add(&p->budgets, CV_BUDGET_BYTES, &where, passed - f->bytes_spent);
	f->bytes_spent = passed;
}

bool cv_spend_request(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	const struct cv_budget_where where = where_of(f);
	const struct cv_budget *over;
	struct cv_buf why, body;

	if (!p->budgets.n || f->http.is_counted || f->is_routed ||
		f->is_tools) /* the agent's call was counted */
		return true;
	bytes_count(p, f);
	over = cv_budgets_exceeded(&p->budgets, &where);
	if (!over) {
		cv_budgets_add(&p->budgets, CV_BUDGET_REQUESTS, &where, 1);
		f->http.is_counted = true;
		return true;
	}
	cv_buf_init(&why, 1024);
	cv_buf_init(&body, 4096);
	cv_budget_sentence_put(&why, over);
	cv_budget_body_put(&body, over);
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.request = r,
		.engine = "budget",
		.reason_code = "budget_exceeded",
		.reason = cv_buf_str(&why),
		.status = 429,
	};
	cv_decide_record(p, f, &fact);
	cv_deny_json(p, f, 429, cv_buf_str(&body), cv_str_eq(r->method, CV_STR("HEAD")));
	cv_buf_fini(&why);
	cv_buf_fini(&body);
	return false;
}

bool cv_spend_bytes(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_budget_where where = where_of(f);
	const struct cv_budget *over;
	struct cv_buf why;

	if (!p->budgets.n)
		return true;
	bytes_count(p, f);
	if (f->state != CV_FLOW_RELAY && f->state != CV_FLOW_HTTP && f->state != CV_FLOW_PG &&
		f->state != CV_FLOW_WEBSOCKET)
		return true; /* nothing passes */
	over = cv_budgets_exceeded(&p->budgets, &where);
	if (!over || over->rule.unit != CV_BUDGET_BYTES)
		return true;
	if (f->state == CV_FLOW_HTTP && f->http.phase == CV_HTTP_REQUEST_HEAD)
		return true; /* the next request is told */
	cv_buf_init(&why, 1024);
	cv_budget_sentence_put(&why, over);
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.activity = CV_ACTIVITY_CLOSE,
		.engine = "budget",
		.reason_code = "budget_exceeded",
		.reason = cv_buf_str(&why),
	};
	cv_decide_record(p, f, &fact);
	cv_buf_fini(&why);
	cv_flow_end(p, f, true);
	cv_proxy_queue(p, f); /* one more turn, which writes the events */
	return false;
}

void cv_spend_bytes_last(struct cv_proxy *p, struct cv_flow *f)
{
	if (p->budgets.n)
		bytes_count(p, f);
}
