/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_status.c - `status`, `whoami`, `gateway info`: what a gateway is, and who we are to it
 *
 * Two questions: Health, which needs no credentials, and GetGatewayInfo, whose answer says what
 * became of ours.
 */
#include "client/client.h"
#include "client/commands.h"
#include "client/usage.h"

#include <string.h>

struct state {
	const char *status;      /* "connected", "connected_http", "error", "disconnected" */
	const char *auth_status; /* "authenticated", ... */
	const char *auth_why;
	const char *version, *error;
	Openshell__V1__GetGatewayInfoResponse *info; /* NULL */
	const Cove__V1__GetUsageResponse *usage;     /* NULL: not known, or not for us */
};

static const char *provider_name(enum cl_auth auth)
{
	static const char *const names[CL_AUTH_COUNT] = { "gateway", "mTLS transport", "OIDC",
		"edge" };

	return names[auth];
}

static void ask_auth(struct cl *c, struct state *s)
{
	Openshell__V1__GetGatewayInfoRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	openshell__v1__get_gateway_info_request__init(&in);
	s->info = CL_TRY(c, GetGatewayInfo, in, GetGatewayInfoResponse, get_gateway_info_response,
		&status, &err);
	const bool is_open = c->gateway.auth == CL_AUTH_PLAINTEXT;
	if (status == CV_RPC_OK || status == CV_RPC_PERMISSION_DENIED ||
		(status == CV_RPC_UNIMPLEMENTED && (is_open || c->gateway.auth == CL_AUTH_MTLS))) {
		s->auth_status = is_open && !cl_gateway_token(c, &c->gateway) ? "not_required"
									      : "authenticated";
		return;
	}
	s->auth_status = status == CV_RPC_UNAUTHENTICATED ? "failed" : "unverified";
	s->auth_why = cl_shown(c, *err.msg ? err.msg : cv_rpc_status_name(status));
}

/* Of gateways that have quotas; what others answer is nothing to tell. */
static void ask_usage(struct cl *c, struct state *s)
{
	Cove__V1__GetUsageRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	cove__v1__get_usage_request__init(&in);
	in.workspace = cl_dup(c, c->workspace);
	s->usage = (const void *)cl_ask(c, "/cove.v1.Cove/GetUsage", &in.base,
		&cove__v1__get_usage_response__descriptor, &status, &err);
}

static const char *usage_text(struct cl *c, const Cove__V1__Usage *u)
{
	struct cv_buf b;

	cv_buf_init(&b, CL_USAGE_BYTES);
	cl_usage_put(&b, u);
	cv_buf_put_byte(&b, '\0');
	const char *text = cl_shown(c, cv_buf_str(&b).p);
	cv_buf_fini(&b);
	return text;
}

static void usage_print(struct cl *c, const struct state *s)
{
	const char *host = usage_text(c, s->usage ? s->usage->host : NULL);

	if (*host)
		cl_label(c, "Quota, host:", host);
	for (size_t i = 0; s->usage && i < s->usage->n_workspaces; i++) {
		const Cove__V1__Usage *u = s->usage->workspaces[i];
		const char *text = usage_text(c, u);

		if (*text)
			cl_label(c, cl_print(c, "Quota, %s:", cl_shown(c, u->workspace)), text);
	}
}

static void usage_out(struct cl *c, struct cl_out *o, const struct state *s)
{
	if (!s->usage)
		return;
	cl_out_object(o, "quota");
	cl_out_str(o, "host", usage_text(c, s->usage->host));
	for (size_t i = 0; i < s->usage->n_workspaces; i++)
		cl_out_str(o, "workspace", usage_text(c, s->usage->workspaces[i]));
	cl_out_end(o);
}

static void ask_state(struct cl *c, struct state *s)
{
	Openshell__V1__HealthRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	openshell__v1__health_request__init(&in);
	const Openshell__V1__HealthResponse *m =
		CL_TRY(c, Health, in, HealthResponse, health_response, &status, &err);
	*s = (struct state){ .status = "connected" };
	if (!m) {
		s->status = "error";
		s->error = cl_shown(c, *err.msg ? err.msg : cv_rpc_status_name(status));
		s->auth_status = "unverified";
		s->auth_why = s->error;
		return;
	}
	s->version = cl_shown(c, m->version);
	ask_auth(c, s);
	if (strcmp(s->auth_status, "failed") != 0)
		ask_usage(c, s);
}

