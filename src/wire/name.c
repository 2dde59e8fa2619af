/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name.c - host names in the one form that is compared; see name.h
 */
#include "wire/name.h"

#include "base/hex.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

bool cv_name_is_numeric(struct cv_str text)
{
	const size_t dot = cv_str_rfind_byte(text, '.');
	struct cv_str last = cv_str_slice(text, dot < text.n ? dot + 1 : 0, text.n);
	const bool is_hex = last.n >= 2 && last.p[0] == '0' && cv_ascii_lower(last.p[1]) == 'x';

	if (is_hex)
		last = cv_str_slice(last, 2, last.n);
	for (size_t i = 0; i < last.n; i++)
		if (is_hex ? cv_hex_digit(last.p[i]) < 0 : !is_digit(last.p[i]))
			return false;
	return is_hex || last.n > 0;
}

static bool is_label(struct cv_str label)
{
	if (!label.n || label.n > CV_NAME_LABEL_MAX)
		return false;
	if (label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++)
		if (!is_name_byte(cv_ascii_lower(label.p[i])))
			return false;
	return true;
}

bool cv_name_parse(struct cv_str text, struct cv_name *ret_name)
{
	struct cv_str rest = text;

	if (!text.n || text.n > CV_NAME_BYTES_MAX || cv_name_is_numeric(text))
		return false;
	while (rest.p)
		if (!is_label(cv_str_cut(&rest, '.')))
			return false;
	for (size_t i = 0; i < text.n; i++)
		ret_name->text[i] = cv_ascii_lower(text.p[i]);
	ret_name->text[text.n] = '\0';
	ret_name->n = (uint8_t)text.n;
	return true;
}
