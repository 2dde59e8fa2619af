/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_provider.c - see run_provider.h
 *
 * Which variables the sandbox gets, credential by credential:
 *
 *     the instance names the variable       that one, from that source
 *     the instance names the credential     all its variables, from that source
 *     the instance renews the credential    all its variables, the value to come (or from above)
 *     a renewal of a sibling makes it       all its variables, likewise
 *     neither                               those that are set here, by their names
 */
#include "cli/run_provider.h"

#include "cred/carry.h"
#include "cred/limits_profile.h"
#include "ipc/frame.h"
#include "plan/limits.h"
#include "policy/findings.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

struct reader { /* one provider's */
	struct run_providers *all;
	const struct cv_run_request *request;
	const struct cv_provider_found *found;
	struct cv_attached *to;
	struct cv_cred_refresh *refreshes;
	const struct cv_profile_credential
		*refreshed[CV_CRED_KEYS_MAX]; /* NULL: profile has none */
	size_t refresh_cap;
};

void run_providers_init(struct run_providers *p)
{
	*p = (struct run_providers){ 0 };
	cv_arena_init(&p->arena, CV_CRED_SET_BYTES_MAX);
	cv_buf_init(&p->layer, CV_RUN_LAYER_BYTES_MAX);
}

void run_providers_fini(struct run_providers *p)
{
	if (p->has_set)
		cv_cred_set_fini(&p->set);
	p->has_set = false;
	for (size_t i = 0; i < p->secret_count; i++)
		explicit_bzero((char *)(uintptr_t)p->secret[i].p, p->secret[i].n);
	p->secret_count = 0;
	for (size_t i = 0; i < p->count; i++)
		cv_provider_found_fini(&p->found[i]);
	p->count = 0;
	cv_arena_fini(&p->arena);
	cv_buf_fini(&p->layer);
}

static cv_code fail_memory(struct cv_err *err)
{
	return cv_fail(err, CV_LIMIT, "no memory for the providers");
}

/* ---- renewal ---- */

static const struct cv_fill_pair *config_find(const struct reader *r, struct cv_str key)
{
	const struct cv_instance *v = r->found->instance;

	for (size_t i = 0; v && i < v->config_count; i++)
		if (cv_str_eq(v->config[i].key.s, key))
			return &v->config[i];
	return NULL;
}

static const struct cv_instance_source *material_source(
	const struct cv_instance_refresh *from, struct cv_str name)
{
	for (size_t i = 0; i < from->material_count; i++)
		if (cv_str_eq(from->materials[i].key.s, name))
			return &from->materials[i];
	return NULL;
}

static cv_code material_add(struct reader *r, struct cv_cred_refresh *to, struct cv_str name,
	const struct cv_instance_source *source, struct cv_err *err)
{
	const struct cv_fill_pair *config = source ? NULL : config_find(r, name);
	struct cv_cred_material *m = &to->materials[to->material_count];

	if (!source && !config)
		return CV_OK;
	m->name = name;
	m->value = config ? config->value.s : CV_STR_NONE;
	to->material_count++;
	return source ? run_value_read(r->all, source, r->found->path, r->request->is_dry_run,
				&m->value, err)
		      : CV_OK;
}

