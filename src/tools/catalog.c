/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog.c - loading, merging, finding; see catalog.h
 *
 * Reading has three steps: tables fill a document (catalog_doc.c), each part of it is judged and made
 * into the catalog's (catalog_parts.c, catalog_tool.c and what they use), and what concerns several
 * tools is judged at the end, when they are sorted.  Everything wrong is reported in one go; nothing
 * is kept of a catalog with an error.
 */
#include "tools/catalog.h"

#include "base/assert.h"
#include "base/word.h"
#include "tools/catalog_int.h"

#include <stdio.h>
#include <stdlib.h>

static const struct cv_fill_noun catalog_noun = {
	.name = "catalog",
	.minimum = "it needs at least \"version: 1\"",
	.start = "it begins with \"version: 1\"",
	.shorten = "split it into several files",
};

const char *cv_tool_build_engine_name(enum cv_tool_build_engine engine)
{
	switch (engine) {
	case CV_TOOL_ENGINE_BUILDAH: return "buildah";
	case CV_TOOL_ENGINE_PODMAN: return "podman";
	case CV_TOOL_ENGINE_DOCKER: return "docker";
	case CV_TOOL_ENGINE_BUILDKIT: return "buildkit";
	}
	cv_unreachable();
}

const char *cv_tool_backend_name(enum cv_tool_backend backend)
{
	static const char *const names[CV_TOOL_BACKEND_COUNT] = {
		[CV_TOOL_COMMAND] = "command",
		[CV_TOOL_HTTP] = "http",
		[CV_TOOL_SERVER] = "server",
		[CV_TOOL_MCP] = "mcp",
		[CV_TOOL_BUILD] = "build",
		[CV_TOOL_FILES] = "files",
		[CV_TOOL_REPO] = "repo",
	};

	cv_assert(backend < CV_TOOL_BACKEND_COUNT);
	return names[backend];
}

bool cv_tool_name_is_good(struct cv_str name)
{
	bool is_first = true;

	if (!name.n || name.n > CV_TOOL_NAME_BYTES_MAX || name.p[name.n - 1] == '.')
		return false;
	for (size_t i = 0; i < name.n; i++) {
		const char c = name.p[i];
		const bool is_letter = c >= 'a' && c <= 'z';

		if (c == '.' ? is_first
			     : !is_letter && (is_first || !((c >= '0' && c <= '9') || c == '_')))
			return false;
		is_first = c == '.';
	}
	return true;
}

/* ---- what concerns several tools ---- */

int cv_tool_by_name(const void *a, const void *b)
{
	return cv_str_cmp(((const struct cv_tool *)a)->name, ((const struct cv_tool *)b)->name);
}

static void sort(struct cv_catalog *c)
{
	if (c->tool_count > 1)
		qsort(c->tools, c->tool_count, sizeof(*c->tools), cv_tool_by_name);
}

static void check_routes(const struct cv_catalog *c, struct cv_findings *findings)
{
	for (size_t i = 0; i < c->tool_count; i++)
		for (size_t k = 0; k < i; k++) {
			const bool is_first = c->tools[i].pos.line < c->tools[k].pos.line;
			const struct cv_tool *a = &c->tools[is_first ? i : k],
					     *b = &c->tools[is_first ? k : i];

			if (cv_tool_routes_collide(a, b))
				cv_findings_add(findings, CV_FINDING_ERROR, b->pos, b->name,
					"give each its own",
					"one request could mean '%.*s %.*s' and the route of '%.*s' (line %u)",
					CV_POLICY_QUOTE(b->method), CV_POLICY_QUOTE(b->route),
					CV_POLICY_QUOTE(a->name), a->pos.line);
		}
}

/* ---- other URLs ---- */

static bool url_find(const struct cv_catalog *c, struct cv_str from, struct cv_str *ret)
{
	for (size_t i = 0; i < c->url_count; i++)
		if (from.n && cv_str_eq(c->urls[i].from, from)) {
			*ret = c->urls[i].to;
			return true;
		}
	return false;
}

/* What tools call goes where urls: says.  A tool that was moved is not moved on: the first catalog
 * that says so is the one that counts. */
static void urls_apply(struct cv_catalog *c)
{
	struct cv_str to;

	for (size_t i = 0; i < c->tool_count; i++) {
		struct cv_tool *t = &c->tools[i];

		if (t->backend == CV_TOOL_HTTP && !t->is_moved && url_find(c, t->http->base, &to)) {
			struct cv_tool_http *h = cv_arena_new(&c->arena, struct cv_tool_http);

			if (!h)
				return; /* overflown, which load and merge see */
			*h = *t->http;
			h->base = to;
			t->http = h;
			t->is_moved = true;
		}
		if (t->backend == CV_TOOL_REPO && !t->is_moved && url_find(c, t->repo->base, &to)) {
			struct cv_tool_repo *r = cv_arena_new(&c->arena, struct cv_tool_repo);

			if (!r)
				return;
			*r = *t->repo;
			r->base = to;
			t->repo = r;
			t->is_moved = true;
		}
	}
}

