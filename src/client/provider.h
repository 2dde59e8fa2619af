/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provider.h - providers as `sandbox create` and `sandbox provider` need them
 */
#pragma once
#include "client/client.h"

/* Whether a sandbox that names it gets it: it is there, or was made, by --auto-providers or because a
 * person said so; false with --no-auto-providers.  Dies otherwise. */
bool cl_provider_want(struct cl *c, const char *name);
/* Names of its credentials. */
char **cl_provider_keys(
	struct cl *c, const Openshell__Datamodel__V1__Provider *p, size_t *ret_count);
/* RFC 3339, or milliseconds since 1970; dies. */
int64_t cl_time_ms(struct cl *c, const char *text);
