/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_check.c - what is wrong with a configuration as a whole
 *
 * All of it is judged, also when something was wrong with a word before: whoever repairs a file
 * wants to know all that there is to repair.  A finding stands where the value was said.
 */
#include "gateway/config_int.h"

#include "base/assert.h"
#include "gateway/log.h"
#include "plan/interception.h"
#include "plan/limits.h"
#include "policy/findings.h"

#include <stdarg.h>
#include <stdio.h>

static const struct cv_gw_option *option_named(const char *key)
{
	const struct cv_gw_option *o = cv_gw_option_by_key(cv_str_of(key));

	cv_assert(o);
	return o;
}

void cv_gw_config_refuse(const struct cv_gw_config *c, const char *key,
	struct cv_findings *findings, struct cv_err *err, const char *fmt, ...)
{
	const struct cv_gw_option *o = option_named(key);
	const struct cv_gw_origin *from = &c->origin[o - cv_gw_option];
	char text[CV_ERR_MSG_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (from->kind == CV_GW_BY_FILE)
		cv_findings_add(
			findings, CV_FINDING_ERROR, from->pos, cv_str_of(key), NULL, "%s", text);
	else if (err->code != CV_OK)
		return; /* one of them at a time */
	else if (from->kind == CV_GW_BY_FLAG)
		(void)cv_fail(err, CV_INVALID, "--%s: %s", o->flag, text);
	else if (from->kind == CV_GW_BY_ENV)
		(void)cv_fail(err, CV_INVALID, "%s in the environment: %s", o->env, text);
	else
		(void)cv_fail(err, CV_INVALID, "%s: %s", key, text);
}

void cv_gw_config_remark(const struct cv_gw_config *c, const char *key,
	struct cv_findings *findings, const char *fmt, ...)
{
	const struct cv_gw_origin *from = &c->origin[option_named(key) - cv_gw_option];
	const struct cv_policy_pos none = { 0 };
	char text[CV_ERR_MSG_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cv_findings_add(findings, CV_FINDING_WARNING,
		from->kind == CV_GW_BY_FILE ? from->pos : none, cv_str_of(key), NULL, "%s", text);
}

/* Numbers that not every number will do for. */
#define AT(field) offsetof(struct cv_gw_config, field)
static const struct {
	const char *key;
	size_t at;
	uint32_t min, max;
} range[] = {
	{ "port", AT(port), 0, UINT16_MAX },
	{ "health_port", AT(health_port), 0, UINT16_MAX },
	{ "metrics_port", AT(metrics_port), 0, UINT16_MAX },
	{ "older_port", AT(older_port), 0, UINT16_MAX },
	{ "tools.approve_timeout_secs", AT(tools_approve_seconds), 1,
		CV_PLAN_APPROVE_MS_MAX / 1000 },
	{ "quotas.queue.length", AT(queue_length), 0, CV_GW_QUEUE_LENGTH_MAX },
	{ "quotas.queue.max_wait_secs", AT(queue_max_wait), 1, CV_GW_QUEUE_WAIT_MAX },
};
#undef AT

static void ranges_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(range); i++) {
		const uint32_t v = *(const uint32_t *)(const void *)((const char *)c + range[i].at);

		if (v < range[i].min || v > range[i].max)
			cv_gw_config_refuse(c, range[i].key, findings, err,
				"expected a number, %u to %u, found %u", range[i].min, range[i].max,
				v);
	}
}

static bool is_one_of(struct cv_str s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cv_str_eq(s, cv_str_of(words[i])))
			return true;
	return false;
}

static void url_check(const struct cv_gw_config *c, const char *key, struct cv_str url,
	struct cv_findings *findings, struct cv_err *err)
{
	if (url.n && !cv_str_has_prefix(url, CV_STR("https://")) &&
		!cv_str_has_prefix(url, CV_STR("http://")))
		cv_gw_config_refuse(c, key, findings, err,
			"expected an http or https URL, found '%.*s'", CV_POLICY_QUOTE(url));
}

