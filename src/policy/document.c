/* SPDX-License-Identifier: Apache-2.0 */
/*
 * document.c - one YAML document whose root is a mapping, filled by a table
 */
#include "policy/fill_int.h"

static void read_root(struct cv_yaml *y, const struct cv_fill_noun *noun,
	const struct cv_fill_table *table, void *obj, struct cv_arena *arena)
{
	const enum cv_yaml_type type = cv_yaml_type(y);

	if (type == CV_YAML_MAPPING) {
		cv_fill(y, table, obj, arena);
		return;
	}
	if (type == CV_YAML_NULL)
		cv_findings_add(y->findings, CV_FINDING_ERROR, cv_yaml_pos(y), CV_STR_NONE,
			noun->minimum, "the %s is empty", noun->name);
	else
		cv_findings_add(y->findings, CV_FINDING_ERROR, cv_yaml_pos(y), CV_STR_NONE,
			noun->start, "a %s is a mapping of keys, this is %s", noun->name,
			cv_yaml_type_name(type));
	cv_yaml_skip(y);
}

static void read_stream(struct cv_yaml *y, const struct cv_fill_noun *noun,
	const struct cv_fill_table *table, void *obj, struct cv_arena *arena)
{
	unsigned documents = 0;

	while (cv_yaml_next(y)) {
		if (y->ev.type != YAML_DOCUMENT_START_EVENT)
			continue; /* the stream's start, the document's end */
		if (documents++) {
			cv_findings_add(y->findings, CV_FINDING_ERROR, cv_yaml_pos(y), CV_STR_NONE,
				"keep one of them in this file",
				"a second YAML document begins here");
			return;
		}
		if (cv_yaml_next(y))
			read_root(y, noun, table, obj, arena);
	}
	if (!documents && !y->findings->error_count)
		cv_findings_add(y->findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 1, 1 },
			CV_STR_NONE, noun->minimum, "the %s is empty", noun->name);
}

cv_code cv_fill_document(struct cv_str text, const struct cv_fill_noun *noun,
	const struct cv_fill_table *table, void *obj, struct cv_arena *arena,
	struct cv_findings *findings)
{
	const size_t before = findings->error_count;
	struct cv_yaml y;

	if (cv_yaml_open(&y, text, noun->name, findings)) {
		read_stream(&y, noun, table, obj, arena);
		cv_yaml_close(&y);
	}
	if (arena->is_overflown)
		cv_findings_add(findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 },
			CV_STR_NONE, noun->shorten, "the %s needs more than %zu MiB of memory",
			noun->name, arena->max >> 20);
	return cv_findings_code(findings, before);
}
