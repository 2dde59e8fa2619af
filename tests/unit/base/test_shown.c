/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_shown.c - what a person is shown: nothing that steers, hides, reorders or passes for ASCII
 */
#include "unit/test.h"

#include "base/shown.c"

static void shows(const char *text, size_t n, const struct cv_shown *how, const char *want)
{
	struct cv_buf out;

	cv_buf_init(&out, 65536);
	assert_true(cv_shown_put(&out, (struct cv_str){ text, n }, how));
	cv_buf_put_byte(&out, 0);
	assert_string_equal(cv_buf_str(&out).p, want);
	cv_buf_fini(&out);
}

static const struct {
	const char *text, *want;
} plain[] = {
	{ "", "" },
	{ "GET /a?b=c&d=%20 ~'\"", "GET /a?b=c&d=%20 ~'\"" },
	{ "Zürich, Łódź, Việt", "Zürich, Łódź, Việt" },
	{ "Привет, мир! Ωμέγα 日本語 テスト1 한국어", "Привет, мир! Ωμέγα 日本語 テスト1 한국어" },
	/* P9: nothing steers a terminal */
	{ "\033[2J\033]52;c;cm0=\a", "\\u{1b}[2J\\u{1b}]52;c;cm0=\\u{07}" },
	{ "a\rb\nc\td\177", "a\\u{0d}b\\u{0a}c\\u{09}d\\u{7f}" },
	{ "\xc2\x9b"
	  "31m",
		"\\u{9b}31m" },
	/* B6: nothing hides or reorders */
	{ "a\xe2\x80\xae"
	  "fdp.exe",
		"a\\u{202e}fdp.exe" },
	{ "a\xe2\x80\x8b"
	  "b\xef\xbb\xbf\xe2\x81\xa0",
		"a\\u{200b}b\\u{feff}\\u{2060}" },
	{ "\xe2\x81\xa6x\xe2\x81\xa9", "\\u{2066}x\\u{2069}" },
	{ "\xd7\xa9\xd7\x9c \xd8\xa7", "\\u{5e9}\\u{5dc} \\u{627}" },
	{ "\xf3\xa0\x81\x81 \xc2\xad \xe3\x85\xa4", "\\u{e0041} \\u{ad} \\u{3164}" },
	{ "\xe2\x80\xa8 \xc2\xa0 \xe3\x80\x80", "\\u{2028} \\u{a0} \\u{3000}" },
	/* not in normal form C; compatibility forms; what looks like ASCII */
	{ "e\xcc\x81 \xe2\x84\xab", "e\\u{301} \\u{212b}" },
	{ "\xef\xbd\x81\xef\xbc\x8e", "\\u{ff41}\\u{ff0e}" },
	{ "\xf0\x9d\x92\x82 \xe2\x88\x95 \xc4\xb1", "\\u{1d482} \\u{2215} \\u{131}" },
	/* A4: words of two scripts, and words that could be ASCII */
	{ "ex\xd0\xb0mple.com", "ex\\u{430}mple.com" },
	{ "\xd0\xb0\xd1\x80\xd1\x80\xd3\x8f\xd0\xb5.com",
		"\\u{430}\\u{440}\\u{440}\\u{4cf}\\u{435}.com" },
	{ "\xce\xbf \xe3\x83\x8e", "\\u{3bf} \\u{30ce}" },
	{ "g\xd0\xb8t-\xd0\xbc\xd0\xb8\xd1\x80", "g\\u{438}t-мир" },
	{ "\xd0\xbc\xce\xa9", "\\u{43c}\\u{3a9}" },
	/* no UTF-8 */
	{ "a\xff\xc0\xaf\xed\xa0\x80", "a\\x{ff}\\x{c0}\\x{af}\\x{ed}\\x{a0}\\x{80}" },
	{ "\xe2\x80", "\\x{e2}\\x{80}" },
	/* an escape can't be imitated, nor the mark of a cut */
	{ "\\u{41} …(9 bytes more)…", "\\\\u{41} \\u{2026}(9 bytes more)\\u{2026}" },
};

