/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4_canon.c - a request in the one form that both sides hash
 *
 * The signature is right only if the server computes the same text from what arrives.  So wherever
 * a byte may be written in two ways, the canonical way is also what is sent (wire_path,
 * wire_query): a percent sequence for an unreserved byte becomes that byte, digits of the others
 * become upper case, `+` in a query becomes %20.
 *
 * S3 takes the path as it is, encoded once.  Every other service removes dot segments and empty
 * ones and encodes the encoded path again ("%20" becomes "%2520").
 */
#include "cred/sigv4_int.h"

#include "base/hex.h"

static const char hex_upper[] = "0123456789ABCDEF";

static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

bool cv_sigv4_is_s3(struct cv_str service)
{
	return cv_str_eq(service, CV_STR("s3")) || cv_str_has_prefix(service, CV_STR("s3-")) ||
	       cv_str_eq(service, CV_STR("s3express"));
}

/* ---- percent encoding ---- */

enum { KEEP_SLASH = 1 << 0, ENCODE_PERCENT = 1 << 1, PLUS_IS_SPACE = 1 << 2 };

static char *put_encoded(char *at, unsigned char c)
{
	*at++ = '%';
	*at++ = hex_upper[c >> 4];
	*at++ = hex_upper[c & 15];
	return at;
}

