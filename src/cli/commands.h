/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands.h - the commands of cove, one file each
 */
#pragma once
#include "cli/options.h"

extern const struct cv_command cv_cmd_run;            /* cmd_run.c */
extern const struct cv_command cv_cmd_approve;        /* cmd_approve.c */
extern const struct cv_command cv_cmd_policy_check;   /* cmd_policy_check.c */
extern const struct cv_command cv_cmd_policy_explain; /* cmd_policy_explain.c */
extern const struct cv_command cv_cmd_provider_lint;  /* cmd_provider_lint.c */
extern const struct cv_command cv_cmd_provider_show;  /* cmd_provider_show.c */
extern const struct cv_command cv_cmd_tools_lint;     /* cmd_tools_lint.c */
extern const struct cv_command cv_cmd_tools_show;     /* cmd_tools_show.c */
extern const struct cv_command cv_cmd_audit_secrets;  /* cmd_audit_secrets.c */
extern const struct cv_command cv_cmd_doctor;         /* cmd_doctor.c */

enum cv_output { CV_OUTPUT_TEXT, CV_OUTPUT_JSON };

/* -o text|json, for commands that list something. */
CV_MUST cv_code cv_option_output(const char *text, enum cv_output *ret, struct cv_err *err);
cv_code cv_option_set_output(void *output, const char *value, struct cv_err *err);

/* Reads a policy file whole, with the limits of the language: CV_NOT_FOUND, CV_INVALID (directory,
 * empty, NUL bytes, too large), CV_SYSTEM.  *ret is malloc'd. */
CV_MUST cv_code cv_policy_file_read(
	const char *path, char **ret, size_t *ret_bytes, struct cv_err *err);
