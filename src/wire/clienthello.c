/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clienthello.c - what a connection speaks; see clienthello.h
 *
 * Theory of operation
 *
 *     stream    | 16 03 01 n1 | n1 bytes | 16 03 03 n2 | n2 bytes | ...
 *     handshake               | 01 len24 ............................ |
 *
 * First pass: walk the record headers, count the handshake bytes that are there, and compare with
 * what the handshake header asks for.  If a byte is missing, say how many the stream needs up to
 * the next thing that can be judged.  The work of one call is bounded by the record count, so a
 * client that sends byte by byte costs no more than its bytes.
 *
 * Second pass: a view reads handshake bytes and steps over record headers by itself, so the body
 * is parsed where it lies.  A view of n bytes cut from another cannot read past its n: nested
 * lengths are checked when they are cut, and a list must be used up exactly.
 *
 * Layout: RFC 8446 4.1.2, SNI RFC 6066 3, ALPN RFC 7301 3.1, ECH RFC 9849.
 */
#include "wire/clienthello.h"

#include "base/ip.h"

#include "base/assert.h"

enum {
	RECORD_HEADER_BYTES = 5,
	RECORD_HANDSHAKE = 22,
	HANDSHAKE_HEADER_BYTES = 4,
	CLIENT_HELLO = 1,
	EXT_SERVER_NAME = 0,
	EXT_ALPN = 16,
	EXT_SUPPORTED_VERSIONS = 43,
	EXT_ECH = 0xfe0d,
	SNI_HOST_NAME = 0,
};

#define PROBLEM_ROW(name, text) [CV_HELLO_PROBLEM_##name] = { #name, text },
static const struct {
	const char *name, *text;
} problem_row[] = { CV_HELLO_PROBLEMS(PROBLEM_ROW) };

static const char *const peek_name[CV_PEEK_COUNT] = {
	[CV_PEEK_NEED_MORE] = "need-more",
	[CV_PEEK_TLS] = "tls",
	[CV_PEEK_HTTP1] = "http/1",
	[CV_PEEK_HTTP2] = "http/2",
	[CV_PEEK_OTHER] = "other",
};

const char *cv_hello_problem_name(enum cv_hello_problem p)
{
	cv_assert(p < CV_HELLO_PROBLEM_COUNT);
	return problem_row[p].name;
}

const char *cv_hello_problem_text(enum cv_hello_problem p)
{
	cv_assert(p < CV_HELLO_PROBLEM_COUNT);
	return problem_row[p].text;
}

const char *cv_peek_name(enum cv_peek p)
{
	cv_assert(p < CV_PEEK_COUNT);
	return peek_name[p];
}

/* Registered methods are upper-case letters and '-'; '_' is seen in private ones.  Banners of other
 * protocols ("SSH-2.0-...") fall out here. */
