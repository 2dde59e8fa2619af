/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - see config.h
 *
 * Every value comes as text, whatever its source, and is put by put(); so a number in a variable
 * and one in the file are judged by the same words.  Default, file, environment and flags are put
 * in this order, and the last one stays.  Then all of it is judged, also when something was wrong
 * with a word before: whoever repairs a file wants to know all that there is to repair.
 */
#include "gateway/config.h"

#include "base/assert.h"
#include "base/word.h"
#include "driver/quantity.h"
#include "gateway/command.h"
#include "gateway/log.h"
#include "plan/interception.h"
#include "plan/limits.h"
#include "policy/findings.h"
#include "policy/yaml_events.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_BYTES_MAX (4u << 20) /* of all texts; the file is a sixteenth of it */
#define LIST_MAX        4096       /* entries of a list or map */

enum option_type { TEXT, U32, BOOL, CHOICE, LIST, MAP, PIECES, MEMORY, CPU, QUOTAS };
enum option_life { FIXED, LIVE };

struct option {
	enum option_type type;
	const char *key, *flag, *env, *def, *help;
	enum option_life life;
	size_t at, bytes;
};

#define ROW(field, type, key, flag, env, def, live, help)                              \
	{ type, key, flag, env, def, help, live, offsetof(struct cv_gw_config, field), \
		sizeof(((struct cv_gw_config *)NULL)->field) },
static const struct option option[] = { CV_GW_OPTIONS(ROW) };
#undef ROW

static void *field_of(struct cv_gw_config *c, const struct option *o)
{
	return (char *)c + o->at;
}

static void origin_set(struct cv_gw_config *c, const struct option *o, enum cv_gw_origin_kind kind,
	struct cv_policy_pos pos)
{
	c->origin[o - option] = (struct cv_gw_origin){ kind, pos };
}

/* ---- one value ---- */

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

static bool list_add(struct cv_gw_config *c, struct cv_gw_config_list *l, struct cv_str s)
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

static bool map_add(
	struct cv_gw_config *c, struct cv_gw_config_map *m, struct cv_str key, struct cv_str value)
{
	struct cv_gw_config_list keys = { m->key, m->n }, values = { m->value, m->n };

	if (!list_add(c, &keys, key) || !list_add(c, &values, value))
		return false;
	m->key = keys.v;
	m->value = values.v;
	m->n = keys.n;
	return true;
}

/* A quantity, or "unlimited".  NULL, or what was expected instead. */
static const char *amount_of(enum option_type type, struct cv_str s, uint64_t *ret)
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

/* NULL, or what was expected instead. */
static const char *put(struct cv_gw_config *c, const struct option *o, struct cv_str s)
{
	void *field = field_of(c, o);
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

			if (word.n && !list_add(c, field, word))
				return "a shorter list";
		}
		return NULL;
	case PIECES:
	case MEMORY:
	case CPU: return amount_of(o->type, s, field);
	case MAP:
	case QUOTAS: return s.n ? "a mapping" : NULL;
	}
	cv_unreachable();
}

/* What a later source says replaces what an earlier one did. */
static void list_forget(struct cv_gw_config *c, const struct option *o)
{
	if (o->type == LIST)
		((struct cv_gw_config_list *)field_of(c, o))->n = 0;
}

/* ---- the file ---- */

struct reading {
	struct cv_gw_config *c;
	struct cv_yaml *y;
	bool is_seen[CV_ARRAY_LEN(option)];
};

#define REPORT(r, pos, fix, ...) \
	cv_findings_add((r)->y->findings, CV_FINDING_ERROR, pos, CV_STR_NONE, fix, __VA_ARGS__)

static const struct option *option_by_key(struct cv_str key)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(option); i++)
		if (cv_str_eq(cv_str_of(option[i].key), key))
			return &option[i];
	return NULL;
}

/* What is behind the section and its dot ("": all); p NULL: the key is not in it. */
static struct cv_str key_within(const struct option *o, struct cv_str section)
{
	const struct cv_str key = cv_str_of(o->key);

	if (!section.n)
		return key;
	if (!cv_str_has_prefix(key, section) || key.p[section.n] != '.')
		return CV_STR_NONE;
	return cv_str_slice(key, section.n + 1, key.n);
}

static bool is_section(struct cv_str key)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(option); i++)
		if (key.n && key_within(&option[i], key).p)
			return true;
	return false;
}

static void unknown_key(
	struct reading *r, struct cv_policy_pos pos, struct cv_str section, struct cv_str key)
{
	struct cv_word_search near;
	char fix[160] = "";

