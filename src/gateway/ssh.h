/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh.h - SSH into sandboxes: tokens, host keys, and a process for each connection
 *
 *     CreateSshSession ──► token ──► ForwardTcp(ssh) ──► cove-ssh ──(ipc/ssh_link.h)──► commands
 *
 *     ssh.c         tokens; what ForwardTcp and the parts "exec" and "forward" call
 *     ssh_key.c     a host key for each sandbox
 *     ssh_server.c  processes and their links
 *
 * A token opens SSH connections to one sandbox until it is revoked or too old; only its hash is kept.
 */
#pragma once
#include "gateway/sandbox.h"

/* Does the token open this sandbox?  UNAUTHENTICATED. */
CV_MUST enum cv_rpc_status cv_gw_ssh_token_check(
	struct cv_gw_box *b, struct cv_str token, struct cv_err *err);
/* A connection to the sandbox for who has the token: *ret_fd is a stream socket of cove-ssh.  The
 * connection ends when *ret is given back.  UNAUTHENTICATED, RESOURCE_EXHAUSTED, UNAVAILABLE. */
CV_MUST enum cv_rpc_status cv_gw_ssh_open(struct cv_gw_box *b, struct cv_str token, int *ret_fd,
	struct cv_ref *ret, struct cv_err *err);
void cv_gw_ssh_close(struct cv_gateway *g, struct cv_ref ref);

/* Messages of the supervisor that may belong to a connection; false: to none. */
bool cv_gw_ssh_exec_message(struct cv_gw_box *b, uint32_t id, struct cv_ipc_msg *m);
bool cv_gw_ssh_dial_message(struct cv_gw_box *b, uint32_t channel, struct cv_ipc_msg *m);
void cv_gw_ssh_link_lost(struct cv_gw_box *b);
/* The supervisor is gone, and with it all that ran. */
void cv_gw_ssh_ended(struct cv_gw_box *b);
/* The main command ended. */
void cv_gw_ssh_main_exited(struct cv_gw_box *b, uint32_t status);
