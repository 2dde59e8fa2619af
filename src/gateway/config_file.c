/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_file.c - the configuration's file: mappings in mappings, by the keys of the table
 */
#include "gateway/config_int.h"

#include "base/word.h"
#include "policy/findings.h"
#include "policy/yaml_events.h"

#include <stdio.h>

struct reading {
	struct cv_gw_config *c;
	struct cv_yaml *y;
	bool is_seen[CV_GW_OPTION_COUNT];
};

#define REPORT(r, pos, fix, ...) \
	cv_findings_add((r)->y->findings, CV_FINDING_ERROR, pos, CV_STR_NONE, fix, __VA_ARGS__)

/* What is behind the section and its dot ("": all); p NULL: the key is not in it. */
static struct cv_str key_within(const struct cv_gw_option *o, struct cv_str section)
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
	for (size_t i = 0; i < CV_GW_OPTION_COUNT; i++)
		if (key.n && key_within(&cv_gw_option[i], key).p)
			return true;
	return false;
}

static void unknown_key(
	struct reading *r, struct cv_policy_pos pos, struct cv_str section, struct cv_str key)
{
	struct cv_word_search near;
	char fix[160] = "";

	cv_word_search_init(&near, key);
	for (size_t i = 0; i < CV_GW_OPTION_COUNT; i++) {
		struct cv_str rest = key_within(&cv_gw_option[i], section);

		if (rest.p)
			cv_word_search_offer(&near, cv_str_cut(&rest, '.'));
	}
	if (near.nearest.p)
		snprintf(fix, sizeof(fix), "did you mean '%.*s'?", CV_STR_ARG(near.nearest));
	REPORT(r, pos, fix[0] ? fix : NULL, "unknown key '%.*s'", CV_POLICY_QUOTE(key));
}

static void list_read(struct reading *r, const struct cv_gw_option *o)
{
	while (cv_yaml_next(r->y) && r->y->ev.type != YAML_SEQUENCE_END_EVENT) {
		if (r->y->ev.type != YAML_SCALAR_EVENT) {
			REPORT(r, cv_yaml_pos(r->y), NULL, "%s: expected text", o->key);
			cv_yaml_skip(r->y);
		} else if (!cv_gw_option_list_add(
				   r->c, cv_gw_option_field(r->c, o), cv_yaml_scalar(r->y))) {
			REPORT(r, cv_yaml_pos(r->y), NULL, "%s: too long", o->key);
		}
	}
}

static void map_read(struct reading *r, const struct cv_gw_option *o)
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
		} else if (!cv_gw_option_map_add(r->c, cv_gw_option_field(r->c, o), cv_str_of(key),
				   cv_yaml_scalar(r->y), pos)) {
			REPORT(r, pos, NULL, "%s: too many entries", o->key);
		}
	}
}

/* {sandboxes: 5, memory: 16Gi, cpu: 4} */
static void quota_read(struct reading *r, const char *name, struct cv_quota_amount *ret)
{
	static const enum cv_gw_option_type type[CV_QUOTA_COUNT] = { PIECES, MEMORY, CPU };

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
			wanted = cv_gw_option_amount(type[i], cv_yaml_scalar(r->y), &ret->v[i]);
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
	if (!v || !cv_gw_option_list_add(c, &names, name))
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
static void quotas_read(struct reading *r, const struct cv_gw_option *o)
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
		if (name[0] && !quota_add(r->c, cv_gw_option_field(r->c, o), cv_str_of(name), &own))
			REPORT(r, pos, NULL, "%s.%s is said twice, or is one too many", o->key,
				name);
	}
}

static void value_read(struct reading *r, const struct cv_gw_option *o)
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
		wanted = cv_gw_option_put(r->c, o, cv_yaml_scalar(r->y));
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
		const struct cv_gw_option *o =
			(size_t)n < sizeof(key) ? cv_gw_option_by_key(cv_str_of(key)) : NULL;
		const bool is_head = !o && (size_t)n < sizeof(key) && is_section(cv_str_of(key));

		if (!o && !is_head)
			unknown_key(r, pos, section, word);
		if (o && r->is_seen[o - cv_gw_option])
			REPORT(r, pos, NULL, "%s is said twice", o->key);
		if (o)
			r->is_seen[o - cv_gw_option] = true;
		if (!word.p)
			cv_yaml_skip(r->y);
		if (!cv_yaml_next(r->y))
			return;
		if (o) {
			cv_gw_option_said(r->c, o, CV_GW_BY_FILE, cv_yaml_pos(r->y));
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

void cv_gw_config_file_read(
	struct cv_gw_config *c, struct cv_str text, struct cv_findings *findings)
{
	struct cv_yaml y;
	struct reading r = { .c = c, .y = &y };

	if (cv_yaml_open(&y, text, "configuration", findings)) {
		documents_read(&r);
		cv_yaml_close(&y);
	}
}
