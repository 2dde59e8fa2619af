/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine.h - how a process of ours that opens nothing gives up the files it could have opened
 */
#pragma once
#include "base/err.h"
#include "sys/seccomp.h"

/* For good, before the first hostile byte is read: no new privileges, Landlock without a single file,
 * and the profile's filter.  Where the kernel has no Landlock, the filter alone keeps files shut.
 * The codes of cv_proc_no_new_privs_set(), cv_landlock_deny_files() and cv_seccomp_install(). */
CV_MUST cv_code cv_confine_fileless(enum cv_seccomp_profile profile, struct cv_err *err);
