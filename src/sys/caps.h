/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caps.h - giving up every capability, for good
 */
#pragma once
#include "base/err.h"

/* Empties the bounding, ambient, inheritable, permitted and effective sets of this thread and
 * reads them back.  CV_SYSTEM; CV_DENIED when one stayed. */
CV_MUST cv_code cv_caps_drop_all(struct cv_err *err);

/* Empties this thread's own sets, which everybody may.  Enough for a process that executes nothing
 * from then on; the bounding set stays.  CV_SYSTEM. */
CV_MUST cv_code cv_caps_drop_own(struct cv_err *err);
