/* SPDX-License-Identifier: Apache-2.0 */
/*
 * response.c - what becomes of a response on a credentialed endpoint; see response.h
 *
 * The plan is a table of checks in order; the first that refuses decides.  A response without a body
 * (HEAD, 1xx, 204, 304) is never refused for how its body would be coded.
 */
#include "cred/response.h"

#include "base/assert.h"

#include <stdlib.h>

#define REASON_ROW(name, slug, text) [CV_RESPONSE_REASON_##name] = { slug, text },
static const struct cv_response_reason_row reason_row[] = { CV_RESPONSE_REASONS(REASON_ROW) };

const struct cv_response_reason_row *cv_response_reason_row(enum cv_response_reason r)
{
	cv_assert(r < CV_RESPONSE_REASON_COUNT);
	return &reason_row[r];
}

#define NAME(lit)                    \
	{                            \
		lit, sizeof(lit) - 1 \
	}

/* ---- the request ---- */

const struct cv_str cv_response_request_drop[] = {
	NAME("range"), NAME("if-range"),                     /* asks for parts */
	NAME("a-im"),                                        /* and for differences: RFC 3229 */
	NAME("accept-encoding"),                             /* is set anew */
	NAME("available-dictionary"), NAME("dictionary-id"), /* codings of RFC 9842 */
	NAME("grpc-accept-encoding"), NAME("connect-accept-encoding"), /* messages inside */
};
const size_t cv_response_request_drop_count = CV_ARRAY_LEN(cv_response_request_drop);

/* Whether parameters say q=0: RFC 9110 12.4.2. */
static bool is_weight_zero(struct cv_str params)
{
	while (params.p) {
		struct cv_str p = cv_str_trim(cv_str_cut(&params, ';'));

		if (p.n < 3 || !cv_str_eq_nocase(cv_str_slice(p, 0, 2), CV_STR("q=")))
			continue;
		for (size_t i = 2; i < p.n; i++)
			if (p.p[i] != '0' && p.p[i] != '.')
				return false;
		return true;
	}
	return false;
}

enum wish { WISH_NONE, WISH_NO, WISH_YES };

static enum wish wish_for(struct cv_str list, struct cv_str coding)
{
	while (list.p) {
		struct cv_str params = cv_str_cut(&list, ',');
		const struct cv_str name = cv_str_trim(cv_str_cut(&params, ';'));

		if (cv_str_eq_nocase(name, coding))
			return is_weight_zero(params) ? WISH_NO : WISH_YES;
	}
	return WISH_NONE;
}

static bool client_takes(const struct cv_h1_header *headers, size_t count, struct cv_str coding)
{
	const struct cv_h1_header *h;
	enum wish any = WISH_NONE;

	for (size_t at = 0;
		(h = cv_h1_header_next_named(headers, count, CV_STR("accept-encoding"), &at));) {
		const enum wish w = wish_for(h->value, coding);

		if (w)
			return w == WISH_YES;
		any = CV_MAX(any, wish_for(h->value, CV_STR("*")));
	}
	return any == WISH_YES;
}

bool cv_response_accept_encoding(
	const struct cv_h1_header *headers, size_t count, struct cv_buf *out)
{
	static const enum cv_coding ours[] = { CV_CODING_GZIP, CV_CODING_BR, CV_CODING_ZSTD };
	const size_t before = cv_buf_len(out);

	for (size_t i = 0; i < CV_ARRAY_LEN(ours); i++)
		if (client_takes(headers, count, cv_coding_name(ours[i]))) {
			if (cv_buf_len(out) > before)
				cv_buf_put(out, CV_STR(", "));
			cv_buf_put(out, cv_coding_name(ours[i]));
		}
	if (cv_buf_len(out) == before)
		cv_buf_put(out, cv_coding_name(CV_CODING_IDENTITY));
	return !out->is_overflown;
}

/* ---- the plan ---- */

