/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance.c - see instance.h
 */
#include "cred/instance.h"

#include "base/time.h"
#include "cred/limits_profile.h"
#include "policy/findings.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define AT(type, member) .at = offsetof(type, member)
#define SOURCE_FIX       "write {env: VAR}, {file: PATH}, {fd: N} or {command: [PROGRAM, ...]}"

/* clang-format off */
#define S struct cv_instance_source
static const struct cv_fill_key source_keys[] = {
	{ "env",     CV_FILL_TEXT,  AT(S, env) },
	{ "file",    CV_FILL_TEXT,  AT(S, file) },
	{ "fd",      CV_FILL_COUNT, AT(S, fd), .at_has = offsetof(S, has_fd) },
	{ "command", CV_FILL_TEXTS, AT(S, command) },
	{ "expires", CV_FILL_TEXT,  AT(S, expires) },
	{ "value",   CV_FILL_REFUSED,
		.why = "a secret does not belong into a file that is passed around; " SOURCE_FIX },
};
static const struct cv_fill_table source_schema = { CV_FILL_TABLE("a source of a value", source_keys),
	.hint = SOURCE_FIX, .size = sizeof(S), .at_key = offsetof(S, key), .is_private = true };

#define R struct cv_instance_refresh
static const struct cv_fill_key refresh_keys[] = {
	{ "strategy", CV_FILL_WORD,  AT(R, strategy), .at_text = offsetof(R, strategy_text),
		.words = cv_profile_strategy_words },
	{ "command",  CV_FILL_TEXTS, AT(R, command) },
	{ "material", CV_FILL_NAMED, AT(R, materials), .at_n = offsetof(R, material_count),
		.sub = &source_schema },
	{ "token_url", CV_FILL_REFUSED,
		.why = "it belongs to the profile, which says where a secret may go" },
};
static const struct cv_fill_table refresh_schema = { CV_FILL_TABLE("a refresh", refresh_keys),
	.size = sizeof(R), .at_key = offsetof(R, key) };

#define I struct cv_instance
static const struct cv_fill_key instance_keys[] = {
	{ "name",        CV_FILL_TEXT,  AT(I, name) },
	{ "profile",     CV_FILL_TEXT,  AT(I, profile), .is_required = true },
	{ "credentials", CV_FILL_NAMED, AT(I, credentials), .at_n = offsetof(I, credential_count),
		.sub = &source_schema },
	{ "refresh",     CV_FILL_NAMED, AT(I, refreshes), .at_n = offsetof(I, refresh_count),
		.sub = &refresh_schema },
	{ "config",      CV_FILL_PAIRS, AT(I, config), .at_n = offsetof(I, config_count) },
	{ "endpoints",   CV_FILL_REFUSED,
		.why = "they belong to the profile; copy it and give the copy's path as profile" },
};
static const struct cv_fill_table instance_schema = { CV_FILL_TABLE("a provider", instance_keys) };

struct peek {
	struct cv_str id, profile;
};
static const struct cv_fill_key peek_keys[] = {
	{ "id",      CV_FILL_STR, AT(struct peek, id) },
	{ "profile", CV_FILL_STR, AT(struct peek, profile) },
};
static const struct cv_fill_table peek_schema = { CV_FILL_TABLE("a document", peek_keys), .is_open = true };
/* clang-format on */

static const struct cv_fill_noun instance_noun = {
	.name = "provider",
	.minimum = "it needs at least \"profile: ID\"",
	.start = "it begins with \"profile: ID\"",
	.shorten = "split it",
};

bool cv_instance_is_one(struct cv_str text)
{
	struct cv_findings findings;
	struct cv_arena arena;
	struct peek peek = { 0 };

	cv_findings_init(&findings);
	cv_arena_init(&arena, CV_CRED_PROFILE_MEMORY_MAX);
	(void)!cv_fill_document(text, &instance_noun, &peek_schema, &peek, &arena, &findings);
	const bool is_one = peek.profile.p && !peek.id.p;
	cv_arena_fini(&arena);
	cv_findings_fini(&findings);
	return is_one;
}

/* ---- judgement ---- */

#define ERROR(f, pos, fix, ...) \
	cv_findings_add(f, CV_FINDING_ERROR, pos, CV_STR_NONE, fix, __VA_ARGS__)

