/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_change.h - what changes a policy or a setting
 */
#pragma once
#include "client/client.h"

/* Sends it, says what became of it, and waits with --wait.  name NULL: global. */
int cl_policy_submit(struct cl *c, Openshell__V1__UpdateConfigRequest *in, const char *name);
/* --yes, or a person says so; dies otherwise.  what: "global setting updates". */
void cl_global_confirm(struct cl *c, const char *what);
