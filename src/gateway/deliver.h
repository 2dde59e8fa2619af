/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deliver.h - providers of sandboxes that run: what changed is handed over, in order
 *
 *     attach, detach, an update, a renewal, a profile, a route of inference.local
 *         --> revision differs from what the supervisor has
 *         --> LAYER, POLICY, ROUTES, CREDENTIALS --> CREDENTIALS_LOADED
 *
 * The revision is a function of what is attached and of its versions, so that a gateway that comes
 * back computes the same.  Commands that are started while a set is on its way wait for it, and get
 * the variables of the set that is there.
 */
#pragma once
#include "gateway/sandbox.h"

struct cv_gw_attached;

/* Of what is attached now; 0: nothing. */
uint64_t cv_gw_env_revision(const struct cv_gateway *g, const struct cv_object *sandbox);

/* What is attached now, with the sandbox's present policy (cv_gw_providers_compose()). */
CV_MUST cv_code cv_gw_attached_compose(struct cv_gw_box *b, struct cv_arena *arena,
	struct cv_gw_attached *ret, struct cv_err *err);

/* Its supervisor is about to be started with this. */
void cv_gw_env_given(struct cv_gw_box *b);

/* Something is on its way, and new commands had better wait for it. */
bool cv_gw_env_is_pending(const struct cv_gw_box *b);
/* KEY=VALUE for new commands, besides what the sandbox was started with. */
const struct cv_str *cv_gw_env_of(const struct cv_gw_box *b, size_t *ret_n);
