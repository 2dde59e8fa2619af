/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self.c - see self.h
 */
#include "broker/self.h"

#include "base/attr.h"
#include "base/str.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As the launcher finds us: beside, installed, or in a build tree. */
bool self_find(char *ret, size_t size)
{
	static const char *const place[] = { "", "../../bin/", "../cli/", "../bin/" };
	char self[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self));

	if (n <= 0 || (size_t)n == sizeof(self))
		return false;
	const int dir = (int)cv_str_rfind_byte((struct cv_str){ self, (size_t)n }, '/');
	for (size_t i = 0; i < CV_ARRAY_LEN(place); i++) {
		char path[PATH_MAX + 32];

		snprintf(path, sizeof(path), "%.*s/%scove", dir, self, place[i]);
		if (access(path, X_OK) == 0 && strlen(path) < size) {
			snprintf(ret, size, "%s", path);
			return true;
		}
	}
	return false;
}
