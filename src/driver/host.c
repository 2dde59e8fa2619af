/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.c - what a plan must know about this host; it looks and changes nothing
 */
#include "driver/host.h"

#include "base/time.h"
#include "driver/git.h"
#include "plan/protected.h"
#include "sys/fd.h"
#include "sys/openat2.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

cv_code cv_driver_path_resolve(const char *what, struct cv_str path, struct cv_arena *arena,
	struct cv_str *ret, struct cv_err *err)
{
	char real[PATH_MAX], given[PATH_MAX];

	if (!cv_str_to_cstr(path, given, sizeof(given)))
		return cv_fail(err, CV_INVALID, "%s: the path is too long", what);
	if (!realpath(given, real)) {
		if (errno == ENOENT || errno == ENOTDIR)
			return cv_fail(
				err, CV_NOT_FOUND, "%s %s: there is no such path", what, given);
		return cv_fail_errno(err, "%s %s", what, given);
	}
	const struct cv_str copy = cv_arena_str(arena, cv_str_of(real));
	if (!copy.p)
		return cv_fail(err, CV_LIMIT, "no memory for the path %s", given);
	*ret = copy;
	return CV_OK;
}

enum cv_path_kind cv_driver_path_kind(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return CV_PATH_ABSENT;
	if (S_ISDIR(st.st_mode))
		return CV_PATH_DIR;
	return S_ISREG(st.st_mode) ? CV_PATH_FILE : CV_PATH_OTHER;
}

/* ---- our own programs ---- */

/* Beside us: in the build tree (../init/cove-init), or where they are installed. */
static struct cv_str program_find(
	struct cv_arena *arena, struct cv_str dir, const char *folder, const char *name)
{
	const struct cv_str candidates[] = {
		cv_arena_printf(arena, "%.*s/../%s/%s", CV_STR_ARG(dir), folder, name),
		cv_arena_printf(arena, "%.*s/../libexec/cove/%s", CV_STR_ARG(dir), name),
		cv_arena_printf(arena, "%.*s/%s", CV_STR_ARG(dir), name),
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(candidates); i++)
		if (candidates[i].p && access(candidates[i].p, X_OK) == 0)
			return candidates[i];
	return CV_STR_NONE;
}

cv_code cv_driver_program_path(const char *folder, const char *name, struct cv_arena *arena,
	struct cv_str *ret, struct cv_err *err)
{
	char self[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self));

	if (n <= 0 || n == (ssize_t)sizeof(self))
		return cv_fail_errno(err, "read /proc/self/exe");
	const struct cv_str me = { self, (size_t)n };
	const struct cv_str dir = cv_str_slice(me, 0, cv_str_rfind_byte(me, '/'));
	*ret = program_find(arena, dir, folder, name);
	return ret->p ? CV_OK
		      : cv_fail(err, CV_NOT_FOUND,
				"%s is not beside %.*s; build or install cove as a whole", name,
				CV_STR_ARG(me));
}

cv_code cv_driver_programs_find(struct cv_plan_files *files, struct cv_arena *arena,
	struct cv_str *ret_supervisor, struct cv_err *err)
{
	char self[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
	const struct {
		const char *folder, *name;
		struct cv_str *ret;
	} rows[] = {
		{ "supervisor", "cove-supervisor", ret_supervisor },
		{ "init", "cove-init", &files->exe_init },
		{ "proxy", "cove-proxy", &files->exe_proxy },
		{ "keeper", "cove-keeper", &files->exe_keeper },
		{ "courier", "cove-courier", &files->exe_courier },
		{ "broker", "cove-broker", &files->exe_broker },
	};

	if (n <= 0 || n == (ssize_t)sizeof(self))
		return cv_fail_errno(err, "read /proc/self/exe");
	const struct cv_str me = { self, (size_t)n };
	const struct cv_str dir = cv_str_slice(me, 0, cv_str_rfind_byte(me, '/'));
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		*rows[i].ret = program_find(arena, dir, rows[i].folder, rows[i].name);
		if (!rows[i].ret->p)
			return cv_fail(err, CV_NOT_FOUND,
				"%s is not beside %.*s; build or install cove as a whole",
				rows[i].name, CV_STR_ARG(me));
	}
	return CV_OK;
}

/* ---- the host ---- */

struct cv_str cv_driver_roots(void)
{
	static const char *const places[] = { "/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem" };

	for (size_t i = 0; i < CV_ARRAY_LEN(places); i++)
		if (access(places[i], R_OK) == 0)
			return cv_str_of(places[i]);
	return CV_STR_NONE;
}

/* The fixed list, and what this repository's own configuration names. */
static cv_code protected_find(struct cv_run_spec *s, struct cv_arena *arena, struct cv_err *err)
{
	struct cv_str more[CV_DRIVER_GIT_PATHS_MAX];
	const size_t more_count = cv_driver_git_paths(s->workdir, arena, more);
	struct cv_spec_path *v =
		cv_arena_array(arena, cv_protected_row_count + more_count, sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; v && i < cv_protected_row_count; i++) {
		const char *path = cv_protected_row[i].path;
		const struct cv_str whole =
			cv_arena_printf(arena, "%.*s/%s", CV_STR_ARG(s->workdir), path);
		const enum cv_path_kind kind =
			whole.p ? cv_driver_path_kind(whole.p) : CV_PATH_ABSENT;

		/* git must be able to write into its own directory */
		if (kind != CV_PATH_DIR || strcmp(path, ".git") != 0)
			v[n++] = (struct cv_spec_path){ .path = whole, .kind = kind };
	}
	for (size_t i = 0; v && i < more_count; i++)
		v[n++] = (struct cv_spec_path){ .path = more[i],
			.kind = more[i].p ? cv_driver_path_kind(more[i].p) : CV_PATH_ABSENT };
	if (arena->is_overflown)
		return cv_fail(err, CV_LIMIT, "no memory for the protected paths");
	s->protected_paths = v;
	s->protected_count = n;
	return CV_OK;
}

struct cv_str cv_driver_shell(struct cv_str rootfs_dir)
{
	static const char *const shells[] = { "/bin/bash", "/bin/sh" };
	char dir[PATH_MAX];

	if (!rootfs_dir.n || !cv_str_to_cstr(rootfs_dir, dir, sizeof(dir)))
		return cv_str_of(shells[0]);
	CV_AUTO_FD int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; root >= 0 && i < CV_ARRAY_LEN(shells); i++) {
		CV_AUTO_FD int fd = cv_openat2(root, shells[i], O_PATH | O_CLOEXEC,
			RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
		if (fd >= 0)
			return cv_str_of(shells[i]);
	}
	return CV_STR_NONE;
}

cv_code cv_driver_host_fill(struct cv_run_spec *s, struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_err *err)
{
	char text[CV_TIME_TEXT_BYTES];

	s->host_uid = geteuid();
	s->host_gid = getegid();
	s->is_host_root = s->host_uid == 0;
	s->shell = cv_driver_shell(s->rootfs_dir);
	s->has_merged_usr = cv_driver_path_kind("/bin") == CV_PATH_OTHER;
	s->date = cv_arena_str(
		arena, cv_str_slice(cv_time_format((int64_t)time(NULL) * 1000, text), 0, 10));
	files->roots = cv_driver_roots();
	return s->include_workdir && s->has_workdir_protection ? protected_find(s, arena, err)
							       : CV_OK;
}
