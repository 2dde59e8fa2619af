/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doc.c - a document's life; apart from the reader, so that who only compiles holds no YAML
 */
#include "policy/limits.h"
#include "policy/policy.h"

#include <stdlib.h>

struct cv_policy_doc *cv_policy_doc_new(struct cv_str file)
{
	struct cv_policy_doc *doc = calloc(1, sizeof(*doc));

	if (!doc)
		return NULL;
	cv_arena_init(&doc->arena, CV_POLICY_DOC_BYTES_MAX);
	doc->file = cv_arena_str(&doc->arena, file);
	return doc;
}

void cv_policy_doc_free(struct cv_policy_doc *doc)
{
	if (!doc)
		return;
	cv_policy_doc_free(doc->layer);
	cv_arena_fini(&doc->arena);
	free(doc);
}
