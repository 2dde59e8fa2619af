/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile_validate.c - the rules of a profile beyond types, one function each
 *
 * Endpoints are judged by the policy's own rules, as the one network policy of a document that
 * holds nothing else.
 */
#include "cred/limits_profile.h"
#include "cred/profile.h"
#include "cred/shape.h"
#include "policy/findings.h"
#include "wire/h1.h"

#include <stdio.h>

#define WHERE_BYTES_MAX 96

struct check {
	const struct cv_profile *profile;
	const struct cv_profile_credential *cred; /* NULL: the profile itself */
	size_t index;
	struct cv_findings *findings;
};

#define REPORT(c, level, pos, fix, ...)                                                          \
	do {                                                                                     \
		char where_[WHERE_BYTES_MAX] = "";                                               \
		if ((c)->cred)                                                                   \
			snprintf(where_, sizeof(where_), "credentials[%zu]", (c)->index);        \
		cv_findings_add((c)->findings, level, pos, cv_str_of(where_), fix, __VA_ARGS__); \
	} while (0)
#define ERROR(c, pos, ...)   REPORT(c, CV_FINDING_ERROR, pos, __VA_ARGS__)
#define WARNING(c, pos, ...) REPORT(c, CV_FINDING_WARNING, pos, __VA_ARGS__)

/* ---- the profile ---- */

static bool is_kebab(struct cv_str s)
{
	if (!s.n || s.n > CV_CRED_ID_BYTES_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
			    (s.p[i] == '-' && s.p[i - 1] != '-')))
			return false;
	return true;
}

static void check_id(struct check *c)
{
	const struct cv_policy_text *id = &c->profile->id;

	if (!is_kebab(id->s))
		ERROR(c, id->pos,
			"write small letters and digits, with single hyphens between: my-service",
			"id '%.*s' is not in kebab-case", CV_POLICY_QUOTE(id->s));
}

static void check_aliases(struct check *c)
{
	const struct cv_policy_texts *v = &c->profile->aliases;

	for (size_t i = 0; i < v->n; i++)
		if (!v->v[i].s.n || v->v[i].s.n > CV_CRED_ID_BYTES_MAX ||
			cv_str_has_byte(v->v[i].s, '/') || cv_str_has_byte(v->v[i].s, '.'))
			ERROR(c, v->v[i].pos, "an alias is a word without '/' and '.'",
				"alias '%.*s' can't be told from a file",
				CV_POLICY_QUOTE(v->v[i].s));
}

static void check_category(struct check *c)
{
	static const char *const known[] = { "other", "inference", "agent", "source_control",
		"messaging", "data", "knowledge" };
	const struct cv_policy_text *t = &c->profile->category;

	if (!t->s.n)
		return;
	for (size_t i = 0; i < CV_ARRAY_LEN(known); i++)
		if (cv_str_eq(t->s, cv_str_of(known[i])))
			return;
	ERROR(c, t->pos,
		"expected other, inference, agent, source_control, messaging, data, knowledge",
		"unknown category '%.*s'", CV_POLICY_QUOTE(t->s));
}

static void check_discovery(struct check *c)
{
	const struct cv_policy_texts *v = &c->profile->discovery;

	for (size_t i = 0; i < v->n; i++)
		if (!cv_profile_credential_find(c->profile, v->v[i].s))
			ERROR(c, v->v[i].pos, "name one of the credentials of this profile",
				"discovery.credentials: there is no credential '%.*s'",
				CV_POLICY_QUOTE(v->v[i].s));
}

static void check_counts(struct check *c)
{
	if (c->profile->credential_count > CV_CRED_KEYS_MAX)
		ERROR(c, c->profile->id.pos, "split it", "%zu credentials; at most %d",
			c->profile->credential_count, CV_CRED_KEYS_MAX);
	if (c->profile->network.endpoint_count > CV_CRED_BINDINGS_MAX)
		ERROR(c, c->profile->id.pos, "use host patterns", "%zu endpoints; at most %d",
			c->profile->network.endpoint_count, CV_CRED_BINDINGS_MAX);
}

static void check_endpoints(struct check *c)
{
	struct cv_policy_entry entry = c->profile->network;
	const struct cv_policy_doc doc = { .version = 1, .entries = &entry, .entry_count = 1 };

	if (entry.endpoint_count)
		(void)!cv_policy_validate(&doc, c->findings);
	for (size_t i = 0; i < entry.endpoint_count; i++) {
		if (entry.endpoints[i].has_credential_binding)
			ERROR(c, entry.endpoints[i].pos,
				"remove it: the credentials of a profile belong to its endpoints",
				"credential_binding is for policies");
		if (entry.endpoints[i].rules.n > CV_CRED_RULES_MAX)
			ERROR(c, entry.endpoints[i].pos, "use patterns",
				"%zu rules of an endpoint; at most %d", entry.endpoints[i].rules.n,
				CV_CRED_RULES_MAX);
	}
}

