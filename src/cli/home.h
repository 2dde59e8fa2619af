/* SPDX-License-Identifier: Apache-2.0 */
/*
 * home.h - where a user's own files are (XDG Base Directory Specification)
 */
#pragma once
#include "base/err.h"

#include <stddef.h>

/* The variable's directory where that is absolute, else `fallback` below HOME; and `rest` below it.
 * CV_NOT_FOUND: neither names one; CV_LIMIT: too long. */
CV_MUST cv_code cv_home_path(const char *variable, const char *fallback, const char *rest,
	char *ret, size_t bytes, struct cv_err *err);
