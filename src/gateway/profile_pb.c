/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile_pb.c - see profile_pb.h
 *
 * Endpoints and binaries go through a policy of one entry, whose conversion policy_pb.h has.
 */
#include "gateway/profile_pb.h"

#include "cred/limits_profile.h"
#include "policy/findings.h"
#include "rpc/policy_pb.h"

#include <stdio.h>

#define PB(name)  Openshell__V1__##name
#define DESC(low) (&openshell__v1__##low##__descriptor)

/* ---- to the message ---- */

static void *message_new(struct cv_arena *arena, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *m = cv_arena_alloc(arena, type->sizeof_message);

	if (m)
		type->message_init(m);
	return m;
}

static char *str_of(struct cv_arena *arena, struct cv_str s)
{
	static char empty[1];
	const struct cv_str copy = s.n ? cv_arena_str(arena, s) : CV_STR_NONE;

	return copy.p ? (char *)(uintptr_t)copy.p : empty;
}

static char **texts_of(struct cv_arena *arena, const struct cv_policy_texts *t, size_t *ret_n)
{
	char **v = t->n ? cv_arena_array(arena, t->n, sizeof(*v)) : NULL;

	for (size_t i = 0; v && i < t->n; i++)
		v[i] = str_of(arena, t->v[i].s);
	*ret_n = v ? t->n : 0;
	return v;
}

static const char *const categories[] = { "", "other", "inference", "agent", "source_control",
	"messaging", "data", "knowledge" }; /* by number */

static PB(ProviderProfileCategory) category_of(struct cv_str text)
{
	for (int i = 1; i < (int)CV_ARRAY_LEN(categories); i++)
		if (cv_str_eq(text, cv_str_of(categories[i])))
			return (PB(ProviderProfileCategory))i;
	return (PB(ProviderProfileCategory))0;
}

/* The numbers are those of the message; ours have none there, and somebody renews them. */
static PB(ProviderCredentialRefreshStrategy) strategy_of(enum cv_profile_strategy s)
{
	if (s > CV_PROFILE_STRATEGY_AWS_STS_ASSUME_ROLE)
		s = CV_PROFILE_STRATEGY_EXTERNAL;
	return (PB(ProviderCredentialRefreshStrategy))s;
}

static PB(ProviderCredentialRefresh) *
	refresh_of(struct cv_arena *a, const struct cv_profile_refresh *from)
{
	PB(ProviderCredentialRefresh) *r = message_new(a, DESC(provider_credential_refresh));

	if (!r)
		return NULL;
	r->strategy = strategy_of(from->strategy);
	r->token_url = str_of(a, from->token_url.s);
	r->scopes = texts_of(a, &from->scopes, &r->n_scopes);
	r->refresh_before_seconds = from->before_s;
	r->max_lifetime_seconds = from->max_lifetime_s;
	r->material = cv_arena_array(a, from->material_count + 1, sizeof(void *));
	for (size_t i = 0; r->material && i < from->material_count; i++) {
		PB(ProviderCredentialRefreshMaterial) *m =
			message_new(a, DESC(provider_credential_refresh_material));

		if (!m)
			return r;
		m->name = str_of(a, from->materials[i].name.s);
		m->description = str_of(a, from->materials[i].description.s);
		m->required = from->materials[i].is_required;
		m->secret = from->materials[i].is_secret;
		r->material[r->n_material++] = m;
	}
	r->additional_outputs = cv_arena_array(a, from->output_count + 1, sizeof(void *));
	for (size_t i = 0; r->additional_outputs && i < from->output_count; i++) {
		PB(ProviderCredentialRefreshOutput) *o =
			message_new(a, DESC(provider_credential_refresh_output));

		if (!o)
			return r;
		o->output = str_of(a, from->outputs[i].output.s);
		o->credential = str_of(a, from->outputs[i].credential.s);
		r->additional_outputs[r->n_additional_outputs++] = o;
	}
	return r;
}

static PB(ProviderCredentialTokenGrant) *
	grant_of(struct cv_arena *a, const struct cv_profile_grant *from)
{
	PB(ProviderCredentialTokenGrant) *g = message_new(a, DESC(provider_credential_token_grant));

	if (!g)
		return NULL;
	g->token_endpoint = str_of(a, from->token_endpoint.s);
	g->audience = str_of(a, from->audience.s);
	g->jwt_svid_audience = str_of(a, from->jwt_svid_audience.s);
	g->client_assertion_type = str_of(a, from->client_assertion_type.s);
	g->scopes = texts_of(a, &from->scopes, &g->n_scopes);
	g->cache_ttl_seconds = from->cache_ttl_s;
	g->audience_overrides = cv_arena_array(a, from->audience_count + 1, sizeof(void *));
	for (size_t i = 0; g->audience_overrides && i < from->audience_count; i++) {
		PB(ProviderCredentialTokenGrantAudienceOverride) *o =
			message_new(a, DESC(provider_credential_token_grant_audience_override));
		const struct cv_profile_audience *x = &from->audiences[i];

		if (!o)
			return g;
		o->host = str_of(a, x->host.s);
		o->port = x->port_count ? x->ports[0] : 0;
		o->path = str_of(a, x->path.s);
		o->audience = str_of(a, x->audience.s);
		o->scopes = texts_of(a, &x->scopes, &o->n_scopes);
		g->audience_overrides[g->n_audience_overrides++] = o;
	}
	return g;
}