/* ---- load ---- */

static bool is_small(struct cv_str text, struct cv_findings *findings)
{
	if (text.n <= CV_CATALOG_BYTES_MAX)
		return true;
	cv_findings_add(findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 }, CV_STR_NONE,
		catalog_noun.shorten, "a catalog of %zu bytes; at most %u are read", text.n,
		CV_CATALOG_BYTES_MAX);
	return false;
}

static int by_place(const void *a, const void *b)
{
	const struct cv_finding *fa = a, *fb = b;

	if (fa->pos.line != fb->pos.line)
		return fa->pos.line < fb->pos.line ? -1 : 1;
	return (fa->pos.column > fb->pos.column) - (fa->pos.column < fb->pos.column);
}

static void judge(struct cv_catalog *c, const struct cv_doc_catalog *doc, struct cv_findings *f)
{
	struct cv_catalog_check check = {
		.catalog = c,
		.doc = doc,
		.arena = &c->arena,
		.findings = f,
	};
	const size_t before = f->error_count;

	cv_catalog_credentials(&check);
	cv_catalog_servers(&check);
	cv_catalog_mcps(&check);
	cv_catalog_urls(&check);
	cv_catalog_tools(&check);
	if (f->error_count == before)
		urls_apply(c);
	sort(c);
	check_routes(c, f);
	cv_catalog_schemas(c, f);
}

cv_code cv_catalog_load(struct cv_str file, struct cv_str text, struct cv_catalog **ret,
	struct cv_findings *findings)
{
	const size_t before = findings->error_count, first = findings->n;
	struct cv_doc_catalog doc = { 0 };
	struct cv_catalog *c = NULL;

	*ret = NULL;
	if (!is_small(text, findings))
		return CV_INVALID;
	c = calloc(1, sizeof(*c));
	if (c) {
		cv_arena_init(&c->arena, CV_CATALOG_MEMORY_MAX);
		c->file = cv_arena_str(&c->arena, file);
		if (cv_fill_document(text, &catalog_noun, &cv_catalog_doc_schema, &doc, &c->arena,
			    findings) == CV_OK)
			judge(c, &doc, findings);
	}
	if ((!c || c->arena.is_overflown) && findings->error_count == before)
		cv_findings_add(findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 },
			CV_STR_NONE, catalog_noun.shorten,
			"the catalog needs more than %u MiB of memory",
			CV_CATALOG_MEMORY_MAX >> 20);
	if (findings->n > first) /* in the order of the text, not of the steps */
		qsort(findings->v + first, findings->n - first, sizeof(*findings->v), by_place);
	if (findings->error_count > before) {
		cv_catalog_free(c);
		return CV_INVALID;
	}
	*ret = c;
	return CV_OK;
}

void cv_catalog_free(struct cv_catalog *c)
{
	while (c) {
		struct cv_catalog *next = c->merged;

		cv_catalog_schemas_free(c);
		cv_arena_fini(&c->arena);
		free(c);
		c = next;
	}
}

/* ---- merge ---- */

/* a's array followed by b's; NULL without memory. */
static void *joined(
	struct cv_arena *arena, const void *a, size_t a_n, const void *b, size_t b_n, size_t size)
{
	char *v = cv_arena_array(arena, a_n + b_n ? a_n + b_n : 1, size);

	if (v && a_n)
		memcpy(v, a, a_n * size);
	if (v && b_n)
		memcpy(v + a_n * size, b, b_n * size);
	return v;
}

static void both_have(struct cv_findings *f, const struct cv_catalog *a, const char *what,
	struct cv_str name, struct cv_policy_pos pos, struct cv_policy_pos first)
{
	cv_findings_add(f, CV_FINDING_ERROR, pos, name, "give each its own name",
		"%.*s has %s '%.*s' too, at line %u", CV_POLICY_QUOTE(a->file), what,
		CV_POLICY_QUOTE(name), first.line);
}

