/* SPDX-License-Identifier: Apache-2.0 */
/*
 * complete.c - `complete -- WORD...`: what may stand in the place of the last word
 *
 * One line each, "WORD<tab>EXPLANATION"; ":files" says that it is a path.  Scripts of all shells
 * (`completions`) ask here, so that flags, choices and names are found in one way, by the table,
 * and names at the gateway that the line says.  A name with anything but the letters of names is
 * left out: some shell would take it for more than a word.
 */
#include "client/client.h"
#include "client/commands.h"
#include "client/sandbox.h"

#include <string.h>
#include <unistd.h>

#define ANSWER_S  3    /* a person waits with a hand on the keyboard */
#define NAMES_MAX 1000 /* of more nobody chooses by completion */

enum names {
	NAMES_NONE,
	NAMES_SANDBOX,
	NAMES_PROVIDER,
	NAMES_GATEWAY,
	NAMES_WORKSPACE,
	NAMES_PROFILE,
	NAMES_EXEC,
	NAMES_FILE,
	NAMES_SHELL
};

static const struct row {
	const char *path; /* of commands at or below it; "" is all */
	const char *name; /* of an argument or a flag */
	enum names names;
	const char *words; /* in place of them: "all|none" */
} rows[] = {
	{ "exec", "name", NAMES_SANDBOX },
	{ "exec", "ID", NAMES_EXEC },
	{ "logs", "source", NAMES_NONE, "all|gateway|sandbox" },
	{ "logs", "level", NAMES_NONE, "trace|debug|info|warn|error" },
	{ "rule get", "status", NAMES_NONE, "pending|approved|rejected" },
	{ "settings", "key", NAMES_NONE,
		"agent_policy_proposals_enabled|ocsf_json_enabled|proposal_approval_mode|providers_v2_enabled" },
	{ "provider create", "type", NAMES_PROFILE },
	{ "provider profile", "ID", NAMES_PROFILE },
	{ "provider", "NAME", NAMES_PROVIDER },
	{ "gateway", "NAME", NAMES_GATEWAY },
	{ "workspace", "NAME", NAMES_WORKSPACE },
	{ "sandbox exec", "name", NAMES_SANDBOX },
	{ "", "NAME", NAMES_SANDBOX },
	{ "", "SANDBOX", NAMES_SANDBOX },
	{ "", "sandbox", NAMES_SANDBOX },
	{ "", "PROVIDER", NAMES_PROVIDER },
	{ "", "provider", NAMES_PROVIDER },
	{ "", "gateway", NAMES_GATEWAY },
	{ "", "gateway-name", NAMES_GATEWAY },
	{ "", "workspace", NAMES_WORKSPACE },
	{ "", "SHELL", NAMES_SHELL },
	{ "", "LOCAL", NAMES_FILE },
	{ "sandbox download", "DEST", NAMES_FILE },
	{ "", "policy", NAMES_FILE },
	{ "", "file", NAMES_FILE },
	{ "", "from", NAMES_FILE },
	{ "", "upload", NAMES_FILE },
	{ "", "token-file", NAMES_FILE },
	{ "", "ca", NAMES_FILE },
	{ "", "cert", NAMES_FILE },
	{ "", "key", NAMES_FILE },
};

struct typing {
	struct cl *c;
	struct cv_str word,
		before; /* what is typed, and what stands before it in the same word ("--output=") */
};

static const struct row *row_of(const struct cl_command *row, const char *name)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		const size_t n = strlen(rows[i].path);

		if (strcmp(rows[i].name, name) == 0 &&
			(!n || (row && strncmp(row->path, rows[i].path, n) == 0 &&
				       (!row->path[n] || row->path[n] == ' '))))
			return &rows[i];
	}
	return NULL;
}

static void offer(const struct typing *t, struct cv_str word, const char *what)
{
	if (word.n && cv_str_has_prefix(word, t->word))
		printf("%.*s%.*s\t%s\n", CV_STR_ARG(t->before), CV_STR_ARG(word), what);
}