static PB(ProviderProfileCredential) *
	credential_of(struct cv_arena *a, const struct cv_profile_credential *from)
{
	PB(ProviderProfileCredential) *c = message_new(a, DESC(provider_profile_credential));

	if (!c)
		return NULL;
	c->name = str_of(a, from->name.s);
	c->description = str_of(a, from->description.s);
	c->env_vars = texts_of(a, &from->env_vars, &c->n_env_vars);
	c->required = from->is_required;
	c->auth_style = str_of(a, from->auth_style_text.s);
	c->header_name = str_of(a, from->header_name.s);
	c->query_param = str_of(a, from->query_param.s);
	c->path_template = str_of(a, from->path_template.s);
	if (from->has_refresh)
		c->refresh = refresh_of(a, &from->refresh);
	if (from->has_grant)
		c->token_grant = grant_of(a, &from->grant);
	return c;
}

static cv_code network_of(
	const struct cv_profile *p, struct cv_arena *a, PB(ProviderProfile) * m, struct cv_err *err)
{
	struct cv_policy_entry entry = p->network;
	const struct cv_policy_doc doc = { .version = 1, .entries = &entry, .entry_count = 1 };
	cv_policy_pb *policy;

	entry.is_provider = false;
	const cv_code code = cv_policy_pb_from_doc(&doc, a, &policy, err);
	if (code != CV_OK || !policy->n_network_policies)
		return code;
	const Openshell__Sandbox__V1__NetworkPolicyRule *r = policy->network_policies[0]->value;
	m->n_endpoints = r->n_endpoints;
	m->endpoints = r->endpoints;
	m->n_binaries = r->n_binaries;
	m->binaries = r->binaries;
	return CV_OK;
}

cv_code cv_profile_pb_from(const struct cv_profile *p, struct cv_arena *arena,
	PB(ProviderProfile) * *ret, struct cv_err *err)
{
	PB(ProviderProfile) *m = message_new(arena, DESC(provider_profile));

	if (!m)
		return cv_fail(err, CV_LIMIT, "no memory for a profile");
	m->id = str_of(arena, p->id.s);
	m->display_name = str_of(arena, p->display_name.s);
	m->description = str_of(arena, p->description.s);
	m->category = category_of(p->category.s);
	m->inference_capable = p->is_inference_capable;
	m->credentials = cv_arena_array(arena, p->credential_count + 1, sizeof(void *));
	for (size_t i = 0; m->credentials && i < p->credential_count; i++)
		m->credentials[m->n_credentials++] = credential_of(arena, &p->credentials[i]);
	if (p->has_discovery) {
		m->discovery = message_new(arena, DESC(provider_profile_discovery));
		if (m->discovery)
			m->discovery->credentials =
				texts_of(arena, &p->discovery, &m->discovery->n_credentials);
	}
	m->annotations = cv_arena_array(arena, p->annotation_count + 1, sizeof(void *));
	for (size_t i = 0; m->annotations && i < p->annotation_count; i++) {
		PB(ProviderProfile__AnnotationsEntry) *e =
			message_new(arena, DESC(provider_profile__annotations_entry));

		if (!e)
			break;
		e->key = str_of(arena, p->annotations[i].key.s);
		e->value = str_of(arena, p->annotations[i].value.s);
		m->annotations[m->n_annotations++] = e;
	}
	const cv_code code = network_of(p, arena, m, err);
	if (code == CV_OK && arena->is_overflown)
		return cv_fail(err, CV_LIMIT, "no memory for a profile");
	if (code == CV_OK)
		*ret = m;
	return code;
}

/* ---- from the message ---- */

struct reader {
	struct cv_arena arena;
	struct cv_findings *findings;
	struct cv_str where;
};

static struct cv_policy_text text_in(const char *z)
{
	return (struct cv_policy_text){ .s = cv_str_of(z), .is_present = z && *z };
}

static struct cv_policy_texts texts_in(struct reader *r, char **v, size_t n)
{
	struct cv_policy_texts t = { .n = 0, .is_present = n > 0 };

