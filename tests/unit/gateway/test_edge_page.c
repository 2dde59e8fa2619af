/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what a link says gets into the page of a log-in only as a number and a code, and a person's name
 * only as text. */
#include "unit/test.h"

#include "gateway/edge_page.c"

static void test_queries(void **state)
{
	static const struct {
		const char *query;
		uint16_t port; /* 0: refused */
	} rows[] = {
		{ "callback_port=40000&code=ABC-DEF2", 40000 },
		{ "code=ABC-DEF2&callback_port=1024", 1024 },
		{ "callback_port=65535&code=000-0000&utm=x", 65535 },
		{ "", 0 },
		{ "callback_port=40000", 0 },
		{ "code=ABC-DEF2", 0 },
		{ "callback_port=&code=ABC-DEF2", 0 },
		{ "callback_port=65536&code=ABC-DEF2", 0 },
		{ "callback_port=80&code=ABC-DEF2", 0 },
		{ "callback_port=1023&code=ABC-DEF2", 0 },
		{ "callback_port=040000&code=ABC-DEF2", 0 },
		{ "callback_port=+40000&code=ABC-DEF2", 0 },
		{ "callback_port=40000%20&code=ABC-DEF2", 0 },
		{ "callback_port=0x9c40&code=ABC-DEF2", 0 },
		{ "callback_port=40000/&code=ABC-DEF2", 0 },
		{ "callback_port=40000&callback_port=40001&code=ABC-DEF2", 0 },
		{ "callback_port=40000&code=ABC-DEF2&code=ABC-DEF2", 0 },
		{ "callback_port=40000&code=abc-def2", 0 },
		{ "callback_port=40000&code=ABCD-EF2", 0 },
		{ "callback_port=40000&code=ABC-DEF22", 0 },
		{ "callback_port=40000&code=ABC-DEF", 0 },
		{ "callback_port=40000&code=ABC--EF2", 0 },
		{ "callback_port=40000&code=<b>-DEF2", 0 },
		{ "callback_port=40000&code=%41BC-DEF", 0 },
		{ "callback_port=40000&code=\"><script", 0 },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_gw_edge_asked asked = { .port = 0 };

		if (cv_gw_edge_query_read(cv_str_of(rows[i].query), &asked) != (rows[i].port != 0))
			fail_msg("%s", rows[i].query);
		assert_int_equal(asked.port, rows[i].port);
	}
}

static void test_t_names_are_text(void **state)
{
	const struct cv_gw_edge_asked asked = { 40000, "ABC-DEF2" };
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 1 << 16);
	cv_gw_edge_page_put(&b, &asked, "<img src=x onerror='a&b'>\"", CV_STR("a.b.c"));
	cv_buf_put_byte(&b, 0);
	const char *page = cv_buf_str(&b).p;
	assert_non_null(strstr(page, "&lt;img src=x onerror=&#39;a&amp;b&#39;&gt;&quot;"));
	assert_null(strstr(page, "<img"));
	assert_non_null(
		strstr(page, "data-port=\"40000\" data-code=\"ABC-DEF2\" data-token=\"a.b.c\""));
	assert_null(strstr(cv_gw_edge_page_error, "script"));
	cv_buf_reset(&b);
	cv_gw_edge_heads_put(&b, &asked);
	cv_buf_put_byte(&b, 0);
	assert_non_null(
		strstr(cv_buf_str(&b).p, "connect-src http://127.0.0.1:40000/callback\r\n"));
	cv_buf_reset(&b);
	cv_gw_edge_heads_put(&b, NULL);
	cv_buf_put_byte(&b, 0);
	assert_null(strstr(cv_buf_str(&b).p, "script-src"));
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_t_names_are_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
