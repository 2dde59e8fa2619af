/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes.h - `--inference FILE`: where calls to https://inference.local go
 *
 *     version: 1
 *     routes:
 *       - name: main                        # in budgets and audit
 *         type: openai                      # how it is talked to, and what it can be asked
 *         base_url: https://api.openai.com/v1
 *         model: gpt-4o                     # asked for whatever the agent names
 *         credential: openai/OPENAI_API_KEY # provider and key; only a placeholder is ever sent
 *         headers: [openai-organization]    # of the agent, that pass beside the type's own
 *         price: {input: 2.50, output: 10}  # USD for a million tokens
 *         order: 1                          # lower ones first
 *         weight: 3                         # share among routes of one order
 *         timeout: 60                       # seconds until its answer begins, and between two pieces of it
 *
 * Read by the launcher, which refuses what is wrong, and by the proxy, which routes.  Unknown keys
 * are errors.  Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "wire/host.h"

#define CV_ROUTES_MAX            32
#define CV_ROUTE_HEADERS_MAX     16
#define CV_ROUTES_FILE_BYTES_MAX (256u << 10) /* 32 routes of a page each */
#define CV_ROUTE_TIMEOUT_S       120  /* where a route says none: models think for a while */
#define CV_ROUTE_TIMEOUT_S_MAX   3600 /* ... and the longest that one can say */

/* clang-format off */
#define CV_ROUTE_TYPES(X) /* enum, word, default base URL */                    \
	X(OPENAI, "openai", "https://api.openai.com/v1")                        \
	X(ANTHROPIC, "anthropic", "https://api.anthropic.com/v1")               \
	X(NVIDIA, "nvidia", "https://integrate.api.nvidia.com/v1")              \
	X(DEEPINFRA, "deepinfra", "https://api.deepinfra.com/v1/openai")        \
	X(VERTEX, "google-vertex-ai", NULL)                                     \
	X(BEDROCK, "aws-bedrock", NULL)
/* clang-format on */

#define CV_ROUTE_ENUM(name, word, url) CV_ROUTE_##name,
enum cv_route_type { CV_ROUTE_TYPES(CV_ROUTE_ENUM) CV_ROUTE_TYPE_COUNT };
#undef CV_ROUTE_ENUM

struct cv_route {
	struct cv_str name, model,
		credential; /* the key alone; model and credential may be empty */
	enum cv_route_type type;
	bool is_https;
	struct cv_host host;
	uint16_t port;
	struct cv_str path; /* of the base URL, without a / at its end */
	struct cv_str headers[CV_ROUTE_HEADERS_MAX];
	size_t header_count;
	uint64_t input_price, output_price; /* millionths of a dollar for a million tokens */
	uint32_t order, weight, timeout_s;
};

struct cv_routes {
	struct cv_arena arena;
	struct cv_route v[CV_ROUTES_MAX]; /* by order; within one as in the file */
	size_t n;
};

void cv_routes_init(struct cv_routes *r);
void cv_routes_fini(struct cv_routes *r);

/* CV_INVALID: "LINE:COLUMN: what is wrong; what would be right". */
CV_MUST cv_code cv_routes_load(struct cv_str text, struct cv_routes *ret, struct cv_err *err);
