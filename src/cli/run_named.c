/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_named.c - which files of the host a run was told of (plan/named.h)
 *
 * Policy, audit, catalogs, instances and profiles, routes, roots; files that hold a value; and of what
 * a catalog starts on the host, the programs and the words that are files, such as a script behind its
 * interpreter.  What these load from beside them is not known here.  So who runs something on the host
 * that lies where the sandbox may write is told.
 *
 * Directories that runs have beside their sandboxes (a broker's records, its builds and their policies,
 * sockets for answers) are hidden, too.  A run whose own would come to be where its sandbox sees it is
 * refused: it is not there yet, and so nothing can be laid over it.
 */
#include "cli/run_int.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_NAMED_MAX 1024 /* a thousand files; beyond that nothing is started */

struct names {
	struct cv_run_request *r;
	struct cv_arena *arena;
	struct cv_spec_named *v;
	size_t n;
	bool is_full;
};

static const struct cv_spec_named *path_add(
	struct names *t, const char *path, enum cv_named_kind kind)
{
	char *real = realpath(path, NULL);
	struct stat st;

	/* What is not there, or no file, is somebody else's to complain of. */
	if (!real || stat(real, &st) < 0 || !S_ISREG(st.st_mode)) {
		free(real);
		return NULL;
	}
	const struct cv_str kept = cv_arena_str(t->arena, cv_str_of(real));
	free(real);
	if (t->n == RUN_NAMED_MAX || !kept.p) {
		t->is_full = true;
		return NULL;
	}
	t->v[t->n++] = (struct cv_spec_named){ kept, kind };
	return &t->v[t->n - 1];
}

static void text_add(struct names *t, struct cv_str path, enum cv_named_kind kind)
{
	char text[PATH_MAX];

	if (path.n && cv_str_to_cstr(path, text, sizeof(text)))
		(void)path_add(t, text, kind);
}

/* As instances and catalogs mean it. */
static void from_add(struct names *t, struct cv_str path, const char *from, enum cv_named_kind kind)
{
	char text[PATH_MAX];
	char *whole = path.n && cv_str_to_cstr(path, text, sizeof(text))
			      ? cv_provider_path(text, from)
			      : NULL;

	if (whole)
		(void)path_add(t, whole, kind);
	free(whole);
}

/* ---- what runs on the host ---- */

/* May the sandbox write beside it, or see it if it is secret? */
static bool is_in_reach(const struct names *t, struct cv_str path, enum cv_named_kind kind)
{
	struct cv_run_spec s = t->r->spec;
	const struct cv_spec_named one = { path, kind };
	struct cv_named_place *places;
	size_t n = 0;

	s.named = &one;
	s.named_count = 1;
	return cv_plan_named_places(&s, t->arena, &places, &n) && n;
}

static void word_add(struct names *t, struct cv_str who, struct cv_str word)
{
	char text[PATH_MAX];

	if (!cv_str_has_prefix(word, CV_STR("/")) || !cv_str_to_cstr(word, text, sizeof(text)))
		return;
	const struct cv_spec_named *added = path_add(t, text, CV_NAMED_FILE);
	if (added && !t->r->spec.is_quiet && is_in_reach(t, added->path, CV_NAMED_FILE))
		fprintf(stderr,
			"cove: %.*s runs %.*s on the host, and the sandbox may write beside it; it can't "
			"change that file, but what it loads from there: keep it elsewhere\n",
			CV_STR_ARG(who), CV_STR_ARG(word));
}

static void command_add(struct names *t, struct cv_str who, const struct cv_tool_command *c)
{
	for (size_t i = 0; i < c->argc; i++)
		if (c->argv[i]->is_literal)
			word_add(t, who, c->argv[i]->source);
	text_add(t, c->sandbox_policy, CV_NAMED_FILE);
}

static void words_add(struct names *t, struct cv_str who, const struct cv_str *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		word_add(t, who, v[i]);
}

static void catalog_add(struct names *t, const struct cv_catalog *c)
{
	char file[PATH_MAX] = "";

	(void)!cv_str_to_cstr(c->file, file, sizeof(file));
	for (size_t i = 0; i < c->tool_count; i++)
		if (c->tools[i].command)
			command_add(t, c->tools[i].name, c->tools[i].command);
	for (size_t i = 0; i < c->server_count; i++)
		words_add(t, c->servers[i].name, c->servers[i].argv, c->servers[i].argc);
	for (size_t i = 0; i < c->mcp_count; i++)
		words_add(t, c->mcps[i].name, c->mcps[i].argv, c->mcps[i].argc);
	for (size_t i = 0; i < c->credential_count; i++) {
		const struct cv_tool_credential *k = &c->credentials[i];

		if (k->source == CV_TOOL_CREDENTIAL_FILE)
			from_add(t, k->from, file, CV_NAMED_SECRET);
		if (k->source == CV_TOOL_CREDENTIAL_COMMAND)
			words_add(t, k->name, k->argv, k->argc);
	}
}

