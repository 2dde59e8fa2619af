/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - a request as plain data: what signing looks at and what a renewal asks for
 *
 * Everything is borrowed; who fills one says from where.
 */
#pragma once
#include "base/str.h"

struct cv_cred_header {
	struct cv_str name, value; /* value without outer blanks */
};

/* The value of the first header of that name (any case), CV_STR_NONE if there is none. */
static inline struct cv_str cv_cred_header_get(
	const struct cv_cred_header *headers, size_t count, struct cv_str name)
{
	for (size_t i = 0; i < count; i++)
		if (cv_str_eq_nocase(headers[i].name, name))
			return headers[i].value;
	return CV_STR_NONE;
}
