/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata.h - what the cloud's own machines answer to SDKs, answered with placeholders
 *
 * Google's libraries ask the metadata server for project, account and token; AWS's ask a container
 * credentials endpoint for keys.  Both get placeholders, which are worth nothing but where they are
 * bound.  Pure: a parsed request in, an answer out; who listens where is the caller's.
 *
 * As the real ones do, and because a page in a browser or a naive proxy cannot: Google's refuses
 * requests without `Metadata-Flavor: Google` or with X-Forwarded-For (save `/`, which libraries use
 * to find out whether there is one), AWS's those without the token of its environment variable.
 *
 * Ownership: an answer is in the caller's arena, borrows from the facts, or is static.
 */
#pragma once
#include "base/arena.h"
#include "cred/http.h"

#define CV_METADATA_HEADERS_MAX 4
#define CV_METADATA_EXPIRES_S   3600 /* of a placeholder: libraries ask again, and get it again */

struct cv_metadata_request {
	struct cv_str method;
	struct cv_str path, query; /* query without the question mark */
	const struct cv_cred_header *headers;
	size_t header_count;
};

struct cv_metadata_answer {
	int status;
	struct cv_cred_header headers[CV_METADATA_HEADERS_MAX]; /* not Content-Length */
	size_t header_count;
	struct cv_str body;
};

struct cv_metadata_google {
	struct cv_str project_id; /* empty: that path is not there */
	struct cv_str email;
	struct cv_str scopes; /* separated by blanks; empty: cloud-platform */
	struct cv_str token;  /* placeholder; empty: no service account is there */
};

struct cv_metadata_aws {
	struct cv_str path; /* of AWS_CONTAINER_CREDENTIALS_FULL_URI */
	struct cv_str
		authorization; /* AWS_CONTAINER_AUTHORIZATION_TOKEN; empty: none is asked for */
	struct cv_str key_id, secret, session_token; /* placeholders; session_token may be empty */
	int64_t expires_s;                           /* what Expiration says */
};

/* Bodies need at most a few KiB of the arena; a full one is a 500. */
void cv_metadata_google(const struct cv_metadata_request *request,
	const struct cv_metadata_google *facts, struct cv_arena *arena,
	struct cv_metadata_answer *ret);
void cv_metadata_aws(const struct cv_metadata_request *request, const struct cv_metadata_aws *facts,
	struct cv_arena *arena, struct cv_metadata_answer *ret);
