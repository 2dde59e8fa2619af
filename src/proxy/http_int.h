/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_int.h - what the machine of an exchange (http.c) has of its response (http_response.c)
 */
#pragma once
#include "proxy/denial.h"

/* The upstream failed before a byte of its response passed: an event and an answer.  True. */
bool cv_http_upstream_fail(
	struct cv_proxy *p, struct cv_flow *f, enum cv_denial d, const char *why);

/* Reads the next response's head, if it is there, and sends it on; has_response then says that it was
 * the final one.  False: nothing moved. */
bool cv_http_response_step(struct cv_proxy *p, struct cv_flow *f);
