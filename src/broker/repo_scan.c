/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo_scan.c - looking at a repository before a sandbox gets it
 *
 * First the list of what the commit holds (git ls-tree), when nothing of it is on the disk but a pack:
 * a tree of trees that are all the same is small there and endless when it is written.  Then what was
 * checked out, of which the list says each name; a file is opened without following links, and where a
 * link leads the kernel says.  Last git's own directory, which git made from nothing: what does not
 * belong there is told and goes.
 */
#include "broker/repo_int.h"

#include "broker/spawn.h"
#include "sys/fd.h"
#include "sys/openat2.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the list ---- */

static size_t entries_count(struct cv_str listing)
{
	size_t n = 0;

	for (size_t i = 0; i < listing.n; i++)
		n += listing.p[i] == 0;
	return n;
}

static cv_code fail_large(const struct repo_work *w, struct cv_err *err)
{
	return cv_fail(err, CV_LIMIT, "the files of %s are more than %llu bytes", w->commit,
		(unsigned long long)w->tool->bytes_max);
}

static cv_code entry_take(struct repo_work *w, struct cv_str line, struct cv_err *err)
{
	struct cv_repo_entry *e = &w->entry[w->entry_count];

	if (!cv_repo_entry_parse(line, e))
		return cv_fail(err, CV_PROTO, "git's list of files can't be read");
	w->entry_count++;
	if (e->size > w->tool->bytes_max - w->bytes)
		return fail_large(w, err);
	w->bytes += e->size;
	cv_repo_entry_judge(&w->findings, e);
	return CV_OK;
}

cv_code repo_scan_listing(struct repo_work *w, struct cv_err *err)
{
	struct cv_str rest = cv_buf_str(&w->listing);
	const size_t n = entries_count(rest);

	if (n > w->tool->files_max)
		return cv_fail(err, CV_LIMIT, "%s has %zu files; at most %u", w->commit, n,
			w->tool->files_max);
	w->entry = cv_arena_array(&w->arena, n + 1, sizeof(*w->entry));
	if (!w->entry)
		return cv_fail(err, CV_LIMIT, "no memory for the list of files");
	for (size_t i = 0; i < n; i++)
		if (entry_take(w, cv_str_cut(&rest, 0), err) != CV_OK)
			return err->code;
	cv_repo_case_judge(&w->findings, w->entry, w->entry_count, &w->arena);
	return CV_OK;
}

/* ---- files ---- */

