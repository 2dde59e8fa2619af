/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin.h - an address that is taken for a name, as people write it: HOST:PORT:ADDRESS
 */
#pragma once
#include "base/err.h"
#include "plan/spec.h"

/* As in curl; an IPv6 address may stand in brackets.  Borrows from text.  CV_INVALID. */
CV_MUST cv_code cv_driver_pin_parse(
	struct cv_str text, struct cv_spec_pin *ret, struct cv_err *err);
