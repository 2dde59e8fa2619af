/* SPDX-License-Identifier: Apache-2.0 */
/*
 * toolmap.h - which host tools there are, and by which requests each is called
 *
 * The proxy decides about calls, so it has to know which tool a request calls; of a catalog it
 * needs no more than that.  The launcher writes one line for each tool, the proxy reads them:
 *
 *     deploy                                     POST /v1/tools/deploy, and by MCP
 *     issues.close POST /issues/{number:number}/close    ... and by this request
 *     files.*                                    names that are known only while it runs
 *     :9090                                      no tool: host.openshell.internal:9090 is the broker's
 *
 * A {place} of a path is an argument.  Where the tool's schema asks for a number (or a boolean) and
 * the text is one, it becomes that, any other text a string: as tools/catalog_route.c has it.  Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

#define CV_TOOLMAP_BYTES_MAX       (1u << 20) /* a thousand tools with long routes */
#define CV_TOOLMAP_TOOLS_MAX       1024
#define CV_TOOLMAP_PORTS_MAX       64
#define CV_TOOLMAP_PLACES_MAX      8
#define CV_TOOLMAP_NAME_BYTES_MAX  128 /* what MCP gives a tool's name */
#define CV_TOOLMAP_ROUTE_BYTES_MAX 1024

struct cv_toolmap_tool {
	struct cv_str name;          /* with is_glob: without the * at its end */
	struct cv_str method, route; /* empty: none of its own */
	bool is_glob;
};

struct cv_toolmap {
	struct cv_arena arena;
	struct cv_toolmap_tool *v; /* in the order given */
	size_t n;
	uint16_t port[CV_TOOLMAP_PORTS_MAX]; /* of servers that the broker relays to */
	size_t port_count;
};

struct cv_toolmap_args { /* what the places of a path say */
	struct cv_str name[CV_TOOLMAP_PLACES_MAX];
	struct cv_value value[CV_TOOLMAP_PLACES_MAX];
	size_t n;
};

/* A name that can be called: letters, digits and . _ - and no other byte. */
CV_MUST bool cv_toolmap_is_name(struct cv_str name);

/* Appends a line; method and route may be empty. */
bool cv_toolmap_put(
	struct cv_buf *b, struct cv_str name, struct cv_str method, struct cv_str route);

bool cv_toolmap_put_port(struct cv_buf *b, uint16_t port);
CV_MUST bool cv_toolmap_has_port(const struct cv_toolmap *m, uint16_t port);

/* CV_INVALID: a line that makes no sense.  text is copied. */
CV_MUST cv_code cv_toolmap_load(struct cv_str text, struct cv_toolmap *ret, struct cv_err *err);
void cv_toolmap_fini(struct cv_toolmap *m);

/* By its name; NULL: there is none. */
const struct cv_toolmap_tool *cv_toolmap_find(const struct cv_toolmap *m, struct cv_str name);

/* By a request with a canonical path.  NULL: none; then *ret_method is one by which the path could be
 * asked for, or empty.  Values borrow from path and arena. */
const struct cv_toolmap_tool *cv_toolmap_route(const struct cv_toolmap *m, struct cv_str method,
	struct cv_str path, struct cv_arena *arena, struct cv_toolmap_args *ret,
	struct cv_str *ret_method);
