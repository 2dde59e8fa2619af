/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.c - ExposeService, GetService, ListServices, DeleteService
 *
 * A service is an object of the sandbox's workspace, named as the left part of its host without the
 * workspace; it goes with its sandbox.  A sandbox that has the name later has none of it: the id is
 * compared, too.
 */
#include "gateway/service.h"

#include "base/ip.h"
#include "gateway/access.h"
#include "gateway/config.h"
#include "gateway/labels.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "sys/clock.h"

#include <stdio.h>

#define V1(name)       Openshell__V1__##name
#define NAME_BYTES_MAX 128

/* ---- names ---- */

static struct cv_str name_put(char to[NAME_BYTES_MAX], struct cv_str sandbox, struct cv_str service)
{
	const int n = snprintf(to, NAME_BYTES_MAX, "%.*s%s%.*s", CV_STR_ARG(sandbox),
		service.n ? "--" : "", CV_STR_ARG(service));

	return (struct cv_str){ to, (size_t)CV_MIN(n, NAME_BYTES_MAX - 1) };
}

static struct cv_str part_cut(struct cv_str *rest)
{
	for (size_t i = 0; i + 1 < rest->n; i++)
		if (rest->p[i] == '-' && rest->p[i + 1] == '-') {
			const struct cv_str part = cv_str_slice(*rest, 0, i);

			*rest = cv_str_slice(*rest, i + 2, rest->n);
			return part;
		}
	const struct cv_str all = *rest;
	*rest = CV_STR_NONE;
	return all;
}

bool service_host_parse(struct cv_str host, struct service_name *ret)
{
	const struct cv_str first = cv_str_slice(host, 0, cv_str_find_byte(host, '.'));
	struct cv_str domain = cv_str_slice(host, first.n + 1, host.n);

	domain = cv_str_slice(domain, 0, cv_str_find_byte(domain, ':'));
	if (first.n > sizeof(ret->label) || !cv_str_eq_nocase(domain, CV_STR(SERVICE_DOMAIN)))
		return false;
	for (size_t i = 0; i < first.n; i++) /* as names are */
		ret->label[i] = cv_ascii_lower(first.p[i]);
	struct cv_str label = { ret->label, first.n };
	ret->workspace = part_cut(&label);
	ret->sandbox = part_cut(&label);
	ret->service = part_cut(&label);
	return ret->workspace.n && ret->sandbox.n && !label.p;
}

struct cv_object *service_find(const struct cv_gateway *g, const struct service_name *name)
{
	char text[NAME_BYTES_MAX];

	return cv_object_find(g->objects, CV_OBJECT_SERVICE, name->workspace,
		name_put(text, name->sandbox, name->service));
}

static bool is_near(const struct cv_gateway *g)
{
	struct cv_ip ip;

	return cv_ip_parse(g->config->bind_address, &ip) &&
	       strcmp(cv_ip_classify(&ip)->name, "loopback") == 0;
}

/* Empty: it was not asked for. */
static struct cv_str url_of(
	const struct cv_gateway *g, const struct cv_object *o, struct cv_arena *arena)
{
	const V1(ServiceEndpoint) *m = service_of(o);
	const bool is_clear = g->config->disable_tls || (g->config->service_http && is_near(g));
	const uint16_t usual = is_clear ? 80 : 443;
	char port[8] = "";

	if (!m->domain)
		return CV_STR("");
	if (g->port != usual)
		snprintf(port, sizeof(port), ":%u", (unsigned)g->port);
	return cv_arena_printf(arena, "%s://%.*s--%.*s." SERVICE_DOMAIN "%s/",
		is_clear ? "http" : "https", CV_STR_ARG(o->scope), CV_STR_ARG(o->name), port);
}

/* ---- answers ---- */

static bool response_fill(const struct cv_gateway *g, const struct cv_object *o,
	struct cv_arena *arena, V1(ServiceEndpointResponse) * ret)
{
	const struct cv_str url = url_of(g, o, arena);

	openshell__v1__service_endpoint_response__init(ret);
	ret->endpoint = (V1(ServiceEndpoint) *)(void *)(uintptr_t)o->message;
	if (url.n)
		ret->url = (char *)(uintptr_t)url.p;
	return url.p != NULL;
}

static void reply(struct cv_rpc_call *c, const struct cv_object *o)
{
	V1(ServiceEndpointResponse) m;

	if (response_fill(cv_gw_of(c), o, cv_rpc_call_arena(c), &m))
		cv_rpc_reply(c, &m.base);
	else
		cv_rpc_finish(c, CV_RPC_RESOURCE_EXHAUSTED, "no memory");
}

/* ---- requests ---- */

static enum cv_rpc_status service_check(const char *service, struct cv_err *err)
{
	return *service ? cv_name_check("service", cv_str_of(service), CV_NAME_SHORT_BYTES_MAX, err)
			: CV_RPC_OK;
}

static size_t count_of(const struct cv_gateway *g, const struct cv_object *sandbox)
{
	const struct cv_object_range all =
		cv_object_scope(g->objects, CV_OBJECT_SERVICE, sandbox->scope);
	size_t n = 0;

	for (size_t i = all.first; i < all.end; i++)
		n += strcmp(service_of(cv_object_at(g->objects, CV_OBJECT_SERVICE, i))->sandbox_id,
			     sandbox->id) == 0;
	return n;
}

