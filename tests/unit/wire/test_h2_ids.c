/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_h2_ids.c - frames for streams that are over, by whose doing, and for those that never were
 */
#include "unit/test.h"

#include "wire/h2_ids.c"

struct step {
	uint8_t type, flags;
	uint32_t stream;
	enum cv_h2_ids_rc rc;
};

#define WINDOW_UPDATE 8
#define PRIORITY      2

static void play(const char *what, bool is_client, const struct step *steps, size_t n)
{
	struct cv_h2_ids s = { .at = 0 };

	for (size_t i = 0; i < n; i++) {
		const struct cv_h2_frame f = {
			.type = steps[i].type, .flags = steps[i].flags, .stream = steps[i].stream
		};
		const enum cv_h2_ids_rc rc = cv_h2_ids_note(&s, &f, is_client);

		if (rc != steps[i].rc)
			fail_msg("%s: step %zu: %d, not %d", what, i, rc, steps[i].rc);
	}
}

#define PLAY(what, is_client, ...)                                  \
	do {                                                        \
		static const struct step steps[] = { __VA_ARGS__ }; \
		play(what, is_client, steps, CV_ARRAY_LEN(steps));  \
	} while (0)

static void t19_behind_its_own_end(void **state)
{
	(void)state;
	PLAY("DATA behind HEADERS that end", true, { HEADERS, END_STREAM, 1, CV_H2_IDS_OK },
		{ DATA, 0, 1, CV_H2_IDS_ENDED });
	PLAY("HEADERS behind DATA that end", true, { HEADERS, 0, 1, CV_H2_IDS_OK },
		{ DATA, END_STREAM, 1, CV_H2_IDS_OK }, { HEADERS, END_STREAM, 1, CV_H2_IDS_ENDED });
	PLAY("behind RST_STREAM", true, { HEADERS, 0, 1, CV_H2_IDS_OK },
		{ RST_STREAM, 0, 1, CV_H2_IDS_OK }, { DATA, 0, 1, CV_H2_IDS_ENDED });
	PLAY("a server's", false, { HEADERS, 0, 1, CV_H2_IDS_OK }, { DATA, 1, 1, CV_H2_IDS_OK },
		{ DATA, 1, 1, CV_H2_IDS_ENDED });
	PLAY("of another stream", true, { HEADERS, END_STREAM, 1, CV_H2_IDS_OK },
		{ HEADERS, 0, 3, CV_H2_IDS_OK }, { DATA, 0, 3, CV_H2_IDS_OK });
}

static void t19_what_is_allowed_behind_an_end(void **state)
{
	(void)state;
	PLAY("window, priority, reset", true, { HEADERS, END_STREAM, 1, CV_H2_IDS_OK },
		{ WINDOW_UPDATE, 0, 1, CV_H2_IDS_OK }, { PRIORITY, 0, 1, CV_H2_IDS_OK },
		{ RST_STREAM, 0, 1, CV_H2_IDS_OK }, { RST_STREAM, 0, 1, CV_H2_IDS_OK });
	PLAY("the connection", true, { DATA, END_STREAM, 0, CV_H2_IDS_OK },
		{ DATA, END_STREAM, 0, CV_H2_IDS_OK });
	PLAY("interim answers", false, { HEADERS, 0, 1, CV_H2_IDS_OK },
		{ HEADERS, 0, 1, CV_H2_IDS_OK }, { HEADERS, END_STREAM, 1, CV_H2_IDS_OK });
}

static void t19_ids_that_were_passed_over(void **state)
{
	(void)state;
	PLAY("lower than the last", true, { HEADERS, END_STREAM, 5, CV_H2_IDS_OK },
		{ HEADERS, END_STREAM, 3, CV_H2_IDS_PASSED },
		{ HEADERS, END_STREAM, 1, CV_H2_IDS_PASSED });
	PLAY("DATA for it is the library's to judge", true, { HEADERS, 0, 5, CV_H2_IDS_OK },
		{ DATA, 0, 3, CV_H2_IDS_OK });
	PLAY("trailers", true, { HEADERS, 0, 1, CV_H2_IDS_OK }, { HEADERS, 0, 3, CV_H2_IDS_OK },
		{ HEADERS, END_STREAM, 1, CV_H2_IDS_AGAIN });
	PLAY("a server opens none", false, { HEADERS, 0, 7, CV_H2_IDS_OK },
		{ HEADERS, 0, 3, CV_H2_IDS_OK });
	PLAY("the highest id", true, { HEADERS, 0, 0x7fffffff, CV_H2_IDS_OK },
		{ HEADERS, 0, 0x7fffffff, CV_H2_IDS_AGAIN },
		{ HEADERS, 0, 0x7ffffffd, CV_H2_IDS_PASSED });
}

/* What is older than CV_H2_IDS_KEPT ends is forgotten: then it is nobody's fault for certain. */
static void only_so_many_are_kept(void **state)
{
	struct cv_h2_ids s = { .at = 0 };
	struct cv_h2_frame f = { .type = HEADERS, .flags = END_STREAM };

	(void)state;
	for (uint32_t i = 0; i <= CV_H2_IDS_KEPT; i++) {
		f.stream = 2 * i + 1;
		assert_int_equal(cv_h2_ids_note(&s, &f, true), CV_H2_IDS_OK);
	}
	f.stream = 3;
	assert_int_equal(cv_h2_ids_note(&s, &f, true), CV_H2_IDS_ENDED);
	f.stream = 1;
	assert_int_equal(cv_h2_ids_note(&s, &f, true), CV_H2_IDS_AGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t19_behind_its_own_end),
		cmocka_unit_test(t19_what_is_allowed_behind_an_end),
		cmocka_unit_test(t19_ids_that_were_passed_over),
		cmocka_unit_test(only_so_many_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
