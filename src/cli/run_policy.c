/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_policy.c - a policy's static sections into the spec
 *
 * The text is judged here, so that a bad policy stops the run before anything starts; the proxy
 * judges it again by the same functions, from the supervisor's own reading of the file.
 */
#include "cli/run_int.h"

#include "policy/findings.h"
#include "policy/policy.h"

#include <stdlib.h>

#define FINDINGS_BYTES_MAX (1u << 20) /* CV_POLICY_FINDINGS_MAX of them, each a long line */

static cv_code paths_add(struct cv_run_spec *s, const struct cv_policy_texts *texts,
	bool is_writable, struct cv_spec_path *v, struct cv_arena *arena, struct cv_err *err)
{
	for (size_t i = 0; i < texts->n; i++) {
		const struct cv_str path = cv_arena_str(arena, texts->v[i].s);

		if (!path.p)
			return cv_fail(err, CV_LIMIT, "no memory for the policy's paths");
		v[s->path_count++] = (struct cv_spec_path){
			.path = path, .kind = run_path_kind(path.p), .is_writable = is_writable
		};
	}
	return CV_OK;
}

static cv_code sections_take(struct cv_run_spec *s, const struct cv_policy_doc *doc,
	struct cv_arena *arena, struct cv_err *err)
{
	struct cv_spec_path *v =
		cv_arena_array(arena, doc->read_only.n + doc->read_write.n + 1, sizeof(*v));

	if (!v)
		return cv_fail(err, CV_LIMIT, "no memory for the policy's paths");
	s->paths = v;
	s->landlock = doc->landlock;
	s->include_workdir = doc->include_workdir || !doc->has_filesystem;
	if (!s->user.n)
		s->user = cv_arena_str(arena, doc->run_as_user.s);
	s->group = cv_arena_str(arena, doc->run_as_group.s);
	const cv_code code = paths_add(s, &doc->read_only, false, v, arena, err);
	return code == CV_OK ? paths_add(s, &doc->read_write, true, v, arena, err) : code;
}

static void findings_print(const struct cv_run_request *r, const struct cv_findings *findings)
{
	struct cv_buf b;

	if (!findings->n || (r->spec.is_quiet && !findings->error_count))
		return;
	cv_buf_init(&b, FINDINGS_BYTES_MAX);
	cv_findings_text(findings, cv_str_of(r->policy_path), &b);
	fprintf(stderr, "%.*s", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
}

static cv_code judge(struct cv_run_request *r, struct cv_str text, struct cv_findings *findings,
	struct cv_arena *arena, struct cv_err *err)
{
	struct cv_policy *policy = NULL;
	cv_code code = cv_policy_open(cv_str_of(r->policy_path), text, &policy, findings);

	if (code == CV_OK && cv_policy_doc(policy))
		code = cv_policy_enforceable(cv_policy_doc(policy), findings);
	findings_print(r, findings);
	if (code != CV_OK) {
		cv_policy_unref(policy);
		return cv_fail(err, code, "policy %s: %zu errors; nothing was started",
			r->policy_path, findings->error_count);
	}
	r->spec.has_network = cv_policy_has_network(policy);
	if (cv_policy_doc(policy))
		code = sections_take(&r->spec, cv_policy_doc(policy), arena, err);
	cv_policy_unref(policy);
	return code;
}

cv_code run_policy_fill(struct cv_run_request *r, struct cv_arena *arena, struct cv_err *err)
{
	struct cv_findings findings;
	char *text;
	size_t bytes;
	cv_code code = cv_policy_file_read(r->policy_path, &text, &bytes, err);

	if (code != CV_OK)
		return code;
	cv_findings_init(&findings);
	code = judge(r, (struct cv_str){ text, bytes }, &findings, arena, err);
	cv_findings_fini(&findings);
	free(text);
	return code;
}
