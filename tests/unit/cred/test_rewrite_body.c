/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rewrite_body.c - bodies of each kind with placeholders in and out of place
 */
#include "unit/test.h"

#include <stdio.h>
#include <time.h>

#include "cred/rewrite_body.c"

#define P    "openshell:resolve:env:KEY"
#define P2   "openshell:resolve:env:KEY_2"
#define GHP  "ghp_0123456789abcdefghijABCDEFGHIJ012345"

#define JSON "application/json"
#define FORM "application/x-www-form-urlencoded"
#define TEXT "text/plain; charset=UTF-8"
#define PART "multipart/form-data; boundary=\"b:1\""

static struct cv_arena arena;
static struct cv_ph_set set;

static const struct cv_ph_entry entries[] = {
	{ CV_STR("KEY"), CV_STR(P) },
	{ CV_STR("KEY_2"), CV_STR_NONE },
	{ CV_STR("GH_TOKEN"), CV_STR(GHP) },
};

static const struct cv_str good_values[] = { CV_STR("s\"e\\c&r=t"), CV_STR("two"),
	CV_STR("gh\xc3\xa4") };

static int setup(void **state)
{
	(void)state;
	cv_arena_init(&arena, 64 << 20);
	return cv_ph_set_compile(&set, entries, CV_ARRAY_LEN(entries), &arena, NULL) != CV_OK;
}

static int teardown(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	return 0;
}

static enum cv_rewrite_rc collect(const char *type, struct cv_str body, struct cv_rewrite_plan *p)
{
	const struct cv_rewrite_body b = cv_rewrite_body_of(cv_str_of(type), CV_STR_NONE);

	return cv_rewrite_body_collect(&set, &b, body, &arena, p);
}

