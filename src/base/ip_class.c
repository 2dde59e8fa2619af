/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip_class.c - which addresses a proxy may dial
 *
 * One table, longest prefixes first, so the first hit is the most specific; a test holds the order.
 * What no row names is public if it is IPv4 or in 2000::/3, the only IPv6 unicast space that
 * IANA hands out; everything else is refused.
 *
 * Sources: the IANA special-purpose registries for IPv4 and IPv6, RFC 6890 and its updates, RFC
 * 6052 (NAT64), and the clouds' own pages for the metadata rows.
 *
 * Rows with `inside` hold an IPv4 address that a translator or tunnel would send to.  They are
 * never better than INTERNAL, and as bad as that address is.
 */
#include "base/ip.h"

#include "base/assert.h"

#include <string.h>

/* clang-format off */
#define NET4(o1, o2, o3, o4, len)                                                         \
	{ .net = { .b = { [10] = 0xff, [11] = 0xff, o1, o2, o3, o4 }, .is_v4 = true },    \
	  .bits = 96 + (len) }
#define G(h) (uint8_t)((h) >> 8), (uint8_t)((h)&0xff)
#define NET6(g1, g2, g3, g4, g5, g6, g7, g8, len)                                         \
	{ .net = { .b = { G(g1), G(g2), G(g3), G(g4), G(g5), G(g6), G(g7), G(g8) } },     \
	  .bits = (len) }

#define ALWAYS   CV_IP_ALWAYS_BLOCKED
#define METADATA CV_IP_METADATA
#define INTERNAL CV_IP_INTERNAL
#define IN(w)    CV_IP_INSIDE_##w

