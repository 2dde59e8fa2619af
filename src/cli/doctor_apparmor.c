/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_apparmor.c - the profile that `cove doctor --apparmor` prints
 *
 * Ubuntu gives a user namespace no capability unless the program that makes it has a profile with
 * the word `userns`.  Two of ours make one: cove, when it looks what is there, and cove-supervisor.
 * Their profiles confine nothing (flags=(unconfined)): what runs in a sandbox is confined by the
 * sandbox.  A profile goes by path, so it speaks of the programs where they are now, and whoever may
 * write there may make user namespaces, which is what was so before Ubuntu's restriction for all.
 */
#include "cli/doctor.h"

#include "driver/host.h"

#include <limits.h>
#include <stdlib.h>

#define PATHS_BYTES_MAX (4 * PATH_MAX)

/* Characters that mean only themselves between the quotes of a profile. */
static bool is_plain(struct cv_str path)
{
	for (size_t i = 0; i < path.n; i++) {
		const char c = path.p[i], l = cv_ascii_lower(c);

		if (!(l >= 'a' && l <= 'z') && !(c >= '0' && c <= '9') && !strchr("/._-+ :~,=", c))
			return false;
	}
	return path.n > 0;
}

static cv_code profile_put(
	struct cv_buf *out, const char *name, const char *path, struct cv_err *err)
{
	char real[PATH_MAX]; /* AppArmor knows no links */

	if (!realpath(path, real))
		return cv_fail_errno(err, "%s", path);
	if (!is_plain(cv_str_of(real)))
		return cv_fail(err, CV_UNAVAILABLE,
			"%s has characters that a profile would read as a pattern; move cove",
			real);
	cv_buf_printf(out, "\nprofile %s \"%s\" flags=(unconfined) {\n\tuserns,\n}\n", name, real);
	return CV_OK;
}

cv_code doctor_apparmor_profile(struct cv_buf *out, struct cv_err *err)
{
	struct cv_arena arena;
	struct cv_str supervisor;

	cv_buf_put(out, CV_STR("# From `cove doctor --apparmor`: lets cove make user namespaces.\n"
			       "abi <abi/4.0>,\ninclude <tunables/global>\n"));
	cv_arena_init(&arena, PATHS_BYTES_MAX);
	cv_code code = profile_put(out, "cove", "/proc/self/exe", err);
	if (code == CV_OK)
		code = cv_driver_program_path(
			"supervisor", "cove-supervisor", &arena, &supervisor, err);
	if (code == CV_OK) /* an arena's text has its NUL */
		code = profile_put(out, "cove-supervisor", supervisor.p, err);
	cv_arena_fini(&arena);
	return code;
}
