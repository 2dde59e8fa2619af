/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a plan that was written is read as it was, and bytes that are no plan are refused.
 * Method: a full plan there and back, compared by its text; each prefix of its bytes, and each
 * byte changed, must be refused or read without harm (ASan watches).
 */
#include "unit/test.h"

#include "plan/marshal.c"

static struct cv_str argv_[] = { { "sh", 2 }, { "-c", 2 }, { "", 0 } };
static struct cv_str env_[] = { { "A=b", 3 } };
static struct cv_plan_command_rule rules[] = { { { "/usr", 4 }, CV_ACCESS_KIND_READ } };
static struct cv_plan_command_rlimit rlimits[] = { { 4, 1, UINT64_MAX } };
static struct cv_plan_op ops[] = {
	{ CV_PLAN_ROOT_MEMORY, 0, 0, { "", 0 }, { "/", 1 }, { "mode=755", 8 } },
	{ CV_PLAN_SEAL, CV_PLAN_READONLY, 0xffffffff, { "", 0 }, { "/", 1 }, { "", 0 } },
};
static struct cv_plan_pin pins[] = { { { "h", 1 }, { "::1", 3 }, 443 } };

static struct cv_plan full(void)
{
	return (struct cv_plan){ .flags = CV_PLAN_NETWORK | CV_PLAN_TTY,
		.inner_uid = 1000,
		.inner_gid = 1001,
		.interception = CV_INTERCEPTION_ANYIP,
		.ports = { 443, 65535 },
		.port_count = 2,
		.ops = ops,
		.op_count = CV_ARRAY_LEN(ops),
		.command = { .argv = argv_,
			.argc = CV_ARRAY_LEN(argv_),
			.env = env_,
			.envc = 1,
			.cwd = CV_STR("/w"),
			.flags = CV_COMMAND_LAST,
			.rules = rules,
			.rule_count = 1,
			.rlimits = rlimits,
			.rlimit_count = 1 },
		.memory_bytes = 1ull << 40,
		.timeout_ms = 7,
		.policy_file = CV_STR("/p"),
		.pins = pins,
		.pin_count = 1,
		.watch = argv_,
		.watch_count = 1 };
}

static void there_and_back(void **state)
{
	const struct cv_plan plan = full();
	struct cv_buf b, want, got;
	struct cv_arena arena;
	struct cv_plan back;
	struct cv_err err;

	(void)state;
	cv_buf_init(&b, 1 << 16);
	cv_buf_init(&want, 1 << 16);
	cv_buf_init(&got, 1 << 16);
	cv_arena_init(&arena, 1 << 20);
	assert_true(cv_plan_put(&b, &plan));
	assert_int_equal(cv_plan_get(cv_buf_str(&b), &arena, &back, &err), CV_OK);
	cv_plan_json(&plan, &want);
	cv_plan_json(&back, &got);
	cv_buf_put_byte(&want, '\0');
	assert_str(cv_str_slice(cv_buf_str(&got), 0, cv_buf_len(&got)), cv_buf_str(&want).p);
	assert_int_equal(back.pins[0].port, 443);
	assert_int_equal(back.interception, CV_INTERCEPTION_ANYIP);
	assert_int_equal(back.port_count, 2);
	assert_int_equal(back.ports[1], 65535);
	assert_int_equal(back.command.rlimits[0].hard, UINT64_MAX);
	assert_int_equal(back.command.argv[2].p[0], '\0'); /* C strings where they lie */
	assert_str(back.policy_file, "/p");
	/* what is forwarded to cove-init is the command and nothing else */
	struct cv_plan_command c;
	assert_int_equal(cv_plan_command_get(back.command_bytes, &arena, &c, &err), CV_OK);
	assert_int_equal(c.argc, 3);
	cv_buf_fini(&b);
	cv_buf_fini(&want);
	cv_buf_fini(&got);
	cv_arena_fini(&arena);
}

