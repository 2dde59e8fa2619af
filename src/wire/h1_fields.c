/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_fields.c - lines and fields of HTTP/1 heads; see h1.h
 *
 * A head is looked at twice.  First line ends are sought with memchr until the empty line is there;
 * an LF without CR is refused at once.  Then one pass over the bytes reads names and values by
 * table.  So a head that trickles in costs one memchr over its bytes, and nothing is kept
 * between calls but a position.
 *
 * A line's text ends at the first byte that is not of its class, which must be the CR of a line end:
 * a bare CR, NUL and every other control byte fail there without a test of their own.
 */
#include "wire/h1.h"
#include "wire/h1_int.h"

#define T H1_TOKEN
#define V H1_VALUE
#define G H1_TARGET

/* clang-format off */
const uint8_t cv_h1_class[256] = {
	['\t'] = V, [' '] = V,
	['!'] = T|V|G, ['"'] = V|G, ['#'] = T|V, ['$'] = T|V|G, ['%'] = T|V|G, ['&'] = T|V|G,
	['\''] = T|V|G, ['('] = V|G, [')'] = V|G, ['*'] = T|V|G, ['+'] = T|V|G, [','] = V|G,
	['-'] = T|V|G, ['.'] = T|V|G, ['/'] = V|G,
	['0' ... '9'] = T|V|G,
	[':'] = V|G, [';'] = V|G, ['<'] = V|G, ['='] = V|G, ['>'] = V|G, ['?'] = V|G, ['@'] = V|G,
	['A' ... 'Z'] = T|V|G,
	['['] = V|G, ['\\'] = V|G, [']'] = V|G, ['^'] = T|V|G, ['_'] = T|V|G, ['`'] = T|V|G,
	['a' ... 'z'] = T|V|G,
	['{'] = V|G, ['|'] = T|V|G, ['}'] = V|G, ['~'] = T|V|G,
	[0x80 ... 0xff] = V,
};

#define RC_ROW(name, status, slug, text) { slug, text, status },
static const struct cv_h1_rc_row rc_row[] = { CV_H1_RCS(RC_ROW) };

#define FIELD_ROW(name, text, flags) { text, sizeof(text) - 1, flags },
static const struct {
	const char *text;
	uint8_t n, flags;
} field_row[] = { { "", 0, 0 }, CV_H1_FIELDS(FIELD_ROW) };

/* The first row of each length; rows are ordered by length. */
static const uint8_t field_first[] = {
	[2] = CV_H1_FIELD_TE, [3] = CV_H1_FIELD_VIA, [4] = CV_H1_FIELD_HOST,
	[5] = CV_H1_FIELD_RANGE, [6] = CV_H1_FIELD_EXPECT, [7] = CV_H1_FIELD_TRAILER,
	[8] = CV_H1_FIELD_LOCATION, [9] = CV_H1_FIELD_FORWARDED, [10] = CV_H1_FIELD_CONNECTION,
	[12] = CV_H1_FIELD_MAX_FORWARDS, [13] = CV_H1_FIELD_METHOD_OVERRIDE_2,
	[14] = CV_H1_FIELD_CONTENT_LENGTH, [15] = CV_H1_FIELD_FORWARDED_FOR,
	[16] = CV_H1_FIELD_PROXY_CONNECTION, [17] = CV_H1_FIELD_TRANSFER_ENCODING,
	[18] = CV_H1_FIELD_PROXY_AUTHENTICATE, [19] = CV_H1_FIELD_PROXY_AUTHORIZATION,
	[22] = CV_H1_FIELD_METHOD_OVERRIDE,
};
/* clang-format on */

const struct cv_h1_rc_row *cv_h1_rc_row(enum cv_h1_rc rc)
{
	return &rc_row[rc < CV_H1_RC_COUNT ? rc : CV_H1_START_LINE];
}

bool cv_h1_is_token(struct cv_str s)
{
	return s.n > 0 && h1_all_are(s, H1_TOKEN);
}

bool cv_h1_is_target(struct cv_str s)
{
	return h1_all_are(s, H1_TARGET);
}

bool cv_h1_is_field_value(struct cv_str s)
{
	return h1_all_are(s, H1_VALUE) && cv_str_trim(s).n == s.n;
}

/* Servers that hand fields over as variables (CGI) see `-` and `_` as one. */
static char name_fold(char c)
{
	return c == '_' ? '-' : cv_ascii_lower(c);
}

bool cv_h1_name_eq(struct cv_str a, struct cv_str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (name_fold(a.p[i]) != name_fold(b.p[i]))
			return false;
	return true;
}

static bool name_is(struct cv_str name, const char *folded)
{
	for (size_t i = 0; i < name.n; i++)
		if (name_fold(name.p[i]) != folded[i])
			return false;
	return true;
}

