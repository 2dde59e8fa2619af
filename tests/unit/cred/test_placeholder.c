/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_placeholder.c - every form is found, others' keys are unknown, and the scanner sees through
 * encodings at every split
 */
#include "unit/test.h"

#include <stdlib.h>
#include <time.h>

#include "cred/ph_escape.c"
#include "cred/placeholder.c"
#include "cred/scan.c"

#define GHP   "ghp_0123456789abcdefghijABCDEFGHIJ012345"
#define HEX64 "0123456789abcdef0123456789abcdef0123456789ABCDEF0123456789ABCDEF"

static struct cv_arena arena;
static struct cv_ph_set set;

static const struct cv_ph_entry entries[] = {
	{ CV_STR("KEY"), CV_STR("openshell:resolve:env:KEY") },
	{ CV_STR("KEY_2"), CV_STR("openshell:resolve:env:v7_KEY_2") },
	{ CV_STR("GH_TOKEN"), CV_STR(GHP) },
	{ CV_STR("ZED"), CV_STR_NONE },
	{ CV_STR("AWS"), CV_STR("AKIAQQQQQQQQQQQQQQQQ") },
};

static int setup(void **state)
{
	(void)state;
	cv_arena_init(&arena, 8 << 20);
	return cv_ph_set_compile(&set, entries, CV_ARRAY_LEN(entries), &arena, NULL) != CV_OK;
}

static int teardown(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	return 0;
}

static void forms_are_found(void **state)
{
	static const struct {
		const char *text, *found;
		uint32_t entry;
		enum cv_ph_form form;
		const char *tag;
	} row[] = {
		{ "x openshell:resolve:env:KEY y", "openshell:resolve:env:KEY", 0,
			CV_PH_FORM_CANONICAL, "" },
		{ "openshell:resolve:env:KEY_2", "openshell:resolve:env:KEY_2", 1,
			CV_PH_FORM_CANONICAL, "" },
		{ "openshell:resolve:env:KEY_", "openshell:resolve:env:KEY_", CV_PH_UNKNOWN,
			CV_PH_FORM_CANONICAL, "" },
		{ "openshell:resolve:env:KE-Y", "openshell:resolve:env:KE", CV_PH_UNKNOWN,
			CV_PH_FORM_CANONICAL, "" },
		{ "openshell:resolve:env:", "openshell:resolve:env:", CV_PH_UNKNOWN,
			CV_PH_FORM_CANONICAL, "" },
		{ "openshell:resolve:env:v12_KEY", "openshell:resolve:env:v12_KEY", 0,
			CV_PH_FORM_REVISION, "12" },
		{ "openshell:resolve:env:v_KEY", "openshell:resolve:env:v_KEY", CV_PH_UNKNOWN,
			CV_PH_FORM_CANONICAL, "" },
		{ "openshell:resolve:env:v12345678901234567890_KEY",
			"openshell:resolve:env:v12345678901234567890_KEY", CV_PH_UNKNOWN,
			CV_PH_FORM_CANONICAL, "" },
		{ "openshell:resolve:env:s" HEX64 "_ZED", "openshell:resolve:env:s" HEX64 "_ZED", 3,
			CV_PH_FORM_STABLE, HEX64 },
		{ "openshell:resolve:env:s" HEX64 "0_ZED", "openshell:resolve:env:s" HEX64 "0_ZED",
			CV_PH_UNKNOWN, CV_PH_FORM_CANONICAL, "" },
		{ "=sk-a.b~c-OPENSHELL-RESOLVE-ENV-KEY,", "sk-a.b~c-OPENSHELL-RESOLVE-ENV-KEY", 0,
			CV_PH_FORM_ALIAS, "" },
		{ "OPENSHELL-RESOLVE-ENV-KEY", "OPENSHELL-RESOLVE-ENV-KEY", CV_PH_UNKNOWN,
			CV_PH_FORM_ALIAS, "" },
		{ "-OPENSHELL-RESOLVE-ENV-KEY", "-OPENSHELL-RESOLVE-ENV-KEY", CV_PH_UNKNOWN,
			CV_PH_FORM_ALIAS, "" },
		{ "xOPENSHELL-RESOLVE-ENV-KEY", "xOPENSHELL-RESOLVE-ENV-KEY", CV_PH_UNKNOWN,
			CV_PH_FORM_ALIAS, "" },
		{ "x-OPENSHELL-RESOLVE-ENV-KEY-2", "x-OPENSHELL-RESOLVE-ENV-KEY-2", CV_PH_UNKNOWN,
			CV_PH_FORM_ALIAS, "" },
		{ "Bearer " GHP, GHP, 2, CV_PH_FORM_TEXT, "" },
		{ "ghp_ghp_" GHP, GHP, 2, CV_PH_FORM_TEXT, "" },
		{ "AKIAQQQQAKIAQQQQQQQQQQQQQQQQ", "AKIAQQQQQQQQQQQQQQQQ", 4, CV_PH_FORM_TEXT, "" },
		{ "openshell:resolve:openshell:resolve:env:ZED", "openshell:resolve:env:ZED", 3,
			CV_PH_FORM_CANONICAL, "" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_str text = cv_str_of(row[i].text);
		struct cv_ph_hit hit;

		print_message("# %s\n", row[i].text);
		assert_true(cv_ph_find(&set, text, 0, &hit));
		assert_str(cv_str_slice(text, hit.at, hit.at + hit.n), row[i].found);
		assert_int_equal(hit.entry, row[i].entry);
		assert_int_equal(hit.form, row[i].form);
		assert_str(hit.tag, row[i].tag);
		assert_false(cv_ph_find(&set, text, hit.at + hit.n, &hit));
	}
}

static void innocent_text_has_none(void **state)
{
	static const char *const text[] = { "", "openshell:resolve:env", "OPENSHELL-RESOLVE-ENV",
		"openshell:resolve:ENV:KEY", "ghp_0123456789abcdefghijABCDEFGHIJ01234",
		"openshell%3aresolve:en", "100% of \\u00 and \\", "AKIAQQQQQQQQQQQQQQQ" };
	struct cv_ph_hit hit;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(text); i++) {
		assert_false(cv_ph_find(&set, cv_str_of(text[i]), 0, &hit));
		assert_false(cv_ph_is_in(&set, cv_str_of(text[i])));
	}
}

