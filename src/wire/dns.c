/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns.c - the sandbox's queries, the answers to them, and our own queries; see dns.h
 *
 * A query is read from front to back, once.  Nothing in it may point elsewhere, so no loop is
 * possible; after the question only an OPT may follow.  Field order: RFC 1035 4.1, RFC 6891 6.1.
 *
 * Checks go from the outside in, and ret_query is filled as they pass.  So a query whose name is
 * odd still has its question for the REFUSED that answers it.
 */
#include "wire/dns.h"

#include "base/assert.h"

enum {
	FLAG_RESPONSE = 0x8000,
	FLAG_OPCODE = 0x7800,
	FLAG_AUTHORITATIVE = 0x0400,
	FLAG_TRUNCATED = 0x0200,
	FLAG_RECURSION_DESIRED = 0x0100,
	FLAG_RECURSION_AVAILABLE = 0x0080,
	FLAG_CHECKING_DISABLED = 0x0010,
	FLAG_RCODE = 0x000f,
};

#define OPT_BYTES_MIN                  11 /* root name, type, class, ttl, length */

#define PROBLEM_ROW(name, rcode, text) [CV_DNS_PROBLEM_##name] = { #name, CV_DNS_##rcode, text },
static const struct cv_dns_problem_row problem_row[] = { CV_DNS_PROBLEMS(PROBLEM_ROW) };

const struct cv_dns_problem_row *cv_dns_problem_row(enum cv_dns_problem p)
{
	cv_assert(p < CV_DNS_PROBLEM_COUNT);
	return &problem_row[p];
}

static uint16_t u16_at(struct cv_str s, size_t at)
{
	cv_assert(at + 2 <= s.n);
	return (uint16_t)((uint8_t)s.p[at] << 8 | (uint8_t)s.p[at + 1]);
}

/* Length of the uncompressed name at the front of s, root included; 0 if there is none. */
static size_t name_span(struct cv_str s)
{
	size_t at = 0;

	while (at < s.n && at < CV_NAME_WIRE_BYTES) {
		const uint8_t n = (uint8_t)s.p[at];

		if (n > CV_NAME_LABEL_MAX) /* pointers and reserved forms have high bits set */
			return 0;
		at += 1 + (size_t)n;
		if (!n)
			return at;
	}
	return 0;
}

/* A dot inside a label becomes one label more in the text, so it has to go before. */
static bool name_of_wire(struct cv_str wire, struct cv_name *ret_name)
{
	char text[CV_NAME_WIRE_BYTES];
	size_t n = 0;

	for (size_t at = 0; at < wire.n && wire.p[at];) {
		const size_t len = (uint8_t)wire.p[at];
		const struct cv_str label = cv_str_slice(wire, at + 1, at + 1 + len);

		if (cv_str_has_byte(label, '.'))
			return false;
		if (n)
			text[n++] = '.';
		memcpy(text + n, label.p, label.n);
		n += label.n;
		at += 1 + len;
	}
	return cv_name_parse((struct cv_str){ text, n }, ret_name);
}

/* The options of an OPT: pairs of code and length that fill it exactly. */
static bool are_options_whole(struct cv_str options)
{
	size_t at = 0;

	while (at < options.n) {
		if (options.n - at < 4)
			return false;
		const size_t n = u16_at(options, at + 2);
		if (options.n - at - 4 < n)
			return false;
		at += 4 + n;
	}
	return true;
}

/* s starts with the additional record and must end with it. */
static enum cv_dns_problem parse_opt(struct cv_str s, struct cv_dns_query *q)
{
	if (s.n < OPT_BYTES_MIN || s.p[0] != 0 || u16_at(s, 1) != CV_DNS_TYPE_OPT)
		return CV_DNS_PROBLEM_EDNS;

	const size_t options_n = u16_at(s, 9);
	if (s.n - OPT_BYTES_MIN < options_n)
		return CV_DNS_PROBLEM_EDNS;
	if (s.n - OPT_BYTES_MIN > options_n)
		return CV_DNS_PROBLEM_TRAILING;
	if (!are_options_whole(cv_str_slice(s, OPT_BYTES_MIN, s.n)))
		return CV_DNS_PROBLEM_EDNS;
	q->has_edns = true;
	q->udp_bytes_max = CV_MIN(CV_MAX(u16_at(s, 3), (uint16_t)CV_DNS_UDP_BYTES_MIN),
		(uint16_t)CV_DNS_UDP_BYTES_MAX);
	return s.p[6] ? CV_DNS_PROBLEM_EDNS_VERSION : CV_DNS_PROBLEM_NONE;
}