/* ---- a credential ---- */

static void check_name(struct check *c)
{
	const struct cv_policy_text *name = &c->cred->name;
	char line[CV_FINDING_LINE_BYTES];

	if (!name->s.n)
		ERROR(c, name->pos, NULL, "a credential needs a name");
	for (size_t i = 0; i < c->index; i++)
		if (cv_str_eq(c->profile->credentials[i].name.s, name->s))
			ERROR(c, name->pos, "give each its own",
				"a second credential named '%.*s'%s", CV_POLICY_QUOTE(name->s),
				cv_finding_line(c->findings, ", first at line ",
					c->profile->credentials[i].pos.line, "", line));
}

static bool is_used_before(const struct check *c, size_t var, struct cv_str key)
{
	for (size_t i = 0; i <= c->index; i++) {
		const struct cv_policy_texts *v = &c->profile->credentials[i].env_vars;
		const size_t n = i == c->index ? var : v->n;

		for (size_t k = 0; k < n; k++)
			if (cv_str_eq(v->v[k].s, key))
				return true;
	}
	return false;
}

static void check_env_vars(struct check *c)
{
	const struct cv_policy_texts *v = &c->cred->env_vars;

	if (!v->n && !c->cred->has_grant)
		WARNING(c, c->cred->pos, "name the variables in env_vars",
			"no variable, so nothing enters the sandbox");
	for (size_t i = 0; i < v->n; i++) {
		if (!cv_cred_is_key(v->v[i].s))
			ERROR(c, v->v[i].pos,
				"write letters, digits and _; v1_... and s<64 hex>_... are taken",
				"'%.*s' can't be a variable's name", CV_POLICY_QUOTE(v->v[i].s));
		else if (is_used_before(c, i, v->v[i].s))
			ERROR(c, v->v[i].pos, "keep one of them", "the variable %.*s occurs twice",
				CV_POLICY_QUOTE(v->v[i].s));
	}
}

/* What each style needs, and who else may have it: nobody. */
static void check_auth_style(struct check *c)
{
	const struct cv_profile_credential *k = c->cred;
	const struct {
		enum cv_profile_auth_style style;
		const char *name;
		const struct cv_policy_text *text;
	} rows[] = {
		{ CV_PROFILE_AUTH_HEADER, "header_name", &k->header_name },
		{ CV_PROFILE_AUTH_QUERY, "query_param", &k->query_param },
		{ CV_PROFILE_AUTH_PATH, "path_template", &k->path_template },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		if (k->auth_style == rows[i].style && !rows[i].text->s.n)
			ERROR(c, k->auth_style_text.pos, "add it", "auth_style %.*s needs %s",
				CV_POLICY_QUOTE(k->auth_style_text.s), rows[i].name);
		if (k->auth_style != CV_PROFILE_AUTH_NONE && k->auth_style != rows[i].style &&
			k->auth_style != CV_PROFILE_AUTH_BEARER && rows[i].text->s.n)
			WARNING(c, rows[i].text->pos, "remove it", "%s is ignored here",
				rows[i].name);
	}
}

static bool is_query_name(struct cv_str s)
{
	return cv_h1_is_target(s) && !cv_str_has_byte(s, '&') && !cv_str_has_byte(s, '=');
}

