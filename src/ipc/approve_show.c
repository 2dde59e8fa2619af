/* SPDX-License-Identifier: Apache-2.0 */
/* approve_show.c - see approve_show.h */
#include "ipc/approve_show.h"

#include "base/shown.h"

#define LINE_WORD_BYTES 60  /* of a path or a URL in one line */
#define WORD_BYTES      300 /* ... in a view: both its ends */
#define TEXT_BYTES      1500
#define COLUMNS         84
#define ANCESTORS       6

static const char indent[] = "             ";

static struct cv_str kind_of(const struct cv_ask *ask)
{
	return ask->flags & CV_ASK_NETWORK ? CV_STR("request") : CV_STR("tool");
}

bool cv_ask_show_line(struct cv_buf *out, const struct cv_ask *ask)
{
	cv_buf_printf(out, "%.*s ", CV_STR_ARG(kind_of(ask)));
	cv_shown_put_line(out, ask->what, LINE_WORD_BYTES * 2);
	cv_buf_put(out, CV_STR(" by "));
	return cv_shown_put_line(out, ask->who.n ? ask->who : CV_STR("(unknown)"), LINE_WORD_BYTES);
}

static void field_put(
	struct cv_buf *out, const char *name, struct cv_str s, const struct cv_shown *how)
{
	cv_buf_printf(out, "  %-10s ", name);
	cv_shown_put(out, s, how);
}

/* The first that is not shown, of count. */
static size_t ancestors_shown(const struct cv_ask *ask, bool is_whole)
{
	return is_whole ? ask->ancestor_count : CV_MIN(ask->ancestor_count, (size_t)ANCESTORS);
}

static void ancestors_put(
	struct cv_buf *out, const struct cv_ask *ask, const struct cv_shown *how, bool is_whole)
{
	const size_t n = ancestors_shown(ask, is_whole);
	const size_t more = ask->ancestor_count - n + ask->ancestors_more;

	for (size_t i = 0; i < n; i++) {
		field_put(out, i ? "" : "under", ask->ancestors[i], how);
		cv_buf_put_byte(out, '\n');
	}
	if (more)
		cv_buf_printf(out, "%s(%zu more)\n", indent, more);
}

static const char *meaning_of(const struct cv_ask *ask)
{
	if (ask->flags & CV_ASK_ONCE)
		return "a yes is for every call of this tool by this rule, as long as the run lasts";
	if (ask->flags & CV_ASK_EACH)
		return "each call is asked about";
	return "each request is asked about";
}

bool cv_ask_show(struct cv_buf *out, const struct cv_ask *ask, bool is_whole)
{
	const struct cv_shown word = { is_whole ? 0 : WORD_BYTES, COLUMNS, indent, false };
	const struct cv_shown text = { is_whole ? 0 : TEXT_BYTES, COLUMNS, indent,
		(ask->flags & CV_ASK_JSON) != 0 };

	cv_buf_printf(out, "question %llu of ", (unsigned long long)ask->id);
	cv_shown_put_line(out, ask->sandbox, WORD_BYTES);
	cv_buf_printf(out, ", denied in %u s\n", ask->seconds);
	field_put(out, ask->flags & CV_ASK_NETWORK ? "request" : "tool", ask->what, &word);
	cv_buf_put_byte(out, '\n');
	field_put(out, ask->flags & CV_ASK_NETWORK ? "in full" : "arguments", ask->text, &text);
	if (ask->text_bytes > ask->text.n)
		cv_buf_printf(out, "\n%s(these are the first %zu of %llu bytes)", indent,
			ask->text.n, (unsigned long long)ask->text_bytes);
	cv_buf_put_byte(out, '\n');
	field_put(out, "asked by", ask->who.n ? ask->who : CV_STR("(unknown)"), &word);
	cv_buf_printf(out, " (process %u of the sandbox)\n", ask->pid);
	ancestors_put(out, ask, &word, is_whole);
	field_put(out, "rule", ask->rule, &word);
	cv_buf_printf(out, "; %s\n", meaning_of(ask));
	return !out->is_overflown;
}

bool cv_ask_is_long(const struct cv_ask *ask)
{
	bool is_long = ask->what.n > WORD_BYTES || ask->who.n > WORD_BYTES ||
		       ask->rule.n > WORD_BYTES || ask->text.n > TEXT_BYTES ||
		       ask->ancestor_count > ANCESTORS;

	for (size_t i = 0; i < ask->ancestor_count; i++)
		is_long |= ask->ancestors[i].n > WORD_BYTES;
	return is_long;
}
