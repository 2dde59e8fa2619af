/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - see config.h, and config_int.h for its parts
 *
 * Default, file, environment and flags are put in this order, and the last one stays.  Then all of
 * it is judged.
 */
#include "gateway/config_int.h"

#include "base/assert.h"
#include "plan/interception.h"
#include "policy/findings.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES_MAX (4u << 20) /* of all texts; the file is a sixteenth of it */

uint32_t cv_gw_config_interception(const struct cv_gw_config *c)
{
	uint32_t how = CV_INTERCEPTION_AUTO;

	cv_assert(cv_interception_parse(c->interception, &how));
	return how;
}

cv_code cv_gw_config_new(const struct cv_gw_config_source *s, struct cv_gw_config **ret,
	struct cv_findings *findings, struct cv_err *err)
{
	struct cv_gw_config *c = calloc(1, sizeof(*c));
	const size_t before = findings->error_count;

	if (!c)
		return cv_fail(err, CV_LIMIT, "no memory");
	*err = (struct cv_err){ 0 };
	cv_arena_init(&c->arena, ARENA_BYTES_MAX);
	c->origin = cv_arena_array(&c->arena, CV_GW_OPTION_COUNT, sizeof(*c->origin));
	cv_assert(c->origin); /* the first few bytes of it */
	for (size_t i = 0; i < CV_GW_OPTION_COUNT; i++)
		cv_assert(!cv_gw_option_put(c, &cv_gw_option[i], cv_str_of(cv_gw_option[i].def)));
	c->path = cv_arena_str(&c->arena, s->file_name);
	if (s->file.p)
		cv_gw_config_file_read(c, s->file, findings);
	if (cv_gw_config_env_read(c, s->env, err) == CV_OK)
		(void)cv_gw_config_flags_read(c, s, err);
	if (c->arena.is_overflown)
		(void)cv_fail(err, CV_LIMIT, "the configuration is too large");
	else
		cv_gw_config_whole_check(c, s, findings, err);
	if (err->code == CV_OK && cv_findings_code(findings, before) != CV_OK)
		(void)cv_fail(err, CV_INVALID, "the configuration file has errors");
	if (err->code != CV_OK || findings->error_count > before) {
		cv_gw_config_free(c);
		return err->code;
	}
	*ret = c;
	return CV_OK;
}

void cv_gw_config_free(const struct cv_gw_config *c)
{
	struct cv_gw_config *own = (struct cv_gw_config *)(uintptr_t)c;

	if (!own)
		return;
	cv_arena_fini(&own->arena);
	free(own);
}

bool cv_gw_config_list_is_same(const struct cv_gw_config_list *a, const struct cv_gw_config_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!cv_str_eq(a->v[i], b->v[i]))
			return false;
	return true;
}

static bool is_same(
	const struct cv_gw_config *a, const struct cv_gw_config *b, const struct cv_gw_option *o)
{
	const void *x = (const char *)a + o->at, *y = (const char *)b + o->at;

	if (o->type == TEXT)
		return cv_str_eq(*(const struct cv_str *)x, *(const struct cv_str *)y);
	if (o->type != LIST && o->type != MAP && o->type != QUOTAS)
		return memcmp(x, y, o->bytes) == 0;
	cv_assert(o->type == LIST); /* no map is fixed */
	return cv_gw_config_list_is_same(x, y);
}

void cv_gw_config_keep_fixed(
	const struct cv_gw_config *old, struct cv_gw_config *next, struct cv_buf *ret_changed)
{
	for (size_t i = 0; i < CV_GW_OPTION_COUNT; i++) {
		const struct cv_gw_option *o = &cv_gw_option[i];

		if (o->life != FIXED || is_same(old, next, o))
			continue;
		if (ret_changed)
			cv_buf_printf(
				ret_changed, "%s%s", cv_buf_len(ret_changed) ? ", " : "", o->key);
		if (o->type == TEXT)
			*(struct cv_str *)cv_gw_option_field(next, o) = cv_arena_str(
				&next->arena, *(const struct cv_str *)((const char *)old + o->at));
		else if (o->type == LIST) {
			const struct cv_gw_config_list *l =
				(const void *)((const char *)old + o->at);

			cv_gw_option_forget(next, o);
			for (size_t k = 0; k < l->n; k++)
				(void)cv_gw_option_list_add(
					next, cv_gw_option_field(next, o), l->v[k]);
		} else
			memcpy(cv_gw_option_field(next, o), (const char *)old + o->at, o->bytes);
	}
}