static void offer_name(const struct typing *t, const char *name, const char *what)
{
	static const char fine[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	if (*name && *name != '-' && !name[strspn(name, fine)])
		offer(t, cv_str_of(name), what);
}

/* ---- names ---- */

static void offer_sandboxes(const struct typing *t)
{
	struct cl *c = t->c;
	Openshell__V1__ListSandboxesRequest in;

	openshell__v1__list_sandboxes_request__init(&in);
	in.workspace = cl_dup(c, c->workspace);
	in.limit = NAMES_MAX;
	const Openshell__V1__ListSandboxesResponse *m =
		CL_ASK(c, ListSandboxes, in, ListSandboxesResponse, list_sandboxes_response);
	for (size_t i = 0; i < m->n_sandboxes; i++)
		if (m->sandboxes[i]->metadata)
			offer_name(t, m->sandboxes[i]->metadata->name, "sandbox");
}

static void offer_providers(const struct typing *t)
{
	struct cl *c = t->c;
	Openshell__V1__ListProvidersRequest in;

	openshell__v1__list_providers_request__init(&in);
	in.workspace = cl_dup(c, c->workspace);
	in.limit = NAMES_MAX;
	const Openshell__V1__ListProvidersResponse *m =
		CL_ASK(c, ListProviders, in, ListProvidersResponse, list_providers_response);
	for (size_t i = 0; i < m->n_providers; i++)
		if (m->providers[i]->metadata)
			offer_name(t, m->providers[i]->metadata->name, "provider");
}

static void offer_workspaces(const struct typing *t)
{
	struct cl *c = t->c;
	Openshell__V1__ListWorkspacesRequest in;

	openshell__v1__list_workspaces_request__init(&in);
	in.limit = NAMES_MAX;
	const Openshell__V1__ListWorkspacesResponse *m =
		CL_ASK(c, ListWorkspaces, in, ListWorkspacesResponse, list_workspaces_response);
	for (size_t i = 0; i < m->n_workspaces; i++)
		if (m->workspaces[i]->metadata)
			offer_name(t, m->workspaces[i]->metadata->name, "workspace");
}

static void offer_profiles(const struct typing *t)
{
	struct cl *c = t->c;
	Openshell__V1__ListProviderProfilesRequest in;

	openshell__v1__list_provider_profiles_request__init(&in);
	in.workspace = cl_dup(c, c->workspace);
	in.limit = NAMES_MAX;
	const Openshell__V1__ListProviderProfilesResponse *m = CL_ASK(c, ListProviderProfiles, in,
		ListProviderProfilesResponse, list_provider_profiles_response);
	for (size_t i = 0; i < m->n_profiles; i++)
		offer_name(t, m->profiles[i]->id, "profile");
}

/* Of the sandbox that stands before. */
static void offer_execs(const struct typing *t)
{
	const char *name = cl_arg(&t->c->w, 0);
	const Openshell__V1__Sandbox *s = name ? cl_sandbox_find(t->c, name) : NULL;
	const Cove__V1__ListExecsResponse *m =
		s && s->metadata ? cl_execs_of(t->c, s->metadata->id) : NULL;

	for (size_t i = 0; m && i < m->n_execs; i++)
		offer_name(t, m->execs[i]->id, m->execs[i]->end ? "ended" : "running");
}

static void offer_gateways(const struct typing *t)
{
	size_t n;
	char **v = cl_gateway_names(t->c, &n);

	for (size_t i = 0; i < n; i++)
		offer_name(t, v[i], "gateway");
}

static void offer_words(const struct typing *t, const char *words)
{
	struct cv_str rest = cv_str_of(words);

	while (rest.p && rest.n)
		offer(t, cv_str_cut(&rest, '|'), "");
}

static void offer_names(const struct typing *t, const struct row *row)
{
	if (!row)
		return;
	offer_words(t, row->words);
	switch (row->names) {
	case NAMES_SANDBOX: offer_sandboxes(t); return;
	case NAMES_PROVIDER: offer_providers(t); return;
	case NAMES_WORKSPACE: offer_workspaces(t); return;
	case NAMES_PROFILE: offer_profiles(t); return;
	case NAMES_EXEC: offer_execs(t); return;
	case NAMES_GATEWAY: offer_gateways(t); return;
	case NAMES_FILE: puts(":files"); return;
	case NAMES_SHELL:
		offer(t, CV_STR("bash"), "");
		offer(t, CV_STR("fish"), "");
		offer(t, CV_STR("powershell"), "");
		offer(t, CV_STR("zsh"), "");
		return;
	case NAMES_NONE: return;
	}
}

/* ---- words of the table ---- */

static void offer_flags(const struct typing *t, const struct cl_flag *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!v[i].is_hidden)
			offer(t, cv_str_of(cl_print(t->c, "--%s", v[i].name)), v[i].help);
}

