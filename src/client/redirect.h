/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect.h - where a browser brings the code of a log-in (RFC 8252 section 7.3)
 */
#pragma once
#include "client/client.h"
#include "client/oidc_text.h"

/* A listener on 127.0.0.1; dies. */
int cl_redirect_listen(struct cl *c, unsigned *ret_port);
/* Waits for a redirect with that state and answers the browser.  False: until_ms (cv_clock_ms()) is over. */
bool cl_redirect_wait(
	struct cl *c, int listener, struct cv_str state, int64_t until_ms, struct cl_redirect *ret);
