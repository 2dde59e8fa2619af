/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip.h - addresses normalised to 128 bits, prefixes, and which of them a proxy may dial
 *
 * An IPv4 address is its IPv4-mapped form ::ffff:a.b.c.d, so two spellings of one destination are
 * one value and a check can't be passed by writing it the other way (A5).  Text is strict: four
 * decimal numbers without leading zeros, or RFC 4291 without zone; never 127.1, hex or octal.
 *
 * Classification is a table of prefixes.  Smaller classes are stricter.  An address that carries
 * an IPv4 address inside (6to4, NAT64, Teredo, ...) is as strict as the stricter of the two.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct cv_ip {
	uint8_t b[16];
	bool is_v4; /* exactly when b is in ::ffff:0:0/96 */
};

#define CV_IP_TEXT_BYTES 46 /* longest text and its NUL, as INET6_ADDRSTRLEN */

CV_MUST bool cv_ip_parse(struct cv_str text, struct cv_ip *ret_ip);

/* RFC 5952 text; returns it as a slice of text. */
struct cv_str cv_ip_format(const struct cv_ip *ip, char text[CV_IP_TEXT_BYTES]);

/* From 4 or 16 bytes in network order; false for any other n. */
CV_MUST bool cv_ip_from_bytes(const void *bytes, size_t n, struct cv_ip *ret_ip);

/* From the bytes of a struct sockaddr_in or sockaddr_in6, as accept() or a cmsg gave them.  Flow
 * and scope are dropped: no address that needs a scope may be dialled.  False for other families. */
CV_MUST bool cv_ip_from_sockaddr(
	const void *sa, size_t bytes, struct cv_ip *ret_ip, uint16_t *ret_port);

#define CV_IP_SOCKADDR_BYTES 28 /* sizeof(struct sockaddr_in6) */

/* Writes a sockaddr_in for IPv4, else a sockaddr_in6; returns its length.  sa is aligned as the
 * caller needs (a union with struct sockaddr). */
size_t cv_ip_to_sockaddr(const struct cv_ip *ip, uint16_t port, void *sa);

bool cv_ip_eq(const struct cv_ip *a, const struct cv_ip *b);

/* A prefix.  bits counts from the start of the 128, so 10.0.0.0/8 has 104. */
struct cv_cidr {
	struct cv_ip net; /* host bits are zero */
	uint8_t bits;
	bool had_host_bits; /* the text said 10.1.2.3/8: accepted as 10.0.0.0/8, worth a warning */
};

/* "10.0.0.0/8", "fd00::/8", or a bare address (/32, /128).  Host bits are cleared and remembered,
 * since policies in the wild have them. */
CV_MUST bool cv_cidr_parse(struct cv_str text, struct cv_cidr *ret_cidr);

/* Never across families: ::/0 holds no IPv4 address. */
bool cv_cidr_has(const struct cv_cidr *c, const struct cv_ip *ip);

/* Whether the two have an address in common. */
bool cv_cidr_overlaps(const struct cv_cidr *a, const struct cv_cidr *b);

#define CV_CIDR_TEXT_BYTES (CV_IP_TEXT_BYTES + 4)
struct cv_str cv_cidr_format(const struct cv_cidr *c, char text[CV_CIDR_TEXT_BYTES]);

/* What may be dialled, strictest first.  The first two are refused whatever a policy declares. */
enum cv_ip_class {
	CV_IP_ALWAYS_BLOCKED, /* this host, this link, nobody, everybody */
	CV_IP_METADATA,       /* a cloud's metadata or credential service */
	CV_IP_INTERNAL, /* private or special: only when declared exactly, or in allowed_ips */
	CV_IP_PUBLIC,
	CV_IP_CLASS_COUNT
};

/* Where in an address an IPv4 address is hidden. */
enum cv_ip_inside {
	CV_IP_INSIDE_NONE,
	CV_IP_INSIDE_LAST,   /* the last 32 bits */
	CV_IP_INSIDE_6TO4,   /* bits 16 to 47 */
	CV_IP_INSIDE_TEREDO, /* server in bits 32 to 63, client inverted in the last 32 */
	CV_IP_INSIDE_NAT64,  /* any place that RFC 6052 gives for prefixes of 48 bits and more */
};

struct cv_ip_class_row {
	struct cv_cidr net;
	enum cv_ip_class class;
	enum cv_ip_inside inside;
	const char *name;   /* "loopback": a word for logs */
	const char *reason; /* "127.0.0.0/8 is this host (RFC 1122)" */
};

/* The row that decides; static storage, never NULL. */
const struct cv_ip_class_row *cv_ip_classify(const struct cv_ip *ip);

/* An IPv6 address with an IPv4 address inside (mapped, NAT64, 6to4, ...): a second name of that one. */
bool cv_ip_is_embedding(const struct cv_ip *ip);

/* "localhost", or the text of a loopback address. */
bool cv_ip_text_is_loopback(struct cv_str host);

const char *cv_ip_class_name(enum cv_ip_class class); /* "always-blocked", "metadata", ... */

/* What runs a cluster (etcd, the API server, kubelets): never a destination that a policy names. */
bool cv_ip_port_is_control_plane(uint16_t port);

/* Refused even when a policy names it: always blocked or metadata. */
static inline bool cv_ip_is_never_allowed(const struct cv_ip *ip)
{
	return cv_ip_classify(ip)->class <= CV_IP_METADATA;
}
