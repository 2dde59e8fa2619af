/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools_int.h - the parts of host tools: tools.c (the part), tools_files.c (catalogs),
 * tools_token.c (tokens and grants)
 */
#pragma once
#include "gateway/tools.h"
#include "tools/catalog.h"

#define TOOLS_SET_FILES_MAX 16   /* CV_PLAN_TOOLS_FILES_MAX */
#define TOOLS_SETS_MAX      4096 /* as many workspaces as the configuration may name, and the rest */

struct tools_set {                  /* the catalogs of a workspace, those of all included */
	struct cv_str workspace;    /* p NULL: of those that are not named */
	struct cv_catalog *catalog; /* NULL: none */
	struct cv_str names[TOOLS_SET_FILES_MAX];
	char *texts[TOOLS_SET_FILES_MAX]; /* malloc'd; NUL-terminated */
	size_t count;
};

struct cv_gw_tools {
	struct tools_set *sets;
	size_t n;
};

/* ---- tools_files.c ---- */

CV_MUST cv_code tools_load(
	const struct cv_gw_config *c, struct cv_gw_tools *ret, struct cv_err *err);
void tools_unload(struct cv_gw_tools *t);
/* NULL: the workspace has no tools. */
const struct tools_set *tools_of(const struct cv_gateway *g, struct cv_str workspace);

/* ---- tools_token.c ---- */

/* A new one; *ret_digest in hexadecimal. */
CV_MUST cv_code tools_token_make(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_arena *arena, struct cv_str *ret_digest, struct cv_err *err);
/* A credential of a catalog that is in the environment or in a file.  CV_NOT_FOUND: it is not there. */
CV_MUST cv_code tools_value_read(
	char **env, const struct cv_tool_credential *c, struct cv_buf *ret, struct cv_err *err);
