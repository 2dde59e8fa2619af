/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builtin.h - catalogs that come along: the files of catalogs/, compiled in
 *
 * On the command line they are named (`--tools github`); in a plan, where everything else is a path,
 * they are "builtin:github".
 */
#pragma once

#define CV_BUILTIN_CATALOG_PREFIX "builtin:"

struct cv_builtin_catalog {
	const char *id, *text;
	unsigned long bytes;
};

extern const struct cv_builtin_catalog cv_builtin_catalogs[];
extern const unsigned long cv_builtin_catalogs_count;