/* Prefixes of character sets in which an ASCII letter isn't its ASCII byte. */
static const struct cv_str charset_bad[] = { NAME("utf-16"), NAME("utf16"), NAME("utf-32"),
	NAME("utf32"), NAME("utf-7"), NAME("utf7"), NAME("ucs-"), NAME("ucs2"), NAME("unicode"),
	NAME("iso-10646"), NAME("csunicode"), NAME("ibm0"), NAME("ibm-0"), NAME("cp0"),
	NAME("ebcdic"), NAME("cp1047"), NAME("ibm1") };

static bool has_prefix_nocase(struct cv_str s, struct cv_str prefix)
{
	return s.n >= prefix.n && cv_str_eq_nocase(cv_str_slice(s, 0, prefix.n), prefix);
}

static bool is_charset_bad(struct cv_str content_type)
{
	while (content_type.p) {
		struct cv_str p = cv_str_trim(cv_str_cut(&content_type, ';'));

		if (!has_prefix_nocase(p, CV_STR("charset=")))
			continue;
		p = cv_str_slice(p, 8, p.n);
		if (p.n && p.p[0] == '"')
			p = cv_str_slice(p, 1, p.n);
		for (size_t i = 0; i < CV_ARRAY_LEN(charset_bad); i++)
			if (has_prefix_nocase(p, charset_bad[i]))
				return true;
	}
	return false;
}

struct fields {
	const struct cv_h1_header *headers;
	size_t count;
};

typedef bool field_fn(struct cv_str value);

/* Some field of that name has such a value. */
static bool any_field(const struct fields *f, struct cv_str name, field_fn *is)
{
	const struct cv_h1_header *h;

	for (size_t at = 0; (h = cv_h1_header_next_named(f->headers, f->count, name, &at));)
		if (is(h->value))
			return true;
	return false;
}

static bool is_there(struct cv_str value)
{
	(void)value;
	return true;
}

static bool is_byteranges(struct cv_str value)
{
	return has_prefix_nocase(value, CV_STR("multipart/byteranges"));
}

static bool is_message_coding(struct cv_str value)
{
	return !cv_str_eq_nocase(value, cv_coding_name(CV_CODING_IDENTITY));
}

static enum cv_response_reason codings_read(const struct fields *f, struct cv_response_plan *plan)
{
	const struct cv_h1_header *h;

	for (size_t at = 0; (h = cv_h1_header_next_named(
				     f->headers, f->count, CV_STR("content-encoding"), &at));) {
		enum cv_coding more[CV_DECODE_CODINGS_MAX];
		size_t count = 0;
		const enum cv_decode_rc rc = cv_codings_parse(h->value, more, &count);

		if (rc == CV_DECODE_UNKNOWN)
			return CV_RESPONSE_REASON_CODING;
		if (rc || plan->coding_count + count > CV_DECODE_CODINGS_MAX)
			return CV_RESPONSE_REASON_DEEP;
		for (size_t i = 0; i < count; i++)
			plan->codings[plan->coding_count++] = more[i];
	}
	return CV_RESPONSE_REASON_NONE;
}

static enum cv_response_reason body_check(
	int status, const struct fields *f, struct cv_response_plan *plan)
{
	/* 416 has a Content-Range that says how long the whole is. */
	if (status == 206 || status == 226 ||
		(status != 416 && any_field(f, CV_STR("content-range"), is_there)) ||
		any_field(f, CV_STR("content-type"), is_byteranges))
		return CV_RESPONSE_REASON_PARTIAL;
	if (any_field(f, CV_STR("grpc-encoding"), is_message_coding) ||
		any_field(f, CV_STR("connect-content-encoding"), is_message_coding))
		return CV_RESPONSE_REASON_MESSAGES;
	if (any_field(f, CV_STR("content-type"), is_charset_bad))
		return CV_RESPONSE_REASON_CHARSET;
	return codings_read(f, plan);
}

