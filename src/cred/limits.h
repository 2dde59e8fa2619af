/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - how much of credentials, and of a stranger's bytes around them, is looked at
 *
 * What is longer or more is refused with its own reason, never cut.
 */
#pragma once

/* Placeholders of one run. */
#define CV_PH_ENTRIES_MAX        192   /* 32 attached providers with five variables each, and: */
#define CV_PH_MINTED_MAX         32    /* tokens that upstreams minted; the last ten refreshes */
#define CV_PH_KEY_BYTES_MAX      256   /* an environment variable's name; real ones have under 64 */
#define CV_PH_LITERAL_BYTES_MIN  16    /* shorter ones could stand in a text by chance */
#define CV_PH_LITERAL_BYTES_MAX  4096  /* a JWT with claims has 500 */
#define CV_PH_LITERALS_BYTES_MAX 65536 /* of all together: each byte costs a node of 16 bytes */
#define CV_PH_REV_DIGITS_MAX     19    /* a revision fits 63 bits */

/* Replacing them. */
#define CV_REWRITE_USES_MAX           32 /* in one head or body: each is a question to the keeper */
#define CV_REWRITE_VALUE_BYTES_MAX    8192 /* a value has to fit a head; session tokens have 2000 */
#define CV_REWRITE_BASIC_DEPTH_MAX    3 /* Basic in Basic is an evasion; deeper is looked at no more */
#define CV_REWRITE_BODY_BYTES_MAX     (256 << 10) /* held whole in memory; what OpenShell promises */
#define CV_REWRITE_BOUNDARY_BYTES_MAX 70          /* RFC 2046 5.1.1 */
