/* SPDX-License-Identifier: Apache-2.0 */
/*
 * renewal.c - the audit's record of each renewal of a credential
 *
 * The keeper renews and has no file to write to; the proxy has the sinks, and one place that writes
 * them keeps the events of a run in one order.  What the keeper says holds names, a strategy, a
 * reason out of a table and a time: nothing that an issuer sent, and no value.
 */
#include "proxy/proxy.h"

#include "base/time.h"

#include <stdio.h>

static const struct {
	enum cv_audit_activity activity;
	enum cv_audit_severity severity;
	const char *word, *sentence;
} end_row[CV_RENEWAL_COUNT] = {
	[CV_RENEWAL_RENEWED] = { CV_ACTIVITY_LOADED, CV_SEVERITY_INFO, "renewed", "renewed" },
	[CV_RENEWAL_FAILED] = { CV_ACTIVITY_FAIL, CV_SEVERITY_LOW, "failed",
		"not renewed; it is tried again" },
	[CV_RENEWAL_DEAD] = { CV_ACTIVITY_FAIL, CV_SEVERITY_MEDIUM, "dead",
		"not renewed; it is not tried again" },
};

static struct cv_str time_of(uint64_t expires_s, char text[CV_TIME_TEXT_BYTES])
{
	if (!expires_s || expires_s > CV_TIME_MS_MAX / 1000)
		return CV_STR("never");
	return cv_time_format((int64_t)expires_s * 1000, text);
}

bool cv_renewal_record(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t end = cv_ipc_get_u32(&r);
	const struct cv_str provider = cv_ipc_get_str(&r), keys = cv_ipc_get_str(&r),
			    strategy = cv_ipc_get_str(&r), cause = cv_ipc_get_str(&r),
			    slug = cv_ipc_get_str(&r), text = cv_ipc_get_str(&r);
	const uint64_t expires_s = cv_ipc_get_u64(&r);
	char expires[CV_TIME_TEXT_BYTES], message[400]; /* all of what is put in */

	if (!cv_ipc_reader_is_done(&r) || end >= CV_RENEWAL_COUNT)
		return false;
	const bool is_renewed = end == CV_RENEWAL_RENEWED;
	const struct cv_audit_pair extra[] = {
		{ "provider", provider },
		{ "credential", keys },
		{ "strategy", strategy },
		{ "cause", cause },
		{ "outcome", cv_str_of(end_row[end].word) },
		is_renewed ? (struct cv_audit_pair){ "expires", time_of(expires_s, expires) }
			   : (struct cv_audit_pair){ "failure", slug },
	};
	const int n = snprintf(message, sizeof(message), "Credential %.*s of provider %.*s %s",
		CV_STR_ARG(cv_str_slice(keys, 0, 200)), CV_STR_ARG(cv_str_slice(provider, 0, 100)),
		end_row[end].sentence);
	struct cv_audit_event e = {
		.kind = CV_AUDIT_CONFIG,
		.activity = end_row[end].activity,
		.severity = end_row[end].severity,
		.message = { message, (size_t)n },
		.reason = text,
		.extra = extra,
		.extra_count = CV_ARRAY_LEN(extra),
	};

	cv_sinks_event(&p->sinks, &e);
	return true;
}
