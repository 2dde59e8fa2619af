/* SPDX-License-Identifier: Apache-2.0 */
/*
 * short.c - events in OpenShell's one-line form
 *
 *     KIND:ACTIVITY [SEV] core [policy:p engine:e] [key:value ... reason:...]
 *
 * What scripts look for keeps its place: " OCSF ", " DENIED ", "[policy:-", "[reason:".  Values in
 * brackets are escaped, so a `]` that ends a field is ours.
 */
#include "audit/event_int.h"

#include "base/assert.h"
#include "base/time.h"
#include "base/utf8.h"

/* At most max bytes of s, cut between two characters, and "..." where something is missing. */
static bool put_cut(struct cv_buf *out, struct cv_str s, size_t max, enum audit_escape how)
{
	size_t n = CV_MIN(s.n, max);

	while (n < s.n && n && ((unsigned char)s.p[n] & 0xc0) == 0x80 && max - n < 4)
		n--;
	cv_audit_put_escaped(out, cv_str_slice(s, 0, n), how);
	return n == s.n || cv_buf_put(out, CV_STR(CV_AUDIT_SHORT_CUT));
}

/* Opens a bracket at the first field and separates the following ones. */
struct tags {
	struct cv_buf *out;
	bool is_open;
};

static void tag_begin(struct tags *t, const char *key)
{
	cv_buf_put(t->out, t->is_open ? CV_STR(" ") : CV_STR(" ["));
	cv_buf_put(t->out, cv_str_of(key));
	cv_buf_put_byte(t->out, ':');
	t->is_open = true;
}

static void tag_word(struct tags *t, const char *key, struct cv_str value)
{
	tag_begin(t, key);
	cv_audit_put_escaped(t->out, value, AUDIT_ESCAPE_WORD);
}

static void tags_end(struct tags *t)
{
	if (t->is_open)
		cv_buf_put_byte(t->out, ']');
	t->is_open = false;
}

static void put_policy(struct tags *t, const struct cv_audit_event *e)
{
	if (e->action == CV_AUDIT_ACTION_NONE && !e->policy.n && !e->engine)
		return;
	tag_word(t, "policy", e->policy.n ? e->policy : CV_STR("-"));
	if (e->engine)
		tag_word(t, "engine", cv_str_of(e->engine));
	tags_end(t);
}

static void put_facts(struct tags *t, const struct cv_audit_event *e)
{
	for (size_t i = 0; i < e->extra_count; i++)
		tag_word(t, e->extra[i].key, e->extra[i].value);
	if (e->has_counts) {
		tag_begin(t, "up");
		cv_buf_put_u64(t->out, e->bytes_up);
		tag_begin(t, "down");
		cv_buf_put_u64(t->out, e->bytes_down);
		tag_begin(t, "ms");
		cv_buf_put_u64(t->out, e->duration_us / 1000);
	}
	if (e->reason.n) {
		tag_begin(t, "reason");
		put_cut(t->out, e->reason, CV_AUDIT_SHORT_REASON_BYTES_MAX, AUDIT_ESCAPE_REASON);
	}
	tags_end(t);
}

static void put_proc(struct tags *t, const struct cv_audit_event *e)
{
	cv_audit_put_core(t->out, e);
	if (e->has_exit_code)
		cv_buf_printf(t->out, " [exit:%d]", e->exit_code);
	if (!e->message.n)
		return;
	tag_begin(t, "cmd");
	put_cut(t->out, e->message, CV_AUDIT_SHORT_TITLE_BYTES_MAX, AUDIT_ESCAPE_REASON);
	tags_end(t);
}

static void put_tool(struct tags *t, const struct cv_audit_event *e)
{
	cv_audit_put_core(t->out, e);
	put_policy(t, e);
	if (e->digest.n)
		tag_word(t, "arguments", e->digest);
	if (e->job.n)
		tag_word(t, "job", e->job);
	if (e->status) {
		tag_begin(t, "status");
		cv_buf_put_u64(t->out, e->status);
	}
	if (e->has_exit_code) {
		tag_begin(t, "exit");
		cv_buf_printf(t->out, "%d", e->exit_code);
	}
	put_facts(t, e);
}

static void put_finding(struct tags *t, const struct cv_audit_event *e)
{
	cv_buf_put_byte(t->out, '"');
	put_cut(t->out, e->message, CV_AUDIT_SHORT_TITLE_BYTES_MAX, AUDIT_ESCAPE_TEXT);
	cv_buf_put_byte(t->out, '"');
	if (e->finding_uid.n)
		tag_word(t, "type", e->finding_uid);
	put_facts(t, e);
}

static void put_word(struct cv_buf *out, const struct cv_audit_event *e)
{
	static const char *const finding[CV_AUDIT_ACTION_COUNT] = {
		[CV_AUDIT_ACTION_NONE] = "DETECTED",
		[CV_AUDIT_ACTION_ALLOW] = "ALLOWED",
		[CV_AUDIT_ACTION_DENY] = "BLOCKED",
		[CV_AUDIT_ACTION_LOG] = "LOGGED",
	};

	if (e->kind == CV_AUDIT_HTTP)
		cv_audit_put_escaped(
			out, e->method.n ? e->method : CV_STR("OTHER"), AUDIT_ESCAPE_WORD);
	else if (e->kind == CV_AUDIT_FINDING)
		cv_buf_put(out, cv_str_of(finding[e->action]));
	else
		cv_buf_put(out, cv_str_of(cv_audit_activity_row(e->activity)->word));
}

bool cv_audit_short(const struct cv_audit_event *e, struct cv_buf *out)
{
	struct tags t = { .out = out };

	cv_buf_put(out, cv_str_of(cv_audit_kind_row(e->kind)->prefix));
	cv_buf_put_byte(out, ':');
	put_word(out, e);
	cv_buf_put(out, CV_STR(" ["));
	cv_buf_put(out, cv_str_of(cv_audit_severity_row(e)->word));
	cv_buf_put(out, CV_STR("] "));
	switch (e->kind) {
	case CV_AUDIT_NET:
	case CV_AUDIT_HTTP:
	case CV_AUDIT_DNS:
		cv_audit_put_core(out, e);
		put_policy(&t, e);
		put_facts(&t, e);
		break;
	case CV_AUDIT_PROC: put_proc(&t, e); break;
	case CV_AUDIT_TOOL: put_tool(&t, e); break;
	case CV_AUDIT_FINDING: put_finding(&t, e); break;
	case CV_AUDIT_CONFIG:
		put_cut(out, e->message, CV_AUDIT_SHORT_TITLE_BYTES_MAX, AUDIT_ESCAPE_TEXT);
		put_facts(&t, e);
		break;
	case CV_AUDIT_LIFECYCLE:
		cv_audit_put_core(out, e);
		put_facts(&t, e);
		break;
	case CV_AUDIT_KIND_COUNT: cv_unreachable();
	}
	return !out->is_overflown;
}

bool cv_audit_line(const struct cv_audit_event *e, struct cv_buf *out)
{
	char text[CV_TIME_TEXT_BYTES];

	cv_buf_put(out, cv_time_format(e->time_ms, text));
	cv_buf_put(out, CV_STR(" OCSF "));
	return cv_audit_short(e, out);
}
