/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_head.c - see h2_head.h
 *
 * One pass over the list checks each field and remembers the pseudo-header fields and those that
 * framing depends on; then the text is written, start line first.  Fields of a kind that HTTP/2
 * forbids make the whole list malformed; fields that are merely ours to write (Host, lengths) are
 * written by us.
 */
#include "wire/h2_head.h"

#include "wire/chunk.h"
#include "wire/h1_int.h"

#define RC_ROW(name, slug, text) { slug, text },
static const struct cv_h2_rc_row rc_row[] = { CV_H2_RCS(RC_ROW) };

const struct cv_h2_rc_row *cv_h2_rc_row(enum cv_h2_rc rc)
{
	return &rc_row[rc < CV_H2_RC_COUNT ? rc : CV_H2_NAME];
}

/* ---- the list ---- */

#define FIELD_OVERHEAD 32 /* RFC 9113 6.5.2 */

void cv_h2_fields_init(struct cv_h2_fields *f)
{
	*f = (struct cv_h2_fields){ .count = 0 };
	cv_buf_init(&f->bytes, CV_H2_LIST_BYTES_MAX + 8 * CV_H2_FIELDS_MAX);
}

void cv_h2_fields_fini(struct cv_h2_fields *f)
{
	cv_buf_fini(&f->bytes);
	*f = (struct cv_h2_fields){ .count = 0 };
}

void cv_h2_fields_add(struct cv_h2_fields *f, struct cv_str name, struct cv_str value)
{
	f->list_bytes += name.n + value.n + FIELD_OVERHEAD;
	if (f->is_long || f->count == CV_H2_FIELDS_MAX || f->list_bytes > CV_H2_LIST_BYTES_MAX) {
		f->is_long = true;
		return;
	}
	const uint32_t n[2] = { (uint32_t)name.n, (uint32_t)value.n };

	cv_buf_put(&f->bytes, (struct cv_str){ (const char *)n, sizeof(n) });
	cv_buf_put(&f->bytes, name);
	if (value.n)
		cv_buf_put(&f->bytes, value);
	f->is_long = f->bytes.is_overflown;
	f->count++;
}

bool cv_h2_fields_next(
	const struct cv_h2_fields *f, size_t *at, struct cv_str *ret_name, struct cv_str *ret_value)
{
	const struct cv_str s = cv_buf_str(&f->bytes);
	uint32_t n[2];

	if (*at + sizeof(n) > s.n)
		return false;
	memcpy(n, s.p + *at, sizeof(n));
	*at += sizeof(n);
	*ret_name = cv_str_slice(s, *at, *at + n[0]);
	*ret_value = cv_str_slice(s, *at + n[0], *at + n[0] + n[1]);
	*at += (size_t)n[0] + n[1];
	return true;
}

/* ---- what a list says ---- */

struct seen {
	struct cv_str method, scheme, authority, path, status, host, length;
	size_t cookies;
	bool has_regular, wants_trailers, is_grpc;
};

static enum cv_h2_rc pseudo_note(
	struct seen *s, struct cv_str name, struct cv_str value, bool is_request)
{
	const struct {
		struct cv_str name;
		struct cv_str *at;
		bool is_request;
	} row[] = {
		{ CV_STR(":method"), &s->method, true },
		{ CV_STR(":scheme"), &s->scheme, true },
		{ CV_STR(":authority"), &s->authority, true },
		{ CV_STR(":path"), &s->path, true },
		{ CV_STR(":status"), &s->status, false },
	};

	if (s->has_regular)
		return CV_H2_PSEUDO_LATE;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		if (row[i].is_request != is_request || !cv_str_eq(row[i].name, name))
			continue;
		if (row[i].at->p)
			return CV_H2_PSEUDO_REPEATED;
		*row[i].at = value;
		return CV_H2_OK;
	}
	return CV_H2_PSEUDO_UNKNOWN; /* :protocol, too: extended CONNECT is not offered */
}

static bool name_is_fine(struct cv_str name)
{
	if (!cv_h1_is_token(name) || name.n > CV_H1_NAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] >= 'A' && name.p[i] <= 'Z')
			return false;
	return true;
}

