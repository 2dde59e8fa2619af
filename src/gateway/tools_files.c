/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools_files.c - catalogs that the configuration names
 *
 * All of them are judged before one is used: a gateway does not start, and does not reload, with a
 * bad one.  Sandboxes get the text that was judged, whatever becomes of the file.
 */
#include "gateway/tools_int.h"

#include "gateway/config.h"
#include "gateway/state.h"
#include "policy/findings.h"
#include "tools/builtin.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define FINDINGS_BYTES_MAX (1u << 20)

static bool is_file(struct cv_str word)
{
	return cv_str_has_byte(word, '/');
}

static cv_code builtin_read(struct tools_set *s, struct cv_str word, struct cv_err *err)
{
	for (unsigned long i = 0; i < cv_builtin_catalogs_count; i++) {
		const struct cv_builtin_catalog *b = &cv_builtin_catalogs[i];
		char *name;

		if (!cv_str_eq(cv_str_of(b->id), word))
			continue;
		if (asprintf(&name, CV_BUILTIN_CATALOG_PREFIX "%s", b->id) < 0)
			return cv_fail(err, CV_LIMIT, "no memory");
		s->names[s->count] = cv_str_of(name);
		s->texts[s->count++] = cv_str_dup((struct cv_str){ b->text, b->bytes });
		return s->texts[s->count - 1] ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");
	}
	return cv_fail(err, CV_NOT_FOUND,
		"no catalog '%.*s' comes with cove; a file is named by its absolute path",
		CV_STR_ARG(word));
}

static cv_code file_read(struct tools_set *s, struct cv_str word, struct cv_err *err)
{
	char path[CV_GW_PATH_BYTES_MAX];
	struct cv_buf text;

	if (word.p[0] != '/')
		return cv_fail(err, CV_INVALID, "'%.*s' is no absolute path", CV_STR_ARG(word));
	if (!cv_str_to_cstr(word, path, sizeof(path)))
		return cv_fail(err, CV_INVALID, "a path of more than %zu bytes", sizeof(path));
	cv_buf_init(&text, CV_GW_FILE_BYTES_MAX);
	cv_code code = cv_gw_file_read(AT_FDCWD, path, &text, err);
	if (code == CV_OK && cv_str_has_byte(cv_buf_str(&text), '\0'))
		code = cv_fail(
			err, CV_INVALID, "%s: a NUL byte", path); /* it is a text from here on */
	if (code == CV_OK) {
		char *name = strdup(path);

		s->names[s->count] = cv_str_of(name ? name : "");
		s->texts[s->count++] = cv_str_dup(cv_buf_str(&text));
	}
	cv_buf_fini(&text);
	if (code == CV_OK && (!s->names[s->count - 1].n || !s->texts[s->count - 1]))
		return cv_fail(err, CV_LIMIT, "no memory");
	return code;
}

/* A gateway starts nobody's programs for a secret. */
static cv_code credentials_check(const struct cv_catalog *c, struct cv_err *err)
{
	for (size_t i = 0; i < c->credential_count; i++)
		if (c->credentials[i].source == CV_TOOL_CREDENTIAL_COMMAND)
			return cv_fail(err, CV_INVALID,
				"credential %.*s comes from a command, which a gateway does not run; "
				"use file, env or provider",
				CV_STR_ARG(c->credentials[i].name));
	return CV_OK;
}

static cv_code catalog_add(struct tools_set *s, struct cv_err *err)
{
	const struct cv_str file = s->names[s->count - 1];
	struct cv_catalog *more = NULL;
	struct cv_findings f;
	struct cv_buf report;

	cv_findings_init(&f);
	cv_code code = cv_catalog_load(file, cv_str_of(s->texts[s->count - 1]), &more, &f);
	if (code == CV_OK)
		code = credentials_check(more, err);
	else
		cv_fail(err, code, "not a good catalog");
	if (code == CV_OK && s->catalog) {
		code = cv_catalog_merge(s->catalog, more, &f); /* takes it */
		if (code != CV_OK)
			cv_fail(err, code, "does not go together with the catalogs before it");
	} else if (code == CV_OK)
		s->catalog = more;
	else
		cv_catalog_free(more);
	if (code != CV_OK) {
		cv_buf_init(&report, FINDINGS_BYTES_MAX);
		cv_findings_text(&f, file, &report);
		fprintf(stderr, "%.*s", CV_STR_ARG(cv_buf_str(&report)));
		cv_buf_fini(&report);
	}
	cv_findings_fini(&f);
	return code;
}

static cv_code word_add(struct tools_set *s, struct cv_str word, struct cv_err *err)
{
	if (s->count == TOOLS_SET_FILES_MAX)
		return cv_fail(err, CV_LIMIT, "more than %d catalogs for one sandbox",
			TOOLS_SET_FILES_MAX);
	cv_code code = is_file(word) ? file_read(s, word, err) : builtin_read(s, word, err);
	if (code == CV_OK)
		code = catalog_add(s, err);
	return code == CV_OK ? CV_OK : cv_wrap(err, "%.*s", CV_STR_ARG(word));
}

/* Who wants to hear of every catalog that is bad, and not of the first. */
struct judge {
	const struct cv_gw_config *c;
	const char *key;
	struct cv_findings *findings;
	struct cv_err *err;
	bool is_bad;
};

static cv_code word_take(
	struct tools_set *s, struct cv_str word, struct judge *j, struct cv_err *err)
{
	const cv_code code = word_add(s, word, err);

	if (code == CV_OK || !j)
		return code;
	cv_gw_config_refuse(j->c, j->key, j->findings, j->err, "%s", err->msg);
	j->is_bad = true;
	return CV_OK;
}

