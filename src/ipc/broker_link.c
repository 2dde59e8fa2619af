/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_link.c - the tables of the broker's links
 */
#include "ipc/broker_link.h"

/* clang-format off */
#define IN(s)                                (1u << CV_BROKER_##s)
#define ROW(name, bytes, fds, states, flags) { #name, bytes, fds, states, flags },
const struct cv_ipc_rule cv_broker_control_rule[CV_BROKER_CONTROL_COUNT] = {
	CV_BROKER_CONTROLS(ROW)
};
const struct cv_ipc_rule cv_broker_control_reply_rule[CV_BROKER_CONTROL_REPLY_COUNT] = {
	CV_BROKER_CONTROL_REPLIES(ROW)
};
const struct cv_ipc_rule cv_broker_req_rule[CV_BROKER_REQ_COUNT] = { CV_BROKER_REQS(ROW) };
/* clang-format on */
