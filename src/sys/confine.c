/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine.c - see confine.h
 */
#include "sys/confine.h"

#include "sys/landlock.h"
#include "sys/proc.h"

cv_code cv_confine_fileless(enum cv_seccomp_profile profile, struct cv_err *err)
{
	cv_code code = cv_proc_no_new_privs_set(err);

	if (code != CV_OK)
		return code;
	const struct cv_landlock_caps caps = cv_landlock_probe();
	if (caps.abi > 0)
		code = cv_landlock_deny_files(caps, err);
	return code == CV_OK ? cv_seccomp_install(profile, NULL, err) : code;
}
