/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_int.h - what the parts of the catalog's reader share; private to this folder
 */
#pragma once
#include "base/glob.h"
#include "policy/findings.h"
#include "tools/catalog_doc.h"

/* What is being judged, for messages: "deploy.command: ..." */
struct cv_catalog_check {
	struct cv_catalog *catalog;
	const struct cv_doc_catalog *doc;
	struct cv_arena *arena;
	struct cv_findings *findings;
	struct cv_str name; /* of the tool, server, ... */
	/* Of a tool: its input, and which of its properties a template uses. */
	struct cv_tool *tool;
	bool *is_used;
	struct cv_tool_uses *uses; /* whose credentials are collected; NULL: nobody's */
};

/* An error in the thing that is being judged; field may be "". */
CV_PRINTF(5, 6)
void cv_catalog_report(struct cv_catalog_check *c, struct cv_policy_pos pos, const char *field,
	const char *fix, const char *fmt, ...);
CV_PRINTF(5, 6)
void cv_catalog_warn(struct cv_catalog_check *c, struct cv_policy_pos pos, const char *field,
	const char *fix, const char *fmt, ...);

/* A number, with KiB, MiB or GiB behind it where has_units; absent: otherwise. */
uint64_t cv_catalog_number(struct cv_catalog_check *c, const struct cv_policy_text *t,
	const char *field, uint64_t min, uint64_t max, uint64_t otherwise);
uint64_t cv_catalog_bytes(struct cv_catalog_check *c, const struct cv_policy_text *t,
	const char *field, uint64_t max, uint64_t otherwise);
/* prefix: "command." or "".  why_none: why nothing is bounded here; NULL: it is. */
struct cv_tool_room cv_catalog_room(struct cv_catalog_check *c, const struct cv_doc_room *d,
	const char *prefix, const char *why_none);

/* Absolute, without "." and ".." and empty parts. */
bool cv_catalog_path_is_good(struct cv_str path);
/* Reports a path that is given and not good. */
void cv_catalog_path(struct cv_catalog_check *c, const struct cv_policy_text *t, const char *field);

/* http://HOST[:PORT] or https://..., with a path where may_path; plain http only to loopback. */
void cv_catalog_url(struct cv_catalog_check *c, const struct cv_policy_text *t, const char *field,
	bool may_path);

/* The strings of a list, at most max; each a good glob of the kind, unless that is
 * CV_CATALOG_NO_GLOB. */
#define CV_CATALOG_NO_GLOB CV_GLOB_KIND_COUNT
struct cv_str *cv_catalog_strs(struct cv_catalog_check *c, const struct cv_policy_texts *t,
	const char *field, size_t max, enum cv_glob_kind kind, size_t *ret_n);

/* catalog_template.c: compiled, and every place in it judged.  NULL when reported, or absent. */
const struct cv_template *cv_catalog_template(struct cv_catalog_check *c,
	const struct cv_policy_text *t, const char *field, enum cv_template_kind kind);
const struct cv_tool_pair *cv_catalog_pairs(struct cv_catalog_check *c,
	const struct cv_doc_pairs *pairs, const char *field, enum cv_template_kind kind,
	size_t *ret_n);

/* The tool at hand uses a credential, which the catalog has. */
void cv_catalog_uses(struct cv_catalog_check *c, struct cv_str name);

/* catalog_build.c and catalog_repo.c */
void cv_catalog_build(struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t);
void cv_catalog_repo(struct cv_catalog_check *c, const struct cv_doc_tool *d, struct cv_tool *t);

/* catalog_input.c: the input's schema of the doc's tool, as it is shown; never NULL.  Its values'
 * `at` hold their places: cv_catalog_value_pos(). */
const struct cv_value *cv_catalog_input(
	struct cv_catalog_check *c, const struct cv_doc_tool *doc, enum cv_tool_backend backend);
struct cv_policy_pos cv_catalog_value_pos(const struct cv_value *v);
/* Property of the tool's input; NULL: none of this name. */
const struct cv_value *cv_tool_property(const struct cv_tool *tool, struct cv_str name);
bool cv_tool_property_is_required(const struct cv_tool *tool, struct cv_str name);
/* Properties may also come from $ref, allOf and the like: what is not found may be there. */
bool cv_tool_input_is_composed(const struct cv_tool *tool);

/* catalog_schema.c: compiles the inputs of all tools, which catalog then owns. */
void cv_catalog_schemas(struct cv_catalog *catalog, struct cv_findings *findings);
void cv_catalog_schemas_free(struct cv_catalog *catalog);

/* catalog_parts.c and catalog_tool.c */
void cv_catalog_credentials(struct cv_catalog_check *c);
void cv_catalog_servers(struct cv_catalog_check *c);
void cv_catalog_urls(struct cv_catalog_check *c);
void cv_catalog_mcps(struct cv_catalog_check *c);
void cv_catalog_tools(struct cv_catalog_check *c);

/* catalog_route.c: reads and judges a tool's own route. */
void cv_catalog_tool_route(struct cv_catalog_check *c, const struct cv_policy_text *text);
/* Routes that one request could mean both of. */
bool cv_tool_routes_collide(const struct cv_tool *a, const struct cv_tool *b);
