/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_template.c - a value stays a value, wherever it is put
 *
 * Arguments are JSON, so that each row reads as a call; expected words are joined with '|'.
 */
#include "unit/test.h"

#include <stdio.h>

#include "tools/template.c"
#include "tools/template_fill.c"

static struct cv_arena arena;
static char shown[4096];

static int setup(void **state)
{
	(void)state;
	cv_arena_init(&arena, 64 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	return 0;
}

static bool give_credential(void *arg, struct cv_str name, struct cv_str *ret)
{
	*ret = cv_str_of(arg);
	return cv_str_eq(name, CV_STR("TOKEN"));
}

static struct cv_template_values values_of(const char *json)
{
	struct cv_template_values v = { .credential = give_credential };

	v.arg = (void *)(uintptr_t) "s3cret";
	assert_int_equal(cv_json_value_read(cv_str_of(json), &arena, &v.arguments, NULL),
		CV_JSON_PROBLEM_NONE);
	return v;
}

static const struct cv_template *compiled(const char *text, enum cv_template_kind kind)
{
	const struct cv_template *t = NULL;
	struct cv_err err = { 0 };

	if (cv_template_compile(cv_str_of(text), kind, &arena, &t, NULL, &err) != CV_OK)
		fail_msg("%s: %s", text, err.msg);
	return t;
}

/* What comes out, or "NAME: code". */
static const char *text_of(const char *template, enum cv_template_kind kind, const char *json)
{
	const struct cv_template_values values = values_of(json);
	struct cv_template_failure failure;
	struct cv_buf out;

	cv_buf_init(&out, sizeof(shown) - 1);
	if (cv_template_text(compiled(template, kind), &values, &out, &failure) != CV_TEMPLATE_OK)
		snprintf(shown, sizeof(shown), "%.*s %s", CV_STR_ARG(failure.name),
			cv_template_rc_text(failure.rc));
	else
		assert_true(cv_str_to_cstr(cv_buf_str(&out), shown, sizeof(shown)));
	cv_buf_fini(&out);
	return shown;
}

/* words: templates joined with '|'. */
static const char *argv_of(const char *words, const char *json)
{
	const struct cv_template_values values = values_of(json);
	struct cv_str rest = cv_str_of(words), *v = NULL;
	const struct cv_template *t[16];
	struct cv_template_failure failure;
	size_t n = 0, count = 0, at = 0;

	while (rest.p)
		t[n++] = compiled(cv_arena_str(&arena, cv_str_cut(&rest, '|')).p, CV_TEMPLATE_WORD);
	if (cv_template_argv(t, n, &values, &arena, &v, &count, &failure) != CV_TEMPLATE_OK) {
		snprintf(shown, sizeof(shown), "%.*s %s", CV_STR_ARG(failure.name),
			cv_template_rc_text(failure.rc));
		return shown;
	}
	shown[0] = '\0';
	for (size_t i = 0; i < count; i++)
		at += (size_t)snprintf(
			shown + at, sizeof(shown) - at, "%s%s", i ? "|" : "", v[i].p);
	return shown;
}

static void words(void **state)
{
	static const struct {
		const char *words, *json, *want;
	} row[] = {
		{ "a|{x}", "{\"x\":\"b c\"}", "a|b c" },
		{ "a|{x}", "{\"x\":\"$(id);`id`\"}", "a|$(id);`id`" },
		{ "a|--n={n}", "{\"n\":1e3}", "a|--n=1000" },
		{ "a|--n={n}", "{\"n\":10e-1}", "a|--n=1" },
		{ "a|{n}", "{\"n\":-0}", "a|0" },
		{ "a|{b}", "{\"b\":false}", "a|false" },
		{ "a|{{x}}", "{}", "a|{x}" },
		{ "a|{x}", "{\"x\":\"\"}", "a|" },
		{ "a|{?v:--verbose}|z", "{\"v\":true}", "a|--verbose|z" },
		{ "a|{?v:--verbose}|z", "{\"v\":false}", "a|z" },
		{ "a|{?v:--verbose}|z", "{}", "a|z" },
		{ "a|{?v:--verbose}|z", "{\"v\":null}", "a|z" },
		{ "a|{?l:--l={l}}", "{\"l\":\"x\"}", "a|--l=x" },
		{ "a|x{?l:{l}}", "{}", "a|x" },
		{ "a|{l...}|z", "{\"l\":[\"p\",2,true]}", "a|p|2|true|z" },
		{ "a|{l...}|z", "{\"l\":[]}", "a|z" },
		{ "a|{l...}|z", "{}", "a|z" },
		{ "a|--l={l...}", "{\"l\":[\"p\",\"q\"]}", "a|--l=p|--l=q" },
		{ "a|-e{l...}", "{\"l\":{\"K\":\"v\",\"N\":1}}", "a|-eK=v|-eN=1" },
		{ "a|{json:l}", "{\"l\":{\"b\":[1,null],\"a\":\"\\n\"}}",
			"a|{\"a\":\"\\n\",\"b\":[1,null]}" },
		{ "a|{x}", "{}", "x is not there" },
		{ "a|{x}", "{\"x\":null}", "x is not there" },
		{ "a|{x}", "{\"x\":[1]}", "x is neither a string nor a number nor true or false" },
		{ "a|{x}", "{\"x\":{}}", "x is neither a string nor a number nor true or false" },
		{ "a|{x...}", "{\"x\":[[1]]}", "x is no list of strings, numbers, true and false" },
		{ "a|{x...}", "{\"x\":\"p\"}", "x is no list of strings, numbers, true and false" },
		{ "a|{x}", "{\"x\":\"a\\u0000b\"}", "x has a NUL in it" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		assert_string_equal(argv_of(row[i].words, row[i].json), row[i].want);
}

static void s3_a_value_never_becomes_an_option(void **state)
{
	static const char option[] = "begins with '-' where it would be read as an option";
	static const struct {
		const char *words, *json;
		bool is_refused;
		const char *want;
	} row[] = {
		{ "git|{x}", "{\"x\":\"--upload-pack=evil\"}", true, "x" },
		{ "git|{x}", "{\"x\":\"-\"}", true, "x" },
		{ "git|{n}", "{\"n\":-1}", true, "n" },
		{ "git|{l...}", "{\"l\":[\"a\",\"-o\"]}", true, "l" },
		{ "git|{l...}", "{\"l\":{\"-o\":1}}", true, "l" },
		{ "git|{a}{b}", "{\"a\":\"\",\"b\":\"-o\"}", true, "b" },
		{ "git|{a}x", "{\"a\":\"-o\"}", true, "a" },
		{ "git|{?a:{b}}", "{\"a\":true,\"b\":\"-o\"}", true, "b" },
		{ "git|{json:n}", "{\"n\":-1}", true, "n" },
		{ "git|{dash}|{x}", "{\"dash\":\"--\",\"x\":\"-o\"}", true, "dash" },
		{ "git|{?d:--}|{x}", "{\"d\":true,\"x\":\"-o\"}", true, "x" },
		{ "git|--|{x}", "{\"x\":\"-o\"}", false, "git|--|-o" },
		{ "git|--|{l...}", "{\"l\":[\"-o\"]}", false, "git|--|-o" },
		{ "git|{x}|--", "{\"x\":\"-o\"}", true, "x" },
		{ "git|-o{x}", "{\"x\":\"-o\"}", false, "git|-o-o" },
		{ "git|{?v:-v}", "{\"v\":\"-o\"}", false, "git|-v" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const char *got = argv_of(row[i].words, row[i].json);
		char want[128];

		snprintf(want, sizeof(want), "%s %s", row[i].want, option);
		assert_string_equal(got, row[i].is_refused ? want : row[i].want);
	}
}

static void texts(void **state)
{
	static const struct {
		const char *template, *json, *want;
		enum cv_template_kind kind;
	} row[] = {
		{ "/r/{o}/i/{n}", "{\"o\":\"a b/c\",\"n\":7}", "/r/a%20b%2Fc/i/7",
			CV_TEMPLATE_PATH },
		{ "/r/{o}", "{\"o\":\"%2e%2e\"}", "/r/%252e%252e", CV_TEMPLATE_PATH },
		{ "/c/{p...}", "{\"p\":\"src/a b.c\"}", "/c/src/a%20b.c", CV_TEMPLATE_PATH },
		{ "/c/{p...}", "{\"p\":[\"a/b\",\"c\"]}", "/c/a%2Fb/c", CV_TEMPLATE_PATH },
		{ "s={s}&x={x}", "{\"s\":\"a&b=c\",\"x\":\"\xc3\xa4\"}", "s=a%26b%3Dc&x=%C3%A4",
			CV_TEMPLATE_QUERY },
		{ "a=1&l={l...}&z=2", "{\"l\":[\"p\",\"q&\"]}", "a=1&l=p&l=q%26&z=2",
			CV_TEMPLATE_QUERY },
		{ "a=1&l={l...}&z=2", "{\"l\":[]}", "a=1&z=2", CV_TEMPLATE_QUERY },
		{ "a=1&l={l...}", "{}", "a=1", CV_TEMPLATE_QUERY },
		{ "l={l...}", "{\"l\":[]}", "", CV_TEMPLATE_QUERY },
		{ "Bearer {credential:TOKEN}", "{}", "Bearer s3cret", CV_TEMPLATE_HEADER },
		{ "/bot{credential:TOKEN}/x", "{}", "/bots3cret/x", CV_TEMPLATE_PATH },
		{ "{{\"t\":{json:t}}}", "{\"t\":\"a\\\"b\"}", "{\"t\":\"a\\\"b\"}",
			CV_TEMPLATE_BODY },
		{ "{credential:GONE}", "{}", "GONE has no value", CV_TEMPLATE_ENV },
		{ "{x}", "{\"x\":\"a\\nb\"}", "a\nb", CV_TEMPLATE_ENV },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		assert_string_equal(
			text_of(row[i].template, row[i].kind, row[i].json), row[i].want);
}

static void t8_a_value_stays_in_its_segment_and_line(void **state)
{
	static const struct {
		const char *template, *json, *want;
		enum cv_template_kind kind;
	} row[] = {
		{ "/r/{o}/x", "{\"o\":\"..\"}", "o is no segment", CV_TEMPLATE_PATH },
		{ "/r/{o}/x", "{\"o\":\".\"}", "o is no segment", CV_TEMPLATE_PATH },
		{ "/r/{o}/x", "{\"o\":\"\"}", "o is no segment", CV_TEMPLATE_PATH },
		{ "/c/{p...}", "{\"p\":\"a/../b\"}", "p is no segment", CV_TEMPLATE_PATH },
		{ "/c/{p...}", "{\"p\":\"/etc\"}", "p is no segment", CV_TEMPLATE_PATH },
		{ "/c/{p...}", "{\"p\":\"a//b\"}", "p is no segment", CV_TEMPLATE_PATH },
		{ "/c/{p...}", "{\"p\":\"\"}", "p is no segment", CV_TEMPLATE_PATH },
		{ "/c/{p...}", "{\"p\":[]}", "p is no segment", CV_TEMPLATE_PATH },
		{ "{x}", "{\"x\":\"a\\r\\nX: y\"}", "x has a control", CV_TEMPLATE_HEADER },
		{ "{x}", "{\"x\":\"a\\u007f\"}", "x has a control", CV_TEMPLATE_HEADER },
		{ "{x}", "{\"x\":\"a\\u0000\"}", "x has a NUL", CV_TEMPLATE_BODY },
		{ "{x}", "{\"x\":\"a\\u0000\"}", "x has a NUL", CV_TEMPLATE_QUERY },
		{ "{x}", "{\"x\":\"a\\u0000\"}", "x has a NUL", CV_TEMPLATE_ENV },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const char *got = text_of(row[i].template, row[i].kind, row[i].json);

		if (strncmp(got, row[i].want, strlen(row[i].want)) != 0)
			fail_msg("%s with %s: %s", row[i].template, row[i].json, got);
	}
}

static void mistakes(void **state)
{
	static const struct {
		const char *template, *want;
		size_t at;
		enum cv_template_kind kind;
	} row[] = {
		{ "a{x", "a place that is not closed", 1, CV_TEMPLATE_ENV },
		{ "a}b", "a brace that closes nothing", 1, CV_TEMPLATE_ENV },
		{ "{}", "'' is no name of an argument", 2, CV_TEMPLATE_ENV },
		{ "{a b}", "'a b' is no name of an argument", 5, CV_TEMPLATE_ENV },
		{ "{1}", "'1' is no name of an argument", 3, CV_TEMPLATE_ENV },
		{ "x{?a:b", "a {?...} that is not closed", 1, CV_TEMPLATE_ENV },
		{ "{?a}", "write {?argument:text}", 0, CV_TEMPLATE_ENV },
		{ "{?a:{?b:c}}", "a {?...} inside another", 4, CV_TEMPLATE_ENV },
		{ "{credential:X}", "a credential in an argv", 14, CV_TEMPLATE_WORD },
		{ "{credential:}", "'' is no name of a credential", 13, CV_TEMPLATE_ENV },
		{ "{a...}{b...}", "{b...} can't stand here; a word has one", 12, CV_TEMPLATE_WORD },
		{ "{a...}", "{a...} can't stand here; write {json:...}", 6, CV_TEMPLATE_ENV },
		{ "{?a:{b...}}", "{b...} can't stand here; it vanishes", 10, CV_TEMPLATE_WORD },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_template *t;
		struct cv_err err = { 0 };
		size_t at = 0;

		assert_int_equal(cv_template_compile(cv_str_of(row[i].template), row[i].kind,
					 &arena, &t, &at, &err),
			CV_INVALID);
		if (strncmp(err.msg, row[i].want, strlen(row[i].want)) != 0 || at != row[i].at)
			fail_msg("%s: %s at %zu", row[i].template, err.msg, at);
	}
}

static void what_is_not_there(void **state)
{
	const struct cv_template_values with = values_of("{\"a\":\"x\"}"),
					without = values_of("{}");

	(void)state;
	assert_true(cv_template_is_there(compiled("{?a:{a}}", CV_TEMPLATE_ENV), &with));
	assert_false(cv_template_is_there(compiled("{?a:{a}}", CV_TEMPLATE_ENV), &without));
	assert_true(cv_template_is_there(compiled("{?a:{a}}b", CV_TEMPLATE_ENV), &without));
	assert_true(cv_template_is_there(compiled("", CV_TEMPLATE_ENV), &without));
}

static void bounds(void **state)
{
	static char many[CV_TEMPLATE_PARTS_MAX * 3 + 16], list[CV_TOOL_ARGS_MAX * 2 + 32];
	const struct cv_template *t;
	struct cv_err err = { 0 };
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i <= CV_TEMPLATE_PARTS_MAX; i++)
		memcpy(many + 3 * i, "{a}", 4);
	assert_int_equal(
		cv_template_compile(cv_str_of(many), CV_TEMPLATE_ENV, &arena, &t, NULL, &err),
		CV_INVALID);
	n = (size_t)snprintf(list, sizeof(list), "{\"l\":[1");
	for (size_t i = 0; i < CV_TOOL_ARGS_MAX; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, ",1");
	snprintf(list + n, sizeof(list) - n, "]}");
	assert_string_equal(argv_of("{l...}", list), "l makes it too large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(s3_a_value_never_becomes_an_option),
		cmocka_unit_test(texts),
		cmocka_unit_test(t8_a_value_stays_in_its_segment_and_line),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