static enum cv_dns_problem parse_header(struct cv_str msg, struct cv_dns_query *q)
{
	if (msg.n < CV_DNS_HEADER_BYTES)
		return CV_DNS_PROBLEM_SHORT;

	const uint16_t flags = u16_at(msg, 2);
	if (flags & FLAG_RESPONSE) /* answering responses makes two servers talk for ever */
		return CV_DNS_PROBLEM_RESPONSE;
	q->id = u16_at(msg, 0);
	q->wants_recursion = flags & FLAG_RECURSION_DESIRED;
	q->has_checking_disabled = flags & FLAG_CHECKING_DISABLED;
	if (msg.n > CV_DNS_QUERY_BYTES_MAX)
		return CV_DNS_PROBLEM_LONG;
	if (flags & FLAG_OPCODE)
		return CV_DNS_PROBLEM_OPCODE;
	if (flags & (FLAG_AUTHORITATIVE | FLAG_TRUNCATED | FLAG_RECURSION_AVAILABLE | FLAG_RCODE))
		return CV_DNS_PROBLEM_FLAGS;
	if (u16_at(msg, 4) != 1 || u16_at(msg, 6) || u16_at(msg, 8) || u16_at(msg, 10) > 1)
		return CV_DNS_PROBLEM_COUNTS;
	return CV_DNS_PROBLEM_NONE;
}

static bool parse_question(struct cv_str s, struct cv_dns_query *q)
{
	const size_t n = name_span(s);

	if (!n || s.n - n < 4)
		return false;
	memcpy(q->wire_name, s.p, n);
	q->wire_name_n = (uint8_t)n;
	q->type = u16_at(s, n);
	q->class = u16_at(s, n + 2);
	q->has_question = true;
	return true;
}

enum cv_dns_problem cv_dns_query_parse(struct cv_str msg, struct cv_dns_query *ret_query)
{
	struct cv_dns_query *q = ret_query;
	enum cv_dns_problem p;

	*q = (struct cv_dns_query){ .udp_bytes_max = CV_DNS_UDP_BYTES_MIN };
	p = parse_header(msg, q);
	if (p != CV_DNS_PROBLEM_NONE)
		return p;

	const struct cv_str body = cv_str_slice(msg, CV_DNS_HEADER_BYTES, msg.n);
	if (!parse_question(body, q))
		return CV_DNS_PROBLEM_NAME;

	const struct cv_str rest = cv_str_slice(body, (size_t)q->wire_name_n + 4, body.n);
	if (u16_at(msg, 10))
		p = parse_opt(rest, q);
	else if (rest.n)
		p = CV_DNS_PROBLEM_TRAILING;
	if (p != CV_DNS_PROBLEM_NONE)
		return p;
	if (q->class != CV_DNS_CLASS_IN)
		return CV_DNS_PROBLEM_CLASS;
	if (!name_of_wire((struct cv_str){ (const char *)q->wire_name, q->wire_name_n }, &q->name))
		return CV_DNS_PROBLEM_NAME_BYTES;
	return CV_DNS_PROBLEM_NONE;
}

static size_t addr_bytes(const struct cv_dns_query *q, const struct cv_ip *ip)
{
	if (q->type == CV_DNS_TYPE_A)
		return ip->is_v4 ? 4 : 0;
	return q->type == CV_DNS_TYPE_AAAA && !ip->is_v4 ? 16 : 0;
}

/* Records of the question's type, and the bytes that they take. */
static uint16_t count_records(
	const struct cv_dns_query *q, const struct cv_dns_answer *a, size_t *ret_bytes)
{
	uint16_t n = 0;

	*ret_bytes = 0;
	for (size_t i = 0; a->rcode == CV_DNS_NOERROR && i < a->ip_count; i++) {
		const size_t bytes = addr_bytes(q, &a->ip[i]);

		if (!bytes || n == CV_DNS_ADDRS_MAX)
			continue;
		*ret_bytes += 12 + bytes; /* pointer, type, class, ttl, length */
		n++;
	}
	return n;
}

