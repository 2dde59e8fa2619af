/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_answer_json.c - what a token endpoint may answer, and what is no such object
 */
#include "unit/test.h"

#include "cred/answer_json.c"

#include <stdio.h>

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
	assert_int_equal(cv_json_get(&o, CV_STR("missing")).type, CV_JSON_END);
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
		"{\"a\":{\"b\":1]}", "{\"a\":[", "{\"a\":{,}}", "{\"a\":{\"b\":1,\"b\":1}}", "7",
		"\"a\"", "null", "\xef\xbb\xbf{}", "{\"a\":1}{\"b\":2}", "{a:1}" };
	static char deep[1000];
	struct cv_json_object o;
	struct cv_arena arena;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(texts); i++) {
		if (parse(texts[i], &arena, &o) != CV_PROTO)
			fail_msg("accepted: %s", texts[i]);
		cv_arena_fini(&arena);
	}
	snprintf(deep, sizeof(deep), "{\"a\":%0*d}", 400, 0);
	memset(deep + 5, '[', 200);
	memset(deep + 205, ']', 200);
	assert_int_equal(parse(deep, &arena, &o), CV_PROTO);
	cv_arena_fini(&arena);
}

static void members_are_bounded(void **state)
{
	struct cv_json_object o;
	struct cv_arena arena;
	char text[4096] = "{";
	size_t n = 1;

	(void)state;
	for (int i = 0; i < CV_JSON_MEMBERS_MAX; i++)
		n += (size_t)snprintf(
			text + n, sizeof(text) - n, "%s\"%d\":[{\"x\":[%d]}]", i ? "," : "", i, i);
	snprintf(text + n, sizeof(text) - n, "}");
	assert_int_equal(parse(text, &arena, &o), CV_OK);
	assert_int_equal(o.count, CV_JSON_MEMBERS_MAX);
	assert_str(cv_json_get(&o, CV_STR("63")).text, "[{\"x\":[63]}]");
	cv_arena_fini(&arena);
	snprintf(text + n, sizeof(text) - n, ",\"z\":1}");
	assert_int_equal(parse(text, &arena, &o), CV_PROTO);
	cv_arena_fini(&arena);
	cv_arena_init(&arena, 64);
	snprintf(text, sizeof(text), "{\"a\":\"%0*d\"}", 100, 0);
	assert_int_equal(cv_json_object_parse(cv_str_of(text), &arena, &o, NULL), CV_LIMIT);
	cv_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_of_every_type),
		cmocka_unit_test(malformed),
		cmocka_unit_test(members_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
