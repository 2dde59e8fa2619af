/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect.h - where a browser brings what a person has logged in with (RFC 8252 section 7.3)
 */
#pragma once
#include "client/client.h"
#include "client/oidc_text.h"

#define CL_VISIT_ANSWER_BYTES_MAX 4096

enum cl_visit {
	CL_VISIT_PART,  /* not all of it is there */
	CL_VISIT_OTHER, /* answered, and forgotten */
	CL_VISIT_DONE,  /* answered, and what is waited for */
};
/* Judges what a visitor has sent so far, and writes the answer. */
typedef enum cl_visit cl_visit_fn(struct cv_str sent, struct cv_buf *answer, void *arg);

/* A listener on 127.0.0.1; dies. */
int cl_redirect_listen(struct cl *c, unsigned *ret_port);
/* False: until_ms (cv_clock_ms()) is over.  Of a visitor at most bytes_max are read. */
bool cl_visit_wait(int listener, size_t bytes_max, int64_t until_ms, cl_visit_fn *take, void *arg);
/* Waits for a redirect with that state and answers the browser.  False: as above. */
bool cl_redirect_wait(
	struct cl *c, int listener, struct cv_str state, int64_t until_ms, struct cl_redirect *ret);
