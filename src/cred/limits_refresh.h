/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits_refresh.h - bounds of signing and renewal, each with its reason
 */
#pragma once

/* ---- SigV4 ---- */
#define CV_SIGV4_BODY_BYTES_MAX  (10u << 20) /* buffered to be hashed, as OpenShell has it */
#define CV_SIGV4_HEADERS_MAX     128 /* more than a head may have of x-amz-meta-* in 2 KiB */
#define CV_SIGV4_PARAMS_MAX      256 /* of a query; an S3 policy or a form-like GET has tens */
#define CV_SIGV4_CANON_BYTES_MAX (256u << 10) /* three times a head of 64 KiB, and its frame */

/* ---- JWT ---- */
#define CV_JWT_PEM_BYTES_MAX 16384 /* an RSA key of 8192 bits is 6.5 KB */
#define CV_JWT_BYTES_MAX     16384 /* what token endpoints take in one form field */
#define CV_JWT_RSA_BITS_MIN  2048  /* what Google, GitHub and RFC 7518 3.3 ask for */

/* ---- renewal ---- */
#define CV_REFRESH_BODY_BYTES_MAX    40960      /* of a request; with its head it is one message */
#define CV_REFRESH_URL_BYTES_MAX     2048       /* more is nobody's token endpoint */
#define CV_REFRESH_TOKEN_BYTES_MAX   16384      /* JWTs with many claims reach 8 KB */
#define CV_REFRESH_ANSWER_BYTES_MAX  (1u << 20) /* of an answer; the courier reads no more */
#define CV_REFRESH_COMMAND_BYTES_MAX 65536      /* of a command's output */
#define CV_REFRESH_OUTPUTS_MAX       4          /* AWS has three, OAuth two */
#define CV_REFRESH_RETRY_S_MAX       3600 /* a Retry-After beyond it is an outage or a mistake */
#define CV_REFRESH_LIFETIME_S        3600 /* of a token whose issuer does not say */
#define CV_REFRESH_LIFETIME_S_MAX    (366LL * 86400) /* longer is a mistake in a unit */

/* ---- readers of answers ---- */
#define CV_JSON_MEMBERS_MAX 64 /* of the outermost object */
#define CV_XML_DEPTH_MAX    16 /* STS nests four deep */
