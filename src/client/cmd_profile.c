/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_profile.c - provider profiles: the kinds of providers that a gateway knows
 */
#include "client/commands.h"
#include "client/profile_doc.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 1000 /* of a directory */

typedef Openshell__V1__ProviderProfileImportItem item;

static char *scope(struct cl *c)
{
	return cl_dup(c, cl_has(&c->w, "global") ? "" : c->workspace);
}

static item *item_of(struct cl *c, const char *path)
{
	item *it = cl_alloc(c, sizeof(*it));

	openshell__v1__provider_profile_import_item__init(it);
	it->profile = cl_profile_read(c, path);
	it->source = cl_dup(c, path);
	return it;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* --file, or all of --from. */
static item **items(struct cl *c, size_t *ret)
{
	const char *file = cl_flag(&c->w, "file"), *from = cl_flag(&c->w, "from");
	item **v = cl_alloc(c, FILES_MAX * sizeof(*v));
	char **names = cl_alloc(c, FILES_MAX * sizeof(*names));
	size_t n = 0;

	if (!file == !from)
		cl_die_usage(c, "give one of --file <FILE> and --from <DIR>");
	*ret = 0;
	if (file) {
		v[(*ret)++] = item_of(c, file);
		return v;
	}
	DIR *dir = opendir(from);
	if (!dir)
		cl_die(c, "failed to read %s: %s", cl_shown(c, from), strerror(errno));
	for (const struct dirent *e; n < FILES_MAX && (e = readdir(dir));) {
		const struct cv_str name = cv_str_of(e->d_name);

		if (e->d_name[0] != '.' && (cv_str_has_suffix(name, CV_STR(".yaml")) ||
						   cv_str_has_suffix(name, CV_STR(".yml")) ||
						   cv_str_has_suffix(name, CV_STR(".json"))))
			names[n++] = cl_print(c, "%s/%s", from, e->d_name);
	}
	closedir(dir);
	if (!n)
		cl_die(c, "no provider profiles (.yaml, .yml, .json) found in %s",
			cl_shown(c, from));
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++)
		v[(*ret)++] = item_of(c, names[i]);
	return v;
}

/* What is wrong with them, on stderr. */
static void diagnostics(struct cl *c, Openshell__V1__ProviderProfileDiagnostic **v, size_t n)
{
	if (n)
		cl_note(c, "Provider profile diagnostics:");
	for (size_t i = 0; i < n; i++)
		cl_note(c, "  %s %s profile=%s field=%s %s", cl_shown(c, v[i]->severity),
			cl_shown(c, v[i]->source), cl_shown(c, v[i]->profile_id),
			cl_shown(c, v[i]->field), cl_shown(c, v[i]->message));
}

int cl_run_profile_import(struct cl *c)
{
	Openshell__V1__ImportProviderProfilesRequest in;

	openshell__v1__import_provider_profiles_request__init(&in);
	in.profiles = items(c, &in.n_profiles);
	in.workspace = scope(c);
	const Openshell__V1__ImportProviderProfilesResponse *m = CL_ASK(c, ImportProviderProfiles,
		in, ImportProviderProfilesResponse, import_provider_profiles_response);
	diagnostics(c, m->diagnostics, m->n_diagnostics);
	if (!m->imported)
		cl_die(c, "provider profile import failed");
	printf("Imported %zu provider profiles.\n", m->n_profiles);
	return 0;
}

int cl_run_profile_lint(struct cl *c)
{
	Openshell__V1__LintProviderProfilesRequest in;

	openshell__v1__lint_provider_profiles_request__init(&in);
	in.profiles = items(c, &in.n_profiles);
	in.workspace = scope(c);
	const Openshell__V1__LintProviderProfilesResponse *m = CL_ASK(c, LintProviderProfiles, in,
		LintProviderProfilesResponse, lint_provider_profiles_response);
	diagnostics(c, m->diagnostics, m->n_diagnostics);
	if (!m->valid)
		cl_die(c, "provider profile lint failed");
	puts("Provider profile lint passed.");
	return 0;
}