struct cv_response_plan cv_response_plan(int status, const struct cv_h1_header *headers,
	size_t count, const struct cv_scrub_set *set, struct cv_response_asked asked)
{
	const struct fields f = { headers, count };
	const bool has_body = !asked.is_head && status >= 200 && status != 204 && status != 304;
	struct cv_response_plan plan = { .action = CV_RESPONSE_SCRUB };

	if (asked.is_unscrubbed || cv_scrub_set_is_empty(set)) {
		plan.action = CV_RESPONSE_PASS;
		return plan;
	}
	if (!has_body)
		return plan;
	plan.reason = body_check(status, &f, &plan);
	if (plan.reason)
		plan.action = CV_RESPONSE_REFUSE;
	else if (plan.coding_count)
		plan.action = CV_RESPONSE_DECODE;
	return plan;
}

/* ---- the head ---- */

static const struct {
	struct cv_str name;
	bool is_for_decode; /* dropped only when the body is decoded */
} drop_row[] = {
	{ NAME("accept-ranges"), false }, /* ranges are refused */
	{ NAME("content-encoding"), true },
	{ NAME("content-length"), true },
	{ NAME("content-range"), true },
	{ NAME("content-md5"), true },
	{ NAME("digest"), true },
	{ NAME("content-digest"), true },
	{ NAME("repr-digest"), true },
};

static bool is_dropped(const struct cv_response_plan *plan, struct cv_str name)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(drop_row); i++)
		if ((plan->action == CV_RESPONSE_DECODE || !drop_row[i].is_for_decode) &&
			cv_h1_name_eq(name, drop_row[i].name))
			return true;
	return false;
}

bool cv_response_fields_drop(const struct cv_response_plan *plan, struct cv_arena *arena,
	struct cv_h1_header *headers, size_t *count)
{
	size_t kept = 0;

	if (plan->action != CV_RESPONSE_SCRUB && plan->action != CV_RESPONSE_DECODE)
		return true;
	for (size_t i = 0; i < *count; i++) {
		struct cv_h1_header *h = &headers[i];

		if (is_dropped(plan, h->name))
			continue;
		/* Other bytes under a strong validator would be a lie: RFC 9110 8.8.1. */
		if (plan->action == CV_RESPONSE_DECODE && cv_h1_name_eq(h->name, CV_STR("etag")) &&
			!cv_str_has_prefix(h->value, CV_STR("W/")))
			h->value = cv_arena_printf(arena, "W/%.*s", CV_STR_ARG(h->value));
		headers[kept++] = *h;
	}
	*count = kept;
	return !arena->is_overflown;
}

/* *text, as it is when there is nothing in it; else a copy in arena. */
static bool text_scrub(
	struct cv_scrub *s, struct cv_arena *arena, struct cv_buf *scratch, struct cv_str *text)
{
	const uint64_t hits = cv_scrub_hits(s);

	cv_buf_reset(scratch);
	if (text->n < CV_SCRUB_WINDOW) /* no match is as short */
		return true;
	if (!cv_scrub_text(s, *text, scratch))
		return false;
	if (cv_scrub_hits(s) != hits)
		*text = cv_arena_str(arena, cv_buf_str(scratch));
	return !arena->is_overflown;
}

/*
 * All fields as one text, which is one search and not two for each: *ret_may says whether they have
 * to be looked at one by one.  What is in a field is in the text, too: the line end behind each
 * ends every escape, and what is found across one only makes us look closer.
 */
static bool text_search(struct cv_scrub *s, struct cv_buf *scratch,
	const struct cv_h1_header *headers, size_t count, bool *ret_may)
{
	const uint64_t hits = cv_scrub_hits(s);
	struct cv_buf all;

	cv_buf_init(&all, 2 * CV_H1_REPLY_HEAD_BYTES_MAX);
	for (size_t i = 0; i < count; i++) {
		const struct cv_str part[] = { headers[i].name, headers[i].value };

		for (size_t k = 0; k < CV_ARRAY_LEN(part); k++)
			if (part[k].n >= CV_SCRUB_WINDOW) {
				cv_buf_put(&all, part[k]);
				cv_buf_put_byte(&all, '\n');
			}
	}
	const bool is_ok = !all.is_overflown && cv_scrub_text(s, cv_buf_str(&all), scratch);
	*ret_may = cv_scrub_hits(s) != hits;
	cv_buf_wipe(&all);
	return is_ok;
}