	cv_word_search_init(&near, key);
	for (size_t i = 0; i < CV_ARRAY_LEN(option); i++) {
		struct cv_str rest = key_within(&option[i], section);

		if (rest.p)
			cv_word_search_offer(&near, cv_str_cut(&rest, '.'));
	}
	if (near.nearest.p)
		snprintf(fix, sizeof(fix), "did you mean '%.*s'?", CV_STR_ARG(near.nearest));
	REPORT(r, pos, fix[0] ? fix : NULL, "unknown key '%.*s'", CV_POLICY_QUOTE(key));
}

static void list_read(struct reading *r, const struct option *o)
{
	while (cv_yaml_next(r->y) && r->y->ev.type != YAML_SEQUENCE_END_EVENT) {
		if (r->y->ev.type != YAML_SCALAR_EVENT) {
			REPORT(r, cv_yaml_pos(r->y), NULL, "%s: expected text", o->key);
			cv_yaml_skip(r->y);
		} else if (!list_add(r->c, field_of(r->c, o), cv_yaml_scalar(r->y))) {
			REPORT(r, cv_yaml_pos(r->y), NULL, "%s: too long", o->key);
		}
	}
}

static void map_read(struct reading *r, const struct option *o)
{
	char key[1024];

	while (cv_yaml_next(r->y) && r->y->ev.type != YAML_MAPPING_END_EVENT) {
		const struct cv_policy_pos pos = cv_yaml_pos(r->y);

		if (r->y->ev.type != YAML_SCALAR_EVENT ||
			!cv_str_to_cstr(cv_yaml_scalar(r->y), key, sizeof(key))) {
			REPORT(r, pos, NULL, "%s: a key that is none", o->key);
			cv_yaml_skip(r->y);
			key[0] = 0;
		}
		if (!cv_yaml_next(r->y))
			return;
		if (r->y->ev.type != YAML_SCALAR_EVENT) {
			REPORT(r, cv_yaml_pos(r->y), NULL, "%s.%s: expected text", o->key, key);
			cv_yaml_skip(r->y);
		} else if (!map_add(
				   r->c, field_of(r->c, o), cv_str_of(key), cv_yaml_scalar(r->y))) {
			REPORT(r, pos, NULL, "%s: too many entries", o->key);
		}
	}
}

/* {sandboxes: 5, memory: 16Gi, cpu: 4} */
static void quota_read(struct reading *r, const char *name, struct cv_quota_amount *ret)
{
	static const enum option_type type[CV_QUOTA_COUNT] = { PIECES, MEMORY, CPU };

	while (cv_yaml_next(r->y) && r->y->ev.type != YAML_MAPPING_END_EVENT) {
		const struct cv_policy_pos pos = cv_yaml_pos(r->y);
		const struct cv_str key =
			r->y->ev.type == YAML_SCALAR_EVENT ? cv_yaml_scalar(r->y) : CV_STR_NONE;
		const char *wanted = NULL;
		size_t i = 0;

		while (i < CV_QUOTA_COUNT && !cv_str_eq(key, cv_str_of(cv_quota_resource_name[i])))
			i++;
		if (i == CV_QUOTA_COUNT) {
			REPORT(r, pos, "it is one of sandboxes, memory, cpu", "unknown key '%.*s'",
				CV_POLICY_QUOTE(key));
			if (!key.p)
				cv_yaml_skip(r->y);
		}
		if (!cv_yaml_next(r->y))
			return;
		if (r->y->ev.type != YAML_SCALAR_EVENT) {
			REPORT(r, cv_yaml_pos(r->y), NULL, "quotas.workspaces.%s: expected text",
				name);
			cv_yaml_skip(r->y);
		} else if (i < CV_QUOTA_COUNT) {
			wanted = amount_of(type[i], cv_yaml_scalar(r->y), &ret->v[i]);
		}
		if (wanted)
			REPORT(r, cv_yaml_pos(r->y), NULL,
				"quotas.workspaces.%s.%s: expected %s, found '%.*s'", name,
				cv_quota_resource_name[i], wanted,
				CV_POLICY_QUOTE(cv_yaml_scalar(r->y)));
	}
}

