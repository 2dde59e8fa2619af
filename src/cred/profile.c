/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile.c - text to profile; see profile.h
 */
#include "cred/profile.h"

#include "base/assert.h"
#include "cred/limits_profile.h"
#include "policy/findings.h"

#include <stdlib.h>

static const struct cv_fill_noun profile_noun = {
	.name = "profile",
	.minimum = "it needs at least an id",
	.start = "it begins with \"id: NAME\"",
	.shorten = "split it",
};

const char *cv_profile_strategy_name(enum cv_profile_strategy strategy)
{
#define STRATEGY_NAME(id, yaml) [CV_PROFILE_STRATEGY_##id] = yaml,
	static const char *const names[] = { CV_PROFILE_STRATEGIES(STRATEGY_NAME) };

	cv_assert(strategy < CV_PROFILE_STRATEGY_COUNT);
	return names[strategy];
}

cv_code cv_profile_load(struct cv_str file, struct cv_str text, struct cv_profile **ret,
	struct cv_findings *findings)
{
	struct cv_profile *p = calloc(1, sizeof(*p));

	*ret = NULL;
	if (!p || text.n > CV_CRED_PROFILE_BYTES_MAX) {
		cv_findings_add(findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 },
			CV_STR_NONE, "split it", "a profile of %zu bytes; at most %u are read",
			text.n, CV_CRED_PROFILE_BYTES_MAX);
		free(p);
		return CV_INVALID;
	}
	cv_arena_init(&p->arena, CV_CRED_PROFILE_MEMORY_MAX);
	p->file = cv_arena_str(&p->arena, file);
	if (cv_fill_document(text, &profile_noun, &cv_profile_schema, p, &p->arena, findings) !=
		CV_OK) {
		cv_profile_free(p);
		return CV_INVALID;
	}
	p->network.pos = p->id.pos;
	p->network.key = p->id;
	p->network.name = p->id.s;
	p->network.is_provider = true;
	if (cv_profile_validate(p, findings) != CV_OK) {
		cv_profile_free(p);
		return CV_INVALID;
	}
	*ret = p;
	return CV_OK;
}

void cv_profile_free(struct cv_profile *profile)
{
	if (!profile)
		return;
	cv_arena_fini(&profile->arena);
	free(profile);
}

bool cv_profile_is_named(const struct cv_profile *profile, struct cv_str name)
{
	if (cv_str_eq(profile->id.s, name))
		return true;
	for (size_t i = 0; i < profile->aliases.n; i++)
		if (cv_str_eq(profile->aliases.v[i].s, name))
			return true;
	return false;
}

const struct cv_profile_credential *cv_profile_credential_find(
	const struct cv_profile *profile, struct cv_str name)
{
	for (size_t i = 0; i < profile->credential_count; i++)
		if (cv_str_eq(profile->credentials[i].name.s, name))
			return &profile->credentials[i];
	return NULL;
}

static bool is_word_byte(char c, bool is_first)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
	       (!is_first && c >= '0' && c <= '9');
}

/* v<digits>_... and s<64 hex>_... are how placeholders name revisions and handles. */
static bool is_reserved(struct cv_str key)
{
	const size_t end = cv_str_find_byte(key, '_');
	size_t digits = 0, hex = 0;

	if (end == key.n || end < 2)
		return false;
	for (size_t i = 1; i < end; i++) {
		const char c = key.p[i];

		digits += c >= '0' && c <= '9';
		hex += (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
	}
	return (key.p[0] == 'v' && digits == end - 1) ||
	       (key.p[0] == 's' && end == 65 && hex == 64);
}

bool cv_cred_is_key(struct cv_str key)
{
	if (!key.n || key.n > CV_CRED_KEY_BYTES_MAX || is_reserved(key))
		return false;
	for (size_t i = 0; i < key.n; i++)
		if (!is_word_byte(key.p[i], i == 0))
			return false;
	return true;
}
