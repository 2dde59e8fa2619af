/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip.c - addresses and prefixes; see ip.h.  Which address is of which class is in ip_class.c.
 */
#include "base/ip.h"

#include "base/assert.h"
#include "base/hex.h"

#include <netinet/in.h>
#include <stdio.h>

#define V4_BITS 96 /* bits before the IPv4 address in its mapped form */

static const uint8_t mapped[V4_BITS / 8] = { [10] = 0xff, [11] = 0xff };

static bool is_mapped(const uint8_t b[16])
{
	return memcmp(b, mapped, sizeof(mapped)) == 0;
}

static struct cv_ip ip_of(const uint8_t b[16])
{
	struct cv_ip ip = { .is_v4 = is_mapped(b) };

	memcpy(ip.b, b, sizeof(ip.b));
	return ip;
}

/* Four decimal numbers, no leading zero: what is written 010 is 8 to some readers and 10 to
 * others. */
static bool parse_quad(struct cv_str text, uint8_t ret[4])
{
	struct cv_str rest = text;
	uint8_t quad[4];
	size_t n = 0;

	while (rest.p) {
		const struct cv_str part = cv_str_cut(&rest, '.');
		uint64_t v;

		if (n == 4 || part.n > 3 || (part.n > 1 && part.p[0] == '0') ||
			!cv_str_to_u64(part, 255, &v))
			return false;
		quad[n++] = (uint8_t)v;
	}
	if (n != 4)
		return false;
	memcpy(ret, quad, sizeof(quad));
	return true;
}

static bool parse_group(struct cv_str part, uint8_t ret[2])
{
	unsigned v = 0;

	if (!part.n || part.n > 4)
		return false;
	for (size_t i = 0; i < part.n; i++) {
		const int d = cv_hex_digit(part.p[i]);

		if (d < 0)
			return false;
		v = v << 4 | (unsigned)d;
	}
	ret[0] = (uint8_t)(v >> 8);
	ret[1] = (uint8_t)v;
	return true;
}

/* Groups joined by single colons into b, at most max bytes; the last may be a dotted quad where
 * may_quad.  Returns false if malformed. */
static bool parse_groups(struct cv_str text, bool may_quad, uint8_t *b, size_t max, size_t *ret_n)
{
	struct cv_str rest = text;
	size_t n = 0;

	if (!text.n) {
		*ret_n = 0;
		return true;
	}
	while (rest.p) {
		const struct cv_str part = cv_str_cut(&rest, ':');
		const bool is_quad = !rest.p && may_quad && cv_str_has_byte(part, '.');
		const size_t bytes = is_quad ? 4 : 2;

		if (max - n < bytes)
			return false;
		if (!(is_quad ? parse_quad(part, b + n) : parse_group(part, b + n)))
			return false;
		n += bytes;
	}
	*ret_n = n;
	return true;
}

/* RFC 4291 2.2.  "::" stands for at least one group (RFC 5952 4.2.2 asks writers for two, readers
 * take one). */
static bool parse_v6(struct cv_str text, uint8_t ret[16])
{
	uint8_t head[16], tail[16];
	size_t gap = text.n, head_n, tail_n;

	for (size_t i = 0; i + 1 < text.n; i++)
		if (text.p[i] == ':' && text.p[i + 1] == ':') {
			gap = i;
			break;
		}
	if (gap == text.n) {
		if (!parse_groups(text, true, head, 16, &head_n) || head_n != 16)
			return false;
		memcpy(ret, head, 16);
		return true;
	}
	if (!parse_groups(cv_str_slice(text, 0, gap), false, head, 14, &head_n) ||
		!parse_groups(cv_str_slice(text, gap + 2, text.n), true, tail, 14, &tail_n) ||
		head_n + tail_n > 14)
		return false;
	memset(ret, 0, 16);
	memcpy(ret, head, head_n);
	memcpy(ret + 16 - tail_n, tail, tail_n);
	return true;
}

bool cv_ip_parse(struct cv_str text, struct cv_ip *ret_ip)
{
	uint8_t b[16];

	if (text.n >= CV_IP_TEXT_BYTES)
		return false;
	if (cv_str_has_byte(text, ':')) {
		if (!parse_v6(text, b))
			return false;
	} else {
		memcpy(b, mapped, sizeof(mapped));
		if (!parse_quad(text, b + sizeof(mapped)))
			return false;
	}
	*ret_ip = ip_of(b);
	return true;
}

/* The first of the longest runs of zero groups, at least two long (RFC 5952 4.2). */
static void find_gap(const uint8_t b[16], int *ret_at, int *ret_n)
{
	*ret_at = -1;
	*ret_n = 1;
	for (int at = 0; at < 8; at++) {
		int n = 0;

		while (at + n < 8 && !b[2 * (at + n)] && !b[2 * (at + n) + 1])
			n++;
		if (n > *ret_n) {
			*ret_at = at;
			*ret_n = n;
		}
	}
}

struct cv_str cv_ip_format(const struct cv_ip *ip, char text[CV_IP_TEXT_BYTES])
{
	const uint8_t *b = ip->b;
	int at, gap_n;
	size_t n = 0;