static void auth_out(struct cl *c, struct cl_out *o, const struct state *s)
{
	cl_out_object(o, "authentication");
	cl_out_str(o, "status", s->auth_status);
	if (strcmp(s->auth_status, "authenticated") == 0)
		cl_out_str(o, "provider", provider_name(c->gateway.auth));
	else if (strcmp(s->auth_status, "not_required") == 0)
		cl_out_str(o, "mode", "gateway");
	else if (strcmp(s->auth_status, "failed") == 0)
		cl_out_str(o, "error", s->auth_why);
	else
		cl_out_str(o, "reason", s->auth_why);
	cl_out_end(o);
}

static const char *auth_text(struct cl *c, const struct state *s)
{
	if (strcmp(s->auth_status, "authenticated") == 0)
		return cl_print(c, "Authenticated (%s)", provider_name(c->gateway.auth));
	if (strcmp(s->auth_status, "not_required") == 0)
		return "Not required (gateway)";
	return cl_print(c, "%s (%s)",
		strcmp(s->auth_status, "failed") == 0 ? "Failed" : "Unverified", s->auth_why);
}

static const char *status_text(const struct state *s)
{
	if (strcmp(s->status, "connected") == 0)
		return "Connected";
	return strcmp(s->status, "error") == 0 ? "Error" : "Disconnected";
}

static int none_configured(struct cl *c, const char *why)
{
	struct cl_out o;

	if (cl_form(c) != CL_FORM_TABLE) {
		cl_out_init(&o, cl_form(c));
		cl_out_object(&o, NULL);
		cl_out_str(&o, "status", "not_configured");
		cl_out_end(&o);
		return cl_out_done(c, &o);
	}
	if (strncmp(why, "Unknown", 7) == 0)
		cl_die(c, "%s", why);
	printf("Gateway Status\n\n  No gateway configured.\n\n"
	       "Register one with: %s gateway add <ENDPOINT>\n",
		c->program);
	return 0;
}

/* Opens the connection if it can be opened; what prevents it is in s. */
static void state_find(struct cl *c, struct state *s)
{
	struct cv_err err;

	if (cl_gateway_open(c, &err) == CV_OK) {
		ask_state(c, s);
		return;
	}
	const char *why = cl_shown(c, err.msg);
	*s = (struct state){ .status = err.code == CV_DENIED ? "error" : "disconnected",
		.auth_status = err.code == CV_DENIED ? "failed" : "unverified",
		.auth_why = err.code == CV_DENIED ? why : "gateway unreachable",
		.error = why };
}

int cl_run_status(struct cl *c)
{
	struct cv_err err;
	struct cl_out o;
	struct state s;

	if (!cl_gateway_find(c, &c->gateway, &err))
		return none_configured(c, err.msg);
	state_find(c, &s);
	if (cl_form(c) == CL_FORM_TABLE) {
		printf("Server Status\n\n");
		cl_label(c, "Gateway:", cl_shown(c, c->gateway.name));
		cl_label(c, "Server:", cl_shown(c, c->gateway.url));
		cl_label(c, "Status:", status_text(&s));
		cl_label(c, "Authentication:", auth_text(c, &s));
		if (s.version)
			cl_label(c, "Version:", s.version);
		usage_print(c, &s);
		if (s.error)
			cl_label(c, "Error:", s.error);
	} else {
		cl_out_init(&o, cl_form(c));
		cl_out_object(&o, NULL);
		cl_out_str(&o, "gateway", c->gateway.name);
		cl_out_str(&o, "server", c->gateway.url);
		cl_out_str(&o, "status", s.status);
		auth_out(c, &o, &s);
		cl_out_str(&o, "auth", c->gateway.auth_name);
		if (s.version)
			cl_out_str(&o, "version", s.version);
		usage_out(c, &o, &s);
		if (s.error)
			cl_out_str(&o, "error", s.error);
		cl_out_end(&o);
		cl_out_done(c, &o);
	}
	return strcmp(s.status, "connected") == 0 ? 0 : CL_EXIT_FAILED;
}

/* ---- gateway info ---- */