/* What clients are told to write a credential into can stand in a request as it is. */
static void check_places(struct check *c)
{
	const struct cv_profile_credential *k = c->cred;
	const struct {
		const char *name, *what, *fix;
		const struct cv_policy_text *text;
		bool (*is_fine)(struct cv_str);
	} rows[] = {
		{ "header_name", "the name of a header",
			"write letters, digits and !#$%&'*+-.^_`|~, as in X-Api-Key",
			&k->header_name, cv_h1_is_token },
		{ "query_param", "the name of a parameter",
			"percent-encode blanks, &, =, # and what is not ASCII", &k->query_param,
			is_query_name },
		{ "path_template", "a part of a path",
			"percent-encode blanks, # and what is not ASCII", &k->path_template,
			cv_h1_is_target },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		if (rows[i].text->s.n && !rows[i].is_fine(rows[i].text->s))
			ERROR(c, rows[i].text->pos, rows[i].fix, "%s '%.*s' can't be %s",
				rows[i].name, CV_POLICY_QUOTE(rows[i].text->s), rows[i].what);
}

static void check_shape(struct check *c)
{
	const struct cv_policy_text *t = &c->cred->shape;
	const struct cv_shape *shape;
	char known[640] = "known:";
	size_t n = strlen(known);

	if (!t->s.n || cv_shape_find(t->s, &shape))
		return;
	for (size_t i = 0; (shape = cv_shape_at(i)) && n < sizeof(known); i++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s %.*s", i ? "," : "",
			CV_STR_ARG(cv_shape_name(shape)));
	ERROR(c, t->pos, known, "unknown shape '%.*s'", CV_POLICY_QUOTE(t->s));
}

static void check_path_template(struct check *c)
{
	static const char mark[] = "{credential}";
	const struct cv_policy_text *t = &c->cred->path_template;
	struct cv_str rest = t->s;
	size_t n = 0;

	for (const char *p; rest.n && (p = memmem(rest.p, rest.n, mark, strlen(mark))); n++)
		rest = cv_str_range(p + strlen(mark), rest.p + rest.n);
	if (t->s.n && n != 1)
		ERROR(c, t->pos, "write it once, as in /bot{credential}/",
			"path_template must contain {credential} once, not %zu times", n);
}

static bool is_https(struct cv_str url)
{
	return cv_str_has_prefix(url, CV_STR("https://")) && url.n > strlen("https://") &&
	       cv_h1_is_target(url);
}

static void check_refresh(struct check *c)
{
	const struct cv_profile_refresh *r = &c->cred->refresh;

	if (!c->cred->has_refresh)
		return;
	if (r->strategy == CV_PROFILE_STRATEGY_NONE)
		ERROR(c, c->cred->pos, "name one, such as oauth2_refresh_token",
			"refresh without a strategy");
	if (r->token_url.s.n && !is_https(r->token_url.s))
		ERROR(c, r->token_url.pos, "write https://HOST/PATH",
			"token_url '%.*s' is not an https URL", CV_POLICY_QUOTE(r->token_url.s));
	if ((r->strategy == CV_PROFILE_STRATEGY_OAUTH2_REFRESH_TOKEN ||
		    r->strategy == CV_PROFILE_STRATEGY_OAUTH2_CLIENT_CREDENTIALS ||
		    r->strategy == CV_PROFILE_STRATEGY_GOOGLE_SERVICE_ACCOUNT_JWT) &&
		!r->token_url.s.n)
		ERROR(c, c->cred->pos, "add token_url", "refresh: %.*s needs token_url",
			CV_POLICY_QUOTE(r->strategy_text.s));
	for (size_t i = 0; i < r->material_count; i++)
		for (size_t k = 0; k < i; k++)
			if (cv_str_eq(r->materials[i].name.s, r->materials[k].name.s))
				ERROR(c, r->materials[i].pos, "keep one of them",
					"a second material named '%.*s'",
					CV_POLICY_QUOTE(r->materials[i].name.s));
	if (r->material_count > CV_CRED_MATERIALS_MAX)
		ERROR(c, c->cred->pos, NULL, "%zu materials; at most %d", r->material_count,
			CV_CRED_MATERIALS_MAX);
	for (size_t i = 0; i < r->output_count; i++)
		if (!cv_profile_credential_find(c->profile, r->outputs[i].credential.s))
			ERROR(c, r->outputs[i].credential.pos,
				"name one of the credentials of this profile",
				"additional_outputs: there is no credential '%.*s'",
				CV_POLICY_QUOTE(r->outputs[i].credential.s));
}

static void check_grant(struct check *c)
{
	const struct cv_policy_text *t = &c->cred->grant.token_endpoint;

	if (!c->cred->has_grant)
		return;
	if (!is_https(t->s))
		ERROR(c, t->pos, "write https://HOST/PATH",
			"token_endpoint '%.*s' is not an https URL", CV_POLICY_QUOTE(t->s));
	if (c->cred->has_refresh)
		ERROR(c, c->cred->pos, "keep one of them", "both refresh and token_grant");
}

typedef void check_fn(struct check *c);

static check_fn *const profile_checks[] = {
	check_id,
	check_aliases,
	check_category,
	check_discovery,
	check_counts,
	check_endpoints,
};

static check_fn *const credential_checks[] = {
	check_name,
	check_env_vars,
	check_auth_style,
	check_places,
	check_path_template,
	check_shape,
	check_refresh,
	check_grant,
};

cv_code cv_profile_validate(const struct cv_profile *profile, struct cv_findings *findings)
{
	const size_t before = findings->error_count;
	struct check c = { .profile = profile, .findings = findings };

	for (size_t i = 0; i < CV_ARRAY_LEN(profile_checks); i++)
		profile_checks[i](&c);
	for (; c.index < profile->credential_count && c.index < CV_CRED_KEYS_MAX; c.index++) {
		c.cred = &profile->credentials[c.index];
		for (size_t i = 0; i < CV_ARRAY_LEN(credential_checks); i++)
			credential_checks[i](&c);
	}
	return cv_findings_code(findings, before);
}
