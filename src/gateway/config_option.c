/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_option.c - the table of options; one value, from text
 *
 * Every value comes as text, whatever its source, and is put by cv_gw_option_put(); so a number in a
 * variable and one in the file are judged by the same words.
 */
#include "gateway/config_int.h"

#include "base/assert.h"
#include "driver/quantity.h"
#include "gateway/command.h"

#include <string.h>

#define LIST_MAX 4096 /* entries of a list or map */

#define ROW(field, type, key, flag, env, def, live, help)                              \
	{ type, key, flag, env, def, help, live, offsetof(struct cv_gw_config, field), \
		sizeof(((struct cv_gw_config *)NULL)->field) },
const struct cv_gw_option cv_gw_option[CV_GW_OPTION_COUNT] = { CV_GW_OPTIONS(ROW) };
#undef ROW

const struct cv_gw_option *cv_gw_option_by_key(struct cv_str key)
{
	for (size_t i = 0; i < CV_GW_OPTION_COUNT; i++)
		if (cv_str_eq(cv_str_of(cv_gw_option[i].key), key))
			return &cv_gw_option[i];
	return NULL;
}

void *cv_gw_option_field(struct cv_gw_config *c, const struct cv_gw_option *o)
{
	return (char *)c + o->at;
}

void cv_gw_option_said(struct cv_gw_config *c, const struct cv_gw_option *o,
	enum cv_gw_origin_kind kind, struct cv_policy_pos pos)
{
	c->origin[o - cv_gw_option] = (struct cv_gw_origin){ kind, pos };
}

static bool bool_of(struct cv_str s, bool *ret)
{
	static const char *const yes[] = { "true", "1", "yes", "on" }, *const no[] = { "false", "0",
		"no", "off", "" };

	for (size_t i = 0; i < CV_ARRAY_LEN(yes); i++)
		if (cv_str_eq_nocase(s, cv_str_of(yes[i])))
			return *ret = true, true;
	for (size_t i = 0; i < CV_ARRAY_LEN(no); i++)
		if (cv_str_eq_nocase(s, cv_str_of(no[i])))
			return *ret = false, true;
	return false;
}

bool cv_gw_option_list_add(struct cv_gw_config *c, struct cv_gw_config_list *l, struct cv_str s)
{
	struct cv_str *v = cv_arena_array(&c->arena, l->n + 1, sizeof(*v));

	if (!v || l->n == LIST_MAX)
		return false;
	if (l->n)
		memcpy(v, l->v, l->n * sizeof(*v));
	v[l->n] = cv_arena_str(&c->arena, s);
	l->v = v;
	l->n++;
	return true;
}

bool cv_gw_option_map_add(struct cv_gw_config *c, struct cv_gw_config_map *m, struct cv_str key,
	struct cv_str value, struct cv_policy_pos at)
{
	struct cv_gw_config_list keys = { m->key, m->n }, values = { m->value, m->n };
	struct cv_policy_pos *places = cv_arena_array(&c->arena, m->n + 1, sizeof(*places));

	if (!places || !cv_gw_option_list_add(c, &keys, key) ||
		!cv_gw_option_list_add(c, &values, value))
		return false;
	m->key = keys.v;
	m->value = values.v;
	if (m->n)
		memcpy(places, m->at, m->n * sizeof(*places));
	places[m->n] = at;
	m->at = places;
	m->n = keys.n;
	return true;
}

const char *cv_gw_option_amount(enum cv_gw_option_type type, struct cv_str s, uint64_t *ret)
{
	struct cv_err unused;

	if (cv_str_eq(s, CV_STR("unlimited"))) {
		*ret = CV_QUOTA_UNLIMITED;
		return NULL;
	}
	if (type == PIECES)
		return cv_str_to_u64(s, UINT32_MAX, ret) ? NULL : "a number, or unlimited";
	if (cv_quantity_parse(s, type == CPU ? 1000 : 1, UINT64_MAX - 1, ret, &unused) == CV_OK)
		return NULL;
	return type == CPU ? "a quantity such as 4 or 500m, or unlimited"
			   : "a quantity such as 16Gi, or unlimited";
}

const char *cv_gw_option_put(struct cv_gw_config *c, const struct cv_gw_option *o, struct cv_str s)
{
	void *field = cv_gw_option_field(c, o);
	uint64_t number;
	bool is_on;

	switch (o->type) {
	case TEXT:
		if (cv_str_has_byte(s, 0))
			return "text without NUL";
		*(struct cv_str *)field = cv_arena_str(&c->arena, s);
		return NULL;
	case U32:
		if (!cv_str_to_u64(s, UINT32_MAX, &number))
			return "a number";
		*(uint32_t *)field = (uint32_t)number;
		return NULL;
	case BOOL:
		if (!bool_of(s, &is_on))
			return "true or false";
		*(bool *)field = is_on;
		return NULL;
	case CHOICE:
		if (!s.n) {
			*(enum cv_gw_choice *)field = CV_GW_UNSET;
			return NULL;
		}
		if (!bool_of(s, &is_on))
			return "true or false";
		*(enum cv_gw_choice *)field = is_on ? CV_GW_YES : CV_GW_NO;
		return NULL;
	case LIST:
		while (s.n) {
			const struct cv_str word = cv_str_trim(cv_str_cut(&s, ','));

			if (word.n && !cv_gw_option_list_add(c, field, word))
				return "a shorter list";
		}
		return NULL;
	case PIECES:
	case MEMORY:
	case CPU: return cv_gw_option_amount(o->type, s, field);
	case MAP:
	case QUOTAS: return s.n ? "a mapping" : NULL;
	}
	cv_unreachable();
}

void cv_gw_option_forget(struct cv_gw_config *c, const struct cv_gw_option *o)
{
	if (o->type == LIST)
		((struct cv_gw_config_list *)cv_gw_option_field(c, o))->n = 0;
}

/* What help shows and completion takes for values that are more than some text. */
static const struct {
	const char *flag, *value;
} value_name[] = {
	{ "log-level", "error|warn|info|debug|trace" },
	{ "log-format", "text|json" },
	{ "interception", "auto|tproxy|redirect|anyip" },
	{ "state-dir", "DIR" },
	{ "policies-dir", "DIR" },
	{ "profiles-dir", "DIR" },
	{ "tls-cert", "FILE" },
	{ "tls-key", "FILE" },
	{ "tls-client-ca", "FILE" },
	{ "oidc-ca", "FILE" },
	{ "edge-ca", "FILE" },
	{ "traces-ca", "FILE" },
	{ "upstream-ca", "FILE" },
};

static const char *value_name_of(const struct cv_gw_option *o)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(value_name); i++)
		if (!strcmp(value_name[i].flag, o->flag))
			return value_name[i].value;
	if (o->type == BOOL || o->type == CHOICE)
		return NULL;
	return o->type == U32 || o->type == PIECES ? "N" : "TEXT";
}

bool cv_gw_config_flag(size_t n, struct cv_gw_flag *ret)
{
	for (size_t i = 0; i < CV_GW_OPTION_COUNT; i++) {
		const struct cv_gw_option *o = &cv_gw_option[i];

		if (!o->flag[0] || n--)
			continue;
		*ret = (struct cv_gw_flag){ .name = o->flag,
			.value = value_name_of(o),
			.help = o->help,
			.def = o->def[0] ? o->def : NULL };
		return true;
	}
	return false;
}
