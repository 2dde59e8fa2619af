/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits_net.h - bounds on names, DNS messages and TLS hellos, each with its reason
 */
#pragma once

/* A host name as text: 255 bytes on the wire less the first length and the root (RFC 1035 2.3.4). */
#define CV_NAME_BYTES_MAX    253
#define CV_NAME_LABEL_MAX    63  /* RFC 1035 2.3.4 */
#define CV_NAME_WIRE_BYTES   255 /* the same name as DNS writes it, root included */

#define CV_DNS_HEADER_BYTES  12
#define CV_DNS_UDP_BYTES_MIN 512 /* what everyone may send without asking (RFC 1035 2.3.4) */
#define CV_DNS_UDP_BYTES_MAX \
	1232 /* fits a path of 1280 bytes without fragments; the flag day of 2020 */
#define CV_DNS_TCP_BYTES_MAX      65535 /* the length prefix has 16 bits */
#define CV_DNS_QUERY_BYTES_MAX    1024  /* a question, an OPT and room for a cookie and padding */
#define CV_DNS_RESPONSE_BYTES_MAX 8192  /* 16 addresses behind 8 long aliases, with signatures */
#define CV_DNS_ANSWERS_MAX        64    /* records of one answer section that are looked at */
#define CV_DNS_CNAMES_MAX         8     /* chains of CDNs have up to 5; more is a loop or a game */
#define CV_DNS_ADDRS_MAX          16    /* more addresses of one name are never tried */
#define CV_DNS_TTL_S_MAX          86400 /* a day: no answer outlives a sandbox's usual life */

#define CV_RESOLVCONF_SERVERS_MAX 3 /* MAXNS of every libc: later ones are ignored there too */

#define CV_HELLO_BYTES_MAX        65536 /* post-quantum shares and session tickets take up to 20 KiB */
#define CV_HELLO_RECORD_BYTES_MAX 16384 /* RFC 8446 5.1 */
#define CV_HELLO_RECORDS_MAX      32 /* real clients need 1 to 5; bounds the work of each new byte */
#define CV_HELLO_EXTENSIONS_MAX   64 /* browsers send about 20 */
#define CV_HELLO_ALPN_BYTES_MAX   256 /* browsers send 14 bytes; the longest registered name has 23 */
#define CV_HELLO_VERSIONS_MAX     16 /* five exist, two are GREASE */

#define CV_PEEK_METHOD_BYTES_MAX  32 /* the longest registered method has 16 */
