/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin.h - requests of the gateway's own user to the one that runs in a state directory
 */
#pragma once
#include "gateway/gateway.h"

/* The loop has ended; if for a restore, it is done.  True: the program is to start again. */
bool cv_gw_admin_restore(struct cv_gateway *g);

/* From a command: "backup /PATH", "restore /PATH", "rotate-credentials-key".  ret: '+' and what to
 * say.  CV_UNAVAILABLE: none runs; CV_SYSTEM: it could not. */
CV_MUST cv_code cv_gw_admin_ask(
	const char *state, const char *request, char *ret, size_t bytes, struct cv_err *err);
