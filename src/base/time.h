/* SPDX-License-Identifier: Apache-2.0 */
/*
 * time.h - dates as text, by arithmetic alone
 *
 * Time is milliseconds since 1970 UTC without leap seconds, in an int64_t that callers get from
 * their own clock.  No time zone data and no libc call: the same value gives the same text.
 */
#pragma once
#include "base/str.h"

#define CV_TIME_TEXT_BYTES 25                  /* "2026-11-21T11:52:34.123Z" and NUL */
#define CV_TIME_MS_MIN     (-62167219200000LL) /* 0000-01-01T00:00:00.000Z */
#define CV_TIME_MS_MAX     253402300799999LL   /* 9999-12-31T23:59:59.999Z */

struct cv_time_civil {
	int year, month, day; /* month and day from 1 */
	int hour, minute, second, ms;
};

/* ms is clipped to the years 0 to 9999, which RFC 3339 can write. */
struct cv_time_civil cv_time_civil(int64_t unix_ms);

/* RFC 3339 in UTC with milliseconds; 24 characters. */
struct cv_str cv_time_format(int64_t unix_ms, char text[CV_TIME_TEXT_BYTES]);

/* RFC 3339 with any offset; fractions below a millisecond are cut, second 60 is refused. */
CV_MUST bool cv_time_parse(struct cv_str text, int64_t *ret_unix_ms);
