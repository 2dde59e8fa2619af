/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - the two clocks: clock_gettime(2)
 *
 * The monotonic one only goes on: for deadlines and durations.  The other is the calendar's, which
 * people and time servers set: for what is written down, and for what expires at a date.
 */
#pragma once
#include <stdint.h>
#include <time.h>

static inline struct timespec cv_clock_read(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t;
}

static inline int64_t cv_clock_us(void) /* monotonic */
{
	const struct timespec t = cv_clock_read(CLOCK_MONOTONIC);

	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline int64_t cv_clock_ms(void) /* monotonic */
{
	const struct timespec t = cv_clock_read(CLOCK_MONOTONIC);

	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline int64_t cv_clock_unix_ms(void) /* since 1970 */
{
	const struct timespec t = cv_clock_read(CLOCK_REALTIME);

	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline int64_t cv_clock_unix_s(void) /* since 1970 */
{
	return cv_clock_read(CLOCK_REALTIME).tv_sec;
}
