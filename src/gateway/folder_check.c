/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder_check.c - the watched directories, for `config check`; see folder.h
 *
 * A gateway that runs goes on with what it has while a directory or a file is bad; whoever checks
 * wants to know.  Each file is read by the function that the gateway reads it with, and all that is
 * wrong in it is printed, as PATH:LINE:COLUMN.  That several say the same thing is seen here by
 * names and ids: the gateway takes the first of them.
 */
#include "gateway/folder.h"

#include "gateway/config.h"
#include "gateway/labels.h"
#include "gateway/policy.h"
#include "gateway/state.h"
#include "policy/findings.h"

#include <stdio.h>
#include <string.h>

#define REPORT_BYTES_MAX (256u << 10)
#define ARENA_MAX        (4u << 20)

struct judge {
	struct cv_str dir;
	size_t files, bad;
	struct cv_str before[CV_GW_FOLDER_FILES_MAX]; /* workspaces, or ids; in the arena */
	size_t n;
	struct cv_arena arena;
};

static const struct cv_policy_pos whole_file = { 0 };

static void say(const struct judge *j, struct cv_str file, const struct cv_findings *findings)
{
	char path[CV_GW_PATH_BYTES_MAX];
	struct cv_buf report;

	snprintf(path, sizeof(path), "%.*s/%.*s", CV_STR_ARG(j->dir), CV_STR_ARG(file));
	cv_buf_init(&report, REPORT_BYTES_MAX);
	cv_findings_text(findings, cv_str_of(path), &report);
	fprintf(stderr, "%.*s", CV_STR_ARG(cv_buf_str(&report)));
	cv_buf_fini(&report);
}

/* False: another file has said it. */
static bool is_first(struct judge *j, struct cv_str what)
{
	for (size_t i = 0; i < j->n; i++)
		if (cv_str_eq(j->before[i], what))
			return false;
	if (j->n < CV_GW_FOLDER_FILES_MAX)
		j->before[j->n++] = cv_arena_str(&j->arena, what);
	return true;
}

static void policy_judge(struct cv_gateway *g, const struct cv_gw_folder_file *file, void *arg)
{
	const struct cv_str workspace =
		cv_str_slice(file->name, 0, cv_str_rfind_byte(file->name, '.'));
	struct judge *j = arg;
	char hash[CV_POLICY_HASH_BYTES];
	struct cv_findings f;
	struct cv_arena arena;
	struct cv_err err, why;
	cv_policy_pb *is;

	(void)g;
	cv_arena_init(&arena, CV_GW_POLICY_ARENA_MAX);
	cv_findings_init(&f);
	if (cv_gw_folder_policy_read(file, &arena, &is, hash, &f, &err) != CV_OK && !f.error_count)
		cv_findings_add(&f, CV_FINDING_ERROR, whole_file, CV_STR_NONE, NULL, "%s", err.msg);
	if (cv_name_check("workspace", workspace, CV_NAME_SHORT_BYTES_MAX, &why) != CV_RPC_OK)
		cv_findings_add(&f, CV_FINDING_WARNING, whole_file, CV_STR_NONE, NULL,
			"it is for no workspace: %s", why.msg);
	else if (!is_first(j, workspace))
		cv_findings_add(&f, CV_FINDING_WARNING, whole_file, CV_STR_NONE, NULL,
			"it is not used: another file is for workspace %.*s",
			CV_STR_ARG(workspace));
	j->files++;
	j->bad += f.error_count > 0;
	say(j, file->name, &f);
	cv_findings_fini(&f);
	cv_arena_fini(&arena);
}

static void profile_judge(struct cv_gateway *g, const struct cv_gw_folder_file *file, void *arg)
{
	Openshell__V1__ProviderProfile *m = NULL;
	struct judge *j = arg;
	struct cv_findings f;
	struct cv_arena arena;
	struct cv_err err;

	(void)g;
	cv_arena_init(&arena, ARENA_MAX);
	cv_findings_init(&f);
	const cv_code code = cv_gw_folder_profile_read(file, &arena, &m, &f, &err);
	if (code != CV_OK && !f.error_count)
		cv_findings_add(&f, CV_FINDING_ERROR, whole_file, CV_STR_NONE, NULL, "%s", err.msg);
	if (code == CV_OK && !is_first(j, cv_str_of(m->id)))
		cv_findings_add(&f, CV_FINDING_ERROR, whole_file, CV_STR_NONE, NULL,
			"another file has the profile %s", m->id);
	j->files++;
	j->bad += f.error_count > 0;
	say(j, file->name, &f);
	cv_findings_fini(&f);
	cv_arena_fini(&arena);
}

static void dir_check(const struct cv_gw_config *c, const char *key, struct cv_str dir,
	cv_gw_folder_fn *one, struct cv_findings *findings, struct cv_err *err)
{
	struct cv_gw_folder_names names;
	struct judge j = { .dir = dir };
	struct cv_err why;

	if (!dir.n)
		return;
	cv_arena_init(&j.arena, ARENA_MAX);
	if (cv_gw_folder_list(dir, &names, &why) != CV_OK ||
		cv_gw_folder_read(NULL, dir, &names, one, &j, &why) != CV_OK)
		cv_gw_config_refuse(c, key, findings, err, "%s", why.msg);
	if (j.bad)
		cv_gw_config_refuse(c, key, findings, err, "of %zu files %zu %s wrong", j.files,
			j.bad, j.bad == 1 ? "is" : "are");
	if (names.more)
		cv_gw_config_refuse(c, key, findings, err,
			"more than %d files (CV_GW_FOLDER_FILES_MAX): '%s' and %zu behind it are not "
			"read",
			CV_GW_FOLDER_FILES_MAX, names.first_out, names.more - 1);
	cv_gw_folder_names_fini(&names);
	cv_arena_fini(&j.arena);
}

void cv_gw_folder_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err)
{
	dir_check(c, "policies_dir", c->policies_dir, policy_judge, findings, err);
	dir_check(c, "profiles_dir", c->profiles_dir, profile_judge, findings, err);
}
