/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assert.c - the one global of base: the hook that a failing assertion calls
 */
#include "base/assert.h"

#include <stdlib.h>

static cv_assert_hook *hook_current;

void cv_assert_hook_set(cv_assert_hook *hook)
{
	hook_current = hook;
}

void cv_assert_fail(const char *kind, const char *expr, const char *file, int line)
{
	cv_assert_hook *hook = hook_current;

	hook_current = NULL; /* an assertion inside the hook must not recurse */
	if (hook)
		hook(kind, expr, file, line);
	abort();
}
