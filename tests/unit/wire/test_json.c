/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a JSON text means one thing or is refused (T15), and a value is found where it stands.
 * Method: the cases that RFC 8259's grammar gives (y: every reader must take it, n: none may), by
 * the names that public suites use; then tokens, paths and numbers by table.
 */
#include "unit/test.h"

#include "wire/json.c"

#define S(lit)                       \
	{                            \
		lit, sizeof(lit) - 1 \
	}

static void t15_grammar_accepts(void **state)
{
	static const struct cv_str row[] = {
		S("[]"),
		S("{}"),
		S("[[]   ]"),
		S("[\"\"]"),
		S("[\"a\"]"),
		S("[false]"),
		S("[null]"),
		S("[null, 1, \"1\", {}]"),
		S("[1\n]"),
		S(" [1]"),
		S("[1,null,null,null,2]"),
		S("[2] "),
		S("[123e65]"),
		S("[0e+1]"),
		S("[0e1]"),
		S("[ 4]"),
		S("[-0.000000000000000000000001]"),
		S("[20e1]"),
		S("[-0]"),
		S("[-123]"),
		S("[-1]"),
		S("[1E22]"),
		S("[1E-2]"),
		S("[1E+2]"),
		S("[123e45]"),
		S("[123.456e78]"),
		S("[1e-2]"),
		S("[1e+2]"),
		S("[123]"),
		S("[123.456789]"),
		S("[1e400]"),
		S("[-1e99999]"),
		S("{\"asd\":\"sdf\", \"dfg\":\"fgh\"}"),
		S("{\"\":0}"),
		S("{\"foo\\u0000bar\": 42}"),
		S("{ \"min\": -1.0e+28, \"max\": 1.0e+28 }"),
		S("{\"a\":[]}"),
		S("{\"title\":\"\\u041f\\u043e\" }"),
		S("{\n\"a\": \"b\"\n}"),
		S("[\"\\u0060\\u012a\\u12AB\"]"),
		S("[\"\\uD801\\udc37\"]"),
		S("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
		S("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
		S("[\"\\\\u0000\"]"),
		S("[\"\\\"\"]"),
		S("[\"a/*b*/c/*d//e\"]"),
		S("[\"\\\\a\"]"),
		S("[\"\\u0012\"]"),
		S("[\"\\uFFFF\"]"),
		S("[ \"asd\"]"),
		S("[\"new\\u00A0line\"]"),
		S("[\"\xf4\x8f\xbf\xbf\"]"),
		S("[\"\xef\xbf\xbf\"]"),
		S("[\"\\u0000\"]"),
		S("[\"\\u002c\"]"),
		S("[\"\xcf\x80\"]"),
		S("[\"\xe2\x80\xa8\"]"),
		S("[\"\xe2\x80\xa9\"]"),
		S("\" \""),
		S("[\"\\uD834\\uDd1e\"]"),
		S("[\"\\u0821\"]"),
		S("[\"a\x7f"
		  "a\"]"),
		S("[\"\xe2\x8d\x82\"]"),
		S("false"),
		S("42"),
		S("-0.1"),
		S("null"),
		S("\"asd\""),
		S("true"),
		S("\"\""),
		S("[true]"),
		S(" [] "),
		S("\t{\r\n} "),
		S("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}"),
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		size_t at;
		const enum cv_json_problem p = cv_json_check(row[i], &at);

		if (p != CV_JSON_PROBLEM_NONE)
			fail_msg(
				"%.*s: %s at %zu", CV_STR_ARG(row[i]), cv_json_problem_text(p), at);
	}
}

static void t15_grammar_refuses(void **state)
{
	static const struct {
		struct cv_str text;
		enum cv_json_problem want;
	} row[] = {
#define N(lit, p) { S(lit), CV_JSON_PROBLEM_##p }
		/* arrays */
		N("[1 true]", TOKEN),
		N("[a\xe5]", TOKEN),
		N("[\"\": 1]", TOKEN),
		N("[\"\"],", TRAILING),
		N("[,1]", TOKEN),
		N("[1,,2]", TOKEN),
		N("[\"x\",,]", TOKEN),
		N("[\"x\"]]", TRAILING),
		N("[\"\",]", TOKEN),
		N("[\"x\"", CUT),
		N("[x", TOKEN),
		N("[3[4]]", TOKEN),
		N("[1,", CUT),
		N("[1,]", TOKEN),
		N("[,]", TOKEN),
		N("[-]", NUMBER),
		N("[   , \"\"]", TOKEN),
		N("[*]", TOKEN),
		N("[\"\"", CUT),
		N("[1,\n1\n,1", CUT),
		N("[{}", CUT),
		N("[", CUT),
		N("[fals]", TOKEN),
		N("[nul]", TOKEN),
		N("[tru]", TOKEN),
		N("[True]", TOKEN),
		N("[1}", TOKEN),
		N("[\0]", TOKEN),
		/* numbers */
		N("[++1234]", TOKEN),
		N("[+1]", TOKEN),
		N("[+Inf]", TOKEN),
		N("[-01]", NUMBER),
		N("[-1.0.]", TOKEN),
		N("[-2.]", NUMBER),
		N("[-NaN]", NUMBER),
		N("[.-1]", TOKEN),
		N("[.2e-3]", TOKEN),
		N("[0.1.2]", TOKEN),
		N("[0.3e+]", NUMBER),
		N("[0.3e]", NUMBER),
		N("[0.e1]", NUMBER),
		N("[0E+]", NUMBER),
		N("[0E]", NUMBER),
		N("[0e]", NUMBER),
		N("[1.0e+]", NUMBER),
		N("[1 000.0]", TOKEN),
		N("[1eE2]", NUMBER),
		N("[2.e+3]", NUMBER),
		N("[2.e3]", NUMBER),
		N("[9.e+]", NUMBER),
		N("[Inf]", TOKEN),
		N("[NaN]", TOKEN),
		N("[\xef\xbc\x91]", TOKEN),
		N("[1+2]", TOKEN),
		N("[0x1]", TOKEN),
		N("[0x42]", TOKEN),
		N("[Infinity]", TOKEN),
		N("[-Infinity]", NUMBER),
		N("[0e+-1]", NUMBER),
		N("[-foo]", NUMBER),
		N("[- 1]", NUMBER),
		N("[-012]", NUMBER),
		N("[-.123]", NUMBER),
		N("[1.]", NUMBER),
		N("[.123]", TOKEN),
		N("[1.2a-3]", TOKEN),
		N("[1.8011670033376514H-308]", TOKEN),
		N("[012]", NUMBER),
		N("-", NUMBER),
		N("1.", NUMBER),
		/* objects */
		N("[\"x\", truth]", TOKEN),
		N("{[: \"x\"}", TOKEN),
		N("{\"x\", null}", TOKEN),
		N("{\"x\"::\"b\"}", TOKEN),
		N("{\"a\":\"a\" 123}", TOKEN),
		N("{key: 'value'}", TOKEN),
		N("{\"a\" b}", TOKEN),
		N("{:\"b\"}", TOKEN),
		N("{\"a\" \"b\"}", TOKEN),
		N("{\"a\":", CUT),
		N("{\"a\"", CUT),
		N("{1:1}", TOKEN),
		N("{9999E9999:1}", TOKEN),
		N("{null:null,null:null}", TOKEN),
		N("{\"id\":0,,,,,}", TOKEN),
		N("{'a':0}", TOKEN),
		N("{\"id\":0,}", TOKEN),
		N("{\"a\":\"b\"}/**/", TRAILING),
		N("{\"a\":\"b\",,\"c\":\"d\"}", TOKEN),
		N("{\"a\":\"b\"}#", TRAILING),
		N("{\"a\":\"b\"}//", TRAILING),
		N("{a: \"b\"}", TOKEN),
		N("{\"a\":\"a", CUT),
		N("{ \"foo\" : \"bar\", \"a\" }", TOKEN),
		N("{", CUT),
		N("{\"a\":1]", TOKEN),
		N("{\"a\":1", CUT),
		N("{,", TOKEN),
		/* strings */
		N("[\"\\uD800\\\"]", SURROGATE),
		N("[\"\\uD800\\u\"]", SURROGATE),
		N("[\"\\uD800\\u1x\"]", SURROGATE),
		N("[\"\\uD800\\u1\"]", SURROGATE),
		N("[\"\\uD800\"]", SURROGATE),
		N("[\"\\uDC00\"]", SURROGATE),
		N("[\"\\uDd1e\\uD834\"]", SURROGATE),
		N("[\"\\uD888\\u1234\"]", SURROGATE),
		N("[\"\\uD800\\uD800\\n\"]", SURROGATE),
		N("[\xc3\xa9]", TOKEN),
		N("[\"\\\0\"]", ESCAPE),
		N("[\"\\x00\"]", ESCAPE),
		N("[\"\\\\\\\"]", CUT),
		N("[\"\\\t\"]", ESCAPE),
		N("[\"\\\xf0\x9f\x8c\x80\"]", ESCAPE),
		N("[\"\\u00A\"]", ESCAPE),
		N("[\"\\a\"]", ESCAPE),
		N("[\"\\uqqqq\"]", ESCAPE),
		N("[\\u0020\"asd\"]", TOKEN),
		N("[\\n]", TOKEN),
		N("\"", CUT),
		N("['single quote']", TOKEN),
		N("abc", TOKEN),
		N("[\"\\", CUT),
		N("[\"a\0a\"]", CONTROL),
		N("[\"new\nline\"]", CONTROL),
		N("[\"\t\"]", CONTROL),
		N("\"\\UA66D\"", ESCAPE),
		N("\"\"x", TRAILING),
		N("[\"\xff\"]", UTF8),
		N("[\"\xed\xa0\x80\"]", UTF8),
		N("[\"\xc0\xaf\"]", UTF8),
		N("[\"\xe0\xff\"]", UTF8),
		N("[\"\xf4\xbf\xbf\xbf\"]", UTF8),
		N("[\"\x81\"]", UTF8),
		N("[\"\xfc\x80\x80\x80\x80\x80\"]", UTF8),
		N("{\"\xb9\":\"0\",}", UTF8),
		/* structure */
		N("", EMPTY),
		N(" ", EMPTY),
		N("<.>", TOKEN),
		N("[<null>]", TOKEN),
		N("[1]x", TRAILING),
		N("2@", TRAILING),
		N("{}}", TRAILING),
		N("[1][2]", TRAILING),
		N("{} {}", TRAILING),
		N("[][]", TRAILING),
		N("]", TOKEN),
		N("}", TOKEN),
		N("\xef\xbb\xbf{}", BOM),
		N("\xef\xbb\xbf", BOM),
		N("[\xe2\x81\xa0]", TOKEN),
		N("\xc3\xa5", TOKEN),
		N("\xff\xfe[\0]\0", TOKEN),
		N("\0[\0]", TOKEN),
		N("[]\0", TRAILING),
		N("[\f]", TOKEN),
		N("[\xc2\xa0]", TOKEN),
		N("nu", CUT),
		N("nulL", TOKEN),
		N("truee", TRAILING),
		N("//\n{}", TOKEN),
		N("{}\x1a", TRAILING),
		N("1 2", TRAILING),
		/* keys */
		N("{\"a\":\"b\",\"a\":\"c\"}", DUPLICATE),
		N("{\"a\":1,\"\\u0061\":2}", DUPLICATE),
		N("{\"\\u00e9\":1,\"\xc3\xa9\":2}", DUPLICATE),
		N("{\"\\ud83d\\ude39\":1,\"\xf0\x9f\x98\xb9\":2}", DUPLICATE),
		N("{\"\":1,\"\":2}", DUPLICATE),
		N("[{\"x\":{\"b\":1,\"a\":1,\"b\":2}}]", DUPLICATE),
		N("{\"a\":{\"a\":1},\"b\":[{\"c\":1}],\"a\":0}", DUPLICATE),
#undef N
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const enum cv_json_problem p = cv_json_check(row[i].text, NULL);

		if (p != row[i].want)
			fail_msg("%.*s (row %zu): %s", CV_STR_ARG(row[i].text), i,
				cv_json_problem_text(p));
	}
}

static enum cv_json_problem repeated(const char *open, size_t n, const char *close)
{
	struct cv_buf b;

	cv_buf_init(&b, 4u << 20);
	for (size_t i = 0; i < n; i++)
		cv_buf_put(&b, cv_str_of(open));
	for (size_t i = 0; i < n; i++)
		cv_buf_put(&b, cv_str_of(close));
	assert_false(b.is_overflown);
	const enum cv_json_problem p = cv_json_check(cv_buf_str(&b), NULL);
	cv_buf_fini(&b);
	return p;
}

static void t15_bounds(void **state)
{
	struct cv_buf b;

	(void)state;
	assert_int_equal(repeated("[", CV_JSON_DEPTH_MAX, "]"), CV_JSON_PROBLEM_NONE);
	assert_int_equal(repeated("[", CV_JSON_DEPTH_MAX + 1, "]"), CV_JSON_PROBLEM_DEPTH);
	assert_int_equal(repeated("[", 100000, "]"), CV_JSON_PROBLEM_DEPTH);
	assert_int_equal(repeated("{\"a\":[", 100000, "]}"), CV_JSON_PROBLEM_DEPTH);
	assert_int_equal(repeated("[", 100, ""), CV_JSON_PROBLEM_CUT);
	for (unsigned extra = 0; extra < 2; extra++) {
		cv_buf_init(&b, 4u << 20);
		cv_buf_put_byte(&b, '{');
		for (unsigned i = 0; i < CV_JSON_KEYS_MAX + extra; i++)
			cv_buf_printf(&b, "%s\"%u\":0", i ? "," : "", i);
		cv_buf_put_byte(&b, '}');
		assert_int_equal(cv_json_check(cv_buf_str(&b), NULL),
			extra ? CV_JSON_PROBLEM_KEYS : CV_JSON_PROBLEM_NONE);
		cv_buf_fini(&b);
	}
}

/* Every prefix of a text is refused, and no byte behind it is read. */
static void t15_prefixes(void **state)
{
	static const char text[] =
		"{\"a\\n\\ud83d\\ude39\":[1.5e+3,true,false,null,\"\xe2\x8d\x82\"],"
		"\"b\":{\"c\":-0}}";
	const size_t n = sizeof(text) - 1;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		char *exact = malloc(i + 1);

		assert_non_null(exact);
		memcpy(exact, text, i);
		assert_int_not_equal(cv_json_check((struct cv_str){ exact, i }, NULL), 0);
		free(exact);
	}
	assert_int_equal(cv_json_check((struct cv_str){ text, n }, NULL), 0);
}

static void tokens(void **state)
{
	static const char text[] = " {\"a\" : [ 1 , \"x\\u0041\" ] ,\"b\":{}}";
	static const struct {
		enum cv_json_type type;
		const char *raw;
		size_t at, end;
	} want[] = {
		{ CV_JSON_OBJECT, "{", 1, 2 },
		{ CV_JSON_KEY, "a", 2, 5 },
		{ CV_JSON_ARRAY, "[", 8, 9 },
		{ CV_JSON_NUMBER, "1", 10, 11 },
		{ CV_JSON_STRING, "x\\u0041", 14, 23 },
		{ CV_JSON_ARRAY_END, "]", 24, 25 },
		{ CV_JSON_KEY, "b", 27, 30 },
		{ CV_JSON_OBJECT, "{", 31, 32 },
		{ CV_JSON_OBJECT_END, "}", 32, 33 },
		{ CV_JSON_OBJECT_END, "}", 33, 34 },
		{ CV_JSON_END, "", 0, 0 },
		{ CV_JSON_END, "", 0, 0 },
	};
	struct cv_json j;
	struct cv_json_token t;

	(void)state;
	cv_json_init(&j, cv_str_of(text));
	for (size_t i = 0; i < CV_ARRAY_LEN(want); i++) {
		assert_int_equal(cv_json_next(&j, &t), want[i].type);
		assert_str(t.raw, want[i].raw);
		if (want[i].type == CV_JSON_END)
			continue;
		assert_int_equal(t.at, want[i].at);
		assert_int_equal(t.end, want[i].end);
	}
	cv_json_fini(&j);
}

static void paths(void **state)
{
	static const char text[] =
		"{\"usage\":{\"in\":{\"total\":1},\"total\":7,\"x\":{\"total\":9}},"
		"\"total\":8,\"c\":[{\"t\":\"a\"},[0,[\"deep\"]],{\"\\u0074\":\"b\",\"usage\":{\"total\":3}}],"
		"\"o\":{\"k\":[1,{\"z\":2}]},\"n\":null}";
	static const struct {
		const char *path, *want; /* NULL: not there */
	} row[] = {
		{ "usage.total", "7" },
		{ "usage.in.total", "1" },
		{ "total", "8" },
		{ "c.0.t", "a" },
		{ "c.2.t", "b" },
		{ "c.1.1.0", "deep" },
		{ "c.1.0", "0" },
		{ "o", "{\"k\":[1,{\"z\":2}]}" },
		{ "o.k", "[1,{\"z\":2}]" },
		{ "o.k.1", "{\"z\":2}" },
		{ "o.k.1.z", "2" },
		{ "n", "null" },
		{ "usage.y", NULL },
		{ "c.3", NULL },
		{ "0", NULL },
		{ "c.2.usage.total", "3" },
	};
	struct cv_json_value v[CV_ARRAY_LEN(row)];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		v[i].path = row[i].path;
	assert_int_equal(cv_json_find(cv_str_of(text), v, CV_ARRAY_LEN(row)), 0);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		if (!row[i].want) {
			assert_int_equal(v[i].token.type, CV_JSON_END);
			continue;
		}
		assert_int_not_equal(v[i].token.type, CV_JSON_END);
		assert_str(v[i].token.raw, row[i].want);
	}
	/* what is bad later was never found */
	struct cv_json_value one = { .path = "a" };
	assert_int_equal(cv_json_find(CV_STR("{\"a\":1,\"b\":{\"x\":1,\"x\":2}}"), &one, 1),
		CV_JSON_PROBLEM_DUPLICATE);
	assert_int_equal(one.token.type, CV_JSON_END);
	assert_int_equal(cv_json_find(CV_STR("[5]"), &one, 1), 0);
	assert_int_equal(one.token.type, CV_JSON_END);
	one.path = "0";
	assert_int_equal(cv_json_find(CV_STR("[5]"), &one, 1), 0);
	assert_str(one.token.raw, "5");
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t want;
		bool is_bad;
	} row[] = {
		{ "0", 0, false },
		{ "12", 12, false },
		{ "12.9", 12, false },
		{ "1.5e1", 15, false },
		{ "1e3", 1000, false },
		{ "1234e-2", 12, false },
		{ "0.001e3", 1, false },
		{ "5e-1", 0, false },
		{ "18446744073709551615", UINT64_MAX, false },
		{ "18446744073709551616", UINT64_MAX, false },
		{ "99999999999999999999999", UINT64_MAX, false },
		{ "1e400", UINT64_MAX, false },
		{ "0e99999999999999", 0, false },
		{ "1e-99999999999999", 0, false },
		{ "1e99999999999999999999999", UINT64_MAX, false },
		{ "-1", 0, true },
		{ "-0", 0, true },
		{ "\"1\"", 0, true },
		{ "null", 0, true },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_json j;
		struct cv_json_token t;
		uint64_t got = 0;

		cv_json_init(&j, cv_str_of(row[i].text));
		cv_json_next(&j, &t);
		if (cv_json_to_u64(&t, &got) == row[i].is_bad ||
			(!row[i].is_bad && got != row[i].want))
			fail_msg("%s: %llu", row[i].text, (unsigned long long)got);
		cv_json_fini(&j);
	}
}

