/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4_int.h - the canonical request, between sigv4.c and sigv4_canon.c
 */
#pragma once
#include "cred/sigv4.h"

struct cv_sigv4_pair {
	struct cv_str name, value;
	bool has_value; /* of a parameter: an equals sign was there */
};

struct cv_sigv4_canon {
	struct cv_str path, query;           /* canonical */
	struct cv_str wire_path, wire_query; /* of the same meaning, in the order that was sent */
	struct cv_sigv4_pair headers[CV_SIGV4_HEADERS_MAX + CV_SIGV4_SET_MAX];
	size_t header_count;
};

/* S3 and its relatives: encoded once, dot segments are part of a key. */
bool cv_sigv4_is_s3(struct cv_str service);

CV_MUST cv_code cv_sigv4_canon_path(struct cv_str path, bool is_s3, struct cv_arena *arena,
	struct cv_sigv4_canon *ret, struct cv_err *err);
CV_MUST cv_code cv_sigv4_canon_query(struct cv_str query, struct cv_arena *arena,
	struct cv_sigv4_canon *ret, struct cv_err *err);

/* The headers to sign, out of the request's and those that are set; sorted. */
CV_MUST cv_code cv_sigv4_canon_headers(const struct cv_sigv4_request *request,
	const struct cv_cred_header *set, size_t set_count, struct cv_arena *arena,
	struct cv_sigv4_canon *ret, struct cv_err *err);