/* The materials that the profile lists, or, for a strategy of the instance's own, all it gives. */
static cv_code materials_read(struct reader *r, const struct cv_profile_credential *c,
	const struct cv_instance_refresh *from, struct cv_cred_refresh *to, struct cv_err *err)
{
	const bool is_listed = c && c->has_refresh && c->refresh.material_count &&
			       (from->strategy == CV_PROFILE_STRATEGY_NONE ||
				       from->strategy == c->refresh.strategy);
	const size_t n = is_listed ? c->refresh.material_count : from->material_count;
	cv_code code = CV_OK;

	to->materials = cv_arena_array(&r->all->arena, n + 1, sizeof(to->materials[0]));
	if (!to->materials)
		return fail_memory(err);
	for (size_t i = 0; i < n && code == CV_OK; i++) {
		const struct cv_str name =
			is_listed ? c->refresh.materials[i].name.s : from->materials[i].key.s;
		const size_t before = to->material_count;

		code = material_add(r, to, name, material_source(from, name), err);
		if (code != CV_OK)
			return cv_wrap(err, "refresh of %.*s: %.*s", CV_POLICY_QUOTE(from->key.s),
				CV_POLICY_QUOTE(name));
		if (is_listed && c->refresh.materials[i].is_required &&
			to->material_count == before)
			return cv_fail(err, CV_INVALID,
				"refresh of %.*s needs the material %.*s; add it, as in %.*s: {file: "
				"PATH}",
				CV_POLICY_QUOTE(from->key.s), CV_POLICY_QUOTE(name),
				CV_POLICY_QUOTE(name));
	}
	if (!to->material_count && !from->command.n)
		return cv_fail(err, CV_INVALID, "refresh of %.*s gives no material",
			CV_POLICY_QUOTE(from->key.s));
	for (size_t i = 0; is_listed && i < from->material_count; i++) {
		bool is_known = false;

		for (size_t k = 0; k < n && !is_known; k++)
			is_known =
				cv_str_eq(c->refresh.materials[k].name.s, from->materials[i].key.s);
		if (!is_known)
			return cv_fail(err, CV_INVALID,
				"refresh of %.*s: the strategy knows no material '%.*s'",
				CV_POLICY_QUOTE(from->key.s),
				CV_POLICY_QUOTE(from->materials[i].key.s));
	}
	return CV_OK;
}

static cv_code words_join(
	struct reader *r, const struct cv_policy_texts *v, struct cv_str *ret, struct cv_err *err)
{
	struct cv_str s = CV_STR_NONE;

	for (size_t i = 0; i < v->n; i++)
		s = cv_arena_printf(&r->all->arena, "%.*s%s%.*s", CV_STR_ARG(s), i ? " " : "",
			CV_STR_ARG(v->v[i].s));
	*ret = s;
	return r->all->arena.is_overflown ? fail_memory(err) : CV_OK;
}

static cv_code refresh_read(struct reader *r, const struct cv_profile_credential *c,
	const struct cv_instance_refresh *from, struct cv_err *err)
{
	struct cv_cred_refresh *to = &r->refreshes[r->to->refresh_count];
	const enum cv_profile_strategy strategy = from->strategy != CV_PROFILE_STRATEGY_NONE
							  ? from->strategy
						  : c ? c->refresh.strategy
						      : CV_PROFILE_STRATEGY_NONE;

	if (strategy == CV_PROFILE_STRATEGY_NONE || strategy == CV_PROFILE_STRATEGY_STATIC ||
		strategy == CV_PROFILE_STRATEGY_EXTERNAL)
		return cv_fail(err, CV_INVALID, "refresh of %.*s names no way to renew it",
			CV_POLICY_QUOTE(from->key.s));
	to->strategy = cv_str_of(cv_profile_strategy_name(strategy));
	if (c) {
		to->token_url = c->refresh.token_url.s;
		to->before_s = c->refresh.before_s;
		to->max_lifetime_s = c->refresh.max_lifetime_s;
		if (words_join(r, &c->refresh.scopes, &to->scopes, err) != CV_OK)
			return err->code;
	}
	to->argv = cv_arena_array(&r->all->arena, from->command.n + 1, sizeof(to->argv[0]));
	if (!to->argv)
		return fail_memory(err);
	for (size_t i = 0; i < from->command.n; i++)
		to->argv[to->argc++] = from->command.v[i].s;
	if (materials_read(r, c, from, to, err) != CV_OK)
		return err->code;
	r->refreshed[r->to->refresh_count++] = c;
	return CV_OK;
}

static cv_code refreshes_read(struct reader *r, struct cv_err *err)
{
	const struct cv_instance *v = r->found->instance;
	const size_t n = v ? v->refresh_count : 0;
	cv_code code = CV_OK;

	r->refreshes = cv_arena_array(&r->all->arena, n + 1, sizeof(r->refreshes[0]));
	if (!r->refreshes)
		return fail_memory(err);
	r->to->refreshes = r->refreshes;
	for (size_t i = 0; i < n && code == CV_OK; i++)
		code = refresh_read(r,
			cv_profile_credential_find(r->found->profile, v->refreshes[i].key.s),
			&v->refreshes[i], err);
	return code;
}

