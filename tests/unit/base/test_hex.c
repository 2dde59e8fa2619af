/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: bytes survive the trip through hex; nothing else is read as hex.
 * Method: all byte values, and odd texts.
 */
#include "unit/test.h"

#include "base/hex.c"

static void round_trip(void **state)
{
	char all[256], back[256];
	struct cv_buf b;

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	cv_buf_init(&b, 512);
	assert_true(cv_buf_put_hex(&b, (struct cv_str){ all, 256 }));
	assert_true(cv_str_has_prefix(cv_buf_str(&b), CV_STR("000102")));
	assert_true(cv_hex_decode(cv_buf_str(&b), back, 256));
	assert_memory_equal(all, back, 256);
	assert_false(cv_buf_put_hex(&b, CV_STR("x"))); /* full */
	cv_buf_fini(&b);
}

static void as_text(void **state)
{
	char text[7] = "______";

	(void)state;
	cv_hex_text("\x00\xaf\x5b", 3, text);
	assert_string_equal(text, "00af5b");
	cv_hex_text("", 0, text);
	assert_string_equal(text, "");
}

static void refuses(void **state)
{
	static const struct cv_str row[] = { CV_STR("0"), CV_STR("000"), CV_STR("00000"),
		CV_STR("0g00"), CV_STR("0x00"), CV_STR(" 000"), CV_STR("00\0000"), CV_STR("00 0") };
	char out[2] = { 7, 7 };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		assert_false(cv_hex_decode(row[i], out, 2));
	assert_int_equal(out[0], 7);
	assert_true(cv_hex_decode(CV_STR("aBfF"), out, 2));
	assert_int_equal((unsigned char)out[0], 0xab);
	assert_true(cv_hex_decode(CV_STR_NONE, out, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(as_text),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests_name("base/hex", tests, NULL, NULL);
}
