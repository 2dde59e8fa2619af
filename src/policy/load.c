/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - text to document, filled by the tables of schema.c
 *
 * Nothing is kept of a document with an error: a policy is whole or it is not there.
 */
#include "policy/fill.h"
#include "policy/findings.h"

#include <stdlib.h>

static const struct cv_fill_noun policy_noun = {
	.name = "policy",
	.minimum = "it needs at least \"version: 1\"",
	.start = "it begins with \"version: 1\"",
	.shorten = "merge endpoints that differ in nothing but the host",
};

static void names_default(struct cv_policy_doc *doc)
{
	for (size_t i = 0; i < doc->entry_count; i++)
		if (!doc->entries[i].name.n)
			doc->entries[i].name = doc->entries[i].key.s;
}

cv_code cv_policy_load(struct cv_str file, struct cv_str text, struct cv_policy_doc **ret_doc,
	struct cv_findings *findings)
{
	struct cv_policy_doc *doc = cv_policy_doc_new(file);

	*ret_doc = NULL;
	if (!doc)
		cv_findings_add(findings, CV_FINDING_ERROR, (struct cv_policy_pos){ 0 },
			CV_STR_NONE, NULL, "out of memory");
	if (!doc || cv_fill_document(text, &policy_noun, &cv_policy_schema, doc, &doc->arena,
			    findings) != CV_OK) {
		cv_policy_doc_free(doc);
		return CV_INVALID;
	}
	if (!doc->has_filesystem)
		doc->include_workdir = true; /* model.h says why */
	names_default(doc);
	*ret_doc = doc;
	return CV_OK;
}

/* ---- layers ---- */

static const struct cv_policy_pos nowhere;

/* The layer's text is ours: its places would send the user looking in a file that has no such
 * line. */
static void places_forget(struct cv_policy_entry *e)
{
	e->pos = e->key.pos = nowhere;
	for (size_t i = 0; i < e->endpoint_count; i++) {
		struct cv_policy_endpoint *ep = &e->endpoints[i];

		ep->pos = ep->ports_pos = ep->host.pos = ep->path.pos = nowhere;
		ep->rules.pos = ep->deny_rules.pos = nowhere;
		for (size_t k = 0; k < ep->rules.n; k++)
			ep->rules.v[k].pos = nowhere;
		for (size_t k = 0; k < ep->deny_rules.n; k++)
			ep->deny_rules.v[k].pos = nowhere;
	}
}

static bool is_providers(const struct cv_policy_doc *layer)
{
	for (size_t i = 0; i < layer->entry_count; i++)
		if (!cv_str_has_prefix(layer->entries[i].key.s, CV_STR(CV_POLICY_PROVIDER_PREFIX)))
			return false;
	return layer->middleware_count == 0 && !layer->has_tools;
}

/* Takes layer, also on failure. */
static bool layer_add(struct cv_policy_doc *doc, struct cv_policy_doc *layer)
{
	const size_t n = doc->entry_count + layer->entry_count;
	struct cv_policy_entry *v = cv_arena_array(&doc->arena, n, sizeof(*v));

	doc->layer = layer;
	if (!v || !is_providers(layer))
		return false;
	for (size_t i = 0; i < doc->entry_count; i++)
		v[i] = doc->entries[i];
	for (size_t i = 0; i < layer->entry_count; i++) {
		v[doc->entry_count + i] = layer->entries[i];
		v[doc->entry_count + i].is_provider = true;
		places_forget(&v[doc->entry_count + i]);
	}
	doc->entries = v;
	doc->entry_count = n;
	doc->has_providers = true;
	return true;
}

cv_code cv_policy_load_layered(struct cv_str file, struct cv_str text, struct cv_str layer_text,
	struct cv_policy_doc **ret_doc, struct cv_findings *findings)
{
	struct cv_policy_doc *doc, *layer;
	cv_code code = cv_policy_load(file, text, &doc, findings);

	*ret_doc = NULL;
	if (code == CV_OK && layer_text.p) {
		code = cv_policy_load(CV_STR("providers"), layer_text, &layer, findings);
		if (code == CV_OK && !layer_add(doc, layer)) {
			cv_findings_add(findings, CV_FINDING_ERROR, nowhere, CV_STR_NONE, NULL,
				"the providers' rules can't be laid over the policy");
			code = CV_INVALID;
		}
		if (code != CV_OK)
			cv_policy_doc_free(doc);
	}
	if (code == CV_OK)
		*ret_doc = doc;
	return code;
}
