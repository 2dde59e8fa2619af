/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.c - one text per destination; see host.h
 *
 * A name passes one table (which also lowers letters), then label rules, then the question whether
 * somebody could read it as an address: that is so when its last label is a number, which no
 * top-level domain is (the same test browsers use).  Addresses go through inet_pton, which is strict
 * about both families, and come back as the text of inet_ntop, so that each has one spelling.
 */
#include "wire/host.h"

#include <arpa/inet.h>

#define ROW(name, text) text,
static const char *const rc_text[] = { CV_HOST_RCS(ROW) };
#undef ROW

/* clang-format off */
/* What a byte of a name becomes; 0: not a byte of a name. */
#define SELF(c) [c] = (c)
#define LOWER(c) [c] = (c) | 0x20
static const char name_byte[256] = {
	SELF('-'), SELF('.'), SELF('_'),
	SELF('0'), SELF('1'), SELF('2'), SELF('3'), SELF('4'),
	SELF('5'), SELF('6'), SELF('7'), SELF('8'), SELF('9'),
	SELF('a'), SELF('b'), SELF('c'), SELF('d'), SELF('e'), SELF('f'), SELF('g'), SELF('h'),
	SELF('i'), SELF('j'), SELF('k'), SELF('l'), SELF('m'), SELF('n'), SELF('o'), SELF('p'),
	SELF('q'), SELF('r'), SELF('s'), SELF('t'), SELF('u'), SELF('v'), SELF('w'), SELF('x'),
	SELF('y'), SELF('z'),
	LOWER('A'), LOWER('B'), LOWER('C'), LOWER('D'), LOWER('E'), LOWER('F'), LOWER('G'),
	LOWER('H'), LOWER('I'), LOWER('J'), LOWER('K'), LOWER('L'), LOWER('M'), LOWER('N'),
	LOWER('O'), LOWER('P'), LOWER('Q'), LOWER('R'), LOWER('S'), LOWER('T'), LOWER('U'),
	LOWER('V'), LOWER('W'), LOWER('X'), LOWER('Y'), LOWER('Z'),
};

/* IPv6 prefixes whose rest holds an IPv4 address. */
static const struct {
	uint8_t bits, bytes[14];
} embedding[] = {
	{ 96, { 0 } },                                  /* compatible, RFC 4291 2.5.5.1 */
	{ 96, { [10] = 0xff, 0xff } },                  /* mapped, RFC 4291 2.5.5.2 */
	{ 96, { [8] = 0xff, 0xff } },                   /* translated, RFC 2765 2.1 */
	{ 96, { 0x00, 0x64, 0xff, 0x9b } },             /* NAT64, RFC 6052 2.1 */
	{ 48, { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 } }, /* local NAT64, RFC 8215 */
	{ 16, { 0x20, 0x02 } },                         /* 6to4, RFC 3056 2 */
	{ 32, { 0x20, 0x01, 0x00, 0x00 } },             /* Teredo, RFC 4380 2.6 */
};
/* clang-format on */