/* The refresh that makes c: its own, or a sibling's whose outputs name it. */
static uint32_t refresh_of(
	const struct reader *r, const struct cv_profile_credential *c, struct cv_str *ret_output)
{
	*ret_output = CV_STR_NONE;
	for (uint32_t i = 0; i < r->to->refresh_count; i++) {
		const struct cv_profile_credential *by = r->refreshed[i];

		if (by == c)
			return i;
		for (size_t k = 0; by && k < by->refresh.output_count; k++)
			if (cv_str_eq(by->refresh.outputs[k].credential.s, c->name.s)) {
				*ret_output = by->refresh.outputs[k].output.s;
				return i;
			}
	}
	return CV_CRED_NONE;
}

/* ---- values ---- */

static void key_add(struct reader *r, struct cv_attached_key key)
{
	r->to->keys[r->to->key_count++] = key;
}

static cv_code source_read(struct reader *r, const struct cv_instance_source *source,
	struct cv_attached_key *key, struct cv_err *err)
{
	if (run_value_read(r->all, source, r->found->path, r->request->is_dry_run, &key->value,
		    err) != CV_OK)
		return cv_wrap(err, "no value for %.*s", CV_POLICY_QUOTE(source->key.s));
	key->expires_s = source->expires_s;
	return CV_OK;
}

/* discovery.credentials, where a profile has it, names those that may be taken from variables. */
static bool is_discovered(const struct cv_profile *p, const struct cv_profile_credential *c)
{
	for (size_t i = 0; i < p->discovery.n; i++)
		if (cv_str_eq(p->discovery.v[i].s, c->name.s))
			return true;
	return !p->discovery.is_present;
}

static cv_code fail_missing(
	const struct reader *r, const struct cv_profile_credential *c, struct cv_err *err)
{
	char looked[256] = "";
	size_t n = 0;

	if (c->has_grant)
		return cv_fail(err, CV_UNAVAILABLE,
			"%.*s is had by token_grant, which this build can't do; name another source in "
			"an instance file",
			CV_POLICY_QUOTE(c->name.s));
	if (!is_discovered(r->found->profile, c))
		return cv_fail(err, CV_NOT_FOUND,
			"no value for %.*s, which is not taken from variables; name its source in an "
			"instance file",
			CV_POLICY_QUOTE(c->name.s));
	for (size_t i = 0; i < c->env_vars.n && n < sizeof(looked); i++)
		n += (size_t)snprintf(looked + n, sizeof(looked) - n, "%s%.*s", i ? ", " : "",
			CV_POLICY_QUOTE(c->env_vars.v[i].s));
	return cv_fail(err, CV_NOT_FOUND,
		"no value for %.*s; looked for the variables %s; set one, or name another source in "
		"an instance file",
		CV_POLICY_QUOTE(c->name.s), looked);
}

/* key holds what all variables of the credential have. */
static cv_code variable_read(struct reader *r, struct cv_attached_key key, bool may_look,
	bool *ret_found, struct cv_err *err)
{
	const struct cv_instance_source *source =
		cv_instance_source_find(r->found->instance, key.key);
	const char *value = may_look ? getenv(key.key.p) : NULL;
	cv_code code = CV_OK;

	if (source)
		code = source_read(r, source, &key, err);
	else if (value && *value)
		code = run_secret_keep(r->all, cv_str_of(value), &key.value, err);
	else if (!key.value.n && key.refresh == CV_CRED_NONE)
		return CV_OK;
	if (code == CV_OK)
		key_add(r, key);
	*ret_found = true;
	return code;
}

