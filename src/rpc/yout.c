/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yout.c - see yout.h
 */
#include "rpc/yout.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

void cv_yout_refuse(struct cv_yout *w, const char *fmt, ...)
{
	char text[CV_ERR_MSG_BYTES_MAX / 2];
	va_list ap;

	if (w->has_failed)
		return;
	w->has_failed = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)cv_fail(w->err, CV_INVALID, "%.*s: %s", (int)w->place_n, w->place, text);
}

/* ---- places ---- */

size_t cv_yout_push(struct cv_yout *w, const char *name)
{
	const size_t before = w->place_n;
	const int n = snprintf(w->place + before, sizeof(w->place) - before, "%s%.80s",
		before && name[0] ? "." : "", name);

	w->place_n = CV_MIN(before + (size_t)CV_MAX(n, 0), sizeof(w->place) - 1);
	return before;
}

size_t cv_yout_push_index(struct cv_yout *w, size_t i)
{
	const size_t before = w->place_n;
	const int n = snprintf(w->place + before, sizeof(w->place) - before, "[%zu]", i);

	w->place_n = CV_MIN(before + (size_t)CV_MAX(n, 0), sizeof(w->place) - 1);
	return before;
}

/* ---- scalars ---- */

static bool is_plain_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_-./", c));
}

/* Nothing else than this string to any reader of YAML: begins as a word or a path, and is none of
 * the words that some reader takes for a truth value, nothing or a number. */
static bool is_plain(struct cv_str s)
{
	static const char *const words[] = { "true", "false", "yes", "no", "on", "off", "null", "y",
		"n" };

	if (!s.n || !((s.p[0] >= 'a' && s.p[0] <= 'z') || (s.p[0] >= 'A' && s.p[0] <= 'Z') ||
			    s.p[0] == '/'))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_plain_byte(s.p[i]) && !(i && s.p[i] == '*'))
			return false;
	for (size_t i = 0; i < CV_ARRAY_LEN(words); i++)
		if (cv_str_eq_nocase(s, cv_str_of(words[i])))
			return false;
	return true;
}

static void quoted_put(struct cv_yout *w, struct cv_str s)
{
	cv_buf_put_byte(w->out, '"');
	for (size_t i = 0; i < s.n;) {
		uint32_t cp = 0;
		const size_t step = cv_utf8_decode(cv_str_slice(s, i, s.n), &cp);

		if (!step) {
			cv_yout_refuse(w, "is not UTF-8");
			return;
		}
		if (cp == '"' || cp == '\\')
			cv_buf_printf(w->out, "\\%c", (char)cp);
		else if (cp < 0x20 || cp == 0x7f || cv_utf8_is_hidden(cp))
			cv_buf_printf(w->out, "\\U%08x", cp);
		else
			cv_buf_put(w->out, cv_str_slice(s, i, i + step));
		i += step;
	}
	cv_buf_put_byte(w->out, '"');
}

void cv_yout_scalar(struct cv_yout *w, const char *z)
{
	const struct cv_str s = cv_str_of(z);

	if (is_plain(s))
		cv_buf_put(w->out, s);
	else
		quoted_put(w, s);
}

/* ---- lines ---- */

void cv_yout_line(struct cv_yout *w)
{
	if (w->is_open)
		cv_buf_put_byte(w->out, '\n');
	w->is_open = false;
	for (unsigned i = 0; i + w->is_item < w->indent; i++)
		cv_buf_put(w->out, CV_STR("  "));
	if (w->is_item)
		cv_buf_put(w->out, CV_STR("- "));
	w->is_item = false;
}

void cv_yout_key(struct cv_yout *w, const char *name)
{
	cv_yout_line(w);
	cv_yout_scalar(w, name);
	cv_buf_put_byte(w->out, ':');
}

size_t cv_yout_begin(struct cv_yout *w, const char *name)
{
	const size_t before = cv_yout_push(w, name);

	cv_yout_key(w, name);
	w->is_open = true;
	w->indent++;
	return before;
}

void cv_yout_end(struct cv_yout *w, size_t before, const char *empty)
{
	if (w->is_open)
		cv_buf_printf(w->out, " %s\n", empty);
	w->is_open = false;
	w->indent--;
	w->place_n = before;
}

size_t cv_yout_item_begin(struct cv_yout *w, size_t i)
{
	w->is_item = true;
	w->indent++;
	return cv_yout_push_index(w, i);
}

void cv_yout_item_end(struct cv_yout *w, size_t before)
{
	if (w->is_item) { /* nothing was in it */
		cv_yout_line(w);
		cv_buf_put(w->out, CV_STR("{}\n"));
	}
	w->indent--;
	w->place_n = before;
}

void cv_yout_str(struct cv_yout *w, const char *name, const char *z)
{
	if (!z || !z[0])
		return;
	const size_t before = cv_yout_push(w, name);

	cv_yout_key(w, name);
	cv_buf_put_byte(w->out, ' ');
	cv_yout_scalar(w, z);
	cv_buf_put_byte(w->out, '\n');
	w->place_n = before;
}

void cv_yout_word(struct cv_yout *w, const char *name, const char *word)
{
	cv_yout_key(w, name);
	cv_buf_printf(w->out, " %s\n", word);
}

void cv_yout_true(struct cv_yout *w, const char *name, bool v)
{
	if (v)
		cv_yout_word(w, name, "true");
}

void cv_yout_number(struct cv_yout *w, const char *name, int64_t v)
{
	if (!v)
		return;
	cv_yout_key(w, name);
	cv_buf_printf(w->out, " %lld\n", (long long)v);
}

static void items_put(struct cv_yout *w, char *const *v, size_t n)
{
	for (size_t i = 0; i < n && !w->has_failed; i++) {
		const size_t item = cv_yout_item_begin(w, i);

		cv_yout_line(w);
		cv_yout_scalar(w, v[i]);
		cv_buf_put_byte(w->out, '\n');
		cv_yout_item_end(w, item);
	}
}

void cv_yout_list(struct cv_yout *w, const char *name, char *const *v, size_t n)
{
	if (!n)
		return;
	const size_t before = cv_yout_begin(w, name);

	items_put(w, v, n);
	cv_yout_end(w, before, "[]");
}
