/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roots.c - see roots.h
 *
 * The builder writes them while it waits for the network; where it may not read one of the files,
 * for it has no more than its own id, the supervisor writes them all, later.
 */
#include "supervisor/roots.h"

#include "supervisor/limits.h"
#include "sys/fd.h"
#include "sys/openat2.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

int ca_file_open(int layer, const char *path)
{
	return openat(layer, path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
}

static int source_open(int host, struct cv_str path)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

	if (host < 0)
		return open(path.p, flags);
	if (*path.p != '/') {
		errno = ENOENT; /* to the directory that the run was started in, which is not here */
		return -1;
	}
	return cv_openat2(host, path.p + 1, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/* By the kernel: they are 200 KiB, and of no interest here. */
static cv_code file_copy(int to, int host, struct cv_str from, size_t *bytes, struct cv_err *err)
{
	CV_AUTO_FD int fd = source_open(host, from);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return cv_fail_errno(err, "open %.*s", CV_STR_ARG(from));
	if (!S_ISREG(st.st_mode))
		return cv_fail(err, CV_INVALID, "%.*s: not a regular file", CV_STR_ARG(from));
	do {
		n = sendfile(to, fd, NULL, SUP_ROOTS_BYTES_MAX);
		*bytes += n > 0 ? (size_t)n : 0;
		if (*bytes >= SUP_ROOTS_BYTES_MAX)
			return cv_fail(err, CV_LIMIT, "%.*s: too large", CV_STR_ARG(from));
	} while (n > 0);
	*bytes += 1;
	return n < 0 || write(to, "\n", 1) != 1 ? cv_fail_errno(err, "copy %.*s", CV_STR_ARG(from))
						: CV_OK;
}

cv_code roots_write(
	const struct cv_plan *plan, int host, int layer, size_t *ret_at, struct cv_err *err)
{
	static const char filling[SUP_CA_BYTES] = { [0 ... SUP_CA_BYTES - 1] = '\n' };
	CV_AUTO_FD int fd = ca_file_open(layer, CA_BUNDLE_FILE);
	size_t bytes = 0;
	cv_code code = CV_OK;

	if (fd < 0)
		return cv_fail_errno(err, "make /%s in the sandbox", CA_BUNDLE_FILE);
	if (plan->roots.n)
		code = file_copy(fd, host, plan->roots, &bytes, err);
	for (uint32_t i = 0; code == CV_OK && i < plan->ca_count; i++)
		code = file_copy(fd, host, plan->ca_files[i], &bytes, err);
	const size_t rest = SUP_CA_BYTES - bytes % SUP_CA_BYTES;
	if (code == CV_OK && write(fd, filling, rest) != (ssize_t)rest)
		code = cv_fail_errno(err, "write /%s in the sandbox", CA_BUNDLE_FILE);
	if (code == CV_OK)
		*ret_at = bytes + rest;
	return code;
}
