/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools_token.c - the token of a sandbox, and what its tools may have of secrets
 *
 * Values of a catalog's credentials come from the gateway's environment and from files that it may
 * read, or are those of an attached provider.  They are read for each set, sealed at once, and wiped:
 * the set has references, which the vault fills in.
 */
#include "gateway/tools_int.h"

#include "base/base64.h"
#include "base/sha256.h"
#include "cred/compose.h"
#include "cred/limits_profile.h"
#include "driver/tools.h"
#include "gateway/box_file.h"
#include "gateway/config.h"
#include "gateway/state.h"
#include "gateway/vault.h"
#include "ipc/vault_link.h"
#include "policy/findings.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>

#define REF_BYTES_MAX  (2 * (CV_VAULT_ENVELOPE_BYTES_MAX + CV_VAULT_CONTEXT_BYTES_MAX))
#define TOKEN_FILE_MAX 4096 /* a digest, and the envelope of 68 bytes */
#define DIGEST_HEX     (2 * CV_SHA256_BYTES)

bool cv_gw_tools_are_there(const struct cv_gateway *g, const struct cv_object *sandbox)
{
	return cv_gw_box_file_is_there(g, CV_GW_BOX_TOKEN, sandbox);
}

/* ---- sealing ---- */

static void seed_make(
	const struct cv_object *sandbox, struct cv_str name, unsigned char ret[CV_SHA256_BYTES])
{
	static const char purpose[] = "cove host tools of";
	struct cv_sha256 s;

	cv_sha256_init(&s);
	cv_sha256_update(&s, purpose, sizeof(purpose));
	cv_sha256_update(&s, sandbox->id, strlen(sandbox->id) + 1);
	cv_sha256_update(&s, name.p, name.n);
	cv_sha256_final(&s, ret);
}

/* The place of a value in the vault; a provider's has the provider's id there. */
static bool context_put(struct cv_buf *b, const struct cv_object *sandbox, struct cv_str name)
{
	char key[128];

	snprintf(key, sizeof(key), "(tools).%.*s", (int)CV_MIN(name.n, (size_t)100), name.p);
	return cv_gw_vault_context(b, sandbox->scope, cv_str_of(sandbox->id), cv_str_of(key));
}

static cv_code seal(struct cv_gateway *g, const struct cv_object *sandbox, struct cv_str name,
	struct cv_str value, struct cv_buf *ret_envelope, struct cv_err *err)
{
	struct cv_buf context;
	cv_code code;

	cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
	if (context_put(&context, sandbox, name))
		code = cv_gw_vault_seal(g->vault, cv_buf_str(&context), value, ret_envelope, err);
	else
		code = cv_fail(err, CV_LIMIT, "a name that is too long");
	cv_buf_fini(&context);
	return code;
}

static cv_code reference(const struct cv_object *sandbox, struct cv_str name,
	struct cv_str envelope, struct cv_arena *arena, struct cv_str *ret, struct cv_err *err)
{
	struct cv_buf context, text;

	cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
	cv_buf_init(&text, REF_BYTES_MAX);
	const bool is_good = context_put(&context, sandbox, name) &&
			     cv_vault_ref_put(&text, cv_buf_str(&context), envelope);
	if (is_good)
		*ret = cv_arena_str(arena, cv_buf_str(&text));
	cv_buf_fini(&context);
	cv_buf_fini(&text);
	return is_good && ret->p ? CV_OK : cv_fail(err, CV_LIMIT, "no memory for a reference");
}

/* ---- the token ---- */

static cv_code token_write(const struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_str digest, struct cv_str envelope, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, TOKEN_FILE_MAX);
	cv_buf_put(&b, digest);
	cv_buf_put_byte(&b, ' ');
	const cv_code code =
		cv_buf_put_base64(&b, envelope, CV_BASE64_STD)
			? cv_gw_box_file_write(g, CV_GW_BOX_TOKEN, sandbox, cv_buf_str(&b), err)
			: cv_fail(err, CV_LIMIT, "an envelope that is too long");
	cv_buf_fini(&b);
	return code;
}

cv_code tools_token_make(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_arena *arena, struct cv_str *ret_digest, struct cv_err *err)
{
	unsigned char random[CV_COMPOSE_TOKEN_RANDOM];
	struct cv_buf token, envelope;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return cv_fail_errno(err, "getrandom");
	cv_buf_init(&token, 256);
	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_code code = cv_driver_tools_token(random, &token, arena, ret_digest, err);
	if (code == CV_OK)
		code = seal(
			g, sandbox, CV_STR(CV_CRED_TOOLS_KEY), cv_buf_str(&token), &envelope, err);
	if (code == CV_OK)
		code = token_write(g, sandbox, *ret_digest, cv_buf_str(&envelope), err);
	explicit_bzero(random, sizeof(random));
	cv_buf_wipe(&token);
	cv_buf_fini(&envelope);
	return code == CV_OK ? CV_OK : cv_wrap(err, "the token of host tools");
}

