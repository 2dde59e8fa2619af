/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_inference.c - which provider and model answer at inference.local
 */
#include "client/commands.h"
#include "client/client.h"

#define SERVICE      "/openshell.inference.v1.Inference/"
#define SYSTEM_ROUTE "sandbox-system" /* of the platform's own use; "" is that of agents */

static char *route(struct cl *c)
{
	return cl_dup(c, cl_has(&c->w, "system") ? SYSTEM_ROUTE : "");
}

static Openshell__Inference__V1__GetInferenceRouteResponse *route_get(struct cl *c)
{
	Openshell__Inference__V1__GetInferenceRouteRequest in;

	openshell__inference__v1__get_inference_route_request__init(&in);
	in.route_name = route(c);
	in.workspace = cl_dup(c, c->workspace);
	return (Openshell__Inference__V1__GetInferenceRouteResponse *)cl_ask(c,
		SERVICE "GetInferenceRoute", &in.base,
		&openshell__inference__v1__get_inference_route_response__descriptor, NULL, NULL);
}

static int route_set(struct cl *c, const char *provider, const char *model, uint64_t timeout_s)
{
	Openshell__Inference__V1__SetInferenceRouteRequest in;

	openshell__inference__v1__set_inference_route_request__init(&in);
	in.provider_name = cl_dup(c, provider);
	in.model_id = cl_dup(c, model);
	in.route_name = route(c);
	in.no_verify = cl_has(&c->w, "no-verify");
	in.verify = !in.no_verify;
	in.timeout_secs = timeout_s;
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__Inference__V1__SetInferenceRouteResponse *m =
		(Openshell__Inference__V1__SetInferenceRouteResponse *)cl_ask(c,
			SERVICE "SetInferenceRoute", &in.base,
			&openshell__inference__v1__set_inference_route_response__descriptor, NULL,
			NULL);
	cl_mark(c, 'v', "Inference route set: provider %s, model %s (version %llu)",
		cl_shown(c, m->provider_name), cl_shown(c, m->model_id),
		(unsigned long long)m->version);
	for (size_t i = 0; i < m->n_validated_endpoints; i++)
		printf("  Validated: %s (%s)\n", cl_shown(c, m->validated_endpoints[i]->url),
			cl_shown(c, m->validated_endpoints[i]->protocol));
	return 0;
}

int cl_run_inference_set(struct cl *c)
{
	const char *provider = cl_flag(&c->w, "provider"), *model = cl_flag(&c->w, "model");

	if (!provider || !model)
		cl_die_usage(c, "the following required arguments were not provided: --%s",
			provider ? "model <ID>" : "provider <NAME>");
	return route_set(c, provider, model, cl_number(&c->w, "timeout", 0));
}

int cl_run_inference_update(struct cl *c)
{
	const char *provider = cl_flag(&c->w, "provider"), *model = cl_flag(&c->w, "model");

	if (!provider && !model && !cl_has(&c->w, "timeout"))
		cl_die_usage(c, "nothing to change: give --provider, --model or --timeout");
	const Openshell__Inference__V1__GetInferenceRouteResponse *now = route_get(c);
	return route_set(c, provider ? provider : now->provider_name, model ? model : now->model_id,
		cl_has(&c->w, "timeout") ? cl_number(&c->w, "timeout", 0) : now->timeout_secs);
}

int cl_run_inference_get(struct cl *c)
{
	const Openshell__Inference__V1__GetInferenceRouteResponse *m = route_get(c);
	struct cl_out o;

	if (cl_form(c) == CL_FORM_TABLE) {
		printf("Inference Route\n\n");
		cl_label(c,
			"Route:", *m->route_name ? cl_shown(c, m->route_name) : "inference.local");
		cl_label(c, "Provider:", cl_shown(c, m->provider_name));
		cl_label(c, "Model:", cl_shown(c, m->model_id));
		cl_label(c, "Timeout:", cl_print(c, "%llus", (unsigned long long)m->timeout_secs));
		cl_label(c, "Version:", cl_print(c, "%llu", (unsigned long long)m->version));
		return 0;
	}
	cl_out_init(&o, cl_form(c));
	cl_out_object(&o, NULL);
	cl_out_str(&o, "route", m->route_name);
	cl_out_str(&o, "provider", m->provider_name);
	cl_out_str(&o, "model", m->model_id);
	cl_out_u64(&o, "timeout_secs", m->timeout_secs);
	cl_out_u64(&o, "version", m->version);
	cl_out_str(&o, "workspace", m->workspace);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

int cl_run_inference_delete(struct cl *c)
{
	Openshell__Inference__V1__DeleteInferenceRouteRequest in;

	openshell__inference__v1__delete_inference_route_request__init(&in);
	in.route_name = route(c);
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__Inference__V1__DeleteInferenceRouteResponse *m =
		(Openshell__Inference__V1__DeleteInferenceRouteResponse *)cl_ask(c,
			SERVICE "DeleteInferenceRoute", &in.base,
			&openshell__inference__v1__delete_inference_route_response__descriptor,
			NULL, NULL);
	if (m->deleted)
		cl_mark(c, 'v', "Deleted inference route");
	else
		cl_mark(c, '!', "No inference route to delete");
	return 0;
}