static void hits_follow_each_other(void **state)
{
	const struct cv_str text = CV_STR(
		"a " GHP GHP " openshell:resolve:env:KEY:openshell:resolve:env:NO x-OPENSHELL-"
		"RESOLVE-ENV-ZED");
	static const uint32_t want[] = { 2, 2, 0, CV_PH_UNKNOWN, 3 };
	struct cv_ph_hit hit;
	size_t n = 0;

	(void)state;
	for (size_t at = 0; cv_ph_find(&set, text, at, &hit); at = hit.at + hit.n)
		assert_int_equal(hit.entry, want[n++]);
	assert_int_equal(n, CV_ARRAY_LEN(want));
}

static bool scan_in_two(struct cv_str text, size_t cut)
{
	struct cv_ph_scan s;

	cv_ph_scan_init(&s, &set);
	const bool first = cv_ph_scan_feed(&s, cv_str_slice(text, 0, cut));
	return cv_ph_scan_feed(&s, cv_str_slice(text, cut, text.n)) || first;
}

static bool scan_in_bytes(struct cv_str text)
{
	struct cv_ph_scan s;
	bool has_hit = false;

	cv_ph_scan_init(&s, &set);
	for (size_t i = 0; i < text.n; i++)
		has_hit = cv_ph_scan_feed(&s, cv_str_slice(text, i, i + 1));
	return has_hit;
}