bool cv_response_fields(
	struct cv_scrub *s, struct cv_arena *arena, struct cv_h1_header *headers, size_t count)
{
	struct cv_buf scratch;
	bool may_have;

	cv_buf_init(&scratch, 2 * CV_H1_REPLY_HEAD_BYTES_MAX);
	bool is_ok = text_search(s, &scratch, headers, count, &may_have);
	for (size_t i = 0; is_ok && may_have && i < count; i++)
		is_ok = text_scrub(s, arena, &scratch, &headers[i].name) &&
			text_scrub(s, arena, &scratch, &headers[i].value);
	cv_buf_fini(&scratch); /* held no value: what is in it has been scrubbed */
	return is_ok;
}

bool cv_response_head(const struct cv_response_plan *plan, struct cv_scrub *s,
	struct cv_arena *arena, struct cv_h1_response *head)
{
	struct cv_h1_header reason = { .value = head->reason };

	cv_assert(plan->action == CV_RESPONSE_SCRUB || plan->action == CV_RESPONSE_DECODE);
	if (!cv_response_fields(s, arena, &reason, 1) ||
		!cv_response_fields(s, arena, head->header, head->header_count) ||
		!cv_response_fields_drop(plan, arena, head->header, &head->header_count))
		return false;
	head->reason = reason.value;
	if (plan->action == CV_RESPONSE_DECODE && head->length) {
		head->has_length = false;
		head->length = 0;
		if (head->body == CV_H1_BODY_LENGTH)
			head->body = CV_H1_BODY_CHUNKED;
	}
	return true;
}

/* ---- the body ---- */

struct cv_response_body {
	struct cv_scrub *scrub;
	struct cv_decode *decode; /* NULL: identity */
	struct cv_buf text;       /* decoded, not yet scrubbed */
};

struct cv_response_body *cv_response_body_new(
	const struct cv_response_plan *plan, struct cv_scrub *s)
{
	struct cv_response_body *b = calloc(1, sizeof(*b));

	cv_assert(plan->action == CV_RESPONSE_SCRUB || plan->action == CV_RESPONSE_DECODE);
	if (!b) {
		cv_scrub_free(s);
		return NULL;
	}
	b->scrub = s;
	cv_buf_init(&b->text, CV_DECODE_CALL_BYTES_MAX);
	if (plan->action == CV_RESPONSE_DECODE &&
		(cv_decode_new(plan->codings, plan->coding_count, &b->decode) ||
			!cv_buf_reserve(&b->text, CV_DECODE_CALL_BYTES_MAX))) {
		cv_response_body_free(b);
		return NULL;
	}
	return b;
}

void cv_response_body_free(struct cv_response_body *b)
{
	if (!b)
		return;
	cv_scrub_free(b->scrub);
	cv_decode_free(b->decode);
	if (b->text.data)
		explicit_bzero(b->text.data, b->text.cap);
	cv_buf_fini(&b->text);
	free(b);
}

enum cv_decode_rc cv_response_body_feed(
	struct cv_response_body *b, struct cv_str *in, struct cv_buf *out)
{
	if (!b->decode) {
		if (!cv_scrub_feed(b->scrub, *in, out))
			return CV_DECODE_OUTPUT;
		*in = cv_str_slice(*in, in->n, in->n);
		return CV_DECODE_OK;
	}
	cv_buf_reset(&b->text);
	const enum cv_decode_rc rc = cv_decode_feed(b->decode, in, &b->text);

	if (rc != CV_DECODE_OK && rc != CV_DECODE_MORE)
		return rc;
	return cv_scrub_feed(b->scrub, cv_buf_str(&b->text), out) ? rc : CV_DECODE_OUTPUT;
}

enum cv_decode_rc cv_response_body_end(struct cv_response_body *b, struct cv_buf *out)
{
	const enum cv_decode_rc rc = b->decode ? cv_decode_end(b->decode) : CV_DECODE_OK;

	if (rc)
		return rc;
	return cv_scrub_end(b->scrub, out) ? CV_DECODE_OK : CV_DECODE_OUTPUT;
}

struct cv_scrub *cv_response_body_scrub(struct cv_response_body *b)
{
	return b->scrub;
}
