/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_head.c - heads of requests to services and of their answers, judged and written anew
 *
 * What says something about one connection stops here, both ways, and so does what proves who asks: an
 * agent that was shown it could come back with it.  An answer comes from an agent:
 * its cookies stay with its own host (their Domain is dropped, or they would go to the services of
 * others under the same domain), and it may not send clients elsewhere (Alt-Svc).
 */
#include "gateway/service.h"

/* ---- cross-origin ---- */

static struct cv_str field_of(const struct service_request *q, struct cv_str name)
{
	for (size_t i = 0; i < q->field_count; i++)
		if (cv_str_eq(q->fields[i].name, name))
			return q->fields[i].value;
	return CV_STR_NONE;
}

/* "scheme://authority", perhaps with more behind it: is it the origin that q is for? */
static bool is_origin(const struct service_request *q, struct cv_str url, bool has_path)
{
	const struct cv_str scheme = q->is_tls ? CV_STR("https://") : CV_STR("http://");
	struct cv_str rest = cv_str_slice(url, scheme.n, url.n);

	if (!cv_str_eq_nocase(cv_str_slice(url, 0, scheme.n), scheme))
		return false;
	if (has_path)
		rest = cv_str_slice(rest, 0, cv_str_find_byte(rest, '/'));
	return cv_str_eq_nocase(rest, q->host);
}

bool service_is_cross_origin(const struct service_request *q)
{
	const struct cv_str site = field_of(q, CV_STR("sec-fetch-site"));
	const struct cv_str origin = field_of(q, CV_STR("origin"));
	const struct cv_str referer = field_of(q, CV_STR("referer"));

	if (site.n)
		return !cv_str_eq(site, CV_STR("same-origin")) && !cv_str_eq(site, CV_STR("none"));
	if (origin.n)
		return !is_origin(q, origin, false);
	return referer.n && !is_origin(q, referer, true);
}

/* ---- requests ---- */

static bool is_named(struct cv_str connection, struct cv_str name)
{
	return connection.n && cv_h1_list_has(connection, name);
}

