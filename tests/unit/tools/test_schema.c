/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: what the public suite (test_schema_suite.c) does not look at: all mistakes at once, with
 * their places and what was meant; strictness; references that leave; and that neither a schema nor
 * a value can make checking endless.  Method: a schema, a value, and the errors as text.
 */
#include "unit/test.h"

#include "tools/schema.h"
#include "wire/json_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BYTES_MAX (256u << 20)

static const struct cv_value *json(struct cv_arena *arena, const char *text)
{
	const struct cv_value *v = NULL;
	size_t at;

	if (cv_json_value_read(cv_str_of(text), arena, &v, &at) != CV_JSON_PROBLEM_NONE)
		fail_msg("%s: byte %zu", text, at);
	return v;
}

/* "POINTER MESSAGE [NEAREST]" of each, a line each. */
static void errors_text(const struct cv_schema_errors *e, struct cv_buf *out)
{
	for (size_t i = 0; i < e->n; i++) {
		cv_buf_printf(out, "%s%.*s %.*s", i ? "\n" : "", CV_STR_ARG(e->e[i].pointer),
			CV_STR_ARG(e->e[i].message));
		if (e->e[i].nearest.n)
			cv_buf_printf(out, " [%.*s]", CV_STR_ARG(e->e[i].nearest));
	}
	cv_buf_put_byte(out, 0);
}

struct row {
	const char *schema, *value;
	unsigned flags;
	const char *want; /* empty: good */
};

static void row_run(const struct row *row)
{
	struct cv_schema *schema = NULL;
	struct cv_schema_errors errors;
	struct cv_arena arena;
	struct cv_buf text;
	cv_code code;

	cv_arena_init(&arena, BYTES_MAX);
	cv_buf_init(&text, 65536);
	cv_schema_errors_init(&errors, &arena);
	code = cv_schema_compile(json(&arena, row->schema), row->flags, &schema, &errors);
	if (code == CV_OK && row->value)
		code = cv_schema_check(schema, json(&arena, row->value), row->flags, &errors);
	assert_int_equal(code == CV_OK, errors.n == 0);
	errors_text(&errors, &text);
	if (strcmp(cv_buf_str(&text).p, row->want) != 0)
		fail_msg("%s\n%s\ngot:\n%s\nwant:\n%s", row->schema, row->value ? row->value : "",
			cv_buf_str(&text).p, row->want);
	cv_schema_free(schema);
	cv_buf_fini(&text);
	cv_arena_fini(&arena);
}

#define RUN(rows)                                          \
	for (size_t i_ = 0; i_ < CV_ARRAY_LEN(rows); i_++) \
	row_run(&(rows)[i_])

#define DEPLOY                                                                                 \
	"{\"type\":\"object\",\"properties\":{\"service\":{\"type\":\"string\",\"pattern\":"   \
	"\"^[a-z]+$\"},\"replicas\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9},"       \
	"\"env\":{\"enum\":[\"staging\",\"production\"]},\"tags\":{\"type\":\"array\","        \
	"\"items\":{\"type\":\"string\",\"maxLength\":3},\"uniqueItems\":true}},\"required\":" \
	"[\"service\"]}"

static void errors_all_at_once(void **state)
{
	static const struct row rows[] = {
		{ DEPLOY, "{\"service\":\"api\",\"replicas\":2.0,\"tags\":[\"a\",\"b\"]}", 0, "" },
		{ DEPLOY, "[]", 0, " must be object, is array" },
		{ DEPLOY,
			"{\"replicas\":10,\"env\":\"producton\",\"tags\":[\"a\",1,\"abcd\",\"a\"]}",
			0,
			" must have \"service\"\n"
			"/replicas must be at most 9, is 10\n"
			"/env must be one of \"staging\", \"production\" [production]\n"
			"/tags must have no item twice, those at 0 and 3 are the same\n"
			"/tags/1 must be string, is 1\n"
			"/tags/2 must have at most 3 characters, has 4" },
		{ DEPLOY, "{\"service\":\"a b\",\"replicas\":1.5}", 0,
			"/service must match the pattern \"^[a-z]+$\"\n"
			"/replicas must be integer, is 1.5" },
		{ "{\"properties\":{\"a/b~c\":{\"items\":{\"type\":\"null\"}}}}",
			"{\"a/b~c\":[null,1]}", 0, "/a~1b~0c/1 must be null, is 1" },
		{ "{\"propertyNames\":{\"maxLength\":2}}", "{\"abc\":1}", 0,
			"/abc its name must have at most 2 characters, has 3" },
		{ "{\"format\":\"date-time\"}", "\"yesterday\"", 0, " must be a valid date-time" },
		{ "{\"format\":\"date-time\"}", "\"yesterday\"", CV_SCHEMA_FORMAT_SAYS, "" },
		{ "{\"multipleOf\":0.1,\"exclusiveMinimum\":9007199254740992}",
			"9007199254740993.05", 0,
			" must be a multiple of 0.1, is 9007199254740993.05" },
		{ "{\"allOf\":[{\"type\":\"string\"},{\"type\":\"string\"}]}", "1", 0,
			" must be string, is 1" },
	};

	(void)state;
	RUN(rows);
}