/* ---- providers ---- */

static void sources_add(
	struct names *t, const struct cv_instance_source *v, size_t n, const char *from)
{
	for (size_t i = 0; i < n; i++) {
		from_add(t, v[i].file.s, from, CV_NAMED_SECRET);
		for (size_t k = 0; k < v[i].command.n; k++)
			word_add(t, v[i].key.s, v[i].command.v[k].s);
	}
}

static void provider_add(struct names *t, const struct cv_provider_found *f)
{
	const struct cv_instance *v = f->instance;

	if (f->path)
		(void)path_add(t, f->path, CV_NAMED_FILE);
	if (f->profile_from && strchr(f->profile_from, '/'))
		(void)path_add(t, f->profile_from, CV_NAMED_FILE);
	if (!v)
		return;
	sources_add(t, v->credentials, v->credential_count, f->path);
	for (size_t i = 0; i < v->refresh_count; i++) {
		sources_add(t, v->refreshes[i].materials, v->refreshes[i].material_count, f->path);
		for (size_t k = 0; k < v->refreshes[i].command.n; k++)
			word_add(t, v->refreshes[i].key.s, v->refreshes[i].command.v[k].s);
	}
}

/* ---- what runs have ---- */

static void dir_add(struct names *t, struct cv_str above, const char *name)
{
	const struct cv_str path = cv_arena_printf(
		t->arena, "%.*s/%s-%u", CV_STR_ARG(above), name, (unsigned)geteuid());
	char *real = path.p ? realpath(path.p, NULL) : NULL;
	struct stat st;

	if (real && lstat(real, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
		t->n < RUN_NAMED_MAX)
		t->v[t->n++] = (struct cv_spec_named){ cv_arena_str(t->arena, cv_str_of(real)),
			CV_NAMED_SECRET };
	free(real);
}

static void states_add(struct names *t)
{
	const char *variables[] = { getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR") };
	char user[64];

	snprintf(user, sizeof(user), "/run/user/%u", (unsigned)geteuid());
	const struct cv_str place[] = { CV_STR("/tmp"), CV_STR("/var/tmp"), cv_str_of(user),
		cv_str_of(variables[0]), cv_str_of(variables[1]) };
	for (size_t i = 0; i < CV_ARRAY_LEN(place); i++)
		if (cv_str_has_prefix(place[i], CV_STR("/"))) {
			dir_add(t, place[i], "cove-tools");
			dir_add(t, place[i], "cove");
		}
}

static cv_code own_state_check(
	const struct names *t, const struct cv_plan_files *files, struct cv_err *err)
{
	char text[PATH_MAX];
	char *real = files->tools_count && cv_str_to_cstr(files->tools_state, text, sizeof(text))
			     ? realpath(text, NULL)
			     : NULL;
	const struct cv_str path =
		real ? cv_arena_printf(t->arena, "%s/cove-tools", real) : CV_STR_NONE;
	cv_code code = CV_OK;

	if (path.p && is_in_reach(t, path, CV_NAMED_SECRET))
		code = cv_fail(err, CV_INVALID,
			"--tools: what cove keeps for this run would be below %s, which the sandbox "
			"has; choose another --workdir or --mount, or set XDG_RUNTIME_DIR or TMPDIR "
			"to a directory elsewhere",
			real);
	free(real);
	return code;
}

/* ---- all ---- */

cv_code run_named_find(struct cv_run_request *r, const struct run_providers *providers,
	const struct run_tools *tools, const struct cv_plan_files *files, struct cv_arena *arena,
	struct cv_err *err)
{
	struct names t = { .r = r, .arena = arena };

	t.v = cv_arena_array(arena, RUN_NAMED_MAX, sizeof(*t.v));
	if (!t.v)
		return cv_fail(err, CV_LIMIT, "no memory");
	text_add(&t, files->policy_file, CV_NAMED_POLICY);
	text_add(&t, files->audit_file, CV_NAMED_FILE);
	text_add(&t, files->routes_file, CV_NAMED_FILE);
	for (size_t i = 0; i < files->ca_count; i++)
		text_add(&t, files->ca_files[i], CV_NAMED_FILE);
	for (size_t i = 0; i < files->tools_count; i++)
		text_add(&t, files->tools_files[i], CV_NAMED_FILE);
	for (size_t i = 0; i < providers->count; i++)
		provider_add(&t, &providers->found[i]);
	if (tools->catalog)
		catalog_add(&t, tools->catalog);
	if (r->upstream_auth && !strncmp(r->upstream_auth, "file:", 5))
		(void)path_add(&t, r->upstream_auth + 5, CV_NAMED_SECRET);
	states_add(&t);
	r->spec.named = t.v;
	r->spec.named_count = t.n;
	if (t.is_full || arena->is_overflown)
		return cv_fail(err, CV_LIMIT, "more than %d files are named", RUN_NAMED_MAX);
	return own_state_check(&t, files, err);
}
