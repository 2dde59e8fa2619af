/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.c - the tables of an event's words, and the texts that both renderings use
 */
#include "audit/event_int.h"

#include "base/assert.h"
#include "base/utf8.h"

#include <inttypes.h>

#define KIND_ROW(name, uid, class, cat, cat_name, prefix) \
	[CV_AUDIT_##name] = { uid, class, cat, cat_name, prefix },
static const struct audit_kind_row kind_row[] = { CV_AUDIT_KINDS(KIND_ROW) };

#define SEVERITY_ROW(name, id, caption, word) [CV_SEVERITY_##name] = { id, caption, word },
static const struct audit_severity_row severity_row[] = { CV_AUDIT_SEVERITIES(SEVERITY_ROW) };

#define ACTION_ROW(name, word, id, action, did, disposition) \
	[CV_AUDIT_ACTION_##name] = { word, id, action, did, disposition },
static const struct audit_action_row action_row[] = { CV_AUDIT_ACTIONS(ACTION_ROW) };

#define ACTIVITY_ROW(name, word, ...) [CV_ACTIVITY_##name] = { word, { __VA_ARGS__ } },
static const struct audit_activity_row activity_row[] = { CV_AUDIT_ACTIVITIES(ACTIVITY_ROW) };

const struct audit_kind_row *cv_audit_kind_row(enum cv_audit_kind k)
{
	cv_assert(k < CV_AUDIT_KIND_COUNT);
	return &kind_row[k];
}

const struct audit_action_row *cv_audit_action_row(enum cv_audit_action a)
{
	cv_assert(a < CV_AUDIT_ACTION_COUNT);
	return &action_row[a];
}

const struct audit_activity_row *cv_audit_activity_row(enum cv_audit_activity a)
{
	cv_assert(a < CV_AUDIT_ACTIVITY_COUNT);
	return &activity_row[a];
}

enum cv_audit_severity cv_audit_severity(const struct cv_audit_event *e)
{
	if (e->severity != CV_SEVERITY_AUTO)
		return e->severity;
	return e->action == CV_AUDIT_ACTION_DENY ? CV_SEVERITY_MEDIUM : CV_SEVERITY_INFO;
}

const struct audit_severity_row *cv_audit_severity_row(const struct cv_audit_event *e)
{
	const enum cv_audit_severity s = cv_audit_severity(e);

	cv_assert(s < CV_AUDIT_SEVERITY_COUNT);
	return &severity_row[s];
}

/* How an ASCII byte appears: NULL as it is, else what stands for it; "" asks for \u{..}. */
static const char *ascii_escape(char c, enum audit_escape how)
{
	if (how != AUDIT_ESCAPE_WORD) {
		if (c == '\n' || c == '\r' || c == '\t' || c == ' ')
			return " ";
		if (how == AUDIT_ESCAPE_TEXT && (c == '[' || c == ']'))
			return NULL;
	}
	switch (c) {
	case '\\': return "\\\\";
	case '[': return "\\[";
	case ']': return "\\]";
	default: return c <= ' ' || c == 0x7f ? "" : NULL;
	}
}

bool cv_audit_put_escaped(struct cv_buf *out, struct cv_str s, enum audit_escape how)
{
	size_t plain = 0; /* start of the run that needs no escape */

	for (size_t i = 0, n; i < s.n; i += n) {
		uint32_t cp = (unsigned char)s.p[i];
		const char *escape;

		n = cp < 0x80 ? 1 : cv_utf8_decode(cv_str_slice(s, i, s.n), &cp);
		escape = n == 1                            ? ascii_escape(s.p[i], how)
			 : n == 0 || cv_utf8_is_hidden(cp) ? ""
							   : NULL;
		if (!escape)
			continue;
		cv_buf_put(out, cv_str_slice(s, plain, i));
		if (!n)
			cv_buf_printf(out, "\\x{%02x}", (unsigned char)s.p[i]);
		else if (*escape)
			cv_buf_put(out, cv_str_of(escape));
		else
			cv_buf_printf(out, "\\u{%x}", cp);
		n = n ? n : 1;
		plain = i + n;
	}
	return cv_buf_put(out, cv_str_slice(s, plain, s.n)) && !out->is_overflown;
}

bool cv_audit_is_address(struct cv_str host)
{
	struct cv_ip ip;

	return cv_ip_parse(host, &ip);
}

static bool put_host(struct cv_buf *out, struct cv_str host)
{
	char text[CV_IP_TEXT_BYTES];
	struct cv_ip ip;

	if (!host.n)
		return cv_buf_put_byte(out, '-');
	if (cv_ip_parse(host, &ip) && !ip.is_v4)
		return cv_buf_put_byte(out, '[') && cv_buf_put(out, cv_ip_format(&ip, text)) &&
		       cv_buf_put_byte(out, ']');
	return cv_audit_put_escaped(out, host, AUDIT_ESCAPE_WORD);
}

static bool put_host_port(struct cv_buf *out, const struct cv_audit_event *e)
{
	char text[CV_IP_TEXT_BYTES];
	const bool has_host = e->host.n || !e->dst_ip;

	put_host(out, has_host ? e->host : cv_ip_format(e->dst_ip, text));
	return !e->port || (cv_buf_put_byte(out, ':') && cv_buf_put_u64(out, e->port));
}

static uint16_t default_port(struct cv_str scheme)
{
	return cv_str_eq(scheme, CV_STR("http")) || cv_str_eq(scheme, CV_STR("ws")) ? 80 : 443;
}

bool cv_audit_put_url(struct cv_buf *out, const struct cv_audit_event *e)
{
	const struct cv_str scheme = e->scheme.n ? e->scheme : CV_STR("https");

	cv_audit_put_escaped(out, scheme, AUDIT_ESCAPE_WORD);
	cv_buf_put(out, CV_STR("://"));
	put_host(out, e->host);
	if (e->port && e->port != default_port(scheme)) {
		cv_buf_put_byte(out, ':');
		cv_buf_put_u64(out, e->port);
	}
	cv_audit_put_escaped(out, e->path, AUDIT_ESCAPE_WORD);
	return cv_buf_put(out, e->has_query ? CV_STR("?[redacted]") : CV_STR(""));
}

static bool put_process(struct cv_buf *out, const struct cv_audit_event *e)
{
	if (e->exe.n)
		cv_audit_put_escaped(out, e->exe, AUDIT_ESCAPE_WORD);
	else
		cv_buf_put_byte(out, '-');
	cv_buf_put_byte(out, '(');
	cv_buf_put_u64(out, (uint64_t)e->pid);
	return cv_buf_put_byte(out, ')');
}

static bool put_who_does(struct cv_buf *out, const struct cv_audit_event *e, bool is_optional)
{
	if (e->action != CV_AUDIT_ACTION_NONE) {
		cv_buf_put(out, cv_str_of(cv_audit_action_row(e->action)->word));
		cv_buf_put_byte(out, ' ');
	}
	if (is_optional && !e->exe.n && !e->pid)
		return true;
	return put_process(out, e) && cv_buf_put(out, CV_STR(" -> "));
}

static bool put_core_net(struct cv_buf *out, const struct cv_audit_event *e)
{
	if (e->message.n)
		return cv_audit_put_escaped(out, e->message, AUDIT_ESCAPE_TEXT);
	if (e->action != CV_AUDIT_ACTION_NONE || e->exe.n)
		put_who_does(out, e, false);
	put_host_port(out, e);
	return !cv_str_eq(e->protocol, CV_STR("udp")) || cv_buf_put(out, CV_STR("/udp"));
}

bool cv_audit_put_core(struct cv_buf *out, const struct cv_audit_event *e)
{
	const bool has_failed = e->action == CV_AUDIT_ACTION_DENY;

	switch (e->kind) {
	case CV_AUDIT_NET: return put_core_net(out, e);
	case CV_AUDIT_HTTP:
		put_who_does(out, e, true);
		cv_audit_put_escaped(out, e->method, AUDIT_ESCAPE_WORD);
		cv_buf_put_byte(out, ' ');
		return cv_audit_put_url(out, e);
	case CV_AUDIT_DNS:
		put_who_does(out, e, true);
		put_host(out, e->host);
		return !e->qtype.n ||
		       (cv_buf_put_byte(out, '/') &&
			       cv_audit_put_escaped(out, e->qtype, AUDIT_ESCAPE_WORD));
	case CV_AUDIT_PROC: return put_process(out, e);
	case CV_AUDIT_TOOL:
		put_who_does(out, e, true);
		return cv_audit_put_escaped(
			out, e->tool.n ? e->tool : CV_STR("-"), AUDIT_ESCAPE_WORD);
	case CV_AUDIT_LIFECYCLE:
		return cv_buf_put(
			out, has_failed ? CV_STR("cove Failure") : CV_STR("cove Success"));
	case CV_AUDIT_FINDING:
	case CV_AUDIT_CONFIG: return cv_audit_put_escaped(out, e->message, AUDIT_ESCAPE_TEXT);
	case CV_AUDIT_KIND_COUNT: break;
	}
	cv_unreachable();
}