static bool is_grpc_type(struct cv_str value)
{
	const struct cv_str grpc = CV_STR("application/grpc");

	return cv_str_has_prefix(value, grpc) &&
	       (value.n == grpc.n || value.p[grpc.n] == '+' || value.p[grpc.n] == ';');
}

static enum cv_h2_rc once(struct cv_str *at, struct cv_str value, enum cv_h2_rc rc)
{
	if (at->p)
		return rc;
	*at = value;
	return CV_H2_OK;
}

static enum cv_h2_rc field_note(
	struct seen *s, struct cv_str name, struct cv_str value, bool is_request)
{
	s->has_regular = true;
	if (!name_is_fine(name))
		return CV_H2_NAME;
	if (!h1_all_are(value, H1_VALUE))
		return CV_H2_VALUE;
	switch ((int)cv_h1_field_of(name)) { /* only those that mean something here */
	case CV_H1_FIELD_CONNECTION:
	case CV_H1_FIELD_KEEP_ALIVE:
	case CV_H1_FIELD_PROXY_CONNECTION:
	case CV_H1_FIELD_TRANSFER_ENCODING:
	case CV_H1_FIELD_UPGRADE: return CV_H2_CONNECTION;
	case CV_H1_FIELD_TE:
		if (!cv_str_eq_nocase(value, CV_STR("trailers")))
			return CV_H2_TE;
		s->wants_trailers = true;
		return CV_H2_OK;
	case CV_H1_FIELD_HOST: return is_request ? once(&s->host, value, CV_H2_HOST) : CV_H2_OK;
	case CV_H1_FIELD_CONTENT_LENGTH: return once(&s->length, value, CV_H2_LENGTH);
	case CV_H1_FIELD_CONTENT_TYPE: s->is_grpc |= is_grpc_type(value); return CV_H2_OK;
	case CV_H1_FIELD_COOKIE: s->cookies++; return CV_H2_OK;
	default: return CV_H2_OK;
	}
}

/* Origins pad values now and then, and what is written is our own: blanks are cut off.  A client
 * that does so is refused (RFC 9113 8.2.1). */
static enum cv_h2_rc look(const struct cv_h2_fields *f, bool is_request, struct seen *s)
{
	struct cv_str name, value;

	*s = (struct seen){ .cookies = 0 };
	if (f->is_long)
		return CV_H2_LIST_LONG;
	for (size_t at = 0; cv_h2_fields_next(f, &at, &name, &value);) {
		enum cv_h2_rc rc;

		if (is_request && cv_str_trim(value).n != value.n)
			return CV_H2_VALUE;
		if (name.n && name.p[0] == ':')
			rc = pseudo_note(s, name, cv_str_trim(value), is_request);
		else
			rc = field_note(s, name, cv_str_trim(value), is_request);
		if (rc != CV_H2_OK)
			return rc;
	}
	return CV_H2_OK;
}

static enum cv_h2_rc length_read(const struct seen *s, uint64_t *ret)
{
	const bool has_leading_zero = s->length.n > 1 && s->length.p[0] == '0';

	if (has_leading_zero || s->length.n > CV_H1_LENGTH_DIGITS_MAX ||
		!cv_str_to_u64(s->length, UINT64_MAX, ret))
		return CV_H2_LENGTH;
	return CV_H2_OK;
}

/* ---- requests ---- */

static enum cv_h2_rc target_check(const struct seen *s, bool is_tls)
{
	const bool is_options = cv_str_eq(s->method, CV_STR("OPTIONS"));

	if (!s->scheme.p || !s->path.p)
		return CV_H2_PSEUDO_MISSING;
	if (!cv_str_eq_nocase(s->scheme, is_tls ? CV_STR("https") : CV_STR("http")))
		return CV_H2_SCHEME;
	if (s->path.n == 0 || s->path.n > CV_H1_TARGET_BYTES_MAX || !h1_all_are(s->path, H1_TARGET))
		return CV_H2_PATH;
	if (s->path.p[0] != '/' && !(is_options && cv_str_eq(s->path, CV_STR("*"))))
		return CV_H2_PATH;
	return CV_H2_OK;
}

static enum cv_h2_rc authority_check(const struct seen *s, bool is_tls, struct cv_str *ret)
{
	struct cv_authority a, host;

