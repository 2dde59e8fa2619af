/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh_command.c - a token that a command on the host prints
 *
 * Either JSON:   {"token": "...", "expires_in": 3600}
 *                also access_token, accessToken, Token; expires_at, expiresAt, Expiration
 * or plain text: the token, and on a second line, if at all, its expiry as RFC 3339.
 *
 * Without an expiry it is asked for again after CV_REFRESH_LIFETIME_S, or max_lifetime_s.
 */
#include "cred/refresh_int.h"

#include "base/time.h"
#include "cred/answer_json.h"

cv_code cv_refresh_command_write(
	const struct cv_refresh_ask *ask, struct cv_refresh_request *ret, struct cv_err *err)
{
	if (!ask->refresh->argc || !ask->refresh->argv[0].n)
		return cv_fail(err, CV_INVALID, "refresh: command is empty");
	*ret = (struct cv_refresh_request){ .is_command = true };
	return CV_OK;
}

static struct cv_json_member first_of(
	const struct cv_json_object *o, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct cv_json_member m = cv_json_get(o, cv_str_of(names[i]));

		if (m.type != CV_JSON_END)
			return m;
	}
	return (struct cv_json_member){ .type = CV_JSON_END };
}

/* As RFC 3339, or seconds since 1970. */
static bool expiry_read(struct cv_json_member m, int64_t *ret_s)
{
	uint64_t seconds;
	int64_t ms;

	if (m.type == CV_JSON_STRING && cv_time_parse(m.text, &ms)) {
		*ret_s = ms / 1000;
		return true;
	}
	if (m.type != CV_JSON_NUMBER || !cv_str_to_u64(m.text, CV_TIME_MS_MAX / 1000, &seconds))
		return false;
	*ret_s = (int64_t)seconds;
	return true;
}

/* False when there is an expiry that cannot be read. */
static bool json_read(const struct cv_json_object *o, int64_t now_s, struct cv_str *ret_token,
	int64_t *ret_expires_s)
{
	static const char *const tokens[] = { "token", "access_token", "accessToken", "Token" };
	static const char *const expiries[] = { "expires_at", "expiresAt", "expiresOn",
		"Expiration", "expiry", "token_expiry" };
	const struct cv_json_member token = first_of(o, tokens, CV_ARRAY_LEN(tokens));
	const struct cv_json_member at = first_of(o, expiries, CV_ARRAY_LEN(expiries));
	uint64_t in_s;

	*ret_token = token.type == CV_JSON_STRING ? token.text : CV_STR_NONE;
	if (cv_json_get(o, CV_STR("expires_in")).type != CV_JSON_END) {
		if (!cv_json_get_u64(o, CV_STR("expires_in"), INT32_MAX, &in_s))
			return false;
		*ret_expires_s = now_s + (int64_t)in_s;
		return true;
	}
	return at.type == CV_JSON_END || expiry_read(at, ret_expires_s);
}

static struct cv_str line_cut(struct cv_str *rest)
{
	struct cv_str line = cv_str_cut(rest, '\n');

	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	return cv_str_trim(line);
}

static bool text_read(struct cv_str rest, struct cv_str *ret_token, int64_t *ret_expires_s)
{
	*ret_token = line_cut(&rest);
	const struct cv_str expiry = line_cut(&rest);
	if (expiry.n &&
		!expiry_read((struct cv_json_member){ .type = CV_JSON_STRING, .text = expiry },
			ret_expires_s))
		return false;
	while (rest.p)
		if (line_cut(&rest).n)
			return false; /* more than two lines are something else */
	return true;
}

void cv_refresh_command_read(const struct cv_cred_refresh *refresh,
	const struct cv_refresh_answer *answer, int64_t now_s, struct cv_arena *arena,
	struct cv_refresh_result *ret)
{
	int64_t expires_s = now_s + CV_REFRESH_LIFETIME_S;
	struct cv_str token = CV_STR_NONE;
	struct cv_str body = answer->body;
	struct cv_json_object o;
	struct cv_err ignored;
	bool is_read;

	if (answer->status != 0 || body.n > CV_REFRESH_COMMAND_BYTES_MAX) {
		cv_refresh_fail(ret, CV_REFRESH_REASON_COMMAND);
		return;
	}
	while (body.n && (body.p[0] == '\n' || body.p[0] == ' '))
		body = cv_str_slice(body, 1, body.n);
	if (body.n && body.p[0] == '{')
		is_read = cv_json_object_parse(body, arena, &o, &ignored) == CV_OK &&
			  json_read(&o, now_s, &token, &expires_s);
	else
		is_read = text_read(body, &token, &expires_s);
	if (!is_read)
		cv_refresh_fail(ret, CV_REFRESH_REASON_ANSWER);
	else if (cv_refresh_output_add(ret, "token", token, arena))
		cv_refresh_renewed(ret, refresh, now_s, expires_s);
}