static bool is_name(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
			    (s.p[i] >= '0' && s.p[i] <= '9') ||
			    (i && (s.p[i] == '-' || s.p[i] == '_' || s.p[i] == '.'))))
			return false;
	return s.n > 0 && s.n <= CV_CRED_ID_BYTES_MAX;
}

static void check_command(
	const struct cv_policy_texts *v, struct cv_policy_pos pos, struct cv_findings *f)
{
	if (v->n > CV_CRED_ARGS_MAX)
		ERROR(f, v->pos, "call a script", "a command of %zu words; at most %d", v->n,
			CV_CRED_ARGS_MAX);
	else if (!v->n || !v->v[0].s.n)
		ERROR(f, v->is_present ? v->pos : pos, "write [PROGRAM, ARGUMENT, ...]",
			"the command is empty");
	for (size_t i = 0; i < v->n; i++)
		if (cv_str_has_byte(v->v[i].s, '\0'))
			ERROR(f, v->v[i].pos, NULL, "a word of the command holds a NUL byte");
}

/* RFC 3339, or seconds since 1970. */
static void read_expires(struct cv_instance_source *s, struct cv_findings *f)
{
	int64_t ms;
	uint64_t seconds;

	if (!s->expires.is_present)
		return;
	if (cv_str_to_u64(s->expires.s, UINT32_MAX * 16ull, &seconds) && seconds)
		s->expires_s = (int64_t)seconds;
	else if (cv_time_parse(s->expires.s, &ms) && ms >= 1000)
		s->expires_s = ms / 1000;
	else
		ERROR(f, s->expires.pos, "write 2027-01-31T12:00:00Z, or seconds since 1970",
			"expires '%.*s' is not a time", CV_POLICY_QUOTE(s->expires.s));
}

static void check_source(struct cv_instance_source *s, struct cv_findings *f)
{
	const int given =
		s->env.is_present + s->file.is_present + s->has_fd + s->command.is_present;

	if (given != 1)
		ERROR(f, s->key.pos, SOURCE_FIX, "%.*s: %s", CV_POLICY_QUOTE(s->key.s),
			given ? "more than one source" : "no source");
	if (s->env.is_present && !cv_cred_is_key(s->env.s))
		ERROR(f, s->env.pos, "name the variable, not its value",
			"env: this can't be a variable's name"); /* it may be a secret: not quoted */
	if (s->file.is_present && (!s->file.s.n || cv_str_has_byte(s->file.s, '\0')))
		ERROR(f, s->file.pos, "write a path", "file: not a path");
	if (s->command.is_present)
		check_command(&s->command, s->key.pos, f);
	read_expires(s, f);
}

static void check_refresh(struct cv_instance_refresh *r, struct cv_findings *f)
{
	const bool is_command = r->strategy == CV_PROFILE_STRATEGY_COMMAND;

	if (r->command.is_present && r->strategy == CV_PROFILE_STRATEGY_NONE)
		r->strategy = CV_PROFILE_STRATEGY_COMMAND;
	else if (r->command.is_present != is_command)
		ERROR(f, r->key.pos, "add command, or remove the strategy",
			"%.*s: a command and strategy: command go together",
			CV_POLICY_QUOTE(r->key.s));
	if (r->command.is_present)
		check_command(&r->command, r->key.pos, f);
	for (size_t i = 0; i < r->material_count; i++)
		check_source(&r->materials[i], f);
}

static void check_config(struct cv_instance *v, struct cv_findings *f)
{
	for (size_t i = 0; i < v->config_count; i++) {
		const struct cv_str value = v->config[i].value.s;

		if (!cv_cred_is_key(v->config[i].key.s))
			ERROR(f, v->config[i].key.pos, "write letters, digits and _",
				"config: '%.*s' can't be a name",
				CV_POLICY_QUOTE(v->config[i].key.s));
		if (cv_str_has_byte(value, '\0') || value.n > CV_CRED_VALUE_BYTES_MAX)
			ERROR(f, v->config[i].value.pos, NULL, "config: not a usable value");
	}
}