static void offer_commands(const struct typing *t, const char *group)
{
	const struct cl_grammar *g = t->c->grammar;

	for (size_t i = 0; i < g->group_count; i++)
		if (!g->groups[i].is_hidden)
			offer(t, cl_word_below(g->groups[i].path, group, true),
				g->groups[i].summary);
	for (size_t i = 0; i < g->command_count; i++)
		if (!g->commands[i].is_hidden)
			offer(t, cl_word_below(g->commands[i].path, group, true),
				g->commands[i].summary);
}

static void offer_values(
	const struct typing *t, const struct cl_command *row, const struct cl_flag *f)
{
	offer_words(t, f->choices);
	offer_names(t, row_of(row, f->name));
}

/* "--output=js": the flag, and t is what stands behind the '='. */
static const struct cl_flag *flag_in_word(struct typing *t, const struct cl_command *row)
{
	const struct cl_grammar *g = t->c->grammar;
	const size_t eq = cv_str_find_byte(t->word, '=');
	const struct cv_str name = cv_str_slice(t->word, 2, eq);

	if (eq == t->word.n || !cv_str_has_prefix(t->word, CV_STR("--")))
		return NULL;
	t->before = cv_str_slice(t->word, 0, eq + 1);
	t->word = cv_str_slice(t->word, eq + 1, t->word.n);
	for (size_t i = 0; row && i < row->flag_count; i++)
		if (cv_str_eq(name, cv_str_of(row->flags[i].name)))
			return &row->flags[i];
	for (size_t i = 0; i < g->global_count; i++)
		if (cv_str_eq(name, cv_str_of(g->globals[i].name)))
			return &g->globals[i];
	return NULL;
}

static void answer(struct typing *t, const struct cl_place *p)
{
	const struct cl_grammar *g = t->c->grammar;
	const struct cl_flag *f = p->flag ? p->flag : flag_in_word(t, p->command);

	if (p->is_foreign) {
		puts(":files");
	} else if (f) {
		offer_values(t, p->command, f);
	} else if (t->word.n && t->word.p[0] == '-') {
		if (p->command)
			offer_flags(t, p->command->flags, p->command->flag_count);
		offer_flags(t, g->globals, g->global_count);
	} else if (!p->command) {
		offer_commands(t, p->group);
	} else if (p->arg) {
		if (!t->c->w.arg_count) /* `exec`, whose own words are commands too */
			offer_commands(t, p->command->path);
		offer_names(t, row_of(p->command, p->arg->name));
	}
}

int cl_run_complete(struct cl *c)
{
	const size_t n = c->w.tail_count;
	struct typing t = { .c = c, .word = n ? cv_str_of(c->w.tail[n - 1]) : CV_STR("") };
	char **words = c->w.tail;
	struct cl_place p;

	if (!n || n > INT32_MAX ||
		cl_grammar_locate(c->grammar, &c->arena, (int)n - 1, words, &c->w, &p) != CV_OK)
		return CL_EXIT_FAILED;
	if (cl_flag(&c->w, "workspace"))
		c->workspace = cl_flag(&c->w, "workspace");
	if (p.flag && cv_str_eq(t.word, CV_STR("="))) /* of bash, which cuts words there */
		t.word = CV_STR("");
	alarm(ANSWER_S);
	answer(&t, &p);
	return 0;
}

/* Tools ask this before they create a sandbox, and look at the status. */
int cl_run_doctor_check(struct cl *c)
{
	cl_mark(c, 'v', "No container engine is needed");
	cl_note(c, "hint: what this host has for sandboxes says: cove doctor");
	return 0;
}
