/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.h - the files of console/, compiled in
 */
#pragma once

struct cv_gw_console_file { /* name without what is behind the dot; so no two differ in that only */
	const char *stem, *text;
	unsigned long bytes;
};

extern const struct cv_gw_console_file cv_gw_console_file[];
extern const unsigned long cv_gw_console_file_count;