/* Those of all, then the workspace's own.  j: or NULL, and the first that is bad is the end. */
static cv_code set_load(const struct cv_gw_config *c, struct cv_str workspace, struct cv_str own,
	struct tools_set *s, struct judge *j, struct cv_err *err)
{
	cv_code code = CV_OK;

	s->workspace = workspace;
	for (size_t i = 0; i < c->tools_catalogs.n && code == CV_OK; i++)
		code = word_take(s, c->tools_catalogs.v[i], j, err);
	while (own.n && code == CV_OK) {
		const struct cv_str word = cv_str_trim(cv_str_cut(&own, ','));

		if (word.n)
			code = word_take(s, word, j, err);
	}
	return code == CV_OK ? CV_OK : cv_wrap(err, "tools");
}

static void set_unload(struct tools_set *s)
{
	cv_catalog_free(s->catalog);
	for (size_t k = 0; k < s->count; k++) {
		free((char *)(uintptr_t)s->names[k].p);
		free(s->texts[k]);
	}
}

cv_code tools_load(const struct cv_gw_config *c, struct cv_gw_tools *ret, struct cv_err *err)
{
	const struct cv_gw_config_map *own = &c->tools_workspaces;
	cv_code code = CV_OK;

	*ret = (struct cv_gw_tools){ 0 };
	if (own->n >= TOOLS_SETS_MAX)
		return cv_fail(err, CV_LIMIT, "tools.workspaces: more than %d", TOOLS_SETS_MAX);
	ret->sets = calloc(own->n + 1, sizeof(ret->sets[0]));
	if (!ret->sets)
		return cv_fail(err, CV_LIMIT, "no memory");
	for (size_t i = 0; i < own->n && code == CV_OK; i++)
		code = set_load(c, own->key[i], own->value[i], &ret->sets[ret->n++], NULL, err);
	if (code == CV_OK)
		code = set_load(c, CV_STR_NONE, CV_STR_NONE, &ret->sets[ret->n++], NULL, err);
	if (code != CV_OK)
		tools_unload(ret);
	return code;
}

void tools_unload(struct cv_gw_tools *t)
{
	for (size_t i = 0; i < t->n; i++)
		set_unload(&t->sets[i]);
	free(t->sets);
	*t = (struct cv_gw_tools){ 0 };
}

const struct tools_set *tools_of(const struct cv_gateway *g, struct cv_str workspace)
{
	for (size_t i = 0; g->tools && i < g->tools->n; i++) {
		const struct tools_set *s = &g->tools->sets[i];

		if (!s->workspace.p || cv_str_eq(s->workspace, workspace))
			return s->catalog ? s : NULL;
	}
	return NULL;
}

/* False: refused; what is wrong in a file of it was printed. */
static bool set_check(const struct cv_gw_config *c, struct cv_str own, const char *key,
	struct cv_findings *findings, struct cv_err *err)
{
	struct judge j = { .c = c, .key = key, .findings = findings, .err = err };
	struct tools_set s = { 0 };
	struct cv_err unused;

	(void)!set_load(c, CV_STR_NONE, own, &s, &j, &unused);
	set_unload(&s);
	return !j.is_bad;
}

void cv_gw_tools_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err)
{
	const struct cv_gw_config_map *own = &c->tools_workspaces;

	if (own->n >= TOOLS_SETS_MAX)
		cv_gw_config_refuse(
			c, "tools.workspaces", findings, err, "more than %d", TOOLS_SETS_MAX);
	/* Each has those of all in it: if they are bad, no more is to be said of it. */
	if (!set_check(c, CV_STR_NONE, "tools.catalogs", findings, err))
		return;
	for (size_t i = 0; i < CV_MIN(own->n, (size_t)TOOLS_SETS_MAX); i++)
		(void)set_check(c, own->value[i], "tools.workspaces", findings, err);
}

/* ---- what is not on this host ---- */

/* The catalog itself was judged before. */
static void word_remark(const struct cv_gw_config *c, const char *key, struct cv_str word,
	char **env, struct cv_findings *findings)
{
	struct tools_set s = { 0 };
	struct cv_err err;

	const bool is_read = word.n && word_add(&s, word, &err) == CV_OK;
	for (size_t i = 0; is_read && i < s.catalog->credential_count; i++) {
		const struct cv_tool_credential *one = &s.catalog->credentials[i];
		struct cv_buf value;

		if (one->source == CV_TOOL_CREDENTIAL_PROVIDER)
			continue;
		cv_buf_init(&value, CV_GW_FILE_BYTES_MAX);
		if (tools_value_read(env, one, &value, &err) != CV_OK)
			cv_gw_config_remark(c, key, findings,
				"catalog %.*s: credential %.*s: %s; calls of the tools that need "
				"it will fail",
				CV_POLICY_QUOTE(word), CV_POLICY_QUOTE(one->name), err.msg);
		cv_buf_wipe(&value);
	}
	set_unload(&s);
}

void cv_gw_tools_remark(const struct cv_gw_config *c, char **env, struct cv_findings *findings)
{
	const struct cv_gw_config_map *own = &c->tools_workspaces;

	for (size_t i = 0; i < c->tools_catalogs.n; i++)
		word_remark(c, "tools.catalogs", c->tools_catalogs.v[i], env, findings);
	for (size_t i = 0; i < own->n; i++)
		for (struct cv_str rest = own->value[i]; rest.n;)
			word_remark(c, "tools.workspaces", cv_str_trim(cv_str_cut(&rest, ',')), env,
				findings);
}
