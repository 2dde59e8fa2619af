/* SPDX-License-Identifier: Apache-2.0 */
/*
 * box_file.c - see box_file.h
 */
#include "gateway/box_file.h"

#include "gateway/objects.h"
#include "gateway/state.h"
#include "sys/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#define DIRECTORY "started"

static const char *const suffix[CV_GW_BOX_FILE_COUNT] = {
	[CV_GW_BOX_ROUTES] = "routes",
	[CV_GW_BOX_TOKEN] = "token",
};

void cv_gw_box_file_path(
	enum cv_gw_box_file what, const struct cv_object *sandbox, char ret[CV_GW_BOX_FILE_BYTES])
{
	snprintf(ret, CV_GW_BOX_FILE_BYTES, DIRECTORY "/%s.%s", sandbox->id, suffix[what]);
}

cv_code cv_gw_box_file_write(const struct cv_gateway *g, enum cv_gw_box_file what,
	const struct cv_object *sandbox, struct cv_str text, struct cv_err *err)
{
	char path[CV_GW_BOX_FILE_BYTES];
	CV_AUTO_FD int dir = -1;
	const cv_code code = cv_gw_dir_open_at(g->state_fd, DIRECTORY, &dir, err);

	cv_gw_box_file_path(what, sandbox, path);
	return code == CV_OK ? cv_gw_file_put(dir, path + sizeof(DIRECTORY), text, 0600, err)
			     : code;
}

bool cv_gw_box_file_is_there(
	const struct cv_gateway *g, enum cv_gw_box_file what, const struct cv_object *sandbox)
{
	char path[CV_GW_BOX_FILE_BYTES];

	cv_gw_box_file_path(what, sandbox, path);
	return faccessat(g->state_fd, path, F_OK, 0) == 0;
}

bool cv_gw_box_file_remove(
	const struct cv_gateway *g, enum cv_gw_box_file what, const struct cv_object *sandbox)
{
	char path[CV_GW_BOX_FILE_BYTES];

	cv_gw_box_file_path(what, sandbox, path);
	return unlinkat(g->state_fd, path, 0) == 0;
}

void cv_gw_box_files_sweep(
	const struct cv_gateway *g, bool (*is_running)(void *arg, struct cv_str id), void *arg)
{
	const int fd = openat(g->state_fd, DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		const struct cv_str name = cv_str_of(e->d_name);

		/* A dot: half written, or a directory, which unlink(2) leaves alone. */
		if (name.p[0] == '.' || !is_running(arg, cv_str_slice(name, 0, CV_OBJECT_ID_BYTES)))
			(void)unlinkat(fd, e->d_name, 0);
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}
