/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: one description of a value is right as JSON and as YAML; tables keep their columns and show
 * no stranger's escapes. */
#include "unit/test.h"

#include "client/out.c"

static void describe(struct cl_out *o, enum cl_form form)
{
	cl_out_init(o, form);
	cl_out_array(o, NULL);
	cl_out_object(o, NULL);
	cl_out_str(o, "name", "box");
	cl_out_object(o, "labels");
	cl_out_end(o);
	cl_out_array(o, "keys");
	cl_out_str(o, NULL, "yes");
	cl_out_str(o, NULL, "a\nb");
	cl_out_end(o);
	cl_out_object(o, "auth");
	cl_out_bool(o, "on", true);
	cl_out_int(o, "n", -3);
	cl_out_str(o, "none", NULL);
	cl_out_end(o);
	cl_out_end(o);
	cl_out_end(o);
}

static void test_json(void **state)
{
	struct cl_out o;

	(void)state;
	describe(&o, CL_FORM_JSON);
	assert_str(cv_buf_str(&o.b),
		"[\n  {\n    \"name\": \"box\",\n    \"labels\": {},\n    \"keys\": [\n"
		"      \"yes\",\n      \"a\\nb\"\n    ],\n    \"auth\": {\n      \"on\": true,\n"
		"      \"n\": -3,\n      \"none\": null\n    }\n  }\n]\n");
	cl_out_fini(&o);
}

static void test_yaml(void **state)
{
	struct cl_out o;

	(void)state;
	describe(&o, CL_FORM_YAML);
	assert_str(cv_buf_str(&o.b),
		"- name: box\n  labels: {}\n  keys:\n  - \"yes\"\n  - \"a\\nb\"\n  auth:\n"
		"    \"on\": true\n    \"n\": -3\n    none: null\n");
	cl_out_fini(&o);
}

/* What hides in text is escaped; beyond 16 bits JSON has halves for it, and YAML must not. */
static void test_hidden_characters(void **state)
{
	static const char text[] = "\xf3\xa0\x80\x81\\ud800 \xe2\x80\xae \xf0\x9f\x98\x80\"";
	static const char *const want[] = {
		[CL_FORM_JSON] = "\"\\udb40\\udc01\\\\ud800 \\u202e \xf0\x9f\x98\x80\\\"\"",
		[CL_FORM_YAML] = "\"\\U000e0001\\\\ud800 \\u202e \xf0\x9f\x98\x80\\\"\"",
	};
	struct cl_out o;

	(void)state;
	for (int form = CL_FORM_JSON; form <= CL_FORM_YAML; form++) {
		cl_out_init(&o, (enum cl_form)form);
		cl_out_str(&o, NULL, text);
		assert_str(cv_buf_str(&o.b), want[form]);
		cl_out_fini(&o);
	}
}

static void test_empty(void **state)
{
	struct cl_out o;

	(void)state;
	for (int form = CL_FORM_JSON; form <= CL_FORM_YAML; form++) {
		cl_out_init(&o, (enum cl_form)form);
		cl_out_array(&o, NULL);
		cl_out_end(&o);
		assert_str(cv_buf_str(&o.b), "[]\n");
		cl_out_fini(&o);
	}
}

static void test_p9_table_is_aligned_and_escaped(void **state)
{
	struct cl_table t;
	struct cv_buf b;

	(void)state;
	cl_table_init(&t, 2);
	cl_table_cell(&t, CV_STR("NAME"));
	cl_table_cell(&t, CV_STR("PHASE"));
	cl_table_cell(&t, CV_STR("a\033[2Jb"));
	cl_table_cell(&t, CV_STR("Ready"));
	cv_buf_init(&b, 4096);
	cl_table_put(&t, &b);
	assert_str(cv_buf_str(&b), "NAME         PHASE\na\\u{1b}[2Jb  Ready\n");
	cv_buf_fini(&b);
	cl_table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_yaml),
		cmocka_unit_test(test_hidden_characters),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_p9_table_is_aligned_and_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
