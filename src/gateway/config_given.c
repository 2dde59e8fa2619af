/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_given.c - what the environment and the flags say
 */
#include "gateway/config_int.h"

#include "base/word.h"

#include <stdio.h>
#include <string.h>

struct cv_str cv_gw_env_plain(char **env, const char *name)
{
	const size_t n = strlen(name);

	for (; env && *env; env++)
		if (!strncmp(*env, name, n) && (*env)[n] == '=')
			return cv_str_of(*env + n + 1);
	return CV_STR_NONE;
}

struct cv_str cv_gw_env(char **env, const char *name)
{
	static const char *const prefix[] = { "COVE_", "OPENSHELL_" };
	char full[128];

	for (size_t i = 0; i < CV_ARRAY_LEN(prefix); i++) {
		snprintf(full, sizeof(full), "%s%s", prefix[i], name);

		const struct cv_str v = cv_gw_env_plain(env, full);

		if (v.p)
			return v;
	}
	return CV_STR_NONE;
}

cv_code cv_gw_config_env_read(struct cv_gw_config *c, char **env, struct cv_err *err)
{
	for (size_t i = 0; i < CV_GW_OPTION_COUNT; i++) {
		const struct cv_gw_option *o = &cv_gw_option[i];
		const struct cv_str v = o->env[0] ? cv_gw_env(env, o->env) : CV_STR_NONE;

		if (!v.p)
			continue;
		cv_gw_option_forget(c, o);
		cv_gw_option_said(c, o, CV_GW_BY_ENV, (struct cv_policy_pos){ 0 });

		const char *wanted = cv_gw_option_put(c, o, v);

		if (wanted)
			return cv_fail(err, CV_INVALID, "%s in the environment: expected %s",
				o->env, wanted);
	}
	return CV_OK;
}

static const struct cv_gw_option *option_by_flag(struct cv_str name)
{
	if (cv_str_eq(name, CV_STR("driver"))) /* its other name */
		name = CV_STR("drivers");
	for (size_t i = 0; i < CV_GW_OPTION_COUNT; i++)
		if (cv_gw_option[i].flag[0] && cv_str_eq(cv_str_of(cv_gw_option[i].flag), name))
			return &cv_gw_option[i];
	return NULL;
}

static cv_code unknown_flag(struct cv_str name, struct cv_err *err)
{
	struct cv_word_search near;

	cv_word_search_init(&near, name);
	for (size_t i = 0; i < CV_GW_OPTION_COUNT; i++)
		if (cv_gw_option[i].flag[0])
			cv_word_search_offer(&near, cv_str_of(cv_gw_option[i].flag));
	if (near.nearest.p)
		return cv_fail(err, CV_INVALID, "unknown option '--%.*s'; did you mean '--%.*s'?",
			CV_STR_ARG(name), CV_STR_ARG(near.nearest));
	return cv_fail(err, CV_INVALID, "unknown option '--%.*s'", CV_STR_ARG(name));
}

/* The next flag of the words: its name, and its value if one was written; a switch may have none. */
static bool flag_next(const struct cv_gw_config_source *s, size_t *at, struct cv_str *ret_name,
	struct cv_str *ret_value)
{
	if (*at >= s->flag_count || !cv_str_has_prefix(cv_str_of(s->flags[*at]), CV_STR("--")))
		return false;

	struct cv_str value = cv_str_slice(cv_str_of(s->flags[(*at)++]), 2, SIZE_MAX);
	const struct cv_str name = cv_str_cut(&value, '=');
	const struct cv_gw_option *o = option_by_flag(name);
	const bool is_switch = o && (o->type == BOOL || o->type == CHOICE);

	if (!value.p && is_switch)
		value = CV_STR("true");
	else if (!value.p && *at < s->flag_count)
		value = cv_str_of(s->flags[(*at)++]);
	*ret_name = name;
	*ret_value = value;
	return true;
}

cv_code cv_gw_config_flags_read(
	struct cv_gw_config *c, const struct cv_gw_config_source *s, struct cv_err *err)
{
	bool is_seen[CV_GW_OPTION_COUNT] = { false };
	struct cv_str name, value;
	size_t at = 0;

	while (flag_next(s, &at, &name, &value)) {
		const struct cv_gw_option *o = option_by_flag(name);

		if (cv_str_eq(name, CV_STR("config")))
			continue;
		if (!o)
			return unknown_flag(name, err);
		if (!value.p)
			return cv_fail(err, CV_INVALID, "--%s needs a value", o->flag);
		if (!is_seen[o - cv_gw_option]) /* further ones of a list add to it */
			cv_gw_option_forget(c, o);
		is_seen[o - cv_gw_option] = true;
		cv_gw_option_said(c, o, CV_GW_BY_FLAG, (struct cv_policy_pos){ 0 });

		const char *wanted = cv_gw_option_put(c, o, value);

		if (wanted)
			return cv_fail(err, CV_INVALID, "--%s: expected %s, found '%.*s'", o->flag,
				wanted, CV_STR_ARG(cv_str_slice(value, 0, 100)));
	}
	if (at < s->flag_count)
		return cv_fail(err, CV_INVALID, "unexpected word '%s'", s->flags[at]);
	return CV_OK;
}

struct cv_str cv_gw_config_path(const struct cv_gw_config_source *s)
{
	struct cv_str found = cv_gw_env(s->env, "GATEWAY_CONFIG"), name, value;
	size_t at = 0;

	while (flag_next(s, &at, &name, &value))
		if (cv_str_eq(name, CV_STR("config")) && value.p)
			found = value;
	return found;
}