static void alternatives(void **state)
{
	static const struct row rows[] = {
		{ "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"required\":[\"a\"]}]}",
			"{}", 0, " must have \"a\"" },
		{ "{\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}", "{}", 0,
			" fits none of 2 alternatives (anyOf): must have \"a\"; or must have "
			"\"b\"" },
		{ "{\"oneOf\":[{\"minimum\":1},{\"minimum\":2}]}", "3", 0,
			" must fit one of 2 alternatives (oneOf), fits the ones at 0 and 1" },
		{ "{\"not\":{\"type\":\"null\"}}", "null", 0, " must not be like this (not)" },
		{ "{\"properties\":{\"a\":false}}", "{\"a\":1}", 0, "/a must not be here" },
		{ "{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}", 0,
			" must have \"b\" beside \"a\"" },
	};

	(void)state;
	RUN(rows);
}

static void strict(void **state)
{
#define S CV_SCHEMA_STRICT
	static const struct row rows[] = {
		{ DEPLOY, "{\"servce\":\"api\"}", 0, " must have \"service\"" },
		{ DEPLOY, "{\"servce\":\"api\",\"zzzzzz\":1}", S,
			" must have \"service\"\n"
			"/servce is unknown, nearest is \"service\" [service]\n"
			"/zzzzzz is unknown" },
		/* below the top, too */
		{ "{\"properties\":{\"a\":{\"items\":{\"properties\":{\"b\":{}}}}}}",
			"{\"a\":[{\"b\":1},{\"c\":1}]}", S,
			"/a/1/c is unknown, nearest is \"b\" [b]" },
		/* a schema that lists nothing, or says something of others */
		{ "{\"type\":\"object\"}", "{\"a\":1}", S, "" },
		{ "{\"properties\":{}}", "{\"a\":1}", S, "/a is unknown" },
		{ "{\"properties\":{\"a\":{}},\"additionalProperties\":true}", "{\"b\":1}", S, "" },
		{ "{\"properties\":{\"a\":{}},\"unevaluatedProperties\":{}}", "{\"b\":1}", S, "" },
		{ "{\"properties\":{\"a\":{}},\"patternProperties\":{\"^x-\":{}}}",
			"{\"x-b\":1,\"y\":1}", S, "/y is unknown, nearest is \"a\" [a]" },
		{ "{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"aa\":1}", 0,
			"/aa is unknown, nearest is \"a\" [a]" },
		/* schemas that are put together keep their sense */
		{ "{\"properties\":{\"a\":{}},\"allOf\":[{\"properties\":{\"b\":{}}},{\"$ref\":"
		  "\"#/$defs/c\"}],\"$defs\":{\"c\":{\"properties\":{\"cc\":{}}}}}",
			"{\"a\":1,\"b\":1,\"cc\":1}", S, "" },
		{ "{\"allOf\":[{\"properties\":{\"service\":{}}}]}", "{\"servise\":1}", S,
			"/servise is unknown, nearest is \"service\" [service]" },
		{ "{\"oneOf\":[{\"properties\":{\"k\":{\"const\":1},\"a\":{}}},{\"properties\":"
		  "{\"k\":{\"const\":2},\"b\":{}}}]}",
			"{\"k\":2,\"b\":1}", S, "" },
		{ "{\"oneOf\":[{\"properties\":{\"k\":{\"const\":1},\"a\":{}}},{\"properties\":"
		  "{\"k\":{\"const\":2},\"b\":{}}}]}",
			"{\"k\":2,\"a\":1}", S, "/a is unknown, nearest is \"k\" [k]" },
		/* what only asks is not strict */
		{ "{\"not\":{\"properties\":{\"a\":{\"properties\":{\"b\":{\"const\":1}},"
		  "\"required\":[\"b\"]}},\"required\":[\"a\"]}}",
			"{\"a\":{\"b\":1,\"c\":1}}", S, " must not be like this (not)" },
		/* no failed branch makes members unknown */
		{ "{\"anyOf\":[{\"properties\":{\"a\":{\"const\":1}}},{\"required\":[\"z\"]}],"
		  "\"properties\":{\"q\":{}}}",
			"{\"a\":2}", S,
			" fits none of 2 alternatives (anyOf): must be 1; or must have \"z\"" },
	};

	(void)state;
	RUN(rows);
}