static enum cv_rpc_status request_check(
	const V1(ExposeServiceRequest) * r, const struct cv_object *sandbox, struct cv_err *err)
{
	const size_t label =
		sandbox->scope.n + 2 + sandbox->name.n + (*r->service ? 2 + strlen(r->service) : 0);
	const enum cv_rpc_status s = service_check(r->service, err);

	if (s != CV_RPC_OK)
		return s;
	if (!r->target_port || r->target_port > UINT16_MAX)
		cv_fail(err, CV_INVALID, "target_port must be between 1 and 65535");
	else if (r->domain && label > SERVICE_LABEL_BYTES)
		cv_fail(err, CV_INVALID,
			"the names of workspace, sandbox and service are too long for a host name "
			"(%zu > %d)",
			label, SERVICE_LABEL_BYTES);
	else
		return CV_RPC_OK;
	return CV_RPC_INVALID_ARGUMENT;
}

static V1(ServiceEndpoint) *
	message_make(const V1(ExposeServiceRequest) * r, const struct cv_object *sandbox)
{
	V1(ServiceEndpoint) *m = cv_pb_new(&openshell__v1__service_endpoint__descriptor);
	char name[NAME_BYTES_MAX];

	m->metadata = cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);
	cv_pb_str_set(&m->metadata->name, name_put(name, sandbox->name, cv_str_of(r->service)));
	cv_pb_str_set(&m->metadata->workspace, sandbox->scope);
	cv_pb_str_set(&m->sandbox_id, cv_str_of(sandbox->id));
	cv_pb_str_set(&m->sandbox_name, sandbox->name);
	cv_pb_str_set(&m->service_name, cv_str_of(r->service));
	m->target_port = r->target_port;
	m->domain = r->domain;
	return m;
}

static enum cv_rpc_status expose(struct cv_rpc_call *c, const V1(ExposeServiceRequest) * r,
	struct cv_object **ret, struct cv_err *err)
{
	struct cv_gateway *g = cv_gw_of(c);
	char name[NAME_BYTES_MAX];
	struct cv_gw_box *b;
	enum cv_rpc_status s = cv_gw_box_open(
		c, "sandbox", cv_str_of(r->sandbox), cv_str_of(r->workspace), true, &b, err);

	if (s == CV_RPC_OK)
		s = request_check(r, b->object, err);
	if (s != CV_RPC_OK)
		return s;
	struct cv_object *was = cv_object_find(g->objects, CV_OBJECT_SERVICE, b->object->scope,
		name_put(name, b->object->name, cv_str_of(r->service)));
	if (!was && count_of(g, b->object) >= SERVICES_BOX_MAX)
		return cv_fail(err, CV_LIMIT, "a sandbox has at most %d services",
			       SERVICES_BOX_MAX),
		       CV_RPC_RESOURCE_EXHAUSTED;
	V1(ServiceEndpoint) *m = message_make(r, b->object);
	*ret = was;
	s = was ? cv_object_write(g->objects, was, CV_OBJECT_ANY_VERSION, &m->base, err)
		: cv_object_create(
			  g->objects, CV_OBJECT_SERVICE, &m->base, cv_clock_unix_ms(), ret, err);
	if (s == CV_RPC_OK)
		cv_gw_box_log(b, "INFO", "service", "%s%sexposed: 127.0.0.1:%u", r->service,
			*r->service ? " " : "", r->target_port);
	return s;
}

static void on_expose(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	struct cv_object *o;
	struct cv_err err;
	const enum cv_rpc_status s = expose(c, (const V1(ExposeServiceRequest) *)m, &o, &err);

	if (s == CV_RPC_OK)
		reply(c, o);
	else
		cv_gw_fail(c, s, &err);
}

/* NULL: there is none. */
static enum cv_rpc_status open_one(struct cv_rpc_call *c, const char *sandbox, const char *service,
	const char *workspace, bool is_change, struct cv_object **ret, struct cv_err *err)
{
	struct cv_gw_box *b;
	char name[NAME_BYTES_MAX];
	enum cv_rpc_status s = cv_gw_box_open(
		c, "sandbox", cv_str_of(sandbox), cv_str_of(workspace), is_change, &b, err);

	if (s == CV_RPC_OK)
		s = service_check(service, err);
	if (s == CV_RPC_OK)
		*ret = cv_object_find(cv_gw_of(c)->objects, CV_OBJECT_SERVICE, b->object->scope,
			name_put(name, b->object->name, cv_str_of(service)));
	return s;
}

static void on_get(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const V1(GetServiceRequest) *r = (const V1(GetServiceRequest) *)m;
	struct cv_object *o = NULL;
	struct cv_err err;
	const enum cv_rpc_status s =
		open_one(c, r->sandbox, r->service, r->workspace, false, &o, &err);

	if (s != CV_RPC_OK)
		cv_gw_fail(c, s, &err);
	else if (o)
		reply(c, o);
	else
		cv_rpc_finish(c, CV_RPC_NOT_FOUND, "service not found");
}

