/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - time that only goes on, for deadlines: clock_gettime(2)
 */
#pragma once
#include <stdint.h>
#include <time.h>

static inline int64_t cv_clock_us(void) /* CLOCK_MONOTONIC */
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline int64_t cv_clock_ms(void) /* CLOCK_MONOTONIC */
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