/* The file's two parts; ret_digest borrows from file. */
static cv_code token_read(const struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_buf *file, struct cv_str *ret_digest, struct cv_buf *ret_envelope,
	struct cv_err *err)
{
	char path[CV_GW_BOX_FILE_BYTES];

	cv_gw_box_file_path(CV_GW_BOX_TOKEN, sandbox, path);
	const cv_code code = cv_gw_file_read(g->state_fd, path, file, err);
	const struct cv_str text = cv_buf_str(file);
	if (code == CV_OK && (text.n <= DIGEST_HEX + 1 ||
				     !cv_base64_decode(cv_str_slice(text, DIGEST_HEX + 1, text.n),
					     CV_BASE64_STD, ret_envelope)))
		return cv_fail(err, CV_DENIED, "the token of host tools was changed");
	*ret_digest = cv_str_slice(text, 0, DIGEST_HEX);
	return code;
}

cv_code cv_gw_tools_rewrap(
	struct cv_gateway *g, const struct cv_object *sandbox, struct cv_err *err)
{
	struct cv_buf file, envelope, now, context;
	struct cv_str digest;

	cv_buf_init(&file, TOKEN_FILE_MAX);
	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_init(&now, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
	cv_code code = token_read(g, sandbox, &file, &digest, &envelope, err);
	if (code == CV_OK && !context_put(&context, sandbox, CV_STR(CV_CRED_TOOLS_KEY)))
		code = cv_fail(err, CV_LIMIT, "a name that is too long");
	if (code == CV_OK)
		code = cv_gw_vault_rewrap(
			g->vault, cv_buf_str(&context), cv_buf_str(&envelope), &now, err);
	if (code == CV_OK)
		code = token_write(g, sandbox, digest, cv_buf_str(&now), err);
	cv_buf_fini(&file);
	cv_buf_fini(&envelope);
	cv_buf_fini(&now);
	cv_buf_fini(&context);
	return code;
}

static cv_code token_compose(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_cred_set *set, struct cv_arena *arena, struct cv_err *err)
{
	const struct cv_str key = CV_STR(CV_CRED_TOOLS_KEY);
	unsigned char seed[CV_SHA256_BYTES];
	struct cv_buf file, envelope;
	struct cv_str ref = CV_STR_NONE, digest;

	cv_buf_init(&file, TOKEN_FILE_MAX);
	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_code code = token_read(g, sandbox, &file, &digest, &envelope, err);
	if (code == CV_OK)
		code = reference(sandbox, key, cv_buf_str(&envelope), arena, &ref, err);
	seed_make(sandbox, key, seed);
	if (code == CV_OK)
		code = cv_compose_tools(set, ref, seed, err);
	cv_buf_fini(&file);
	cv_buf_fini(&envelope);
	return code;
}

/* ---- a catalog's credentials ---- */

struct granter {
	struct cv_gateway *g;
	const struct cv_object *sandbox;
	const struct cv_catalog *catalog;
	struct cv_cred_set *set;
	struct cv_arena *arena;
	uint32_t cred[CV_CATALOG_CREDENTIALS_MAX];
};

cv_code tools_value_read(
	char **env, const struct cv_tool_credential *c, struct cv_buf *ret, struct cv_err *err)
{
	char name[CV_GW_PATH_BYTES_MAX];

	if (!cv_str_to_cstr(c->from, name, sizeof(name)))
		return cv_fail(err, CV_INVALID, "a name that is too long");
	if (c->source == CV_TOOL_CREDENTIAL_ENV) {
		const struct cv_str v = cv_gw_env_plain(env, name);

		if (!v.n) /* who starts something with X= means that there is no X */
			return cv_fail(err, CV_NOT_FOUND,
				"%s is not in the environment of the gateway", name);
		return cv_buf_put(ret, v) ? CV_OK : cv_fail(err, CV_LIMIT, "%s is too long", name);
	}
	if (c->source != CV_TOOL_CREDENTIAL_FILE)
		return cv_fail(err, CV_INVALID, "comes from a command");
	if (name[0] != '/')
		return cv_fail(err, CV_INVALID, "%s is no absolute path", name);
	return cv_gw_file_read(AT_FDCWD, name, ret, err);
}

static struct cv_str line_of(struct cv_str s) /* an editor's last newline is not the value's */
{
	while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

static cv_code sealed(struct granter *x, const struct cv_tool_credential *c, struct cv_str *ret,
	struct cv_err *err)
{
	struct cv_buf value, envelope;

