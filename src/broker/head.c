/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head.c - see head.h
 */
#include "broker/head.h"

/* ---- Accept ---- */

static bool is_refused(struct cv_str parameters)
{
	while (parameters.p) {
		struct cv_str one = cv_str_trim(cv_str_cut(&parameters, ';'));
		const struct cv_str key = cv_str_trim(cv_str_cut(&one, '='));

		one = cv_str_trim(one);
		if (!cv_str_eq_nocase(key, CV_STR("q")) || !one.n || one.p[0] != '0')
			continue;
		for (size_t i = 1; i < one.n; i++)
			if (one.p[i] != '.' && one.p[i] != '0')
				return false;
		return true;
	}
	return false;
}

/* is_exact: "any type" is not enough. */
bool mcp_accepts(struct cv_str accept, const char *type, bool is_exact)
{
	const struct cv_str want = cv_str_of(type);
	const struct cv_str family = cv_str_slice(want, 0, cv_str_find_byte(want, '/') + 1);
	bool is_any = !accept.n && !is_exact;

	while (accept.p) {
		struct cv_str one = cv_str_cut(&accept, ',');
		const struct cv_str range = cv_str_trim(cv_str_cut(&one, ';'));

		if (cv_str_eq_nocase(range, want))
			return !is_refused(one);
		if (!is_exact && !is_refused(one) &&
			(cv_str_eq(range, CV_STR("*/*")) ||
				(range.n == family.n + 1 && range.p[family.n] == '*' &&
					cv_str_eq_nocase(
						cv_str_slice(range, 0, family.n), family))))
			is_any = true;
	}
	return is_any;
}

/* ---- Last-Event-ID ---- */

bool mcp_event_read(struct cv_str text, uint64_t *ret_id, uint64_t *ret_number)
{
	const struct cv_str hex = cv_str_cut(&text, '-');

	*ret_id = 0;
	if (hex.n != 16 || !text.p)
		return false;
	for (size_t i = 0; i < hex.n; i++) {
		const char c = hex.p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		*ret_id = *ret_id << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return cv_str_to_u64(text, UINT64_MAX - 1, ret_number);
}

bool job_position_read(struct cv_str id, struct job_position *ret)
{
	uint64_t log, progress, result;
	const struct cv_str first = cv_str_cut(&id, '-');
	const struct cv_str second = cv_str_cut(&id, '-');

	if (!cv_str_to_u64(first, UINT64_MAX, &log) ||
		!cv_str_to_u64(second, UINT32_MAX, &progress) || !cv_str_to_u64(id, 2, &result))
		return false;
	*ret = (struct job_position){ log, (uint32_t)progress, (uint32_t)result };
	return true;
}
