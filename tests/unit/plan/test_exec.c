/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: what a client says of a command comes through whole, what the sandbox says of every command
 * wins where it confines, and bytes that are none are refused.
 * Method: there and back; merged with a command of a plan; each prefix and each changed bit (ASan
 * watches).
 */
#include "unit/test.h"

#include "plan/exec.c"

#include <stdlib.h>

static struct cv_str argv_[] = { { "sh", 2 }, { "-c", 2 }, { "", 0 } };
static struct cv_str env_[] = { { "A=1", 3 }, { "PATH=/x", 7 }, { "A=2", 3 } };
static struct cv_str base_argv[] = { { "main", 4 } };
static struct cv_str base_env[] = { { "PATH=/usr/bin", 13 }, { "PATHEXT=a", 9 }, { "B=", 2 } };
static struct cv_plan_command_rule rules[] = { { { "/usr", 4 }, CV_ACCESS_KIND_READ } };
static struct cv_plan_command_rlimit rlimits[] = { { 4, 1, 1 } };

static struct cv_plan_exec full(void)
{
	return (struct cv_plan_exec){
		.argv = argv_, .argc = 3, .env = env_, .envc = 3, .cwd = CV_STR("/tmp")
	};
}

static const struct cv_plan_command base = { .argv = base_argv,
	.argc = 1,
	.env = base_env,
	.envc = 3,
	.cwd = { "/sandbox", 8 },
	.flags = CV_COMMAND_LAST | CV_COMMAND_NOTIFY | CV_COMMAND_LANDLOCK_REQUIRED,
	.rules = rules,
	.rule_count = 1,
	.rlimits = rlimits,
	.rlimit_count = 1 };

static cv_code read_back(const struct cv_plan_exec *exec, struct cv_arena *arena, struct cv_buf *b,
	struct cv_plan_exec *ret)
{
	cv_buf_init(b, 1 << 20);
	cv_arena_init(arena, 1 << 20);
	assert_true(cv_plan_exec_put(b, exec));
	return cv_plan_exec_get(cv_buf_str(b), arena, ret, NULL);
}

static void there_and_back(void **state)
{
	const struct cv_plan_exec exec = full();
	struct cv_plan_exec back;
	struct cv_arena arena;
	struct cv_buf b;

	(void)state;
	assert_int_equal(read_back(&exec, &arena, &b, &back), CV_OK);
	assert_int_equal(back.argc, 3);
	assert_str(back.argv[1], "-c");
	assert_int_equal(back.argv[2].p[0], '\0');
	assert_int_equal(back.envc, 3);
	assert_str(back.cwd, "/tmp");
	cv_buf_fini(&b);
	cv_arena_fini(&arena);
}

static void t_confinement_is_the_plans(void **state)
{
	struct cv_plan_exec exec = full();
	struct cv_plan_command c;
	struct cv_arena arena;

	(void)state;
	cv_arena_init(&arena, 1 << 20);
	assert_int_equal(cv_plan_exec_command(&exec, &base, &arena, &c, NULL), CV_OK);
	assert_int_equal(c.flags, CV_COMMAND_NOTIFY | CV_COMMAND_LANDLOCK_REQUIRED);
	assert_ptr_equal(c.rules, rules);
	assert_int_equal(c.rule_count, 1);
	assert_int_equal(c.rlimit_count, 1);
	assert_str(c.cwd, "/tmp");
	/* PATH is replaced and PATHEXT is not; of two alike the later wins */
	assert_int_equal(c.envc, 4);
	assert_str(c.env[0], "PATHEXT=a");
	assert_str(c.env[1], "B=");
	assert_str(c.env[2], "PATH=/x");
	assert_str(c.env[3], "A=2");
	exec.cwd = CV_STR("");
	assert_int_equal(cv_plan_exec_command(&exec, &base, &arena, &c, NULL), CV_OK);
	assert_str(c.cwd, "/sandbox");
	cv_arena_fini(&arena);
}

static void refuse(struct cv_plan_exec exec)
{
	struct cv_plan_exec back;
	struct cv_arena arena;
	struct cv_buf b;

	assert_int_equal(read_back(&exec, &arena, &b, &back), CV_INVALID);
	cv_buf_fini(&b);
	cv_arena_fini(&arena);
}

static void what_can_not_be_run_is_refused(void **state)
{
	static struct cv_str nameless[] = { { "=x", 2 } }, bare[] = { { "x", 1 } },
			     none[] = { { "", 0 } };
	struct cv_plan_exec exec = full();

	(void)state;
	exec.argc = 0;
	refuse(exec);
	exec = full();
	exec.argv = none;
	exec.argc = 1;
	refuse(exec);
	exec = full();
	exec.cwd = CV_STR("tmp");
	refuse(exec);
	exec = full();
	exec.env = nameless;
	exec.envc = 1;
	refuse(exec);
	exec.env = bare;
	refuse(exec);
}

static void too_many_variables_are_refused(void **state)
{
	static struct cv_str many[CV_PLAN_EXEC_ENV_MAX + 1];
	struct cv_plan_exec exec = full();
	struct cv_buf b;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(many); i++)
		many[i] = CV_STR("A=1");
	exec.env = many;
	exec.envc = CV_ARRAY_LEN(many);
	cv_buf_init(&b, 1 << 20);
	assert_false(cv_plan_exec_put(&b, &exec));
	exec.envc--;
	cv_buf_reset(&b);
	assert_true(cv_plan_exec_put(&b, &exec));
	cv_buf_fini(&b);
}

static void cut_and_changed(void **state)
{
	const struct cv_plan_exec exec = full();
	struct cv_plan_exec back;
	struct cv_arena arena;
	struct cv_buf b;

	(void)state;
	assert_int_equal(read_back(&exec, &arena, &b, &back), CV_OK);
	const size_t n = cv_buf_len(&b);
	for (size_t i = 0; i < n; i++) {
		char *part = malloc(i ? i : 1);
		memcpy(part, cv_buf_str(&b).p, i);
		cv_arena_reset(&arena);
		assert_int_equal(cv_plan_exec_get((struct cv_str){ part, i }, &arena, &back, NULL),
			CV_PROTO);
		free(part);
	}
	char *whole = malloc(n);
	for (size_t i = 0; i < 8 * n; i++) {
		memcpy(whole, cv_buf_str(&b).p, n);
		whole[i / 8] = (char)(whole[i / 8] ^ (1 << i % 8));
		cv_arena_reset(&arena);
		if (cv_plan_exec_get((struct cv_str){ whole, n }, &arena, &back, NULL) == CV_OK)
			assert_true(back.argc > 0);
	}
	free(whole);
	cv_buf_fini(&b);
	cv_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(t_confinement_is_the_plans),
		cmocka_unit_test(what_can_not_be_run_is_refused),
		cmocka_unit_test(too_many_variables_are_refused),
		cmocka_unit_test(cut_and_changed),
	};

	return cmocka_run_group_tests_name("plan/exec", tests, NULL, NULL);
}
