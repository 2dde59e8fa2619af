/* SPDX-License-Identifier: Apache-2.0 */
/*
 * part.c - the parts, and their methods and pages as two tables
 *
 * The rows of rpc/methods.h are joined with the handlers that parts bring.  A row without a handler
 * is answered UNIMPLEMENTED, with a sentence where there is something to say.
 */
#include "gateway/gateway.h"

#include "base/assert.h"
#include "rpc/methods.h"
#include "rpc/reflection.h"
#include "rpc/rest.h"

#include "cove.pb-c.h"
#include "inference.pb-c.h"
#include "openshell.pb-c.h"
#include "sandbox.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART(name, lower) [CV_GW_PART_##name] = &cv_gw_part_##lower,
const struct cv_gw_part *const cv_gw_part[CV_GW_PART_COUNT] = { CV_GW_PARTS(PART) };
#undef PART

#define METHOD_OF(package, service, rpc, request, response, kind, auth, scope, role)        \
	{ service, #rpc, &package##request##__descriptor, &package##response##__descriptor, \
		CV_RPC_##kind, { CV_RPC_AUTH_##auth, scope, CV_RPC_ROLE_##role }, { 0 }, NULL },
#define OPENSHELL(...) METHOD_OF(openshell__, "openshell.v1.OpenShell", __VA_ARGS__)
#define INFERENCE(...) METHOD_OF(openshell__, "openshell.inference.v1.Inference", __VA_ARGS__)
#define COVE(...)      METHOD_OF(cove__, "cove.v1.Cove", __VA_ARGS__)
static struct cv_rpc_method method[] = { CV_RPC_OPENSHELL_METHODS(OPENSHELL)
		CV_RPC_INFERENCE_METHODS(INFERENCE) CV_RPC_COVE_METHODS(COVE) };
static struct cv_rpc_page *page;
static size_t page_n;

static const struct {
	const char *name, *why;
} missing[] = {
	{ "AddWorkspaceMember",
		"workspaces have no members in this gateway yet: administrators only" },
	{ "RemoveWorkspaceMember", "workspaces have no members in this gateway yet" },
	{ "ListWorkspaceMembers", "workspaces have no members in this gateway yet" },
	{ "IssueSandboxToken",
		"sandboxes get their token when they are started; there is nothing to exchange" },
};

static struct cv_rpc_method *method_find(const char *name)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(method); i++)
		if (!strcmp(method[i].name, name))
			return &method[i];
	return NULL;
}

static void methods_join(void)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(missing); i++)
		method_find(missing[i].name)->why = missing[i].why;
	for (size_t p = 0; p < CV_GW_PART_COUNT; p++)
		for (size_t i = 0; i < cv_gw_part[p]->method_count; i++) {
			struct cv_rpc_method *m = method_find(cv_gw_part[p]->methods[i].name);

			cv_assert(m && !m->handler.message);
			m->handler = cv_gw_part[p]->methods[i].handler;
		}
}

static size_t rows_put(struct cv_rpc_method *to, const struct cv_rpc_method *from, size_t n)
{
	memcpy(to, from, n * sizeof(*to));
	return n;
}

const struct cv_rpc_method *cv_gw_methods(size_t *ret_n)
{
	static struct cv_rpc_method *all; /* and what tells about the server itself */
	static size_t n;

	if (!all) {
		methods_join();
		all = calloc(CV_ARRAY_LEN(method) + cv_rpc_reflection_method_count +
				     cv_rpc_health_method_count,
			sizeof(*all));
		cv_assert(all);
		n = rows_put(all, method, CV_ARRAY_LEN(method));
		n += rows_put(all + n, cv_rpc_reflection_methods, cv_rpc_reflection_method_count);
		n += rows_put(all + n, cv_rpc_health_methods, cv_rpc_health_method_count);
	}
	*ret_n = n;
	return all;
}

const struct cv_rpc_page *cv_gw_pages(size_t *ret_n)
{
	if (!page) {
		size_t n = cv_rpc_rest_page_count;

		for (size_t p = 0; p < CV_GW_PART_COUNT; p++)
			n += cv_gw_part[p]->page_count;
		page = calloc(n, sizeof(*page));
		cv_assert(page);
		for (size_t i = 0; i < cv_rpc_rest_page_count; i++)
			page[page_n++] = cv_rpc_rest_pages[i];
		for (size_t p = 0; p < CV_GW_PART_COUNT; p++)
			for (size_t i = 0; i < cv_gw_part[p]->page_count; i++)
				page[page_n++] = cv_gw_part[p]->pages[i];
	}
	*ret_n = page_n;
	return page;
}

void cv_gw_fail(struct cv_rpc_call *c, enum cv_rpc_status s, const struct cv_err *err)
{
	cv_rpc_finish(c, s, "%s", err->msg);
}
