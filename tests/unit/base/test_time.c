/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: the calendar is right on every day that RFC 3339 can write.
 * Method: known dates; a count of days, one by one through 10 000 years, against a naive calendar.
 */
#include "unit/test.h"

#include "base/time.c"

static void known(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} row[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ 951782400000, "2000-02-29T00:00:00.000Z" },
		{ 1795261954123, "2026-11-21T11:52:34.123Z" },
		{ 4107542400000, "2100-03-01T00:00:00.000Z" },
		{ CV_TIME_MS_MIN, "0000-01-01T00:00:00.000Z" },
		{ CV_TIME_MS_MAX, "9999-12-31T23:59:59.999Z" },
	};
	char text[CV_TIME_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		int64_t back;

		assert_str(cv_time_format(row[i].ms, text), row[i].text);
		assert_true(cv_time_parse(cv_str_of(row[i].text), &back));
		assert_int_equal(back, row[i].ms);
	}
	assert_str(cv_time_format(INT64_MIN, text), "0000-01-01T00:00:00.000Z");
	assert_str(cv_time_format(INT64_MAX, text), "9999-12-31T23:59:59.999Z");
}

static void every_day(void **state)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int64_t ms = CV_TIME_MS_MIN;

	(void)state;
	for (int y = 0; y < 10000; y++)
		for (int m = 1; m <= 12; m++) {
			const bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
			const int last = days[m - 1] + (m == 2 && leap);

			for (int d = 1; d <= last; d++, ms += DAY_MS) {
				const struct cv_time_civil t = cv_time_civil(ms);

				if (t.year != y || t.month != m || t.day != d ||
					days_of(y, m, d) * DAY_MS != ms)
					fail_msg("%d-%d-%d", y, m, d);
			}
		}
	assert_int_equal(ms - 1, CV_TIME_MS_MAX);
}

static void parses(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} row[] = {
		{ "1970-01-01T01:00:00+01:00", 0 },
		{ "1969-12-31t18:30:00-05:30", 0 },
		{ "1970-01-01T00:00:00.5z", 500 },
		{ "1970-01-01T00:00:00.123999999Z", 123 },
	};
	static const char *const bad[] = { "", "1970-01-01", "1970-01-01T00:00:00",
		"1970-01-01 00:00:00Z", "1970-02-30T00:00:00Z", "2023-02-29T00:00:00Z",
		"1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z", "1970-01-00T00:00:00Z",
		"1970-01-01T24:00:00Z", "1970-01-01T00:00:60Z", "1970-01-01T00:00:00.Z",
		"1970-01-01T00:00:00Zx", "1970-01-01T00:00:00+1:00", "70-01-01T00:00:00Z",
		"1970-01-01T00:00:00+24:00", "+970-01-01T00:00:00Z" };
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		assert_true(cv_time_parse(cv_str_of(row[i].text), &ms));
		assert_int_equal(ms, row[i].ms);
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		if (cv_time_parse(cv_str_of(bad[i]), &ms))
			fail_msg("\"%s\" is a time", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known),
		cmocka_unit_test(every_day),
		cmocka_unit_test(parses),
	};

	return cmocka_run_group_tests_name("base/time", tests, NULL, NULL);
}
