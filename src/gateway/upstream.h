/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream.h - what the configuration says of names and authorities upstream
 */
#pragma once
#include "gateway/gateway.h"
#include "plan/spec.h"

/* Of `resolve`, in the arena.  CV_INVALID. */
CV_MUST cv_code cv_gw_upstream_pins(const struct cv_gw_config *c, struct cv_arena *arena,
	const struct cv_spec_pin **ret, size_t *ret_n, struct cv_err *err);
