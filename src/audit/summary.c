/* SPDX-License-Identifier: Apache-2.0 */
/*
 * summary.c - what a run did; see summary.h
 *
 * The YAML is made to be pasted, so nothing that a stranger chose may become syntax, a glob, or
 * invisible: scalars are quoted unless plainly safe, glob characters are escaped, and a text that
 * cannot be written exactly gives no entry at all.
 */
#include "audit/summary.h"

#include "audit/event_int.h"

#include "base/assert.h"
#include "base/utf8.h"

#include <inttypes.h>

void cv_summary_init(struct cv_summary *s)
{
	*s = (struct cv_summary){ 0 };
	cv_arena_init(&s->arena, CV_SUMMARY_BYTES_MAX);
}

void cv_summary_fini(struct cv_summary *s)
{
	cv_arena_fini(&s->arena);
}

static struct cv_str clip(struct cv_str s)
{
	return cv_str_slice(s, 0, CV_SUMMARY_TEXT_BYTES_MAX);
}

static bool is_same(const struct cv_summary_denial *d, const struct cv_audit_event *e)
{
	return d->kind == e->kind && d->port == e->port && cv_str_eq(d->host, clip(e->host)) &&
	       cv_str_eq(d->method, clip(e->method)) && cv_str_eq(d->path, clip(e->path)) &&
	       cv_str_eq(d->exe, clip(e->exe)) &&
	       cv_str_eq(d->reason_code, clip(cv_str_of(e->reason_code)));
}

/* Whether it was the policy's rules that said no, and one more rule could say yes. */
static bool can_allow(const struct cv_audit_event *e)
{
	const struct cv_str engine = cv_str_of(e->engine), code = cv_str_of(e->reason_code);

	if (engine.n && !cv_str_eq(engine, CV_STR("opa")) && !cv_str_eq(engine, CV_STR("l7")))
		return false;
	return !cv_str_eq(code, CV_STR("blocked_by_deny_rule")) &&
	       !cv_str_eq(code, CV_STR("identity_unknown")) &&
	       !cv_str_eq(code, CV_STR("binary_integrity_failed")) &&
	       !cv_str_eq(code, CV_STR("protocol_not_enforceable"));
}

static struct cv_str keep(struct cv_summary *s, struct cv_summary_denial *d, struct cv_str text)
{
	d->is_cut |= text.n > CV_SUMMARY_TEXT_BYTES_MAX;
	return cv_arena_str(&s->arena, clip(text));
}

static void add_denial(struct cv_summary *s, const struct cv_audit_event *e)
{
	struct cv_summary_denial d = { .count = 1,
		.kind = e->kind,
		.port = e->port,
		.is_plain_http = cv_str_eq(e->scheme, CV_STR("http")),
		.can_allow = can_allow(e) };

	for (size_t i = 0; i < s->denial_count; i++)
		if (is_same(&s->denial[i], e)) {
			s->denial[i].count++;
			return;
		}
	if (s->denial_count == CV_SUMMARY_DENIALS_MAX) {
		s->overflow_count++;
		return;
	}
	d.host = keep(s, &d, e->host);
	d.method = keep(s, &d, e->method);
	d.path = keep(s, &d, e->path);
	d.exe = keep(s, &d, e->exe);
	d.reason = keep(s, &d, e->reason);
	d.reason_code = keep(s, &d, cv_str_of(e->reason_code));
	if (s->arena.is_overflown)
		s->overflow_count++;
	else
		s->denial[s->denial_count++] = d;
}

void cv_summary_add(struct cv_summary *s, const struct cv_audit_event *e)
{
	const bool is_net =
		e->kind == CV_AUDIT_NET || e->kind == CV_AUDIT_HTTP || e->kind == CV_AUDIT_DNS;

	if (!is_net)
		return;
	if (e->has_counts) {
		s->bytes_up += e->bytes_up;
		s->bytes_down += e->bytes_down;
	}
	if (e->activity == CV_ACTIVITY_CLOSE)
		return;
	switch (e->action) {
	case CV_AUDIT_ACTION_ALLOW: s->allowed++; break;
	case CV_AUDIT_ACTION_LOG: s->logged++; break;
	case CV_AUDIT_ACTION_DENY:
		s->denied++;
		add_denial(s, e);
		break;
	case CV_AUDIT_ACTION_NONE: break;
	case CV_AUDIT_ACTION_COUNT: cv_unreachable();
	}
}

