/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_provider.c - providers: credentials that sandboxes use and never see
 *
 * A value comes from our environment (`--credential KEY`), so that it is in no list of processes and
 * no history; `KEY=VALUE` is taken too, as tools pass `KEY=` for none.  Values are sent and forgotten:
 * no message of ours, and no error, has one.
 */
#include "client/commands.h"
#include "client/provider.h"

#include <stdlib.h>
#include <string.h>

typedef Openshell__Datamodel__V1__Provider provider;

#define CREDENTIALS_ENTRY openshell__datamodel__v1__provider__credentials_entry__descriptor

/* ---- values from here ---- */

static void credential_put(struct cl *c, provider *p, const char *key, const char *value)
{
	p->credentials =
		cl_map_add(c, p->credentials, &p->n_credentials, &CREDENTIALS_ENTRY, key, value);
}

static void credentials_given(struct cl *c, provider *p)
{
	for (size_t i = 0; i < cl_flag_count(&c->w, "credential"); i++) {
		const char *value;
		const char *key = cl_pair(c, cl_flag_at(&c->w, "credential", i), &value);

		if (!*key)
			cl_die_usage(c, "invalid value for '--credential <KEY[=VALUE]>': no key");
		if (!value) {
			value = getenv(key);
			if (!value || !*value)
				cl_die(c,
					"--credential %s: the environment variable %s is not set, or "
					"empty",
					cl_shown(c, key), cl_shown(c, key));
		}
		credential_put(c, p, key, value);
	}
}

/* What the type's profile knows of and our environment has. */
static void credentials_found(struct cl *c, provider *p)
{
	Openshell__V1__GetProviderProfileRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	openshell__v1__get_provider_profile_request__init(&in);
	in.id = cl_dup(c, p->type);
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__ProviderProfileResponse *m = CL_TRY(c, GetProviderProfile, in,
		ProviderProfileResponse, provider_profile_response, &status, &err);
	if (status == CV_RPC_NOT_FOUND || (m && !m->profile))
		cl_die(c, "unsupported provider type or profile: %s", cl_shown(c, p->type));
	if (!m)
		cl_die_status(c, status, err.msg);
	for (size_t i = 0; i < m->profile->n_credentials; i++) {
		const Openshell__V1__ProviderProfileCredential *cred = m->profile->credentials[i];

		for (size_t k = 0; k < cred->n_env_vars; k++) {
			const char *value = getenv(cred->env_vars[k]);

			if (value && *value)
				credential_put(c, p, cred->env_vars[k], value);
		}
	}
	if (!p->n_credentials)
		cl_die(c,
			"no credentials resolved for provider type '%s': none of its variables is set "
			"here",
			cl_shown(c, p->type));
}

static void wipe(provider *p)
{
	for (size_t i = 0; i < p->n_credentials; i++)
		explicit_bzero(p->credentials[i]->value, strlen(p->credentials[i]->value));
}

static provider *provider_new(struct cl *c, const char *name, const char *type)
{
	provider *p = cl_alloc(c, sizeof(*p));

	openshell__datamodel__v1__provider__init(p);
	p->metadata = cl_alloc(c, sizeof(*p->metadata));
	openshell__datamodel__v1__object_meta__init(p->metadata);
	p->metadata->name = cl_dup(c, name);
	p->metadata->workspace = cl_dup(c, c->workspace);
	p->type = cl_dup(c, type);
	return p;
}

/* ---- create, update ---- */

static void create_ask(struct cl *c, provider *p)
{
	Openshell__V1__CreateProviderRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	openshell__v1__create_provider_request__init(&in);
	in.provider = p;
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__ProviderResponse *m =
		CL_TRY(c, CreateProvider, in, ProviderResponse, provider_response, &status, &err);
	wipe(p);
	if (!m)
		cl_die_status(c, status, err.msg);
}

