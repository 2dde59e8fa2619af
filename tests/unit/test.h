/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test.h - what every unit test includes: cmocka and its odd prerequisites, in the right order
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

/* clang-format off */
/* Compares borrowed bytes with a literal and shows both when they differ. */
#define assert_str(got, want)                                                        \
	do {                                                                         \
		const struct cv_str got_ = (got), want_ = cv_str_of(want);           \
		if (!cv_str_eq(got_, want_))                                         \
			fail_msg("got \"%.*s\", want \"%.*s\"", CV_STR_ARG(got_),     \
				CV_STR_ARG(want_));                                  \
	} while (0)

/* Skips for what the kernel or the machine has not.  cmocka can't say a reason: run.py takes the line. */
#define skip_unavailable(reason)                           \
	do {                                               \
		print_message("# unavailable: " reason "\n"); \
		skip();                                    \
	} while (0)
/* clang-format on */