static void put_records(const struct cv_dns_query *q, const struct cv_dns_answer *a, uint16_t count,
	struct cv_buf *out)
{
	for (size_t i = 0; count && i < a->ip_count; i++) {
		const size_t bytes = addr_bytes(q, &a->ip[i]);

		if (!bytes)
			continue;
		cv_buf_put_u16be(out, 0xc000 | CV_DNS_HEADER_BYTES); /* the question's name */
		cv_buf_put_u16be(out, q->type);
		cv_buf_put_u16be(out, CV_DNS_CLASS_IN);
		cv_buf_put_u32be(out, CV_MIN(a->ttl_s, (uint32_t)CV_DNS_TTL_S_MAX));
		cv_buf_put_u16be(out, (uint16_t)bytes);
		cv_buf_put(out, (struct cv_str){ (const char *)a->ip[i].b + 16 - bytes, bytes });
		count--;
	}
}

static void put_opt(enum cv_dns_rcode rcode, struct cv_buf *out)
{
	cv_buf_put_byte(out, 0);
	cv_buf_put_u16be(out, CV_DNS_TYPE_OPT);
	cv_buf_put_u16be(out, CV_DNS_UDP_BYTES_MAX);
	cv_buf_put_u32be(out, (uint32_t)rcode >> 4 << 24); /* the rcode's high bits; version 0 */
	cv_buf_put_u16be(out, 0);
}

bool cv_dns_answer_write(const struct cv_dns_query *q, const struct cv_dns_answer *a,
	size_t bytes_max, struct cv_buf *out)
{
	const size_t question_n = q->has_question ? (size_t)q->wire_name_n + 4 : 0;
	const size_t fixed_n = CV_DNS_HEADER_BYTES + question_n + (q->has_edns ? OPT_BYTES_MIN : 0);
	size_t records_n;
	uint16_t count = count_records(q, a, &records_n);
	uint16_t flags = FLAG_RESPONSE | FLAG_RECURSION_AVAILABLE | (a->rcode & FLAG_RCODE);

	cv_assert(bytes_max >= CV_DNS_UDP_BYTES_MIN); /* so the fixed part always fits */
	if (fixed_n + records_n > bytes_max) {
		count = 0;
		flags |= FLAG_TRUNCATED;
	}
	flags |= q->wants_recursion ? FLAG_RECURSION_DESIRED : 0;
	flags |= q->has_checking_disabled ? FLAG_CHECKING_DISABLED : 0;
	cv_buf_put_u16be(out, q->id);
	cv_buf_put_u16be(out, flags);
	cv_buf_put_u16be(out, q->has_question);
	cv_buf_put_u16be(out, count);
	cv_buf_put_u16be(out, 0);
	cv_buf_put_u16be(out, q->has_edns);
	if (q->has_question) {
		cv_buf_put(out, (struct cv_str){ (const char *)q->wire_name, q->wire_name_n });
		cv_buf_put_u16be(out, q->type);
		cv_buf_put_u16be(out, q->class);
	}
	put_records(q, a, count, out);
	if (q->has_edns)
		put_opt(a->rcode, out);
	return !out->is_overflown;
}

bool cv_dns_query_write(
	uint16_t id, const struct cv_name *name, uint16_t type, bool has_edns, struct cv_buf *out)
{
	struct cv_str rest = cv_name_str(name);

	cv_assert(name->n > 0);
	cv_buf_put_u16be(out, id);
	cv_buf_put_u16be(out, FLAG_RECURSION_DESIRED);
	cv_buf_put_u16be(out, 1);
	cv_buf_put_u32be(out, 0);
	cv_buf_put_u16be(out, has_edns);
	while (rest.p) {
		const struct cv_str label = cv_str_cut(&rest, '.');

		cv_buf_put_byte(out, (char)label.n);
		cv_buf_put(out, label);
	}
	cv_buf_put_byte(out, 0);
	cv_buf_put_u16be(out, type);
	cv_buf_put_u16be(out, CV_DNS_CLASS_IN);
	if (has_edns)
		put_opt(CV_DNS_NOERROR, out);
	return !out->is_overflown;
}
