/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: every token of an answer is found, whatever stands around it, and only its own text changes; what
 * could be read in two ways, or holds something odd where a token is, is not handed on (C9).
 * Method: answers as issuers write them, and broken ones.
 */
#include "unit/test.h"

#include "cred/token_answer.c"

#include <stdio.h>

static struct cv_arena arena;
static struct cv_token_answer answer;

static const char *read_text(const char *text)
{
	cv_arena_reset(&arena);
	return cv_token_answer_read(cv_str_of(text), &arena, &answer);
}

static int setup(void **state)
{
	(void)state;
	cv_arena_init(&arena, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	return 0;
}

static void check_written(const char *text, const char *want)
{
	static const struct cv_str words[CV_KEEPER_TOKENS_MAX] = { CV_STR("P0"), CV_STR("P1"),
		CV_STR("P2"), CV_STR("P3") };
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	assert_true(cv_token_answer_write(cv_str_of(text), &answer, words, &b));
	if (!cv_str_eq(cv_buf_str(&b), cv_str_of(want)))
		fail_msg("wrote %.*s", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
}

static void c9_found_and_replaced(void **state)
{
	static const char text[] =
		"{ \"access_token\" : \"a\\u002db\",\"token_type\":\"Bearer\","
		"\"refresh\\u005ftoken\":\"r\",\"id_token\":\"i\", \"x\":[1e9,\"r\"],"
		"\"expires_in\":3600 }\n";

	(void)state;
	assert_null(read_text(text));
	assert_int_equal(answer.n, 3);
	assert_true(cv_str_eq(answer.v[0].value, CV_STR("a-b")));
	assert_int_equal(answer.v[0].kind, CV_KEEPER_TOKEN_ACCESS);
	assert_int_equal(answer.v[0].lives_s, 3600); /* though it stands behind */
	assert_int_equal(answer.v[1].kind, CV_KEEPER_TOKEN_REFRESH);
	assert_int_equal(answer.v[1].lives_s, 0);
	assert_int_equal(answer.v[2].kind, CV_KEEPER_TOKEN_ID);
	check_written(text, "{ \"access_token\" : \"P0\",\"token_type\":\"Bearer\","
			    "\"refresh\\u005ftoken\":\"P1\",\"id_token\":\"P2\", \"x\":[1e9,\"r\"],"
			    "\"expires_in\":3600 }\n");
}

static void c9_in_every_object(void **state)
{
	static const char text[] =
		"[{\"token\":\"t\",\"expires_in\":\"60\"},{\"a\":{\"access_token\":\"n\"},\"expires_in\":5}]";

	(void)state;
	assert_null(read_text(text));
	assert_int_equal(answer.n, 2);
	assert_int_equal(answer.v[0].lives_s, 60);
	assert_int_equal(answer.v[1].lives_s, 0); /* the other object's is not its own */
	check_written(text,
		"[{\"token\":\"P0\",\"expires_in\":\"60\"},{\"a\":{\"access_token\":\"P1\"},\"expires_in\":5}]");
}

static void none_in_there(void **state)
{
	static const char *const texts[] = { "{}", "{\"error\":\"authorization_pending\"}",
		"{\"access_token\":null,\"refresh_token\":\"\"}", "[\"access_token\",\"x\"]",
		"null", "{\"token\":{\"name\":\"x\"}}" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(texts); i++) {
		assert_null(read_text(texts[i]));
		assert_int_equal(answer.n, 0);
		check_written(texts[i], texts[i]);
	}
}

static void c9_not_handed_on(void **state)
{
	static const char *const texts[] = { "", "access_token=a&token_type=bearer",
		"{\"access_token\":\"a\"", "{\"access_token\":\"a\"}x",
		"{\"access_token\":\"a\",\"access\\u005ftoken\":\"b\"}", "{\"access_token\":7}",
		"{\"access_token\":[\"a\"]}", "{\"token\":true}",
		"{\"access_token\":\"a\\r\\nHost: b\"}", "{\"access_token\":\"\\ud800\"}",
		"\xef\xbb\xbf{\"access_token\":\"a\"}", "{'access_token':'a'}",
		("[{\"token\":\"1\"},{\"token\":\"2\"},{\"token\":\"3\"},{\"token\":\"4\"},{\"token\":\"5\"},"
		 "{\"token\":\"6\"},{\"token\":\"7\"},{\"token\":\"8\"},{\"token\":\"9\"}]") };
	static char text[CV_TOKEN_ANSWER_BYTES_MAX + 2];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(texts); i++)
		if (!read_text(texts[i]))
			fail_msg("took %s", texts[i]);
	memset(text, ' ', sizeof(text) - 1);
	text[0] = '1';
	assert_non_null(read_text(text));
	snprintf(text, sizeof(text), "{\"token\":\"%0*d\"}", CV_TOKEN_BYTES_MAX + 1, 0);
	assert_non_null(read_text(text));
	snprintf(text, sizeof(text), "{\"token\":\"%0*d\"}", CV_TOKEN_BYTES_MAX, 0);
	assert_null(read_text(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		ROW(c9_found_and_replaced),
		ROW(c9_in_every_object),
		ROW(none_in_there),
		ROW(c9_not_handed_on),
	};

	return cmocka_run_group_tests_name("cred/token_answer", tests, NULL, NULL);
}