static const struct cv_ip_class_row rows[] = {
	/* single addresses */
	{ NET4(169, 254, 169, 254, 32), METADATA, IN(NONE), "metadata",
	  "169.254.169.254 is the metadata service of most clouds" },
	{ NET4(169, 254, 170, 2, 32), METADATA, IN(NONE), "metadata",
	  "169.254.170.2 hands out credentials of AWS tasks" },
	{ NET4(169, 254, 170, 23, 32), METADATA, IN(NONE), "metadata",
	  "169.254.170.23 hands out credentials of AWS pods" },
	{ NET4(169, 254, 42, 42, 32), METADATA, IN(NONE), "metadata",
	  "169.254.42.42 is the metadata service of Scaleway" },
	{ NET4(100, 100, 100, 200, 32), METADATA, IN(NONE), "metadata",
	  "100.100.100.200 is the metadata service of Alibaba Cloud" },
	{ NET4(168, 63, 129, 16, 32), METADATA, IN(NONE), "metadata",
	  "168.63.129.16 is the host agent of Azure" },
	{ NET4(192, 0, 0, 192, 32), METADATA, IN(NONE), "metadata",
	  "192.0.0.192 is the metadata service of Oracle Cloud" },
	{ NET4(255, 255, 255, 255, 32), INTERNAL, IN(NONE), "broadcast",
	  "255.255.255.255 is every host on the link (RFC 919)" },
	{ NET6(0, 0, 0, 0, 0, 0, 0, 0, 128), ALWAYS, IN(NONE), "unspecified",
	  ":: is no address, and this host when dialled (RFC 4291 2.5.2)" },
	{ NET6(0, 0, 0, 0, 0, 0, 0, 1, 128), ALWAYS, IN(NONE), "loopback",
	  "::1 is this host (RFC 4291 2.5.3)" },
	{ NET6(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254, 128), METADATA, IN(NONE), "metadata",
	  "fd00:ec2::254 is the metadata service of AWS" },
	{ NET6(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23, 128), METADATA, IN(NONE), "metadata",
	  "fd00:ec2::23 hands out credentials of AWS pods" },
	{ NET6(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254, 128), METADATA, IN(NONE), "metadata",
	  "fd20:ce::254 is the metadata service of Google Cloud" },
	{ NET6(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42, 128), METADATA, IN(NONE), "metadata",
	  "fd00:42::42 is the metadata service of Scaleway" },

	/* IPv4 */
	{ NET4(192, 0, 0, 0, 24), INTERNAL, IN(NONE), "protocol-assignments",
	  "192.0.0.0/24 is for protocols (RFC 6890)" },
	{ NET4(192, 0, 2, 0, 24), INTERNAL, IN(NONE), "documentation",
	  "192.0.2.0/24 is for documentation (RFC 5737)" },
	{ NET4(192, 88, 99, 0, 24), INTERNAL, IN(NONE), "6to4-relay",
	  "192.88.99.0/24 is the 6to4 relay (RFC 7526)" },
	{ NET4(198, 51, 100, 0, 24), INTERNAL, IN(NONE), "documentation",
	  "198.51.100.0/24 is for documentation (RFC 5737)" },
	{ NET4(203, 0, 113, 0, 24), INTERNAL, IN(NONE), "documentation",
	  "203.0.113.0/24 is for documentation (RFC 5737)" },
	{ NET4(169, 254, 0, 0, 16), ALWAYS, IN(NONE), "link-local",
	  "169.254.0.0/16 is this link (RFC 3927)" },
	{ NET4(192, 168, 0, 0, 16), INTERNAL, IN(NONE), "private",
	  "192.168.0.0/16 is private (RFC 1918)" },
	{ NET4(198, 18, 0, 0, 15), INTERNAL, IN(NONE), "benchmark",
	  "198.18.0.0/15 is for benchmarks (RFC 2544)" },
	{ NET4(172, 16, 0, 0, 12), INTERNAL, IN(NONE), "private",
	  "172.16.0.0/12 is private (RFC 1918)" },
	{ NET4(100, 64, 0, 0, 10), INTERNAL, IN(NONE), "shared",
	  "100.64.0.0/10 is shared by carriers and clusters (RFC 6598)" },
	{ NET4(0, 0, 0, 0, 8), ALWAYS, IN(NONE), "unspecified",
	  "0.0.0.0/8 is this host on this network (RFC 1122 3.2.1.3)" },
	{ NET4(10, 0, 0, 0, 8), INTERNAL, IN(NONE), "private",
	  "10.0.0.0/8 is private (RFC 1918)" },
	{ NET4(127, 0, 0, 0, 8), ALWAYS, IN(NONE), "loopback",
	  "127.0.0.0/8 is this host (RFC 1122 3.2.1.3)" },
	{ NET4(224, 0, 0, 0, 4), ALWAYS, IN(NONE), "multicast",
	  "224.0.0.0/4 is multicast (RFC 5771)" },
	{ NET4(240, 0, 0, 0, 4), INTERNAL, IN(NONE), "reserved",
	  "240.0.0.0/4 is reserved (RFC 1112)" },
	{ NET4(0, 0, 0, 0, 0), CV_IP_PUBLIC, IN(NONE), "public",
	  "public IPv4 address" },

	/* IPv6 */
	{ NET6(0, 0, 0, 0, 0, 0, 0, 0, 96), INTERNAL, IN(LAST), "v4-compatible",
	  "::/96 is IPv4-compatible, long deprecated (RFC 4291 2.5.5.1)" },
	{ NET6(0, 0, 0, 0, 0xffff, 0, 0, 0, 96), INTERNAL, IN(LAST), "v4-translated",
	  "::ffff:0:0:0/96 is IPv4-translated (RFC 2765)" },
	{ NET6(0x64, 0xff9b, 0, 0, 0, 0, 0, 0, 96), INTERNAL, IN(LAST), "nat64",
	  "64:ff9b::/96 is translated to IPv4 (RFC 6052)" },
	{ NET6(0x100, 0, 0, 0, 0, 0, 0, 0, 64), INTERNAL, IN(NONE), "discard",
	  "100::/64 is thrown away (RFC 6666)" },
	{ NET6(0x100, 0, 0, 1, 0, 0, 0, 0, 64), INTERNAL, IN(NONE), "dummy",
	  "100:0:0:1::/64 is a dummy prefix (RFC 9780)" },
	{ NET6(0x64, 0xff9b, 1, 0, 0, 0, 0, 0, 48), INTERNAL, IN(NAT64), "nat64-local",
	  "64:ff9b:1::/48 is translated to IPv4 by the local network (RFC 8215)" },
	{ NET6(0x2001, 2, 0, 0, 0, 0, 0, 0, 48), INTERNAL, IN(NONE), "benchmark",
	  "2001:2::/48 is for benchmarks (RFC 5180)" },
	{ NET6(0x2001, 0, 0, 0, 0, 0, 0, 0, 32), INTERNAL, IN(TEREDO), "teredo",
	  "2001::/32 is tunnelled over IPv4 by Teredo (RFC 4380)" },
	{ NET6(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0, 32), INTERNAL, IN(NONE), "documentation",
	  "2001:db8::/32 is for documentation (RFC 3849)" },
	{ NET6(0x2001, 0x10, 0, 0, 0, 0, 0, 0, 28), INTERNAL, IN(NONE), "orchid",
	  "2001:10::/28 names keys, not hosts (ORCHID, RFC 4843)" },
	{ NET6(0x2001, 0x20, 0, 0, 0, 0, 0, 0, 28), INTERNAL, IN(NONE), "orchid",
	  "2001:20::/28 names keys, not hosts (ORCHIDv2, RFC 7343)" },
	{ NET6(0x2001, 0, 0, 0, 0, 0, 0, 0, 23), INTERNAL, IN(NONE), "protocol-assignments",
	  "2001::/23 is for protocols (RFC 2928)" },
	{ NET6(0x3fff, 0, 0, 0, 0, 0, 0, 0, 20), INTERNAL, IN(NONE), "documentation",
	  "3fff::/20 is for documentation (RFC 9637)" },
	{ NET6(0x2002, 0, 0, 0, 0, 0, 0, 0, 16), INTERNAL, IN(6TO4), "6to4",
	  "2002::/16 is tunnelled over IPv4 by 6to4 (RFC 3056)" },
	{ NET6(0x3ffe, 0, 0, 0, 0, 0, 0, 0, 16), INTERNAL, IN(NONE), "reserved",
	  "3ffe::/16 was the 6bone (RFC 3701)" },
	{ NET6(0xfe80, 0, 0, 0, 0, 0, 0, 0, 10), ALWAYS, IN(NONE), "link-local",
	  "fe80::/10 is this link (RFC 4291 2.5.6)" },
	{ NET6(0xfec0, 0, 0, 0, 0, 0, 0, 0, 10), INTERNAL, IN(NONE), "site-local",
	  "fec0::/10 is this site, long deprecated (RFC 3879)" },
	{ NET6(0xff00, 0, 0, 0, 0, 0, 0, 0, 8), ALWAYS, IN(NONE), "multicast",
	  "ff00::/8 is multicast (RFC 4291 2.7)" },
	{ NET6(0xfc00, 0, 0, 0, 0, 0, 0, 0, 7), INTERNAL, IN(NONE), "unique-local",
	  "fc00::/7 is private (RFC 4193)" },
	{ NET6(0x2000, 0, 0, 0, 0, 0, 0, 0, 3), CV_IP_PUBLIC, IN(NONE), "public",
	  "public IPv6 address" },
	{ NET6(0, 0, 0, 0, 0, 0, 0, 0, 0), INTERNAL, IN(NONE), "reserved",
	  "only 2000::/3 is public IPv6 (RFC 4291 2.4)" },
};

