/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inside.h - one HTTP request, judged: by its form, its authority, and policy
 *
 * Shared by plain requests through the explicit proxy and by those inside tunnels.
 */
#pragma once
#include "proxy/denial.h"
#include "proxy/proxy.h"
#include "wire/path.h"

/* Records and answers a denial that is not policy's; request NULL: of a connection.  True. */
bool cv_inside_refuse(struct cv_proxy *p, struct cv_flow *f, enum cv_denial d,
	const struct cv_h1_request *request, struct cv_str why);

/* May the request pass on f's connection?  False: recorded and answered.  ret_path is the path to
 * be sent. */
CV_MUST bool cv_inside_decide(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_path *ret_path);

/* The event of a request that may pass. */
void cv_inside_record(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path);
