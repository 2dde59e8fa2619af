/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch_int.h - what logs.c and watch.c share: a sandbox's lines and events, in memory and on disk
 */
#pragma once
#include "gateway/ring.h"
#include "gateway/sandbox_int.h"

#define LINES_MAX       2000         /* openshell-api 7; in memory, of a sandbox that is followed */
#define LINES_BYTES_MAX (512u << 10) /* of the same */
#define LINES_TAIL      200          /* where a request does not say how many */

struct cv_gw_lines {
	struct cv_gw_ring events;
	struct cv_gw_ring logs; /* while somebody follows them (has_logs), else empty */
	bool has_logs, has_failed;
	struct cv_buf pending; /* records for the file, until the end of the turn */
};

/* Of b; made when it is first asked for.  NULL: no memory. */
struct cv_gw_lines *lines_of(struct cv_gw_box *b);
void lines_follow(struct cv_gw_box *b);   /* from now on logs holds what there is and what comes */
void lines_unfollow(struct cv_gw_box *b); /* nobody follows any more */
void lines_free(struct cv_gw_box *b);     /* what is pending is written */

struct lines_filter {
	int64_t since_ms;
	char *const *sources;
	size_t source_count;
	const char *min_level; /* "": all */
};
/* prefix: of the fields in the request. */
CV_MUST enum cv_rpc_status lines_filter_check(
	const struct lines_filter *f, const char *prefix, struct cv_err *err);
bool lines_wants(const struct lines_filter *f, const struct cv_gw_entry *e);

/* watch.c: something may be sent to those who follow b. */
void watch_due(struct cv_gw_box *b);
