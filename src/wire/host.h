/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h - names and addresses of destinations, made canonical once
 *
 * Everything that compares hosts (policy, SNI, Host against target, credential bindings) compares
 * the text of a struct cv_host byte for byte.  There is one text per destination, or none: what
 * other programs may read in two ways is refused, never repaired.  Pure; results are values.
 *
 * Accepted: a DNS name of letters, digits, hyphen and underscore in dot-separated labels (A-labels
 * for other scripts), made lower-case; four decimal numbers without leading zeros; an IPv6
 * address in brackets without zone, made RFC 5952 text without brackets.  Refused, among others:
 *   - a trailing dot.  It names the same DNS node but another TLS name and another Host; policy
 *     patterns never match it, so removing it would allow what the pattern's author did not see;
 *   - names whose last label is a number in any base (127.1, 2130706433, 0x7f000001, 0177.0.0.1):
 *     resolvers read them as addresses, patterns as names;
 *   - IPv6 addresses with an IPv4 address inside (mapped, compatible, NAT64, 6to4, Teredo): a
 *     second spelling of that address.
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"
#include "base/ip.h"
#include "base/str.h"
#include "wire/limits.h"

/* clang-format off */
#define CV_HOST_RCS(X) /* name, sentence */                                               \
	X(OK, "ok")                                                                       \
	X(EMPTY, "host is empty")                                                         \
	X(LONG, "host or one of its labels is too long")                                  \
	X(BYTE, "host has a byte that is not a letter, digit, hyphen, underscore or dot") \
	X(LABEL, "host has an empty label or one that starts or ends with a hyphen")      \
	X(DOT, "host ends with a dot")                                                    \
	X(NUMERIC, "host looks like an address but is not four plain decimal numbers")    \
	X(IP6, "host in brackets is not a plain IPv6 address")                            \
	X(EMBEDDED, "IPv6 address has an IPv4 address inside")                            \
	X(USERINFO, "authority has user information")                                     \
	X(PORT, "port is not a number from 1 to 65535")                                   \
	X(PORT_MISSING, "port is missing")
/* clang-format on */

#define CV_HOST_RC_ENUM(name, text) CV_HOST_##name,
enum cv_host_rc { CV_HOST_RCS(CV_HOST_RC_ENUM) CV_HOST_RC_COUNT };
#undef CV_HOST_RC_ENUM

/* The sentence for a person; static storage. */
const char *cv_host_rc_text(enum cv_host_rc rc);

struct cv_host {
	char text[CV_HOST_BYTES_MAX + 1]; /* canonical, NUL after it; IPv6 without brackets */
	size_t n;
	bool is_ip;  /* an address of either family */
	bool is_ip6; /* written in brackets in an authority */
};

struct cv_authority {
	struct cv_host host;
	uint16_t port; /* 0: none was given */
};

/* Borrowed from h. */
static inline struct cv_str cv_host_str(const struct cv_host *h)
{
	return (struct cv_str){ h->text, h->n };
}

static inline bool cv_host_eq(const struct cv_host *a, const struct cv_host *b)
{
	return a->is_ip == b->is_ip && cv_str_eq(cv_host_str(a), cv_host_str(b));
}

/* The host part of a URL: name, dotted quad or bracketed IPv6.  *ret untouched unless OK. */
CV_MUST enum cv_host_rc cv_host_parse(struct cv_str s, struct cv_host *ret);

/* A name as DNS or SNI carries it, or an address without brackets. */
CV_MUST enum cv_host_rc cv_host_parse_bare(struct cv_str s, struct cv_host *ret);

/* The host that an original destination is, when nobody named one. */
void cv_host_from_ip(const struct cv_ip *ip, struct cv_host *ret);

/* `host` or `host:port`.  An empty port ("host:") and port 0 are refused. */
CV_MUST enum cv_host_rc cv_authority_parse(struct cv_str s, struct cv_authority *ret);

/* The same, but the port must be there (CONNECT). */
CV_MUST enum cv_host_rc cv_authority_parse_port(struct cv_str s, struct cv_authority *ret);

/* Both name the same host and port, a missing port meaning port_default. */
bool cv_authority_eq(
	const struct cv_authority *a, const struct cv_authority *b, uint16_t port_default);

/* Appends host, in brackets if IPv6, and `:port` unless the port is 0 or port_default. */
bool cv_authority_write(struct cv_buf *b, const struct cv_authority *a, uint16_t port_default);
