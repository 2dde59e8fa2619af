/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh_exec_link.c - the tables of ssh_exec_link.h
 */
#include "ipc/ssh_exec_link.h"

#define IN(s)                                 (1u << CV_SSH_EXEC_LINK_##s)
#define RULE(name, bytes, fds, states, flags) { #name, bytes, fds, states, flags },
const struct cv_ipc_rule cv_ssh_exec_req_rule[CV_SSH_EXEC_REQ_COUNT] = { CV_SSH_EXEC_REQS(RULE) };
const struct cv_ipc_rule cv_ssh_exec_reply_rule[CV_SSH_EXEC_REPLY_COUNT] = { CV_SSH_EXEC_REPLIES(
	RULE) };
