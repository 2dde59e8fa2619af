/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rewrite.c - heads with placeholders in and out of place
 *
 * Each row is the part of a head that matters; it is parsed, collected, applied and written as the
 * proxy does it, and the whole text is compared.
 */
#include "unit/test.h"

#include <stdio.h>

#include "base/buf.h"
#include "cred/rewrite.c"
#include "cred/rewrite_apply.c"
#include "wire/h1_write.h"
#include "wire/path.h"

#define P   "openshell:resolve:env:KEY"
#define P2  "openshell:resolve:env:KEY_2"
#define GHP "ghp_0123456789abcdefghijABCDEFGHIJ012345"

static struct cv_arena arena;
static struct cv_ph_set set;

static const struct cv_ph_entry entries[] = {
	{ CV_STR("KEY"), CV_STR(P) },
	{ CV_STR("KEY_2"), CV_STR_NONE },
	{ CV_STR("GH_TOKEN"), CV_STR(GHP) },
	{ CV_STR("ODD"), CV_STR_NONE },
	{ CV_STR("EMPTY"), CV_STR_NONE },
};

static const struct cv_str good_values[] = { CV_STR("s3cret"), CV_STR("second"),
	CV_STR("gh real+/=%"), CV_STR("o&d:d"), CV_STR_NONE };

static int setup(void **state)
{
	(void)state;
	cv_arena_init(&arena, 16 << 20);
	return cv_ph_set_compile(&set, entries, CV_ARRAY_LEN(entries), &arena, NULL) != CV_OK;
}

static int teardown(void **state)
{
	(void)state;
	cv_arena_fini(&arena);
	return 0;
}

struct run {
	struct cv_h1_request request;
	struct cv_path path;
	struct cv_rewrite_head head;
	struct cv_rewrite_plan plan;
	struct cv_buf out;
	char text[20000];
};

/* line: "GET /x"; fields: "A: b\r\n" lines or "". */
static enum cv_rewrite_rc run_collect(struct run *r, const char *line, const char *fields)
{
	size_t scanned = 0;
	const int n = snprintf(r->text, sizeof(r->text),
		"%s HTTP/1.1\r\nHost: api.example.test\r\n%s\r\n", line, fields);
	const struct cv_str text = { r->text, (size_t)n };

	assert_in_range(n, 1, sizeof(r->text) - 1);
	assert_int_equal(
		cv_h1_request_parse(text, sizeof(r->text), &scanned, &r->request), CV_H1_OK);
	assert_int_equal(cv_path_canonical(r->request.path, true, &r->path), CV_PATH_OK);
	r->head = (struct cv_rewrite_head){ &r->request, cv_path_str(&r->path), r->request.query,
		NULL, 0 };
	return cv_rewrite_collect(&set, &r->head, &arena, &r->plan);
}

static enum cv_rewrite_rc run_apply(struct run *r, const struct cv_str *values)
{
	struct cv_rewrite w;
	struct cv_h1_request_edit e = {
		.authority = &r->request.authority,
		.port_default = 443,
	};
	const enum cv_rewrite_rc rc =
		cv_rewrite_apply(&set, &r->head, &r->plan, values, &arena, &w);

	if (rc != CV_REWRITE_OK)
		return rc;
	cv_rewrite_put(&w, &r->request);
	cv_h1_edit_of_request(&e.common, &r->request);
	e.path = w.path;
	e.query = w.query;
	cv_buf_init(&r->out, 1 << 20);
	assert_true(cv_h1_write_request(&r->out, &r->request, &e));
	assert_false(cv_ph_is_in(&set, cv_buf_str(&r->out)));
	return CV_REWRITE_OK;
}

static void placed(const char *line, const char *fields, const char *want_line,
	const char *want_fields, const char *places)
{
	static struct run r;
	char got_places[200] = "", want[2000];

	assert_int_equal(run_collect(&r, line, fields), CV_REWRITE_OK);
	for (size_t i = 0; i < r.plan.count; i++) {
		const size_t n = strlen(got_places);

		snprintf(got_places + n, sizeof(got_places) - n, "%s%.*s:%s", n ? " " : "",
			CV_STR_ARG(entries[r.plan.use[i].entry].key),
			cv_rewrite_place_slug(r.plan.use[i].place));
	}
	assert_string_equal(got_places, places);
	assert_int_equal(run_apply(&r, good_values), CV_REWRITE_OK);
	snprintf(want, sizeof(want), "%s HTTP/1.1\r\nHost: api.example.test\r\n%s\r\n", want_line,
		want_fields);
	assert_str(cv_buf_str(&r.out), want);
	cv_buf_fini(&r.out);
}

