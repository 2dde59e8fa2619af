/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what a log-in sends is written as the standards say, and what comes back is taken one way or not at all. */
#include "unit/test.h"

#include "client/oidc_text.c"

static struct cv_arena arena;

static void test_challenge_of_rfc_7636(void **state)
{
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 64);
	cl_pkce_put(&b, CV_STR("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
	assert_str(cv_buf_str(&b), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
	cv_buf_fini(&b);
}

static void test_forms(void **state)
{
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 256);
	cl_form_put(&b, "a", CV_STR("x y&z"));
	cl_form_put(&b, "none", CV_STR(""));
	cl_form_put(&b, "b", CV_STR("http://h/"));
	assert_str(cv_buf_str(&b), "a=x%20y%26z&b=http%3A%2F%2Fh%2F");
	cv_buf_fini(&b);
}

static void query_is(const char *query, const char *want)
{
	struct cv_str got = CV_STR("untouched");
	const bool is_there = cl_query_get(cv_str_of(query), "code", &arena, &got);

	assert_int_equal(is_there, want != NULL);
	if (want)
		assert_str(got, want);
}

static void test_queries(void **state)
{
	(void)state;
	query_is("code=a%2Bb+c&x=1", "a+b c");
	query_is("x=1&code=", "");
	query_is("code", NULL);
	query_is("xcode=1&codex=2", NULL);
	query_is("code=a&code=a", NULL);
	query_is("code=%", NULL);
	query_is("code=%4", NULL);
	query_is("code=%4g", NULL);
	query_is("code=%0a", NULL);
	query_is("code=%00", NULL);
	query_is("", NULL);
	query_is("&&=&code=%41", "A");
}

static enum cl_redirect_kind redirect(const char *head, struct cl_redirect *ret)
{
	return cl_redirect_read(cv_str_of(head), &arena, ret);
}

static void test_redirects(void **state)
{
	static const char *const others[] = { "POST /callback?state=s HTTP/1.1\r\n\r\n",
		"GET /callbackx?state=s HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
		"GET /callback?state=s HTTP/2\r\n\r\n", "GET /callback?state=s\r\n\r\n",
		"\r\n\r\n" };
	struct cl_redirect r;

	(void)state;
	assert_int_equal(redirect("GET /callback?state=s&code=c HTTP/1.1\r\nHost: h\r\n\r\n", &r),
		CL_REDIRECT_OURS);
	assert_str(r.state, "s");
	assert_str(r.code, "c");
	assert_null(r.error.p);
	assert_int_equal(redirect("GET /callback HTTP/1.0\r\n\r\n", &r), CL_REDIRECT_OURS);
	assert_null(r.state.p);
	assert_int_equal(redirect("GET /callback?state=s HTTP/1.1\r\n", &r), CL_REDIRECT_PART);
	assert_int_equal(redirect("", &r), CL_REDIRECT_PART);
	for (size_t i = 0; i < CV_ARRAY_LEN(others); i++)
		assert_int_equal(redirect(others[i], &r), CL_REDIRECT_OTHER);
}

static void test_answers(void **state)
{
	static const char *const bad[] = { "", "[]", "{}", "{\"access_token\":7}",
		"{\"access_token\":\"a b\"}", "{\"access_token\":\"a\\n\"}",
		"{\"access_token\":\"a\",\"token_type\":\"mac\"}",
		"{\"access_token\":\"a\",\"refresh_token\":\"b c\"}",
		"{\"access_token\":\"a\",\"access_token\":\"b\"}" };
	struct cl_token t;

	(void)state;
	assert_null(cl_token_read(CV_STR("{\"access_token\":\"a\",\"token_type\":\"bearer\","
					 "\"expires_in\":300,\"refresh_token\":\"r\"}"),
		&arena, &t));
	assert_str(t.access, "a");
	assert_str(t.refresh, "r");
	assert_int_equal(t.lives_s, 300);
	assert_null(cl_token_read(
		CV_STR("{\"access_token\":\"a\",\"expires_in\":\"60\"}"), &arena, &t));
	assert_int_equal(t.lives_s, 60);
	assert_null(t.refresh.p);
	assert_null(
		cl_token_read(CV_STR("{\"access_token\":\"a\",\"expires_in\":-1}"), &arena, &t));
	assert_int_equal(t.lives_s, 0);
	assert_null(cl_token_read(
		CV_STR("{\"error\":\"slow_down\",\"access_token\":\"a\"}"), &arena, &t));
	assert_str(t.error, "slow_down");
	assert_null(t.access.p);
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		assert_non_null(cl_token_read(cv_str_of(bad[i]), &arena, &t));
}

static int arena_open(void **state)
{
	(void)state;
	cv_arena_init(&arena, 1 << 20);
	return 0;
}

static int arena_close(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_challenge_of_rfc_7636),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_redirects),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests_name("client/oidc_text", tests, arena_open, arena_close);
}