static void b6_p9_a4_nothing_deceives(void **state)
{
	static const struct cv_shown how = { 0 };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(plain); i++)
		shows(plain[i].text, strlen(plain[i].text), &how, plain[i].want);
	shows("a\0b", 3, &how, "a\\u{00}b");
}

static void json_keeps_its_escapes(void **state)
{
	static const struct cv_shown how = { .is_json = true };
	static const char *const rows[][2] = {
		{ "\"a\\nb\\\"\\\\c\\u001b\"", "\"a\\nb\\\"\\\\c\\u001b\"" },
		{ "\"\\n\xd0\xbc\xd0\xb8\xd1\x80\"", "\"\\nмир\"" },
		{ "\\", "\\\\" },
		{ "\\\033", "\\\\\\u{1b}" },
		{ "\\u12", "\\\\u12" },
		{ "\\\\u{41}", "\\\\u{41}" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		shows(rows[i][0], strlen(rows[i][0]), &how, rows[i][1]);
}

static void b6_long_text_is_cut_with_a_count(void **state)
{
	struct cv_shown how = { .bytes_max = 30 };
	char path[4096];
	struct cv_buf out;

	(void)state;
	memset(path, 'a', sizeof(path));
	memcpy(path, "/usr/bin/", 9);
	memcpy(path + sizeof(path) - 5, "/evil", 5);
	shows(path, sizeof(path), &how, "/usr/bin/aaaaaaaaaaa…(4066 bytes more)…aaaaa/evil");
	shows("exactly thirty bytes of a text", 30, &how, "exactly thirty bytes of a text");
	how.bytes_max = 9;
	shows("\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6", 16, &how,
		"жжж…(6 bytes more)…жж");
	how = (struct cv_shown){ .columns = 10, .prefix = "| " };
	shows("0123456789abcdefghij\nABC", 24, &how, "0123456789\n| abcdefghij\n| \\u{0a}ABC");
	cv_buf_init(&out, 8);
	assert_false(cv_shown_put_line(&out, CV_STR("\033\033\033"), 0));
	cv_buf_fini(&out);
}

static void c11_p9_a_message_keeps_its_lines(void **state)
{
	static const char *const rows[][2] = {
		{ "it failed:\na[1]: ‘x’ … “y” C:\\z\n", "it failed:\na[1]: ‘x’ … “y” C:\\z\n" },
		{ "a\rb\tc\033[2J\177", "a\\u{0d}b\\u{09}c\\u{1b}[2J\\u{7f}" },
		{ "\xc2\x9b \xe2\x80\xae \xe2\x80\xa8 \xe2\x80\x8b \xe2\x81\xa6 \xef\xbb\xbf",
			"\\u{9b} \\u{202e} \\u{2028} \\u{200b} \\u{2066} \\u{feff}" },
		{ "cut \xe2\x80", "cut \\x{e2}\\x{80}" },
	};
	struct cv_buf out;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		cv_buf_init(&out, 4096);
		assert_true(cv_shown_put_message(&out, cv_str_of(rows[i][0])));
		cv_buf_put_byte(&out, 0);
		assert_string_equal(cv_buf_str(&out).p, rows[i][1]);
		cv_buf_fini(&out);
	}
}

static void c11_p9_a_record_is_one_line(void **state)
{
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 4096);
	assert_true(cv_shown_put_record(&out, CV_STR("\\[a\\u{20}b\\] ‘x’\nforged\033[2J")));
	cv_buf_put_byte(&out, 0);
	assert_string_equal(cv_buf_str(&out).p, "\\[a\\u{20}b\\] ‘x’\\u{0a}forged\\u{1b}[2J");
	cv_buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(b6_p9_a4_nothing_deceives),
		cmocka_unit_test(json_keeps_its_escapes),
		cmocka_unit_test(b6_long_text_is_cut_with_a_count),
		cmocka_unit_test(c11_p9_a_message_keeps_its_lines),
		cmocka_unit_test(c11_p9_a_record_is_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
