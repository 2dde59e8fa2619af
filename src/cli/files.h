/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.h - commands that judge files: `policy check`, `provider lint`, `tools lint`
 *
 * Findings go to stdout, one line each (or as JSON), so that editors and CI can read them; the exit
 * status is 0 when no file has an error and 1 otherwise (2 for wrong words, 125 when a file can't
 * be read).
 */
#pragma once
#include "cli/commands.h"

#include "policy/policy.h"

struct cv_files_judge {
	/* NUL behind the text; *ret is malloc'd. */
	cv_code (*read)(const char *path, char **ret, size_t *ret_bytes, struct cv_err *err);
	/* Puts all that is wrong with the file into findings. */
	void (*judge)(const char *path, struct cv_str text, struct cv_findings *findings);
	const char *missing; /* "name the file to check" */
};

/* -o, the option of all of them. */
extern const struct cv_option cv_files_options[1];

/* The whole command; returns its exit status. */
int cv_files_run(
	const struct cv_command *self, const struct cv_files_judge *judge, int argc, char **argv);

/* A regular file of at most max bytes: CV_NOT_FOUND, CV_INVALID, CV_SYSTEM.  *ret is malloc'd. */
CV_MUST cv_code cv_file_read(
	const char *path, size_t max, char **ret, size_t *ret_bytes, struct cv_err *err);
