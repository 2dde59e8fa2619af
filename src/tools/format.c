/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format.c - see format.h
 *
 * Each format is a predicate that eats its text from the front with the few helpers below and is
 * content when nothing is left.  All take time that is linear in the text.
 */
#include "tools/format.h"

#include "base/ip.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
	return cv_ascii_lower(c) >= 'a' && cv_ascii_lower(c) <= 'z';
}

static bool is_hex(char c)
{
	return is_digit(c) || (cv_ascii_lower(c) >= 'a' && cv_ascii_lower(c) <= 'f');
}

static char first(struct cv_str s)
{
	return s.n ? s.p[0] : 0;
}

static bool byte_take(struct cv_str *s, char c)
{
	if (!s->n || cv_ascii_lower(s->p[0]) != c)
		return false;
	*s = cv_str_slice(*s, 1, s->n);
	return true;
}

static size_t digits_take(struct cv_str *s)
{
	size_t n = 0;

	while (n < s->n && is_digit(s->p[n]))
		n++;
	*s = cv_str_slice(*s, n, s->n);
	return n;
}

/* Exactly n digits, as a number from min to max. */
static bool number_take(struct cv_str *s, size_t n, int min, int max, int *ret)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		if (i >= s->n || !is_digit(s->p[i]))
			return false;
		v = v * 10 + (s->p[i] - '0');
	}
	*s = cv_str_slice(*s, n, s->n);
	*ret = v;
	return v >= min && v <= max;
}

/* ---- time ---- */

static bool date_take(struct cv_str *s)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int y, m, d;

	if (!number_take(s, 4, 0, 9999, &y) || !byte_take(s, '-') ||
		!number_take(s, 2, 1, 12, &m) || !byte_take(s, '-') ||
		!number_take(s, 2, 1, 31, &d))
		return false;
	const bool is_leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	return d <= days[m - 1] + (m == 2 && is_leap);
}

static bool time_take(struct cv_str *s)
{
	int h, m, sec, oh = 0, om = 0;

	if (!number_take(s, 2, 0, 23, &h) || !byte_take(s, ':') || !number_take(s, 2, 0, 59, &m) ||
		!byte_take(s, ':') || !number_take(s, 2, 0, 60, &sec) ||
		(byte_take(s, '.') && !digits_take(s)))
		return false;
	if (!byte_take(s, 'z')) {
		const int sign = first(*s) == '-' ? -1 : 1;

		if (!byte_take(s, '+') && !byte_take(s, '-'))
			return false;
		if (!number_take(s, 2, 0, 23, &oh) || !byte_take(s, ':') ||
			!number_take(s, 2, 0, 59, &om))
			return false;
		oh *= sign;
		om *= sign;
	}
	/* a leap second is the last of a day in UTC */
	return sec < 60 || (h * 60 + m - oh * 60 - om + 2880) % 1440 == 1439;
}

static bool is_date(struct cv_str s)
{
	return date_take(&s) && !s.n;
}

static bool is_time(struct cv_str s)
{
	return time_take(&s) && !s.n;
}

static bool is_date_time(struct cv_str s)
{
	return date_take(&s) && byte_take(&s, 't') && time_take(&s) && !s.n;
}

/* Numbers with units, in order and without a gap: of the units there are, as a text. */
static bool units_take(struct cv_str *s, const char *units)
{
	size_t n = 0;

	while (is_digit(first(*s))) {
		struct cv_str unit = *s;

		digits_take(&unit);
		const char *at = unit.n ? strchr(units, unit.p[0]) : NULL;
		if (!at || !unit.p[0] || (n && at != units))
			return false;
		units = at + 1;
		*s = cv_str_slice(unit, 1, unit.n);
		n++;
	}
	return n > 0;
}

static bool is_duration(struct cv_str s)
{
	struct cv_str weeks;

	if (first(s) != 'P')
		return false;
	s = cv_str_slice(s, 1, s.n);
	weeks = s;
	if (digits_take(&weeks) && weeks.n == 1 && weeks.p[0] == 'W')
		return true;
	if (first(s) != 'T' && !units_take(&s, "YMD"))
		return false;
	if (!s.n)
		return true;
	if (first(s) != 'T')
		return false;
	s = cv_str_slice(s, 1, s.n);
	return units_take(&s, "HMS") && !s.n;
}

