/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile_pb.h - a provider profile as the API's message, and back
 *
 * The message means what its text means (cred/profile.h): it is written as text and read again, so a
 * profile of a client is judged by the same code as a file of a user.  What the message has no
 * field for (aliases, the shape of a placeholder) only built-in profiles have here.
 */
#pragma once
#include "base/arena.h"
#include "cred/profile.h"

#include "openshell.pb-c.h"

/* Everything but resource_version, source and scope, in the arena.  CV_INVALID, CV_LIMIT. */
CV_MUST cv_code cv_profile_pb_from(const struct cv_profile *p, struct cv_arena *arena,
	Openshell__V1__ProviderProfile **ret, struct cv_err *err);
/* source: what findings call it.  CV_INVALID with findings. */
CV_MUST cv_code cv_profile_pb_load(const Openshell__V1__ProviderProfile *m, struct cv_str source,
	struct cv_profile **ret, struct cv_findings *findings);
