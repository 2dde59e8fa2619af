/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blank_link.c - the table of a blank supervisor's link
 */
#include "ipc/blank_link.h"

/* clang-format off */
#define IN(s)                                (1u << CV_BLANK_##s)
#define ROW(name, bytes, fds, states, flags) { #name, bytes, fds, states, flags },
const struct cv_ipc_rule cv_blank_req_rule[CV_BLANK_REQ_COUNT] = { CV_BLANK_REQS(ROW) };
/* clang-format on */
