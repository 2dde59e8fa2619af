/* SPDX-License-Identifier: Apache-2.0 */
/*
 * time.c - dates as text; see time.h
 *
 * Years are counted from March, so that the leap day is the last of its year, and in eras of 400
 * years (146097 days), in which the calendar repeats.  Day 0 of era 0 is 0000-03-01, which is
 * 719468 days before 1970-01-01.
 */
#include "base/time.h"

#include "base/attr.h"

#define DAY_MS     86400000LL
#define ERA_DAYS   146097
#define EPOCH_DAYS 719468

struct cv_time_civil cv_time_civil(int64_t unix_ms)
{
	unix_ms = CV_MIN(CV_MAX(unix_ms, CV_TIME_MS_MIN), CV_TIME_MS_MAX);

	const int64_t ms = (unix_ms % DAY_MS + DAY_MS) % DAY_MS;
	const int64_t day = (unix_ms - ms) / DAY_MS + EPOCH_DAYS + ERA_DAYS; /* never negative */
	const int era = (int)(day / ERA_DAYS) - 1;
	const int d = (int)(day % ERA_DAYS); /* of the era */
	const int y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
	const int yd = d - (365 * y + y / 4 - y / 100);
	const int m = (5 * yd + 2) / 153; /* from March; 153 days in five months */
	const int month = m < 10 ? m + 3 : m - 9;

	return (struct cv_time_civil){
		.year = era * 400 + y + (month <= 2),
		.month = month,
		.day = yd - (153 * m + 2) / 5 + 1,
		.hour = (int)(ms / 3600000),
		.minute = (int)(ms / 60000 % 60),
		.second = (int)(ms / 1000 % 60),
		.ms = (int)(ms % 1000),
	};
}

static int64_t days_of(int year, int month, int day)
{
	const int y = year - (month <= 2) + 400; /* never negative */
	const int yoe = y % 400;
	const int yd = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return (int64_t)(y / 400 - 1) * ERA_DAYS + 365 * yoe + yoe / 4 - yoe / 100 + yd -
	       EPOCH_DAYS;
}

/* v as exactly n digits, and at moved behind them. */
static void put_digits(char **at, unsigned v, int n)
{
	for (int i = n; i-- > 0; v /= 10)
		(*at)[i] = (char)('0' + v % 10);
	*at += n;
}

/* Not by printf: every audit event has one. */
struct cv_str cv_time_format(int64_t unix_ms, char text[CV_TIME_TEXT_BYTES])
{
	const struct cv_time_civil t = cv_time_civil(unix_ms);
	const struct {
		int value, digits;
		char then;
	} part[] = {
		{ t.year, 4, '-' },
		{ t.month, 2, '-' },
		{ t.day, 2, 'T' },
		{ t.hour, 2, ':' },
		{ t.minute, 2, ':' },
		{ t.second, 2, '.' },
		{ t.ms, 3, 'Z' },
	};
	char *at = text;

	for (size_t i = 0; i < CV_ARRAY_LEN(part); i++) {
		put_digits(&at, (unsigned)part[i].value, part[i].digits);
		*at++ = part[i].then;
	}
	*at = '\0';
	return (struct cv_str){ text, (size_t)(at - text) };
}

/* Exactly n digits at the front of *s. */
static bool take_digits(struct cv_str *s, size_t n, uint64_t max, int *ret)
{
	uint64_t v;

	if (s->n < n || !cv_str_to_u64(cv_str_slice(*s, 0, n), max, &v))
		return false;
	*s = cv_str_slice(*s, n, s->n);
	*ret = (int)v;
	return true;
}

static bool take_byte(struct cv_str *s, char c)
{
	if (!s->n || cv_ascii_lower(s->p[0]) != c)
		return false;
	*s = cv_str_slice(*s, 1, s->n);
	return true;
}

static bool take_fraction(struct cv_str *s, int *ret_ms)
{
	int unit = 100;
	size_t n = 0;

	*ret_ms = 0;
	if (!take_byte(s, '.'))
		return true;
	for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++, unit /= 10)
		*ret_ms += (s->p[n] - '0') * unit;
	*s = cv_str_slice(*s, n, s->n);
	return n > 0;
}

static bool take_offset(struct cv_str *s, int *ret_minutes)
{
	int sign, hour, minute;

	*ret_minutes = 0;
	if (take_byte(s, 'z'))
		return true;
	sign = take_byte(s, '+') ? 1 : take_byte(s, '-') ? -1 : 0;
	if (!sign || !take_digits(s, 2, 23, &hour) || !take_byte(s, ':') ||
		!take_digits(s, 2, 59, &minute))
		return false;
	*ret_minutes = sign * (hour * 60 + minute);
	return true;
}

static bool take_date(struct cv_str *s, int64_t *ret_days)
{
	int year, month, day;

	if (!take_digits(s, 4, 9999, &year) || !take_byte(s, '-') ||
		!take_digits(s, 2, 12, &month) || !take_byte(s, '-') ||
		!take_digits(s, 2, 31, &day) || !month || !day)
		return false;
	*ret_days = days_of(year, month, day);
	/* 30 February comes back as another date */
	return cv_time_civil(*ret_days * DAY_MS).day == day;
}

bool cv_time_parse(struct cv_str text, int64_t *ret_unix_ms)
{
	int hour, minute, second, ms, offset;
	int64_t days;

	if (!take_date(&text, &days) || !take_byte(&text, 't') ||
		!take_digits(&text, 2, 23, &hour) || !take_byte(&text, ':') ||
		!take_digits(&text, 2, 59, &minute) || !take_byte(&text, ':') ||
		!take_digits(&text, 2, 59, &second) || !take_fraction(&text, &ms) ||
		!take_offset(&text, &offset) || text.n)
		return false;
	*ret_unix_ms =
		days * DAY_MS + (((hour * 60LL + minute) - offset) * 60 + second) * 1000 + ms;
	return true;
}
