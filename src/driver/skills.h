/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skills.h - what agents read of where they are: the files of skills/, compiled in
 */
#pragma once

struct cv_driver_skill {
	const char *id, *text;
	unsigned long bytes;
};

extern const struct cv_driver_skill cv_driver_skills[]; /* policy_advisor */
extern const unsigned long cv_driver_skills_count;
