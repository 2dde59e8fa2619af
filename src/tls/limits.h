/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - bounds of the TLS layer, each with its reason
 */
#pragma once

#define CV_TLS_HOST_BYTES_MAX  253        /* a DNS name as text, RFC 1035 section 2.3.4 */
#define CV_TLS_ROOTS_BYTES_MAX (8u << 20) /* Debian's bundle is 220 KB; a company adds a few */
#define CV_TLS_SESSIONS_MAX    64         /* names resumed; a session holds 2-6 KB */
#define CV_TLS_LEAVES_MAX      256        /* names with a leaf; upstream's number, but LRU */