/* The byte that the sequence at s.p[i] stands for; -1 if there is none. */
static int sequence_at(struct cv_str s, size_t i)
{
	if (s.p[i] != '%' || s.n - i < 3)
		return -1;
	const int high = cv_hex_digit(s.p[i + 1]), low = cv_hex_digit(s.p[i + 2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static struct cv_str encode(struct cv_arena *arena, struct cv_str s, unsigned flags)
{
	char *const out = cv_arena_alloc(arena, 3 * s.n + 1);
	char *at = out;

	if (!out)
		return CV_STR_NONE;
	for (size_t i = 0; i < s.n; i++) {
		const unsigned char c = (unsigned char)s.p[i];
		const int byte = flags & ENCODE_PERCENT ? -1 : sequence_at(s, i);

		if (byte >= 0) {
			if (is_unreserved((unsigned char)byte))
				*at++ = (char)byte;
			else
				at = put_encoded(at, (unsigned char)byte);
			i += 2;
		} else if (is_unreserved(c) || (c == '/' && flags & KEEP_SLASH)) {
			*at++ = (char)c;
		} else {
			at = put_encoded(at, c == '+' && flags & PLUS_IS_SPACE ? ' ' : c);
		}
	}
	return cv_str_range(out, at);
}

/* ---- path ---- */

/* RFC 3986 section 5.2.4, and empty segments go too. */
static struct cv_str dots_remove(struct cv_arena *arena, struct cv_str path)
{
	char *const out = cv_arena_alloc(arena, path.n + 2);
	const bool ends_in_slash = path.n && path.p[path.n - 1] == '/';
	char *at = out;

	if (!out)
		return CV_STR_NONE;
	for (struct cv_str rest = path; rest.p;) {
		const struct cv_str segment = cv_str_cut(&rest, '/');

		if (cv_str_eq(segment, CV_STR(".."))) {
			while (at > out && *--at != '/')
				;
		} else if (segment.n && !cv_str_eq(segment, CV_STR("."))) {
			*at++ = '/';
			memcpy(at, segment.p, segment.n);
			at += segment.n;
		}
	}
	if (at == out || ends_in_slash)
		*at++ = '/';
	return cv_str_range(out, at);
}

cv_code cv_sigv4_canon_path(struct cv_str path, bool is_s3, struct cv_arena *arena,
	struct cv_sigv4_canon *ret, struct cv_err *err)
{
	if (!path.n)
		path = CV_STR("/");
	if (path.p[0] != '/')
		return cv_fail(err, CV_INVALID, "path does not start with a slash");
	if (is_s3) {
		ret->path = ret->wire_path = encode(arena, path, KEEP_SLASH);
	} else {
		const struct cv_str plain = dots_remove(arena, path);

		ret->path = encode(arena, plain, KEEP_SLASH | ENCODE_PERCENT);
		ret->wire_path = path;
	}
	return arena->is_overflown ? cv_fail(err, CV_LIMIT, "path is too long to be signed")
				   : CV_OK;
}

/* ---- query ---- */

static void pairs_sort(struct cv_sigv4_pair *pairs, size_t count, bool by_value)
{
	for (size_t i = 1; i < count; i++) {
		const struct cv_sigv4_pair moved = pairs[i];
		size_t at = i;

		for (; at; at--) {
			int order = cv_str_cmp(pairs[at - 1].name, moved.name);

			if (!order && by_value)
				order = cv_str_cmp(pairs[at - 1].value, moved.value);
			if (order <= 0) /* equal names keep their order */
				break;
			pairs[at] = pairs[at - 1];
		}
		pairs[at] = moved;
	}
}

/* SigV4's and Signature Version 2's; names are encoded and all of theirs are unreserved bytes. */
static bool is_signature_param(struct cv_str name)
{
	static const char *const names[] = { "X-Amz-Algorithm", "X-Amz-Credential",
		"X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-SignedHeaders", "AWSAccessKeyId",
		"Signature" };

	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++)
		if (cv_str_eq_nocase(name, cv_str_of(names[i])))
			return true;
	return false;
}

static struct cv_str pairs_join(
	struct cv_arena *arena, const struct cv_sigv4_pair *pairs, size_t count, bool is_wire)
{
	size_t bytes = 1;

	for (size_t i = 0; i < count; i++)
		bytes += pairs[i].name.n + pairs[i].value.n + 2;
	char *const out = cv_arena_alloc(arena, bytes);
	char *at = out;
	if (!out)
		return CV_STR_NONE;
	for (size_t i = 0; i < count; i++) {
		const struct cv_sigv4_pair *p = &pairs[i];

		if (i)
			*at++ = '&';
		at = (char *)memcpy(at, p->name.p, p->name.n) + p->name.n;
		if (!is_wire || p->has_value)
			*at++ = '=';
		if (p->value.n)
			at = (char *)memcpy(at, p->value.p, p->value.n) + p->value.n;
	}
	return cv_str_range(out, at);
}

cv_code cv_sigv4_canon_query(
	struct cv_str query, struct cv_arena *arena, struct cv_sigv4_canon *ret, struct cv_err *err)
{
	struct cv_sigv4_pair pairs[CV_SIGV4_PARAMS_MAX];
	size_t count = 0;

	for (struct cv_str rest = query; rest.p;) {
		struct cv_str value = cv_str_cut(&rest, '&');

		if (!value.n)
			continue;
		if (count == CV_SIGV4_PARAMS_MAX)
			return cv_fail(err, CV_LIMIT, "query has too many parameters to be signed");
		struct cv_sigv4_pair *p = &pairs[count++];
		const struct cv_str name = cv_str_cut(&value, '=');
		p->has_value = value.p != NULL;
		p->name = encode(arena, name, PLUS_IS_SPACE);
		p->value = encode(arena, value, PLUS_IS_SPACE);
		if (arena->is_overflown)
			return cv_fail(err, CV_LIMIT, "query is too long to be signed");
		if (is_signature_param(p->name))
			return cv_fail(
				err, CV_DENIED, "request is signed in its query (presigned)");
	}
	ret->wire_query = pairs_join(arena, pairs, count, true);
	pairs_sort(pairs, count, true);
	ret->query = pairs_join(arena, pairs, count, false);
	return arena->is_overflown ? cv_fail(err, CV_LIMIT, "query is too long to be signed")
				   : CV_OK;
}

/* ---- headers ---- */

/* A proxy writes these anew, or may have to. */
static bool is_changed_on_the_way(struct cv_str name)
{
	static const char *const names[] = { "accept-encoding", "authorization", "connection",
		"content-length", "expect", "host", "keep-alive", "te", "trailer",
		"transfer-encoding", "upgrade" };

	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++)
		if (cv_str_eq(name, cv_str_of(names[i])))
			return true;
	return cv_str_has_prefix(name, CV_STR("proxy-"));
}

/* What the client's own signature covers: a;b;c. */
static struct cv_str signed_list(const struct cv_sigv4_request *request)
{
	static const struct cv_str key = { "SignedHeaders=", 14 };
	struct cv_str rest = cv_cred_header_get(
		request->headers, request->header_count, CV_STR("authorization"));

	if (!cv_str_has_prefix(rest, CV_STR("AWS4-")))
		return CV_STR_NONE;
	for (cv_str_cut(&rest, ' '); rest.p;) {
		const struct cv_str part = cv_str_trim(cv_str_cut(&rest, ','));

		if (cv_str_has_prefix(part, key))
			return cv_str_slice(part, key.n, part.n);
	}
	return CV_STR_NONE;
}

static bool is_signed(struct cv_str name, struct cv_str list)
{
	if (is_changed_on_the_way(name))
		return false;
	if (cv_str_has_prefix(name, CV_STR("x-amz-")) || cv_str_eq(name, CV_STR("content-type")) ||
		cv_str_eq(name, CV_STR("content-md5")))
		return true;
	while (list.p)
		if (cv_str_eq(cv_str_cut(&list, ';'), name))
			return true;
	return false;
}

static struct cv_str lowered(struct cv_arena *arena, struct cv_str s)
{
	char *const out = cv_arena_alloc(arena, s.n + 1);

	for (size_t i = 0; out && i < s.n; i++)
		out[i] = cv_ascii_lower(s.p[i]);
	return out ? (struct cv_str){ out, s.n } : CV_STR_NONE;
}

/* Without outer blanks, and one space for many. */
static struct cv_str squeezed(struct cv_arena *arena, struct cv_str s)
{
	char *const out = cv_arena_alloc(arena, s.n + 1);
	size_t n = 0;

	s = cv_str_trim(s);
	for (size_t i = 0; out && i < s.n; i++)
		if (s.p[i] != ' ' || out[n - 1] != ' ') /* the first is not blank: n is not 0 */
			out[n++] = s.p[i];
	return out ? (struct cv_str){ out, n } : CV_STR_NONE;
}

static void header_add(
	struct cv_sigv4_canon *c, struct cv_arena *arena, struct cv_str name, struct cv_str value)
{
	c->headers[c->header_count++] =
		(struct cv_sigv4_pair){ name, squeezed(arena, value), true };
}

cv_code cv_sigv4_canon_headers(const struct cv_sigv4_request *request,
	const struct cv_cred_header *set, size_t set_count, struct cv_arena *arena,
	struct cv_sigv4_canon *ret, struct cv_err *err)
{
	const struct cv_str list = cv_str_slice(signed_list(request), 0, 4096);

	ret->header_count = 0;
	header_add(ret, arena, CV_STR("host"), request->host);
	for (size_t i = 0; i < set_count; i++)
		header_add(ret, arena, set[i].name, set[i].value);
	for (size_t i = 0; i < request->header_count; i++) {
		const struct cv_cred_header *h = &request->headers[i];
		const struct cv_str name = lowered(arena, h->name);

		if (cv_sigv4_is_dropped(name) || !is_signed(name, list))
			continue;
		if (ret->header_count == CV_SIGV4_HEADERS_MAX)
			return cv_fail(err, CV_LIMIT, "request has too many headers to be signed");
		header_add(ret, arena, name, h->value);
	}
	if (arena->is_overflown)
		return cv_fail(err, CV_LIMIT, "head is too large to be signed");
	pairs_sort(ret->headers, ret->header_count, false);
	return CV_OK;
}