#define CHECK_BOTH(array, what)                                                          \
	do {                                                                             \
		for (size_t i = 0; i < b->array##_count; i++)                            \
			for (size_t k = 0; k < a->array##_count; k++)                    \
				if (cv_str_eq(a->array##s[k].name, b->array##s[i].name)) \
					both_have(f, a, what, b->array##s[i].name,       \
						b->array##s[i].pos, a->array##s[k].pos); \
	} while (0)

static void merge_check(
	const struct cv_catalog *a, const struct cv_catalog *b, struct cv_findings *f)
{
	CHECK_BOTH(tool, "a tool");
	CHECK_BOTH(server, "a server");
	CHECK_BOTH(mcp, "an MCP server");
	CHECK_BOTH(credential, "a credential");
	for (size_t i = 0; i < b->tool_count; i++)
		for (size_t k = 0; k < a->tool_count; k++)
			if (cv_tool_routes_collide(&a->tools[k], &b->tools[i]))
				cv_findings_add(f, CV_FINDING_ERROR, b->tools[i].pos,
					b->tools[i].name, "give each its own",
					"one request could mean '%.*s %.*s' and the route of '%.*s' in %.*s",
					CV_POLICY_QUOTE(b->tools[i].method),
					CV_POLICY_QUOTE(b->tools[i].route),
					CV_POLICY_QUOTE(a->tools[k].name),
					CV_POLICY_QUOTE(a->file));
	if (a->tool_count + b->tool_count > CV_CATALOG_TOOLS_MAX)
		cv_findings_add(f, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 }, CV_STR_NONE, NULL,
			"%zu tools together; at most %d", a->tool_count + b->tool_count,
			CV_CATALOG_TOOLS_MAX);
}

#define JOIN(array)                                                                     \
	joined(&a->arena, a->array##s, a->array##_count, b->array##s, b->array##_count, \
		sizeof(*a->array##s))

static bool merge_arrays(struct cv_catalog *a, const struct cv_catalog *b)
{
	struct cv_tool *tools = JOIN(tool);
	struct cv_tool_server *servers = JOIN(server);
	struct cv_tool_mcp *mcps = JOIN(mcp);
	struct cv_tool_credential *credentials = JOIN(credential);
	struct cv_tool_url *urls = JOIN(url);

	if (!tools || !urls || !servers || !mcps || !credentials)
		return false;
	for (size_t i = 0; i < b->tool_count; i++) {
		tools[a->tool_count + i].server += (uint32_t)a->server_count;
		tools[a->tool_count + i].mcp += (uint32_t)a->mcp_count;
	}
	a->tools = tools;
	a->servers = servers;
	a->mcps = mcps;
	a->credentials = credentials;
	a->urls = urls;
	a->url_count += b->url_count;
	a->tool_count += b->tool_count;
	a->server_count += b->server_count;
	a->mcp_count += b->mcp_count;
	a->credential_count += b->credential_count;
	return true;
}

cv_code cv_catalog_merge(struct cv_catalog *a, struct cv_catalog *b, struct cv_findings *findings)
{
	const size_t before = findings->error_count;
	struct cv_catalog **end = &b->merged;

	merge_check(a, b, findings);
	while (*end)
		end = &(*end)->merged;
	*end = a->merged;
	a->merged = b;
	if (findings->error_count > before)
		return CV_INVALID;
	if (merge_arrays(a, b))
		urls_apply(a);
	if (a->arena.is_overflown) {
		cv_findings_add(findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 },
			CV_STR_NONE, NULL, "the catalogs need more than %u MiB of memory",
			CV_CATALOG_MEMORY_MAX >> 20);
		return CV_INVALID;
	}
	sort(a);
	return CV_OK;
}

/* ---- find ---- */

bool cv_catalog_has_slots(const struct cv_catalog *c)
{
	for (size_t i = 0; i < c->tool_count; i++)
		if (c->tools[i].host_concurrency)
			return true;
	return false;
}

const struct cv_tool *cv_catalog_find(const struct cv_catalog *c, struct cv_str name)
{
	const struct cv_tool key = { .name = name };

	return c->tool_count ? bsearch(&key, c->tools, c->tool_count, sizeof(key), cv_tool_by_name)
			     : NULL;
}

struct uses_walk {
	const struct cv_catalog *c;
	cv_catalog_use_fn *fn;
	void *arg;
	struct cv_err *err;
};

static cv_code uses_walk(const struct uses_walk *w, const char *kind, struct cv_str name,
	const struct cv_tool_uses *uses)
{
	char who[CV_TOOL_NAME_BYTES_MAX + 16];
	const int n = snprintf(who, sizeof(who), "%s:%.*s", kind, CV_STR_ARG(name));
	cv_code code = CV_OK;

	for (size_t i = 0; i < uses->n && code == CV_OK; i++)
		for (size_t k = 0; k < w->c->credential_count && code == CV_OK; k++)
			if (cv_str_eq(w->c->credentials[k].name, uses->v[i]))
				code = w->fn(w->arg, (struct cv_str){ who, (size_t)n }, k, w->err);
	return code;
}

cv_code cv_catalog_uses_each(
	const struct cv_catalog *c, cv_catalog_use_fn *fn, void *arg, struct cv_err *err)
{
	const struct uses_walk w = { c, fn, arg, err };
	cv_code code = CV_OK;

	for (size_t i = 0; i < c->tool_count && code == CV_OK; i++)
		code = uses_walk(&w, "tool", c->tools[i].name, &c->tools[i].uses);
	for (size_t i = 0; i < c->server_count && code == CV_OK; i++)
		code = uses_walk(&w, "server", c->servers[i].name, &c->servers[i].uses);
	for (size_t i = 0; i < c->mcp_count && code == CV_OK; i++)
		code = uses_walk(&w, "mcp", c->mcps[i].name, &c->mcps[i].uses);
	return code;
}

struct cv_str cv_catalog_nearest(const struct cv_catalog *c, struct cv_str name)
{
	struct cv_word_search search;

	cv_word_search_init(&search, name);
	for (size_t i = 0; i < c->tool_count; i++)
		(void)cv_word_search_offer(&search, c->tools[i].name);
	return search.nearest;
}