int cl_run_provider_create(struct cl *c)
{
	const char *name = cl_flag(&c->w, "name"), *type = cl_flag(&c->w, "type");
	const int ways = (cl_flag_count(&c->w, "credential") > 0) + cl_has(&c->w, "from-existing") +
			 cl_has(&c->w, "from-gcloud-adc") + cl_has(&c->w, "runtime-credentials");
	struct cl_adc adc;

	if (!name || !type)
		cl_die_usage(c, "the following required arguments were not provided: --%s",
			name ? "type <TYPE>" : "name <NAME>");
	if (ways > 1)
		cl_die_usage(c, "--credential, --from-existing, --from-gcloud-adc and "
				"--runtime-credentials cannot be used with one another");
	if (cl_has(&c->w, "from-gcloud-adc")) {
		cl_adc_read(c, &adc);
		cl_adc_match(c, &adc, type);
	}
	provider *p = provider_new(c, name, type);
	p->config = cl_map_of_flag(c, "config",
		&openshell__datamodel__v1__provider__config_entry__descriptor, &p->n_config);
	p->profile_workspace = cl_dup(c, cl_has(&c->w, "global-profile") ? "" : c->workspace);
	credentials_given(c, p);
	if (cl_has(&c->w, "from-existing"))
		credentials_found(c, p);
	create_ask(c, p);
	if (cl_has(&c->w, "from-gcloud-adc"))
		cl_adc_configure(c, &adc, name);
	cl_mark(c, 'v', "Created provider %s", cl_shown(c, name));
	return 0;
}

static void expiries_put(struct cl *c, Openshell__V1__UpdateProviderRequest *in)
{
	const size_t n = cl_flag_count(&c->w, "credential-expires-at");

	in->credential_expires_at_ms = cl_alloc(c, (n + 1) * sizeof(*in->credential_expires_at_ms));
	in->n_credential_expires_at_ms = n;
	for (size_t i = 0; i < n; i++) {
		Openshell__V1__UpdateProviderRequest__CredentialExpiresAtMsEntry *e =
			cl_alloc(c, sizeof(*e));
		const char *value;

		openshell__v1__update_provider_request__credential_expires_at_ms_entry__init(e);
		e->key = cl_pair(c, cl_flag_at(&c->w, "credential-expires-at", i), &value);
		e->value = cl_time_ms(c, value);
		in->credential_expires_at_ms[i] = e;
	}
}

static provider *provider_get(struct cl *c, const char *name)
{
	Openshell__V1__GetProviderRequest in;

	openshell__v1__get_provider_request__init(&in);
	in.name = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__ProviderResponse *m =
		CL_ASK(c, GetProvider, in, ProviderResponse, provider_response);
	if (!m->provider || !m->provider->metadata)
		cl_die(c, "the gateway answered without a provider");
	return m->provider;
}

int cl_run_provider_update(struct cl *c)
{
	const char *name = cl_arg(&c->w, 0);
	Openshell__V1__UpdateProviderRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	if (!c->w.set_count)
		cl_die_usage(c,
			"nothing to change: give --credential, --config, --from-existing or "
			"--credential-expires-at");
	provider *p = provider_new(c, name, "");
	openshell__v1__update_provider_request__init(&in);
	in.provider = p;
	in.workspace = cl_dup(c, c->workspace);
	p->config = cl_map_of_flag(c, "config",
		&openshell__datamodel__v1__provider__config_entry__descriptor, &p->n_config);
	credentials_given(c, p);
	if (cl_has(&c->w, "from-existing")) {
		p->type = provider_get(c, name)->type;
		credentials_found(c, p);
	}
	expiries_put(c, &in);
	const Openshell__V1__ProviderResponse *m =
		CL_TRY(c, UpdateProvider, in, ProviderResponse, provider_response, &status, &err);
	wipe(p);
	if (!m)
		cl_die_status(c, status, err.msg);
	cl_mark(c, 'v', "Updated provider %s", cl_shown(c, name));
	return 0;
}

