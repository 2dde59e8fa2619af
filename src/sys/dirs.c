/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirs.c - see dirs.h
 */
#include "sys/dirs.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

cv_code cv_dirs_make(const char *path, struct cv_err *err)
{
	char text[PATH_MAX];
	const size_t n = strlen(path);

	if (path[0] != '/' || n >= sizeof(text))
		return cv_fail(
			err, CV_INVALID, "'%s' is not an absolute path of usual length", path);
	memcpy(text, path, n + 1);
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		text[i] = '\0';
		if (mkdir(text, 0700) < 0 && errno != EEXIST)
			return cv_fail_errno(err, "make %s", text);
		text[i] = path[i];
	}
	return CV_OK;
}
