/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a proxy knows of host tools: names that only look like one are none, a path leads to one tool
 * or to none, and its places are values as the broker makes them.
 */
#include "unit/test.h"

#include "../../../src/plan/toolmap.c"

#include <stdio.h>

static struct cv_toolmap map;

static int map_load(void **state)
{
	(void)state;
	return cv_toolmap_load(CV_STR("deploy\n"
				      "files.*\n"
				      "issues.close POST /issues/{number:number}/close\n"
				      "issues.list GET /issues\n"
				      "status GET /status/{service}/{ok:boolean}\n"),
		       &map, NULL) != CV_OK;
}

static int map_drop(void **state)
{
	(void)state;
	cv_toolmap_fini(&map);
	return 0;
}

static void names_are_strict(void **state)
{
	static const char *const bad[] = { "", ".", "-a", "a b", "a/b", "..",
		("\xd0\xb5"
		 "cho"),
		"a\n", "a%20" };
	char long_name[CV_TOOLMAP_NAME_BYTES_MAX + 2] = { 0 };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		assert_false(cv_toolmap_is_name(cv_str_of(bad[i])));
	memset(long_name, 'a', CV_TOOLMAP_NAME_BYTES_MAX);
	assert_true(cv_toolmap_is_name(cv_str_of(long_name)));
	long_name[CV_TOOLMAP_NAME_BYTES_MAX] = 'a';
	assert_false(cv_toolmap_is_name(cv_str_of(long_name)));
	assert_true(cv_toolmap_is_name(CV_STR("Read_file-2.x")));
}

static void a_name_is_found(void **state)
{
	(void)state;
	assert_non_null(cv_toolmap_find(&map, CV_STR("deploy")));
	assert_non_null(cv_toolmap_find(&map, CV_STR("files.read")));
	assert_null(cv_toolmap_find(&map, CV_STR("files.")));
	assert_null(cv_toolmap_find(&map, CV_STR("deploy2")));
	assert_null(cv_toolmap_find(&map, CV_STR("Deploy")));
	assert_null(cv_toolmap_find(&map, CV_STR("files.*")));
}

static const struct cv_toolmap_tool *route(
	const char *method, const char *path, struct cv_toolmap_args *args, struct cv_str *allow)
{
	static struct cv_arena arena;

	cv_arena_fini(&arena);
	cv_arena_init(&arena, 4096);
	return cv_toolmap_route(&map, cv_str_of(method), cv_str_of(path), &arena, args, allow);
}

static void a_path_leads_to_a_tool(void **state)
{
	struct cv_toolmap_args args;
	struct cv_str allow;

	(void)state;
	const struct cv_toolmap_tool *t = route("POST", "/issues/17/close", &args, &allow);
	assert_non_null(t);
	assert_str(t->name, "issues.close");
	assert_int_equal(args.n, 1);
	assert_str(args.name[0], "number");
	assert_int_equal(args.value[0].type, CV_VALUE_NUMBER);
	assert_str(args.value[0].s, "17");
	assert_null(route("GET", "/issues/17/close", &args, &allow));
	assert_str(allow, "POST");
	assert_null(route("POST", "/issues//close", &args, &allow));
	assert_int_equal(allow.n, 0);
	assert_null(route("POST", "/issues/17/close/", &args, &allow));
	assert_null(route("POST", "/issues/17", &args, &allow));
	assert_null(route("POST", "/deploy", &args, &allow));
}

static void places_have_types(void **state)
{
	static const struct {
		const char *text;
		enum cv_value_type type;
	} rows[] = { { "1", CV_VALUE_NUMBER }, { "-1.5e3", CV_VALUE_NUMBER },
		{ "01", CV_VALUE_STRING }, { "1x", CV_VALUE_STRING }, { "true", CV_VALUE_STRING },
		{ "%7B%7D", CV_VALUE_STRING }, { "null", CV_VALUE_STRING } };
	struct cv_toolmap_args args;
	struct cv_str allow;
	char path[64];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		snprintf(path, sizeof(path), "/issues/%s/close", rows[i].text);
		assert_non_null(route("POST", path, &args, &allow));
		assert_int_equal(args.value[0].type, rows[i].type);
	}
	assert_non_null(route("GET", "/status/a%2Fb%20c/true", &args, &allow));
	assert_str(args.value[0].s, "a/b c");
	assert_int_equal(args.value[1].type, CV_VALUE_TRUE);
	assert_non_null(route("GET", "/status/1/1", &args, &allow));
	assert_int_equal(args.value[0].type, CV_VALUE_STRING);
	assert_int_equal(args.value[1].type, CV_VALUE_STRING);
}

static void what_is_no_list_is_refused(void **state)
{
	static const char *const bad[] = { "a b\n", "a POST x\n", "a POST /{x\n", "a POST /x{y}\n",
		"a POST /{x}y\n", "a POST /{x{y}}\n", "a POST /x\x01\n", "\na\n", "a\xff\n",
		"a POST /{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}\n", ":\n", ":0\n", ":65536\n",
		":9090 x\n", ":a\n" };
	struct cv_toolmap none;
	struct cv_err err;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		assert_int_equal(cv_toolmap_load(cv_str_of(bad[i]), &none, &err), CV_INVALID);
	assert_int_equal(cv_toolmap_load(CV_STR("*\n"), &none, &err), CV_OK);
	assert_non_null(cv_toolmap_find(&none, CV_STR("x")));
	cv_toolmap_fini(&none);
	assert_int_equal(cv_toolmap_load(CV_STR(""), &none, &err), CV_OK);
	assert_int_equal(none.n, 0);
	cv_toolmap_fini(&none);
}

static void what_is_put_is_read(void **state)
{
	struct cv_toolmap m;
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 4096);
	assert_true(cv_toolmap_put(&b, CV_STR("a"), CV_STR_NONE, CV_STR_NONE));
	assert_true(cv_toolmap_put(&b, CV_STR("b"), CV_STR("PUT"), CV_STR("/b/{c}")));
	assert_true(cv_toolmap_put_port(&b, 9090));
	assert_int_equal(cv_toolmap_load(cv_buf_str(&b), &m, NULL), CV_OK);
	assert_int_equal(m.n, 2);
	assert_true(cv_toolmap_has_port(&m, 9090));
	assert_false(cv_toolmap_has_port(&m, 9091));
	assert_str(m.v[1].route, "/b/{c}");
	assert_int_equal(m.v[0].method.n, 0);
	cv_toolmap_fini(&m);
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_strict),
		cmocka_unit_test(a_name_is_found),
		cmocka_unit_test(a_path_leads_to_a_tool),
		cmocka_unit_test(places_have_types),
		cmocka_unit_test(what_is_no_list_is_refused),
		cmocka_unit_test(what_is_put_is_read),
	};

	return cmocka_run_group_tests(tests, map_load, map_drop);
}
