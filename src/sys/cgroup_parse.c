/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_parse.c - where this process's groups are, from two texts of the kernel; pure
 *
 * /proc/self/cgroup has a line "ID:CONTROLLERS:PATH" for each hierarchy; v2 is "0::PATH".  The
 * directory is found through /proc/self/mountinfo: a mount shows the part of a hierarchy below the
 * mount's root, so the directory is the mount point and what PATH has beyond that root.  A PATH
 * outside of every mount (another cgroup namespace) gives nothing.
 */
#include "sys/cgroup.h"

#include <stdio.h>

static bool list_has(struct cv_str list, struct cv_str word)
{
	while (list.p)
		if (cv_str_eq(cv_str_cut(&list, ','), word))
			return true;
	return false;
}

/* The kernel writes blanks, tabs, line ends and backslashes as \ooo. */
static bool unescape(struct cv_str s, char *to, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\\' && i + 3 < s.n) {
			c = (char)((s.p[i + 1] - '0') << 6 | (s.p[i + 2] - '0') << 3 |
				   (s.p[i + 3] - '0'));
			i += 3;
		}
		if (n + 1 >= size)
			return false;
		to[n++] = c;
	}
	to[n] = '\0';
	return true;
}

struct mount {
	struct cv_str root, point, type, options; /* of the super block */
};

/* One line: ID PARENT MAJ:MIN ROOT POINT OPTIONS [OPTIONAL]... - TYPE SOURCE SUPER-OPTIONS */
static bool mount_parse(struct cv_str line, struct mount *ret)
{
	struct cv_str word[5];

	for (size_t i = 0; i < CV_ARRAY_LEN(word); i++)
		word[i] = cv_str_cut(&line, ' ');
	do {
		if (!line.p)
			return false;
	} while (!cv_str_eq(cv_str_cut(&line, ' '), CV_STR("-")));
	ret->root = word[3];
	ret->point = word[4];
	ret->type = cv_str_cut(&line, ' ');
	(void)cv_str_cut(&line, ' ');
	ret->options = line;
	return ret->point.n > 0 && ret->options.n > 0;
}

/* Puts the directory of the group `path` as the mount shows it; false when it does not. */
static bool place(const struct mount *m, struct cv_str path, char to[PATH_MAX])
{
	char root[PATH_MAX], point[PATH_MAX];

	if (!unescape(m->root, root, sizeof(root)) || !unescape(m->point, point, sizeof(point)))
		return false;
	struct cv_str below = path;
	if (strcmp(root, "/") != 0) {
		if (!cv_str_has_prefix(path, cv_str_of(root)))
			return false;
		below = cv_str_slice(path, strlen(root), path.n);
		if (below.n && below.p[0] != '/')
			return false;
	}
	if (cv_str_eq(below, CV_STR("/")))
		below = CV_STR_NONE;
	if (cv_str_has_prefix(below, CV_STR("/.."))) /* above our cgroup namespace */
		return false;
	const int n = snprintf(to, PATH_MAX, "%s%.*s", point, CV_STR_ARG(below));
	if (n > 0 && n < PATH_MAX)
		return true;
	to[0] = '\0';
	return false;
}

/* The path of our group in the hierarchy of a controller; empty name: v2. */
static bool own_path(struct cv_str cgroup, struct cv_str controller, struct cv_str *ret)
{
	while (cgroup.p) {
		struct cv_str line = cv_str_cut(&cgroup, '\n');
		const struct cv_str id = cv_str_cut(&line, ':');
		const struct cv_str list = cv_str_cut(&line, ':');

		if (!line.n || line.p[0] != '/')
			continue;
		if (controller.n ? list_has(list, controller)
				 : list.n == 0 && cv_str_eq(id, CV_STR("0"))) {
			*ret = line;
			return true;
		}
	}
	return false;
}

static void find_v1(
	struct cv_str cgroup, struct cv_str mountinfo, struct cv_str controller, char to[PATH_MAX])
{
	struct cv_str path;
	struct mount m;

	if (!own_path(cgroup, controller, &path))
		return;
	while (mountinfo.p)
		if (mount_parse(cv_str_cut(&mountinfo, '\n'), &m) &&
			cv_str_eq(m.type, CV_STR("cgroup")) && list_has(m.options, controller) &&
			place(&m, path, to))
			return;
}

static void find_v2(struct cv_str cgroup, struct cv_str mountinfo, struct cv_cgroup_places *ret)
{
	struct cv_str path;
	struct mount m;

	if (!own_path(cgroup, CV_STR_NONE, &path))
		return;
	while (mountinfo.p)
		if (mount_parse(cv_str_cut(&mountinfo, '\n'), &m) &&
			cv_str_eq(m.type, CV_STR("cgroup2")) && place(&m, path, ret->v2) &&
			unescape(m.point, ret->v2_mount, sizeof(ret->v2_mount)))
			return;
}

void cv_cgroup_places_parse(
	struct cv_str cgroup, struct cv_str mountinfo, struct cv_cgroup_places *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < CV_CGROUP_LIMIT_COUNT; i++)
		find_v1(cgroup, mountinfo, cv_str_of(cv_cgroup_limit_name(i)), ret->v1[i]);
	find_v1(cgroup, mountinfo, CV_STR("freezer"), ret->v1_freezer);
	find_v2(cgroup, mountinfo, ret);
}
