/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_schedule.c - renewals through a day of good and bad answers
 */
#include "unit/test.h"

#include "cred/schedule.c"

static void renewed_before_expiry(void **state)
{
	struct cv_schedule s;

	(void)state;
	cv_schedule_init(&s, 0, false, 0, 1000);
	assert_int_equal(cv_schedule_value(&s, 1000), CV_SCHEDULE_VALUE_WAIT);
	assert_true(cv_schedule_is_due(&s, 1000));
	cv_schedule_ask(&s, 1000);
	assert_false(cv_schedule_is_due(&s, 1001));
	cv_schedule_renewed(&s, 1002, 1002 + 3600, 0);
	assert_int_equal(cv_schedule_value(&s, 1002), CV_SCHEDULE_VALUE_READY);
	assert_int_equal(cv_schedule_wake_s(&s), 1002 + 3600 - 300);
	assert_false(cv_schedule_is_due(&s, 1002 + 3299));
	assert_true(cv_schedule_is_due(&s, 1002 + 3300));
	assert_int_equal(cv_schedule_value(&s, 1002 + 3300), CV_SCHEDULE_VALUE_READY);
	assert_int_equal(cv_schedule_value(&s, 1002 + 3600), CV_SCHEDULE_VALUE_WAIT);
}

static void short_lives_and_jitter(void **state)
{
	struct cv_schedule s;

	(void)state;
	for (uint32_t jitter = 0; jitter < 1000; jitter += 7)
		for (int64_t lifetime = 20; lifetime < 8000; lifetime += 371) {
			cv_schedule_init(&s, 600, false, 0, 0);
			assert_true(cv_schedule_is_due(&s, 0));
			cv_schedule_ask(&s, 0);
			cv_schedule_renewed(&s, 0, lifetime, jitter);
			assert_in_range(cv_schedule_wake_s(&s), lifetime / 4, lifetime - 1);
		}
	cv_schedule_init(&s, 0, true, 0, 5);
	assert_int_equal(cv_schedule_wake_s(&s), CV_SCHEDULE_NEVER);
	assert_int_equal(cv_schedule_value(&s, INT64_MAX), CV_SCHEDULE_VALUE_READY);
}

static void backoff_grows_and_ends(void **state)
{
	struct cv_schedule s;
	int64_t now = 100, last = 0;

	(void)state;
	cv_schedule_init(&s, 0, false, 0, now);
	for (int i = 0; i < 20; i++) {
		assert_true(cv_schedule_is_due(&s, now));
		cv_schedule_ask(&s, now);
		cv_schedule_failed(&s, now, 0, 0);
		const int64_t wait = cv_schedule_wake_s(&s) - now;
		assert_true(wait >= last && wait <= 512);
		last = wait;
		assert_false(cv_schedule_is_due(&s, now));
		now += wait;
	}
	assert_int_equal(last, 512);
	assert_true(cv_schedule_is_due(&s, now));
	cv_schedule_ask(&s, now);
	cv_schedule_failed(&s, now, 3000, 0);
	assert_int_equal(cv_schedule_wake_s(&s), now + 3000);
}

static void an_answer_that_never_comes(void **state)
{
	struct cv_schedule s;

	(void)state;
	cv_schedule_init(&s, 0, false, 0, 0);
	assert_true(cv_schedule_is_due(&s, 0));
	cv_schedule_ask(&s, 0);
	assert_false(cv_schedule_is_due(&s, CV_SCHEDULE_ANSWER_S));
	assert_int_equal(s.state, CV_SCHEDULE_BACKOFF);
	cv_schedule_failed(&s, CV_SCHEDULE_ANSWER_S, 0, 0);
	assert_int_equal(s.failures, 1);
	assert_true(cv_schedule_is_due(&s, CV_SCHEDULE_ANSWER_S + CV_SCHEDULE_BACKOFF_S));
	cv_schedule_renewed(&s, 100, 5000, 0); /* it came after all */
	assert_int_equal(s.state, CV_SCHEDULE_FRESH);
	cv_schedule_dead(&s);
	assert_int_equal(s.state, CV_SCHEDULE_FRESH);
}