static void kinds_follow_content_types(void **state)
{
	static const struct {
		const char *type, *encoding;
		enum cv_rewrite_body_kind kind;
	} row[] = {
		{ "", "", CV_REWRITE_BODY_NONE },
		{ "application/json", "", CV_REWRITE_BODY_JSON },
		{ "Application/JSON ; charset=\"UTF-8\"", "identity", CV_REWRITE_BODY_JSON },
		{ "application/vnd.api+json", "", CV_REWRITE_BODY_JSON },
		{ "application/json; charset=utf-16", "", CV_REWRITE_BODY_NONE },
		{ "application/json", "gzip", CV_REWRITE_BODY_NONE },
		{ "application/jsonx", "", CV_REWRITE_BODY_NONE },
		{ "application/x-www-form-urlencoded", "", CV_REWRITE_BODY_FORM },
		{ "text/html", "", CV_REWRITE_BODY_TEXT },
		{ "text", "", CV_REWRITE_BODY_NONE },
		{ "application/octet-stream", "", CV_REWRITE_BODY_NONE },
		{ "multipart/form-data", "", CV_REWRITE_BODY_NONE },
		{ "multipart/form-data; boundary=x", "", CV_REWRITE_BODY_MULTIPART },
		{ "multipart/form-data; boundary=x; boundary=y", "", CV_REWRITE_BODY_NONE },
		{ "multipart/mixed; boundary=x", "", CV_REWRITE_BODY_NONE },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (cv_rewrite_body_of(cv_str_of(row[i].type), cv_str_of(row[i].encoding)).kind !=
			row[i].kind)
			fail_msg("%s", row[i].type);
}

static void c4_placeholders_in_bodies_are_replaced(void **state)
{
	static const struct {
		const char *type, *body, *want;
	} row[] = {
		{ JSON, "{\"a\": 1}", "{\"a\": 1}" },
		{ JSON, "not json, and of no interest", "not json, and of no interest" },
		{ JSON, "{\"a\":\"" P "\",\"b\":[\"x" P2 "-y\"]}",
			"{\"a\":\"s\\\"e\\\\c&r=t\",\"b\":[\"xtwo-y\"]}" },
		{ JSON, "\"\\n\\u006fpenshell\\u003Aresolve\\u003aenv:\\u004bEY\\t\\u00e4\"",
			"\"\\ns\\\"e\\\\c&r=t\\t\\u00e4\"" },
		{ JSON, "[\"" P "\" , \"" GHP "\"]", "[\"s\\\"e\\\\c&r=t\" , \"gh\xc3\xa4\"]" },
		{ FORM, "a=b&t=" P "&u=x%3Dopenshell%3Aresolve%3aenv%3AKEY_2+&z",
			"a=b&t=s%22e%5Cc%26r%3Dt&u=x%3Dtwo+&z" },
		{ FORM, "t=" GHP, "t=gh%C3%A4" },
		{ TEXT, "token " P "\r\n" P2 ".", "token s\"e\\c&r=t\r\ntwo." },
		{ PART,
			"--b:1\r\nContent-Disposition: form-data; name=t\r\n\r\n" P
			"\r\n--b:1 \t\r\n\r\nx" P2 "\r\n--b:12\r\n--b:1--\r\n",
			"--b:1\r\nContent-Disposition: form-data; name=t\r\n\r\ns\"e\\c&r=t"
			"\r\n--b:1 \t\r\n\r\nxtwo\r\n--b:12\r\n--b:1--\r\n" },
		{ PART, "pre\r\n--b:1\r\nA: b\r\n\r\n\xff\xfe\r\n--b:1\r\n\r\n" P2 "\r\n--b:1--",
			"pre\r\n--b:1\r\nA: b\r\n\r\n\xff\xfe\r\n--b:1\r\n\r\ntwo\r\n--b:1--" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_str body = cv_str_of(row[i].body);
		struct cv_rewrite_plan plan;
		struct cv_str made = CV_STR_NONE;

		const enum cv_rewrite_rc rc = collect(row[i].type, body, &plan);
		if (rc != CV_REWRITE_OK)
			fail_msg("%s: %s", row[i].body, cv_rewrite_rc_row(rc)->slug);
		assert_int_equal(
			cv_rewrite_body_apply(&set, body, &plan, good_values, &arena, &made),
			CV_REWRITE_OK);
		assert_str(made, row[i].want);
	}
}

static void c4_placeholders_out_of_place_in_bodies_refuse(void **state)
{
	static const struct {
		const char *type, *body;
		enum cv_rewrite_rc rc;
	} row[] = {
		{ "application/octet-stream", P, CV_REWRITE_BODY_MALFORMED },
		{ JSON, "{\"a\":\"openshell:resolve:env:NO\"}", CV_REWRITE_UNKNOWN },
		{ JSON, "{\"" P "\":1}", CV_REWRITE_BODY_NAME },
		{ JSON, "{\"" P "\" \n:1}", CV_REWRITE_BODY_NAME },
		{ JSON, "{\"\\u006fpenshell:resolve:env:KEY\":1}", CV_REWRITE_BODY_NAME },
		{ JSON, "{\"a\":\"openshell%3aresolve:env:KEY\"}", CV_REWRITE_ENCODED },
		{ JSON, "{\"a\":\"" P " openshell%3aresolve:env:KEY\"}", CV_REWRITE_ENCODED },
		{ JSON, "{\"a\":\"openshell\\\\u003aresolve:env:KEY\"}", CV_REWRITE_ENCODED },
		{ JSON, P, CV_REWRITE_BODY_MALFORMED },
		{ JSON, "\"" P, CV_REWRITE_BODY_MALFORMED },
		{ JSON, "'" P "'", CV_REWRITE_BODY_MALFORMED },
		{ JSON, "// \"\n\"" P "\"", CV_REWRITE_BODY_MALFORMED },
		{ JSON, "\"\\x\" \"" P "\"", CV_REWRITE_BODY_MALFORMED },
		{ JSON, "\"\\u12\" \"" P "\"", CV_REWRITE_BODY_MALFORMED },
		{ JSON, "\"\n\" \"" P "\"", CV_REWRITE_BODY_MALFORMED },
		{ JSON, "\"\xff" P "\"", CV_REWRITE_BODY_UTF8 },
		{ JSON, "\"\xc0\xaf" P "\"", CV_REWRITE_BODY_UTF8 },
		{ FORM, P "=a", CV_REWRITE_BODY_NAME },
		{ FORM, P, CV_REWRITE_BODY_NAME },
		{ FORM, "a=openshell%253aresolve:env:KEY", CV_REWRITE_ENCODED },
		{ FORM, "a={\"k\":\"openshell\\u003aresolve:env:KEY\"}", CV_REWRITE_ENCODED },
		{ TEXT, "openshell%3aresolve:env:KEY", CV_REWRITE_ENCODED },
		{ TEXT, "a " P " openshell\\u003aresolve:env:KEY", CV_REWRITE_ENCODED },
		{ PART, P, CV_REWRITE_BODY_MALFORMED },
		{ PART, P "\r\n--b:1\r\n\r\nx\r\n--b:1--", CV_REWRITE_PART_HEADER },
		{ PART, "--b:1\r\n\r\nx\r\n--b:1--\r\n" P, CV_REWRITE_PART_HEADER },
		{ PART, "--b:1\r\nA: " P "\r\n\r\nx\r\n--b:1--", CV_REWRITE_PART_HEADER },
		{ PART, "--b:1\r\nA: " P "\r\n--b:1--", CV_REWRITE_PART_HEADER },
		{ PART, "--b:1\r\n\r\n" P "\r\n--b:1", CV_REWRITE_BODY_MALFORMED },
		{ PART, "--b:1\r\n\r\n" P "\xff\r\n--b:1--", CV_REWRITE_BODY_UTF8 },
		{ PART, "--b:1\r\n\r\nopenshell%3aresolve:env:KEY\r\n--b:1--", CV_REWRITE_ENCODED },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_rewrite_plan plan;
		const enum cv_rewrite_rc rc = collect(row[i].type, cv_str_of(row[i].body), &plan);

		if (rc != row[i].rc)
			fail_msg("%s: got %s, want %s", row[i].body, cv_rewrite_rc_row(rc)->slug,
				cv_rewrite_rc_row(row[i].rc)->slug);
	}
}

static void c7_values_that_break_a_body_refuse(void **state)
{
	static const struct {
		struct cv_str value;
		enum cv_rewrite_rc rc;
	} row[] = {
		{ CV_STR("a\nb"), CV_REWRITE_VALUE },
		{ CV_STR("a\0b"), CV_REWRITE_VALUE },
		{ CV_STR("a\xff"), CV_REWRITE_VALUE_PLACE },
		{ CV_STR(P2), CV_REWRITE_LEFT },
		{ CV_STR_NONE, CV_REWRITE_VALUE_MISSING },
	};
	const struct cv_str body = CV_STR("{\"a\":\"" P "\"}");

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_str values[CV_ARRAY_LEN(entries)] = { row[i].value };
		struct cv_rewrite_plan plan;
		struct cv_str made = CV_STR("untouched");

		assert_int_equal(collect(JSON, body, &plan), CV_REWRITE_OK);
		assert_int_equal(
			cv_rewrite_body_apply(&set, body, &plan, values, &arena, &made), row[i].rc);
		assert_str(made, "untouched");
	}
}

/* The largest body of each kind, made of what is dear: the time says that nothing is quadratic. */
static void large_bodies_cost_linear_time_and_fit_the_arena(void **state)
{
	static char text[CV_REWRITE_BODY_BYTES_MAX + 1];
	static const struct {
		const char *type, *start, *unit, *end;
	} row[] = {
		{ JSON, "[\"" P "\"", ",\"\"", "]" },
		{ JSON, "[\"" P " ", "\\u0061", "\"]" },
		{ JSON, "[\"" P " ", "openshell:resolve:env", "\"]" },
		{ FORM, "a=" P, "&", "" },
		{ FORM, "a=" P "-", "%41", "" },
		{ TEXT, P " ", "OPENSHELL-RESOLVE-ENV", "" },
		{ PART, "--b:1\r\n\r\n" P, "\r\n--b:1", "\r\n--b:1--" },
		{ PART, "--b:1\r\n\r\n" P, "\r\n--b:1\r\n", "\r\n--b:1--" },
		{ PART, "--b:1\r\n\r\n" P, "\r\n--b:1 ", "\r\n--b:1--" },
	};
	struct cv_arena own;

	(void)state;
	cv_arena_init(&own, CV_REWRITE_BODY_ARENA_BYTES);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const size_t start_n = strlen(row[i].start), unit_n = strlen(row[i].unit),
			     end_n = strlen(row[i].end);
		const struct cv_rewrite_body b =
			cv_rewrite_body_of(cv_str_of(row[i].type), CV_STR_NONE);
		const clock_t began = clock();
		struct cv_rewrite_plan plan;
		struct cv_str made;
		size_t n = start_n;

		memcpy(text, row[i].start, n);
		for (; n + unit_n + end_n <= CV_REWRITE_BODY_BYTES_MAX; n += unit_n)
			memcpy(text + n, row[i].unit, unit_n);
		memcpy(text + n, row[i].end, end_n);
		const struct cv_str body = { text, n + end_n };
		cv_arena_reset(&own);
		print_message("# row %zu\n", i);
		assert_int_equal(
			cv_rewrite_body_collect(&set, &b, body, &own, &plan), CV_REWRITE_OK);
		assert_int_equal(cv_rewrite_body_apply(&set, body, &plan, good_values, &own, &made),
			CV_REWRITE_OK);
		const double s = (double)(clock() - began) / CLOCKS_PER_SEC;
		if (s > 2)
			fail_msg("row %zu took %.1f s", i, s);
	}
	cv_arena_fini(&own);
	struct cv_rewrite_plan plan;
	assert_int_equal(
		collect(TEXT, (struct cv_str){ text, sizeof(text) }, &plan), CV_REWRITE_BODY_LONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_follow_content_types),
		cmocka_unit_test(c4_placeholders_in_bodies_are_replaced),
		cmocka_unit_test(c4_placeholders_out_of_place_in_bodies_refuse),
		cmocka_unit_test(c7_values_that_break_a_body_refuse),
		cmocka_unit_test(large_bodies_cost_linear_time_and_fit_the_arena),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
