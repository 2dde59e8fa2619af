/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a policy's YAML becomes JSON that says the same, or nothing.
 * Method: documents and their JSON by table.
 */
#include "unit/test.h"

#include "policy/yaml_json.c"

static void documents(void **state)
{
	static const struct {
		const char *yaml, *json; /* NULL: refused */
	} row[] = {
		{ "a: 1", "{\"a\":1}" },
		{ "a: [1, -2.5, x, \"1\", true, False, ~, null]\n",
			"{\"a\":[1,-2.5,\"x\",\"1\",true,false,null,null]}" },
		{ "- a: {b: {c: []}}\n  d: {}\n- []\n",
			"[{\"a\":{\"b\":{\"c\":[]}},\"d\":{}},[]]" },
		{ "1: x\ntrue: y\n", "{\"1\":\"x\",\"true\":\"y\"}" },
		{ "a: 1.2.3\nb: 01\nc: +1\nd: .5\ne: 5.\nf: 0.5\n",
			"{\"a\":\"1.2.3\",\"b\":\"01\",\"c\":\"+1\",\"d\":\".5\",\"e\":\"5.\",\"f\":0.5}" },
		{ "a: \"q\\\"\\n\"\n", "{\"a\":\"q\\\"\\n\"}" },
		{ "a: |\n  two\n  lines\n", "{\"a\":\"two\\nlines\\n\"}" },
		{ "word", "\"word\"" },
		{ "[a, b]: 1\n", NULL },
		{ "a: &x 1\nb: *x\n", NULL },
		{ "a: 1\n---\nb: 2\n", NULL },
		{ "a: [1\n", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_buf b;

		cv_buf_init(&b, 4096);
		const bool is_good = cv_policy_yaml_to_json(cv_str_of(row[i].yaml), &b);
		if (is_good != (row[i].json != NULL))
			fail_msg("%s: %d, %.*s", row[i].yaml, is_good, CV_STR_ARG(cv_buf_str(&b)));
		if (is_good)
			assert_str(cv_buf_str(&b), row[i].json);
		cv_buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
