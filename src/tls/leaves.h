/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaves.h - leaves by name, at most CV_TLS_LEAVES_MAX, the least recently used one replaced
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <openssl/x509.h>
#include <stdint.h>

struct cv_leaves;

CV_MUST cv_code cv_leaves_new(struct cv_leaves **ret, struct cv_err *err);
void cv_leaves_free(struct cv_leaves *l);

/* The leaf of host, or NULL when there is none that is valid for a while longer.  Borrowed until
 * the next put. */
X509 *cv_leaves_find(struct cv_leaves *l, struct cv_str host, int64_t now_s);

/* Another CA signs from here on.  Leaves stay for so long as their CA is one of the former_max
 * before it. */
void cv_leaves_ca_next(struct cv_leaves *l, uint32_t former_max);

/* Keeps the leaf in der for host.  CV_PROTO when der is no certificate. */
CV_MUST cv_code cv_leaves_put(struct cv_leaves *l, struct cv_str host, struct cv_str der,
	int64_t not_after_s, struct cv_err *err);