static void c4_placeholders_are_replaced_in_their_places(void **state)
{
	(void)state;
	placed("GET /a?b=c", "X: y\r\n", "GET /a?b=c", "X: y\r\n", "");
	placed("GET /", "X-Api-Key: " P "\r\n", "GET /", "X-Api-Key: s3cret\r\n", "KEY:header");
	placed("GET /", "User-Agent: " P "\r\nReferer: " P2 "\r\n", "GET /",
		"User-Agent: s3cret\r\nReferer: second\r\n", "KEY:header KEY_2:header");
	placed("GET /", "Authorization: Bearer " P "\r\n", "GET /",
		"Authorization: Bearer s3cret\r\n", "KEY:scheme");
	placed("GET /", "Authorization: token  x-OPENSHELL-RESOLVE-ENV-KEY\r\n", "GET /",
		"Authorization: token  s3cret\r\n", "KEY:scheme");
	placed("GET /", "Authorization: Bearer " GHP "\r\n", "GET /",
		"Authorization: Bearer gh real+/=%\r\n", "GH_TOKEN:scheme");
	/* two of one name keep their order and their own values */
	placed("GET /", "A: " P "\r\nA: plain\r\nA: " P2 "\r\n", "GET /",
		"A: s3cret\r\nA: plain\r\nA: second\r\n", "KEY:header KEY_2:header");
	/* printf 'user:'P */
	placed("GET /", "Authorization: Basic dXNlcjpvcGVuc2hlbGw6cmVzb2x2ZTplbnY6S0VZ\r\n",
		"GET /", "Authorization: Basic dXNlcjpzM2NyZXQ=\r\n", "KEY:basic_password");
	/* P':x-oauth-basic' */
	placed("GET /",
		"Authorization: basic b3BlbnNoZWxsOnJlc29sdmU6ZW52OktFWTp4LW9hdXRoLWJhc2lj\r\n",
		"GET /", "Authorization: basic czNjcmV0Ongtb2F1dGgtYmFzaWM=\r\n", "KEY:basic_user");
	/* P':'P2 */
	placed("GET /",
		"Authorization: Basic "
		"b3BlbnNoZWxsOnJlc29sdmU6ZW52OktFWTpvcGVuc2hlbGw6cmVzb2x2ZTplbnY6S0VZXzI=\r\n",
		"GET /", "Authorization: Basic czNjcmV0OnNlY29uZA==\r\n",
		"KEY:basic_user KEY_2:basic_password");
	placed("GET /", "Authorization: Basic dXNlcjpwYXNz\r\n", "GET /",
		"Authorization: Basic dXNlcjpwYXNz\r\n", "");
	placed("GET /", "Cookie: a=b; s=" P "; t=\"" P2 "\";u=openshell%3aresolve:env:KEY_2\r\n",
		"GET /", "Cookie: a=b; s=s3cret; t=\"second\";u=second\r\n",
		"KEY:cookie KEY_2:cookie KEY_2:cookie");
	placed("GET /", "Cookie: u=openshell%3Aresolve:env%3AODD\r\n", "GET /",
		"Cookie: u=o%26d%3Ad\r\n", "ODD:cookie");
	placed("GET /v1/" P "/x", "", "GET /v1/s3cret/x", "", "KEY:path");
	placed("GET /bot" P ":" P2 "/getMe?a", "", "GET /bots3cret:second/getMe?a", "",
		"KEY:path KEY_2:path");
	placed("GET /o%70enshell%3Aresolve%3aenv%3AODD", "", "GET /o%26d%3Ad", "", "ODD:path");
	placed("GET /?a=1&key=" P "&key=openshell%3aresolve%3Aenv%3aGH_TOKEN&z", "",
		"GET /?a=1&key=s3cret&key=gh%20real%2B%2F%3D%25&z", "", "KEY:query GH_TOKEN:query");
	placed("GET /?a=%6Fpenshell:resolve:env:ODD", "", "GET /?a=o%26d%3Ad", "", "ODD:query");
	placed("GET /" P "?k=" P2, "X: " GHP "\r\n", "GET /s3cret?k=second", "X: gh real+/=%\r\n",
		"KEY:path KEY_2:query GH_TOKEN:header");
}

