/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh_link.c - the tables of ssh_link.h
 */
#include "ipc/ssh_link.h"

#define IN(s)                                 (1u << CV_SSH_LINK_##s)
#define RULE(name, bytes, fds, states, flags) { #name, bytes, fds, states, flags },
const struct cv_ipc_rule cv_ssh_req_rule[CV_SSH_REQ_COUNT] = { CV_SSH_REQS(RULE) };
const struct cv_ipc_rule cv_ssh_reply_rule[CV_SSH_REPLY_COUNT] = { CV_SSH_REPLIES(RULE) };
