/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.c - one event for each call
 *
 * A call that became a job is recorded when it ends, with what came of it; one that was refused,
 * when it was.  Arguments never: only their digest.
 */
#include "broker/broker.h"

#include "sys/clock.h"

#include <stdarg.h>
#include <stdio.h>

static void who_put(struct cv_audit_event *e, const struct sandbox *box, const struct caller *c)
{
	e->sandbox = box ? cv_str_of(box->name) : CV_STR_NONE;
	if (!c)
		return;
	e->pid = c->pid;
	e->exe = c->who.exe;
	e->ancestors = c->who.ancestors;
	e->ancestor_count = c->who.ancestor_count;
}

void audit_refusal(struct broker *b, const struct stream *s, const struct refusal *r)
{
	struct cv_audit_event e = {
		.kind = CV_AUDIT_TOOL,
		.activity = CV_ACTIVITY_CALL,
		.action = CV_AUDIT_ACTION_DENY,
		.tool = r->tool,
		.digest = cv_str_of(r->digest),
		.policy = r->rule,
		.rule_line = r->line,
		.engine = "tools",
		.status = (uint16_t)r->status,
		.reason_code = r->code,
		.reason = r->reason,
		.has_counts = r->bytes_in > 0,
		.bytes_up = r->bytes_in,
	};

	who_put(&e, pool_get(&b->sandboxes, s->sandbox), s->caller);
	cv_audit_sinks_event(&b->sinks, &e);
}

void audit_job(struct broker *b, const struct job *j)
{
	const bool is_denied = j->state == JOB_DENIED;
	struct cv_audit_event e = {
		.kind = CV_AUDIT_TOOL,
		.activity = CV_ACTIVITY_CALL,
		.action = is_denied ? CV_AUDIT_ACTION_DENY : CV_AUDIT_ACTION_ALLOW,
		.tool = cv_str_of(j->tool_name),
		.digest = cv_str_of(j->digest),
		.job = j->is_published ? cv_str_of(j->id) : CV_STR_NONE,
		.policy = cv_str_of(j->rule),
		.rule_line = j->rule_line,
		.engine = "tools",
		.status = (uint16_t)j->status,
		.reason_code = j->error[0] ? j->error : NULL,
		.reason = cv_str_of(j->error),
		.has_counts = true,
		.bytes_up = cv_buf_len(&j->canonical),
		.bytes_down = j->bytes_out,
		.duration_us = j->start_us ? (uint64_t)(cv_clock_us() - j->start_us) : 0,
		.has_exit_code = j->has_exit,
		.exit_code = j->exit,
	};
	const struct cv_audit_pair extra[] = { { "state", cv_str_of(job_state_word(j->state)) } };

	e.extra = extra;
	e.extra_count = CV_ARRAY_LEN(extra);
	who_put(&e, pool_get(&b->sandboxes, j->sandbox), j->caller);
	cv_audit_sinks_event(&b->sinks, &e);
}

/* Who said what; the call has its own event when it ends. */
void audit_approval(
	struct broker *b, const struct job *j, enum cv_approval_answer a, struct cv_str who)
{
	static const char *const word[CV_APPROVAL_ANSWER_COUNT] = {
		[CV_APPROVAL_DENY] = "denied",
		[CV_APPROVAL_ALLOW] = "approved",
		[CV_APPROVAL_TIMEOUT] = "not answered",
		[CV_APPROVAL_FLOOD] = "denied unseen",
	};
	const struct sandbox *box = pool_get(&b->sandboxes, j->sandbox);
	const struct cv_audit_pair extra[] = {
		{ "tool", cv_str_of(j->tool_name) },
		{ "arguments", cv_str_of(j->digest) },
		{ "rule", cv_str_of(j->rule) },
		{ "by", who },
	};
	struct cv_audit_event e = {
		.kind = CV_AUDIT_CONFIG,
		.activity = CV_ACTIVITY_OTHER,
		.action = a == CV_APPROVAL_ALLOW ? CV_AUDIT_ACTION_ALLOW : CV_AUDIT_ACTION_DENY,
		.sandbox = cv_str_of(box->name),
		.extra = extra,
		.extra_count = CV_ARRAY_LEN(extra),
	};
	char text[64];

	snprintf(text, sizeof(text), "held call was %s", word[a]);
	e.message = cv_str_of(text);
	cv_audit_sinks_event(&b->sinks, &e);
}

void audit_note(struct broker *b, bool is_failure, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct cv_audit_event e = {
		.kind = CV_AUDIT_CONFIG,
		.activity = is_failure ? CV_ACTIVITY_OTHER : CV_ACTIVITY_LOADED,
		.severity = is_failure ? CV_SEVERITY_HIGH : CV_SEVERITY_INFO,
		.message = cv_str_of(text),
	};

	cv_audit_sinks_event(&b->sinks, &e);
}