static bool quota_add(struct cv_gw_config *c, struct cv_gw_config_quotas *q, struct cv_str name,
	const struct cv_quota_amount *own)
{
	struct cv_gw_config_list names = { q->name, q->n };
	struct cv_quota_amount *v = cv_arena_array(&c->arena, q->n + 1, sizeof(*v));

	for (size_t i = 0; i < q->n; i++)
		if (cv_str_eq(q->name[i], name))
			return false;
	if (!v || !list_add(c, &names, name))
		return false;
	if (q->n)
		memcpy(v, q->own, q->n * sizeof(*v));
	v[q->n] = *own;
	q->name = names.v;
	q->own = v;
	q->n = names.n;
	return true;
}

/* What a workspace's own quota does not say is unlimited: it replaces the one of all. */
static void quotas_read(struct reading *r, const struct option *o)
{
	char name[64];

	while (cv_yaml_next(r->y) && r->y->ev.type != YAML_MAPPING_END_EVENT) {
		struct cv_quota_amount own = { { CV_QUOTA_UNLIMITED, CV_QUOTA_UNLIMITED,
			CV_QUOTA_UNLIMITED } };
		const struct cv_policy_pos pos = cv_yaml_pos(r->y);

		if (r->y->ev.type != YAML_SCALAR_EVENT ||
			!cv_str_to_cstr(cv_yaml_scalar(r->y), name, sizeof(name)) || !name[0]) {
			REPORT(r, pos, NULL, "%s: no name of a workspace", o->key);
			cv_yaml_skip(r->y);
			name[0] = 0;
		}
		if (!cv_yaml_next(r->y))
			return;
		if (cv_yaml_type(r->y) != CV_YAML_MAPPING) {
			REPORT(r, cv_yaml_pos(r->y), NULL, "%s.%s: expected a mapping", o->key,
				name);
			cv_yaml_skip(r->y);
			continue;
		}
		quota_read(r, name, &own);
		if (name[0] && !quota_add(r->c, field_of(r->c, o), cv_str_of(name), &own))
			REPORT(r, pos, NULL, "%s.%s is said twice, or is one too many", o->key,
				name);
	}
}

static void value_read(struct reading *r, const struct option *o)
{
	const enum cv_yaml_type type = cv_yaml_type(r->y);
	const char *wanted;

	if (type == CV_YAML_LIST && o->type == LIST) {
		list_read(r, o);
	} else if (type == CV_YAML_MAPPING && o->type == MAP) {
		map_read(r, o);
	} else if (type == CV_YAML_MAPPING && o->type == QUOTAS) {
		quotas_read(r, o);
	} else if (type == CV_YAML_LIST || type == CV_YAML_MAPPING) {
		REPORT(r, cv_yaml_pos(r->y), NULL, "%s: found %s", o->key, cv_yaml_type_name(type));
		cv_yaml_skip(r->y);
	} else if (type != CV_YAML_NULL) {
		wanted = put(r->c, o, cv_yaml_scalar(r->y));
		if (wanted)
			REPORT(r, cv_yaml_pos(r->y), NULL, "%s: expected %s, found '%.*s'", o->key,
				wanted, CV_POLICY_QUOTE(cv_yaml_scalar(r->y)));
	}
}

/* The mapping that the reader stands on: the document's, or a section's. */
static void mapping_read(struct reading *r, struct cv_str section)
{
	char key[128];

	while (cv_yaml_next(r->y) && r->y->ev.type != YAML_MAPPING_END_EVENT) {
		const struct cv_policy_pos pos = cv_yaml_pos(r->y);
		const struct cv_str word =
			r->y->ev.type == YAML_SCALAR_EVENT ? cv_yaml_scalar(r->y) : CV_STR_NONE;
		const int n = snprintf(key, sizeof(key), "%.*s%s%.*s", CV_STR_ARG(section),
			section.n ? "." : "", CV_STR_ARG(word));
		const struct option *o =
			(size_t)n < sizeof(key) ? option_by_key(cv_str_of(key)) : NULL;
		const bool is_head = !o && (size_t)n < sizeof(key) && is_section(cv_str_of(key));

		if (!o && !is_head)
			unknown_key(r, pos, section, word);
		if (o && r->is_seen[o - option])
			REPORT(r, pos, NULL, "%s is said twice", o->key);
		if (o)
			r->is_seen[o - option] = true;
		if (!word.p)
			cv_yaml_skip(r->y);
		if (!cv_yaml_next(r->y))
			return;
		if (o) {
			origin_set(r->c, o, CV_GW_BY_FILE, cv_yaml_pos(r->y));
			value_read(r, o);
		} else if (is_head && cv_yaml_type(r->y) == CV_YAML_MAPPING)
			mapping_read(r, cv_str_of(key));
		else if (is_head && cv_yaml_type(r->y) != CV_YAML_NULL) {
			REPORT(r, cv_yaml_pos(r->y), NULL, "%s: expected a mapping", key);
			cv_yaml_skip(r->y);
		} else if (!is_head)
			cv_yaml_skip(r->y);
	}
}