static void c8_dead_is_never_released_and_fresh_never_withheld(void **state)
{
	struct cv_schedule s;

	(void)state;
	/* The renewal dies, the value lives on to its end. */
	cv_schedule_init(&s, 0, true, 1000, 0);
	assert_true(cv_schedule_is_due(&s, 900));
	cv_schedule_ask(&s, 900);
	cv_schedule_dead(&s);
	assert_int_equal(cv_schedule_value(&s, 900), CV_SCHEDULE_VALUE_READY);
	assert_int_equal(cv_schedule_value(&s, 1000), CV_SCHEDULE_VALUE_DEAD);
	assert_false(cv_schedule_is_due(&s, 5000));
	cv_schedule_dead(&s);

	/* Failures withhold nothing that is alive. */
	cv_schedule_init(&s, 0, true, 1000, 0);
	assert_true(cv_schedule_is_due(&s, 800));
	cv_schedule_ask(&s, 800);
	cv_schedule_failed(&s, 801, 0, 0);
	assert_int_equal(cv_schedule_value(&s, 802), CV_SCHEDULE_VALUE_READY);

	/* What the upstream refused is not sent again, though its time is not over. */
	cv_schedule_init(&s, 0, true, 100000, 0);
	cv_schedule_rejected(&s, 50);
	assert_int_equal(cv_schedule_value(&s, 51), CV_SCHEDULE_VALUE_WAIT);
	assert_true(cv_schedule_is_due(&s, 51));
	cv_schedule_ask(&s, 51);
	cv_schedule_renewed(&s, 52, 100000, 0);
	assert_int_equal(cv_schedule_value(&s, 53), CV_SCHEDULE_VALUE_READY);
}

static void rejections_order_no_more_than_one(void **state)
{
	const int64_t again_s = 50 + CV_SCHEDULE_REJECTED_S;
	struct cv_schedule s;

	(void)state;
	cv_schedule_init(&s, 0, true, 100000, 0);
	cv_schedule_rejected(&s, 50);
	assert_true(cv_schedule_is_due(&s, 50));
	cv_schedule_ask(&s, 50);
	cv_schedule_renewed(&s, 52, 100000, 0);
	/* at once again: the value is used until another one may be asked for, and not then */
	for (int64_t now_s = 53; now_s < again_s; now_s++) {
		cv_schedule_rejected(&s, now_s);
		assert_false(cv_schedule_is_due(&s, now_s));
		assert_int_equal(cv_schedule_value(&s, now_s), CV_SCHEDULE_VALUE_READY);
	}
	assert_int_equal(cv_schedule_wake_s(&s), again_s);
	assert_int_equal(cv_schedule_value(&s, again_s), CV_SCHEDULE_VALUE_WAIT);
	assert_true(cv_schedule_is_due(&s, again_s));
	cv_schedule_ask(&s, again_s);
	/* one that was refused stays so when no other comes */
	cv_schedule_failed(&s, again_s + 1, 0, 0);
	assert_int_equal(cv_schedule_value(&s, again_s + 1), CV_SCHEDULE_VALUE_WAIT);
	cv_schedule_rejected(&s, again_s + 1);
	assert_false(cv_schedule_is_due(&s, again_s + 1));
	cv_schedule_dead(&s);
	assert_int_equal(cv_schedule_value(&s, again_s + 2), CV_SCHEDULE_VALUE_DEAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renewed_before_expiry),
		cmocka_unit_test(short_lives_and_jitter),
		cmocka_unit_test(backoff_grows_and_ends),
		cmocka_unit_test(an_answer_that_never_comes),
		cmocka_unit_test(rejections_order_no_more_than_one),
		cmocka_unit_test(c8_dead_is_never_released_and_fresh_never_withheld),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
