/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_link.c - the tables of gateway_link.h
 */
#include "ipc/gateway_link.h"

#define IN(s)                                 (1u << CV_GATEWAY_LINK_##s)
#define RULE(name, bytes, fds, states, flags) { #name, bytes, fds, states, flags },
const struct cv_ipc_rule cv_gateway_req_rule[CV_GATEWAY_REQ_COUNT] = { CV_GATEWAY_REQS(RULE) };
const struct cv_ipc_rule cv_gateway_reply_rule[CV_GATEWAY_REPLY_COUNT] = { CV_GATEWAY_REPLIES(
	RULE) };
