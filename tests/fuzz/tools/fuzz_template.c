/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_template.c - any text as a template of each kind, filled with any arguments: no word begins
 * with '-' that no text of the template begins so, paths and queries hold only what they may
 *
 * Input: the template, a line feed, the arguments as JSON.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "tools/template.h"
#include "wire/json_value.h"

static bool give(void *arg, struct cv_str name, struct cv_str *ret)
{
	(void)arg;
	(void)name;
	*ret = CV_STR("s3cret");
	return true;
}

static void words_check(const struct cv_template *t, const struct cv_template_values *values,
	struct cv_arena *arena)
{
	struct cv_str *v = NULL;
	size_t n = 0;

	if (cv_template_argv(&t, 1, values, arena, &v, &n, NULL) != CV_TEMPLATE_OK)
		return;
	for (size_t i = 0; i < n; i++) {
		cv_assert(!cv_str_has_byte(v[i], '\0'));
		if (v[i].n && v[i].p[0] == '-') /* somebody wrote it into the catalog */
			cv_assert(cv_str_has_byte(t->source, '-'));
	}
}

static void text_check(const struct cv_template *t, const struct cv_template_values *values)
{
	struct cv_buf out;

	cv_buf_init(&out, 1 << 20);
	if (cv_template_text(t, values, &out, NULL) == CV_TEMPLATE_OK) {
		const struct cv_str s = cv_buf_str(&out);

		cv_assert(!cv_str_has_byte(s, '\0'));
		if (t->kind == CV_TEMPLATE_HEADER && !cv_str_has_byte(t->source, '\r'))
			cv_assert(!cv_str_has_byte(s, '\r'));
		if (t->kind == CV_TEMPLATE_QUERY && !cv_str_has_byte(t->source, ' '))
			cv_assert(!cv_str_has_byte(s, ' '));
	}
	cv_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_str rest = { (const char *)data, size };
	const struct cv_str text = cv_str_cut(&rest, '\n');
	struct cv_template_values values = { .credential = give };
	struct cv_arena arena;

	cv_arena_init(&arena, 8 << 20);
	if (cv_json_value_read(rest, &arena, &values.arguments, NULL) != CV_JSON_PROBLEM_NONE)
		values.arguments = NULL;
	for (int kind = 0; kind < CV_TEMPLATE_KIND_COUNT; kind++) {
		const struct cv_template *t = NULL;
		struct cv_err err = { 0 };
		size_t at = 0;

		if (cv_template_compile(text, (enum cv_template_kind)kind, &arena, &t, &at, &err) !=
			CV_OK) {
			cv_assert(err.msg[0] && at <= text.n);
			continue;
		}
		if (kind == CV_TEMPLATE_WORD)
			words_check(t, &values, &arena);
		else
			text_check(t, &values);
	}
	cv_arena_fini(&arena);
	return 0;
}