enum cv_h1_field cv_h1_field_of(struct cv_str name)
{
	if (name.n >= CV_ARRAY_LEN(field_first) || !field_first[name.n])
		return CV_H1_FIELD_OTHER;
	for (size_t f = field_first[name.n]; f < CV_H1_FIELD_COUNT && field_row[f].n == name.n; f++)
		if (name_is(name, field_row[f].text))
			return (enum cv_h1_field)f;
	return CV_H1_FIELD_OTHER;
}

static uint8_t flags_of(struct cv_str name, enum cv_h1_field field)
{
	static const char proxy[] = "proxy-";

	if (field == CV_H1_FIELD_OTHER && name.n >= sizeof(proxy) - 1 &&
		name_is(cv_str_slice(name, 0, sizeof(proxy) - 1), proxy))
		return CV_H1_HOP | CV_H1_NO_TRAILER; /* fields between a client and its proxy */
	return field_row[field].flags;
}

uint8_t cv_h1_flags_of(struct cv_str name)
{
	return flags_of(name, cv_h1_field_of(name));
}

enum cv_h1_rc cv_h1_head_end(struct cv_str bytes, size_t head_max, size_t *scanned, size_t *ret_end)
{
	const size_t n = CV_MIN(bytes.n, head_max);
	const char *p = bytes.p, *lf;
	size_t at = *scanned;

	while (at < n && (lf = memchr(p + at, '\n', n - at))) {
		const size_t i = (size_t)(lf - p);

		if (i == 0 || p[i - 1] != '\r')
			return CV_H1_BARE_LF;
		at = i + 1;
		if (i == 1 || p[i - 2] == '\n') {
			*ret_end = at;
			return CV_H1_OK;
		}
	}
	*scanned = n;
	return bytes.n >= head_max ? CV_H1_HEAD_LONG : CV_H1_MORE;
}

/* One `name: value CR LF`.  The empty line at the end of the head stops every loop. */
static enum cv_h1_rc line_read(struct h1_at *at, struct cv_h1_header *ret)
{
	const char *p = at->p, *start = p;

	while (h1_is(*p, H1_TOKEN))
		p++;
	if (p == start)
		return *p == ' ' || *p == '\t' ? CV_H1_FOLD : CV_H1_NAME;
	if (*p != ':')
		return CV_H1_NAME;
	ret->name = cv_str_range(start, p);
	if (ret->name.n > CV_H1_NAME_BYTES_MAX)
		return CV_H1_NAME_LONG;
	for (start = ++p; h1_is(*p, H1_VALUE);)
		p++;
	if (p[0] != '\r' || p[1] != '\n')
		return CV_H1_VALUE;
	ret->value = cv_str_trim(cv_str_range(start, p));
	at->p = p + 2;
	return CV_H1_OK;
}

static void seen_note(struct h1_seen *seen, const struct cv_h1_header *h)
{
	/* clang-format off */
	switch ((int)h->field) { /* only fields that need a look beyond their flags */
	case CV_H1_FIELD_HOST:              seen->host = h;    seen->host_count++;    break;
	case CV_H1_FIELD_CONTENT_LENGTH:    seen->length = h;  seen->length_count++;  break;
	case CV_H1_FIELD_TRANSFER_ENCODING: seen->coding = h;  seen->coding_count++;  break;
	case CV_H1_FIELD_UPGRADE:           seen->upgrade = h; seen->upgrade_count++; break;
	case CV_H1_FIELD_EXPECT:            seen->expect = h;  seen->expect_count++;  break;
	default: break;
	}
	/* clang-format on */
	seen->is_overriding |= (h->flags & CV_H1_OVERRIDE) != 0;
}

enum cv_h1_rc cv_h1_fields_read(struct h1_at *at, struct cv_h1_header *headers, size_t max,
	size_t *ret_count, struct h1_seen *seen)
{
	size_t count = 0;

	while (at->end - at->p > 2) {
		struct cv_h1_header *h = &headers[count];
		enum cv_h1_rc rc;

		if (count == max)
			return CV_H1_HEADERS_MANY;
		rc = line_read(at, h);
		if (rc != CV_H1_OK)
			return rc;
		h->field = (uint8_t)cv_h1_field_of(h->name);
		h->flags = flags_of(h->name, (enum cv_h1_field)h->field);
		if ((h->flags & CV_H1_FRAMING) && cv_str_has_byte(h->name, '_'))
			return CV_H1_UNDERSCORE;
		seen_note(seen, h);
		count++;
	}
	at->p = at->end;
	*ret_count = count;
	return CV_H1_OK;
}