static void c4_placeholders_out_of_place_refuse(void **state)
{
	static const struct {
		const char *line, *fields;
		enum cv_rewrite_rc rc;
	} row[] = {
		{ "GET /", "A: openshell:resolve:env:NOBODY\r\n", CV_REWRITE_UNKNOWN },
		{ "GET /", "A: openshell:resolve:env:KEY_3\r\n", CV_REWRITE_UNKNOWN },
		{ "GET /", "A: Bearer openshell:resolve:env:key\r\n", CV_REWRITE_UNKNOWN },
		{ "GET /openshell:resolve:env:", "", CV_REWRITE_UNKNOWN },
		{ "GET /?a=x-OPENSHELL-RESOLVE-ENV-KEY.", "", CV_REWRITE_UNKNOWN },
		{ "X-OPENSHELL-RESOLVE-ENV-KEY /", "", CV_REWRITE_METHOD },
		{ "GET /", "x-OPENSHELL-RESOLVE-ENV-KEY: v\r\n", CV_REWRITE_NAME },
		{ "GET /", "x-openshell-resolve-env-key: v\r\n", CV_REWRITE_NAME },
		{ "GET /", GHP ": v\r\n", CV_REWRITE_NAME },
		{ "GET /", "Te: " P "\r\n", CV_REWRITE_HOP },
		{ "GET /", "Proxy-Authorization: Bearer " P "\r\n", CV_REWRITE_HOP },
		{ "GET /", "X-HTTP-Method-Override: " P "\r\n", CV_REWRITE_HOP },
		{ "GET /", "Connection: close, x-a\r\nX-A: " P "\r\n", CV_REWRITE_HOP },
		{ "GET /", "A: x" P "\r\n", CV_REWRITE_EMBEDDED },
		{ "GET /", "A: " P ", b\r\n", CV_REWRITE_EMBEDDED },
		{ "GET /", "A: Bearer " P " " P "\r\n", CV_REWRITE_EMBEDDED },
		{ "GET /", "Referer: https://h/?t=" P "\r\n", CV_REWRITE_EMBEDDED },
		{ "GET /", "A: a b " P "\r\n", CV_REWRITE_EMBEDDED },
		{ "GET /", "A: openshell%3Aresolve%3Aenv%3AKEY\r\n", CV_REWRITE_ENCODED },
		{ "GET /", "A: {\"a\":\"openshell\\u003aresolve:env:KEY\"}\r\n",
			CV_REWRITE_ENCODED },
		{ "GET /", "A: openshell:resolve\r\nB: :env:KEY\r\n", CV_REWRITE_SPLIT },
		{ "GET /", "A: ghp_0123456789abcde\r\nA: fghijABCDEFGHIJ012345\r\n",
			CV_REWRITE_SPLIT },
		{ "GET /openshell:resolve/:env:KEY", "", CV_REWRITE_SPLIT },
		{ "GET /ghp_0123456789abcde/fghijABCDEFGHIJ012345", "", CV_REWRITE_SPLIT },
		{ "GET /openshell%253Aresolve:env:KEY", "", CV_REWRITE_ENCODED },
		{ "GET /" P "/openshell%253Aresolve:env:KEY", "", CV_REWRITE_ENCODED },
		{ "GET /" P "openshell%253Aresolve:env:KEY", "", CV_REWRITE_UNKNOWN },
		{ "GET /" P "-openshell%253Aresolve:env:KEY", "", CV_REWRITE_ENCODED },
		{ "GET /?" P "=v", "", CV_REWRITE_QUERY_NAME },
		{ "GET /?" P, "", CV_REWRITE_QUERY_NAME },
		{ "GET /?openshell%3aresolve:env:KEY", "", CV_REWRITE_QUERY_NAME },
		{ "GET /?a=x" P, "", CV_REWRITE_EMBEDDED },
		{ "GET /?a=" P "+", "", CV_REWRITE_EMBEDDED },
		{ "GET /?a=" P "%20", "", CV_REWRITE_EMBEDDED },
		{ "GET /?a=1;b=" P, "", CV_REWRITE_EMBEDDED },
		{ "GET /?a=" P "=", "", CV_REWRITE_EMBEDDED },
		{ "GET /?a=openshell%253aresolve:env:KEY", "", CV_REWRITE_ENCODED },
		{ "GET /?a=openshell:resolve&b=:env:KEY", "", CV_REWRITE_SPLIT },
		{ "GET /?a=openshell:res&olve:env:=KEY", "", CV_REWRITE_SPLIT },
		{ "GET /", "Cookie: " P "=a\r\n", CV_REWRITE_COOKIE_NAME },
		{ "GET /", "Cookie: " P "\r\n", CV_REWRITE_COOKIE_NAME },
		{ "GET /", "Cookie: a=x" P "\r\n", CV_REWRITE_EMBEDDED },
		{ "GET /", "Cookie: a=\"" P "\r\n", CV_REWRITE_EMBEDDED },
		{ "GET /", "Cookie: a=openshell%253aresolve:env:KEY\r\n", CV_REWRITE_ENCODED },
		/* P, in gRPC's binary metadata */
		{ "GET /", "X-Key-Bin: b3BlbnNoZWxsOnJlc29sdmU6ZW52OktFWQ\r\n",
			CV_REWRITE_ENCODED },
		{ "GET /", "X-Key-Bind: b3BlbnNoZWxsOnJlc29sdmU6ZW52OktFWQ\r\n", CV_REWRITE_OK },
		/* user:xP */
		{ "GET /", "A: Basic dXNlcjp4b3BlbnNoZWxsOnJlc29sdmU6ZW52OktFWQ==\r\n",
			CV_REWRITE_EMBEDDED },
		/* user:P without padding, and in the URL alphabet's manner */
		{ "GET /", "A: Basic dXNlcjp4b3BlbnNoZWxsOnJlc29sdmU6ZW52OktFWQ\r\n",
			CV_REWRITE_BASIC },
		{ "GET /", "A: Basic dXNlcjpvcGVuc2hlbGw6 cmVzb2x2ZTplbnY6S0VZ\r\n",
			CV_REWRITE_BASIC },
		/* xP, in which the first colon is the placeholder's own */
		{ "GET /", "A: Basic eG9wZW5zaGVsbDpyZXNvbHZlOmVudjpLRVk=\r\n", CV_REWRITE_SPLIT },
		/* u:openshell%3Aresolve:env:KEY */
		{ "GET /", "A: Basic dTpvcGVuc2hlbGwlM0FyZXNvbHZlOmVudjpLRVk=\r\n",
			CV_REWRITE_ENCODED },
		/* u:openshell:resolve:env:NO */
		{ "GET /", "A: Basic dTpvcGVuc2hlbGw6cmVzb2x2ZTplbnY6Tk8=\r\n",
			CV_REWRITE_UNKNOWN },
		/* user:base64(user:P), base64(Basic base64(user:P)) */
		{ "GET /",
			"A: Basic "
			"dXNlcjpkWE5sY2pwdmNHVnVjMmhsYkd3NmNtVnpiMngyWlRwbGJuWTZTMFZa\r\n",
			CV_REWRITE_NESTED },
		{ "GET /",
			"A: Basic QmFzaWMgZFhObGNqcHZjR1Z1YzJobGJHdzZjbVZ6YjJ4MlpUcGxiblk2UzBWWg=="
			"\r\n",
			CV_REWRITE_NESTED },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		static struct run r;
		const enum cv_rewrite_rc rc = run_collect(&r, row[i].line, row[i].fields);

		if (rc != row[i].rc)
			fail_msg("%s | %s: got %s, want %s", row[i].line, row[i].fields,
				cv_rewrite_rc_row(rc)->slug, cv_rewrite_rc_row(row[i].rc)->slug);
	}
}

