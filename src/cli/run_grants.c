/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_grants.c - what the tools of a catalog may have of secrets
 *
 * Each credential that some tool or server uses is read once, as values of providers are, and goes
 * into the run's set with a grant for each who uses it.  The keeper gives it to the broker for those
 * and for nobody else; the broker reads the same catalog and could ask for nothing more.
 *
 * A credential of a provider is the provider's own, so that what is renewed there is renewed here.
 */
#include "cli/run_tools.h"

#include "cli/run_int.h"
#include "cred/limits_profile.h"
#include "cred/limits_scrub.h"
#include "policy/findings.h"

#include <limits.h>
#include <sys/random.h>

struct granter {
	struct run_providers *p;
	const struct cv_catalog *catalog;
	uint32_t cred[CV_CATALOG_CREDENTIALS_MAX]; /* of each, once it is in the set */
	bool is_dry_run, is_quiet, is_value_only;
};

/* ---- values ---- */

static struct cv_policy_text present(struct cv_str s)
{
	return (struct cv_policy_text){ .s = s, .is_present = s.n > 0 };
}

static cv_code value_read(const struct granter *g, const struct cv_tool_credential *c,
	struct cv_str *ret, struct cv_err *err)
{
	struct cv_policy_text words[CV_CRED_ARGS_MAX];
	struct cv_instance_source source = { .key = present(c->name) };
	char file[PATH_MAX] = "";

	(void)!cv_str_to_cstr(g->catalog->file, file, sizeof(file));
	switch (c->source) {
	case CV_TOOL_CREDENTIAL_ENV: source.env = present(c->from); break;
	case CV_TOOL_CREDENTIAL_FILE: source.file = present(c->from); break;
	case CV_TOOL_CREDENTIAL_COMMAND:
		if (c->argc > CV_CRED_ARGS_MAX)
			return cv_fail(err, CV_LIMIT, "more than %d words", CV_CRED_ARGS_MAX);
		for (size_t i = 0; i < c->argc; i++)
			words[i] = present(c->argv[i]);
		source.command =
			(struct cv_policy_texts){ .v = words, .n = c->argc, .is_present = true };
		break;
	case CV_TOOL_CREDENTIAL_PROVIDER: break;
	}
	return run_value_read(g->p, &source, file, g->is_dry_run, ret, err);
}

static void shortness_tell(
	const struct granter *g, const struct cv_tool_credential *c, struct cv_str value)
{
	if (value.n < CV_SCRUB_VALUE_BYTES_MIN && !g->is_quiet)
		fprintf(stderr,
			"cove: --tools: credential %.*s has fewer than %d bytes; it can't be taken "
			"out of what tools give back\n",
			CV_STR_ARG(c->name), CV_SCRUB_VALUE_BYTES_MIN);
}

/* NAME.KEY of a provider that the run has. */
static cv_code provider_find(const struct granter *g, const struct cv_tool_credential *c,
	uint32_t *ret, struct cv_err *err)
{
	const struct cv_cred_set *set = &g->p->set;
	const size_t dot = cv_str_rfind_byte(c->from, '.');
	const struct cv_str name = cv_str_slice(c->from, 0, dot);
	const struct cv_str key = cv_str_slice(c->from, dot + 1, c->from.n);

	for (size_t i = 0; i < set->cred_count; i++)
		if (cv_str_eq(set->creds[i].key, key) &&
			cv_str_eq(set->providers[set->creds[i].provider].name, name)) {
			*ret = (uint32_t)i;
			return CV_OK;
		}
	return cv_fail(err, CV_NOT_FOUND,
		"no provider %.*s of this run has a credential %.*s; attach it with --provider",
		CV_POLICY_QUOTE(name), CV_POLICY_QUOTE(key));
}

static cv_code credential_take(struct granter *g, size_t index, struct cv_err *err)
{
	const struct cv_tool_credential *c = &g->catalog->credentials[index];
	unsigned char seed[CV_SHAPE_SEED_BYTES];
	const char *fault;
	struct cv_str value;

	if (g->cred[index] != CV_CRED_NONE)
		return CV_OK;
	if (c->source == CV_TOOL_CREDENTIAL_PROVIDER)
		return g->is_value_only ? CV_OK : provider_find(g, c, &g->cred[index], err);
	if (value_read(g, c, &value, err) != CV_OK)
		return err->code;
	fault = cv_cred_value_fault(value);
	if (fault)
		return cv_fail(err, CV_INVALID, "%s", fault);
	shortness_tell(g, c, value);
	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return cv_fail_errno(err, "getrandom");
	if (g->is_value_only) {
		g->cred[index] = 0;
		return CV_OK;
	}
	return cv_compose_host(&g->p->set, c->name, value, seed, &g->cred[index], err);
}

/* ---- grants ---- */

static cv_code use_grant(void *arg, struct cv_str who, size_t credential, struct cv_err *err)
{
	struct granter *g = arg;
	const struct cv_str name = g->catalog->credentials[credential].name;

	if (credential_take(g, credential, err) != CV_OK)
		return cv_wrap(err, "--tools: credential %.*s", CV_STR_ARG(name));
	return g->is_value_only ? CV_OK
				: cv_compose_grant(&g->p->set, who, name, g->cred[credential], err);
}

static cv_code grants_make(struct granter *g, struct cv_err *err)
{
	const struct cv_catalog *c = g->catalog;

	for (size_t i = 0; i < CV_ARRAY_LEN(g->cred); i++)
		g->cred[i] = CV_CRED_NONE;
	if (c->credential_count > CV_ARRAY_LEN(g->cred)) /* of several files together */
		return cv_fail(err, CV_LIMIT, "--tools: more than %d credentials",
			CV_CATALOG_CREDENTIALS_MAX);
	return cv_catalog_uses_each(c, use_grant, g, err);
}

cv_code run_tools_grant(const struct cv_catalog *catalog, const struct cv_run_request *r,
	struct run_providers *providers, struct cv_err *err)
{
	struct granter g = {
		.p = providers,
		.catalog = catalog,
		.is_dry_run = r->is_dry_run,
		.is_quiet = r->spec.is_quiet,
	};

	return grants_make(&g, err);
}

cv_code run_tools_values(
	const struct cv_catalog *catalog, struct run_providers *providers, struct cv_err *err)
{
	struct granter g = {
		.p = providers,
		.catalog = catalog,
		.is_quiet = true,
		.is_value_only = true,
	};

	return grants_make(&g, err);
}
