/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caps.h - giving up every capability, for good
 */
#pragma once
#include "base/err.h"

/* Empties the bounding, ambient, inheritable, permitted and effective sets of this thread and
 * reads them back.  CV_SYSTEM; CV_DENIED when one stayed. */
CV_MUST cv_code cv_caps_drop_all(struct cv_err *err);