static void c4_host_with_a_placeholder_refuses(void **state)
{
	static struct run r;
	static const char *const host[] = { "x-openshell-resolve-env-key.example.test",
		"ghp_0123456789abcdefghijabcdefghij012345.example.test" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(host); i++) {
		assert_int_equal(run_collect(&r, "GET /", ""), CV_REWRITE_OK);
		assert_int_equal(
			cv_host_parse(cv_str_of(host[i]), &r.request.authority.host), CV_HOST_OK);
		assert_int_equal(
			cv_rewrite_collect(&set, &r.head, &arena, &r.plan), CV_REWRITE_AUTHORITY);
	}
}

static void c4_many_placeholders_refuse(void **state)
{
	static struct run r;
	char fields[4000] = "";

	(void)state;
	for (size_t i = 0; i <= CV_REWRITE_USES_MAX; i++) {
		const size_t n = strlen(fields);

		assert_int_equal(run_collect(&r, "GET /", fields), CV_REWRITE_OK);
		snprintf(fields + n, sizeof(fields) - n, "A%zu: " P "\r\n", i);
	}
	assert_int_equal(run_collect(&r, "GET /", fields), CV_REWRITE_MANY);
}

static void dropped_fields_are_not_looked_at(void **state)
{
	static struct run r;
	const struct cv_str drop = CV_STR("authorization");

	(void)state;
	assert_int_equal(
		run_collect(&r, "GET /",
			"Authorization: AWS4-HMAC-SHA256 Credential=" P "/x\r\nX-Token: " P "\r\n"),
		CV_REWRITE_EMBEDDED);
	r.head.drop = &drop;
	r.head.drop_count = 1;
	assert_int_equal(cv_rewrite_collect(&set, &r.head, &arena, &r.plan), CV_REWRITE_OK);
	assert_int_equal(r.plan.count, 1);
}