static void mistakes(void **state)
{
	static const struct row rows[] = {
		{ "{\"requried\":[\"a\"]}", NULL, 0,
			"/requried is no keyword; \"required\" is [required]" },
		{ "{\"properties\":{\"a\":{\"minlength\":1,\"Type\":\"string\"}}}", NULL, 0,
			"/properties/a/minlength is no keyword; \"minLength\" is [minLength]\n"
			"/properties/a/Type is no keyword; \"type\" is [type]" },
		{ "{\"requried\":[],\"x-types\":1,\"example\":1,\"widget\":1}", NULL,
			CV_SCHEMA_LENIENT, "" },
		{ "{\"x-typ\":1,\"example\":1,\"widget\":1}", NULL, 0, "" },
		/* data is no schema */
		{ "{\"default\":{\"requried\":1},\"enum\":[{\"typ\":1}],\"const\":{\"$ref\":1}}",
			NULL, 0, "" },
		{ "{\"type\":\"strng\",\"required\":\"a\",\"minLength\":-1,\"enum\":1,"
		  "\"properties\":[],\"allOf\":[],\"items\":1,\"multipleOf\":0}",
			NULL, 0,
			"/type must be one of null, boolean, object, array, number, string, "
			"integer, or an array of them\n"
			"/required must be an array of strings\n"
			"/minLength must be a whole number from 0 on\n"
			"/enum must be an array\n"
			"/properties must be an object of schemas\n"
			"/allOf must be an array of schemas that is not empty\n"
			"/items must be a schema: an object, true or false\n"
			"/multipleOf must be a number above 0 of at most 19 digits" },
		{ "[]", NULL, 0, " must be a schema: an object, true or false" },
		{ "{\"items\":[{\"type\":\"string\"}]}", NULL, 0,
			"/items must be a schema: an object, true or false" },
		{ "{\"items\":[{\"type\":\"string\"}],\"additionalItems\":{\"type\":\"null\"}}",
			"[\"a\",null,1]", CV_SCHEMA_LENIENT, "/2 must be null, is 1" },
		{ "{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}", NULL, 0,
			"/$schema is not https://json-schema.org/draft/2020-12/schema" },
		{ "{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}", NULL,
			CV_SCHEMA_LENIENT, "" },
		{ "{\"pattern\":\"\"}", "\"a\"", 0, "" },
		{ "{\"pattern\":\"(\"}", NULL, 0,
			"/pattern \"(\" is no expression: missing closing parenthesis at "
			"character 2" },
		{ "{\"pattern\":\"\\\\Aa\",\"patternProperties\":{\"a++\":{}}}", NULL, 0,
			"/pattern \"\\\\Aa\" is no expression: escape that ECMA 262 does not have "
			"at character 1\n"
			"/patternProperties \"a++\" is no expression: nothing to repeat at "
			"character 3" },
	};

	(void)state;
	RUN(rows);
}