static void strings(void **state)
{
	static const char text[] = "\"a\\n\\u00e9\\ud83d\\ude39\\\"\xc3\xa9\\u0000\"";
	static const struct cv_str want = S("a\n\xc3\xa9\xf0\x9f\x98\xb9\"\xc3\xa9\0");
	struct cv_json j;
	struct cv_json_token t;
	struct cv_buf b;

	(void)state;
	cv_json_init(&j, cv_str_of(text));
	assert_int_equal(cv_json_next(&j, &t), CV_JSON_STRING);
	cv_buf_init(&b, 64);
	assert_true(cv_json_decode(&t, &b));
	assert_true(cv_str_eq(cv_buf_str(&b), want));
	assert_true(cv_json_says(&t, want));
	assert_false(cv_json_says(&t, cv_str_slice(want, 0, want.n - 1)));
	assert_false(cv_json_says(&t, CV_STR("a\n")));
	cv_buf_fini(&b);
	cv_json_fini(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t15_grammar_accepts),
		cmocka_unit_test(t15_grammar_refuses),
		cmocka_unit_test(t15_bounds),
		cmocka_unit_test(t15_prefixes),
		cmocka_unit_test(tokens),
		cmocka_unit_test(paths),
		cmocka_unit_test(numbers),
		cmocka_unit_test(strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