static void c7_values_that_may_not_stand_there_refuse(void **state)
{
	static const struct {
		const char *line, *fields;
		struct cv_str value;
		enum cv_rewrite_rc rc;
	} row[] = {
		{ "GET /", "A: " P "\r\n", CV_STR("a\rb"), CV_REWRITE_VALUE },
		{ "GET /", "A: " P "\r\n", CV_STR("a\nb"), CV_REWRITE_VALUE },
		{ "GET /", "A: " P "\r\n", CV_STR("a\0b"), CV_REWRITE_VALUE },
		{ "GET /?a=" P, "", CV_STR("a\nb"), CV_REWRITE_VALUE },
		{ "GET /", "A: " P "\r\n", CV_STR(" a"), CV_REWRITE_VALUE_PLACE },
		{ "GET /", "A: " P "\r\n", CV_STR_NONE, CV_REWRITE_VALUE_MISSING },
		{ "GET /" P, "", CV_STR("a/b"), CV_REWRITE_VALUE_PLACE },
		{ "GET /" P, "", CV_STR("a\\b"), CV_REWRITE_VALUE_PLACE },
		{ "GET /" P, "", CV_STR("a?b"), CV_REWRITE_VALUE_PLACE },
		{ "GET /" P, "", CV_STR("a#b"), CV_REWRITE_VALUE_PLACE },
		{ "GET /" P, "", CV_STR("a..b"), CV_REWRITE_VALUE_PLACE },
		{ "GET /" P, "", CV_STR("."), CV_REWRITE_VALUE_PLACE },
		{ "GET /." P, "", CV_STR("."), CV_REWRITE_VALUE_PLACE },
		{ "GET /" P "-", "", CV_STR("a b%;"), CV_REWRITE_OK },
		{ "GET /", "Cookie: a=" P "\r\n", CV_STR("a;b"), CV_REWRITE_VALUE_PLACE },
		{ "GET /", "A: Basic b3BlbnNoZWxsOnJlc29sdmU6ZW52OktFWTp4LW9hdXRoLWJhc2lj\r\n",
			CV_STR("a:b"), CV_REWRITE_VALUE_PLACE },
		{ "GET /", "A: " P "\r\n", CV_STR(P2), CV_REWRITE_LEFT },
		{ "GET /", "A: Basic dXNlcjpvcGVuc2hlbGw6cmVzb2x2ZTplbnY6S0VZ\r\n", CV_STR(GHP),
			CV_REWRITE_LEFT },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		static struct run r;
		const struct cv_str values[CV_ARRAY_LEN(entries)] = { row[i].value };

		assert_int_equal(run_collect(&r, row[i].line, row[i].fields), CV_REWRITE_OK);
		const enum cv_rewrite_rc rc = run_apply(&r, values);
		if (rc == CV_REWRITE_OK)
			cv_buf_fini(&r.out);
		if (rc != row[i].rc)
			fail_msg("row %zu: got %s, want %s", i, cv_rewrite_rc_row(rc)->slug,
				cv_rewrite_rc_row(row[i].rc)->slug);
	}
}