static cv_code credential_read(
	struct reader *r, const struct cv_profile_credential *c, struct cv_err *err)
{
	const struct cv_instance *v = r->found->instance;
	const struct cv_instance_source *whole = cv_instance_source_find(v, c->name.s);
	struct cv_attached_key key = { .shape = c->shape.s };
	cv_code code = CV_OK;
	bool is_found = false;

	key.refresh = refresh_of(r, c, &key.output);
	/* What an instance says of a credential is all there is to it. */
	bool may_look =
		key.refresh == CV_CRED_NONE && !whole && is_discovered(r->found->profile, c);
	for (size_t i = 0; i < c->env_vars.n; i++)
		may_look &= !cv_instance_source_find(v, c->env_vars.v[i].s);
	if (whole) /* once: a descriptor has nothing more to give, and a command may ask somebody */
		code = source_read(r, whole, &key, err);
	for (size_t i = 0; i < c->env_vars.n && code == CV_OK; i++) {
		key.key = c->env_vars.v[i].s;
		code = variable_read(r, key, may_look, &is_found, err);
	}
	return code == CV_OK && !is_found && c->is_required ? fail_missing(r, c, err) : code;
}

/* A profile without credentials takes the instance's variables as they are. */
static cv_code loose_read(struct reader *r, struct cv_err *err)
{
	const struct cv_instance *v = r->found->instance;
	cv_code code = CV_OK;

	if (!v && !r->found->profile->network.endpoint_count)
		return cv_fail(err, CV_INVALID,
			"has no variables of its own; name them in an instance file: profile: %.*s, "
			"credentials: {MY_TOKEN: {env: MY_TOKEN}}",
			CV_POLICY_QUOTE(r->found->profile->id.s));
	for (size_t i = 0; v && i < v->credential_count && code == CV_OK; i++) {
		struct cv_attached_key key = { .key = v->credentials[i].key.s,
			.refresh = CV_CRED_NONE };

		for (uint32_t k = 0; k < v->refresh_count; k++)
			if (cv_str_eq(v->refreshes[k].key.s, key.key))
				key.refresh = k;
		code = source_read(r, &v->credentials[i], &key, err);
		if (code == CV_OK)
			key_add(r, key);
	}
	for (uint32_t k = 0; v && k < v->refresh_count && code == CV_OK; k++)
		if (!cv_instance_source_find(v, v->refreshes[k].key.s))
			key_add(r, (struct cv_attached_key){
					   .key = v->refreshes[k].key.s, .refresh = k });
	return code;
}

static size_t keys_bound(const struct cv_provider_found *f)
{
	size_t n = 1;

	for (size_t i = 0; i < f->profile->credential_count; i++)
		n += f->profile->credentials[i].env_vars.n;
	return n + (f->instance ? f->instance->credential_count + f->instance->refresh_count : 0);
}

static cv_code values_read(struct reader *r, struct cv_err *err)
{
	const struct cv_profile *profile = r->found->profile;
	cv_code code = refreshes_read(r, err);

	r->to->keys = cv_arena_array(
		&r->all->arena, keys_bound(r->found), sizeof(struct cv_attached_key));
	if (code == CV_OK && !r->to->keys)
		return fail_memory(err);
	if (code == CV_OK && !profile->credential_count)
		return loose_read(r, err);
	for (size_t i = 0; i < profile->credential_count && code == CV_OK; i++)
		code = credential_read(r, &profile->credentials[i], err);
	return code;
}

/* ---- all of them ---- */

static cv_code attach_one(struct run_providers *p, const struct cv_run_request *r, const char *word,
	struct cv_err *err)
{
	const size_t i = p->count;
	static struct reader reader; /* large */

	if (cv_provider_find(word, r->spec.is_quiet, &p->found[i], err) != CV_OK)
		return cv_wrap(err, "--provider");
	p->count++;
	const struct cv_instance *v = p->found[i].instance;
	p->attached[i] = (struct cv_attached){
		.name = v && v->name.s.n ? v->name.s : p->found[i].profile->id.s,
		.profile = p->found[i].profile,
	};
	reader = (struct reader){
		.all = p, .request = r, .found = &p->found[i], .to = &p->attached[i]
	};
	if (values_read(&reader, err) != CV_OK)
		return cv_wrap(err, "provider %.*s", CV_STR_ARG(p->attached[i].name));
	return CV_OK;
}