static void documents_read(struct reading *r)
{
	unsigned documents = 0;

	while (cv_yaml_next(r->y)) {
		if (r->y->ev.type != YAML_DOCUMENT_START_EVENT)
			continue; /* the stream's start, a document's end */
		if (documents++) {
			REPORT(r, cv_yaml_pos(r->y), NULL, "a second YAML document begins here");
			return;
		}
		if (!cv_yaml_next(r->y))
			return;
		if (cv_yaml_type(r->y) == CV_YAML_MAPPING) {
			mapping_read(r, CV_STR_NONE);
		} else if (cv_yaml_type(r->y) != CV_YAML_NULL) {
			REPORT(r, cv_yaml_pos(r->y), NULL,
				"a configuration is a mapping of keys, this is %s",
				cv_yaml_type_name(cv_yaml_type(r->y)));
			cv_yaml_skip(r->y);
		}
	}
}

static void file_read(struct cv_gw_config *c, struct cv_str text, struct cv_findings *findings)
{
	struct cv_yaml y;
	struct reading r = { .c = c, .y = &y };

	if (cv_yaml_open(&y, text, "configuration", findings)) {
		documents_read(&r);
		cv_yaml_close(&y);
	}
}

/* ---- environment and flags ---- */

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

static cv_code env_read(struct cv_gw_config *c, char **env, struct cv_err *err)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(option); i++) {
		const struct option *o = &option[i];
		const struct cv_str v = o->env[0] ? cv_gw_env(env, o->env) : CV_STR_NONE;

		if (!v.p)
			continue;
		list_forget(c, o);
		origin_set(c, o, CV_GW_BY_ENV, (struct cv_policy_pos){ 0 });

		const char *wanted = put(c, o, v);

		if (wanted)
			return cv_fail(err, CV_INVALID, "%s in the environment: expected %s",
				o->env, wanted);
	}
	return CV_OK;
}

static const struct option *option_by_flag(struct cv_str name)
{
	if (cv_str_eq(name, CV_STR("driver"))) /* its other name */
		name = CV_STR("drivers");
	for (size_t i = 0; i < CV_ARRAY_LEN(option); i++)
		if (option[i].flag[0] && cv_str_eq(cv_str_of(option[i].flag), name))
			return &option[i];
	return NULL;
}

static cv_code unknown_flag(struct cv_str name, struct cv_err *err)
{
	struct cv_word_search near;

	cv_word_search_init(&near, name);
	for (size_t i = 0; i < CV_ARRAY_LEN(option); i++)
		if (option[i].flag[0])
			cv_word_search_offer(&near, cv_str_of(option[i].flag));
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
	const struct option *o = option_by_flag(name);
	const bool is_switch = o && (o->type == BOOL || o->type == CHOICE);

	if (!value.p && is_switch)
		value = CV_STR("true");
	else if (!value.p && *at < s->flag_count)
		value = cv_str_of(s->flags[(*at)++]);
	*ret_name = name;
	*ret_value = value;
	return true;
}

static cv_code flags_read(
	struct cv_gw_config *c, const struct cv_gw_config_source *s, struct cv_err *err)
{
	bool is_seen[CV_ARRAY_LEN(option)] = { false };
	struct cv_str name, value;
	size_t at = 0;