static void on_delete(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const V1(DeleteServiceRequest) *r = (const V1(DeleteServiceRequest) *)m;
	V1(DeleteServiceResponse) answer;
	struct cv_object *o = NULL;
	struct cv_err err;
	enum cv_rpc_status s = open_one(c, r->sandbox, r->service, r->workspace, false, &o, &err);

	openshell__v1__delete_service_response__init(&answer);
	answer.deleted = s == CV_RPC_OK && o;
	if (answer.deleted)
		s = cv_object_delete(cv_gw_of(c)->objects, o, CV_OBJECT_ANY_VERSION, &err);
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &answer.base);
	else
		cv_gw_fail(c, s, &err);
}

/* ---- list ---- */

struct wanted {
	struct cv_rpc_call *call;
	const char *sandbox; /* "": every */
	bool is_every_workspace;
};

static bool wants(void *arg, const struct cv_object *o)
{
	const struct wanted *w = arg;
	const V1(ServiceEndpoint) *m = service_of(o);
	struct cv_object *workspace;
	struct cv_err err;

	if (*w->sandbox && strcmp(w->sandbox, m->sandbox_name) != 0 &&
		strcmp(w->sandbox, m->sandbox_id) != 0)
		return false;
	return !w->is_every_workspace ||
	       cv_gw_workspace_open(w->call, o->scope, false, &workspace, &err) == CV_RPC_OK;
}

static enum cv_rpc_status list(struct cv_rpc_call *c, const V1(ListServicesRequest) * r,
	V1(ListServicesResponse) * ret, struct cv_err *err)
{
	struct cv_gateway *g = cv_gw_of(c);
	struct cv_arena *arena = cv_rpc_call_arena(c);
	struct wanted w = { c, r->sandbox, r->all_workspaces };
	struct cv_object_query q = { .limit = r->limit,
		.offset = r->offset,
		.is_every_scope = r->all_workspaces,
		.wants = wants,
		.arg = &w };
	struct cv_object_page page;
	struct cv_object *workspace;
	enum cv_rpc_status s = CV_RPC_OK;

	if (r->all_workspaces && *r->workspace)
		return cv_fail(err, CV_INVALID, "workspace and all_workspaces exclude each other"),
		       CV_RPC_INVALID_ARGUMENT;
	if (!r->all_workspaces)
		s = cv_gw_workspace_open(c, cv_str_of(r->workspace), false, &workspace, err);
	if (s == CV_RPC_OK && !r->all_workspaces)
		q.scope = workspace->name;
	if (s == CV_RPC_OK)
		s = cv_object_list(g->objects, CV_OBJECT_SERVICE, &q, arena, &page, err);
	if (s != CV_RPC_OK)
		return s;
	ret->services = cv_arena_array(arena, page.n + 1, sizeof(ret->services[0]));
	for (size_t i = 0; i < page.n && ret->services; i++) {
		V1(ServiceEndpointResponse) *one = cv_arena_new(arena, V1(ServiceEndpointResponse));

		if (!one || !response_fill(g, page.v[i], arena, one))
			break;
		ret->services[ret->n_services++] = one;
	}
	if (arena->is_overflown)
		return cv_fail(err, CV_LIMIT, "no memory for a page"), CV_RPC_RESOURCE_EXHAUSTED;
	return CV_RPC_OK;
}

static void on_list(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	V1(ListServicesResponse) answer;
	struct cv_err err;

	openshell__v1__list_services_response__init(&answer);
	const enum cv_rpc_status s = list(c, (const V1(ListServicesRequest) *)m, &answer, &err);
	if (s == CV_RPC_OK)
		cv_rpc_reply(c, &answer.base);
	else
		cv_gw_fail(c, s, &err);
}

/* ---- the part ---- */

static void box_deleted(struct cv_gw_box *b)
{
	struct cv_objects *objects = b->g->objects;
	const struct cv_object_range all =
		cv_object_scope(objects, CV_OBJECT_SERVICE, b->object->scope);
	struct cv_err err;

	for (size_t i = all.end; i-- > all.first;) {
		struct cv_object *o = cv_object_at(objects, CV_OBJECT_SERVICE, i);

		if (strcmp(service_of(o)->sandbox_id, b->object->id) == 0 &&
			cv_object_delete(objects, o, CV_OBJECT_ANY_VERSION, &err) != CV_RPC_OK)
			cv_log(CV_LOG_ERROR, "service", CV_LOG_NONE, "%s", err.msg);
	}
}

static cv_code part_start(struct cv_gateway *g, struct cv_err *err)
{
	static const struct cv_gw_box_hooks hooks = { .deleted = box_deleted };

	(void)err;
	cv_gw_box_hook(g, &hooks);
	return CV_OK;
}

static const struct cv_gw_method methods[] = {
	{ "ExposeService", { .message = on_expose } },
	{ "GetService", { .message = on_get } },
	{ "ListServices", { .message = on_list } },
	{ "DeleteService", { .message = on_delete } },
};

const struct cv_gw_part cv_gw_part_service = {
	.name = "service",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = part_start,
};
