/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_traceparent.c - W3C Trace Context: what may be continued, and what is written
 */
#include "unit/test.h"

#include "wire/traceparent.c"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static void table(void **state)
{
	static const struct {
		const char *text;
		bool is_good, is_sampled;
	} row[] = {
		{ "00-" TRACE "-" SPAN "-01", true, true },
		{ "00-" TRACE "-" SPAN "-00", true, false },
		{ "00-" TRACE "-" SPAN "-03", true, true },
		{ "00-" TRACE "-" SPAN "-02", true, false },
		{ "cc-" TRACE "-" SPAN "-01", true, true }, /* one of the future ... */
		{ "cc-" TRACE "-" SPAN "-01-what", true, true },
		{ "cc-" TRACE "-" SPAN "-01.what", false, false },
		{ "00-" TRACE "-" SPAN "-01-what", false, false }, /* ... and of today */
		{ "ff-" TRACE "-" SPAN "-01", false, false },
		{ "00-00000000000000000000000000000000-" SPAN "-01", false, false },
		{ "00-" TRACE "-0000000000000000-01", false, false },
		{ "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01", false, false },
		{ "00-" TRACE "-" SPAN "-0", false, false },
		{ "00-" TRACE "-" SPAN, false, false },
		{ "00-" TRACE "_" SPAN "-01", false, false },
		{ "0-" TRACE "-" SPAN "-01", false, false },
		{ " 00-" TRACE "-" SPAN "-01", false, false },
		{ "00-" TRACE "-" SPAN "-01 ", false, false },
		{ "00-xbf92f3577b34da6a3ce929d0e0e4736-" SPAN "-01", false, false },
		{ "", false, false },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_traceparent t = { .is_sampled = false };
		const bool is_good = cv_traceparent_parse(cv_str_of(row[i].text), &t);

		if (is_good != row[i].is_good || t.is_sampled != row[i].is_sampled)
			fail_msg("'%s'", row[i].text);
	}
}

static void is_bounded(void **state)
{
	static char text[CV_TRACEPARENT_BYTES_MAX + 2] = "cc-" TRACE "-" SPAN "-01-";
	struct cv_traceparent t;

	(void)state;
	memset(text + 56, 'x', sizeof(text) - 57);
	assert_true(cv_traceparent_parse((struct cv_str){ text, CV_TRACEPARENT_BYTES_MAX }, &t));
	assert_false(
		cv_traceparent_parse((struct cv_str){ text, CV_TRACEPARENT_BYTES_MAX + 1 }, &t));
}

static void what_is_written_is_read(void **state)
{
	static const char *const text[] = { "00-" TRACE "-" SPAN "-01",
		"00-" TRACE "-" SPAN "-00" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(text); i++) {
		struct cv_traceparent t;
		char again[CV_TRACEPARENT_BYTES + 1];

		assert_true(cv_traceparent_parse(cv_str_of(text[i]), &t));
		cv_traceparent_write(&t, again);
		assert_string_equal(again, text[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(what_is_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