cv_code run_provider_add(struct cv_run_request *r, const char *value, struct cv_err *err)
{
	if (!*value)
		return cv_fail(err, CV_INVALID, "empty; name a provider or a file");
	if (r->provider_count == CV_RUN_PROVIDERS_MAX)
		return cv_fail(err, CV_INVALID, "more than %d providers", CV_RUN_PROVIDERS_MAX);
	r->providers[r->provider_count++] = value;
	return CV_OK;
}

cv_code run_providers_attach(
	struct run_providers *p, const struct cv_run_request *r, struct cv_err *err)
{
	cv_code code = CV_OK;

	for (size_t i = 0; i < r->provider_count && code == CV_OK; i++)
		code = attach_one(p, r, r->providers[i], err);
	if (code == CV_OK)
		code = cv_compose_check(p->attached, p->count, (int64_t)time(NULL), err);
	return code == CV_OK ? cv_compose_layer(p->attached, p->count, &p->layer, err) : code;
}

struct cv_str run_providers_layer(const struct run_providers *p)
{
	return p->count ? cv_buf_str(&p->layer) : CV_STR_NONE;
}

/* ---- the sandbox's environment ---- */

cv_code run_env_put(struct cv_run_request *r, struct cv_str provider, struct cv_str key,
	struct cv_str value, struct cv_arena *arena, struct cv_err *err)
{
	for (size_t i = 0; i < r->spec.env_count; i++)
		if (cv_str_has_prefix(r->env[i], key) && r->env[i].n > key.n &&
			r->env[i].p[key.n] == '=')
			return cv_fail(err, CV_INVALID,
				"--env or another provider sets %.*s, and so does provider %.*s",
				CV_STR_ARG(key), CV_STR_ARG(provider));
	if (r->spec.env_count == CV_RUN_ENV_MAX)
		return cv_fail(err, CV_LIMIT, "more than %d variables", CV_RUN_ENV_MAX);
	const struct cv_str pair =
		cv_arena_printf(arena, "%.*s=%.*s", CV_STR_ARG(key), CV_STR_ARG(value));
	if (!pair.p)
		return fail_memory(err);
	r->env[r->spec.env_count++] = pair;
	return CV_OK;
}

static bool is_material(const struct cv_attached *a, struct cv_str key)
{
	for (size_t i = 0; i < a->refresh_count; i++)
		for (size_t k = 0; k < a->refreshes[i].material_count; k++)
			if (cv_str_eq(a->refreshes[i].materials[k].name, key))
				return true;
	return false;
}

static cv_code config_put(struct run_providers *p, struct cv_run_request *r, struct cv_arena *arena,
	struct cv_err *err)
{
	cv_code code = CV_OK;

	for (size_t i = 0; i < p->count; i++) {
		const struct cv_instance *v = p->found[i].instance;

		for (size_t k = 0; v && k < v->config_count && code == CV_OK; k++)
			if (!is_material(&p->attached[i], v->config[k].key.s))
				code = run_env_put(r, p->attached[i].name, v->config[k].key.s,
					v->config[k].value.s, arena, err);
	}
	return code;
}

cv_code run_providers_compose(struct run_providers *p, struct cv_run_request *r,
	const struct cv_policy_doc *doc, struct cv_arena *arena, struct cv_err *err)
{
	unsigned char seed[CV_SHAPE_SEED_BYTES];

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return cv_fail_errno(err, "getrandom");
	cv_code code = cv_compose_set(p->attached, p->count, doc, seed, &p->set, err);

	if (code != CV_OK)
		return code;
	p->has_set = true;
	for (size_t i = 0; i < p->set.cred_count && code == CV_OK; i++) {
		const struct cv_cred *c = &p->set.creds[i];

		code = run_env_put(
			r, p->set.providers[c->provider].name, c->key, c->placeholder, arena, err);
	}
	for (size_t i = 0; i < p->set.provider_count && !r->spec.is_quiet; i++)
		if (!p->set.providers[i].binding_count && p->attached[i].key_count)
			fprintf(stderr,
				"cove: provider %.*s: nothing binds its credentials; name it in a policy "
				"endpoint's credential_binding\n",
				CV_STR_ARG(p->set.providers[i].name));
	if (code == CV_OK)
		code = config_put(p, r, arena, err);
	return code == CV_OK ? run_metadata_fill(p, r, arena, err) : code;
}