static int clone_open(const struct repo_work *w)
{
	char path[PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s/clone", w->dir);
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_read(struct cv_str path)
{
	return cv_repo_is_document(path) || cv_repo_is_automation(path) ||
	       cv_str_eq(path, CV_STR(".gitmodules")) ||
	       cv_str_has_suffix(path, CV_STR(".gitattributes"));
}

static void file_look(
	struct repo_work *w, int top, const struct cv_repo_entry *e, const char *path, char *text)
{
	size_t n = 0;
	ssize_t k = 1;

	if (!is_read(e->path))
		return;
	CV_AUTO_FD int fd = cv_openat2(top, path, O_RDONLY | O_NONBLOCK,
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	while (fd >= 0 && k > 0 && n < CV_REPO_TEXT_BYTES_MAX) {
		k = read(fd, text + n, CV_REPO_TEXT_BYTES_MAX - n);
		n += k > 0 ? (size_t)k : 0;
	}
	cv_repo_file_judge(&w->findings, e->path, (struct cv_str){ text, n });
}

/* "/proc/self/fd/N" of what it led to says where in the clone that is. */
static bool is_in_git(int top, int fd)
{
	char link[64], base[PATH_MAX], at[PATH_MAX];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", top);
	const ssize_t base_n = readlink(link, base, sizeof(base) - 1);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	const ssize_t n = readlink(link, at, sizeof(at) - 1);
	const struct cv_str git = CV_STR("/.git");

	if (base_n < 0 || n < base_n)
		return true; /* it can't be said */
	const struct cv_str below = { at + base_n, (size_t)(n - base_n) };
	return cv_str_eq(below, git) || cv_str_has_prefix(below, CV_STR("/.git/"));
}

static void link_look(struct repo_work *w, int top, const struct cv_repo_entry *e, const char *path)
{
	char target[PATH_MAX];
	const ssize_t n = readlinkat(top, path, target, sizeof(target));

	if (n < 0) /* where links can't be made git writes files; here they can */
		return;
	cv_repo_link_judge(&w->findings, e->path, (struct cv_str){ target, (size_t)n });
	CV_AUTO_FD int fd = cv_openat2(top, path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
	if (fd < 0 && errno == EXDEV && target[0] != '/')
		cv_repo_finding(&w->findings, e->path, CV_REPO_HIGH,
			"symlink that leads out of the repository");
	else if (fd >= 0 && is_in_git(top, fd))
		cv_repo_finding(&w->findings, e->path, CV_REPO_HIGH, "symlink into .git");
}

static cv_code tree_look(struct repo_work *w, int top, struct cv_err *err)
{
	char path[PATH_MAX];
	char *text = malloc(CV_REPO_TEXT_BYTES_MAX);

	if (!text)
		return cv_fail(err, CV_LIMIT, "no memory");
	for (size_t i = 0; i < w->entry_count; i++) {
		const struct cv_repo_entry *e = &w->entry[i];

		if (!cv_str_to_cstr(e->path, path, sizeof(path)))
			cv_repo_finding(
				&w->findings, e->path, CV_REPO_HIGH, "path that is too long");
		else if (e->kind == CV_REPO_LINK)
			link_look(w, top, e, path);
		else if (e->kind == CV_REPO_FILE)
			file_look(w, top, e, path, text);
	}
	free(text);
	return CV_OK;
}

/* ---- .git ---- */

static bool belongs(const char *name)
{
	static const char *const known[] = { "HEAD", "config", "index", "objects", "refs",
		"packed-refs", "shallow" };

	for (size_t i = 0; i < CV_ARRAY_LEN(known); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

/* What git itself makes and a clone does not need. */
static bool is_usual(const char *name)
{
	static const char *const known[] = { "FETCH_HEAD", "ORIG_HEAD", "logs", "info", "branches",
		"description" };

	for (size_t i = 0; i < CV_ARRAY_LEN(known); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

static void hooks_look(struct repo_work *w, int git)
{
	CV_AUTO_FD int fd = openat(git, "hooks", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const int own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	const struct dirent *e;
	char path[NAME_MAX + 16];

	while (d && (e = readdir(d)) != NULL) {
		const struct cv_str name = cv_str_of(e->d_name);

		if (e->d_name[0] == '.' || cv_str_has_suffix(name, CV_STR(".sample")))
			continue;
		snprintf(path, sizeof(path), ".git/hooks/%s", e->d_name);
		cv_repo_finding(
			&w->findings, cv_str_of(path), CV_REPO_MEDIUM, "hook; it is left out");
	}
	if (d)
		closedir(d);
	else if (own >= 0)
		close(own);
}

static void own_look(struct repo_work *w, int git, const char *name)
{
	char path[NAME_MAX + 8];

	if (strcmp(name, "hooks") == 0) {
		hooks_look(w, git);
	} else if (!is_usual(name)) {
		snprintf(path, sizeof(path), ".git/%s", name);
		cv_repo_finding(&w->findings, cv_str_of(path), CV_REPO_MEDIUM,
			"does not belong into .git; it is left out");
	}
	if (unlinkat(git, name, 0) < 0)
		tree_remove(git, name);
}

static cv_code git_look(struct repo_work *w, int top, struct cv_err *err)
{
	CV_AUTO_FD int git = openat(top, ".git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const int own = git < 0 ? -1 : fcntl(git, F_DUPFD_CLOEXEC, 0);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	const struct dirent *e;
	struct stat st;

	if (!d) {
		if (own >= 0)
			close(own);
		return cv_fail_errno(err, "its .git");
	}
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
			!belongs(e->d_name))
			own_look(w, git, e->d_name);
	closedir(d);
	/* Objects that are elsewhere would be the host's. */
	if (fstatat(git, "objects/info/alternates", &st, AT_SYMLINK_NOFOLLOW) == 0)
		cv_repo_finding(&w->findings, CV_STR(".git/objects/info/alternates"), CV_REPO_HIGH,
			"objects from another repository of this host");
	return CV_OK;
}

cv_code repo_scan_files(struct repo_work *w, struct cv_err *err)
{
	CV_AUTO_FD int top = clone_open(w);

	if (top < 0)
		return cv_fail_errno(err, "the clone");
	if (tree_look(w, top, err) != CV_OK)
		return err->code;
	return git_look(w, top, err);
}
