/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_file.c - a policy file from disk, refused early when it can't be one
 */
#include "cli/commands.h"

#include "ipc/frame.h"
#include "policy/limits.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

cv_code cv_policy_file_read(const char *path, char **ret, size_t *ret_bytes, struct cv_err *err)
{
	/* non-blocking, so that a FIFO is refused instead of waited for */
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return cv_fail(err, CV_NOT_FOUND, "policy %s: there is no such file", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cv_fail_errno(err, "policy %s", path);
	if (S_ISDIR(st.st_mode))
		return cv_fail(err, CV_INVALID, "policy %s: is a directory, not a file", path);
	if (cv_ipc_fd_read_all(fd, CV_POLICY_FILE_BYTES_MAX, ret, ret_bytes, err) != CV_OK)
		return cv_wrap(err, "policy %s", path);
	return CV_OK;
}

cv_code cv_option_output(const char *text, enum cv_output *ret, struct cv_err *err)
{
	if (cv_str_eq(cv_str_of(text), CV_STR("json")))
		*ret = CV_OUTPUT_JSON;
	else if (cv_str_eq(cv_str_of(text), CV_STR("text")))
		*ret = CV_OUTPUT_TEXT;
	else
		return cv_fail(err, CV_INVALID, "'%s' is neither text nor json", text);
	return CV_OK;
}

cv_code cv_option_set_output(void *output, const char *value, struct cv_err *err)
{
	return cv_option_output(value, output, err);
}
