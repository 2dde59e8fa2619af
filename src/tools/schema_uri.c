/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_uri.c - what a reference names, by RFC 3986 5.2
 *
 * Only names are made here: nothing is ever fetched.
 */
#include "tools/schema_int.h"

struct uri {
	struct cv_str scheme, authority, path, query; /* p NULL: not there; path always is */
};

/* Appendix B, without the fragment. */
static struct uri split(struct cv_str s)
{
	struct uri u = { 0 };
	size_t n;

	s = cv_str_slice(s, 0, cv_str_find_byte(s, '#'));
	n = cv_str_find_byte(s, ':');
	if (n && n < s.n && n < cv_str_find_byte(s, '/') && n < cv_str_find_byte(s, '?')) {
		u.scheme = cv_str_slice(s, 0, n);
		s = cv_str_slice(s, n + 1, s.n);
	}
	n = cv_str_find_byte(s, '?');
	if (n < s.n)
		u.query = cv_str_slice(s, n + 1, s.n);
	s = cv_str_slice(s, 0, n);
	if (cv_str_has_prefix(s, CV_STR("//"))) {
		s = cv_str_slice(s, 2, s.n);
		n = cv_str_find_byte(s, '/');
		u.authority = cv_str_slice(s, 0, n);
		s = cv_str_slice(s, n, s.n);
	}
	u.path = s;
	return u;
}

/* Removes the last segment and its slash from what was written behind `from`. */
static void segment_drop(struct cv_buf *out, size_t from)
{
	const struct cv_str path = cv_str_slice(cv_buf_str(out), from, cv_buf_len(out));
	const size_t slash = cv_str_rfind_byte(path, '/');

	out->end = out->start + from + (slash < path.n ? slash : 0);
}

/* 5.2.4 */
static void path_put(struct cv_buf *out, struct cv_str path)
{
	const bool is_absolute = cv_str_has_prefix(path, CV_STR("/"));
	const size_t from = cv_buf_len(out);
	bool is_first = !is_absolute, is_open = false; /* open: ends with a dot segment */

	if (is_absolute)
		path = cv_str_slice(path, 1, path.n);
	while (path.p) {
		const struct cv_str segment = cv_str_cut(&path, '/');
		const bool is_up = cv_str_eq(segment, CV_STR(".."));

		is_open = is_up || cv_str_eq(segment, CV_STR("."));
		if (is_up)
			segment_drop(out, from);
		if (is_open)
			continue;
		if (!is_first)
			cv_buf_put_byte(out, '/');
		cv_buf_put(out, segment);
		is_first = false;
	}
	if (is_open)
		cv_buf_put_byte(out, '/');
}

/* 5.2.3: ref in place of what stands behind base's last slash. */
static void merged_put(struct cv_buf *out, const struct uri *base, struct cv_str ref)
{
	const size_t slash = cv_str_rfind_byte(base->path, '/');
	struct cv_buf path;

	cv_buf_init(&path, CV_SCHEMA_URI_BYTES_MAX);
	if (base->authority.p && !base->path.n)
		cv_buf_put_byte(&path, '/');
	else if (slash < base->path.n)
		cv_buf_put(&path, cv_str_slice(base->path, 0, slash + 1));
	if (!cv_buf_put(&path, ref))
		out->is_overflown = true;
	path_put(out, cv_buf_str(&path));
	cv_buf_fini(&path);
}

bool schema_uri_resolve(struct cv_str base_text, struct cv_str ref_text, struct cv_buf *out)
{
	const struct uri base = split(base_text), ref = split(ref_text);
	const bool is_same = !ref.scheme.p && !ref.authority.p && !ref.path.n;
	const struct cv_str scheme = ref.scheme.p ? ref.scheme : base.scheme;
	const struct cv_str authority =
		ref.scheme.p || ref.authority.p ? ref.authority : base.authority;
	const struct cv_str query = is_same && !ref.query.p ? base.query : ref.query;

	if (scheme.p) {
		cv_buf_put(out, scheme);
		cv_buf_put_byte(out, ':');
	}
	if (authority.p) {
		cv_buf_put(out, CV_STR("//"));
		cv_buf_put(out, authority);
	}
	if (is_same)
		cv_buf_put(out, base.path);
	else if (ref.scheme.p || ref.authority.p || ref.path.p[0] == '/')
		path_put(out, ref.path);
	else
		merged_put(out, &base, ref.path);
	if (query.p) {
		cv_buf_put_byte(out, '?');
		cv_buf_put(out, query);
	}
	return !out->is_overflown;
}

static int hex(char c)
{
	c = cv_ascii_lower(c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool schema_uri_decode(struct cv_str s, struct cv_buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
			cv_buf_put_byte(out, (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2])));
			i += 2;
		} else {
			cv_buf_put_byte(out, s.p[i]);
		}
	}
	return !out->is_overflown;
}
