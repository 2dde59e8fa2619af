/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge.h - gateways behind an edge proxy (Cloudflare Access): is there one, and how to log in to it
 */
#pragma once
#include "client/client.h"

/* Whether what answers at the address wants a log-in before it lets a tunnel through.  ca_path NULL:
 * the system's authorities. */
CV_MUST bool cl_edge_is_there(struct cl *c, const char *url, const char *ca_path);
/* By the browser; dies. */
void cl_edge_login(struct cl *c, const struct cl_gateway *g);
/* Keeps the token, and says who that is to the gateway. */
void cl_edge_store(struct cl *c, const struct cl_gateway *g, struct cv_str token);
