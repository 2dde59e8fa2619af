/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_metadata.c - metadata servers of clouds, for SDKs that take their keys from nothing else
 *
 * Google's is there for a provider that has an access token of Google, by its shape.  AWS's is
 * there for keys that are renewed: keys that do not change stand in the environment, where SDKs look
 * first.  Both say placeholders (cred/metadata.h); cove-proxy answers (proxy/local_metadata.c).
 *
 * The account's name, which Google's libraries want, is the instance's client_email or else made
 * up: nothing is decided by it.
 */
#include "cli/run_provider.h"

#include "base/hex.h"

#include <sys/random.h>

#define AWS_PATH        "/v2/credentials"
#define AWS_HOST        "169.254.170.2" /* of the few that SDKs take without TLS */
#define AWS_TOKEN_BYTES 16
#define GOOGLE_HOST     "metadata.google.internal"

static bool env_has(const struct cv_run_request *r, struct cv_str key)
{
	for (size_t i = 0; i < r->spec.env_count; i++)
		if (cv_str_has_prefix(r->env[i], key) && r->env[i].n > key.n &&
			r->env[i].p[key.n] == '=')
			return true;
	return false;
}

static cv_code env_add(struct cv_run_request *r, struct cv_str key, struct cv_str value,
	struct cv_arena *arena, struct cv_err *err)
{
	if (env_has(r, key))
		return CV_OK;
	if (r->spec.env_count == CV_RUN_ENV_MAX)
		return cv_fail(err, CV_LIMIT, "more than %d variables", CV_RUN_ENV_MAX);
	const struct cv_str pair =
		cv_arena_printf(arena, "%.*s=%.*s", CV_STR_ARG(key), CV_STR_ARG(value));
	if (!pair.p)
		return cv_fail(err, CV_LIMIT, "no memory for the metadata servers");
	r->env[r->spec.env_count++] = pair;
	return CV_OK;
}

static const struct cv_cred *cred_find(const struct cv_cred_set *set, struct cv_str key)
{
	for (size_t i = 0; i < set->cred_count; i++)
		if (cv_str_eq(set->creds[i].key, key))
			return &set->creds[i];
	return NULL;
}

/* ---- Google ---- */

/* The first of names that the instance's config has. */
static struct cv_str config_value(
	const struct cv_provider_found *f, const char *const *names, size_t count)
{
	for (size_t n = 0; n < count; n++)
		for (size_t i = 0; f->instance && i < f->instance->config_count; i++)
			if (cv_str_eq(f->instance->config[i].key.s, cv_str_of(names[n])))
				return f->instance->config[i].value.s;
	return CV_STR_NONE;
}

static const struct cv_attached_key *google_key(const struct cv_attached *a)
{
	for (size_t i = 0; i < a->key_count; i++)
		if (cv_str_eq(a->keys[i].shape, CV_STR("google_access_token")))
			return &a->keys[i];
	return NULL;
}

static cv_code google_fill(struct run_providers *p, struct cv_run_request *r,
	struct cv_arena *arena, struct cv_err *err)
{
	static const char *const projects[] = { "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT",
		"GCP_PROJECT_ID", "ANTHROPIC_VERTEX_PROJECT_ID", "project_id" };
	static const char *const emails[] = { "client_email" };
	const struct cv_attached_key *key = NULL;
	size_t at = 0;

	for (size_t i = 0; i < p->count && !key; i++) {
		key = google_key(&p->attached[i]);
		at = i;
	}
	const struct cv_cred *c = key ? cred_find(&p->set, key->key) : NULL;
	if (!c)
		return CV_OK;
	const struct cv_str project = config_value(&p->found[at], projects, CV_ARRAY_LEN(projects));
	struct cv_str email = config_value(&p->found[at], emails, CV_ARRAY_LEN(emails));
	if (!email.n)
		email = project.n ? cv_arena_printf(arena, "cove@%.*s.iam.gserviceaccount.com",
					    CV_STR_ARG(project))
				  : CV_STR("cove@sandbox.invalid");
	p->facts[CV_PROXY_FACT_GOOGLE_TOKEN] = cv_arena_str(arena, c->placeholder);
	p->facts[CV_PROXY_FACT_GOOGLE_PROJECT] = project;
	p->facts[CV_PROXY_FACT_GOOGLE_EMAIL] = email;
	if (key->refresh != CV_CRED_NONE)
		p->facts[CV_PROXY_FACT_GOOGLE_SCOPES] =
			p->attached[at].refreshes[key->refresh].scopes;
	p->has_facts = true;
	return env_add(r, CV_STR("GCE_METADATA_HOST"), CV_STR(GOOGLE_HOST), arena, err);
}

/* ---- AWS ---- */

static cv_code aws_fill(struct run_providers *p, struct cv_run_request *r, struct cv_arena *arena,
	struct cv_err *err)
{
	const struct cv_cred *const id = cred_find(&p->set, CV_STR("AWS_ACCESS_KEY_ID")),
				    *const secret =
					    cred_find(&p->set, CV_STR("AWS_SECRET_ACCESS_KEY")),
				    *const token = cred_find(&p->set, CV_STR("AWS_SESSION_TOKEN"));
	unsigned char random[AWS_TOKEN_BYTES];
	struct cv_buf text;

	if (!id || !secret || id->refresh == CV_CRED_NONE)
		return CV_OK;
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return cv_fail_errno(err, "getrandom");
	cv_buf_init(&text, sizeof(random) * 2);
	cv_buf_put_hex(&text, (struct cv_str){ (const char *)random, sizeof(random) });
	p->facts[CV_PROXY_FACT_AWS_PATH] = CV_STR(AWS_PATH);
	p->facts[CV_PROXY_FACT_AWS_AUTHORIZATION] = cv_arena_str(arena, cv_buf_str(&text));
	cv_buf_fini(&text);
	p->facts[CV_PROXY_FACT_AWS_KEY_ID] = cv_arena_str(arena, id->placeholder);
	p->facts[CV_PROXY_FACT_AWS_SECRET] = cv_arena_str(arena, secret->placeholder);
	p->facts[CV_PROXY_FACT_AWS_TOKEN] =
		token ? cv_arena_str(arena, token->placeholder) : CV_STR_NONE;
	p->has_facts = true;
	const cv_code code = env_add(r, CV_STR("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
		CV_STR("http://" AWS_HOST AWS_PATH), arena, err);
	return code == CV_OK ? env_add(r, CV_STR("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
				       p->facts[CV_PROXY_FACT_AWS_AUTHORIZATION], arena, err)
			     : code;
}

cv_code run_metadata_fill(struct run_providers *p, struct cv_run_request *r, struct cv_arena *arena,
	struct cv_err *err)
{
	cv_code code = google_fill(p, r, arena, err);

	if (code == CV_OK)
		code = aws_fill(p, r, arena, err);
	return code == CV_OK && arena->is_overflown
		       ? cv_fail(err, CV_LIMIT, "no memory for the metadata servers")
		       : code;
}
