/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps.c - see steps.h
 */
#include "gateway/steps.h"

#include "gateway/metrics.h"
#include "gateway/sandbox.h"
#include "gateway/trace.h"
#include "sys/clock.h"

#define NAME(name, text) text,
static const char *const step_name[] = { CV_GW_STEPS(NAME) };
#undef NAME

/* ---- starts ---- */

void cv_gw_start_begin(struct cv_gw_box *b, struct cv_rpc_call *c, int64_t began_us)
{
	const struct cv_traceparent *parent = c ? cv_gw_trace_of(c) : NULL;

	b->start = (struct cv_gw_start){ .is_on = true, .began_us = began_us };
	b->start.has_parent = parent != NULL;
	if (parent)
		b->start.parent = *parent;
	/* A caller who keeps nothing: no trace of its own begins here. */
	else if (c)
		b->start.has_parent = true;
}

/* When the step before it ended. */
static int64_t step_began(const struct cv_gw_start *s, enum cv_gw_step step)
{
	while (step > 0)
		if (s->ended_us[--step])
			return s->ended_us[step];
	return s->began_us;
}

void cv_gw_start_step(struct cv_gw_box *b, enum cv_gw_step step)
{
	struct cv_gw_start *s = &b->start;

	if (!s->is_on || s->ended_us[step])
		return;
	s->ended_us[step] = cv_clock_us();
	cv_metric_observe(CV_METRIC_SANDBOX_START_SECONDS,
		(double)(s->ended_us[step] - step_began(s, step)) / 1e6, step_name[step]);
}

static void step_span(struct cv_gw_box *b, const struct cv_traceparent *whole, enum cv_gw_step step)
{
	const struct cv_gw_start *s = &b->start;
	struct cv_span span;

	if (!s->ended_us[step] || !cv_gw_trace_span(b->g, whole, &span))
		return;
	span.name = step_name[step];
	span.begin_ns = cv_gw_trace_unix_ns(step_began(s, step));
	span.end_ns = cv_gw_trace_unix_ns(s->ended_us[step]);
	cv_gw_trace_put(b->g, &span);
}

static void spans_put(struct cv_gw_box *b, const char *failure, int64_t now_us)
{
	const struct cv_gw_start *s = &b->start;
	struct cv_span span;

	if (!cv_gw_trace_span(b->g, s->has_parent ? &s->parent : NULL, &span))
		return;
	span.name = "sandbox start";
	span.begin_ns = cv_gw_trace_unix_ns(s->began_us);
	span.end_ns = cv_gw_trace_unix_ns(now_us);
	span.failure = failure;
	cv_span_text(&span, "cove.sandbox.id", cv_str_of(b->object->id));
	cv_span_text(&span, "cove.sandbox.name", b->object->name);
	cv_span_text(&span, "cove.workspace", b->object->scope);
	cv_gw_trace_put(b->g, &span);
	for (enum cv_gw_step i = 0; i < CV_GW_STEP_COUNT; i++)
		step_span(b, &span.self, i);
}

void cv_gw_start_end(struct cv_gw_box *b, const char *failure)
{
	struct cv_gw_start *s = &b->start;
	const int64_t now = cv_clock_us();

	if (!s->is_on)
		return;
	cv_metric_add(CV_METRIC_SANDBOX_STARTS, 1, failure ? "failed" : "ok");
	if (!failure)
		cv_metric_observe(CV_METRIC_SANDBOX_START_SECONDS,
			(double)(now - s->began_us) / 1e6, "total");
	spans_put(b, failure, now);
	s->is_on = false;
}

/* ---- what supervisors count ---- */

void cv_gw_counts_take(struct cv_str body)
{
	static const struct {
		enum cv_metric metric;
		const char *label;
	} row[] = {
		{ CV_METRIC_DECISIONS, "allowed" },
		{ CV_METRIC_DECISIONS, "denied" },
		{ CV_METRIC_DECISIONS, "logged" },
		{ CV_METRIC_PROXY_BYTES, "up" },
		{ CV_METRIC_PROXY_BYTES, "down" },
	};
	struct cv_ipc_reader r = { .rest = body };

	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		cv_metric_add(row[i].metric, (double)cv_ipc_get_u64(&r), row[i].label);
}

void cv_gw_lost_take(struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t lines = cv_ipc_get_u32(&r), denials = cv_ipc_get_u32(&r);

	cv_metric_add(CV_METRIC_EVENTS_LOST, lines, "lines");
	cv_metric_add(CV_METRIC_EVENTS_LOST, denials, "denials");
}

/* ---- commands ---- */

void cv_gw_exec_began(struct cv_rpc_call *c)
{
	cv_rpc_call_trace(c)->work_us = cv_clock_us();
}

static void exec_span(struct cv_rpc_call *c, const char *name, int64_t end_us, int exit_code)
{
	const struct cv_traceparent *parent = cv_gw_trace_of(c);
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_span span;

	if (!parent || !cv_gw_trace_span(g, parent, &span))
		return;
	span.name = name;
	span.begin_ns = cv_gw_trace_unix_ns(cv_rpc_call_trace(c)->work_us);
	span.end_ns = cv_gw_trace_unix_ns(end_us);
	if (exit_code >= 0)
		cv_span_number(&span, "process.exit.code", exit_code);
	cv_gw_trace_put(g, &span);
}

static void exec_step(struct cv_rpc_call *c, const char *step, const char *name, int exit_code)
{
	const int64_t now = cv_clock_us();

	if (!c || !cv_rpc_call_trace(c)->work_us)
		return;
	cv_metric_observe(
		CV_METRIC_EXEC_SECONDS, (double)(now - cv_rpc_call_trace(c)->work_us) / 1e6, step);
	exec_span(c, name, now, exit_code);
}

void cv_gw_exec_ran(struct cv_rpc_call *c)
{
	exec_step(c, "start", "exec start", -1);
}

void cv_gw_exec_ended(struct cv_rpc_call *c, int exit_code)
{
	cv_metric_add(CV_METRIC_EXECS, 1, exit_code ? "failed" : "ok");
	exec_step(c, "whole", "exec", exit_code);
}