	*ret = s->authority.p ? s->authority : s->host;
	if (!ret->p)
		return CV_H2_PSEUDO_MISSING;
	if (cv_authority_parse(*ret, &a) != CV_HOST_OK)
		return CV_H2_AUTHORITY;
	if (s->authority.p && s->host.p &&
		(cv_authority_parse(s->host, &host) != CV_HOST_OK ||
			!cv_authority_eq(&a, &host, is_tls ? 443 : 80)))
		return CV_H2_HOST;
	return CV_H2_OK;
}

static void line_put(struct cv_buf *out, struct cv_str name, struct cv_str value)
{
	cv_buf_put(out, name);
	cv_buf_put(out, CV_STR(": "));
	if (value.n)
		cv_buf_put(out, value);
	cv_buf_put(out, CV_STR("\r\n"));
}

/* Crumbs become one line again (RFC 9113 8.2.3). */
static void cookies_put(const struct cv_h2_fields *f, struct cv_buf *out)
{
	struct cv_str name, value;
	bool is_first = true;

	cv_buf_put(out, CV_STR("cookie: "));
	for (size_t at = 0; cv_h2_fields_next(f, &at, &name, &value);) {
		if (cv_h1_field_of(name) != CV_H1_FIELD_COOKIE)
			continue;
		if (!is_first)
			cv_buf_put(out, CV_STR("; "));
		is_first = false;
		if (value.n)
			cv_buf_put(out, value);
	}
	cv_buf_put(out, CV_STR("\r\n"));
}

static void fields_put(const struct cv_h2_fields *f, bool is_request, struct cv_buf *out)
{
	struct cv_str name, value;

	for (size_t at = 0; cv_h2_fields_next(f, &at, &name, &value);) {
		const enum cv_h1_field field = cv_h1_field_of(name);
		/* spelled with `_` they are nobody's, and the parser says so */
		const bool is_ours =
			(field == CV_H1_FIELD_HOST || field == CV_H1_FIELD_CONTENT_LENGTH) &&
			!cv_str_has_byte(name, '_');

		if (name.p[0] == ':' || is_ours || field == CV_H1_FIELD_TE ||
			(is_request && field == CV_H1_FIELD_COOKIE))
			continue;
		line_put(out, name, cv_str_trim(value));
	}
}

static void framing_put(const struct cv_h2_head *h, struct cv_buf *out)
{
	if (h->body == CV_H1_BODY_LENGTH)
		cv_buf_printf(out, "content-length: %llu\r\n", (unsigned long long)h->length);
	if (h->body == CV_H1_BODY_CHUNKED)
		cv_buf_put(out, CV_STR("transfer-encoding: chunked\r\n"));
	cv_buf_put(out, CV_STR("\r\n"));
}

static enum cv_h2_rc finish(struct cv_buf *out, size_t before)
{
	if (!out->is_overflown)
		return CV_H2_OK;
	out->end = out->start + before;
	return CV_H2_LIST_LONG;
}

static enum cv_h2_rc body_find(const struct seen *s, bool is_ended, struct cv_h2_head *h)
{
	h->body = is_ended ? CV_H1_BODY_NONE : CV_H1_BODY_CHUNKED;
	if (!s->length.p)
		return CV_H2_OK;
	h->body = CV_H1_BODY_LENGTH;
	return length_read(s, &h->length);
}

enum cv_h2_rc cv_h2_request_text(const struct cv_h2_fields *f, bool is_tls, bool is_ended,
	struct cv_buf *out, struct cv_h2_head *ret)
{
	const size_t before = cv_buf_len(out);
	struct cv_str authority = CV_STR_NONE;
	struct cv_h2_head h = { .length = 0 };
	struct seen s;
	enum cv_h2_rc rc = look(f, true, &s);

