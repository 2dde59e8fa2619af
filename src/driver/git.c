/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git.c - a look into .git, as git-config(1) and gitrepository-layout(5) describe it
 *
 * Not a parser of git's configuration: it finds the two keys that name files, errs on the side of
 * protecting more, and takes no more than CV_DRIVER_GIT_PATHS_MAX of them.
 */
#include "driver/git.h"

#include "ipc/frame.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>

#define FILE_BYTES_MAX (1u << 20) /* a repository's configuration; larger is no configuration */

struct paths {
	struct cv_str workdir;
	struct cv_arena *arena;
	struct cv_str *v;
	size_t n;
};

static struct cv_str file_text(const char *path, char **ret_memory)
{
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	size_t n = 0;

	*ret_memory = NULL;
	if (fd < 0 || cv_ipc_fd_read_all(fd, FILE_BYTES_MAX, ret_memory, &n, NULL) != CV_OK)
		return CV_STR_NONE;
	return (struct cv_str){ *ret_memory, n };
}

/* Keeps dir/name, links resolved, if it is there and below the working directory. */
static void path_add(struct paths *p, struct cv_str dir, struct cv_str name)
{
	const bool is_absolute = cv_str_has_prefix(name, CV_STR("/"));
	const struct cv_str joined = is_absolute ? cv_arena_str(p->arena, name)
						 : cv_arena_printf(p->arena, "%.*s/%.*s",
							   CV_STR_ARG(dir), CV_STR_ARG(name));
	char *real = joined.p && name.n ? realpath(joined.p, NULL) : NULL;
	const struct cv_str path = cv_str_of(real);

	if (p->n < CV_DRIVER_GIT_PATHS_MAX && path.n > p->workdir.n + 1 &&
		cv_str_has_prefix(path, p->workdir) && path.p[p->workdir.n] == '/')
		p->v[p->n++] = cv_arena_str(p->arena, path);
	free(real);
}

/* The value in `key = value`, or none if the line has another key. */
static struct cv_str value_of(struct cv_str line, struct cv_str key)
{
	const struct cv_str name = cv_str_trim(cv_str_cut(&line, '='));
	struct cv_str value = cv_str_trim(line);

	if (!line.p || !cv_str_eq_nocase(name, key))
		return CV_STR_NONE;
	if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
		value = cv_str_slice(value, 1, value.n - 1);
	return value;
}

static void config_read(struct paths *p, struct cv_str git_dir)
{
	const struct cv_str path = cv_arena_printf(p->arena, "%.*s/config", CV_STR_ARG(git_dir));
	bool is_include = false;
	char *memory;
	struct cv_str rest = path.p ? file_text(path.p, &memory) : (memory = NULL, CV_STR_NONE);

	while (rest.p) {
		const struct cv_str line = cv_str_trim(cv_str_cut(&rest, '\n'));

		if (cv_str_has_prefix(line, CV_STR("[")))
			is_include = cv_str_eq_nocase(cv_str_slice(line, 1, 8), CV_STR("include"));
		path_add(p, p->workdir, value_of(line, CV_STR("hooksPath")));
		if (is_include)
			path_add(p, git_dir, value_of(line, CV_STR("path")));
	}
	free(memory);
}

size_t cv_driver_git_paths(
	struct cv_str workdir, struct cv_arena *arena, struct cv_str ret[CV_DRIVER_GIT_PATHS_MAX])
{
	struct paths p = { .workdir = workdir, .arena = arena, .v = ret };
	struct cv_str git_dir = cv_arena_printf(arena, "%.*s/.git", CV_STR_ARG(workdir));
	char *memory = NULL;
	struct cv_str text = git_dir.p ? file_text(git_dir.p, &memory) : CV_STR_NONE;

	if (cv_str_has_prefix(text, CV_STR("gitdir:"))) {
		text = cv_str_slice(text, sizeof("gitdir:") - 1, text.n);
		const size_t before = p.n;
		const struct cv_str target = cv_str_trim(cv_str_cut(&text, '\n'));

		path_add(&p, workdir, target);
		if (p.n > before) { /* not the directory itself: git must be able to commit */
			git_dir = p.v[--p.n];
			path_add(&p, git_dir, CV_STR("hooks"));
			path_add(&p, git_dir, CV_STR("config"));
		}
	}
	free(memory);
	if (git_dir.p)
		config_read(&p, git_dir);
	return p.n;
}
