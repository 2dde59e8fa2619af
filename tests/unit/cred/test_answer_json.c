/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_answer_json.c - what a token endpoint may answer, and what is no such object
 */
#include "unit/test.h"

#include "cred/answer_json.c"

static cv_code parse(const char *text, struct cv_arena *arena, struct cv_json_object *o)
{
	struct cv_err err;

	cv_arena_init(arena, 65536);
	return cv_json_object_parse(cv_str_of(text), arena, o, &err);
}

static void members_of_every_type(void **state)
{
	struct cv_json_object o;
	struct cv_arena arena;
	uint64_t n = 7;

	(void)state;
	assert_int_equal(
		parse(" {\"access_token\" : \"a\\u00e9\\ud83d\\ude00\\n\\/\\\"\", \"expires_in\":3599,"
		      "\"q\":\"3600\",\"f\":1.5e+3,\"o\":{\"x\":[{},[],{\"a\":1}],\"y\":\"}\"},"
		      "\"l\":[1,2],\"t\":true,\"z\":null,\"neg\":-1}\r\n",
			&arena, &o),
		CV_OK);
	assert_int_equal(o.count, 9);
	assert_str(
		cv_json_get_string(&o, CV_STR("access_token")), "a\xc3\xa9\xf0\x9f\x98\x80\n/\"");
	assert_true(cv_json_get_u64(&o, CV_STR("expires_in"), 10000, &n));
	assert_int_equal(n, 3599);
	assert_true(cv_json_get_u64(&o, CV_STR("q"), 10000, &n));
	assert_int_equal(n, 3600);
	assert_false(cv_json_get_u64(&o, CV_STR("q"), 100, &n));
	assert_false(cv_json_get_u64(&o, CV_STR("f"), 10000, &n));
	assert_false(cv_json_get_u64(&o, CV_STR("neg"), 10000, &n));
	assert_false(cv_json_get_u64(&o, CV_STR("t"), 10000, &n));
	assert_str(cv_json_get(&o, CV_STR("o")).text, "{\"x\":[{},[],{\"a\":1}],\"y\":\"}\"}");
	assert_int_equal(cv_json_get(&o, CV_STR("z")).type, CV_JSON_NULL);
	assert_null(cv_json_get_string(&o, CV_STR("z")).p);
	assert_int_equal(cv_json_get(&o, CV_STR("missing")).type, CV_JSON_NONE);
	cv_arena_fini(&arena);
	assert_int_equal(parse("{}", &arena, &o), CV_OK);
	cv_arena_fini(&arena);
}

static void malformed(void **state)
{
	static const char *const texts[] = { "", "[]", "{", "{}x", "{\"a\"}", "{\"a\":}",
		"{\"a\":1,}", "{\"a\":1 \"b\":2}", "{'a':1}", "{\"a\":01}", "{\"a\":1.}",
		"{\"a\":1e}", "{\"a\":-}", "{\"a\":+1}", "{\"a\":tru}", "{\"a\":nullx}",
		"{\"a\":\"\x01\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\\x\"}", "{\"a\":\"\\ud800\"}",
		"{\"a\":\"\\udc00\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\", "{\"a\":\"b",
		"{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "{\"a\":[1,]}", "{\"a\":[1}",
		"{\"a\":{\"b\":1]}", "{\"a\":[", "{\"a\":{,}}",
		"{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", "{\"a\":1}{\"b\":2}", "{a:1}" };
	struct cv_json_object o;
	struct cv_arena arena;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(texts); i++) {
		if (parse(texts[i], &arena, &o) != CV_PROTO)
			fail_msg("accepted: %s", texts[i]);
		cv_arena_fini(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_of_every_type),
		cmocka_unit_test(malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