	if (rc != CV_H2_OK)
		return rc;
	if (!s.method.p)
		return CV_H2_PSEUDO_MISSING;
	if (!cv_h1_is_token(s.method) || s.method.n > CV_H1_METHOD_BYTES_MAX)
		return CV_H2_METHOD;
	h.asked = cv_h1_asked(s.method);
	if (h.asked == CV_H1_ASKED_CONNECT)
		rc = s.scheme.p || s.path.p ? CV_H2_PSEUDO_UNKNOWN : CV_H2_OK;
	else
		rc = target_check(&s, is_tls);
	if (rc == CV_H2_OK)
		rc = authority_check(&s, is_tls, &authority);
	/* CONNECT is refused by whoever reads it; what follows is no body */
	if (rc == CV_H2_OK && h.asked != CV_H1_ASKED_CONNECT)
		rc = body_find(&s, is_ended, &h);
	if (rc == CV_H2_OK && is_ended && h.length > 0)
		rc = CV_H2_LENGTH;
	if (rc != CV_H2_OK)
		return rc;
	h.is_grpc = s.is_grpc;
	h.wants_trailers = s.wants_trailers;
	cv_buf_put(out, s.method);
	cv_buf_put_byte(out, ' ');
	cv_buf_put(out, h.asked == CV_H1_ASKED_CONNECT ? authority : s.path);
	cv_buf_put(out, CV_STR(" HTTP/1.1\r\n"));
	line_put(out, CV_STR("host"), authority);
	fields_put(f, true, out);
	if (s.cookies)
		cookies_put(f, out);
	framing_put(&h, out);
	*ret = h;
	return finish(out, before);
}

/* ---- responses ---- */

enum cv_h2_rc cv_h2_response_text(const struct cv_h2_fields *f, enum cv_h1_asked asked,
	bool is_ended, struct cv_buf *out, struct cv_h2_head *ret)
{
	const size_t before = cv_buf_len(out);
	struct cv_h2_head h = { .asked = asked };
	uint64_t status = 0;
	struct seen s;
	enum cv_h2_rc rc = look(f, false, &s);

	if (rc != CV_H2_OK)
		return rc;
	if (!s.status.p)
		return CV_H2_PSEUDO_MISSING;
	if (s.status.n != 3 || !cv_str_to_u64(s.status, 599, &status) || status < 100 ||
		status == 101 || (status < 200 && is_ended))
		return CV_H2_STATUS;
	h.status = (int)status;
	const bool is_bodiless = status < 200 || status == 204;
	if (is_bodiless)
		h.body = is_ended || status < 200 ? CV_H1_BODY_NONE : CV_H1_BODY_CHUNKED;
	else
		rc = body_find(&s, is_ended, &h);
	if (rc != CV_H2_OK)
		return rc;
	/* the length says what a GET would give; here nothing may follow (RFC 9110 8.6) */
	const bool is_told_only = asked == CV_H1_ASKED_HEAD || status == 304;
	if (is_ended && h.length > 0 && !is_told_only)
		return CV_H2_LENGTH;
	if (is_ended && !is_bodiless && !is_told_only)
		h.body = CV_H1_BODY_LENGTH; /* of nothing: without it the text would have no end */
	if (h.body == CV_H1_BODY_CHUNKED && (is_told_only || is_bodiless))
		h.body = CV_H1_BODY_NONE;
	cv_buf_printf(out, "HTTP/1.1 %d \r\n", h.status);
	fields_put(f, false, out);
	framing_put(&h, out);
	if (is_told_only)
		h.body = CV_H1_BODY_NONE;
	*ret = h;
	return finish(out, before);
}

/* ---- trailers ---- */

#define TRAILER_REFUSED \
	(CV_H1_NO_TRAILER | CV_H1_HOP | CV_H1_FRAMING | CV_H1_OVERRIDE | CV_H1_REPLY_DROP)

enum cv_h2_rc cv_h2_trailers_text(const struct cv_h2_fields *f, struct cv_buf *out)
{
	const size_t before = cv_buf_len(out);
	struct cv_str name, value;
	struct seen s = { .cookies = 0 };
	size_t count = 0;

	if (f->is_long)
		return CV_H2_LIST_LONG;
	for (size_t at = 0; cv_h2_fields_next(f, &at, &name, &value);) {
		if (name.n && name.p[0] == ':')
			return CV_H2_TRAILER;
		const enum cv_h2_rc rc = field_note(&s, name, cv_str_trim(value), false);
		if (rc != CV_H2_OK)
			return rc;
		if (cv_h1_flags_of(name) & TRAILER_REFUSED)
			continue;
		if (++count > CV_CHUNK_TRAILERS_MAX)
			return CV_H2_LIST_LONG;
		line_put(out, name, cv_str_trim(value));
	}
	if (cv_buf_len(out) - before > CV_CHUNK_TRAILER_BYTES_MAX - 4) {
		out->end = out->start + before;
		return CV_H2_LIST_LONG;
	}
	return finish(out, before);
}

