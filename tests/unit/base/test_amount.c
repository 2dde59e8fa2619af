/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_amount.c - amounts as text
 */
#include "unit/test.h"

#include "base/amount.c"

static void test_texts(void **state)
{
	static const struct {
		enum cv_amount_kind kind;
		uint64_t v;
		const char *text;
	} row[] = {
		{ CV_AMOUNT_COUNT, 0, "0" },
		{ CV_AMOUNT_COUNT, 1024, "1024" },
		{ CV_AMOUNT_CPU, 0, "0" },
		{ CV_AMOUNT_CPU, 2000, "2" },
		{ CV_AMOUNT_CPU, 1500, "1500m" },
		{ CV_AMOUNT_CPU, UINT64_MAX, "18446744073709551615m" },
		{ CV_AMOUNT_MEMORY, 0, "0" },
		{ CV_AMOUNT_MEMORY, 512, "512" },
		{ CV_AMOUNT_MEMORY, 1024, "1Ki" },
		{ CV_AMOUNT_MEMORY, UINT64_C(1536) << 20, "1536Mi" },
		{ CV_AMOUNT_MEMORY, UINT64_C(16) << 30, "16Gi" },
		{ CV_AMOUNT_MEMORY, UINT64_C(1) << 60, "1Ei" },
		{ CV_AMOUNT_MEMORY, 4000000000u, "3.73Gi" },
		{ CV_AMOUNT_MEMORY, UINT64_MAX, "16.00Ei" },
	};
	char text[CV_AMOUNT_BYTES];

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		assert_string_equal(cv_amount_text(row[i].kind, row[i].v, text), row[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
