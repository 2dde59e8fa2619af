/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.c - where an executable's path leads inside the sandbox
 *
 * A policy names /usr/bin/python3; the process is /usr/bin/python3.11.  The kernel resolves the
 * links beneath the sandbox's root, and its own name for the opened file is the answer.
 */
#include "supervisor/supervisor.h"

#include "sys/fd.h"
#include "sys/openat2.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define PATHS_MAX 1024 /* of one question; a message holds no more of any length */

static struct cv_str resolve(int root, struct cv_str path, char real[PATH_MAX])
{
	char given[PATH_MAX], link[64];

	if (!cv_str_to_cstr(path, given, sizeof(given)))
		return CV_STR_NONE;
	CV_AUTO_FD int fd =
		cv_openat2(root, given, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	if (fd < 0)
		return CV_STR_NONE;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	const ssize_t n = readlink(link, real, PATH_MAX);
	return n > 0 && n < PATH_MAX ? (struct cv_str){ real, (size_t)n } : CV_STR_NONE;
}

void resolve_answer(struct supervisor *s, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t said = cv_ipc_get_u32(&r), n = CV_MIN(said, PATHS_MAX);
	uint32_t found = 0;
	struct cv_buf pairs, b;

	cv_buf_init(&pairs, CV_IPC_BODY_BYTES_MAX - 4);
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	for (uint32_t i = 0; i < n && !r.is_bad; i++) {
		char real[PATH_MAX];
		const struct cv_str path = cv_ipc_get_str(&r);
		const struct cv_str to = resolve(s->built[CV_BUILT_ROOT], path, real);

		if (to.n && cv_ipc_put_str(&pairs, path) && cv_ipc_put_str(&pairs, to))
			found++;
	}
	cv_ipc_put_u32(&b, found);
	cv_buf_put(&b, cv_buf_str(&pairs));
	/* A proxy that is gone is seen by the end of its link. */
	if (pairs.is_overflown || cv_ipc_send(s->proxy.link, CV_PROXY_REQ_RESOLVED, cv_buf_str(&b),
					  NULL, 0, NULL) != CV_OK)
		say("paths of executables could not be resolved");
	cv_buf_fini(&pairs);
	cv_buf_fini(&b);
}