/* Whether s can be written as it is and read as it is. */
static bool is_visible(struct cv_str s)
{
	for (size_t i = 0, n; i < s.n; i += n) {
		uint32_t cp;

		n = cv_utf8_decode(cv_str_slice(s, i, s.n), &cp);
		if (!n || cv_utf8_is_hidden(cp))
			return false;
	}
	return s.n > 0;
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_plain_byte(char c)
{
	return is_alpha(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
	       c == '/';
}

/* Plain where no YAML reader, of 1.1 or 1.2, sees anything but a string. */
static void put_scalar(struct cv_buf *out, struct cv_str s)
{
	static const char *const words[] = { "true", "false", "yes", "no", "on", "off", "y", "n",
		"null" };
	bool is_plain = s.n && (is_alpha(s.p[0]) || s.p[0] == '/');

	for (size_t i = 0; is_plain && i < s.n; i++)
		is_plain = is_plain_byte(s.p[i]);
	for (size_t i = 0; is_plain && i < CV_ARRAY_LEN(words); i++)
		is_plain = !cv_str_eq_nocase(s, cv_str_of(words[i]));
	if (is_plain) {
		cv_buf_put(out, s);
		return;
	}
	cv_buf_put_json_str(out, s); /* s is visible: only quotes and backslashes get escaped */
}

/* A text that a glob takes literally. */
static void put_literal(struct cv_buf *out, struct cv_str s)
{
	struct cv_buf glob;

	cv_buf_init(&glob, 2 * CV_SUMMARY_TEXT_BYTES_MAX);
	for (size_t i = 0; i < s.n; i++) {
		if (cv_str_has_byte(CV_STR("*?[]{}\\"), s.p[i]))
			cv_buf_put_byte(&glob, '\\');
		cv_buf_put_byte(&glob, s.p[i]);
	}
	out->is_overflown |= glob.is_overflown;
	put_scalar(out, cv_buf_str(&glob));
	cv_buf_fini(&glob);
}

static void put_key(struct cv_buf *out, const struct cv_summary_denial *d, unsigned nth)
{
	cv_buf_put(out, CV_STR("  allow_"));
	for (size_t i = 0; i < d->host.n; i++) {
		const char c = cv_ascii_lower(d->host.p[i]);

		cv_buf_put_byte(out, is_alpha(c) || (c >= '0' && c <= '9') ? c : '_');
	}
	cv_buf_printf(out, "_%u", d->port);
	if (nth > 1)
		cv_buf_printf(out, "_%u", nth);
	cv_buf_put(out, CV_STR(":\n"));
}

static bool has_entry(const struct cv_summary_denial *d)
{
	const bool is_http = d->kind == CV_AUDIT_HTTP;

	if (!d->can_allow || d->is_cut || !d->port || d->kind == CV_AUDIT_DNS)
		return false;
	if (!is_visible(d->host) || !is_visible(d->exe) || d->exe.p[0] != '/')
		return false;
	return !is_http || (is_visible(d->method) && is_visible(d->path) && d->path.p[0] == '/');
}

bool cv_summary_policy_entry(const struct cv_summary_denial *d, unsigned nth, struct cv_buf *out)
{
	if (!has_entry(d))
		return false;
	put_key(out, d, nth);
	cv_buf_put(out, CV_STR("    endpoints:\n      - host: "));
	put_scalar(out, d->host);
	cv_buf_printf(out, "\n        port: %u\n", d->port);
	if (d->kind == CV_AUDIT_HTTP) {
		/* without `enforce` the rules would only be logged, and all requests pass */
		cv_buf_put(out, CV_STR("        protocol: rest\n        enforcement: enforce\n"
				       "        rules:\n          - allow:\n"
				       "              method: "));
		put_scalar(out, d->method);
		cv_buf_put(out, CV_STR("\n              path: "));
		put_literal(out, d->path);
		cv_buf_put_byte(out, '\n');
	}
	cv_buf_put(out, CV_STR("    binaries:\n      - path: "));
	if (cv_str_has_byte(d->exe, '*')) /* without a star it is no glob */
		put_literal(out, d->exe);
	else
		put_scalar(out, d->exe);
	cv_buf_put_byte(out, '\n');
	return true;
}

static void put_bytes(struct cv_buf *out, uint64_t n)
{
	static const char *const unit[] = { "B", "kB", "MB", "GB", "TB" };
	uint64_t tenths = 0;
	size_t u = 0;

	for (; n >= 1000 && u + 1 < CV_ARRAY_LEN(unit); u++) {
		tenths = n % 1000 / 100;
		n /= 1000;
	}
	if (u)
		cv_buf_printf(out, "%" PRIu64 ".%u %s", n, (unsigned)tenths, unit[u]);
	else
		cv_buf_printf(out, "%" PRIu64 " B", n);
}

static void put_denial(struct cv_buf *out, const struct cv_summary_denial *d)
{
	const struct cv_audit_event e = {
		.kind = d->kind,
		.host = d->host,
		.port = d->port,
		.method = d->method,
		.path = d->path,
		.scheme = d->is_plain_http ? CV_STR("http") : CV_STR_NONE,
	};

	cv_buf_printf(out, "  %" PRIu64 "x ", d->count);
	if (d->kind == CV_AUDIT_HTTP) {
		cv_audit_put_escaped(out, d->method, AUDIT_ESCAPE_WORD);
		cv_buf_put_byte(out, ' ');
		cv_audit_put_url(out, &e);
	} else {
		cv_audit_put_core(out, &e);
	}
	if (d->exe.n) {
		cv_buf_put(out, CV_STR(" by "));
		cv_audit_put_escaped(out, d->exe, AUDIT_ESCAPE_WORD);
	}
	cv_buf_put(out, CV_STR(": "));
	cv_audit_put_escaped(out, d->reason.n ? d->reason : d->reason_code, AUDIT_ESCAPE_TEXT);
	cv_buf_put(out, d->is_cut ? CV_STR(" (cut)\n") : CV_STR("\n"));
}

/* The indices of the most frequent denials, most frequent first, then in order of appearance. */
static size_t pick_top(const struct cv_summary *s, size_t top[CV_SUMMARY_SHOWN_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < s->denial_count; i++) {
		size_t at = n;

		while (at && s->denial[top[at - 1]].count < s->denial[i].count)
			at--;
		if (at == CV_SUMMARY_SHOWN_MAX)
			continue;
		n = CV_MIN(n + 1, (size_t)CV_SUMMARY_SHOWN_MAX);
		for (size_t k = n - 1; k > at; k--)
			top[k] = top[k - 1];
		top[at] = i;
	}
	return n;
}

/* How many of the entries up to top[i] have the key of top[i]. */
static unsigned count_key(const struct cv_summary *s, const size_t *top, size_t i)
{
	const struct cv_summary_denial *d = &s->denial[top[i]];
	unsigned n = 1;

	for (size_t k = 0; k < i; k++) {
		const struct cv_summary_denial *o = &s->denial[top[k]];
		struct cv_buf a, b;

		if (!has_entry(o))
			continue;
		cv_buf_init(&a, CV_SUMMARY_TEXT_BYTES_MAX + 64);
		cv_buf_init(&b, CV_SUMMARY_TEXT_BYTES_MAX + 64);
		put_key(&a, d, 1);
		put_key(&b, o, 1);
		n += cv_str_eq(cv_buf_str(&a), cv_buf_str(&b));
		cv_buf_fini(&a);
		cv_buf_fini(&b);
	}
	return n;
}

static void put_entries(const struct cv_summary *s, const size_t *top, size_t n, struct cv_buf *out)
{
	bool has_any = false;

	for (size_t i = 0; i < n; i++)
		has_any |= has_entry(&s->denial[top[i]]);
	if (!has_any)
		return;
	cv_buf_put(
		out, CV_STR("\nTo allow exactly these, add to the policy:\n\nnetwork_policies:\n"));
	for (size_t i = 0; i < n; i++)
		cv_summary_policy_entry(&s->denial[top[i]], count_key(s, top, i), out);
}

bool cv_summary_text(const struct cv_summary *s, struct cv_buf *out)
{
	size_t top[CV_SUMMARY_SHOWN_MAX];
	const size_t n = pick_top(s, top);

	cv_buf_printf(
		out, "network: %" PRIu64 " allowed, %" PRIu64 " denied", s->allowed, s->denied);
	if (s->logged)
		cv_buf_printf(
			out, ", %" PRIu64 " passed only because of enforcement: audit", s->logged);
	cv_buf_put(out, CV_STR("; "));
	put_bytes(out, s->bytes_up);
	cv_buf_put(out, CV_STR(" up, "));
	put_bytes(out, s->bytes_down);
	cv_buf_put(out, CV_STR(" down\n"));
	if (s->tool_calls)
		cv_buf_printf(out, "host tools: %" PRIu64 " call%s\n", s->tool_calls,
			s->tool_calls == 1 ? "" : "s");
	if (n)
		cv_buf_put(out, CV_STR("denied:\n"));
	for (size_t i = 0; i < n; i++)
		put_denial(out, &s->denial[top[i]]);
	if (s->denial_count > n || s->overflow_count)
		cv_buf_printf(out,
			"  and more: %zu other kinds kept, %" PRIu64 " denials only counted\n",
			s->denial_count - n, s->overflow_count);
	put_entries(s, top, n, out);
	return !out->is_overflown;
}
