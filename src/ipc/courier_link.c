/* SPDX-License-Identifier: Apache-2.0 */
/*
 * courier_link.c - the tables of the courier's links
 */
#include "ipc/courier_link.h"

/* clang-format off */
#define IN(s)                                (1u << CV_COURIER_##s)
#define ROW(name, bytes, fds, states, flags) { #name, bytes, fds, states, flags },
#define FAILURE_ROW(name, slug, text)        { slug, text },
const struct cv_ipc_rule cv_courier_control_rule[CV_COURIER_CONTROL_COUNT] = {
	CV_COURIER_CONTROLS(ROW)
};
const struct cv_ipc_rule cv_courier_control_reply_rule[CV_COURIER_CONTROL_REPLY_COUNT] = {
	CV_COURIER_CONTROL_REPLIES(ROW)
};
const struct cv_ipc_rule cv_courier_req_rule[CV_COURIER_REQ_COUNT] = { CV_COURIER_REQS(ROW) };
const struct cv_ipc_rule cv_courier_reply_rule[CV_COURIER_REPLY_COUNT] = {
	CV_COURIER_REPLIES(ROW)
};
const struct cv_courier_failure_row cv_courier_failure_row[CV_COURIER_FAILURE_COUNT] = {
	CV_COURIER_FAILURES(FAILURE_ROW)
};
/* clang-format on */