/* Ours to write, or nobody's business behind us. */
static bool is_dropped(const struct service_request *q, const struct cv_rpc_field *f)
{
	static const char *const ours[] = { "host", "content-length", "forwarded",
		"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "cookie" };

	if (cv_str_has_prefix(f->name, CV_STR(":")) ||
		(cv_h1_flags_of(f->name) & (CV_H1_HOP | CV_H1_FRAMING)) ||
		is_named(field_of(q, CV_STR("connection")), f->name))
		return true;
	for (size_t i = 0; i < CV_ARRAY_LEN(ours); i++)
		if (cv_h1_name_eq(f->name, cv_str_of(ours[i])))
			return true;
	return (q->is_token_ours && cv_str_eq(f->name, CV_STR("authorization"))) ||
	       (q->is_edge_ours && cv_str_has_prefix(f->name, CV_STR("cf-access-")));
}

static void line_put(struct cv_buf *b, struct cv_str name, struct cv_str value)
{
	cv_buf_put(b, name);
	cv_buf_put(b, CV_STR(": "));
	cv_buf_put(b, value);
	cv_buf_put(b, CV_STR("\r\n"));
}

/* CF_Authorization, and what else an edge proxy may call by that beginning. */
static bool is_edge_cookie(struct cv_str pair)
{
	const struct cv_str own = CV_STR("cf_authorization");

	return cv_str_eq_nocase(cv_str_slice(cv_str_trim(pair), 0, own.n), own);
}

static void cookie_field_put(
	const struct service_request *q, struct cv_str value, struct cv_buf *b, bool *is_first)
{
	if (!q->is_edge_ours) {
		cv_buf_put(b, *is_first ? CV_STR("cookie: ") : CV_STR("; "));
		cv_buf_put(b, value);
		*is_first = false;
		return;
	}
	while (value.p) {
		const struct cv_str pair = cv_str_trim(cv_str_cut(&value, ';'));

		if (!pair.n || is_edge_cookie(pair))
			continue;
		cv_buf_put(b, *is_first ? CV_STR("cookie: ") : CV_STR("; "));
		cv_buf_put(b, pair);
		*is_first = false;
	}
}

/* HTTP/2 cuts them into pieces (RFC 9113 8.2.3). */
static void cookies_put(const struct service_request *q, struct cv_buf *b)
{
	bool is_first = true;

	for (size_t i = 0; i < q->field_count; i++)
		if (cv_str_eq(q->fields[i].name, CV_STR("cookie")))
			cookie_field_put(q, q->fields[i].value, b, &is_first);
	if (!is_first)
		cv_buf_put(b, CV_STR("\r\n"));
}

static bool is_writable(const struct service_request *q)
{
	if (!cv_h1_is_token(q->method) || cv_str_eq(q->method, CV_STR("CONNECT")) ||
		!cv_str_has_prefix(q->target, CV_STR("/")) || !cv_h1_is_field_value(q->host))
		return false;
	for (size_t i = 0; i < q->target.n; i++)
		if ((unsigned char)q->target.p[i] <= ' ' || q->target.p[i] == 0x7f)
			return false;
	for (size_t i = 0; i < q->field_count; i++) {
		const struct cv_rpc_field *f = &q->fields[i];

		if (cv_str_has_prefix(f->name, CV_STR(":")))
			continue;
		if (!cv_h1_is_token(f->name) || (f->value.n && !cv_h1_is_field_value(f->value)))
			return false;
	}
	return true;
}

static void framing_put(const struct service_request *q, struct cv_buf *b, bool *ret_is_chunked)
{
	const struct cv_str length = field_of(q, CV_STR("content-length"));

	*ret_is_chunked = q->has_body && !length.n;
	if (length.n)
		line_put(b, CV_STR("content-length"), length);
	else if (q->has_body)
		line_put(b, CV_STR("transfer-encoding"), CV_STR("chunked"));
}

bool service_request_write(
	const struct service_request *q, struct cv_buf *ret, bool *ret_is_chunked)
{
	if (!is_writable(q))
		return false;
	cv_buf_printf(ret, "%.*s %.*s HTTP/1.1\r\n", CV_STR_ARG(q->method), CV_STR_ARG(q->target));
	line_put(ret, CV_STR("host"), q->host);
	for (size_t i = 0; i < q->field_count; i++)
		if (!is_dropped(q, &q->fields[i]))
			line_put(ret, q->fields[i].name, q->fields[i].value);
	cookies_put(q, ret);
	line_put(ret, CV_STR("x-forwarded-host"), q->host);
	line_put(ret, CV_STR("x-forwarded-proto"), q->is_tls ? CV_STR("https") : CV_STR("http"));
	framing_put(q, ret, ret_is_chunked);
	if (q->is_upgrade) {
		line_put(ret, CV_STR("connection"), CV_STR("Upgrade"));
		line_put(ret, CV_STR("upgrade"), field_of(q, CV_STR("upgrade")));
	} else {
		line_put(ret, CV_STR("connection"), CV_STR("close"));
	}
	cv_buf_put(ret, CV_STR("\r\n"));
	return !ret->is_overflown;
}

/* ---- answers ---- */

/* Without its Domain: it is a cookie of this host then. */
static struct cv_str cookie_own(struct cv_str value, struct cv_arena *arena)
{
	struct cv_str rest = value, first = cv_str_cut(&rest, ';');
	struct cv_buf b;

	cv_buf_init(&b, CV_H1_REPLY_HEAD_BYTES_MAX);
	cv_buf_put(&b, first);
	while (rest.p) {
		const struct cv_str part = cv_str_cut(&rest, ';');
		const struct cv_str name =
			cv_str_trim(cv_str_slice(part, 0, cv_str_find_byte(part, '=')));

		if (cv_str_eq_nocase(name, CV_STR("domain")))
			continue;
		cv_buf_put_byte(&b, ';');
		cv_buf_put(&b, part);
	}
	const struct cv_str own = cv_arena_str(arena, cv_str_trim(cv_buf_str(&b)));
	cv_buf_fini(&b);
	return own;
}

static struct cv_str lower(struct cv_str name, struct cv_arena *arena)
{
	const struct cv_str copy = cv_arena_str(arena, name);

	for (size_t i = 0; copy.p && i < copy.n; i++)
		((char *)(uintptr_t)copy.p)[i] = cv_ascii_lower(copy.p[i]);
	return copy;
}

size_t service_response_fields(const struct cv_h1_response *h, struct cv_arena *arena,
	struct cv_rpc_field *ret, size_t max)
{
	const uint8_t drop = CV_H1_HOP | CV_H1_FRAMING | CV_H1_NAMED | CV_H1_REPLY_DROP;
	size_t n = 0;

	for (size_t i = 0; i < h->header_count && n < max; i++) {
		const struct cv_h1_header *f = &h->header[i];

		if ((f->flags & drop) || cv_h1_name_eq(f->name, CV_STR("x-request-id")))
			continue;
		ret[n++] = (struct cv_rpc_field){ lower(f->name, arena),
			f->field == CV_H1_FIELD_SET_COOKIE ? cookie_own(f->value, arena)
							   : cv_arena_str(arena, f->value) };
	}
	if (h->has_length && n < max)
		ret[n++] = (struct cv_rpc_field){ CV_STR("content-length"),
			cv_arena_printf(arena, "%llu", (unsigned long long)h->length) };
	return arena->is_overflown ? 0 : n;
}