static void c4_scanner_sees_through_encodings_at_every_split(void **state)
{
	static const char *const text[] = {
		"token=openshell:resolve:env:KEY&x=1",
		"openshell:resolve:env:UNKNOWN",
		"openshell%3Aresolve%3aenv%3AKEY",
		"%6fpenshel%6C%3aresolve%3Aenv%3AKEY",
		"%6F%70%65%6E%73%68%65%6C%6C%3A%72%65%73%6F%6C%76%65%3A%65%6E%76%3A",
		"openshell%253Aresolve%253aenv:KEY",
		"{\"a\":\"openshell\\u003aresolve:env\\u003AKEY\"}",
		"\\u006Fpenshell:resolve:env:",
		"openshell\\\\u003aresolve:env:",
		"openshell%5cu003aresolve:env%5Cu003a",
		"openshell\\u00253aresolve:env:",
		"openshell\\u0025\\u0033\\u0041resolve:env:",
		"%%6fpenshell:resolve:env:",
		"%4%6fpenshell:resolve:env:",
		"%openshell:resolve:env:",
		"%6openshell:resolve:env:",
		"\\nopenshell:resolve:env:",
		"\\openshell:resolve:env:",
		"\\u00openshell:resolve:env:",
		"\\u00\\u006fpenshell:resolve:env:",
		"a-OPENSHELL%2dRESOLVE\\u002dENV-KEY",
		"openopenshell:openshell:resolve:env:",
		"x" GHP "y",
		"ghp%5f0123456789abcdefghijABCDEFGHIJ012345",
		"\\ghp_0123456789abcdefghijABCDEFGHIJ01234\\u0035",
		"%4AKIAQQQQQQQQQQQQQQQQ",
		"%41KIAQQQQQQQQQQQQQQQQ",
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(text); i++) {
		const struct cv_str s = cv_str_of(text[i]);

		for (size_t cut = 0; cut <= s.n; cut++)
			if (!scan_in_two(s, cut))
				fail_msg("missed \"%s\" cut at %zu", text[i], cut);
		assert_true(scan_in_bytes(s));
	}
}

/* 8 KiB of what nearly is a marker, and of escapes that are none: the work of a step is counted in
 * time only, so the bound is generous; a quadratic scan takes thousands of times as long. */
static void c4_partial_markers_cost_linear_time(void **state)
{
	static const char *const unit[] = { "openshell:resolve:env", "OPENSHELL-RESOLVE-ENV",
		"openshell:resolve:openshell:", "%", "%5", "\\u", "\\u00", "%5cu00",
		"ghp_0123456789abcdefghijABCDEFGHIJ01234", "-", "OPENSHELL-RESOLVE-ENV-",
		"openshell:resolve:env:" };
	enum { SIZE = 8 << 10, ROUNDS = 100 };
	static char text[SIZE];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(unit); i++) {
		const size_t n = strlen(unit[i]);
		const clock_t start = clock();

		for (size_t at = 0; at < SIZE; at++)
			text[at] = unit[i][at % n];
		for (int r = 0; r < ROUNDS; r++) {
			struct cv_ph_hit hit;

			for (size_t at = 0;
				cv_ph_find(&set, (struct cv_str){ text, SIZE }, at, &hit);
				at = hit.at + hit.n)
				assert_true(hit.n > 0);
			(void)scan_in_two((struct cv_str){ text, SIZE }, SIZE / 2);
		}
		const double s = (double)(clock() - start) / CLOCKS_PER_SEC;
		if (s > 3)
			fail_msg("%d times 8 KiB of \"%s\" took %.1f s", ROUNDS, unit[i], s);
	}
}

static void texts_longer_than_any_window_are_found(void **state)
{
	static char text[CV_PH_LITERAL_BYTES_MAX];
	struct cv_ph_entry e = { CV_STR("LONG"), { text, sizeof(text) } };
	struct cv_ph_set longer;
	struct cv_ph_scan s;
	struct cv_ph_hit hit;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "abcdefghijklmnopqrstuvwxy"[i * i % 25];
	assert_int_equal(cv_ph_set_compile(&longer, &e, 1, &arena, NULL), CV_OK);
	cv_ph_scan_init(&s, &longer);
	for (size_t i = 0; i < sizeof(text); i++)
		assert_int_equal(
			cv_ph_scan_feed(&s, cv_str_slice(e.text, i, i + 1)), i + 1 == sizeof(text));
	assert_true(cv_ph_find(&longer, e.text, 0, &hit));
	assert_int_equal(hit.n, sizeof(text));
}

static void refuse(const struct cv_ph_entry *e, size_t count, const char *why)
{
	struct cv_ph_set s = { .count = 77 };
	struct cv_err err = { 0 };

	assert_int_equal(cv_ph_set_compile(&s, e, count, &arena, &err), CV_INVALID);
	if (!strstr(err.msg, why))
		fail_msg("got \"%s\", want \"%s\"", err.msg, why);
	assert_int_equal(s.count, 77);
}

#define REFUSE(why, ...)                                         \
	do {                                                     \
		const struct cv_ph_entry e_[] = { __VA_ARGS__ }; \
		refuse(e_, CV_ARRAY_LEN(e_), why);               \
	} while (0)
#define E(key, text)                      \
	{                                 \
		CV_STR(key), CV_STR(text) \
	}