enum cv_h1_rc cv_h1_fields_parse(struct cv_str bytes, struct cv_h1_header *ret_headers,
	size_t headers_max, size_t *ret_count, size_t *ret_bytes)
{
	struct h1_seen seen = { .host = NULL };
	size_t scanned = 0, end = 0;
	enum cv_h1_rc rc = cv_h1_head_end(bytes, SIZE_MAX, &scanned, &end);

	if (rc != CV_H1_OK)
		return rc;
	struct h1_at at = { bytes.p, bytes.p + end };
	rc = cv_h1_fields_read(&at, ret_headers, headers_max, ret_count, &seen);
	if (rc == CV_H1_OK)
		*ret_bytes = end;
	return rc;
}

static enum cv_h1_rc token_note(
	struct cv_str token, struct cv_h1_header *headers, size_t count, struct h1_connection *ret)
{
	if (!cv_h1_is_token(token) || (flags_of(token, cv_h1_field_of(token)) & CV_H1_FRAMING))
		return CV_H1_CONNECTION;
	ret->has_close |= cv_str_eq_nocase(token, CV_STR("close"));
	ret->has_upgrade |= cv_str_eq_nocase(token, CV_STR("upgrade"));
	for (size_t i = 0; i < count; i++)
		if (cv_h1_name_eq(token, headers[i].name))
			headers[i].flags |= CV_H1_NAMED;
	return CV_H1_OK;
}

enum cv_h1_rc cv_h1_connection_read(
	struct cv_h1_header *headers, size_t count, struct h1_connection *ret)
{
	size_t tokens = 0;

	for (size_t i = 0; i < count; i++) {
		if (headers[i].field != CV_H1_FIELD_CONNECTION)
			continue;
		for (struct cv_str rest = headers[i].value; rest.p;) {
			const struct cv_str token = cv_str_trim(cv_str_cut(&rest, ','));
			enum cv_h1_rc rc = CV_H1_OK;

			if (++tokens > CV_H1_TOKENS_MAX)
				return CV_H1_CONNECTION;
			if (token.n > 0) /* empty elements are legal, RFC 9110 5.6.1.2 */
				rc = token_note(token, headers, count, ret);
			if (rc != CV_H1_OK)
				return rc;
		}
	}
	return CV_H1_OK;
}

static bool length_parse(struct cv_str s, uint64_t *ret)
{
	const bool has_leading_zero = s.n > 1 && s.p[0] == '0';

	return !has_leading_zero && s.n <= CV_H1_LENGTH_DIGITS_MAX &&
	       cv_str_to_u64(s, UINT64_MAX, ret);
}

enum cv_h1_rc cv_h1_framing_read(
	const struct h1_seen *seen, uint8_t minor, enum cv_h1_body *ret_body, uint64_t *ret_length)
{
	if (seen->coding && seen->length)
		return CV_H1_LENGTH_AND_CODING;
	if (seen->coding_count > 1)
		return CV_H1_CODING_REPEATED;
	if (seen->length_count > 1)
		return CV_H1_LENGTH_REPEATED;
	if (seen->coding) {
		if (!cv_str_eq_nocase(seen->coding->value, CV_STR("chunked")))
			return CV_H1_CODING;
		if (minor == 0)
			return CV_H1_CODING_VERSION;
		*ret_body = CV_H1_BODY_CHUNKED;
	} else if (seen->length) {
		if (!length_parse(seen->length->value, ret_length))
			return CV_H1_LENGTH;
		*ret_body = CV_H1_BODY_LENGTH;
	}
	return CV_H1_OK;
}

bool cv_h1_list_has(struct cv_str list, struct cv_str token)
{
	while (list.p)
		if (cv_str_eq_nocase(cv_str_trim(cv_str_cut(&list, ',')), token))
			return true;
	return false;
}

bool cv_h1_upgrade_is_plain(struct cv_str value)
{
	if (value.n == 0)
		return false;
	while (value.p) {
		struct cv_str protocol = cv_str_trim(cv_str_cut(&value, ','));
		const struct cv_str name = cv_str_cut(&protocol, '/');

		if (!cv_h1_is_token(name) || (protocol.p && !cv_h1_is_token(protocol)))
			return false;
	}
	return true;
}

const struct cv_h1_header *cv_h1_header_next(
	const struct cv_h1_header *headers, size_t count, enum cv_h1_field field, size_t *at)
{
	while (*at < count) {
		const struct cv_h1_header *h = &headers[(*at)++];

		if (h->field == field)
			return h;
	}
	return NULL;
}

const struct cv_h1_header *cv_h1_header_next_named(
	const struct cv_h1_header *headers, size_t count, struct cv_str name, size_t *at)
{
	while (*at < count) {
		const struct cv_h1_header *h = &headers[(*at)++];

		if (cv_h1_name_eq(h->name, name))
			return h;
	}
	return NULL;
}
