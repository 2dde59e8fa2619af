/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_service.c - services: ports of sandboxes that have a URL at the gateway
 */
#include "client/commands.h"
#include "client/sandbox.h"

#include <string.h>

typedef Openshell__V1__ServiceEndpointResponse service;

static const char *name_shown(const service *s)
{
	return s->endpoint && *s->endpoint->service_name ? s->endpoint->service_name : "-";
}

int cl_run_service_expose(struct cl *c)
{
	const char *sandbox = cl_arg(&c->w, 0), *name = cl_arg(&c->w, 2);
	Openshell__V1__ExposeServiceRequest in;
	uint64_t port;

	if (!cv_str_to_u64(cv_str_of(cl_arg(&c->w, 1)), 65535, &port) || !port)
		cl_die_usage(
			c, "invalid value '%s' for '<PORT>': from 1 to 65535", cl_arg(&c->w, 1));
	openshell__v1__expose_service_request__init(&in);
	in.sandbox = cl_dup(c, sandbox);
	in.service = cl_dup(c, name);
	in.target_port = (uint32_t)port;
	in.domain = true;
	in.workspace = cl_dup(c, c->workspace);
	const service *m =
		CL_ASK(c, ExposeService, in, ServiceEndpointResponse, service_endpoint_response);
	if (name)
		cl_mark(c, 'v', "Exposed service %s on sandbox %s -> 127.0.0.1:%u",
			cl_shown(c, name), cl_shown(c, sandbox), in.target_port);
	else
		cl_mark(c, 'v', "Exposed sandbox %s -> 127.0.0.1:%u", cl_shown(c, sandbox),
			in.target_port);
	if (*m->url)
		printf("URL: %s\n", cl_shown(c, m->url));
	return 0;
}

static void service_out(struct cl_out *o, const service *s)
{
	const Openshell__V1__ServiceEndpoint *e = s->endpoint;

	cl_out_object(o, NULL);
	if (e) {
		cl_out_str(o, "workspace", e->metadata ? e->metadata->workspace : "");
		cl_out_str(o, "sandbox", e->sandbox_name);
		cl_out_str(o, "service", e->service_name);
		cl_out_u64(o, "target_port", e->target_port);
		cl_out_bool(o, "domain", e->domain);
	}
	cl_out_str(o, "url", s->url);
	cl_out_end(o);
}

int cl_run_service_get(struct cl *c)
{
	Openshell__V1__GetServiceRequest in;
	struct cl_out o;

	openshell__v1__get_service_request__init(&in);
	in.sandbox = cl_dup(c, cl_arg(&c->w, 0));
	in.service = cl_dup(c, cl_arg(&c->w, 1));
	in.workspace = cl_dup(c, c->workspace);
	const service *m =
		CL_ASK(c, GetService, in, ServiceEndpointResponse, service_endpoint_response);
	if (cl_form(c) != CL_FORM_TABLE) {
		cl_out_init(&o, cl_form(c));
		service_out(&o, m);
		return cl_out_done(c, &o);
	}
	printf("Service:\n\n");
	cl_label(c, "Sandbox:", cl_shown(c, m->endpoint ? m->endpoint->sandbox_name : "-"));
	cl_label(c, "Service:", cl_shown(c, name_shown(m)));
	cl_label(c, "Target port:", cl_print(c, "%u", m->endpoint ? m->endpoint->target_port : 0));
	cl_label(c, "URL:", cl_shown(c, m->url));
	return 0;
}

int cl_run_service_list(struct cl *c)
{
	static const char *const heads[] = { "SANDBOX", "SERVICE", "PORT", "URL" };
	Openshell__V1__ListServicesRequest in;
	struct cl_table t;
	struct cl_out o;

	openshell__v1__list_services_request__init(&in);
	in.sandbox = cl_dup(c, cl_arg(&c->w, 0));
	in.limit = cl_number(&c->w, "limit", CL_PAGE);
	in.offset = cl_number(&c->w, "offset", 0);
	in.all_workspaces = cl_has(&c->w, "all-workspaces");
	in.workspace = cl_dup(c, in.all_workspaces ? "" : c->workspace);
	const Openshell__V1__ListServicesResponse *m =
		CL_ASK(c, ListServices, in, ListServicesResponse, list_services_response);
	if (*in.sandbox && !in.all_workspaces && !m->n_services)
		(void)cl_sandbox_get(c, in.sandbox); /* none of its own, or no such sandbox? */
	if (cl_form(c) != CL_FORM_TABLE) {
		cl_out_init(&o, cl_form(c));
		cl_out_array(&o, NULL);
		for (size_t i = 0; i < m->n_services; i++)
			service_out(&o, m->services[i]);
		cl_out_end(&o);
		return cl_out_done(c, &o);
	}
	if (!m->n_services) {
		puts("No services found.");
		return 0;
	}
	cl_table_init(&t, CV_ARRAY_LEN(heads) + in.all_workspaces);
	if (in.all_workspaces)
		cl_table_cell(&t, CV_STR("WORKSPACE"));
	for (size_t i = 0; i < CV_ARRAY_LEN(heads); i++)
		cl_table_cell(&t, cv_str_of(heads[i]));
	for (size_t i = 0; i < m->n_services; i++) {
		const Openshell__V1__ServiceEndpoint *e = m->services[i]->endpoint;

		if (in.all_workspaces)
			cl_table_cell(
				&t, cv_str_of(e && e->metadata ? e->metadata->workspace : ""));
		cl_table_cell(&t, cv_str_of(e ? e->sandbox_name : ""));
		cl_table_cell(&t, cv_str_of(name_shown(m->services[i])));
		cl_table_cell(&t, cv_str_of(cl_print(c, "%u", e ? e->target_port : 0)));
		cl_table_cell(&t, cv_str_of(m->services[i]->url));
	}
	cl_table_done(c, &t);
	return 0;
}

int cl_run_service_delete(struct cl *c)
{
	const char *sandbox = cl_arg(&c->w, 0), *name = cl_arg(&c->w, 1);
	Openshell__V1__DeleteServiceRequest in;

	openshell__v1__delete_service_request__init(&in);
	in.sandbox = cl_dup(c, sandbox);
	in.service = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__DeleteServiceResponse *m =
		CL_ASK(c, DeleteService, in, DeleteServiceResponse, delete_service_response);
	const char *which = name ? cl_print(c, " %s", cl_shown(c, name)) : "";
	if (m->deleted)
		cl_mark(c, 'v', "Deleted service%s of sandbox %s", which, cl_shown(c, sandbox));
	else
		cl_mark(c, '!', "Service%s of sandbox %s not found", which, cl_shown(c, sandbox));
	return 0;
}
