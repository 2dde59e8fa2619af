/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - policies between files, messages and what is printed
 */
#pragma once
#include "client/client.h"
#include "rpc/policy_pb.h"

/* Reads and judges a file ("-" is stdin); dies with what is wrong in it. */
cv_policy_pb *cl_policy_read(struct cl *c, const char *path);
/* A revision and its status; version 0: the latest.  name NULL: the global policy. */
Openshell__V1__GetSandboxPolicyStatusResponse *cl_policy_status(
	struct cl *c, const char *name, uint32_t version);
void cl_policy_print(struct cl *c, const cv_policy_pb *m); /* YAML, on stdout */
void cl_policy_out(struct cl *c, struct cl_out *o, const char *key, const cv_policy_pb *m);
