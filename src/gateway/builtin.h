/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builtin.h - the provider profiles of profiles/, compiled in
 */
#pragma once

struct cv_gw_builtin {
	const char *id, *text;
	unsigned long bytes;
};

extern const struct cv_gw_builtin cv_gw_builtin[];
extern const unsigned long cv_gw_builtin_count;