/* ---- hosts ---- */

static bool is_label(struct cv_str s)
{
	if (!s.n || s.n > 63 || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alpha(s.p[i]) && !is_digit(s.p[i]) && s.p[i] != '-')
			return false;
	/* RFC 5891 4.2.3.1: two hyphens there are for A-labels only */
	if (s.n >= 4 && s.p[2] == '-' && s.p[3] == '-')
		return s.n > 4 && cv_str_eq_nocase(cv_str_slice(s, 0, 2), CV_STR("xn"));
	return true;
}

static bool is_hostname(struct cv_str s)
{
	if (!s.n || s.n > 253)
		return false;
	while (s.p)
		if (!is_label(cv_str_cut(&s, '.')))
			return false;
	return true;
}

static bool is_ipv4(struct cv_str s)
{
	struct cv_ip ip;

	return !cv_str_has_byte(s, ':') && cv_ip_parse(s, &ip);
}

static bool is_ipv6(struct cv_str s)
{
	struct cv_ip ip;

	return cv_str_has_byte(s, ':') && cv_ip_parse(s, &ip);
}

static bool is_atext(char c)
{
	return is_alpha(c) || is_digit(c) ||
	       (c && cv_str_has_byte(CV_STR("!#$%&'*+-/=?^_`{|}~"), c));
}

static bool is_local_part(struct cv_str s)
{
	if (!s.n || s.n > 64)
		return false;
	if (s.p[0] == '"') {
		for (size_t i = 1; i + 1 < s.n; i++) {
			if (s.p[i] == '\\' && i + 2 < s.n)
				i++;
			else if (s.p[i] == '"' || s.p[i] == '\\')
				return false;
			if (s.p[i] < 0x20 || s.p[i] == 0x7f)
				return false;
		}
		return s.n > 1 && s.p[s.n - 1] == '"';
	}
	for (size_t i = 0; i < s.n; i++)
		if (!is_atext(s.p[i]) && (s.p[i] != '.' || !i || i + 1 == s.n || s.p[i - 1] == '.'))
			return false;
	return true;
}

static bool is_email(struct cv_str s)
{
	const size_t at = cv_str_rfind_byte(s, '@');
	const struct cv_str host = cv_str_slice(s, at + 1, s.n);

	if (at == s.n || !is_local_part(cv_str_slice(s, 0, at)))
		return false;
	if (first(host) != '[')
		return is_hostname(host);
	if (host.p[host.n - 1] != ']')
		return false;
	const struct cv_str literal = cv_str_slice(host, 1, host.n - 1);
	if (cv_str_has_prefix(literal, CV_STR("IPv6:")))
		return is_ipv6(cv_str_slice(literal, 5, literal.n));
	return is_ipv4(literal);
}

/* ---- URIs ---- */

/* Unreserved, sub-delims, escapes, and those in `more`. */
static bool is_uri_text(struct cv_str s, struct cv_str more)
{
	for (size_t i = 0; i < s.n; i++) {
		const char c = s.p[i];

		if (c == '%') {
			if (i + 2 >= s.n || !is_hex(s.p[i + 1]) || !is_hex(s.p[i + 2]))
				return false;
			i += 2;
		} else if (!is_alpha(c) && !is_digit(c) && !cv_str_has_byte(more, c) &&
			   !cv_str_has_byte(CV_STR("-._~!$&'()*+,;="), c)) {
			return false;
		}
	}
	return true;
}

static bool is_future_ip(struct cv_str s) /* v1.text */
{
	size_t n = 1;

	while (n < s.n && is_hex(s.p[n]))
		n++;
	return cv_ascii_lower(first(s)) == 'v' && n > 1 && n + 1 < s.n && s.p[n] == '.' &&
	       !cv_str_has_byte(s, '%') && is_uri_text(cv_str_slice(s, n + 1, s.n), CV_STR(":"));
}