static void references(void **state)
{
	static const struct row rows[] = {
		{ "{\"properties\":{\"a\":{\"$ref\":\"https://example.com/s.json\"}}}", NULL, 0,
			"/properties/a/$ref \"https://example.com/s.json\" is another document: "
			"references stay within the schema" },
		{ "{\"$ref\":\"#/$defs/a\"}", NULL, 0, "/$ref \"#/$defs/a\" leads to no schema" },
		{ "{\"$ref\":\"#a\"}", NULL, 0, "/$ref \"#a\" names no $anchor that is there" },
		{ "{\"$ref\":\"#\"}", NULL, 0, " applies itself to the same value without end" },
		{ "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"anyOf\":[{\"$ref\":\"#/$defs/b\"}]},"
		  "\"b\":{\"not\":{\"$ref\":\"#/$defs/a\"}}}}",
			NULL, 0, "/$defs/a applies itself to the same value without end" },
		{ "{\"$dynamicAnchor\":\"a\",\"allOf\":[{\"$dynamicRef\":\"#a\"}]}", "1", 0,
			" is nested too deep for its schema" },
		/* by way of a member it ends with the value */
		{ "{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"type\":\"object\"}",
			"{\"a\":{\"a\":{\"a\":1}}}", 0, "/a/a/a must be object, is 1" },
		{ "{\"$defs\":{\"a\":{\"$anchor\":\"x\"},\"b\":{\"$anchor\":\"x\"}}}", NULL, 0,
			"/$defs/b/$anchor is there twice" },
		{ "{\"$defs\":{\"a\":{\"$id\":\"http://h/a\"},\"b\":{\"$id\":\"http://h/a\"}}}",
			NULL, 0, "/$defs/b/$id is there twice" },
		{ "{\"$id\":\"http://h/x/y\",\"$ref\":\"../z#/b%7Ec\",\"$defs\":{\"a\":{\"$id\":"
		  "\"/z\",\"b~c\":1}}}",
			NULL, 0, "/$ref \"../z#/b%7Ec\" leads to no schema" },
	};

	(void)state;
	RUN(rows);
}

static void put_numbered(struct cv_buf *b, struct cv_str unit, size_t i)
{
	const size_t at = cv_str_find_byte(unit, '#');

	cv_buf_put(b, cv_str_slice(unit, 0, at));
	if (at < unit.n)
		cv_buf_put_u64(b, i);
	cv_buf_put(b, cv_str_slice(unit, at + 1, unit.n));
}

/* n times unit, with the number of the time for its #, between two others. */
static char *repeat(const char *before, const char *unit, size_t n, const char *after)
{
	struct cv_buf b;

	cv_buf_init(&b, BYTES_MAX);
	cv_buf_put(&b, cv_str_of(before));
	for (size_t i = 0; i < n; i++)
		put_numbered(&b, cv_str_of(unit), i);
	cv_buf_put(&b, cv_str_of(after));
	cv_buf_put_byte(&b, 0);
	assert_false(b.is_overflown);
	char *z = strdup(cv_buf_str(&b).p);
	cv_buf_fini(&b);
	return z;
}

static cv_code judge(const char *schema_text, const char *value, struct cv_schema_errors *errors)
{
	struct cv_schema *schema = NULL;
	struct cv_arena *arena = errors->arena;
	cv_code code = cv_schema_compile(json(arena, schema_text), 0, &schema, errors);

	if (code == CV_OK)
		code = cv_schema_check(schema, json(arena, value), 0, errors);
	cv_schema_free(schema);
	return code;
}

/* T15: none of these takes longer than a check may; a second is generous with sanitizers on. */
static void t15_costs_are_bounded(void **state)
{
	struct cv_buf doubling; /* 2^40 ways through 40 definitions */
	cv_buf_init(&doubling, 1 << 20);
	cv_buf_printf(&doubling, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
	for (int i = 0; i < 40; i++)
		cv_buf_printf(&doubling,
			"\"d%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"}]},",
			i, i + 1, i + 1);
	cv_buf_printf(&doubling, "\"d40\":false}}");
	cv_buf_put_byte(&doubling, 0);
	char *text = repeat("\"", "a", 200000, "!\"");
	char *numbers = repeat("[0", ",#", 100000, "]");
	char *same = repeat("[", "{\"a\":[],\"b\":{}},", 20000, "0]");
	char *digits = repeat("1", "0", 500000, "");
	const struct {
		const char *schema, *value;
		cv_code want;
	} row[] = {
		{ cv_buf_str(&doubling).p, "1", CV_LIMIT },
		{ "{\"pattern\":\"^(a|a)*$\"}", text, CV_LIMIT },
		{ "{\"pattern\":\"a*a*a*a*[bc]\"}", text, CV_LIMIT },
		{ "{\"patternProperties\":{\"(x+x+)+[yz]\":true}}",
			"{\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\":1}", CV_LIMIT },
		{ "{\"items\":{\"type\":\"string\"}}", numbers, CV_INVALID },
		{ "{\"uniqueItems\":true}", numbers, CV_INVALID },
		{ "{\"uniqueItems\":true}", same, CV_INVALID },
		{ "{\"multipleOf\":7}", digits, CV_INVALID },
		{ "{\"enum\":[1,2,3,4]}", digits, CV_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_schema_errors errors;
		struct cv_arena arena;
		struct timespec from, to;

		cv_arena_init(&arena, BYTES_MAX);
		cv_schema_errors_init(&errors, &arena);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
		const cv_code got = judge(row[i].schema, row[i].value, &errors);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
		const double seconds = (double)(to.tv_sec - from.tv_sec) +
				       (double)(to.tv_nsec - from.tv_nsec) / 1e9;
		if (seconds > 10 || got != row[i].want)
			fail_msg("row %zu: code %d, %.1f seconds, %.*s", i, got, seconds,
				CV_STR_ARG(errors.e[0].message));
		assert_true(errors.n > 0 && errors.n <= CV_SCHEMA_ERRORS_MAX);
		cv_arena_fini(&arena);
	}
	cv_buf_fini(&doubling);
	free(text);
	free(numbers);
	free(same);
	free(digits);
}

