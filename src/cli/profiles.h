/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profiles.h - which provider a word of the command line means
 *
 *     contains /, or ends in .yaml, .yml, .json    that file: an instance, or a profile
 *     NAME                                         ~/.config/cove/profiles/NAME.yaml, else the
 *                                                  built-in profile of that id or alias
 *
 * Built-in profiles are the files of profiles/, compiled in.
 */
#pragma once
#include "cred/instance.h"
#include "cred/profile.h"

struct cv_builtin_profile {
	const char *id, *text;
	unsigned long bytes;
};

extern const struct cv_builtin_profile cv_builtin_profiles[];
extern const unsigned long cv_builtin_profiles_count;

/* A provider as somebody named it.  instance is NULL where the word means a profile. */
struct cv_provider_found {
	struct cv_profile *profile;
	struct cv_instance *instance;
	char *path;         /* of the file that was named; NULL for a name */
	char *profile_from; /* "built-in", or the profile's file */
};

void cv_provider_found_fini(struct cv_provider_found *found);

bool cv_provider_is_file(const char *word);

/* Finds, reads and judges.  Findings (warnings too) are printed on stderr unless is_quiet; one that
 * is an error makes CV_INVALID.  CV_NOT_FOUND with the nearest name; CV_DENIED for an instance file
 * that others may read. */
CV_MUST cv_code cv_provider_find(
	const char *word, bool is_quiet, struct cv_provider_found *ret, struct cv_err *err);

/* Reads a small file whole; *ret is malloc'd. */
CV_MUST cv_code cv_provider_file_read(
	const char *path, char **ret, size_t *ret_n, struct cv_err *err);
/* What is not absolute is meant from the directory of `from` (NULL: from here); ~/ is $HOME.
 * malloc'd, NULL when memory is out. */
char *cv_provider_path(const char *path, const char *from);

/* Every profile that a name can mean: built-in, then the user's own that are no built-in's.  each()
 * is called with what cv_provider_find() would give for it. */
typedef cv_code cv_provider_each_fn(const struct cv_provider_found *found, void *arg);
CV_MUST cv_code cv_provider_each(cv_provider_each_fn *each, void *arg, struct cv_err *err);
