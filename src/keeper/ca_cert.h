/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca_cert.h - the certificate of a run's CA, written byte by byte
 */
#pragma once
#include "base/buf.h"

#include <stdint.h>

#define CA_SERIAL_BYTES 16 /* RFC 5280 section 4.1.2.2: at most 20, 64 random bits or more */
#define CA_POINT_BYTES  65 /* of P-256, not compressed: SEC 1 section 2.3.3 */
#define CA_CN_BYTES_MAX 64 /* ub-common-name, RFC 5280 appendix A */
#define CA_DER_BYTES    1024

struct ca_cert {
	struct cv_str cn;                      /* UTF-8 */
	unsigned char serial[CA_SERIAL_BYTES]; /* the first byte is 0x40 to 0x7f */
	unsigned char point[CA_POINT_BYTES];   /* of the key that it is about */
	int64_t from_s, to_s;
};

/* What is signed, by ecdsa-with-SHA256.  False: it can't be written. */
CV_MUST bool ca_cert_tbs_put(struct cv_buf *out, const struct ca_cert *c);
/* The whole; signature as the library has it, DER. */
CV_MUST bool ca_cert_put(struct cv_buf *out, struct cv_str tbs, struct cv_str signature);
CV_MUST bool ca_cert_pem_put(struct cv_buf *out, struct cv_str der);
