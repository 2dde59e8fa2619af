/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.c - see sink.h
 */
#include "proxy/sink.h"

#include "ipc/gateway_link.h"
#include "ipc/proxy_link.h"
#include "proxy/limits.h"

#include <string.h>

#define DENIED_BYTES_MAX 16384 /* of the message */
#define FIELD_BYTES_MAX  2500  /* of each of its six strings */

void cv_sinks_init(struct cv_sinks *s)
{
	*s = (struct cv_sinks){ 0 };
	cv_summary_init(&s->summary);
}

void cv_sinks_fini(struct cv_sinks *s)
{
	cv_audit_sinks_fini(&s->out);
	cv_summary_fini(&s->summary);
	cv_denied_fini(&s->denied);
}

bool cv_sinks_add(struct cv_sinks *s, int fd, enum cv_audit_form form, bool is_required)
{
	return cv_audit_sinks_add(&s->out, fd, form, is_required);
}

void cv_sinks_denials(struct cv_sinks *s, int link)
{
	s->wants_denials = true;
	s->link = link;
}

/* Which rule could be proposed: false for what no policy decides. */
static bool stage_of(const struct cv_audit_event *e, uint32_t *ret)
{
	const struct cv_str engine = cv_str_of(e->engine ? e->engine : "");
	const bool is_l7 = cv_str_eq(engine, CV_STR("l7"));

	if (!e->host.n ||
		(e->kind != CV_AUDIT_NET && e->kind != CV_AUDIT_HTTP && e->kind != CV_AUDIT_DNS))
		return false;
	if (e->action == CV_AUDIT_ACTION_LOG && is_l7)
		*ret = CV_GATEWAY_DENIAL_L7_AUDIT;
	else if (e->action != CV_AUDIT_ACTION_DENY)
		return false;
	else if (is_l7)
		*ret = CV_GATEWAY_DENIAL_L7;
	else if (cv_str_eq(engine, CV_STR("opa")))
		*ret = CV_GATEWAY_DENIAL_L4;
	else if (cv_str_eq(engine, CV_STR("ssrf")))
		*ret = CV_GATEWAY_DENIAL_SSRF;
	else
		return false;
	return true;
}

static void field_put(struct cv_buf *b, struct cv_str s)
{
	cv_ipc_put_str(b, cv_str_slice(s, 0, CV_MIN(s.n, (size_t)FIELD_BYTES_MAX)));
}

static void denial_send(const struct cv_sinks *s, const struct cv_audit_event *e)
{
	struct cv_buf b;
	uint32_t stage;

	if (!s->wants_denials || !stage_of(e, &stage))
		return;
	cv_buf_init(&b, DENIED_BYTES_MAX);
	field_put(&b, e->host);
	cv_ipc_put_u32(&b, e->kind == CV_AUDIT_DNS ? 0 : e->port);
	field_put(&b, e->exe);
	cv_ipc_put_u32(&b, stage);
	field_put(&b, e->reason.n ? e->reason : cv_str_of(e->reason_code ? e->reason_code : ""));
	field_put(&b, e->method);
	field_put(&b, e->path);
	/* A supervisor that does not read loses proposals, not the proxy its time. */
	if (!b.is_overflown)
		(void)!cv_ipc_send_now(s->link, CV_PROXY_REPLY_DENIED, cv_buf_str(&b), NULL);
	cv_buf_fini(&b);
}

int64_t cv_sinks_counts(struct cv_sinks *s, int64_t now_ms)
{
	const uint64_t now[CV_SINK_COUNTS] = { s->summary.allowed, s->summary.denied,
		s->summary.logged, s->summary.bytes_up, s->summary.bytes_down };
	struct cv_buf b;

	if (!s->wants_denials || !memcmp(now, s->told, sizeof(now)))
		return INT64_MAX;
	if (s->told_ms && now_ms < s->told_ms + CV_PROXY_COUNTS_MS)
		return s->told_ms + CV_PROXY_COUNTS_MS;
	cv_buf_init(&b, sizeof(now));
	for (size_t i = 0; i < CV_SINK_COUNTS; i++)
		cv_ipc_put_u64(&b, now[i] - s->told[i]);
	s->told_ms = now_ms;
	const bool is_told =
		cv_ipc_send_now(s->link, CV_PROXY_REPLY_COUNTS, cv_buf_str(&b), NULL) == CV_OK;
	cv_buf_fini(&b);
	if (is_told)
		memcpy(s->told, now, sizeof(now));
	return is_told ? INT64_MAX : now_ms + CV_PROXY_COUNTS_MS;
}

void cv_sinks_event(struct cv_sinks *s, struct cv_audit_event *e)
{
	cv_audit_sinks_event(&s->out, e); /* which dates it */
	cv_summary_add(&s->summary, e);
	cv_denied_event(&s->denied, e);
	denial_send(s, e);
}

bool cv_sinks_flush(struct cv_sinks *s)
{
	return cv_audit_sinks_flush(&s->out);
}

bool cv_sinks_are_well(const struct cv_sinks *s)
{
	return cv_audit_sinks_are_well(&s->out);
}