/* ---- fields for the encoder ---- */

#define NOT_PASSED (CV_H1_HOP | CV_H1_FRAMING | CV_H1_NAMED)

struct list {
	struct cv_buf *names;
	struct cv_h2_pair *pair;
	size_t n;
};

/* Room for every name at once, so that slices of it stay where they are. */
static bool list_start(
	struct list *l, const struct cv_h1_header *headers, size_t count, struct cv_buf *names)
{
	size_t bytes = 64;

	for (size_t i = 0; i < count; i++)
		bytes += headers[i].name.n;
	cv_buf_reset(names);
	l->names = names;
	l->n = 0;
	return cv_buf_reserve(names, bytes) != NULL;
}

static void pair_put(struct list *l, struct cv_str name, struct cv_str value)
{
	l->pair[l->n++] = (struct cv_h2_pair){ name, value };
}

static void headers_put(
	struct list *l, const struct cv_h1_header *headers, size_t count, unsigned refused)
{
	for (size_t i = 0; i < count; i++) {
		const size_t from = cv_buf_len(l->names);

		if (headers[i].flags & refused)
			continue;
		for (size_t k = 0; k < headers[i].name.n; k++)
			cv_buf_put_byte(l->names, cv_ascii_lower(headers[i].name.p[k]));
		pair_put(l, cv_str_slice(cv_buf_str(l->names), from, from + headers[i].name.n),
			headers[i].value);
	}
}

static struct cv_str number_put(struct list *l, uint64_t v)
{
	const size_t from = cv_buf_len(l->names);

	cv_buf_put_u64(l->names, v);
	return cv_str_slice(cv_buf_str(l->names), from, cv_buf_len(l->names));
}

static struct cv_str host_of(const struct cv_h1_request *r)
{
	size_t at = 0;
	const struct cv_h1_header *h =
		cv_h1_header_next(r->header, r->header_count, CV_H1_FIELD_HOST, &at);

	return h ? h->value : CV_STR_NONE;
}

size_t cv_h2_of_request(const struct cv_h1_request *r, bool is_tls, bool wants_trailers,
	struct cv_buf *names, struct cv_h2_pair ret[static CV_H2_PAIRS_MAX])
{
	struct list l = { .pair = ret };

	if (!list_start(&l, r->header, r->header_count, names))
		return 0;
	pair_put(&l, CV_STR(":method"), r->method);
	pair_put(&l, CV_STR(":scheme"), is_tls ? CV_STR("https") : CV_STR("http"));
	pair_put(&l, CV_STR(":authority"), host_of(r));
	pair_put(&l, CV_STR(":path"), r->target);
	headers_put(&l, r->header, r->header_count, NOT_PASSED);
	if (r->body == CV_H1_BODY_LENGTH)
		pair_put(&l, CV_STR("content-length"), number_put(&l, r->length));
	if (r->is_expect_continue)
		pair_put(&l, CV_STR("expect"), CV_STR("100-continue"));
	if (wants_trailers)
		pair_put(&l, CV_STR("te"), CV_STR("trailers"));
	return l.n;
}

size_t cv_h2_of_response(const struct cv_h1_response *r, struct cv_buf *names,
	struct cv_h2_pair ret[static CV_H2_PAIRS_MAX])
{
	struct list l = { .pair = ret };

	if (!list_start(&l, r->header, r->header_count, names))
		return 0;
	pair_put(&l, CV_STR(":status"), number_put(&l, (uint64_t)r->status));
	headers_put(&l, r->header, r->header_count, NOT_PASSED);
	/* that nothing follows is said by the frame's flag; trailers-only gRPC has no length */
	if (r->has_length && (r->length > 0 || r->body == CV_H1_BODY_NONE))
		pair_put(&l, CV_STR("content-length"), number_put(&l, r->length));
	return l.n;
}

size_t cv_h2_of_trailers(const struct cv_h1_header *headers, size_t count, struct cv_buf *names,
	struct cv_h2_pair ret[static CV_H2_PAIRS_MAX])
{
	struct list l = { .pair = ret };

	if (!list_start(&l, headers, count, names))
		return 0;
	headers_put(&l, headers, count, TRAILER_REFUSED);
	return l.n;
}
