/* SPDX-License-Identifier: Apache-2.0 */
/*
 * middleware.h - network_middlewares: what each is told, and which of them see a request
 *
 *     openshell/regex   {mode: redact}                           tokens that begin with sk-
 *     cove/dlp          {detectors, patterns, action, direction} named detectors, own expressions
 *
 * What a document says of a middleware is read here, with its own keys; what the detectors find is
 * cred/detect.h's.  Which middlewares a host has is a pure function of a snapshot.
 *
 * Host patterns are matched label by label: "*" is within one label, "**" is one or more of them.
 * An address is matched by include as if it were a name (so "**" means every destination), and by
 * exclude only as a whole.
 */
#pragma once
#include "policy/policy.h"

/* clang-format off */
#define CV_DETECTORS(X) /* enum, name; cred/detect.c has what they look for */ \
	X(PRIVATE_KEY_PEM, "private_key_pem")                                  \
	X(AWS_ACCESS_KEY,  "aws_access_key")                                   \
	X(GITHUB_TOKEN,    "github_token")                                     \
	X(SLACK_TOKEN,     "slack_token")                                      \
	X(GOOGLE_API_KEY,  "google_api_key")                                   \
	X(JWT,             "jwt")                                              \
	X(SK_TOKEN,        "sk_token")                                         \
	X(CREDIT_CARD,     "credit_card")                                      \
	X(IBAN,            "iban")                                             \
	X(US_SSN,          "us_ssn")                                           \
	X(EMAIL,           "email")                                            \
	X(HIGH_ENTROPY,    "high_entropy")
/* clang-format on */

#define CV_DETECTOR_ENUM(id, name) CV_DETECTOR_##id,
enum cv_detector { CV_DETECTORS(CV_DETECTOR_ENUM) CV_DETECTOR_COUNT };
#undef CV_DETECTOR_ENUM

const char *cv_detector_name(enum cv_detector d);

enum cv_middleware_kind {
	CV_MIDDLEWARE_OTHER, /* not one of the built-in ones */
	CV_MIDDLEWARE_REGEX,
	CV_MIDDLEWARE_DLP,
};

enum cv_middleware_action { CV_MIDDLEWARE_REDACT, CV_MIDDLEWARE_DENY };

enum cv_middleware_direction { /* bits */
	CV_MIDDLEWARE_REQUEST = 1,
	CV_MIDDLEWARE_RESPONSE = 2,
	CV_MIDDLEWARE_BOTH = 3,
};

#define CV_MIDDLEWARE_PATTERNS_MAX   16 /* own expressions of one: each is tried on every text */
#define CV_MIDDLEWARE_NAME_BYTES_MAX 64 /* of a pattern: it becomes a reason_code, with its limit */

struct cv_middleware_pattern {
	struct cv_str name, regex;
	struct cv_policy_pos pos; /* of the expression */
};

struct cv_middleware {
	const struct cv_policy_middleware *source;
	struct cv_str name; /* as shown */
	enum cv_middleware_kind kind;
	enum cv_middleware_action action;
	unsigned directions;
	bool is_fail_open;
	uint32_t detectors; /* bits */
	struct cv_middleware_pattern pattern[CV_MIDDLEWARE_PATTERNS_MAX];
	size_t pattern_count;
	const struct cv_glob **include, **exclude; /* compiled */
	size_t include_count, exclude_count;
};

/* The snapshot's middlewares in their order; an index here names one of them everywhere. */
const struct cv_middleware *cv_policy_middleware_list(
	const struct cv_policy *policy, size_t *ret_n);

/* The bits (1 << index) of those that see what goes to host, or comes from it. */
uint32_t cv_policy_middlewares(const struct cv_policy *policy, struct cv_str host, bool host_is_ip);

/* ---- within this folder ---- */

struct cv_check;

/* Reads m's config and says what is wrong with it; c NULL: it is known to be right. */
void cv_middleware_read(
	struct cv_check *c, const struct cv_policy_middleware *m, struct cv_middleware *ret);
/* Compiles a host pattern; NULL (and arena not full): malformed. */
const struct cv_glob *cv_middleware_glob(struct cv_str pattern, struct cv_arena *arena);
/* Compiles all of doc's, in their order.  False: no memory. */
CV_MUST bool cv_middlewares_compile(const struct cv_policy_doc *doc, struct cv_arena *arena,
	struct cv_middleware **ret, size_t *ret_n);
