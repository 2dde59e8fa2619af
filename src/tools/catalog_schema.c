/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_schema.c - the inputs of a catalog's tools, compiled
 */
#include "tools/schema.h"

#include "policy/findings.h"
#include "tools/catalog.h"

#include <stdio.h>

void cv_catalog_schemas(struct cv_catalog *catalog, struct cv_findings *findings);
void cv_catalog_schemas_free(struct cv_catalog *catalog);
struct cv_policy_pos cv_catalog_value_pos(const struct cv_value *v);

static void report(
	const struct cv_tool *tool, const struct cv_schema_errors *errors, struct cv_findings *f)
{
	char place[256];

	for (size_t i = 0; i < errors->n; i++) {
		const struct cv_schema_error *e = &errors->e[i];

		snprintf(place, sizeof(place), "%.*s.input%.*s", CV_POLICY_QUOTE(tool->name),
			CV_POLICY_QUOTE(e->pointer));
		cv_findings_add(f, CV_FINDING_ERROR,
			e->at ? cv_catalog_value_pos(e->at) : tool->pos, cv_str_of(place), NULL,
			"%.*s", CV_STR_ARG(e->message));
	}
	if (!errors->n)
		cv_findings_add(f, CV_FINDING_ERROR, tool->pos, tool->name, NULL,
			"input: the schema is too large");
}

void cv_catalog_schemas(struct cv_catalog *catalog, struct cv_findings *findings)
{
	struct cv_schema_errors errors;

	catalog->schemas =
		cv_arena_array(&catalog->arena, catalog->tool_count + 1, sizeof(*catalog->schemas));
	if (!catalog->schemas)
		return;
	for (size_t i = 0; i < catalog->tool_count; i++) {
		struct cv_tool *tool = &catalog->tools[i];

		cv_schema_errors_init(&errors, &catalog->arena);
		if (cv_schema_compile(tool->input, 0, &tool->schema, &errors) == CV_OK)
			catalog->schemas[catalog->schema_count++] = tool->schema;
		else
			report(tool, &errors, findings);
	}
}

void cv_catalog_schemas_free(struct cv_catalog *catalog)
{
	for (size_t i = 0; i < catalog->schema_count; i++)
		cv_schema_free(catalog->schemas[i]);
}