	while (flag_next(s, &at, &name, &value)) {
		const struct option *o = option_by_flag(name);

		if (cv_str_eq(name, CV_STR("config")))
			continue;
		if (!o)
			return unknown_flag(name, err);
		if (!value.p)
			return cv_fail(err, CV_INVALID, "--%s needs a value", o->flag);
		if (!is_seen[o - option]) /* further ones of a list add to it */
			list_forget(c, o);
		is_seen[o - option] = true;
		origin_set(c, o, CV_GW_BY_FLAG, (struct cv_policy_pos){ 0 });

		const char *wanted = put(c, o, value);

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

/* ---- the whole ---- */

static const struct option *option_named(const char *key)
{
	const struct option *o = option_by_key(cv_str_of(key));

	cv_assert(o);
	return o;
}

void cv_gw_config_refuse(const struct cv_gw_config *c, const char *key,
	struct cv_findings *findings, struct cv_err *err, const char *fmt, ...)
{
	const struct option *o = option_named(key);
	const struct cv_gw_origin *from = &c->origin[o - option];
	char text[CV_ERR_MSG_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (from->kind == CV_GW_BY_FILE)
		cv_findings_add(
			findings, CV_FINDING_ERROR, from->pos, cv_str_of(key), NULL, "%s", text);
	else if (err->code != CV_OK)
		return; /* one of them at a time */
	else if (from->kind == CV_GW_BY_FLAG)
		(void)cv_fail(err, CV_INVALID, "--%s: %s", o->flag, text);
	else if (from->kind == CV_GW_BY_ENV)
		(void)cv_fail(err, CV_INVALID, "%s in the environment: %s", o->env, text);
	else
		(void)cv_fail(err, CV_INVALID, "%s: %s", key, text);
}

/* Numbers that not every number will do for. */
#define AT(field) offsetof(struct cv_gw_config, field)
static const struct {
	const char *key;
	size_t at;
	uint32_t min, max;
} range[] = {
	{ "port", AT(port), 0, UINT16_MAX },
	{ "health_port", AT(health_port), 0, UINT16_MAX },
	{ "metrics_port", AT(metrics_port), 0, UINT16_MAX },
	{ "older_port", AT(older_port), 0, UINT16_MAX },
	{ "tools.approve_timeout_secs", AT(tools_approve_seconds), 1,
		CV_PLAN_APPROVE_MS_MAX / 1000 },
	{ "quotas.queue.length", AT(queue_length), 0, CV_GW_QUEUE_LENGTH_MAX },
	{ "quotas.queue.max_wait_secs", AT(queue_max_wait), 1, CV_GW_QUEUE_WAIT_MAX },
};
#undef AT

static void ranges_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(range); i++) {
		const uint32_t v = *(const uint32_t *)(const void *)((const char *)c + range[i].at);

		if (v < range[i].min || v > range[i].max)
			cv_gw_config_refuse(c, range[i].key, findings, err,
				"expected a number, %u to %u, found %u", range[i].min, range[i].max,
				v);
	}
}

static bool is_one_of(struct cv_str s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cv_str_eq(s, cv_str_of(words[i])))
			return true;
	return false;
}

static void words_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err)
{
	static const char *const formats[] = { "text", "json" };
	enum cv_log_level level;
	uint32_t interception;

	if (!cv_log_level_of(c->log_level, &level))
		cv_gw_config_refuse(c, "log.level", findings, err,
			"expected error, warn, info, debug or trace, found '%.*s'",
			CV_POLICY_QUOTE(c->log_level));
	if (!is_one_of(c->log_format, formats, CV_ARRAY_LEN(formats)))
		cv_gw_config_refuse(c, "log.format", findings, err,
			"expected text or json, found '%.*s'", CV_POLICY_QUOTE(c->log_format));
	if (!cv_interception_parse(c->interception, &interception))
		cv_gw_config_refuse(c, "interception", findings, err,
			"expected auto, tproxy, redirect or anyip, found '%.*s'",
			CV_POLICY_QUOTE(c->interception));
	if (c->oidc_issuer.n && !cv_str_has_prefix(c->oidc_issuer, CV_STR("https://")) &&
		!cv_str_has_prefix(c->oidc_issuer, CV_STR("http://")))
		cv_gw_config_refuse(c, "oidc.issuer", findings, err,
			"expected an http or https URL, found '%.*s'",
			CV_POLICY_QUOTE(c->oidc_issuer));
	/* Its value is not shown: it may hold a password. */
	if (c->database.n && !cv_str_has_prefix(c->database, CV_STR("sqlite:")) &&
		!cv_str_has_prefix(c->database, CV_STR("postgres://")) &&
		!cv_str_has_prefix(c->database, CV_STR("postgresql://")))
		cv_gw_config_refuse(
			c, "database", findings, err, "expected sqlite:PATH or postgres://...");
	if (c->state_dir.n && c->state_dir.p[0] != '/')
		cv_gw_config_refuse(c, "state_dir", findings, err,
			"expected an absolute path, found '%.*s'", CV_POLICY_QUOTE(c->state_dir));
}

