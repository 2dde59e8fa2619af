/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh_probe.c - no renewal, but asked and carried like one: does a model answer?
 *
 * The one material is the key.  token_url is where it is sent, and scopes the whole body: both are the
 * caller's, and hold no secret.  Its output is the status, for callers that want some output.
 */
#include "cred/refresh_int.h"

static cv_code probe_write(const struct cv_refresh_ask *ask, struct cv_str name, const char *prefix,
	struct cv_refresh_request *ret, struct cv_err *err)
{
	const struct cv_str key = cv_refresh_material(ask->refresh, "key");

	if (name.n) {
		const struct cv_str value =
			cv_arena_printf(ask->arena, "%s%.*s", prefix, CV_STR_ARG(key));
		if (!value.p)
			return cv_fail(err, CV_LIMIT, "no memory for a probe");
		cv_refresh_header_add(ret, name, value);
	}
	cv_refresh_header_add(ret, CV_STR("Content-Type"), CV_STR("application/json"));
	cv_refresh_header_add(ret, CV_STR("Accept"), CV_STR("application/json"));
	ret->body = cv_arena_str(ask->arena, ask->refresh->scopes); /* bodies are wiped */
	return ret->body.p ? CV_OK : cv_fail(err, CV_LIMIT, "no memory for a probe");
}

cv_code cv_refresh_probe_bearer_write(
	const struct cv_refresh_ask *ask, struct cv_refresh_request *ret, struct cv_err *err)
{
	return probe_write(ask, CV_STR("Authorization"), "Bearer ", ret, err);
}

cv_code cv_refresh_probe_key_write(
	const struct cv_refresh_ask *ask, struct cv_refresh_request *ret, struct cv_err *err)
{
	cv_refresh_header_add(ret, CV_STR("anthropic-version"), CV_STR("2023-06-01"));
	return probe_write(ask, CV_STR("x-api-key"), "", ret, err);
}

cv_code cv_refresh_probe_open_write(
	const struct cv_refresh_ask *ask, struct cv_refresh_request *ret, struct cv_err *err)
{
	return probe_write(ask, CV_STR_NONE, "", ret, err);
}

/* Of what is refused only the kind is told: an answer's text may show a part of the key. */
void cv_refresh_probe_read(const struct cv_cred_refresh *refresh,
	const struct cv_refresh_answer *answer, int64_t now_s, struct cv_arena *arena,
	struct cv_refresh_result *ret)
{
	if (answer->status >= 200 && answer->status < 300) {
		if (cv_refresh_output_add(
			    ret, "status", cv_arena_printf(arena, "%d", answer->status), arena))
			cv_refresh_renewed(ret, refresh, now_s, now_s + 60);
	} else if (answer->status == 401) {
		cv_refresh_fail(ret, CV_REFRESH_REASON_PROBE_KEY);
	} else if (answer->status == 403) {
		cv_refresh_fail(ret, CV_REFRESH_REASON_PROBE_DENIED);
	} else if (answer->status == 404) {
		cv_refresh_fail(ret, CV_REFRESH_REASON_PROBE_MODEL);
	} else if (answer->status >= 400 && answer->status < 500 && answer->status != 429 &&
		   answer->status != 408) {
		cv_refresh_fail(ret, CV_REFRESH_REASON_PROBE_CALL);
	} else if (answer->status >= 300 && answer->status < 400) {
		cv_refresh_fail(ret, CV_REFRESH_REASON_PROBE_CALL);
	} else {
		cv_refresh_fail_status(ret, answer);
	}
}