static void info_text(struct cl *c, const struct state *s)
{
	const char *url = cl_shown(c, c->gateway.url);

	printf("Gateway Info\n\n");
	cl_label(c, "Gateway:", cl_shown(c, c->gateway.name));
	cl_label(c, "Server:", url);
	cl_label(c, "Gateway endpoint:", url); /* the line that earlier clients printed */
	cl_label(c, "Auth:", cl_shown(c, c->gateway.auth_name));
	cl_label(c, "Status:", status_text(s));
	if (s->version)
		cl_label(c, "Version:", s->version);
	if (!s->info)
		return;
	printf("  Compute drivers:\n");
	for (size_t i = 0; i < s->info->n_compute_drivers; i++) {
		const Openshell__V1__ComputeDriverInfo *d = s->info->compute_drivers[i];

		printf("    %s %s\n", cl_shown(c, d->name),
			d->capabilities ? cl_shown(c, d->capabilities->driver_version) : "");
	}
}

static int info_out(struct cl *c, const struct state *s)
{
	struct cl_out o;

	cl_out_init(&o, cl_form(c));
	cl_out_object(&o, NULL);
	cl_out_str(&o, "gateway", c->gateway.name);
	cl_out_str(&o, "server", c->gateway.url);
	cl_out_str(&o, "auth", c->gateway.auth_name);
	cl_out_str(&o, "status", s->status);
	cl_out_str(&o, "version", s->version);
	cl_out_array(&o, "compute_drivers");
	for (size_t i = 0; s->info && i < s->info->n_compute_drivers; i++) {
		const Openshell__V1__ComputeDriverInfo *d = s->info->compute_drivers[i];

		cl_out_object(&o, NULL);
		cl_out_str(&o, "name", d->name);
		cl_out_object(&o, "capabilities");
		cl_out_str(&o, "driver_name", d->capabilities ? d->capabilities->driver_name : "");
		cl_out_str(&o, "driver_version",
			d->capabilities ? d->capabilities->driver_version : "");
		cl_out_end(&o);
		cl_out_end(&o);
	}
	cl_out_end(&o);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

int cl_run_gateway_info(struct cl *c)
{
	const char *name = cl_arg(&c->w, 0);
	struct state s;

	if (name && !cl_gateway_load(c, name, &c->gateway))
		cl_die(c, "Unknown gateway '%s'.", cl_shown(c, name));
	cl_gateway_need(c);
	state_find(c, &s);
	if (cl_form(c) != CL_FORM_TABLE)
		return info_out(c, &s);
	info_text(c, &s);
	return 0;
}

/* ---- whoami ---- */

static const char *joined(struct cl *c, char **words, size_t n)
{
	const char *all = "";

	for (size_t i = 0; i < n; i++)
		all = cl_print(c, "%s%s%s", all, i ? ", " : "", cl_shown(c, words[i]));
	return n ? all : "-";
}

static void words_out(struct cl_out *o, const char *key, char **words, size_t n)
{
	cl_out_array(o, key);
	for (size_t i = 0; i < n; i++)
		cl_out_str(o, NULL, words[i]);
	cl_out_end(o);
}

int cl_run_whoami(struct cl *c)
{
	Openshell__V1__GetCurrentUserRequest in;
	struct cl_out o;

	openshell__v1__get_current_user_request__init(&in);
	const Openshell__V1__GetCurrentUserResponse *m =
		CL_ASK(c, GetCurrentUser, in, GetCurrentUserResponse, get_current_user_response);
	if (cl_form(c) == CL_FORM_TABLE) {
		printf("Current User\n\n");
		cl_label(c, "Subject:", cl_shown(c, m->subject));
		cl_label(c, "Display name:", cl_shown(c, m->display_name));
		cl_label(c, "Roles:", joined(c, m->roles, m->n_roles));
		cl_label(c, "Scopes:", joined(c, m->scopes, m->n_scopes));
		cl_label(c, "Identity provider:", cl_shown(c, m->identity_provider));
		return 0;
	}
	cl_out_init(&o, cl_form(c));
	cl_out_object(&o, NULL);
	cl_out_str(&o, "subject", m->subject);
	cl_out_str(&o, "display_name", m->display_name);
	words_out(&o, "roles", m->roles, m->n_roles);
	words_out(&o, "scopes", m->scopes, m->n_scopes);
	cl_out_str(&o, "identity_provider", m->identity_provider);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}