static void t15_compiling_is_bounded(void **state)
{
	char *nodes = repeat("{\"allOf\":[true", ",{}", CV_SCHEMA_NODES_MAX, "]}");
	char *patterns = repeat(
		"{\"patternProperties\":{\"\":true", ",\"a#\":true", CV_SCHEMA_PATTERNS_MAX, "}}");
	char *long_uri = repeat("{\"$id\":\"", "a", CV_SCHEMA_URI_BYTES_MAX + 1, "\"}");
	char *long_pattern = repeat("{\"pattern\":\"", "a", CV_ECMA_BYTES_MAX + 1, "\"}");
	struct cv_buf chain;
	cv_buf_init(&chain, 1 << 20);
	cv_buf_printf(&chain, "{\"$defs\":{");
	for (int i = 0; i < 2000; i++)
		cv_buf_printf(&chain, "\"d%d\":{\"$ref\":\"#/$defs/d%d\"},", i, i + 1);
	cv_buf_printf(&chain, "\"d2000\":true}}");
	cv_buf_put_byte(&chain, 0);
	const struct {
		const char *schema;
		cv_code want;
	} row[] = {
		{ nodes, CV_LIMIT },
		{ patterns, CV_LIMIT },
		{ long_uri, CV_LIMIT },
		{ long_pattern, CV_INVALID },
		{ cv_buf_str(&chain).p, CV_LIMIT },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_schema_errors errors;
		struct cv_arena arena;

		cv_arena_init(&arena, BYTES_MAX);
		cv_schema_errors_init(&errors, &arena);
		const cv_code got = judge(row[i].schema, "1", &errors);
		if (got != row[i].want || errors.n != 1)
			fail_msg("row %zu: code %d, %.*s", i, got, CV_STR_ARG(errors.e[0].message));
		cv_arena_fini(&arena);
	}
	free(nodes);
	free(patterns);
	free(long_uri);
	free(long_pattern);
	cv_buf_fini(&chain);
}

/* What a value holds is quoted, cut and escaped; pointers end at a step. */
static void messages_are_bounded(void **state)
{
	char *key = repeat("{\"", "k", 5000, "\":{\"b\":1}}");
	char *value = repeat("\"\\u202e\\n", "\\u00e9", 500, "\"");
	struct cv_schema_errors errors;
	struct cv_arena arena;

	(void)state;
	cv_arena_init(&arena, BYTES_MAX);
	cv_schema_errors_init(&errors, &arena);
	assert_int_equal(
		judge("{\"additionalProperties\":{\"additionalProperties\":false}}", key, &errors),
		CV_INVALID);
	assert_str(errors.e[0].pointer, "");
	cv_schema_errors_init(&errors, &arena);
	char *schema = malloc(strlen(value) + 32);
	snprintf(schema, strlen(value) + 32, "{\"const\":%s}", value);
	assert_int_equal(judge(schema, "1", &errors), CV_INVALID);
	assert_true(errors.e[0].message.n <= CV_SCHEMA_MESSAGE_BYTES_MAX);
	assert_true(cv_str_has_prefix(errors.e[0].message, CV_STR("must be \"\\u202e\\n\xc3\xa9")));
	assert_true(cv_str_has_suffix(errors.e[0].message, CV_STR("\xc3\xa9...\"")));
	free(schema);
	free(key);
	free(value);
	cv_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_all_at_once),
		cmocka_unit_test(alternatives),
		cmocka_unit_test(strict),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(references),
		cmocka_unit_test(t15_costs_are_bounded),
		cmocka_unit_test(t15_compiling_is_bounded),
		cmocka_unit_test(messages_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
