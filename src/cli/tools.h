/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.h - catalogs of host tools as files
 */
#pragma once
#include "cli/files.h"
#include "tools/catalog.h"

#include <limits.h>

/* What a word of the command line means, as providers' are read (profiles.h):
 *
 *     contains /, or ends in .yaml, .yml, .json    that file
 *     NAME                                         ~/.config/cove/tools/NAME.yaml, else the catalog of
 *                                                  catalogs/ that is compiled in: "builtin:NAME"
 *
 * CV_NOT_FOUND with the nearest name. */
CV_MUST cv_code cv_catalog_word_path(const char *word, char ret[PATH_MAX], struct cv_err *err);

/* A catalog by such a path.  CV_NOT_FOUND, CV_INVALID (no regular file, too large), CV_SYSTEM.  *ret is
 * malloc'd. */
CV_MUST cv_code cv_catalog_path_read(
	const char *path, char **ret, size_t *ret_bytes, struct cv_err *err);
/* By the word itself. */
CV_MUST cv_code cv_catalog_file_read(
	const char *word, char **ret, size_t *ret_bytes, struct cv_err *err);

/* Reads a catalog and lays it into *into, which is NULL before the first.  What is wrong is printed on
 * stderr as lint has it (warnings are lint's alone); then CV_INVALID.  *into is the caller's to
 * free in either case. */
CV_MUST cv_code cv_catalog_file_load(
	const char *path, struct cv_catalog **into, struct cv_err *err);
