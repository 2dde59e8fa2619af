/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_policy_check.c - `cove policy check FILE...`: is it a policy, and would it run here?
 *
 * Loads, validates and compiles each file exactly as `cove run` does.  What is valid in the
 * language but not enforced by this build is a warning here and an error when it is run.  Findings go to stdout, one
 * line each, so that editors and CI can read them; the exit status is 0 when no file has an error
 * and 1 otherwise (2 for wrong words, 125 when a file can't be read).
 */
#include "cli/commands.h"

#include "policy/findings.h"
#include "policy/policy.h"

#include <stdlib.h>

#define OUTPUT_BYTES_MAX (16u << 20) /* every finding of every file of one call */

struct check_options {
	enum cv_output output;
};

static cv_code set_output(void *into, const char *value, struct cv_err *err)
{
	struct check_options *o = into;

	return cv_option_output(value, &o->output, err);
}

static const struct cv_option option[] = {
	{ "output", 'o', "text|json", "how to print the findings", set_output },
};

/* What can't be run yet is no fault of the policy. */
static void enforceable_warn(const struct cv_policy_doc *doc, struct cv_findings *f)
{
	const size_t before = f->n;

	(void)!cv_policy_enforceable(doc, f);
	for (size_t i = before; i < f->n; i++)
		f->v[i].is_error = false;
	f->error_count = 0;
}

/* Checks one file and appends what was found; *ret_errors grows by its errors. */
static cv_code check_one(const struct check_options *o, const char *path, struct cv_buf *out,
	size_t *ret_errors, struct cv_err *err)
{
	struct cv_policy *policy = NULL;
	struct cv_findings findings;
	size_t n = 0;
	char *text = NULL;

	const cv_code code = cv_policy_file_read(path, &text, &n, err);
	if (code != CV_OK)
		return code;
	cv_findings_init(&findings);
	if (cv_policy_open(cv_str_of(path), (struct cv_str){ text, n }, &policy, &findings) ==
		CV_OK)
		enforceable_warn(cv_policy_doc(policy), &findings);
	if (o->output == CV_OUTPUT_JSON)
		cv_findings_json(&findings, cv_str_of(path), out);
	else
		cv_findings_text(&findings, cv_str_of(path), out);
	if (o->output == CV_OUTPUT_TEXT && !findings.n)
		cv_buf_printf(out, "%s: ok\n", path);
	*ret_errors += findings.error_count;
	cv_policy_unref(policy);
	cv_findings_fini(&findings);
	free(text);
	return CV_OK;
}

static int check_run(const struct cv_command *self, int argc, char **argv)
{
	struct check_options o = { 0 };
	struct cv_err err = { 0 };
	bool wants_help;
	size_t errors = 0;
	struct cv_buf out;
	int first, status = 0;

	if (cv_options_parse(self, argc, argv, &o, &first, &wants_help, &err) != CV_OK)
		return cv_command_fail(self, &err);
	if (wants_help) {
		cv_command_help(self, stdout);
		return 0;
	}
	if (first >= argc) {
		(void)cv_fail(&err, CV_INVALID, "name the policy file to check");
		return cv_command_fail(self, &err);
	}
	cv_buf_init(&out, OUTPUT_BYTES_MAX);
	if (o.output == CV_OUTPUT_JSON)
		cv_buf_put_byte(&out, '[');
	for (int i = first; i < argc; i++) {
		if (o.output == CV_OUTPUT_JSON && i > first)
			cv_buf_put_byte(&out, ',');
		if (check_one(&o, argv[i], &out, &errors, &err) != CV_OK) {
			status = cv_command_fail(self, &err);
			break;
		}
	}
	if (o.output == CV_OUTPUT_JSON)
		cv_buf_put(&out, CV_STR("]\n"));
	fwrite(cv_buf_str(&out).p, 1, status && o.output == CV_OUTPUT_JSON ? 0 : cv_buf_len(&out),
		stdout);
	cv_buf_fini(&out);
	return status ? status : errors != 0;
}

const struct cv_command cv_cmd_policy_check = {
	.name = "policy check",
	.operands = "FILE...",
	.summary = "say whether policies are valid, and where they are not",
	.options = option,
	.option_count = CV_ARRAY_LEN(option),
	.run = check_run,
};