static void judge(struct cv_instance *v, struct cv_findings *f)
{
	if (v->name.is_present && !is_name(v->name.s))
		ERROR(f, v->name.pos, "write letters, digits, '-', '_' and '.'",
			"name '%.*s' can't be part of a rule's name", CV_POLICY_QUOTE(v->name.s));
	if (!v->profile.s.n)
		ERROR(f, v->profile.pos, "name one of `cove provider show`, or a file",
			"profile is empty");
	if (v->credential_count + v->refresh_count > CV_CRED_KEYS_MAX)
		ERROR(f, v->profile.pos, NULL, "more than %d credentials", CV_CRED_KEYS_MAX);
	for (size_t i = 0; i < v->credential_count; i++)
		check_source(&v->credentials[i], f);
	for (size_t i = 0; i < v->refresh_count; i++)
		check_refresh(&v->refreshes[i], f);
	check_config(v, f);
}

cv_code cv_instance_load(struct cv_str file, struct cv_str text, struct cv_instance **ret,
	struct cv_findings *findings)
{
	const size_t before = findings->error_count;
	struct cv_instance *v = calloc(1, sizeof(*v));

	*ret = NULL;
	if (!v || text.n > CV_CRED_PROFILE_BYTES_MAX) {
		ERROR(findings, ((struct cv_policy_pos){ 0 }), NULL,
			"a provider of %zu bytes; at most %u are read", text.n,
			CV_CRED_PROFILE_BYTES_MAX);
		free(v);
		return CV_INVALID;
	}
	cv_arena_init(&v->arena, CV_CRED_PROFILE_MEMORY_MAX);
	v->file = cv_arena_str(&v->arena, file);
	if (cv_fill_document(text, &instance_noun, &instance_schema, v, &v->arena, findings) ==
		CV_OK)
		judge(v, findings);
	if (findings->error_count > before) {
		cv_instance_free(v);
		return CV_INVALID;
	}
	*ret = v;
	return CV_OK;
}

void cv_instance_free(struct cv_instance *instance)
{
	if (!instance)
		return;
	cv_arena_fini(&instance->arena);
	free(instance);
}

/* ---- with its profile ---- */

static bool has_variable(const struct cv_profile *p, struct cv_str key)
{
	for (size_t i = 0; i < p->credential_count; i++)
		for (size_t k = 0; k < p->credentials[i].env_vars.n; k++)
			if (cv_str_eq(p->credentials[i].env_vars.v[k].s, key))
				return true;
	return false;
}

static void unknown(struct cv_findings *f, const struct cv_profile *p, struct cv_policy_text key)
{
	char known[256] = "known here:";
	size_t n = strlen(known);

	for (size_t i = 0; i < p->credential_count && n < sizeof(known); i++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s %.*s", i ? "," : "",
			CV_POLICY_QUOTE(p->credentials[i].name.s));
	ERROR(f, key.pos, p->credential_count ? known : "write a variable's name",
		"profile %.*s has no credential or variable '%.*s'", CV_POLICY_QUOTE(p->id.s),
		CV_POLICY_QUOTE(key.s));
}

cv_code cv_instance_fits(const struct cv_instance *instance, const struct cv_profile *profile,
	struct cv_findings *findings)
{
	const size_t before = findings->error_count;
	const bool takes_any = !profile->credential_count;

	for (size_t i = 0; i < instance->credential_count; i++) {
		const struct cv_policy_text key = instance->credentials[i].key;

		if (takes_any ? !cv_cred_is_key(key.s)
			      : !cv_profile_credential_find(profile, key.s) &&
					!has_variable(profile, key.s))
			unknown(findings, profile, key);
	}
	for (size_t i = 0; i < instance->refresh_count; i++) {
		const struct cv_policy_text key = instance->refreshes[i].key;

		if (takes_any ? !cv_cred_is_key(key.s)
			      : !cv_profile_credential_find(profile, key.s))
			unknown(findings, profile, key);
	}
	return cv_findings_code(findings, before);
}

const struct cv_instance_source *cv_instance_source_find(
	const struct cv_instance *instance, struct cv_str key)
{
	for (size_t i = 0; instance && i < instance->credential_count; i++)
		if (cv_str_eq(instance->credentials[i].key.s, key))
			return &instance->credentials[i];
	return NULL;
}

const struct cv_instance_refresh *cv_instance_refresh_find(
	const struct cv_instance *instance, struct cv_str key)
{
	for (size_t i = 0; instance && i < instance->refresh_count; i++)
		if (cv_str_eq(instance->refreshes[i].key.s, key))
			return &instance->refreshes[i];
	return NULL;
}
