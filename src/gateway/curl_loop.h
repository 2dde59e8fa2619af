/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curl_loop.h - libcurl in the gateway's loop: requests to others that nobody waits for
 *
 * libcurl's multi interface tells which descriptors it wants to hear of, and when; nothing blocks but
 * the lookup of a name, which libcurl does in a thread of its own.  A part has one, passes its events
 * on, and asks cv_gw_curl_done() afterwards which of its requests has ended:
 *
 *     event(): cv_gw_curl_event(&c, e), then done()     turn(): cv_gw_curl_turn(&c), then done()
 */
#pragma once
#include "gateway/gateway.h"

#include <curl/curl.h>

struct cv_gw_curl {
	struct cv_gateway *g;
	CURLM *multi;
	uint8_t watch_kind;
	int64_t due_ms; /* loop time; INT64_MAX: libcurl wants nothing */
};

/* c stays where it is.  watch_kind is the part's own, for nothing else. */
CV_MUST cv_code cv_gw_curl_init(
	struct cv_gw_curl *c, struct cv_gateway *g, uint8_t watch_kind, struct cv_err *err);
void cv_gw_curl_fini(struct cv_gw_curl *c); /* its requests were removed */
void cv_gw_curl_event(struct cv_gw_curl *c, const struct cv_loop_event *e);
void cv_gw_curl_turn(struct cv_gw_curl *c);
/* One that has ended, or NULL; the caller removes it from multi. */
CURL *cv_gw_curl_done(struct cv_gw_curl *c, CURLcode *ret);
