/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: an answer is used for its own question alone, for its time and its version and no longer, and
 * leaves nothing behind.
 * Method: questions and answers as bytes, on a clock of our own.
 */
#include "unit/test.h"

#include "proxy/answers.c"

#include <stdio.h>

static struct cv_answers a;

static int setup(void **state)
{
	(void)state;
	cv_answers_forget(&a);
	a = (struct cv_answers){ 0 };
	return 0;
}

/* "rest path" */
static struct cv_question question_of(const char *text)
{
	const struct cv_str all = cv_str_of(text);
	const size_t at = cv_str_find_byte(all, ' ');

	return (struct cv_question){ .rest = cv_str_slice(all, 0, at),
		.path = cv_str_slice(all, at + 1, all.n) };
}

static void asked(uint32_t tag, const char *question, int64_t now_ms)
{
	const struct cv_question q = question_of(question);

	cv_answers_asked(&a, tag, &q, now_ms);
}

static void put(uint32_t tag, uint64_t version, uint32_t keep_ms, const char *text, int64_t now_ms)
{
	const struct cv_answer_term term = { .version = version, .keep_ms = keep_ms };

	cv_answers_put(&a, tag, &term, cv_str_of(text), now_ms);
}

static bool is_found(const char *question, int64_t now_ms, const char *want)
{
	const struct cv_question q = question_of(question);
	size_t n = 0;
	char *text = cv_answers_find(&a, &q, now_ms, &n);
	const bool is_it = text && cv_str_eq((struct cv_str){ text, n }, cv_str_of(want));

	assert_true(!text || is_it);
	free(text);
	return is_it;
}

static void keep(const char *question, uint32_t tag, uint64_t version, int64_t now_ms)
{
	asked(tag, question, now_ms);
	put(tag, version, 1000, "a-value-of-it", now_ms);
}

static void c1_its_own_question(void **state)
{
	(void)state;
	keep("host /path", 7, 1, 100);
	assert_true(is_found("host /path", 100, "a-value-of-it"));
	assert_false(is_found("host /path2", 100, "a-value-of-it"));
	assert_false(is_found("host /pat", 100, "a-value-of-it"));
	assert_false(is_found("host /Path", 100, "a-value-of-it"));
	put(8, 1, 1000, "of another question", 100);
	put(7, 1, 1000, "once more", 100);
	assert_true(is_found("host /path", 100, "a-value-of-it"));
	assert_int_equal(a.kept, 1);
}

static void c10_its_time(void **state)
{
	(void)state;
	asked(1, "q", 100);
	put(1, 1, 1000, "a-value-of-it", 600); /* it was asked at 100 */
	assert_true(is_found("q", 1099, "a-value-of-it"));
	assert_false(is_found("q", 1100, "a-value-of-it"));
	assert_int_equal(a.next_ms, 1100);
	cv_answers_sweep(&a, 1099);
	assert_int_equal(a.kept, 1);
	cv_answers_sweep(&a, 1100);
	assert_int_equal(a.kept, 0);
	assert_null(a.v[0].masked);
	asked(2, "q", 2000);
	put(2, 1, 0, "not to be kept", 2000);
	assert_false(is_found("q", 2000, ""));
	asked(3, "q", 2000);
	put(3, 1, 1000, "came late", 3000);
	assert_false(is_found("q", 3000, ""));
	assert_int_equal(a.kept, 0);
}

static void c1_its_version(void **state)
{
	(void)state;
	keep("one", 1, 5, 0);
	asked(2, "two", 0);
	cv_answers_version(&a, 6);
	assert_false(is_found("one", 0, ""));
	put(2, 5, 1000, "judged before", 0);
	assert_false(is_found("two", 0, ""));
	put(2, 6, 1000, "judged after", 0);
	assert_true(is_found("two", 0, "judged after"));
	/* of two answers in one message the second says that the first holds no more */
	keep("three", 3, 7, 0);
	assert_false(is_found("two", 0, ""));
	assert_true(is_found("three", 0, "a-value-of-it"));
}

static void forgotten(void **state)
{
	(void)state;
	keep("one", 1, 1, 0);
	asked(2, "two", 0);
	cv_answers_forget(&a);
	assert_false(is_found("one", 0, ""));
	put(2, 1, 1000, "was on its way", 0);
	assert_false(is_found("two", 0, ""));
	for (size_t i = 0; i < CV_PROXY_ANSWERS_MAX; i++)
		assert_null(a.v[i].question.rest.p);
}

static void bounded(void **state)
{
	static char large[CV_PROXY_ANSWER_VALUES_MAX + 1];
	char question[16];

	(void)state;
	for (uint32_t i = 0; i < CV_PROXY_ANSWERS_MAX + 3; i++) {
		snprintf(question, sizeof(question), "q%u", i);
		keep(question, i, 1, i);
	}
	assert_int_equal(a.kept, CV_PROXY_ANSWERS_MAX);
	assert_false(is_found("q2", 40, ""));
	assert_true(is_found("q3", 40, "a-value-of-it"));
	cv_answers_forget(&a);
	const struct cv_question q = { .path = { large, CV_PROXY_ANSWER_QUESTION_MAX },
		.rest = CV_STR("x") };
	const struct cv_answer_term term = { .version = 1, .keep_ms = 1000 };
	cv_answers_asked(&a, 1, &q, 0);
	assert_int_equal(a.v[0].state, CV_ANSWER_FREE);
	asked(1, "q", 0);
	cv_answers_put(&a, 1, &term, (struct cv_str){ large, sizeof(large) }, 0);
	assert_int_equal(a.kept, 0);
}

/* Where paths make no difference; those with an escape may all the same. */
static void c1_any_plain_path(void **state)
{
	const struct cv_answer_term term = { .version = 1, .keep_ms = 1000, .is_any_path = true };

	(void)state;
	asked(1, "host /a", 0);
	assert_false(is_found("host /a", 0, ""));
	cv_answers_put(&a, 1, &term, CV_STR("of-any"), 0);
	assert_true(is_found("host /a", 0, "of-any"));
	assert_true(is_found("host /", 0, "of-any"));
	assert_true(is_found("host /b/c", 0, "of-any"));
	assert_false(is_found("host /b%2fc", 0, ""));
	assert_false(is_found("host *", 0, ""));
	assert_false(is_found("host ", 0, ""));
	assert_false(is_found("hos /a", 0, ""));
	assert_false(is_found("host2 /a", 0, ""));
	/* asked all the same, with another path: it takes the place */
	asked(2, "host /z", 1);
	assert_false(is_found("host /a", 1, ""));
	assert_int_equal(a.kept, 0);
}

/* Whoever reads the memory of one place has no value. */
static void c10_not_as_it_is(void **state)
{
	const struct cv_str value = CV_STR("a-value-of-it");

	(void)state;
	keep("q", 1, 1, 0);
	assert_memory_not_equal(a.v[0].masked, value.p, value.n);
	assert_memory_not_equal(a.v[0].pad, value.p, value.n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(c1_its_own_question, setup),
		cmocka_unit_test_setup(c10_its_time, setup),
		cmocka_unit_test_setup(c1_its_version, setup),
		cmocka_unit_test_setup(forgotten, setup),
		cmocka_unit_test_setup(bounded, setup),
		cmocka_unit_test_setup(c1_any_plain_path, setup),
		cmocka_unit_test_setup_teardown(c10_not_as_it_is, setup, setup),
	};

	return cmocka_run_group_tests_name("proxy/answers", tests, NULL, NULL);
}
