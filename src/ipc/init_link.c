/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init_link.c - the tables of init_link.h
 */
#include "ipc/init_link.h"

#define IN(s)                                 (1u << CV_INIT_##s)
#define RULE(name, bytes, fds, states, flags) { #name, bytes, fds, states, flags },
const struct cv_ipc_rule cv_init_req_rule[CV_INIT_REQ_COUNT] = { CV_INIT_REQS(RULE) };
const struct cv_ipc_rule cv_init_reply_rule[CV_INIT_REPLY_COUNT] = { CV_INIT_REPLIES(RULE) };