static bool is_method_byte(char c)
{
	return (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static enum cv_peek classify_http(struct cv_str bytes, bool is_any_case, size_t *ret_need)
{
	const struct cv_str preface = CV_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	size_t n = 0;

	if (cv_str_has_prefix(bytes, preface))
		return CV_PEEK_HTTP2;
	if (cv_str_has_prefix(preface, bytes)) {
		*ret_need = bytes.n < 4 ? bytes.n + 1 : preface.n;
		return CV_PEEK_NEED_MORE;
	}
	if (cv_str_has_prefix(bytes, CV_STR("PRI "))) /* reserved (RFC 9113 11.6) */
		return CV_PEEK_OTHER;
	while (n < bytes.n && n <= CV_PEEK_METHOD_BYTES_MAX &&
		(is_method_byte(bytes.p[n]) ||
			(is_any_case && bytes.p[n] >= 'a' && bytes.p[n] <= 'z')))
		n++;
	if (n > CV_PEEK_METHOD_BYTES_MAX)
		return CV_PEEK_OTHER;
	if (n == bytes.n) {
		*ret_need = bytes.n + 1;
		return CV_PEEK_NEED_MORE;
	}
	return n && bytes.p[n] == ' ' ? CV_PEEK_HTTP1 : CV_PEEK_OTHER;
}

enum cv_peek cv_peek_classify(struct cv_str bytes, bool is_any_case, size_t *ret_need)
{
	if (!bytes.n) {
		*ret_need = 1;
		return CV_PEEK_NEED_MORE;
	}
	if (bytes.p[0] != RECORD_HANDSHAKE)
		return classify_http(bytes, is_any_case, ret_need);
	if (bytes.n == 1) {
		*ret_need = 2;
		return CV_PEEK_NEED_MORE;
	}
	return bytes.p[1] == 3 ? CV_PEEK_TLS : CV_PEEK_OTHER;
}

/* Handshake bytes, read across record headers.  All of left is known to be there. */
struct view {
	const uint8_t *p;
	size_t record_left; /* bytes up to the next record header */
	size_t left;        /* bytes of this view */
};

static uint8_t next(struct view *v)
{
	cv_assert(v->left > 0);
	if (!v->record_left) {
		v->record_left = (size_t)v->p[3] << 8 | v->p[4];
		v->p += RECORD_HEADER_BYTES;
	}
	v->left--;
	v->record_left--;
	return *v->p++;
}

static bool take_uint(struct view *v, unsigned bytes, uint32_t *ret)
{
	uint32_t n = 0;

	if (v->left < bytes)
		return false;
	while (bytes--)
		n = n << 8 | next(v);
	*ret = n;
	return true;
}

static bool skip_bytes(struct view *v, size_t n)
{
	if (v->left < n)
		return false;
	while (n) {
		if (!v->record_left) {
			next(v);
			n--;
			continue;
		}
		const size_t step = CV_MIN(n, v->record_left);

		v->p += step;
		v->record_left -= step;
		v->left -= step;
		n -= step;
	}
	return true;
}

/* Cuts the next n bytes off v as a view of their own. */
static bool take_view(struct view *v, size_t n, struct view *ret)
{
	if (v->left < n)
		return false;
	*ret = *v;
	ret->left = n;
	return skip_bytes(v, n);
}

/* A view whose length stands before it in `bytes` bytes. */
static bool take_list(struct view *v, unsigned bytes, struct view *ret)
{
	uint32_t n;

	return take_uint(v, bytes, &n) && take_view(v, n, ret);
}

#define FAIL(w) return CV_HELLO_PROBLEM_##w

static enum cv_hello_problem parse_sni_name(struct view *name, struct cv_hello *h)
{
	char text[CV_NAME_BYTES_MAX];
	const size_t n = name->left;
	struct cv_ip ip;

	if (!n || n > sizeof(text))
		FAIL(SNI_NAME);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)next(name);

	const struct cv_str s = { text, n };
	if (cv_ip_parse(s, &ip) || cv_name_is_numeric(s))
		FAIL(SNI_ADDRESS);
	if (!cv_name_parse(s, &h->sni))
		FAIL(SNI_NAME);
	FAIL(NONE);
}

static enum cv_hello_problem parse_sni(struct view *ext, struct cv_hello *h)
{
	struct view list, name;
	uint32_t type;

	if (!take_list(ext, 2, &list) || ext->left)
		FAIL(SNI_LIST);
	if (!list.left)
		FAIL(SNI_COUNT);
	if (!take_uint(&list, 1, &type))
		FAIL(SNI_LIST);
	if (type != SNI_HOST_NAME) /* the shape of other types is not defined */
		FAIL(SNI_TYPE);
	if (!take_list(&list, 2, &name))
		FAIL(SNI_LIST);
	if (list.left)
		FAIL(SNI_COUNT);
	return parse_sni_name(&name, h);
}

static enum cv_hello_problem parse_alpn(struct view *ext, struct cv_hello *h)
{
	struct view list;
	size_t at = 0;

	if (!take_list(ext, 2, &list) || ext->left || !list.left || list.left > sizeof(h->alpn))
		FAIL(ALPN);
	while (list.left)
		h->alpn[h->alpn_n++] = next(&list);
	while (at < h->alpn_n) { /* names fill the list exactly, and none is empty */
		const size_t n = h->alpn[at];

		if (!n || n > h->alpn_n - at - 1)
			FAIL(ALPN);
		at += 1 + n;
	}
	h->has_alpn = true;
	at = 0;
	for (struct cv_str s; (s = cv_hello_alpn_next(h, &at)).p;) {
		h->offers_h2 |= cv_str_eq(s, CV_STR("h2"));
		h->offers_http11 |= cv_str_eq(s, CV_STR("http/1.1"));
	}
	FAIL(NONE);
}

static enum cv_hello_problem parse_versions(struct view *ext, struct cv_hello *h)
{
	struct view list;
	uint32_t v;

	if (!take_list(ext, 1, &list) || ext->left || !list.left || list.left % 2 ||
		list.left / 2 > CV_HELLO_VERSIONS_MAX)
		FAIL(VERSIONS);
	while (take_uint(&list, 2, &v))
		h->version[h->version_count++] = (uint16_t)v;
	FAIL(NONE);
}

static enum cv_hello_problem parse_extension(uint32_t type, struct view *ext, struct cv_hello *h)
{
	switch (type) {
	case EXT_SERVER_NAME: return parse_sni(ext, h);
	case EXT_ALPN: return parse_alpn(ext, h);
	case EXT_SUPPORTED_VERSIONS: return parse_versions(ext, h);
	case EXT_ECH: h->has_ech = true; break;
	default: break; /* the TLS library judges the rest */
	}
	FAIL(NONE);
}

static enum cv_hello_problem parse_extensions(struct view *list, struct cv_hello *h)
{
	uint16_t seen[CV_HELLO_EXTENSIONS_MAX];
	size_t count = 0;

	while (list->left) {
		enum cv_hello_problem p;
		struct view ext;
		uint32_t type;

		if (!take_uint(list, 2, &type) || !take_list(list, 2, &ext))
			FAIL(MALFORMED);
		if (count == CV_HELLO_EXTENSIONS_MAX)
			FAIL(EXT_COUNT);
		for (size_t i = 0; i < count; i++)
			if (seen[i] == type)
				FAIL(EXT_DUPLICATE);
		seen[count++] = (uint16_t)type;
		p = parse_extension(type, &ext, h);
		if (p != CV_HELLO_PROBLEM_NONE)
			return p;
	}
	FAIL(NONE);
}

static enum cv_hello_problem parse_body(struct view *v, struct cv_hello *h)
{
	struct view session, suites, compressions, extensions;
	uint32_t version;

	if (!take_uint(v, 2, &version) || !skip_bytes(v, 32) || !take_list(v, 1, &session) ||
		!take_list(v, 2, &suites) || !take_list(v, 1, &compressions))
		FAIL(MALFORMED);
	if (session.left > 32 || !suites.left || suites.left % 2 || !compressions.left)
		FAIL(MALFORMED);
	if (version < 0x0301 ||
		version > 0x0304) /* SSL 3 is refused; 0x0303 is what TLS 1.3 says */
		FAIL(VERSION);
	h->legacy_version = (uint16_t)version;
	h->has_session_id = session.left > 0;
	if (!v->left) /* TLS 1.2 and older may have no extensions at all */
		FAIL(NONE);
	if (!take_list(v, 2, &extensions) || v->left)
		FAIL(MALFORMED);
	return parse_extensions(&extensions, h);
}

static enum cv_hello_status need_more(struct cv_hello *h, size_t need)
{
	h->need = need;
	return h->status = CV_HELLO_NEED_MORE;
}

static enum cv_hello_status fail_hello(struct cv_hello *h, enum cv_hello_problem p)
{
	*h = (struct cv_hello){ .status = CV_HELLO_ERROR, .problem = p };
	return h->status;
}

/* What the records up to some place hold. */
struct walk {
	size_t at;      /* the next record header */
	size_t have;    /* handshake bytes before it, and of them in the bytes given */
	size_t message; /* bytes of the handshake message with its header; 0 while unknown */
	uint8_t header[HANDSHAKE_HEADER_BYTES];
};

static enum cv_hello_problem check_record(const uint8_t *p, size_t *ret_n)
{
	*ret_n = (size_t)p[3] << 8 | p[4];
	if (p[0] != RECORD_HANDSHAKE)
		FAIL(RECORD_TYPE);
	if (p[1] != 3 || p[2] > 4)
		FAIL(RECORD_VERSION);
	if (!*ret_n || *ret_n > CV_HELLO_RECORD_BYTES_MAX)
		FAIL(RECORD_LENGTH);
	FAIL(NONE);
}

/* Takes the handshake header's bytes from a record's first `given` bytes, as far as they go. */
static enum cv_hello_problem read_message_header(struct walk *w, const uint8_t *p, size_t given)
{
	for (size_t i = 0; i < given && w->have + i < HANDSHAKE_HEADER_BYTES; i++)
		w->header[w->have + i] = p[i];
	if (w->have + given >= 1 && w->header[0] != CLIENT_HELLO)
		FAIL(MESSAGE_TYPE);
	if (w->have + given < HANDSHAKE_HEADER_BYTES)
		FAIL(NONE);
	w->message = HANDSHAKE_HEADER_BYTES +
		     ((size_t)w->header[1] << 16 | (size_t)w->header[2] << 8 | w->header[3]);
	return w->message > CV_HELLO_BYTES_MAX ? CV_HELLO_PROBLEM_TOO_LARGE : CV_HELLO_PROBLEM_NONE;
}

/* OK when the whole message is there; then *w stands behind its last record. */
static enum cv_hello_status walk_records(struct cv_str s, struct walk *w, struct cv_hello *h)
{
	const uint8_t *p = (const uint8_t *)s.p;
	enum cv_hello_problem problem;
	size_t n;

	for (size_t records = 0;; records++) {
		if (records == CV_HELLO_RECORDS_MAX)
			return fail_hello(h, CV_HELLO_PROBLEM_RECORD_COUNT);
		if (s.n - w->at < RECORD_HEADER_BYTES)
			return need_more(h, w->at + RECORD_HEADER_BYTES);
		problem = check_record(p + w->at, &n);
		if (problem != CV_HELLO_PROBLEM_NONE)
			return fail_hello(h, problem);
		w->at += RECORD_HEADER_BYTES;

		const size_t given = CV_MIN(n, s.n - w->at);
		if (!w->message) {
			problem = read_message_header(w, p + w->at, given);
			if (problem != CV_HELLO_PROBLEM_NONE)
				return fail_hello(h, problem);
		}
		/* a message must not share its record with the next one (RFC 8446 5.1 for key
		 * changes); nothing that follows a ClientHello may be sent before its answer */
		if (w->message && w->have + n > w->message)
			return fail_hello(h, CV_HELLO_PROBLEM_TRAILING);
		if (given < n)
			return need_more(h, w->at + n);
		w->at += n;
		w->have += n;
		if (w->have == w->message)
			return CV_HELLO_OK;
	}
}

enum cv_hello_status cv_hello_parse(struct cv_str bytes, struct cv_hello *ret_hello)
{
	struct cv_hello *h = ret_hello;
	struct walk w = { 0 };
	enum cv_hello_problem problem;

	*h = (struct cv_hello){ 0 };
	if (!bytes.n)
		return need_more(h, RECORD_HEADER_BYTES);
	if (bytes.p[0] != RECORD_HANDSHAKE)
		return h->status = CV_HELLO_NOT_TLS;
	if (walk_records(bytes, &w, h) != CV_HELLO_OK)
		return h->status;

	struct view v = { .p = (const uint8_t *)bytes.p, .left = w.message };
	skip_bytes(&v, HANDSHAKE_HEADER_BYTES);
	problem = parse_body(&v, h);
	if (problem != CV_HELLO_PROBLEM_NONE)
		return fail_hello(h, problem);
	h->bytes = w.at;
	return h->status = CV_HELLO_OK;
}

struct cv_str cv_hello_alpn_next(const struct cv_hello *h, size_t *pos)
{
	if (*pos >= h->alpn_n)
		return CV_STR_NONE;
	const struct cv_str s = { (const char *)h->alpn + *pos + 1, h->alpn[*pos] };
	*pos += 1 + s.n;
	return s;
}

static bool is_grease(uint16_t v) /* RFC 8701: 0x0a0a, 0x1a1a, ... */
{
	return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

uint16_t cv_hello_version_max(const struct cv_hello *h)
{
	uint16_t max = 0;

	for (size_t i = 0; i < h->version_count; i++)
		if (!is_grease(h->version[i]))
			max = CV_MAX(max, h->version[i]);
	return h->version_count ? max : h->legacy_version;
}
