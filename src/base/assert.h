/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assert.h - bugs, impossible branches and unwritten parts; never compiled out
 *
 * The three words differ in what a reader of the crash should look for.  Each calls the hook
 * that the program set at its start (which may write one audit line), then aborts; base itself
 * does no I/O.
 */
#pragma once
#include "base/attr.h"

/* Called once with the failed expression and its place; returning from it aborts. */
typedef void cv_assert_hook(const char *kind, const char *expr, const char *file, int line);

/* Sets the hook; NULL restores plain abort().  Call before any thread starts. */
void cv_assert_hook_set(cv_assert_hook *hook);

CV_NORETURN CV_COLD void cv_assert_fail(
	const char *kind, const char *expr, const char *file, int line);

#define cv_assert(e)     ((e) ? (void)0 : cv_assert_fail("assertion failed", #e, __FILE__, __LINE__))
#define cv_unreachable() cv_assert_fail("impossible branch", "reached", __FILE__, __LINE__)