/* ---- what renewals need of the host ---- */

/* One that the host does not have is not there for the command either. */
static cv_code courier_env_add(
	struct cv_plan_files *files, struct cv_str name, struct cv_arena *arena, struct cv_err *err)
{
	const struct cv_str key = cv_arena_printf(arena, "%.*s", CV_STR_ARG(name));
	const char *value = key.p ? getenv(key.p) : NULL;

	for (size_t i = 0; i < files->courier_env_count; i++)
		if (cv_str_has_prefix(files->courier_env[i], key) &&
			files->courier_env[i].p[key.n] == '=')
			return CV_OK;
	if (!value)
		return key.p ? CV_OK : fail_memory(err);
	if (files->courier_env_count == CV_PLAN_COURIER_ENV_MAX)
		return cv_fail(err, CV_LIMIT, "more than %d variables for commands that renew",
			CV_PLAN_COURIER_ENV_MAX);
	if (key.n + strlen(value) > RUN_COURIER_ENV_BYTES_MAX)
		return cv_fail(err, CV_LIMIT,
			"the variable %.*s is too long for a command that renews",
			CV_POLICY_QUOTE(key));
	const struct cv_str pair = cv_arena_printf(arena, "%.*s=%s", CV_STR_ARG(key), value);
	files->courier_env[files->courier_env_count++] = pair;
	return pair.p ? CV_OK : fail_memory(err);
}

static cv_code courier_env_read(const struct cv_cred_refresh *refresh, struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_err *err)
{
	cv_code code = CV_OK;

	for (size_t i = 0; cv_carry_env[i] && code == CV_OK; i++)
		code = courier_env_add(files, cv_str_of(cv_carry_env[i]), arena, err);
	for (size_t i = 0; i < refresh->material_count; i++) {
		struct cv_str more = cv_str_eq(refresh->materials[i].name, CV_STR("env"))
					     ? refresh->materials[i].value
					     : CV_STR_NONE;

		while (more.p && code == CV_OK) {
			const struct cv_str name = cv_str_trim(cv_str_cut(&more, ','));

			if (name.n)
				code = courier_env_add(files, name, arena, err);
		}
	}
	return code;
}

cv_code run_providers_renewal(const struct run_providers *p, struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_err *err)
{
	const struct cv_cred_set *set = &p->set;
	cv_code code = CV_OK;

	if (!p->has_set)
		return CV_OK;
	files->courier_env =
		cv_arena_array(arena, CV_PLAN_COURIER_ENV_MAX, sizeof(files->courier_env[0]));
	if (!files->courier_env)
		return fail_memory(err);
	for (size_t i = 0; i < set->cred_count; i++)
		files->has_renewal |= set->creds[i].refresh != CV_CRED_NONE;
	for (size_t i = 0; i < set->refresh_count && code == CV_OK; i++) {
		if (!set->refreshes[i].argc)
			continue;
		files->has_renewal_command = true;
		code = courier_env_read(&set->refreshes[i], files, arena, err);
	}
	return code;
}

cv_code run_providers_memfd(struct run_providers *p, int *ret_fd, struct cv_err *err)
{
	struct cv_buf b;
	cv_code code;

	cv_buf_init(&b, CV_CRED_SET_BYTES_MAX);
	code = cv_cred_set_write(&p->set, &b, err);
	if (code == CV_OK)
		code = cv_ipc_memfd("cove-credentials", cv_buf_str(&b), ret_fd, err);
	if (b.data)
		explicit_bzero(b.data, b.cap);
	cv_buf_fini(&b);
	return code;
}
