/* SPDX-License-Identifier: Apache-2.0 */
/* summary.c - what a run did; see summary.h */
#include "audit/summary.h"

#include "audit/event_int.h"

#include "base/assert.h"

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
		.has_ip = e->dst_ip != NULL };

	for (size_t i = 0; i < s->denial_count; i++)
		if (is_same(&s->denial[i], e)) {
			s->denial[i].count++;
			return;
		}
	if (s->denial_count == CV_SUMMARY_DENIALS_MAX) {
		s->overflow_count++;
		return;
	}
	if (e->dst_ip)
		d.ip = *e->dst_ip;
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

size_t cv_summary_top(const struct cv_summary *s, size_t top[CV_SUMMARY_SHOWN_MAX])
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

bool cv_summary_text(const struct cv_summary *s, struct cv_buf *out)
{
	size_t top[CV_SUMMARY_SHOWN_MAX];
	const size_t n = cv_summary_top(s, top);

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
	return !out->is_overflown;
}
