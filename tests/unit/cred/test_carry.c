/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_carry.c - errands and replies as the courier's link has them
 */
#include "unit/test.h"

#include "cred/carry.c"

static void a_fetch(void **state)
{
	const struct cv_cred_refresh plan = { .strategy = CV_STR("oauth2_refresh_token") };
	const struct cv_refresh_request request = { .method = CV_STR("POST"),
		.url = CV_STR("https://x/"),
		.body = CV_STR("a=b"),
		.headers = { { CV_STR("A"), CV_STR("b") } },
		.header_count = 1 };
	enum cv_courier_req type;
	struct cv_buf b;
	struct cv_err err;

	(void)state;
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	assert_int_equal(cv_carry_put(&plan, &request, 7, &b, &type, &err), CV_OK);
	assert_int_equal(type, CV_COURIER_REQ_FETCH);
	struct cv_ipc_reader r = { .rest = cv_buf_str(&b) };
	assert_int_equal(cv_ipc_get_u32(&r), 7);
	assert_str(cv_ipc_get_str(&r), "POST");
	assert_str(cv_ipc_get_str(&r), "https://x/");
	assert_int_equal(cv_ipc_get_u32(&r), 1);
	assert_str(cv_ipc_get_str(&r), "A");
	assert_str(cv_ipc_get_str(&r), "b");
	assert_str(cv_ipc_get_str(&r), "a=b");
	assert_true(cv_ipc_reader_is_done(&r));
	cv_buf_fini(&b);
}

static void a_command(void **state)
{
	struct cv_str argv[] = { CV_STR("gcloud"), CV_STR("print") };
	struct cv_cred_material env = { CV_STR("env"), CV_STR("A, B,") };
	const struct cv_cred_refresh plan = { .strategy = CV_STR("command"),
		.argv = argv,
		.argc = 2,
		.materials = &env,
		.material_count = 1 };
	const struct cv_refresh_request request = { .is_command = true };
	enum cv_courier_req type;
	struct cv_buf b;
	struct cv_err err;

	(void)state;
	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	assert_int_equal(cv_carry_put(&plan, &request, 1, &b, &type, &err), CV_OK);
	assert_int_equal(type, CV_COURIER_REQ_COMMAND);
	struct cv_ipc_reader r = { .rest = cv_buf_str(&b) };
	struct cv_str last = CV_STR_NONE;
	assert_int_equal(cv_ipc_get_u32(&r), 1);
	assert_int_equal(cv_ipc_get_u32(&r), 2);
	assert_str(cv_ipc_get_str(&r), "gcloud");
	assert_str(cv_ipc_get_str(&r), "print");
	for (uint32_t n = cv_ipc_get_u32(&r); n; n--)
		last = cv_ipc_get_str(&r);
	assert_str(last, "B");
	assert_true(cv_ipc_reader_is_done(&r));
	cv_buf_fini(&b);
}

static void replies(void **state)
{
	const struct cv_cred_refresh plan = { .strategy = CV_STR("oauth2_refresh_token") };
	struct cv_carry_reply reply;
	struct cv_refresh_result result;
	struct cv_arena arena;
	struct cv_buf b;
	struct cv_err err;

	(void)state;
	cv_arena_init(&arena, 1 << 20);
	cv_buf_init(&b, 4096);
	cv_ipc_put_u32(&b, 9), cv_ipc_put_u32(&b, 429), cv_ipc_put_u32(&b, 1);
	cv_ipc_put_str(&b, CV_STR("Retry-After")), cv_ipc_put_str(&b, CV_STR("12"));
	assert_int_equal(
		cv_carry_get(CV_COURIER_REPLY_CARRIED, cv_buf_str(&b), &reply, &err), CV_OK);
	assert_int_equal(reply.tag, 9);
	cv_carry_result(&plan, &reply, CV_STR("{}"), 1000, &arena, &result);
	assert_int_equal(result.reason, CV_REFRESH_REASON_LIMITED);
	assert_int_equal(result.retry_s, 12);
	cv_buf_put_byte(&b, 0);
	assert_int_equal(
		cv_carry_get(CV_COURIER_REPLY_CARRIED, cv_buf_str(&b), &reply, &err), CV_PROTO);

	cv_buf_reset(&b);
	cv_ipc_put_u32(&b, 3), cv_ipc_put_u32(&b, CV_COURIER_FAILURE_TLS);
	cv_ipc_put_str(&b, CV_STR("x"));
	assert_int_equal(
		cv_carry_get(CV_COURIER_REPLY_FAILED, cv_buf_str(&b), &reply, &err), CV_OK);
	assert_true(reply.is_failed);
	cv_carry_result(&plan, &reply, CV_STR_NONE, 1000, &arena, &result);
	assert_int_equal(result.verdict, CV_REFRESH_LATER);
	cv_buf_reset(&b);
	cv_ipc_put_u32(&b, 3), cv_ipc_put_u32(&b, CV_COURIER_FAILURE_COUNT);
	cv_ipc_put_str(&b, CV_STR("x"));
	assert_int_equal(
		cv_carry_get(CV_COURIER_REPLY_FAILED, cv_buf_str(&b), &reply, &err), CV_PROTO);
	cv_buf_fini(&b);
	cv_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fetch),
		cmocka_unit_test(a_command),
		cmocka_unit_test(replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
