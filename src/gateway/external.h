/* SPDX-License-Identifier: Apache-2.0 */
/*
 * external.h - sandboxes that others run: their supervisors come over gRPC, with a token
 *
 *     image mapped to `external` ──► nothing is started; the sandbox waits for a supervisor
 *     supervisor ──ConnectSupervisor, hello──► accepted: the sandbox is ready
 *     connection wanted ──relay_open──► supervisor ──RelayStream, init──► a socket, as of a DIALLED
 *
 * Everything else of such a sandbox is as of any other: who waits for a connection (forwards, services)
 * gets a socket and does not see the difference.  What the gateway has no message for (policy,
 * credentials, an end) the supervisor polls, or it hears of it when its session ends.
 *
 *     external.c        sessions, the main command's end, tokens
 *     external_relay.c  connections
 *     external_env.c    what providers give it
 *     external_int.h    what the two share
 */
#pragma once
#include "gateway/sandbox.h"

#define CV_GW_IMAGE_EXTERNAL "external" /* what the configuration maps an image to */

/* Its image is one of these. */
bool cv_gw_box_is_external(const struct cv_gw_box *b);
/* The sandbox should run, and its image is one of these: true, and it waits for its supervisor. */
bool cv_gw_external_start(struct cv_gw_box *b);
/* It should not run any more: session and connections end.  b may be gone afterwards. */
void cv_gw_external_stop(struct cv_gw_box *b);
/* Asks for a connection; the answer comes as DIALLED or NOT_DIALLED.  port DIAL_SSH: to the
 * supervisor's own SSH server.  UNAVAILABLE, RESOURCE_EXHAUSTED. */
CV_MUST enum cv_rpc_status cv_gw_external_dial(
	struct cv_gw_box *b, uint32_t channel, uint32_t port, struct cv_err *err);
