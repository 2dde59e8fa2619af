/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim.h - may a sandbox that stands become the one that a plan describes?
 */
#pragma once
#include "plan/plan.h"

/* Directories and files that a spare may lack: its supervisor makes them when it is claimed. */
bool cv_plan_claim_makes(const struct cv_plan_op *op);

/* Operations that hold the sandbox's name: what they made is made again. */
bool cv_plan_claim_renames(const struct cv_plan_op *op);

/* Appends what two plans must have in common. */
CV_MUST cv_code cv_plan_shape(
	const struct cv_plan *plan, struct cv_arena *arena, struct cv_buf *out, struct cv_err *err);

/* CV_INVALID: spare is none, or has another shape. */
CV_MUST cv_code cv_plan_claim_check(const struct cv_plan *spare, const struct cv_plan *plan,
	struct cv_arena *arena, struct cv_err *err);