	t.v = cv_arena_array(&r->arena, n + 1, sizeof(t.v[0]));
	for (; t.v && t.n < n; t.n++)
		t.v[t.n] = (struct cv_policy_text){ .s = cv_str_of(v[t.n]), .is_present = true };
	return t;
}

static void wrong(struct reader *r, const char *field, const char *what, const char *value)
{
	char where[128];

	snprintf(where, sizeof(where), "%.*s%s", (int)CV_MIN(r->where.n, (size_t)64), r->where.p,
		field);
	cv_findings_add(r->findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 },
		cv_str_of(where), NULL, "%s '%.64s'", what, value);
}

static void refresh_in(
	struct reader *r, const PB(ProviderCredentialRefresh) * from, struct cv_profile_refresh *to)
{
	if ((unsigned)from->strategy > CV_PROFILE_STRATEGY_AWS_STS_ASSUME_ROLE) {
		wrong(r, ".refresh.strategy", "unknown", "");
		return;
	}
	to->strategy = (enum cv_profile_strategy)from->strategy;
	to->strategy_text = text_in(cv_profile_strategy_name(to->strategy));
	to->token_url = text_in(from->token_url);
	to->scopes = texts_in(r, from->scopes, from->n_scopes);
	to->before_s = from->refresh_before_seconds;
	to->max_lifetime_s = from->max_lifetime_seconds;
	to->materials = cv_arena_array(&r->arena, from->n_material + 1, sizeof(to->materials[0]));
	for (size_t i = 0; to->materials && i < from->n_material; i++)
		to->materials[to->material_count++] = (struct cv_profile_material){
			.name = text_in(from->material[i]->name),
			.description = text_in(from->material[i]->description),
			.is_required = from->material[i]->required,
			.is_secret = from->material[i]->secret,
		};
	to->outputs =
		cv_arena_array(&r->arena, from->n_additional_outputs + 1, sizeof(to->outputs[0]));
	for (size_t i = 0; to->outputs && i < from->n_additional_outputs; i++)
		to->outputs[to->output_count++] = (struct cv_profile_output){
			.output = text_in(from->additional_outputs[i]->output),
			.credential = text_in(from->additional_outputs[i]->credential),
		};
}

static void grant_in(struct reader *r, const PB(ProviderCredentialTokenGrant) * from,
	struct cv_profile_grant *to)
{
	to->token_endpoint = text_in(from->token_endpoint);
	to->audience = text_in(from->audience);
	to->jwt_svid_audience = text_in(from->jwt_svid_audience);
	to->client_assertion_type = text_in(from->client_assertion_type);
	to->scopes = texts_in(r, from->scopes, from->n_scopes);
	to->cache_ttl_s = from->cache_ttl_seconds;
	to->audiences =
		cv_arena_array(&r->arena, from->n_audience_overrides + 1, sizeof(to->audiences[0]));
	for (size_t i = 0; to->audiences && i < from->n_audience_overrides; i++) {
		const PB(ProviderCredentialTokenGrantAudienceOverride) *x =
			from->audience_overrides[i];
		struct cv_profile_audience *a = &to->audiences[to->audience_count++];

		a->host = text_in(x->host);
		a->path = text_in(x->path);
		a->audience = text_in(x->audience);
		a->scopes = texts_in(r, x->scopes, x->n_scopes);
		a->ports = cv_arena_array(&r->arena, 1, sizeof(a->ports[0]));
		if (x->port > UINT16_MAX)
			wrong(r, ".token_grant.audience_overrides.port", "not a port", "");
		else if (x->port && a->ports)
			a->ports[a->port_count++] = (uint16_t)x->port;
	}
}

static enum cv_profile_auth_style auth_in(struct reader *r, const char *text)
{
#define AUTH_NAME(id, yaml) [CV_PROFILE_AUTH_##id] = yaml,
	static const char *const names[] = { CV_PROFILE_AUTH_STYLES(AUTH_NAME) };
#undef AUTH_NAME

	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++)
		if (strcmp(names[i], text) == 0)
			return (enum cv_profile_auth_style)i;
	wrong(r, ".auth_style", "unknown", text);
	return CV_PROFILE_AUTH_NONE;
}

static void credential_in(struct reader *r, const PB(ProviderProfileCredential) * from,
	struct cv_profile_credential *to)
{
	r->where = cv_arena_printf(&r->arena, "credentials.%.40s", from->name);
	to->name = text_in(from->name);
	to->description = text_in(from->description);
	to->env_vars = texts_in(r, from->env_vars, from->n_env_vars);
	to->is_required = from->required;
	to->auth_style = auth_in(r, from->auth_style);
	to->auth_style_text = text_in(from->auth_style);
	to->header_name = text_in(from->header_name);
	to->query_param = text_in(from->query_param);
	to->path_template = text_in(from->path_template);
	to->has_refresh = from->refresh != NULL;
	to->has_grant = from->token_grant != NULL;
	if (from->refresh)
		refresh_in(r, from->refresh, &to->refresh);
	if (from->token_grant)
		grant_in(r, from->token_grant, &to->grant);
	r->where = CV_STR_NONE;
}

