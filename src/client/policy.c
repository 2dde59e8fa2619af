/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.c - policies between files, messages and what is printed
 *
 * What is printed is a policy's text as any file of one; its JSON is the same text as JSON.
 */
#include "client/policy.h"

#include "policy/yaml_json.h"
#include "wire/json_value.h"

cv_policy_pb *cl_policy_read(struct cl *c, const char *path)
{
	const struct cv_str text = cl_file_read(c, path, CL_FILE_BYTES_MAX);
	cv_policy_pb *m = NULL;
	struct cv_err err;

	if (cv_policy_pb_from_text(cv_str_of(path), text, &c->arena, &m, &err) != CV_OK)
		cl_die(c,
			"failed to parse policy %s: %s\n"
			"hint: all that is wrong, and where: cove policy check %s",
			cl_shown(c, path), cl_shown(c, err.msg), cl_shown(c, path));
	return m;
}

static void text_put(struct cl *c, const cv_policy_pb *m, struct cv_buf *out)
{
	struct cv_err err;

	cv_buf_init(out, CV_POLICY_PB_TEXT_BYTES_MAX);
	if (cv_policy_pb_text(m, out, &err) != CV_OK)
		cl_die(c, "the gateway's policy cannot be shown: %s", cl_shown(c, err.msg));
}

void cl_policy_print(struct cl *c, const cv_policy_pb *m)
{
	struct cv_buf b;

	text_put(c, m, &b);
	cl_write(c, cv_buf_str(&b));
	cv_buf_fini(&b);
}

void cl_policy_out(struct cl *c, struct cl_out *o, const char *key, const cv_policy_pb *m)
{
	const struct cv_value *v;
	struct cv_buf yaml, json;
	size_t at;

	text_put(c, m, &yaml);
	cv_buf_init(&json, CL_OUT_BYTES_MAX);
	if (!cv_policy_yaml_to_json(cv_buf_str(&yaml), &json) ||
		cv_json_value_read(cv_arena_str(&c->arena, cv_buf_str(&json)), &c->arena, &v,
			&at) != CV_JSON_PROBLEM_NONE)
		cl_die(c, "the gateway's policy is larger than this client can show");
	cl_out_value(o, key, v);
	cv_buf_fini(&json);
	cv_buf_fini(&yaml);
}