static void bad_sets_are_refused(void **state)
{
	static struct cv_ph_entry many[CV_PH_ENTRIES_MAX + 1];
	static char bulk[40][2000];

	(void)state;
	REFUSE("not the name", E("", ""));
	REFUSE("not the name", E("1A", ""));
	REFUSE("not the name", E("A-B", ""));
	REFUSE("reserved", E("v1_A", ""));
	REFUSE("reserved", E("s" HEX64 "_A", ""));
	REFUSE("twice", E("A", ""), E("B", ""), E("A", ""));
	REFUSE("bytes, want", E("A", "short"));
	REFUSE("some encodings", E("A", "abcdefgh/ijklmnop"));
	REFUSE("some encodings", E("A", "abcdefgh ijklmnop"));
	REFUSE("some encodings", E("A", "abcdefgh%41jklmnop"));
	REFUSE("another key", E("A", "openshell:resolve:env:B"), E("B", ""));
	REFUSE("another key", E("A", "openshell:resolve:env:A-and-more"));
	REFUSE("another one's", E("A", GHP), E("B", GHP));
	REFUSE("within another", E("A", GHP), E("B", GHP "x"));
	REFUSE("within another", E("A", GHP), E("B", "x" GHP));
	REFUSE("within another", E("A", "x" GHP "y"), E("B", GHP));
	refuse(many, CV_ARRAY_LEN(many), "at most 192");
	for (size_t i = 0; i < CV_ARRAY_LEN(bulk); i++)
		many[i].text = (struct cv_str){ bulk[i], sizeof(bulk[i]) };
	refuse(many, CV_ARRAY_LEN(bulk), "together");
}

static void an_empty_set_still_knows_the_markers(void **state)
{
	struct cv_ph_set none;
	struct cv_ph_hit hit;

	(void)state;
	assert_int_equal(cv_ph_set_compile(&none, NULL, 0, &arena, NULL), CV_OK);
	assert_true(cv_ph_find(&none, CV_STR("openshell:resolve:env:KEY"), 0, &hit));
	assert_int_equal(hit.entry, CV_PH_UNKNOWN);
	assert_true(cv_ph_is_in(&none, CV_STR("x%2dOPENSHELL-RESOLVE-ENV-KEY")));
}

static void c10_redaction_leaves_no_placeholder(void **state)
{
	static const char *const row[][2] = {
		{ "/a/b?c=d", "/a/b?c=d" },
		{ "/bot" GHP "/get?t=openshell%3Aresolve:env:KEY&z=%41",
			"/bot[CREDENTIAL]/get?t=[CREDENTIAL]&z=%41" },
		{ "openshell:resolve:env:NOT_OURS", "[CREDENTIAL]" },
	};
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		assert_str(cv_ph_redact(&set, cv_str_of(row[i][0]), &arena), row[i][1]);

	struct cv_arena small;
	cv_arena_init(&small, 8);
	assert_str(cv_ph_redact(&set, CV_STR("/" GHP), &small), "[CREDENTIAL]");
	cv_arena_fini(&small);
}

static void decoding_keeps_track(void **state)
{
	struct cred_decoded d;

	(void)state;
	assert_true(cred_decode(CV_STR("a%41+%zz%4"), CRED_FORM, &arena, &d));
	assert_str(d.text, "aA %zz%4");
	assert_int_equal(d.at[1], 1);
	assert_int_equal(d.at[2], 4);
	assert_int_equal(d.at[8], 10);
	assert_true(cred_decode(CV_STR("\\u00e4\\\"\\q\\u20AC"), CRED_JSON, &arena, &d));
	assert_str(d.text, "\xc3\xa4\"\\q\xe2\x82\xac");
	assert_int_equal(d.at[1], 0);
	assert_int_equal(d.at[2], 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_are_found),
		cmocka_unit_test(innocent_text_has_none),
		cmocka_unit_test(hits_follow_each_other),
		cmocka_unit_test(c4_scanner_sees_through_encodings_at_every_split),
		cmocka_unit_test(c4_partial_markers_cost_linear_time),
		cmocka_unit_test(texts_longer_than_any_window_are_found),
		cmocka_unit_test(bad_sets_are_refused),
		cmocka_unit_test(an_empty_set_still_knows_the_markers),
		cmocka_unit_test(c10_redaction_leaves_no_placeholder),
		cmocka_unit_test(decoding_keeps_track),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
