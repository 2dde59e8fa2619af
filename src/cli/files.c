/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.c - see files.h
 */
#include "cli/files.h"

#include "ipc/frame.h"
#include "policy/findings.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#define OUTPUT_BYTES_MAX (16u << 20) /* every finding of every file of one call */

struct files_options {
	enum cv_output output;
};

const struct cv_option cv_files_options[1] = {
	{ "output", 'o', "text|json", "how to print the findings", cv_option_set_output,
		offsetof(struct files_options, output) },
};

cv_code cv_file_read(
	const char *path, size_t max, char **ret, size_t *ret_bytes, struct cv_err *err)
{
	/* non-blocking, so that a FIFO is refused instead of waited for */
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return cv_fail(err, CV_NOT_FOUND, "%s: there is no such file", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cv_fail_errno(err, "%s", path);
	if (!S_ISREG(st.st_mode))
		return cv_fail(err, CV_INVALID, "%s: not a regular file", path);
	if (cv_ipc_fd_read_all(fd, max, ret, ret_bytes, err) != CV_OK)
		return cv_wrap(err, "%s", path);
	return CV_OK;
}

struct run {
	const struct cv_files_judge *judge;
	enum cv_output output;
	struct cv_buf out;
	size_t errors;
};

/* Judges one file and appends what was found. */
static cv_code judge_one(struct run *r, const char *path, struct cv_err *err)
{
	struct cv_findings findings;
	size_t n = 0;
	char *text = NULL;

	const cv_code code = r->judge->read(path, &text, &n, err);
	if (code != CV_OK)
		return code;
	cv_findings_init(&findings);
	r->judge->judge(path, (struct cv_str){ text, n }, &findings);
	if (r->output == CV_OUTPUT_JSON)
		cv_findings_json(&findings, cv_str_of(path), &r->out);
	else
		cv_findings_text(&findings, cv_str_of(path), &r->out);
	if (r->output == CV_OUTPUT_TEXT && !findings.n)
		cv_buf_printf(&r->out, "%s: ok\n", path);
	r->errors += findings.error_count;
	cv_findings_fini(&findings);
	free(text);
	return CV_OK;
}

/* As JSON, what was found is a list, and a list that is not whole is not printed. */
static int judge_all(struct run *r, const struct cv_command *self, int argc, char **argv)
{
	const bool is_json = r->output == CV_OUTPUT_JSON;
	struct cv_err err = { 0 };
	int status = 0;

	cv_buf_put(&r->out, is_json ? CV_STR("[") : CV_STR_NONE);
	for (int i = 0; i < argc && !status; i++) {
		cv_buf_put(&r->out, is_json && i ? CV_STR(",") : CV_STR_NONE);
		if (judge_one(r, argv[i], &err) != CV_OK)
			status = cv_command_fail(self, &err);
	}
	cv_buf_put(&r->out, is_json ? CV_STR("]\n") : CV_STR_NONE);
	if (!status || !is_json)
		fwrite(cv_buf_str(&r->out).p, 1, cv_buf_len(&r->out), stdout);
	return status ? status : r->errors != 0;
}

int cv_files_run(
	const struct cv_command *self, const struct cv_files_judge *judge, int argc, char **argv)
{
	struct files_options o = { 0 };
	struct cv_err err = { 0 };
	int first, status;

	if (!cv_command_begin(self, argc, argv, &o, &first, &status))
		return status;
	if (first >= argc) {
		(void)cv_fail(&err, CV_INVALID, "%s", judge->missing);
		return cv_command_fail(self, &err);
	}
	struct run r = { .judge = judge, .output = o.output };
	cv_buf_init(&r.out, OUTPUT_BYTES_MAX);
	status = judge_all(&r, self, argc - first, argv + first);
	cv_buf_fini(&r.out);
	return status;
}