/* Options that belong together. */
static void pairs_check(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err)
{
	if (!c->tls_cert.n != !c->tls_key.n)
		cv_gw_config_refuse(c, c->tls_cert.n ? "tls.cert" : "tls.key", findings, err,
			"tls.cert and tls.key need each other");
	if (!c->rate_requests != !c->rate_window)
		cv_gw_config_refuse(c,
			c->rate_requests ? "rate_limit.requests" : "rate_limit.window_secs",
			findings, err,
			"rate_limit.requests and rate_limit.window_secs need each other");
	if (c->quota_default_memory == CV_QUOTA_UNLIMITED)
		cv_gw_config_refuse(c, "quotas.default_request.memory", findings, err,
			"expected an amount, and not unlimited");
	if (c->quota_default_cpu == CV_QUOTA_UNLIMITED)
		cv_gw_config_refuse(c, "quotas.default_request.cpu", findings, err,
			"expected an amount, and not unlimited");
	if (c->queue_workspace_length > c->queue_length)
		cv_gw_config_refuse(c, "quotas.queue.workspace_length", findings, err,
			"expected at most quotas.queue.length, which is %u, found %u",
			c->queue_length, c->queue_workspace_length);
}

static void whole_check(const struct cv_gw_config *c, const struct cv_gw_config_source *s,
	struct cv_findings *findings, struct cv_err *err)
{
	ranges_check(c, findings, err);
	words_check(c, findings, err);
	pairs_check(c, findings, err);
	for (size_t i = 0; s->checks && s->checks[i]; i++)
		s->checks[i](c, findings, err);
}

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
	c->origin = cv_arena_array(&c->arena, CV_ARRAY_LEN(option), sizeof(*c->origin));
	cv_assert(c->origin); /* the first few bytes of it */
	for (size_t i = 0; i < CV_ARRAY_LEN(option); i++)
		cv_assert(!put(c, &option[i], cv_str_of(option[i].def)));
	c->path = cv_arena_str(&c->arena, s->file_name);
	if (s->file.p)
		file_read(c, s->file, findings);
	if (env_read(c, s->env, err) == CV_OK)
		(void)flags_read(c, s, err);
	if (c->arena.is_overflown)
		(void)cv_fail(err, CV_LIMIT, "the configuration is too large");
	else
		whole_check(c, s, findings, err);
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

static bool is_same(
	const struct cv_gw_config *a, const struct cv_gw_config *b, const struct option *o)
{
	const void *x = (const char *)a + o->at, *y = (const char *)b + o->at;
	const struct cv_gw_config_list *l = x, *m = y;

	if (o->type == TEXT)
		return cv_str_eq(*(const struct cv_str *)x, *(const struct cv_str *)y);
	if (o->type != LIST && o->type != MAP && o->type != QUOTAS)
		return memcmp(x, y, o->bytes) == 0;
	cv_assert(o->type == LIST); /* no map is fixed */
	if (l->n != m->n)
		return false;
	for (size_t i = 0; i < l->n; i++)
		if (!cv_str_eq(l->v[i], m->v[i]))
			return false;
	return true;
}

void cv_gw_config_keep_fixed(
	const struct cv_gw_config *old, struct cv_gw_config *next, struct cv_buf *ret_changed)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(option); i++) {
		const struct option *o = &option[i];

		if (o->life != FIXED || is_same(old, next, o))
			continue;
		if (ret_changed)
			cv_buf_printf(
				ret_changed, "%s%s", cv_buf_len(ret_changed) ? ", " : "", o->key);
		if (o->type == TEXT)
			*(struct cv_str *)field_of(next, o) = cv_arena_str(
				&next->arena, *(const struct cv_str *)((const char *)old + o->at));
		else if (o->type == LIST) {
			const struct cv_gw_config_list *l =
				(const void *)((const char *)old + o->at);

			list_forget(next, o);
			for (size_t k = 0; k < l->n; k++)
				(void)list_add(next, field_of(next, o), l->v[k]);
		} else
			memcpy(field_of(next, o), (const char *)old + o->at, o->bytes);
	}
}

/* What help shows and completion takes for values that are more than some text. */
static const struct {
	const char *flag, *value;
} value_name[] = {
	{ "log-level", "error|warn|info|debug|trace" },
	{ "log-format", "text|json" },
	{ "state-dir", "DIR" },
	{ "policies-dir", "DIR" },
	{ "profiles-dir", "DIR" },
	{ "tls-cert", "FILE" },
	{ "tls-key", "FILE" },
	{ "tls-client-ca", "FILE" },
	{ "oidc-ca", "FILE" },
	{ "traces-ca", "FILE" },
	{ "upstream-ca", "FILE" },
};

static const char *value_name_of(const struct option *o)
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
	for (size_t i = 0; i < CV_ARRAY_LEN(option); i++) {
		const struct option *o = &option[i];

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
