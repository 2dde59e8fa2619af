/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo.c - arguments of clones, and the listings that git gives; see repo.h
 *
 * Grammars are narrower than git's: what is taken here can't be an option, a pathspec, a revision
 * expression or part of another URL, and stands in a configuration file as it is.
 */
#include "tools/repo.h"

#include "base/glob.h"

#include <string.h>

static bool is_alnum(char c)
{
	const char l = cv_ascii_lower(c);

	return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9');
}

/* ---- arguments ---- */

/* Letters, digits, '-', '_' and '.', beginning with none of '-' and '.'. */
static bool is_part(struct cv_str s)
{
	if (!s.n || s.n > 100 || s.p[0] == '-' || s.p[0] == '.')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && !strchr("-_.", s.p[i]))
			return false;
	return !cv_str_has_suffix(s, CV_STR(".lock"));
}

const char *cv_repo_name_wrong(struct cv_str s)
{
	struct cv_str name = s;
	const struct cv_str owner = cv_str_cut(&name, '/');

	if (s.n > CV_REPO_NAME_BYTES_MAX || !is_part(owner) || !name.p ||
		cv_str_has_byte(name, '/') || !is_part(name) || cv_str_has_byte(s, 0))
		return "write OWNER/NAME, of letters, digits, '-', '_' and '.'";
	if (cv_str_has_suffix(name, CV_STR(".git")))
		return "write it without .git";
	return NULL;
}

static bool is_ref_part(struct cv_str s)
{
	return s.n && s.p[0] != '.' && s.p[0] != '-' && !cv_str_has_suffix(s, CV_STR(".lock"));
}

const char *cv_repo_ref_wrong(struct cv_str s)
{
	static const char wrong[] = "write the name of a branch or tag, or a commit, as git has it";
	struct cv_str rest = s;

	if (!s.n || s.n > CV_REPO_REF_BYTES_MAX || s.p[s.n - 1] == '.')
		return wrong;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alnum(s.p[i]) && (!s.p[i] || !strchr("-_./+=#@%,", s.p[i])))
			return wrong;
		if (i && s.p[i] == '.' && s.p[i - 1] == '.')
			return wrong;
	}
	while (rest.p)
		if (!is_ref_part(cv_str_cut(&rest, '/')))
			return wrong;
	if (cv_str_eq(s, CV_STR("@")) || cv_str_eq(s, CV_STR("HEAD")))
		return "leave it out for the default branch";
	return NULL;
}

const char *cv_repo_dest_wrong(struct cv_str s)
{
	struct cv_str rest = s;

	if (s.n < 2 || s.n > 4000 || s.p[0] != '/')
		return "write an absolute path in the sandbox";
	if (cv_str_has_control(s))
		return "a path without control characters";
	(void)cv_str_cut(&rest, '/');
	while (rest.p) {
		const struct cv_str part = cv_str_cut(&rest, '/');

		if (!part.n || cv_str_eq(part, CV_STR(".")) || cv_str_eq(part, CV_STR("..")))
			return "a path without '.', '..' and empty parts";
		if (cv_str_eq_nocase(part, CV_STR(".git")))
			return "a path that is not in another repository's .git";
	}
	return NULL;
}

bool cv_repo_is_allowed(const struct cv_str *globs, size_t n, struct cv_str name)
{
	bool is_allowed = false;
	struct cv_arena arena;

	cv_arena_init(&arena, 1u << 20);
	for (size_t i = 0; i < n && !is_allowed; i++) {
		const struct cv_glob *g;
		struct cv_err err;

		is_allowed = cv_glob_compile(globs[i], CV_GLOB_PATH, &arena, &g, &err) == CV_OK &&
			     cv_glob_match(g, name);
	}
	cv_arena_fini(&arena);
	return is_allowed;
}

/* ---- ls-remote ---- */

static bool is_commit(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
			return false;
	return s.n == 40 || s.n == 64;
}

#define HEADS CV_STR("refs/heads/")
#define TAGS  CV_STR("refs/tags/")

/* "ref: refs/heads/main\tHEAD" */
static bool default_find(struct cv_str listing, struct cv_repo_target *ret)
{
	while (listing.p) {
		struct cv_str line = cv_str_cut(&listing, '\n');
		struct cv_str ref = cv_str_cut(&line, '\t');
		const struct cv_str prefix = CV_STR("ref: refs/heads/");

		if (!cv_str_has_prefix(ref, prefix) || !cv_str_eq(line, CV_STR("HEAD")))
			continue;
		*ret = (struct cv_repo_target){ CV_REPO_BRANCH,
			cv_str_slice(ref, prefix.n, ref.n) };
		return !cv_repo_ref_wrong(ret->name); /* the server's word, which is not ours */
	}
	return false;
}

static bool has_ref(struct cv_str listing, struct cv_str prefix, struct cv_str name)
{
	while (listing.p) {
		struct cv_str line = cv_str_cut(&listing, '\n');
		const struct cv_str object = cv_str_cut(&line, '\t');

		if (is_commit(object) && cv_str_has_prefix(line, prefix) &&
			cv_str_eq(cv_str_slice(line, prefix.n, line.n), name))
			return true;
	}
	return false;
}

static struct cv_str without(struct cv_str s, struct cv_str prefix)
{
	return cv_str_has_prefix(s, prefix) ? cv_str_slice(s, prefix.n, s.n) : s;
}

bool cv_repo_target_find(struct cv_str listing, struct cv_str want, struct cv_repo_target *ret)
{
	const struct cv_str head = without(want, HEADS), tag = without(want, TAGS);

	if (!want.n)
		return default_find(listing, ret);
	if (tag.n == want.n && has_ref(listing, HEADS, head))
		*ret = (struct cv_repo_target){ CV_REPO_BRANCH, head };
	else if (head.n == want.n && has_ref(listing, TAGS, tag))
		*ret = (struct cv_repo_target){ CV_REPO_TAG, tag };
	else if (is_commit(want))
		*ret = (struct cv_repo_target){ CV_REPO_COMMIT, want };
	else
		return false;
	return true;
}

/* ---- ls-tree ---- */

/* "100644 blob OBJECT    SIZE\tPATH" */
bool cv_repo_entry_parse(struct cv_str s, struct cv_repo_entry *ret)
{
	struct cv_str rest = s;
	struct cv_str head = cv_str_cut(&rest, '\t');
	const struct cv_str mode = cv_str_cut(&head, ' '), type = cv_str_cut(&head, ' '),
			    object = cv_str_cut(&head, ' ');

	*ret = (struct cv_repo_entry){ .path = rest };
	if (!rest.n || rest.p[0] == '/' || !is_commit(object))
		return false;
	if (cv_str_eq(mode, CV_STR("160000")) && cv_str_eq(type, CV_STR("commit"))) {
		ret->kind = CV_REPO_SUBMODULE;
		return true;
	}
	ret->kind = cv_str_eq(mode, CV_STR("120000")) ? CV_REPO_LINK : CV_REPO_FILE;
	return cv_str_eq(type, CV_STR("blob")) && cv_str_has_prefix(mode, CV_STR("1")) &&
	       cv_str_to_u64(cv_str_trim(head), UINT64_MAX / 4, &ret->size);
}
