/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.c - absolute URLs in parts; see url.h
 *
 * The authority ends at the first / or ?, as RFC 3986 3.2 says.  A backslash there is a bad host
 * byte, so that nobody who takes it for a slash can see another host.
 */
#include "wire/url.h"

#define ROW(name, text) text,
static const char *const rc_text[] = { CV_URL_RCS(ROW) };
#undef ROW

const char *cv_url_rc_text(enum cv_url_rc rc)
{
	return rc < CV_URL_RC_COUNT ? rc_text[rc] : "unknown reason";
}

void cv_url_split_query(struct cv_str s, struct cv_str *ret_path, struct cv_str *ret_query)
{
	const size_t mark = cv_str_find_byte(s, '?');

	*ret_path = cv_str_slice(s, 0, mark);
	*ret_query = mark < s.n ? cv_str_range(s.p + mark + 1, s.p + s.n) : CV_STR_NONE;
}

static bool bytes_are_plain(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '#')
			return false;
	return true;
}

static bool scheme_cut(struct cv_str *s, bool *ret_is_https)
{
	static const struct {
		struct cv_str prefix;
		bool is_https;
	} row[] = {
		{ { "http://", 7 }, false },
		{ { "https://", 8 }, true },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const size_t n = row[i].prefix.n;

		if (cv_str_eq_nocase(cv_str_slice(*s, 0, n), row[i].prefix)) {
			*s = cv_str_slice(*s, n, s->n);
			*ret_is_https = row[i].is_https;
			return true;
		}
	}
	return false;
}

enum cv_url_rc cv_url_parse(struct cv_str s, struct cv_url *ret, enum cv_host_rc *ret_host_rc)
{
	struct cv_url u = { .is_https = false };
	enum cv_host_rc rc;

	if (!bytes_are_plain(s))
		return CV_URL_BYTE;
	if (!scheme_cut(&s, &u.is_https))
		return CV_URL_SCHEME;
	const size_t end = CV_MIN(cv_str_find_byte(s, '/'), cv_str_find_byte(s, '?'));
	rc = cv_authority_parse(cv_str_slice(s, 0, end), &u.authority);
	if (ret_host_rc)
		*ret_host_rc = rc;
	if (rc != CV_HOST_OK)
		return CV_URL_AUTHORITY;
	if (u.authority.port == 0)
		u.authority.port = u.is_https ? 443 : 80;
	cv_url_split_query(cv_str_slice(s, end, s.n), &u.path, &u.query);
	*ret = u;
	return CV_URL_OK;
}
