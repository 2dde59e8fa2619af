/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discover.h - how a sandbox learns what it may call
 *
 * Several documents say the same in different forms.  All are made by one walk over the tools that
 * may be called, and each is a row of a table (discover.c) that says how it begins, what it has for
 * a tool and how it ends, so none can list what another has not.  What cove answers by itself is
 * a table too, CV_TOOL_OPERATIONS.
 *
 * A tool's own input schema is in them, and its conditions by policy as sentences; where it runs, its
 * backend and its credentials are in none.  Pure.
 */
#pragma once
#include "tools/catalog.h"

/* clang-format off */
#define CV_TOOL_OPERATIONS(X) /* enum, method, path, needs the token, summary */                    \
	X(TEXT, "GET", "/", false, "What there is and how to call it, as plain text")               \
	X(HEALTH, "GET", "/healthz", false, "Whether the route works")                              \
	X(MCP_LISTEN, "GET", "/mcp", true, "Model Context Protocol: messages to the client, resumed by Last-Event-ID") \
	X(MCP, "POST", "/mcp", true, "Model Context Protocol: Streamable HTTP")                     \
	X(MCP_END, "DELETE", "/mcp", true, "Model Context Protocol: ends the session")              \
	X(OPENAPI, "GET", "/openapi.json", false, "This document")                                  \
	X(LIST, "GET", "/tools.json", false, "The tools, with the JSON Schemas of their arguments") \
	X(JOBS, "GET", "/v1/jobs", true, "This sandbox's jobs")                                     \
	X(JOB, "GET", "/v1/jobs/{id}", true, "A job; with ?wait=SECONDS, when it has ended or the time is over") \
	X(JOB_DELETE, "DELETE", "/v1/jobs/{id}", true, "Cancels a job")                             \
	X(JOB_CANCEL, "POST", "/v1/jobs/{id}/cancel", true, "Cancels a job")                        \
	X(JOB_EVENTS, "GET", "/v1/jobs/{id}/events", true, "Server-sent events: progress, log, result, end") \
	X(JOB_LOG, "GET", "/v1/jobs/{id}/log", true, "The log's bytes, from ?offset=")              \
	X(JOB_RESULT, "GET", "/v1/jobs/{id}/result", true, "The result, as the call would have had it")

#define CV_DISCOVER_DOCUMENTS(X) /* enum, content type */                        \
	X(TEXT, "text/plain; charset=utf-8")     /* GET / */                     \
	X(TOOLS, "application/json")             /* /tools.json */               \
	X(OPENAPI, "application/json")           /* /openapi.json, 3.1 */        \
	X(MCP, "application/json")               /* the result of tools/list */  \
	X(SKILL, "text/markdown; charset=utf-8") /* SKILL.md in the sandbox */   \
	X(ALLOWED, "application/json")           /* "allowed" of a denial */     \
	X(KNOWN, "application/json")             /* "known" of an unknown name */
/* clang-format on */

#define CV_TOOL_OPERATION_ENUM(name, method, path, token, summary) CV_TOOL_OPERATION_##name,
enum cv_tool_operation { CV_TOOL_OPERATIONS(CV_TOOL_OPERATION_ENUM) CV_TOOL_OPERATION_COUNT };
#undef CV_TOOL_OPERATION_ENUM

struct cv_tool_operation_row {
	const char *method, *path, *summary;
	bool needs_token;
};

const struct cv_tool_operation_row *cv_tool_operation_row(enum cv_tool_operation o);

#define CV_DISCOVER_DOCUMENT_ENUM(name, type) CV_DISCOVER_##name,
enum cv_discover_document { CV_DISCOVER_DOCUMENTS(CV_DISCOVER_DOCUMENT_ENUM) CV_DISCOVER_COUNT };
#undef CV_DISCOVER_DOCUMENT_ENUM

struct cv_discover_conditions {
	const struct cv_str *v; /* sentences: "$.repo equals \"acme/app\"" */
	size_t n;
};

struct cv_discover {
	const struct cv_catalog *catalog;
	struct cv_str version; /* cove's own */
	/* Whether who asks may call it, and on which conditions (good until the next call; zero
	 * before it).  NULL: everything, without conditions. */
	bool (*may_call)(void *arg, const struct cv_tool *tool, struct cv_discover_conditions *ret);
	void *arg;
	/* Of CV_DISCOVER_MCP: the name that the last page ended with, or empty; tools of a page
	 * (0: CV_MCP_PAGE_TOOLS). */
	struct cv_str cursor;
	size_t page_tools;
};

const char *cv_discover_content_type(enum cv_discover_document document);

/* Appends the document.  False when it did not fit. */
CV_MUST bool cv_discover_write(
	const struct cv_discover *d, enum cv_discover_document document, struct cv_buf *out);

/* The name that was probably meant, of those that may be called; or "". */
struct cv_str cv_discover_nearest(const struct cv_discover *d, struct cv_str name);

/* Path and method that the documents give for a tool: its own route, or /v1/tools/NAME. */
struct cv_str cv_tool_endpoint_method(const struct cv_tool *tool);
void cv_tool_endpoint_write(const struct cv_tool *tool, struct cv_buf *out);
