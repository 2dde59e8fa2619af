/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.c - errors by value; see err.h for the manner
 */
#include "base/err.h"

#include "base/assert.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CODE_ROW(name, exit, http, grpc) [CV_##name] = { #name, exit, http, grpc },
static const struct cv_code_row code_row[] = { CV_CODES(CODE_ROW) };

const struct cv_code_row *cv_code_row(cv_code code)
{
	cv_assert(code < CV_CODE_COUNT);
	return &code_row[code];
}

CV_PRINTF(4, 0)
static void err_fill(struct cv_err *err, cv_code code, int sys, const char *fmt, va_list ap)
{
	if (!err)
		return;
	err->code = code;
	err->sys = sys;
	int n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	if (sys && n >= 0 && (size_t)n < sizeof(err->msg))
		snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s", strerror(sys));
}

cv_code cv_fail(struct cv_err *err, cv_code code, const char *fmt, ...)
{
	va_list ap;

	cv_assert(code != CV_OK);
	va_start(ap, fmt);
	err_fill(err, code, 0, fmt, ap);
	va_end(ap);
	return code;
}

cv_code cv_fail_errno(struct cv_err *err, const char *fmt, ...)
{
	const int sys = errno;
	va_list ap;

	va_start(ap, fmt);
	err_fill(err, CV_SYSTEM, sys, fmt, ap);
	va_end(ap);
	return CV_SYSTEM;
}

cv_code cv_wrap(struct cv_err *err, const char *fmt, ...)
{
	const struct cv_err inner = *err;
	const int room = (int)sizeof(err->msg) - (int)sizeof(": ");
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	if (n >= 0 && n <= room)
		snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %.*s", room - n, inner.msg);
	return inner.code;
}
