/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_schema.c - hostile schemas and values
 *
 * The input is a JSON array: the schema and values (or any JSON, which is both).  Property: no value
 * is good and has errors, asking again gives the same answer, strictness only refuses more, and
 * what is said lies within its limits.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/utf8.h"
#include "tools/schema.h"
#include "wire/json_value.h"

#define BYTES_MAX (64u << 20)

static void errors_look(const struct cv_schema_errors *e, cv_code code)
{
	cv_assert(code == CV_OK || code == CV_INVALID || code == CV_LIMIT);
	cv_assert((code == CV_OK) == (e->n == 0) || e->arena->is_overflown);
	cv_assert(e->n <= CV_SCHEMA_ERRORS_MAX);
	for (size_t i = 0; i < e->n; i++) {
		cv_assert(e->e[i].message.n <= CV_SCHEMA_MESSAGE_BYTES_MAX);
		cv_assert(cv_utf8_is_valid(e->e[i].message));
		cv_assert(e->e[i].message.n > 0);
	}
}

static void value_look(
	const struct cv_schema *s, const struct cv_value *v, struct cv_schema_errors *e)
{
	struct cv_arena *arena = e->arena;

	cv_schema_errors_init(e, arena);
	const cv_code code = cv_schema_check(s, v, 0, e);
	errors_look(e, code);
	for (size_t i = 0; i < e->n; i++) /* pointers lead where they say, unless cut */
		if (e->e[i].pointer.n < CV_SCHEMA_POINTER_BYTES_MAX / 2)
			cv_assert(cv_value_at(v, e->e[i].pointer));
	cv_schema_errors_init(e, arena);
	cv_assert(cv_schema_check(s, v, 0, e) == code);
	cv_schema_errors_init(e, arena);
	const cv_code strict = cv_schema_check(s, v, CV_SCHEMA_STRICT, e);
	errors_look(e, strict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str text = { (const char *)data, size };
	const struct cv_value *v = NULL;
	struct cv_schema_errors errors;
	struct cv_schema *s = NULL;
	struct cv_arena arena;

	if (size > 8192) /* a slow one would be no finding */
		return 0;
	cv_arena_init(&arena, BYTES_MAX);
	if (cv_json_value_read(text, &arena, &v, NULL) == CV_JSON_PROBLEM_NONE) {
		const bool is_list = v->type == CV_VALUE_ARRAY && v->n > 0;
		const unsigned flags = size % 2 ? CV_SCHEMA_LENIENT : 0;

		cv_schema_errors_init(&errors, &arena);
		const cv_code code = cv_schema_compile(is_list ? &v->v[0] : v, flags, &s, &errors);
		errors_look(&errors, code);
		cv_assert((code == CV_OK) == (s != NULL));
		for (uint32_t i = 1; s && is_list && i < v->n && i < 4; i++)
			value_look(s, &v->v[i], &errors);
		if (s)
			value_look(s, v, &errors);
		cv_schema_free(s);
	}
	cv_arena_fini(&arena);
	return 0;
}
