/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discover_int.h - one document each: what stands before, for each tool, and behind; private to this
 * folder
 */
#pragma once
#include "tools/discover.h"

struct cv_discover_walk {
	const struct cv_discover *d;
	struct cv_buf *out;
	size_t shown;            /* tools so far */
	struct cv_str last;      /* the name of the last one */
	bool has_more, is_paged; /* MCP */
};

typedef void cv_discover_edge_fn(struct cv_discover_walk *w);
typedef void cv_discover_tool_fn(struct cv_discover_walk *w, const struct cv_tool *tool,
	const struct cv_discover_conditions *conditions);

struct cv_discover_format {
	cv_discover_edge_fn *begin, *end;
	cv_discover_tool_fn *tool;
	bool is_paged;
};

extern const struct cv_discover_format cv_discover_text, cv_discover_skill; /* discover_text.c */
extern const struct cv_discover_format cv_discover_tools, cv_discover_mcp, cv_discover_allowed,
	cv_discover_known;                                  /* discover_json.c */
extern const struct cv_discover_format cv_discover_openapi; /* discover_openapi.c */

/* "description":"...", with what policy asks in the end. */
void cv_discover_put_description(struct cv_buf *out, const struct cv_tool *tool,
	const struct cv_discover_conditions *conditions);

/* The input's schema, without the places of the tool's route where is_body; where is_mcp with
 * objects for schemas that are true or false, as the SDKs' readers want them. */
void cv_discover_put_schema(
	struct cv_buf *out, const struct cv_tool *tool, bool is_body, bool is_mcp);

/* A place of the route. */
bool cv_tool_route_has_place(const struct cv_tool *tool, struct cv_str name);
