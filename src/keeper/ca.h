/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca.h - one run's certificate authority
 *
 * Made at the start of a run, gone at its end: the key exists in the keeper's memory only, so
 * nothing that a run trusted is trusted by the next one.  Leaves are P-256, valid for a day at
 * most, for exactly one DNS name or address.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct cv_ca;

/* An authority's key, which needs to know nothing yet.  Free it with cv_ca_free().  CV_SYSTEM when the
 * crypto library fails. */
CV_MUST cv_code cv_ca_begin(struct cv_ca **ret, struct cv_err *err);
/* Its self-signed certificate, once, valid from an hour before now_s (clocks differ) for CA_DAYS.
 * run goes into the subject.  CV_SYSTEM as before. */
CV_MUST cv_code cv_ca_name(struct cv_ca *ca, struct cv_str run, int64_t now_s, struct cv_err *err);
/* Both. */
CV_MUST cv_code cv_ca_new(struct cv_str run, int64_t now_s, struct cv_ca **ret, struct cv_err *err);
void cv_ca_free(struct cv_ca *ca);

/* The certificate, PEM. */
CV_MUST cv_code cv_ca_pem(const struct cv_ca *ca, struct cv_buf *ret, struct cv_err *err);

/* A leaf for host (canonical DNS name, or canonical text of an address) and the P-256 public key
 * in spki (DER SubjectPublicKeyInfo, RFC 5280 section 4.1).  CV_INVALID for a name that is not
 * one name, or a key of another kind. */
CV_MUST cv_code cv_ca_leaf_sign(struct cv_ca *ca, struct cv_str host, struct cv_str spki,
	int64_t now_s, struct cv_buf *ret_der, int64_t *ret_not_after_s, struct cv_err *err);