static void words_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err)
{
	static const char *const formats[] = { "text", "json" };
	enum cv_log_level level;
	uint32_t interception;

	if (!cv_log_level_of(c->log_level, &level))
		cv_gw_config_refuse(c, "log.level", findings, err,
			"expected error, warn, info, debug or trace, found '%.*s'",
			CV_POLICY_QUOTE(c->log_level));
	if (!is_one_of(c->log_format, formats, CV_ARRAY_LEN(formats)))
		cv_gw_config_refuse(c, "log.format", findings, err,
			"expected text or json, found '%.*s'", CV_POLICY_QUOTE(c->log_format));
	if (!cv_interception_parse(c->interception, &interception))
		cv_gw_config_refuse(c, "interception", findings, err,
			"expected auto, tproxy, redirect or anyip, found '%.*s'",
			CV_POLICY_QUOTE(c->interception));
	url_check(c, "oidc.issuer", c->oidc_issuer, findings, err);
	url_check(c, "edge.issuer", c->edge_issuer, findings, err);
	url_check(c, "edge.jwks_uri", c->edge_jwks_uri, findings, err);
	/* Its value is not shown: it may hold a password. */
	if (c->database.n && !cv_str_has_prefix(c->database, CV_STR("sqlite:")) &&
		!cv_str_has_prefix(c->database, CV_STR("postgres://")) &&
		!cv_str_has_prefix(c->database, CV_STR("postgresql://")))
		cv_gw_config_refuse(
			c, "database", findings, err, "expected sqlite:PATH or postgres://...");
	if (c->state_dir.n && c->state_dir.p[0] != '/')
		cv_gw_config_refuse(c, "state_dir", findings, err,
			"expected an absolute path, found '%.*s'", CV_POLICY_QUOTE(c->state_dir));
}

/* Options that belong together. */
static void pairs_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err)
{
	if (!c->tls_cert.n != !c->tls_key.n)
		cv_gw_config_refuse(c, c->tls_cert.n ? "tls.cert" : "tls.key", findings, err,
			"tls.cert and tls.key need each other");
	if (!c->edge_issuer.n != !c->edge_audience.n)
		cv_gw_config_refuse(c, c->edge_issuer.n ? "edge.issuer" : "edge.audience", findings,
			err, "edge.issuer and edge.audience need each other");
	if (c->edge_issuer.n && c->allow_unauthenticated)
		cv_gw_config_refuse(c, "auth.allow_unauthenticated_users", findings, err,
			"edge.issuer is there, too: the edge proxy may come from loopback, for others");
	if (!c->rate_requests != !c->rate_window)
		cv_gw_config_refuse(c,
			c->rate_requests ? "rate_limit.requests" : "rate_limit.window_secs",
			findings, err,
			"rate_limit.requests and rate_limit.window_secs need each other");
	if (c->quota_default_memory == CV_QUOTA_UNLIMITED)
		cv_gw_config_refuse(c, "quotas.default_request.memory", findings, err,
			"expected an amount, and not unlimited");
	if (c->quota_default_cpu == CV_QUOTA_UNLIMITED)
		cv_gw_config_refuse(c, "quotas.default_request.cpu", findings, err,
			"expected an amount, and not unlimited");
	if (c->queue_workspace_length > c->queue_length)
		cv_gw_config_refuse(c, "quotas.queue.workspace_length", findings, err,
			"expected at most quotas.queue.length, which is %u, found %u",
			c->queue_length, c->queue_workspace_length);
}

void cv_gw_config_whole_check(const struct cv_gw_config *c, const struct cv_gw_config_source *s,
	struct cv_findings *findings, struct cv_err *err)
{
	ranges_check(c, findings, err);
	words_check(c, findings, err);
	pairs_check(c, findings, err);
	for (size_t i = 0; s->checks && s->checks[i]; i++)
		s->checks[i](c, findings, err);
}
