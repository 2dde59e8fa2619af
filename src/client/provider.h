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

/* gcloud's application-default credentials (adc.c); all die.  Read, before anything is asked for; the
 * credential of the type's profile that they are for; the provider's renewal, or no provider. */
struct cl_adc {
	Openshell__V1__ConfigureProviderRefreshRequest request;
	const char *strategy_name;
};
void cl_adc_read(struct cl *c, struct cl_adc *ret);
void cl_adc_match(struct cl *c, struct cl_adc *a, const char *type);
void cl_adc_configure(struct cl *c, struct cl_adc *a, const char *provider);

/* RFC 3339, or milliseconds since 1970; dies. */
int64_t cl_time_ms(struct cl *c, const char *text);