/* NULL when there are none, or findings say why not. */
static struct cv_policy_doc *network_in(struct reader *r, const PB(ProviderProfile) * m)
{
	Openshell__Sandbox__V1__NetworkPolicyRule rule;
	Openshell__Sandbox__V1__SandboxPolicy__NetworkPoliciesEntry entry, *entries = &entry;
	struct cv_policy_doc *doc = NULL;
	cv_policy_pb policy;
	struct cv_buf text;
	struct cv_err err;

	openshell__sandbox__v1__sandbox_policy__init(&policy);
	openshell__sandbox__v1__sandbox_policy__network_policies_entry__init(&entry);
	openshell__sandbox__v1__network_policy_rule__init(&rule);
	rule.n_endpoints = m->n_endpoints;
	rule.endpoints = m->endpoints;
	rule.n_binaries = m->n_binaries;
	rule.binaries = m->binaries;
	entry.key = (char *)(uintptr_t) "profile";
	entry.value = &rule;
	policy.version = 1;
	policy.n_network_policies = 1;
	policy.network_policies = &entries;
	cv_buf_init(&text, CV_POLICY_PB_TEXT_BYTES_MAX);
	if (cv_policy_pb_text(&policy, &text, &err) != CV_OK)
		cv_findings_add(r->findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 },
			CV_STR("endpoints"), NULL, "%s", err.msg);
	else if (cv_policy_load(CV_STR("profile"), cv_buf_str(&text), &doc, r->findings) != CV_OK)
		doc = NULL;
	cv_buf_fini(&text);
	return doc;
}

static void profile_in(struct reader *r, const PB(ProviderProfile) * m, struct cv_profile *p)
{
	p->id = text_in(m->id);
	p->display_name = text_in(m->display_name);
	p->description = text_in(m->description);
	if ((unsigned)m->category < CV_ARRAY_LEN(categories))
		p->category = text_in(categories[m->category]);
	else
		wrong(r, "category", "unknown", "");
	p->is_inference_capable = m->inference_capable;
	p->credentials = cv_arena_array(&r->arena, m->n_credentials + 1, sizeof(p->credentials[0]));
	for (size_t i = 0; p->credentials && i < m->n_credentials; i++)
		credential_in(r, m->credentials[i], &p->credentials[p->credential_count++]);
	p->has_discovery = m->discovery != NULL;
	if (m->discovery)
		p->discovery = texts_in(r, m->discovery->credentials, m->discovery->n_credentials);
	p->annotations = cv_arena_array(&r->arena, m->n_annotations + 1, sizeof(p->annotations[0]));
	for (size_t i = 0; p->annotations && i < m->n_annotations; i++)
		p->annotations[p->annotation_count++] = (struct cv_fill_pair){
			.key = { .s = cv_str_of(m->annotations[i]->key), .is_present = true },
			.value = { .s = cv_str_of(m->annotations[i]->value), .is_present = true },
		};
}

cv_code cv_profile_pb_load(const PB(ProviderProfile) * m, struct cv_str source,
	struct cv_profile **ret, struct cv_findings *findings)
{
	const size_t before = findings->error_count;
	struct reader r = { .findings = findings };
	struct cv_policy_doc *doc = NULL;
	struct cv_profile p = { .file = source };
	struct cv_buf text;
	cv_code code;

	findings->has_no_lines = true; /* both texts are ours */
	cv_arena_init(&r.arena, CV_CRED_PROFILE_MEMORY_MAX);
	cv_buf_init(&text, CV_CRED_PROFILE_BYTES_MAX + 1);
	profile_in(&r, m, &p);
	if (m->n_endpoints || m->n_binaries) {
		doc = network_in(&r, m);
		if (doc && doc->entry_count)
			p.network = doc->entries[0];
	}
	if (r.arena.is_overflown)
		wrong(&r, "", "too large", m->id);
	code = cv_findings_code(findings, before);
	if (code == CV_OK) {
		cv_fill_write(&cv_profile_schema, &p, &text);
		code = cv_profile_load(source,
			text.is_overflown ? (struct cv_str){ m->id, CV_CRED_PROFILE_BYTES_MAX + 1 }
					  : cv_buf_str(&text),
			ret, findings);
	}
	cv_policy_doc_free(doc);
	cv_buf_fini(&text);
	cv_arena_fini(&r.arena);
	return code;
}
