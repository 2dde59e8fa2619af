/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: base64 as RFC 4648 has it, and one text per value.
 * Method: the RFC's vectors; texts that lax decoders take; every text of four letters that decodes
 * encodes to itself.
 */
#include "unit/test.h"

#include "base/base64.c"

static void vectors(void **state)
{
	static const char *const row[][3] = {
		{ "", "", "" },
		{ "f", "Zg==", "Zg" },
		{ "fo", "Zm8=", "Zm8" },
		{ "foo", "Zm9v", "Zm9v" },
		{ "foob", "Zm9vYg==", "Zm9vYg" },
		{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
		{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
		{ "\xfb\xff\xfe", "+//+", "-__-" },
	};
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 64);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		for (int a = CV_BASE64_STD; a <= CV_BASE64_URL; a++) {
			cv_buf_reset(&b);
			assert_true(cv_buf_put_base64(&b, cv_str_of(row[i][0]), a));
			assert_str(cv_buf_str(&b), row[i][a + 1]);
			cv_buf_reset(&b);
			assert_true(cv_base64_decode(cv_str_of(row[i][a + 1]), a, &b));
			assert_str(cv_buf_str(&b), row[i][0]);
		}
	cv_buf_fini(&b);
}

static void refuses(void **state)
{
	static const struct {
		struct cv_str text;
		enum cv_base64 alphabet;
	} row[] = {
		{ CV_STR("Zg"), CV_BASE64_STD },
		{ CV_STR("Zg="), CV_BASE64_STD },
		{ CV_STR("Zg==="), CV_BASE64_STD },
		{ CV_STR("Zh=="), CV_BASE64_STD },
		{ CV_STR("Zm9="), CV_BASE64_STD },
		{ CV_STR("Zg==Zg=="), CV_BASE64_STD },
		{ CV_STR("===="), CV_BASE64_STD },
		{ CV_STR("Z==="), CV_BASE64_STD },
		{ CV_STR("Zm9v\n"), CV_BASE64_STD },
		{ CV_STR("Zm 9"), CV_BASE64_STD },
		{ CV_STR("-__-"), CV_BASE64_STD },
		{ CV_STR("+//+"), CV_BASE64_URL },
		{ CV_STR("Zg=="), CV_BASE64_URL },
		{ CV_STR("Z"), CV_BASE64_URL },
		{ CV_STR("Zh"), CV_BASE64_URL },
		{ CV_STR("Zm\0v"), CV_BASE64_URL },
	};
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 64);
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (cv_base64_decode(row[i].text, row[i].alphabet, &b))
			fail_msg("row %zu is decoded", i);
	assert_int_equal(cv_buf_len(&b), 0);
	cv_buf_fini(&b);
}

static void one_text_per_value(void **state)
{
	static const char some[] = "AQgwZ9+/-_=";
	const size_t k = sizeof(some) - 1;
	struct cv_buf bytes, again;

	(void)state;
	cv_buf_init(&bytes, 64);
	cv_buf_init(&again, 64);
	for (size_t i = 0; i < k * k * k * k; i++) {
		const char text[] = { some[i % k], some[i / k % k], some[i / k / k % k],
			some[i / k / k / k] };
		for (int a = CV_BASE64_STD; a <= CV_BASE64_URL; a++) {
			cv_buf_reset(&bytes);
			cv_buf_reset(&again);
			if (!cv_base64_decode((struct cv_str){ text, 4 }, a, &bytes))
				continue;
			assert_true(cv_buf_put_base64(&again, cv_buf_str(&bytes), a));
			assert_true(cv_str_eq(cv_buf_str(&again), (struct cv_str){ text, 4 }));
		}
	}
	cv_buf_fini(&bytes);
	cv_buf_fini(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(refuses),
		cmocka_unit_test(one_text_per_value),
	};

	return cmocka_run_group_tests_name("base/base64", tests, NULL, NULL);
}