static void cut_and_changed(void **state)
{
	const struct cv_plan plan = full();
	struct cv_buf b;
	struct cv_arena arena;
	struct cv_plan back;
	struct cv_err err;

	(void)state;
	cv_buf_init(&b, 1 << 16);
	cv_arena_init(&arena, 1 << 20);
	assert_true(cv_plan_put(&b, &plan));
	const size_t n = cv_buf_len(&b);
	for (size_t i = 0; i < n; i++) {
		char *part = malloc(i ? i : 1); /* its own allocation: ASan sees its end */
		memcpy(part, cv_buf_str(&b).p, i);
		cv_arena_reset(&arena);
		assert_int_equal(
			cv_plan_get((struct cv_str){ part, i }, &arena, &back, &err), CV_PROTO);
		free(part);
	}
	char *whole = malloc(n);
	for (size_t i = 0; i < n; i++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(whole, cv_buf_str(&b).p, n);
			whole[i] = (char)(whole[i] ^ (1 << bit));
			cv_arena_reset(&arena);
			if (cv_plan_get((struct cv_str){ whole, n }, &arena, &back, &err) == CV_OK)
				assert_true(back.op_count <= CV_PLAN_OPS_MAX &&
					    back.port_count <= CV_PLAN_PORTS_MAX + 1 &&
					    back.interception < CV_INTERCEPTION_COUNT);
		}
	free(whole);
	cv_buf_fini(&b);
	cv_arena_fini(&arena);
}

static void a_gateways_part_comes_through(void **state)
{
	struct cv_plan plan = full(), back;
	struct cv_arena arena;
	struct cv_buf b;

	(void)state;
	plan.gateway = (struct cv_plan_gateway){ .socket = CV_STR("/s"),
		.sandbox = CV_STR("id"),
		.instance = CV_STR("i"),
		.flags = CV_PLAN_GATEWAY_NO_MAIN };
	for (size_t i = 0; i < sizeof(plan.gateway.token); i++)
		plan.gateway.token[i] = (unsigned char)(i * 9);
	plan.command.argc = 0;
	cv_buf_init(&b, 1 << 16);
	cv_arena_init(&arena, 1 << 20);
	assert_true(cv_plan_put(&b, &plan));
	assert_int_equal(cv_plan_get(cv_buf_str(&b), &arena, &back, NULL), CV_OK);
	assert_str(back.gateway.socket, "/s");
	assert_str(back.gateway.sandbox, "id");
	assert_memory_equal(back.gateway.token, plan.gateway.token, sizeof(plan.gateway.token));
	assert_int_equal(back.command.argc, 0);
	/* who has a main command must say which */
	plan.gateway.flags = 0;
	cv_buf_reset(&b);
	assert_true(cv_plan_put(&b, &plan));
	assert_int_equal(cv_plan_get(cv_buf_str(&b), &arena, &back, NULL), CV_PROTO);
	/* and the token is not for people */
	cv_buf_reset(&b);
	cv_plan_text(&plan, &b);
	cv_plan_json(&plan, &b);
	for (size_t i = 0; i + 4 < cv_buf_len(&b); i++)
		assert_memory_not_equal(cv_buf_str(&b).p + i, plan.gateway.token + 8, 4);
	cv_buf_fini(&b);
	cv_arena_fini(&arena);
}

static void a_nul_is_refused(void **state)
{
	static struct cv_str bad[] = { { "a\0b", 3 } };
	struct cv_plan plan = full();
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, 1 << 16);
	plan.command.argv = bad;
	plan.command.argc = 1;
	assert_false(cv_plan_put(&b, &plan));
	cv_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(cut_and_changed),
		cmocka_unit_test(a_gateways_part_comes_through),
		cmocka_unit_test(a_nul_is_refused),
	};

	return cmocka_run_group_tests_name("plan/marshal", tests, NULL, NULL);
}
