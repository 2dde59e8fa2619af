/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin.h - requests of the gateway's own user to the one that runs in a state directory
 */
#pragma once
#include "gateway/gateway.h"

/* The loop has ended; if for a restore, it is done.  True: the program is to start again. */
bool cv_gw_admin_restore(struct cv_gateway *g);

/* What one says of itself. */
struct cv_gw_admin_status {
	char url[128], version[64];
	uint32_t sandboxes;
	int64_t started_ms; /* Unix time */
	pid_t pid;
	int pidfd; /* of the process that answered; the caller's */
};
/* CV_UNAVAILABLE: none runs, or it is ending, or has not answered in time. */
CV_MUST cv_code cv_gw_admin_look(
	const char *state, int ms, struct cv_gw_admin_status *ret, struct cv_err *err);

/* From a command: "backup /PATH", "restore /PATH", "rotate-credentials-key", "reload".  ret: '+'
 * and what to say.  CV_UNAVAILABLE: none runs; CV_SYSTEM: it could not. */
CV_MUST cv_code cv_gw_admin_ask(
	const char *state, const char *request, char *ret, size_t bytes, struct cv_err *err);