static bool is_authority(struct cv_str s)
{
	const size_t at = cv_str_find_byte(s, '@');
	struct cv_str port;

	if (at < s.n) {
		if (!is_uri_text(cv_str_slice(s, 0, at), CV_STR(":")))
			return false;
		s = cv_str_slice(s, at + 1, s.n);
	}
	if (first(s) == '[') {
		const size_t end = cv_str_find_byte(s, ']');
		const struct cv_str literal = cv_str_slice(s, 1, end);

		if (end == s.n || (!is_ipv6(literal) && !is_future_ip(literal)))
			return false;
		port = cv_str_slice(s, end + 1, s.n);
		if (port.n && !byte_take(&port, ':'))
			return false;
	} else {
		const size_t colon = cv_str_find_byte(s, ':');

		if (!is_uri_text(cv_str_slice(s, 0, colon), CV_STR_NONE))
			return false;
		port = cv_str_slice(s, colon + 1, s.n);
	}
	digits_take(&port);
	return !port.n;
}

static size_t scheme_bytes(struct cv_str s)
{
	size_t n = 0;

	while (n < s.n && (is_alpha(s.p[n]) || (n && (is_digit(s.p[n]) || s.p[n] == '+' ||
							     s.p[n] == '-' || s.p[n] == '.'))))
		n++;
	return n && n < s.n && s.p[n] == ':' ? n : 0;
}

/* What follows the scheme. */
static bool is_relative_part(struct cv_str s, bool has_scheme)
{
	const size_t hash = cv_str_find_byte(s, '#');
	const struct cv_str more = CV_STR(":@/");

	if (!is_uri_text(cv_str_slice(s, hash + 1, s.n), CV_STR(":@/?")))
		return false;
	s = cv_str_slice(s, 0, hash);
	const size_t query = cv_str_find_byte(s, '?');
	if (!is_uri_text(cv_str_slice(s, query + 1, s.n), CV_STR(":@/?")))
		return false;
	s = cv_str_slice(s, 0, query);
	if (cv_str_has_prefix(s, CV_STR("//"))) {
		s = cv_str_slice(s, 2, s.n);
		const size_t slash = cv_str_find_byte(s, '/');
		return is_authority(cv_str_slice(s, 0, slash)) &&
		       is_uri_text(cv_str_slice(s, slash, s.n), more);
	}
	/* else the first segment would be a scheme */
	if (!has_scheme && cv_str_find_byte(s, ':') < cv_str_find_byte(s, '/'))
		return false;
	return is_uri_text(s, more);
}

static bool is_uri(struct cv_str s)
{
	const size_t n = scheme_bytes(s);

	return n && is_relative_part(cv_str_slice(s, n + 1, s.n), true);
}

static bool is_uri_reference(struct cv_str s)
{
	return is_uri(s) || is_relative_part(s, false);
}

/* ---- others ---- */

static bool is_uuid(struct cv_str s)
{
	if (s.n != 36)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? s.p[i] != '-' : !is_hex(s.p[i]))
			return false;
	return true;
}

static bool is_json_pointer(struct cv_str s)
{
	if (s.n && s.p[0] != '/')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '~' && (i + 1 == s.n || (s.p[i + 1] != '0' && s.p[i + 1] != '1')))
			return false;
	return true;
}

static bool is_relative_json_pointer(struct cv_str s)
{
	const bool is_zero = first(s) == '0';
	const size_t n = digits_take(&s);

	if (!n || (is_zero && n > 1))
		return false;
	return (s.n == 1 && s.p[0] == '#') || is_json_pointer(s);
}

const struct cv_format *cv_format_find(struct cv_str name)
{
	static const struct cv_format row[] = {
		{ "date-time", is_date_time },
		{ "date", is_date },
		{ "time", is_time },
		{ "duration", is_duration },
		{ "email", is_email },
		{ "hostname", is_hostname },
		{ "ipv4", is_ipv4 },
		{ "ipv6", is_ipv6 },
		{ "uri", is_uri },
		{ "uri-reference", is_uri_reference },
		{ "uuid", is_uuid },
		{ "json-pointer", is_json_pointer },
		{ "relative-json-pointer", is_relative_json_pointer },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (cv_str_eq(name, cv_str_of(row[i].name)))
			return &row[i];
	return NULL;
}
