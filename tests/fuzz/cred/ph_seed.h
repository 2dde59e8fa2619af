/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ph_seed.h - the placeholders and values that the targets of this folder share
 */
#pragma once
#include "base/assert.h"
#include "cred/placeholder.h"

static const struct cv_ph_entry ph_entries[] = {
	{ CV_STR("KEY"), CV_STR("openshell:resolve:env:KEY") },
	{ CV_STR("KEY_2"), CV_STR("openshell:resolve:env:v3_KEY_2") },
	{ CV_STR("GH"), CV_STR("ghp_0123456789abcdefghijABCDEFGHIJ012345") },
	{ CV_STR("AWS"), CV_STR("AKIAQQQQQQQQQQQQQQQQ") },
};

static const struct cv_str ph_values[] = { CV_STR("s3cret"), CV_STR("a&b=c%;\"x"),
	CV_STR("t\xc3\xb6ken"), CV_STR("/+=") };

/* One set for the life of the process. */
static inline const struct cv_ph_set *ph_set(void)
{
	static struct cv_arena arena;
	static struct cv_ph_set set;

	if (!set.nodes) {
		cv_arena_init(&arena, 1 << 20);
		cv_assert(cv_ph_set_compile(&set, ph_entries, CV_ARRAY_LEN(ph_entries), &arena,
				  NULL) == CV_OK);
	}
	return &set;
}
