/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_link.c - the tables of the keeper's links
 */
#include "ipc/keeper_link.h"

/* clang-format off */
#define IN(s)                                (1u << CV_KEEPER_##s)
#define ROW(name, bytes, fds, states, flags) { #name, bytes, fds, states, flags },
const struct cv_ipc_rule cv_keeper_control_rule[CV_KEEPER_CONTROL_COUNT] = {
	CV_KEEPER_CONTROLS(ROW)
};
const struct cv_ipc_rule cv_keeper_control_reply_rule[CV_KEEPER_CONTROL_REPLY_COUNT] = {
	CV_KEEPER_CONTROL_REPLIES(ROW)
};
const struct cv_ipc_rule cv_keeper_req_rule[CV_KEEPER_REQ_COUNT] = { CV_KEEPER_REQS(ROW) };
const struct cv_ipc_rule cv_keeper_reply_rule[CV_KEEPER_REPLY_COUNT] = { CV_KEEPER_REPLIES(ROW) };
/* clang-format on */