static void long_targets_and_values_refuse(void **state)
{
	static struct run r;
	static char bulk[CV_REWRITE_VALUE_BYTES_MAX + 1];
	struct cv_str values[CV_ARRAY_LEN(entries)] = { { bulk, sizeof(bulk) } };

	(void)state;
	memset(bulk, 'a', sizeof(bulk));
	assert_int_equal(run_collect(&r, "GET /" P, ""), CV_REWRITE_OK);
	assert_int_equal(run_apply(&r, values), CV_REWRITE_VALUE);
	values[0].n--;
	assert_int_equal(run_apply(&r, values), CV_REWRITE_TARGET_LONG);
}

static void c10_wipe_leaves_no_copy(void **state)
{
	static struct run r;
	struct cv_rewrite w;

	(void)state;
	assert_int_equal(run_collect(&r, "GET /" P "?a=" P,
				 "A: Basic dXNlcjpvcGVuc2hlbGw6cmVzb2x2ZTplbnY6S0VZ\r\n"),
		CV_REWRITE_OK);
	assert_int_equal(
		cv_rewrite_apply(&set, &r.head, &r.plan, good_values, &arena, &w), CV_REWRITE_OK);
	const struct cv_rewrite copy = w;
	cv_rewrite_wipe(&w);
	const struct cv_str part[] = { copy.path, copy.query, copy.header[0].value };
	for (size_t i = 0; i < CV_ARRAY_LEN(part); i++) {
		assert_true(part[i].n > 0);
		for (size_t k = 0; k < part[i].n; k++)
			assert_int_equal(part[i].p[k], 0);
	}
}

static void c4_trailers_with_placeholders_refuse(void **state)
{
	struct cv_h1_header h[] = { { CV_STR("a"), CV_STR("openshell:res"), 0, 0 },
		{ CV_STR("b"), CV_STR("olve:env:KEY"), 0, 0 } };

	(void)state;
	assert_int_equal(cv_rewrite_check_trailers(&set, h, 1), CV_REWRITE_OK);
	assert_int_equal(cv_rewrite_check_trailers(&set, h, 2), CV_REWRITE_TRAILER);
	h[0] = (struct cv_h1_header){ CV_STR("X-Openshell-Resolve-Env-Key"), CV_STR("v"), 0, 0 };
	assert_int_equal(cv_rewrite_check_trailers(&set, h, 1), CV_REWRITE_TRAILER);
}

static void a_full_arena_refuses(void **state)
{
	static struct run r;
	struct cv_arena small;

	(void)state;
	assert_int_equal(run_collect(&r, "GET /" P, "A: Basic dXNlcjpwYXNz\r\n"), CV_REWRITE_OK);
	cv_arena_init(&small, 4);
	assert_int_equal(cv_rewrite_collect(&set, &r.head, &small, &r.plan), CV_REWRITE_MEMORY);
	cv_arena_fini(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c4_placeholders_are_replaced_in_their_places),
		cmocka_unit_test(c4_placeholders_out_of_place_refuse),
		cmocka_unit_test(c4_host_with_a_placeholder_refuses),
		cmocka_unit_test(c4_many_placeholders_refuse),
		cmocka_unit_test(dropped_fields_are_not_looked_at),
		cmocka_unit_test(c7_values_that_may_not_stand_there_refuse),
		cmocka_unit_test(long_targets_and_values_refuse),
		cmocka_unit_test(c10_wipe_leaves_no_copy),
		cmocka_unit_test(c4_trailers_with_placeholders_refuse),
		cmocka_unit_test(a_full_arena_refuses),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