int cl_run_profile_update(struct cl *c)
{
	const char *id = cl_arg(&c->w, 0), *file = cl_flag(&c->w, "file");
	Openshell__V1__UpdateProviderProfilesRequest in;

	if (!file)
		cl_die_usage(
			c, "the following required arguments were not provided: --file <FILE>");
	openshell__v1__update_provider_profiles_request__init(&in);
	in.id = cl_dup(c, id);
	in.profile = item_of(c, file);
	in.expected_resource_version = in.profile->profile->resource_version;
	in.workspace = scope(c);
	const Openshell__V1__UpdateProviderProfilesResponse *m = CL_ASK(c, UpdateProviderProfiles,
		in, UpdateProviderProfilesResponse, update_provider_profiles_response);
	diagnostics(c, m->diagnostics, m->n_diagnostics);
	if (!m->updated)
		cl_die(c, "provider profile update failed");
	printf("Updated provider profile '%s'.\n", cl_shown(c, id));
	return 0;
}

int cl_run_profile_delete(struct cl *c)
{
	Openshell__V1__DeleteProviderProfileRequest in;

	openshell__v1__delete_provider_profile_request__init(&in);
	in.id = cl_dup(c, cl_arg(&c->w, 0));
	in.workspace = scope(c);
	const Openshell__V1__DeleteProviderProfileResponse *m = CL_ASK(c, DeleteProviderProfile, in,
		DeleteProviderProfileResponse, delete_provider_profile_response);
	if (m->deleted)
		printf("Deleted provider profile '%s'.\n", cl_shown(c, in.id));
	else
		printf("Provider profile '%s' was not deleted.\n", cl_shown(c, in.id));
	return m->deleted ? 0 : CL_EXIT_FAILED;
}

int cl_run_profile_export(struct cl *c)
{
	Openshell__V1__GetProviderProfileRequest in;
	struct cl_out o;

	openshell__v1__get_provider_profile_request__init(&in);
	in.id = cl_dup(c, cl_arg(&c->w, 0));
	in.workspace = scope(c);
	const Openshell__V1__ProviderProfileResponse *m = CL_ASK(
		c, GetProviderProfile, in, ProviderProfileResponse, provider_profile_response);
	if (!m->profile)
		cl_die(c, "the gateway answered without a profile");
	cl_out_init(&o, cl_form(c) == CL_FORM_JSON ? CL_FORM_JSON : CL_FORM_YAML);
	cl_profile_out(c, &o, m->profile);
	return cl_out_done(c, &o);
}

int cl_run_provider_list_profiles(struct cl *c)
{
	static const char *const heads[] = { "ID", "NAME", "CATEGORY", "SOURCE", "SCOPE" };
	Openshell__V1__ListProviderProfilesRequest in;
	struct cl_table t;
	struct cl_out o;

	openshell__v1__list_provider_profiles_request__init(&in);
	in.limit = 1000;
	in.workspace = scope(c);
	const Openshell__V1__ListProviderProfilesResponse *m = CL_ASK(c, ListProviderProfiles, in,
		ListProviderProfilesResponse, list_provider_profiles_response);
	if (cl_form(c) != CL_FORM_TABLE) {
		cl_out_init(&o, cl_form(c));
		cl_out_array(&o, NULL);
		for (size_t i = 0; i < m->n_profiles; i++)
			cl_profile_out(c, &o, m->profiles[i]);
		cl_out_end(&o);
		return cl_out_done(c, &o);
	}
	if (!m->n_profiles) {
		puts("No provider profiles found.");
		return 0;
	}
	cl_table_init(&t, CV_ARRAY_LEN(heads));
	for (size_t i = 0; i < CV_ARRAY_LEN(heads); i++)
		cl_table_cell(&t, cv_str_of(heads[i]));
	for (size_t i = 0; i < m->n_profiles; i++) {
		const Openshell__V1__ProviderProfile *p = m->profiles[i];

		cl_table_cell(&t, cv_str_of(p->id));
		cl_table_cell(&t, cv_str_of(p->display_name));
		cl_table_cell(&t, cv_str_of(cl_profile_category(p)));
		cl_table_cell(&t, cv_str_of(*p->source ? p->source : "-"));
		cl_table_cell(&t, cv_str_of(*p->scope ? p->scope : "-"));
	}
	cl_table_done(c, &t);
	return 0;
}