bool cl_provider_want(struct cl *c, const char *name)
{
	Openshell__V1__GetProviderRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	openshell__v1__get_provider_request__init(&in);
	in.name = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	if (CL_TRY(c, GetProvider, in, ProviderResponse, provider_response, &status, &err))
		return true;
	if (status != CV_RPC_NOT_FOUND)
		return true; /* whether it is there, only the gateway can say: it will */
	if (cl_has(&c->w, "no-auto-providers")) {
		cl_note(c, "! Provider %s not found; skipped", cl_shown(c, name));
		return false;
	}
	if (!cl_has(&c->w, "auto-providers") &&
		!cl_confirm(
			c, cl_print(c, "Provider %s is missing. Create it from local credentials?",
				   cl_shown(c, name))))
		cl_die(c,
			"provider '%s' not found\nhint: create it with: %s provider create --name %s "
			"--type %s --from-existing",
			cl_shown(c, name), c->program, cl_shown(c, name), cl_shown(c, name));
	provider *p = provider_new(c, name, name);
	p->profile_workspace = cl_dup(c, c->workspace);
	credentials_found(c, p);
	create_ask(c, p);
	cl_note(c, "✓ Created provider %s", cl_shown(c, name));
	return true;
}

/* ---- show ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **cl_provider_keys(struct cl *c, const provider *p, size_t *ret_count)
{
	char **v = cl_alloc(c, (p->n_credentials + p->n_credential_handles + 1) * sizeof(*v));
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < p->n_credentials; i++)
		v[n++] = p->credentials[i]->key;
	for (size_t i = 0; i < p->n_credential_handles; i++)
		v[n++] = p->credential_handles[i]->key;
	qsort(v, n, sizeof(*v), by_text);
	for (size_t i = 0; i < n; i++)
		if (!kept || strcmp(v[kept - 1], v[i]) != 0)
			v[kept++] = v[i];
	*ret_count = kept;
	return v;
}

static void keys_out(struct cl *c, struct cl_out *o, const provider *p)
{
	size_t n;
	char **keys = cl_provider_keys(c, p, &n);

	cl_out_array(o, "credential_keys");
	for (size_t i = 0; i < n; i++)
		cl_out_str(o, NULL, keys[i]);
	cl_out_end(o);
	if (p->n_config) {
		cl_out_array(o, "config_keys");
		for (size_t i = 0; i < p->n_config; i++)
			cl_out_str(o, NULL, p->config[i]->key);
		cl_out_end(o);
	}
}

static void provider_out(struct cl *c, struct cl_out *o, const provider *p)
{
	const Openshell__Datamodel__V1__ObjectMeta *m = p->metadata;

	cl_out_object(o, NULL);
	cl_out_str(o, "id", m->id);
	cl_out_str(o, "name", m->name);
	cl_out_str(o, "workspace", m->workspace);
	cl_out_str(o, "type", p->type);
	keys_out(c, o, p);
	if (m->n_labels)
		cl_map_out(c, o, "labels", m->labels, m->n_labels);
	if (m->resource_version)
		cl_out_u64(o, "resource_version", m->resource_version);
	if (m->created_at_ms)
		cl_out_str(o, "created_at", cl_time(c, m->created_at_ms));
	if (p->n_credential_expires_at_ms) {
		cl_out_object(o, "credential_expires_at_ms");
		for (size_t i = 0; i < p->n_credential_expires_at_ms; i++)
			cl_out_int(o, p->credential_expires_at_ms[i]->key,
				p->credential_expires_at_ms[i]->value);
		cl_out_end(o);
	}
	cl_out_end(o);
}

static const char *keys_text(struct cl *c, const provider *p)
{
	size_t n;
	char **keys = cl_provider_keys(c, p, &n);
	const char *all = "";

	for (size_t i = 0; i < n; i++)
		all = cl_print(c, "%s%s%s", all, i ? ", " : "", keys[i]);
	return n ? all : "-";
}

static const char *config_text(struct cl *c, const provider *p)
{
	const char *all = "";

	for (size_t i = 0; i < p->n_config; i++)
		all = cl_print(c, "%s%s%s", all, i ? ", " : "", p->config[i]->key);
	return p->n_config ? all : "-";
}

int cl_run_provider_get(struct cl *c)
{
	const provider *p = provider_get(c, cl_arg(&c->w, 0));
	struct cl_out o;

	if (cl_form(c) != CL_FORM_TABLE) {
		cl_out_init(&o, cl_form(c));
		provider_out(c, &o, p);
		return cl_out_done(c, &o);
	}
	printf("Provider:\n\n");
	cl_label(c, "Id:", cl_shown(c, p->metadata->id));
	cl_label(c, "Name:", cl_shown(c, p->metadata->name));
	cl_label(c, "Type:", cl_shown(c, p->type));
	cl_label(c, "Resource version:",
		cl_print(c, "%llu", (unsigned long long)p->metadata->resource_version));
	cl_label(c, "Credential keys:", cl_shown(c, keys_text(c, p)));
	cl_label(c, "Config keys:", cl_shown(c, config_text(c, p)));
	for (size_t i = 0; i < p->n_credential_expires_at_ms; i++)
		cl_label(c, "Expires:",
			cl_print(c, "%s %s", cl_shown(c, p->credential_expires_at_ms[i]->key),
				cl_time(c, p->credential_expires_at_ms[i]->value)));
	return 0;
}

static void table_put(struct cl *c, provider **v, size_t n, bool has_workspace)
{
	static const char *const heads[] = { "NAME", "TYPE", "CREDENTIAL_KEYS", "CONFIG_KEYS" };
	struct cl_table t;

	cl_table_init(&t, 4 + has_workspace);
	if (has_workspace)
		cl_table_cell(&t, CV_STR("WORKSPACE"));
	for (size_t i = 0; i < CV_ARRAY_LEN(heads); i++)
		cl_table_cell(&t, cv_str_of(heads[i]));
	for (size_t i = 0; i < n; i++) {
		size_t keys;

		(void)cl_provider_keys(c, v[i], &keys);
		if (has_workspace)
			cl_table_cell(&t, cv_str_of(v[i]->metadata->workspace));
		cl_table_cell(&t, cv_str_of(v[i]->metadata->name));
		cl_table_cell(&t, cv_str_of(v[i]->type));
		cl_table_cell(&t, cv_str_of(cl_print(c, "%zu", keys)));
		cl_table_cell(&t, cv_str_of(cl_print(c, "%zu", v[i]->n_config)));
	}
	cl_table_done(c, &t);
}

static int list_print(struct cl *c, provider **v, size_t n, bool has_workspace, const char *none)
{
	struct cl_out o;

	if (cl_form(c) == CL_FORM_TABLE) {
		if (n)
			table_put(c, v, n, has_workspace);
		else
			puts(none);
		return 0;
	}
	cl_out_init(&o, cl_form(c));
	cl_out_array(&o, NULL);
	for (size_t i = 0; i < n; i++)
		provider_out(c, &o, v[i]);
	cl_out_end(&o);
	return cl_out_done(c, &o);
}

int cl_run_provider_list(struct cl *c)
{
	Openshell__V1__ListProvidersRequest in;

	openshell__v1__list_providers_request__init(&in);
	in.limit = cl_number(&c->w, "limit", CL_PAGE);
	in.offset = cl_number(&c->w, "offset", 0);
	in.all_workspaces = cl_has(&c->w, "all-workspaces");
	in.workspace = cl_dup(c, in.all_workspaces ? "" : c->workspace);
	const Openshell__V1__ListProvidersResponse *m =
		CL_ASK(c, ListProviders, in, ListProvidersResponse, list_providers_response);
	if (cl_has(&c->w, "names")) {
		for (size_t i = 0; i < m->n_providers; i++)
			printf("%s%s%s\n",
				in.all_workspaces
					? cl_shown(c, m->providers[i]->metadata->workspace)
					: "",
				in.all_workspaces ? "/" : "",
				cl_shown(c, m->providers[i]->metadata->name));
		return 0;
	}
	return list_print(
		c, m->providers, m->n_providers, in.all_workspaces, "No providers found.");
}

int cl_run_provider_delete(struct cl *c)
{
	int status = 0;

	for (size_t i = 0; i < c->w.arg_count; i++) {
		const char *name = cl_arg(&c->w, i);
		Openshell__V1__DeleteProviderRequest in;
		enum cv_rpc_status rpc;
		struct cv_err err;

		openshell__v1__delete_provider_request__init(&in);
		in.name = cl_dup(c, name);
		in.workspace = cl_dup(c, c->workspace);
		const Openshell__V1__DeleteProviderResponse *m = CL_TRY(c, DeleteProvider, in,
			DeleteProviderResponse, delete_provider_response, &rpc, &err);
		if (m && m->deleted) {
			cl_mark(c, 'v', "Deleted provider %s", cl_shown(c, name));
		} else if (m || rpc == CV_RPC_NOT_FOUND) {
			cl_mark(c, '!', "Provider %s not found", cl_shown(c, name));
		} else {
			cl_mark(c, 'x', "Failed to delete provider %s: %s", cl_shown(c, name),
				cl_said(c, err.msg));
			status = CL_EXIT_FAILED;
		}
	}
	return status;
}

/* ---- of a sandbox ---- */

