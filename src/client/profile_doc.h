/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile_doc.h - provider profiles as documents and as messages
 */
#pragma once
#include "client/client.h"

/* Reads YAML or JSON; dies. */
Openshell__V1__ProviderProfile *cl_profile_read(struct cl *c, const char *path);
/* As one value of o, in the document's own words. */
void cl_profile_out(struct cl *c, struct cl_out *o, const Openshell__V1__ProviderProfile *p);
const char *cl_profile_category(const Openshell__V1__ProviderProfile *p);
