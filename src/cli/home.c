/* SPDX-License-Identifier: Apache-2.0 */
/*
 * home.c - see home.h
 */
#include "cli/home.h"

#include <stdio.h>
#include <stdlib.h>

cv_code cv_home_path(const char *variable, const char *fallback, const char *rest, char *ret,
	size_t bytes, struct cv_err *err)
{
	const char *base = getenv(variable), *home = getenv("HOME");
	int n;

	if (base && base[0] == '/')
		n = snprintf(ret, bytes, "%s/%s", base, rest);
	else if (home && home[0] == '/')
		n = snprintf(ret, bytes, "%s/%s/%s", home, fallback, rest);
	else
		return cv_fail(
			err, CV_NOT_FOUND, "neither %s nor HOME is an absolute path", variable);
	return n > 0 && (size_t)n < bytes ? CV_OK
					  : cv_fail(err, CV_LIMIT, "%s is too long", variable);
}
