/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_repo.c - the backend `repo` of a tool: which repositories it clones, from where, as whom
 */
#include "tools/catalog_int.h"

/* Whom git says it is beside the token; GitHub and GitLab take any name for most of theirs. */
#define REPO_USER_DEFAULT "x-access-token"

/* What stands before the colon of HTTP's basic authentication. */
static bool is_user(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == ':')
			return false;
	return true;
}

static void credential_read(
	struct cv_catalog_check *c, const struct cv_doc_repo *r, struct cv_tool_repo *out)
{
	const struct cv_catalog *k = c->catalog;
	size_t i = 0;

	out->credential = r->credential.s;
	out->user = r->user.is_present ? r->user.s : CV_STR(REPO_USER_DEFAULT);
	if (!out->user.n || out->user.n > CV_TOOL_REPO_USER_BYTES_MAX || !is_user(out->user))
		cv_catalog_report(c, r->user.pos, "repo.user", NULL,
			"1 to %d printable characters without a colon",
			CV_TOOL_REPO_USER_BYTES_MAX);
	if (!r->credential.is_present)
		return;
	while (i < k->credential_count && !cv_str_eq(k->credentials[i].name, r->credential.s))
		i++;
	if (i == k->credential_count)
		cv_catalog_report(c, r->credential.pos, "repo.credential",
			"declare it in credentials:", "there is no credential '%.*s'",
			CV_POLICY_QUOTE(r->credential.s));
	else
		cv_catalog_uses(c, r->credential.s);
}

void cv_catalog_repo(struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t)
{
	struct cv_tool_repo *out = cv_arena_new(c->arena, struct cv_tool_repo);
	const struct cv_doc_repo *r = &d->repo;

	if (!out)
		return;
	cv_catalog_url(c, &r->url, "repo.url", true);
	out->base = r->url.s;
	while (out->base.n && out->base.p[out->base.n - 1] == '/')
		out->base.n--;
	if (r->url.is_present && !cv_str_has_prefix(out->base, CV_STR("https://")))
		cv_catalog_report(c, r->url.pos, "repo.url", "write https://HOST",
			"repositories are fetched by https alone");
	cv_catalog_path(c, &r->git, "repo.git");
	out->git = r->git.is_present ? r->git.s : CV_STR("/usr/bin/git");
	out->allow = cv_catalog_strs(
		c, &r->allow, "repo.allow", CV_TOOL_GLOBS_MAX, CV_GLOB_PATH, &out->allow_count);
	if (r->allow.is_present && !r->allow.n)
		cv_catalog_report(c, r->allow.pos, "repo.allow", "write [\"OWNER/*\"]",
			"no repository may be cloned");
	credential_read(c, r, out);
	out->bytes_max = cv_catalog_bytes(
		c, &r->bytes, "repo.bytes", CV_TOOL_BUILD_BYTES_MAX, CV_TOOL_REPO_BYTES_DEFAULT);
	out->files_max = (uint32_t)cv_catalog_number(
		c, &r->files, "repo.files", 1, 10000000, CV_TOOL_REPO_FILES_DEFAULT);
	t->repo = out;
}