	if (ip->is_v4) {
		n = (size_t)snprintf(
			text, CV_IP_TEXT_BYTES, "%u.%u.%u.%u", b[12], b[13], b[14], b[15]);
		return (struct cv_str){ text, n };
	}
	find_gap(b, &at, &gap_n);
	for (int i = 0; i < 8; i++) {
		if (i == at) {
			n += (size_t)snprintf(text + n, CV_IP_TEXT_BYTES - n, "::");
			i += gap_n - 1;
			continue;
		}
		const char *sep = i && i != at + (at < 0 ? 0 : gap_n) ? ":" : "";
		n += (size_t)snprintf(text + n, CV_IP_TEXT_BYTES - n, "%s%x", sep,
			(unsigned)b[2 * i] << 8 | b[2 * i + 1]);
	}
	return (struct cv_str){ text, n };
}

bool cv_ip_from_bytes(const void *bytes, size_t n, struct cv_ip *ret_ip)
{
	uint8_t b[16];

	if (n != 4 && n != 16)
		return false;
	memcpy(b, mapped, sizeof(mapped));
	memcpy(b + 16 - n, bytes, n);
	*ret_ip = ip_of(b);
	return true;
}

bool cv_ip_from_sockaddr(const void *sa, size_t bytes, struct cv_ip *ret_ip, uint16_t *ret_port)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	sa_family_t family;

	if (bytes < sizeof(family))
		return false;
	memcpy(&family, sa, sizeof(family)); /* sa_family is the first member on Linux */
	if (family == AF_INET && bytes >= sizeof(v4)) {
		memcpy(&v4, sa, sizeof(v4));
		*ret_port = ntohs(v4.sin_port);
		return cv_ip_from_bytes(&v4.sin_addr, 4, ret_ip);
	}
	if (family == AF_INET6 && bytes >= sizeof(v6)) {
		memcpy(&v6, sa, sizeof(v6));
		*ret_port = ntohs(v6.sin6_port);
		return cv_ip_from_bytes(&v6.sin6_addr, 16, ret_ip);
	}
	return false;
}

_Static_assert(CV_IP_SOCKADDR_BYTES == sizeof(struct sockaddr_in6), "ip.h states the size");

size_t cv_ip_to_sockaddr(const struct cv_ip *ip, uint16_t port, void *sa)
{
	if (ip->is_v4) {
		struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };

		memcpy(&v4.sin_addr, ip->b + 12, 4);
		memcpy(sa, &v4, sizeof(v4));
		return sizeof(v4);
	}
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	memcpy(&v6.sin6_addr, ip->b, 16);
	memcpy(sa, &v6, sizeof(v6));
	return sizeof(v6);
}

bool cv_ip_eq(const struct cv_ip *a, const struct cv_ip *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* Clears the bits of b after the first n; true if any of them was set. */
static bool clear_host_bits(uint8_t b[16], unsigned n)
{
	bool had = false;

	for (unsigned i = 0; i < 16; i++) {
		const unsigned keep = n >= (i + 1) * 8 ? 8 : n > i * 8 ? n - i * 8 : 0;
		const uint8_t mask = (uint8_t)(0xff00u >> keep);

		had |= (b[i] & ~mask) != 0;
		b[i] &= mask;
	}
	return had;
}

bool cv_cidr_parse(struct cv_str text, struct cv_cidr *ret_cidr)
{
	struct cv_str rest = text;
	const struct cv_str addr = cv_str_cut(&rest, '/');
	struct cv_cidr c = { 0 };
	uint64_t bits;

	if (!cv_ip_parse(addr, &c.net))
		return false;
	/* ::ffff:10.0.0.0/104 counts its bits as IPv6, 10.0.0.0/8 as IPv4 */
	const bool is_dotted = !cv_str_has_byte(addr, ':');
	const unsigned all = is_dotted ? 32 : 128;

	bits = all;
	if (rest.p && (rest.n > 3 || (rest.n > 1 && rest.p[0] == '0') ||
			      !cv_str_to_u64(rest, all, &bits)))
		return false;
	c.bits = (uint8_t)(bits + (128 - all));
	c.had_host_bits = clear_host_bits(c.net.b, c.bits);
	c.net.is_v4 = c.bits >= V4_BITS && is_mapped(c.net.b);
	*ret_cidr = c;
	return true;
}

static bool same_start(const uint8_t a[16], const uint8_t b[16], unsigned bits)
{
	const unsigned bytes = bits / 8, left = bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return !left || ((a[bytes] ^ b[bytes]) & (uint8_t)(0xff00u >> left)) == 0;
}

bool cv_cidr_has(const struct cv_cidr *c, const struct cv_ip *ip)
{
	cv_assert(c->bits <= 128);
	return c->net.is_v4 == ip->is_v4 && same_start(c->net.b, ip->b, c->bits);
}

bool cv_cidr_overlaps(const struct cv_cidr *a, const struct cv_cidr *b)
{
	return a->net.is_v4 == b->net.is_v4 &&
	       same_start(a->net.b, b->net.b, CV_MIN(a->bits, b->bits));
}

struct cv_str cv_cidr_format(const struct cv_cidr *c, char text[CV_CIDR_TEXT_BYTES])
{
	char addr[CV_IP_TEXT_BYTES];
	const struct cv_str s = cv_ip_format(&c->net, addr);
	const int n = snprintf(text, CV_CIDR_TEXT_BYTES, "%.*s/%d", CV_STR_ARG(s),
		c->net.is_v4 ? c->bits - V4_BITS : c->bits);

	return (struct cv_str){ text, (size_t)n };
}

/* openshell-behaviour 4.6 */
bool cv_ip_port_is_control_plane(uint16_t port)
{
	static const uint16_t ports[] = { 2379, 2380, 6443, 10250, 10255 };

	for (size_t i = 0; i < CV_ARRAY_LEN(ports); i++)
		if (ports[i] == port)
			return true;
	return false;
}
