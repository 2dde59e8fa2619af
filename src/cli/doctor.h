/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.h - what `cove doctor` prints besides its report
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* A profile for /etc/apparmor.d that lets our programs, where they are now, make user namespaces.
 * CV_NOT_FOUND, CV_UNAVAILABLE: a path of ours that AppArmor would read as a pattern. */
CV_MUST cv_code doctor_apparmor_profile(struct cv_buf *out, struct cv_err *err);
