/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance.h - a provider of one user: which profile, and where each value comes from
 *
 *     name: work-github            # default: the profile's id
 *     profile: github              # an id, or a path (relative: to this file)
 *     credentials:
 *       token: {file: ~/.secrets/github, expires: 2027-01-31T00:00:00Z}
 *     refresh:
 *       token: {command: [/usr/local/bin/mint-token]}
 *     config:
 *       GITHUB_API_URL: https://api.github.com
 *
 * A value comes from a variable (env), a file, a descriptor (fd) or a command of the host; it
 * never stands here, and so never in a file that somebody commits.
 *
 * Ownership: everything belongs to the instance's arena.
 */
#pragma once
#include "cred/profile.h"

struct cv_instance_source {        /* exactly one of env, file, fd, command */
	struct cv_policy_text key; /* a credential's name, a variable, or a material's name */
	struct cv_policy_text env, file, expires;
	struct cv_policy_texts command;
	int64_t fd;
	bool has_fd;
	int64_t expires_s; /* of `expires`, seconds since 1970; 0: not said */
};

struct cv_instance_refresh {
	struct cv_policy_text key; /* a credential's name */
	struct cv_policy_text strategy_text;
	enum cv_profile_strategy strategy; /* NONE: the profile's */
	struct cv_policy_texts command;    /* strategy command: what prints token and expiry */
	struct cv_instance_source *materials;
	size_t material_count;
};

struct cv_instance {
	struct cv_arena arena;
	struct cv_str file;
	struct cv_policy_text name, profile;
	struct cv_instance_source *credentials;
	size_t credential_count;
	struct cv_instance_refresh *refreshes;
	size_t refresh_count;
	struct cv_fill_pair *config;
	size_t config_count;
};

/* Whether text looks like an instance: a mapping with `profile` and without `id`. */
bool cv_instance_is_one(struct cv_str text);

/* Reads and judges text (borrowed), by itself; whether it fits its profile is asked when both are
 * there.  CV_INVALID when there are errors (*ret is then NULL). */
CV_MUST cv_code cv_instance_load(struct cv_str file, struct cv_str text, struct cv_instance **ret,
	struct cv_findings *findings);
void cv_instance_free(struct cv_instance *instance); /* NULL is fine */

/* Whether each name in instance is one of profile's; a profile without credentials takes any
 * variable. */
CV_MUST cv_code cv_instance_fits(const struct cv_instance *instance,
	const struct cv_profile *profile, struct cv_findings *findings);

const struct cv_instance_source *cv_instance_source_find(
	const struct cv_instance *instance, struct cv_str key); /* NULL: none */
const struct cv_instance_refresh *cv_instance_refresh_find(
	const struct cv_instance *instance, struct cv_str key);