static const char *const class_name[CV_IP_CLASS_COUNT] = {
	[CV_IP_ALWAYS_BLOCKED] = "always-blocked",
	[CV_IP_METADATA]       = "metadata",
	[CV_IP_INTERNAL]       = "internal",
	[CV_IP_PUBLIC]         = "public",
};
/* clang-format on */

static const struct cv_ip_class_row *row_of(const struct cv_ip *ip)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		if (cv_cidr_has(&rows[i].net, ip))
			return &rows[i];
	cv_unreachable(); /* the rows of length 0 hold every address of their family */
}

static const struct cv_ip_class_row *stricter(
	const struct cv_ip_class_row *outer, const uint8_t v4[4])
{
	struct cv_ip ip;
	const bool ok = cv_ip_from_bytes(v4, 4, &ip);

	cv_assert(ok);
	const struct cv_ip_class_row *inner = row_of(&ip);
	return inner->class < outer->class ? inner : outer;
}

/* The local network's prefix may have 48, 56, 64 or 96 bits, and each puts the IPv4 address
 * elsewhere (RFC 6052 2.2, which leaves byte 8 out): the strictest reading counts. */
static const struct cv_ip_class_row *stricter_nat64(
	const struct cv_ip_class_row *r, const uint8_t b[16])
{
	const uint8_t at_48[] = { b[6], b[7], b[9], b[10] };
	const uint8_t at_56[] = { b[7], b[9], b[10], b[11] };

	r = stricter(r, at_48);
	r = stricter(r, at_56);
	r = stricter(r, b + 9); /* 64 */
	return stricter(r, b + 12);
}

