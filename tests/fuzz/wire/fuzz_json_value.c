/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_json_value.c - hostile JSON as a tree
 *
 * Property: a tree is read where the pull reader is content, no text else; written canonically and
 * read again it is eq, and its canonical form is the same.  Numbers in it have an order.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/json_value.h"

#define BYTES_MAX (8u << 20)

static void numbers_look(const struct cv_value *v)
{
	int64_t number;

	for (uint32_t i = 0; i + 1 < v->n; i++) {
		const struct cv_value *a = &v->v[i], *b = &v->v[i + 1];
		if (a->type != CV_VALUE_NUMBER || b->type != CV_VALUE_NUMBER)
			continue;
		const int rc = cv_value_number_cmp(a, b);
		cv_assert(cv_value_number_cmp(b, a) == -rc);
		if (cv_value_to_i64(a, &number))
			cv_assert(cv_value_is_integer(a));
		if (cv_value_is_divisor(a) && cv_value_is_multiple(b, a) && cv_value_is_integer(a))
			cv_assert(cv_value_is_integer(b));
	}
	for (uint32_t i = 0; i < v->n; i++)
		numbers_look(&v->v[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str text = { (const char *)data, size };
	const struct cv_value *v = NULL, *again = NULL;
	struct cv_buf out, out_again;
	struct cv_arena arena;

	cv_arena_init(&arena, BYTES_MAX);
	cv_buf_init(&out, BYTES_MAX);
	cv_buf_init(&out_again, BYTES_MAX);
	const enum cv_json_problem problem = cv_json_value_read(text, &arena, &v, NULL);
	if (problem != CV_JSON_PROBLEM_LARGE)
		cv_assert(cv_json_check(text, NULL) == problem);
	cv_assert((v != NULL) == (problem == CV_JSON_PROBLEM_NONE));
	if (v && cv_json_value_write(&out, v)) {
		cv_assert(cv_json_value_read(cv_buf_str(&out), &arena, &again, NULL) ==
				  CV_JSON_PROBLEM_NONE ||
			  arena.is_overflown);
		if (again) {
			cv_assert(cv_value_eq(v, again));
			cv_assert(cv_json_value_write(&out_again, again));
			cv_assert(cv_str_eq(cv_buf_str(&out), cv_buf_str(&out_again)));
		}
		numbers_look(v);
	}
	cv_buf_fini(&out_again);
	cv_buf_fini(&out);
	cv_arena_fini(&arena);
	return 0;
}
