/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a text becomes a tree that says the same, bounded, and each tree has one spelling.  Method:
 * texts and their canonical form by table, the limits from both sides.
 */
#include "unit/test.h"

#include "wire/json_value.c"

#define ARENA_BYTES (64u << 20)

static void canonical(void **state)
{
	static const struct {
		const char *text, *want;
	} row[] = {
		{ "null", "null" },
		{ " [ true , false,null ] ", "[true,false,null]" },
		{ "{}", "{}" },
		{ "[[],{},\"\"]", "[[],{},\"\"]" },
		{ "{\"b\":1,\"a\":{\"d\":[1,2],\"c\":2}}",
			"{\"a\":{\"c\":2,\"d\":[1,2]},\"b\":1}" },
		{ "{\"aa\":1,\"a\":2,\"\":3,\"B\":4}", "{\"\":3,\"B\":4,\"a\":2,\"aa\":1}" },
		{ "[1e400,-0.0,1E+2]", "[1e400,-0.0,1E+2]" },
		{ "\"\\u0041\\/\\n\\u0007\\\"\"", "\"A/\\n\\u0007\\\"\"" },
		{ "{\"\\u0062\":1,\"\\u0061\":2}", "{\"a\":2,\"b\":1}" },
		{ "\"\\ud83d\\ude39\"", "\"\xf0\x9f\x98\xb9\"" },
		{ "\"\\u0000\"", "\"\\u0000\"" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_value *v = NULL;
		struct cv_arena arena;
		struct cv_buf out;

		cv_arena_init(&arena, ARENA_BYTES);
		cv_buf_init(&out, 4096);
		assert_int_equal(cv_json_value_read(cv_str_of(row[i].text), &arena, &v, NULL),
			CV_JSON_PROBLEM_NONE);
		assert_true(cv_json_value_write(&out, v));
		assert_str(cv_buf_str(&out), row[i].want);
		cv_buf_fini(&out);
		cv_arena_fini(&arena);
	}
}

static void tree(void **state)
{
	const struct cv_str text = CV_STR(" {\"a\\u0062\": [1.50, \"x\\ty\"], \"c\": {}}");
	const struct cv_value *v = NULL;
	struct cv_arena arena;
	size_t at;

	(void)state;
	cv_arena_init(&arena, ARENA_BYTES);
	assert_int_equal(cv_json_value_read(text, &arena, &v, &at), CV_JSON_PROBLEM_NONE);
	assert_int_equal(v->type, CV_VALUE_OBJECT);
	assert_int_equal(v->n, 2);
	assert_int_equal(v->at, 1);
	const struct cv_value *ab = cv_value_get(v, CV_STR("ab"));
	assert_non_null(ab);
	assert_int_equal(ab->n, 2);
	assert_str(ab->v[0].s, "1.50");
	assert_int_equal(ab->v[0].at, cv_str_find_byte(text, '1'));
	assert_ptr_equal(ab->v[0].s.p, text.p + ab->v[0].at);
	assert_str(ab->v[1].s, "x\ty");
	assert_int_equal(cv_value_at(v, CV_STR("/c"))->type, CV_VALUE_OBJECT);
	cv_arena_fini(&arena);
}

static void t15_problems(void **state)
{
	static const struct {
		const char *text;
		enum cv_json_problem want;
		size_t at;
	} row[] = {
		{ "", CV_JSON_PROBLEM_EMPTY, 0 },
		{ "[1,2", CV_JSON_PROBLEM_CUT, 4 },
		{ "[1,]", CV_JSON_PROBLEM_TOKEN, 3 },
		{ "{\"a\":1,\"\\u0061\":2}", CV_JSON_PROBLEM_DUPLICATE, 8 },
		{ "1 2", CV_JSON_PROBLEM_TRAILING, 2 },
		{ "\"\\ud800\"", CV_JSON_PROBLEM_SURROGATE, 1 },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_value *v = NULL;
		struct cv_arena arena;
		size_t at = 99;

		cv_arena_init(&arena, ARENA_BYTES);
		assert_int_equal(
			cv_json_value_read(cv_str_of(row[i].text), &arena, &v, &at), row[i].want);
		assert_int_equal(at, row[i].at);
		assert_null(v);
		cv_arena_fini(&arena);
	}
}

/* "[0,0,...]" with so many values, the array included. */
static enum cv_json_problem read_many(size_t values, size_t arena_bytes)
{
	const struct cv_value *v;
	struct cv_arena arena;
	struct cv_buf text;

	cv_arena_init(&arena, arena_bytes);
	cv_buf_init(&text, 4 * values);
	cv_buf_put_byte(&text, '[');
	for (size_t i = 1; i < values; i++)
		cv_buf_put(&text, i > 1 ? CV_STR(",0") : CV_STR("0"));
	cv_buf_put_byte(&text, ']');
	const enum cv_json_problem rc = cv_json_value_read(cv_buf_str(&text), &arena, &v, NULL);
	cv_buf_fini(&text);
	cv_arena_fini(&arena);
	return rc;
}

static void t15_limits(void **state)
{
	char deep[2 * (CV_JSON_DEPTH_MAX + 1)];
	const struct cv_value *v;
	struct cv_arena arena;
	struct cv_buf out;

	(void)state;
	assert_int_equal(read_many(CV_JSON_TREE_VALUES_MAX, ARENA_BYTES), CV_JSON_PROBLEM_NONE);
	assert_int_equal(
		read_many(CV_JSON_TREE_VALUES_MAX + 1, ARENA_BYTES), CV_JSON_PROBLEM_LARGE);
	assert_int_equal(read_many(1000, 1000), CV_JSON_PROBLEM_LARGE);
	assert_int_equal(read_many(1, 8), CV_JSON_PROBLEM_LARGE);
	for (size_t depth = CV_JSON_DEPTH_MAX; depth <= CV_JSON_DEPTH_MAX + 1; depth++) {
		const bool is_good = depth <= CV_JSON_DEPTH_MAX;

		memset(deep, '[', depth);
		memset(deep + depth, ']', depth);
		cv_arena_init(&arena, ARENA_BYTES);
		assert_int_equal(
			cv_json_value_read((struct cv_str){ deep, 2 * depth }, &arena, &v, NULL),
			is_good ? CV_JSON_PROBLEM_NONE : CV_JSON_PROBLEM_DEPTH);
		for (size_t room = 2 * depth - 1; is_good && room <= 2 * depth; room++) {
			cv_buf_init(&out, room);
			assert_int_equal(cv_json_value_write(&out, v), room == 2 * depth);
			cv_buf_fini(&out);
		}
		cv_arena_fini(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical),
		cmocka_unit_test(tree),
		cmocka_unit_test(t15_problems),
		cmocka_unit_test(t15_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