	cv_buf_init(&value, CV_VAULT_VALUE_BYTES_MAX);
	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	cv_code code = tools_value_read(x->g->env, c, &value, err);
	const struct cv_str v = line_of(cv_buf_str(&value));
	const char *fault = code == CV_OK ? cv_cred_value_fault(v) : NULL;
	if (fault)
		code = cv_fail(err, CV_INVALID, "%s", fault);
	if (code == CV_OK)
		code = seal(x->g, x->sandbox, c->name, v, &envelope, err);
	if (code == CV_OK)
		code = reference(x->sandbox, c->name, cv_buf_str(&envelope), x->arena, ret, err);
	cv_buf_wipe(&value);
	cv_buf_fini(&envelope);
	return code;
}

/* NAME.KEY of a provider that the sandbox has. */
static cv_code provider_find(
	const struct granter *x, struct cv_str from, uint32_t *ret, struct cv_err *err)
{
	const size_t dot = cv_str_rfind_byte(from, '.');
	const struct cv_str name = cv_str_slice(from, 0, dot),
			    key = cv_str_slice(from, dot + 1, from.n);

	for (size_t i = 0; i < x->set->cred_count; i++)
		if (cv_str_eq(x->set->creds[i].key, key) &&
			cv_str_eq(x->set->providers[x->set->creds[i].provider].name, name)) {
			*ret = (uint32_t)i;
			return CV_OK;
		}
	return cv_fail(err, CV_NOT_FOUND,
		"no provider %.*s of this sandbox has a credential %.*s; attach it",
		CV_POLICY_QUOTE(name), CV_POLICY_QUOTE(key));
}

static cv_code credential_take(struct granter *x, size_t index, struct cv_err *err)
{
	const struct cv_tool_credential *c = &x->catalog->credentials[index];
	unsigned char seed[CV_SHA256_BYTES];
	struct cv_str ref = CV_STR_NONE;

	if (x->cred[index] != CV_CRED_NONE)
		return CV_OK;
	if (c->source == CV_TOOL_CREDENTIAL_PROVIDER)
		return provider_find(x, c->from, &x->cred[index], err);
	cv_code code = sealed(x, c, &ref, err);
	seed_make(x->sandbox, c->name, seed);
	return code == CV_OK ? cv_compose_host(x->set, c->name, ref, seed, &x->cred[index], err)
			     : code;
}

/* What this host does not have, nobody is granted: the keeper refuses it to the call that needs it, and
 * the sandbox and its other tools are as good as ever.  (The gateway has said it at its start.)  A
 * provider is another thing: whoever asked for the sandbox can attach it. */
static cv_code use_grant(void *arg, struct cv_str who, size_t credential, struct cv_err *err)
{
	struct granter *x = arg;
	const struct cv_tool_credential *c = &x->catalog->credentials[credential];
	const struct cv_str name = c->name;

	const cv_code code = credential_take(x, credential, err);
	if (code == CV_NOT_FOUND && c->source != CV_TOOL_CREDENTIAL_PROVIDER)
		return CV_OK;
	if (code != CV_OK)
		return cv_wrap(err, "tools: credential %.*s", CV_STR_ARG(name));
	return cv_compose_grant(x->set, who, name, x->cred[credential], err);
}

static cv_code grants_make(struct granter *x, struct cv_err *err)
{
	const struct cv_catalog *c = x->catalog;

	for (size_t i = 0; i < CV_ARRAY_LEN(x->cred); i++)
		x->cred[i] = CV_CRED_NONE;
	if (c->credential_count > CV_ARRAY_LEN(x->cred)) /* of several files together */
		return cv_fail(err, CV_LIMIT, "tools: more than %d credentials",
			CV_CATALOG_CREDENTIALS_MAX);
	return cv_catalog_uses_each(c, use_grant, x, err);
}

cv_code cv_gw_tools_compose(struct cv_gateway *g, const struct cv_object *sandbox,
	struct cv_cred_set *set, struct cv_arena *arena, struct cv_str *ret_env, struct cv_err *err)
{
	const struct tools_set *tools = tools_of(g, sandbox->scope);
	struct granter x = { .g = g, .sandbox = sandbox, .set = set, .arena = arena };
	cv_code code = token_compose(g, sandbox, set, arena, err);

	if (code != CV_OK)
		return code;
	*ret_env = cv_arena_printf(arena, CV_CRED_TOOLS_KEY "=%.*s",
		CV_STR_ARG(set->creds[set->cred_count - 1].placeholder));
	if (!tools) /* the configuration has changed since it was started */
		return CV_OK;
	x.catalog = tools->catalog;
	return grants_make(&x, err);
}
