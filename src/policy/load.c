/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - text to document: one YAML document whose root is a mapping, filled by the tables
 *
 * Nothing is kept of a document with an error: a policy is whole or it is not there.
 */
#include "policy/fill_int.h"

#include <stdlib.h>

static void doc_error(
	struct cv_yaml *y, struct cv_policy_pos pos, const char *fix, const char *what)
{
	cv_findings_add(y->findings, CV_FINDING_ERROR, pos, CV_STR_NONE, fix, "%s", what);
}

static void read_root(struct cv_yaml *y, struct cv_policy_doc *doc)
{
	const enum cv_yaml_type type = cv_yaml_type(y);

	if (type == CV_YAML_MAPPING) {
		cv_fill(y, &cv_policy_schema, doc, &doc->arena);
		return;
	}
	if (type == CV_YAML_NULL)
		doc_error(y, cv_yaml_pos(y), "it needs at least \"version: 1\"",
			"the policy is empty");
	else
		cv_findings_add(y->findings, CV_FINDING_ERROR, cv_yaml_pos(y), CV_STR_NONE,
			"it begins with \"version: 1\"",
			"a policy is a mapping of keys, this is %s", cv_yaml_type_name(type));
	cv_yaml_skip(y);
}

static void read_stream(struct cv_yaml *y, struct cv_policy_doc *doc)
{
	unsigned documents = 0;

	while (cv_yaml_next(y)) {
		if (y->ev.type != YAML_DOCUMENT_START_EVENT)
			continue; /* the stream's start, the document's end */
		if (documents++) {
			doc_error(y, cv_yaml_pos(y), "keep one of them in this file",
				"a second YAML document begins here");
			return;
		}
		if (cv_yaml_next(y))
			read_root(y, doc);
	}
	if (!documents && !y->findings->error_count)
		doc_error(y, (struct cv_policy_pos){ 1, 1 }, "it needs at least \"version: 1\"",
			"the policy is empty");
}

static void names_default(struct cv_policy_doc *doc)
{
	for (size_t i = 0; i < doc->entry_count; i++)
		if (!doc->entries[i].name.n)
			doc->entries[i].name = doc->entries[i].key.s;
}

static struct cv_policy_doc *doc_new(struct cv_str file)
{
	struct cv_policy_doc *doc = calloc(1, sizeof(*doc));

	if (!doc)
		return NULL;
	cv_arena_init(&doc->arena, CV_POLICY_DOC_BYTES_MAX);
	doc->file = cv_arena_str(&doc->arena, file);
	return doc;
}

cv_code cv_policy_load(struct cv_str file, struct cv_str text, struct cv_policy_doc **ret_doc,
	struct cv_findings *findings)
{
	const size_t before = findings->error_count;
	struct cv_policy_doc *doc = doc_new(file);
	struct cv_yaml y;

	*ret_doc = NULL;
	if (doc && cv_yaml_open(&y, text, findings)) {
		read_stream(&y, doc);
		cv_yaml_close(&y);
	}
	if (!doc || doc->arena.is_overflown)
		cv_findings_add(findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 },
			CV_STR_NONE, "merge endpoints that differ in nothing but the host",
			"the policy needs more than %u MiB of memory",
			CV_POLICY_DOC_BYTES_MAX >> 20);
	if (findings->error_count > before) {
		cv_policy_doc_free(doc);
		return CV_INVALID;
	}
	for (size_t i = 0; i < doc->entry_count; i++)
		if (!doc->entries[i].name.n)
			doc->entries[i].name = doc->entries[i].key.s;
	if (!doc->has_filesystem)
		doc->include_workdir = true; /* model.h says why */
	names_default(doc);
	*ret_doc = doc;
	return CV_OK;
}

void cv_policy_doc_free(struct cv_policy_doc *doc)
{
	if (!doc)
		return;
	cv_arena_fini(&doc->arena);
	free(doc);
}