const char *cv_host_rc_text(enum cv_host_rc rc)
{
	return rc < CV_HOST_RC_COUNT ? rc_text[rc] : "unknown reason";
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A label that some parser takes for a number: decimal, octal, or hexadecimal with 0x. */
static bool is_number(struct cv_str label)
{
	const bool is_hex = cv_str_has_prefix(label, CV_STR("0x"));

	for (size_t i = is_hex ? 2 : 0; i < label.n; i++)
		if (!is_digit(label.p[i]) && !(is_hex && label.p[i] >= 'a' && label.p[i] <= 'f'))
			return false;
	return label.n > 0;
}

static enum cv_host_rc labels_check(struct cv_str name)
{
	struct cv_str label = CV_STR_NONE;

	for (struct cv_str rest = name; rest.p;) {
		label = cv_str_cut(&rest, '.');
		if (label.n == 0 || label.p[0] == '-' || label.p[label.n - 1] == '-')
			return CV_HOST_LABEL;
		if (label.n > CV_LABEL_BYTES_MAX)
			return CV_HOST_LONG;
	}
	return is_number(label) ? CV_HOST_NUMERIC : CV_HOST_OK;
}

static enum cv_host_rc name_parse(struct cv_str s, struct cv_host *ret)
{
	struct cv_host h = { .n = s.n };
	struct in_addr addr;

	if (s.n == 0)
		return CV_HOST_EMPTY;
	if (s.n > CV_HOST_BYTES_MAX)
		return CV_HOST_LONG;
	for (size_t i = 0; i < s.n; i++) {
		h.text[i] = name_byte[(unsigned char)s.p[i]];
		if (!h.text[i])
			return CV_HOST_BYTE;
	}
	if (s.p[s.n - 1] == '.')
		return CV_HOST_DOT;
	const enum cv_host_rc rc = labels_check(cv_host_str(&h));
	if (rc == CV_HOST_NUMERIC && inet_pton(AF_INET, h.text, &addr) == 1)
		h.is_ip = true; /* four numbers without leading zeros: the text is canonical */
	else if (rc != CV_HOST_OK)
		return rc;
	*ret = h;
	return CV_HOST_OK;
}

static bool has_prefix_bits(const uint8_t *addr, const uint8_t *prefix, unsigned bits)
{
	return memcmp(addr, prefix, bits / 8) == 0; /* all prefixes end at a byte */
}

static bool is_embedding(const uint8_t addr[16])
{
	static const uint8_t zero[15];

	if (memcmp(addr, zero, 15) == 0 && addr[15] <= 1)
		return false; /* :: and ::1 are addresses of their own */
	for (size_t i = 0; i < CV_ARRAY_LEN(embedding); i++)
		if (has_prefix_bits(addr, embedding[i].bytes, embedding[i].bits))
			return true;
	return false;
}

static enum cv_host_rc ip6_parse(struct cv_str s, struct cv_host *ret)
{
	struct cv_host h = { .is_ip = true, .is_ip6 = true };
	char text[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	if (!cv_str_to_cstr(s, text, sizeof(text)) || inet_pton(AF_INET6, text, addr) != 1)
		return CV_HOST_IP6; /* also zones: inet_pton knows none */
	if (cv_str_has_byte(s, '.') || is_embedding(addr))
		return CV_HOST_EMBEDDED;
	if (!inet_ntop(AF_INET6, addr, h.text, sizeof(h.text)))
		return CV_HOST_IP6;
	h.n = strlen(h.text);
	*ret = h;
	return CV_HOST_OK;
}

enum cv_host_rc cv_host_parse(struct cv_str s, struct cv_host *ret)
{
	if (s.n == 0 || s.p[0] != '[')
		return name_parse(s, ret);
	if (s.p[s.n - 1] != ']')
		return CV_HOST_IP6;
	return ip6_parse(cv_str_slice(s, 1, s.n - 1), ret);
}

enum cv_host_rc cv_host_parse_bare(struct cv_str s, struct cv_host *ret)
{
	return cv_str_has_byte(s, ':') ? ip6_parse(s, ret) : name_parse(s, ret);
}

static bool port_parse(struct cv_str s, uint16_t *ret)
{
	uint64_t v;

	if (s.n == 0 || s.n > 5 || s.p[0] == '0' || !cv_str_to_u64(s, UINT16_MAX, &v))
		return false;
	*ret = (uint16_t)v;
	return true;
}

enum cv_host_rc cv_authority_parse(struct cv_str s, struct cv_authority *ret)
{
	const bool is_bracketed = s.n > 0 && s.p[0] == '[';
	const size_t search = is_bracketed ? cv_str_find_byte(s, ']') : 0;
	const struct cv_str tail = cv_str_slice(s, search, s.n);
	const size_t colon = search + cv_str_find_byte(tail, ':');
	struct cv_authority a = { .port = 0 };

	if (cv_str_has_byte(s, '@'))
		return CV_HOST_USERINFO;
	const enum cv_host_rc rc = cv_host_parse(cv_str_slice(s, 0, colon), &a.host);
	if (rc != CV_HOST_OK)
		return rc;
	if (colon < s.n && !port_parse(cv_str_slice(s, colon + 1, s.n), &a.port))
		return CV_HOST_PORT;
	*ret = a;
	return CV_HOST_OK;
}

enum cv_host_rc cv_authority_parse_port(struct cv_str s, struct cv_authority *ret)
{
	struct cv_authority a;
	const enum cv_host_rc rc = cv_authority_parse(s, &a);

	if (rc != CV_HOST_OK)
		return rc;
	if (a.port == 0)
		return CV_HOST_PORT_MISSING;
	*ret = a;
	return CV_HOST_OK;
}

bool cv_authority_eq(
	const struct cv_authority *a, const struct cv_authority *b, uint16_t port_default)
{
	const uint16_t pa = a->port ? a->port : port_default;
	const uint16_t pb = b->port ? b->port : port_default;

	return pa == pb && cv_host_eq(&a->host, &b->host);
}

bool cv_authority_write(struct cv_buf *b, const struct cv_authority *a, uint16_t port_default)
{
	const bool is_ip6 = a->host.is_ip6;

	cv_buf_put(b, is_ip6 ? CV_STR("[") : CV_STR_NONE);
	cv_buf_put(b, cv_host_str(&a->host));
	cv_buf_put(b, is_ip6 ? CV_STR("]") : CV_STR_NONE);
	if (a->port != 0 && a->port != port_default)
		cv_buf_printf(b, ":%u", (unsigned)a->port);
	return !b->is_overflown;
}