int cl_run_sandbox_provider_list(struct cl *c)
{
	const char *name = cl_sandbox_name(c, cl_arg(&c->w, 0));
	Openshell__V1__ListSandboxProvidersRequest in;

	openshell__v1__list_sandbox_providers_request__init(&in);
	in.sandbox_name = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__ListSandboxProvidersResponse *m = CL_ASK(c, ListSandboxProviders, in,
		ListSandboxProvidersResponse, list_sandbox_providers_response);
	return list_print(c, m->providers, m->n_providers, false,
		cl_print(c, "No providers attached to sandbox %s.", cl_shown(c, name)));
}

int cl_run_sandbox_provider_attach(struct cl *c)
{
	const char *name = cl_shown(c, cl_arg(&c->w, 0)), *p = cl_shown(c, cl_arg(&c->w, 1));
	Openshell__V1__AttachSandboxProviderRequest in;

	openshell__v1__attach_sandbox_provider_request__init(&in);
	in.sandbox_name = cl_dup(c, cl_arg(&c->w, 0));
	in.provider_name = cl_dup(c, cl_arg(&c->w, 1));
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__AttachSandboxProviderResponse *m = CL_ASK(c, AttachSandboxProvider, in,
		AttachSandboxProviderResponse, attach_sandbox_provider_response);
	if (m->attached)
		cl_mark(c, 'v', "Attached provider %s to sandbox %s", p, name);
	else
		printf("Provider %s is already attached to sandbox %s.\n", p, name);
	return 0;
}

int cl_run_sandbox_provider_detach(struct cl *c)
{
	const char *name = cl_shown(c, cl_arg(&c->w, 0)), *p = cl_shown(c, cl_arg(&c->w, 1));
	Openshell__V1__DetachSandboxProviderRequest in;

	openshell__v1__detach_sandbox_provider_request__init(&in);
	in.sandbox_name = cl_dup(c, cl_arg(&c->w, 0));
	in.provider_name = cl_dup(c, cl_arg(&c->w, 1));
	in.workspace = cl_dup(c, c->workspace);
	const Openshell__V1__DetachSandboxProviderResponse *m = CL_ASK(c, DetachSandboxProvider, in,
		DetachSandboxProviderResponse, detach_sandbox_provider_response);
	if (m->detached)
		cl_mark(c, 'v', "Detached provider %s from sandbox %s", p, name);
	else
		printf("Provider %s is not attached to sandbox %s.\n", p, name);
	return 0;
}
