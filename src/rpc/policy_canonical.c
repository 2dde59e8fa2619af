/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_canonical.c - around once: text, document, message; the canonical form and its hash
 *
 * A message is judged by what its text means (policy_pb.h), so every way leads through the loader,
 * and what the loader found first is the error.
 */
#include "rpc/policy_pb.h"

#include "policy/findings.h"

#include <stdio.h>
#include <stdlib.h>

void cv_findings_first(const struct cv_findings *f, struct cv_err *err)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct cv_finding *v = &f->v[i];

		if (!v->is_error)
			continue;
		(void)cv_fail(err, CV_INVALID, "%.*s%s%.*s%s%.*s", CV_STR_ARG(v->where),
			v->where.n ? ": " : "", CV_STR_ARG(v->message), v->fix.n ? "; " : "",
			CV_STR_ARG(v->fix));
		return;
	}
	(void)cv_fail(err, CV_INVALID, "the policy has errors");
}

cv_code cv_policy_pb_from_text(struct cv_str file, struct cv_str text, struct cv_arena *arena,
	cv_policy_pb **ret, struct cv_err *err)
{
	struct cv_policy_doc *doc = NULL;
	struct cv_findings findings;
	cv_code code;

	cv_findings_init(&findings);
	code = cv_policy_load(file, text, &doc, &findings);
	if (code != CV_OK)
		cv_findings_first(&findings, err);
	else
		code = cv_policy_pb_from_doc(doc, arena, ret, err);
	cv_policy_doc_free(doc);
	cv_findings_fini(&findings);
	return code;
}

cv_code cv_policy_pb_to_doc(const cv_policy_pb *m, struct cv_policy_doc **ret, struct cv_err *err)
{
	struct cv_findings findings;
	struct cv_buf text;
	cv_code code;

	cv_buf_init(&text, CV_POLICY_PB_TEXT_BYTES_MAX);
	cv_findings_init(&findings);
	findings.has_no_lines = true;
	code = cv_policy_pb_text(m, &text, err);
	if (code == CV_OK) {
		code = cv_policy_load(CV_STR("policy"), cv_buf_str(&text), ret, &findings);
		if (code != CV_OK)
			cv_findings_first(&findings, err);
	}
	cv_findings_fini(&findings);
	cv_buf_fini(&text);
	return code;
}

cv_code cv_policy_pb_canonical(
	const cv_policy_pb *m, struct cv_arena *arena, cv_policy_pb **ret, struct cv_err *err)
{
	const size_t n = protobuf_c_message_get_packed_size(&m->base);
	struct cv_policy_doc *doc;

	if (n > CV_POLICY_PB_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "policy exceeds maximum encoded size (%zu > %u)", n,
			CV_POLICY_PB_BYTES_MAX);
	cv_code code = cv_policy_pb_to_doc(m, &doc, err);
	if (code != CV_OK)
		return code;
	code = cv_policy_pb_from_doc(doc, arena, ret, err);
	cv_policy_doc_free(doc);
	return code;
}

cv_code cv_policy_pb_hash(const cv_policy_pb *m, char ret[CV_POLICY_HASH_BYTES], struct cv_err *err)
{
	const size_t n = protobuf_c_message_get_packed_size(&m->base);
	unsigned char digest[CV_SHA256_BYTES];
	uint8_t *bytes = malloc(n ? n : 1);
	struct cv_sha256 s;

	if (!bytes)
		return cv_fail(err, CV_LIMIT, "no memory for a policy of %zu bytes", n);
	protobuf_c_message_pack(&m->base, bytes);
	cv_sha256_init(&s);
	cv_sha256_update(&s, bytes, n);
	cv_sha256_final(&s, digest);
	free(bytes);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return CV_OK;
}