const struct cv_ip_class_row *cv_ip_classify(const struct cv_ip *ip)
{
	const struct cv_ip_class_row *r = row_of(ip);
	const uint8_t *b = ip->b;
	const uint8_t teredo_client[] = { (uint8_t)~b[12], (uint8_t)~b[13], (uint8_t)~b[14],
		(uint8_t)~b[15] };

	switch (r->inside) {
	case CV_IP_INSIDE_NONE: return r;
	case CV_IP_INSIDE_LAST: return stricter(r, b + 12);
	case CV_IP_INSIDE_6TO4: return stricter(r, b + 2);
	case CV_IP_INSIDE_TEREDO: return stricter(stricter(r, b + 4), teredo_client);
	case CV_IP_INSIDE_NAT64: return stricter_nat64(r, b);
	}
	cv_unreachable();
}

const char *cv_ip_class_name(enum cv_ip_class class)
{
	cv_assert(class < CV_IP_CLASS_COUNT);
	return class_name[class];
}

/* clang-format off */
/* IPv6 prefixes whose rest holds an IPv4 address.  cv_ip_classify() knows them too, but answers with
 * what is inside when that is stricter.  All end at a byte. */
static const struct {
	uint8_t bytes, prefix[12];
} embedding[] = {
	{ 12, { 0 } },                                 /* compatible, RFC 4291 2.5.5.1 */
	{ 12, { [8] = 0xff, 0xff } },                  /* translated, RFC 2765 2.1 */
	{ 12, { 0x00, 0x64, 0xff, 0x9b } },            /* NAT64, RFC 6052 2.1 */
	{ 6, { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 } }, /* local NAT64, RFC 8215 */
	{ 2, { 0x20, 0x02 } },                         /* 6to4, RFC 3056 2 */
	{ 4, { 0x20, 0x01 } },                         /* Teredo, RFC 4380 2.6 */
};
/* clang-format on */

bool cv_ip_is_embedding(const struct cv_ip *ip)
{
	static const uint8_t zero[15];

	if (memcmp(ip->b, zero, sizeof(zero)) == 0 && ip->b[15] <= 1)
		return false; /* :: and ::1 are addresses of their own */
	for (size_t i = 0; i < CV_ARRAY_LEN(embedding); i++)
		if (memcmp(ip->b, embedding[i].prefix, embedding[i].bytes) == 0)
			return true;
	return ip->is_v4;
}

bool cv_ip_text_is_loopback(struct cv_str host)
{
	struct cv_ip ip;

	if (cv_str_eq_nocase(host, CV_STR("localhost")))
		return true;
	return cv_ip_parse(host, &ip) && strcmp(cv_ip_classify(&ip)->name, "loopback") == 0;
}
