/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a spare sandbox becomes only one that would have been built as it was, to the byte; what may
 * differ is what nobody has acted on.
 * Method: plans of a spare and of sandboxes that differ from it in one thing each.
 */
#include "unit/test.h"

#include "plan/claim.c"

#include <stdlib.h>

struct world {
	struct cv_arena arena;
	struct cv_spec_mount mount;
	struct cv_run_spec spec;
	struct cv_plan_files files;
	struct cv_str argv[1], env[1];
};

static void make(struct world *w, bool is_spare)
{
	*w = (struct world){ .mount = { .src = CV_STR("/state/x/workspace"),
				     .dst = CV_STR("/sandbox") } };
	cv_arena_init(&w->arena, 1 << 22);
	w->argv[0] = CV_STR("sh");
	w->env[0] = CV_STR("A=1");
	w->spec = (struct cv_run_spec){ .host_uid = 1000,
		.host_gid = 1000,
		.shell = CV_STR("/bin/bash"),
		.has_merged_usr = true,
		.date = CV_STR("2026-11-21"),
		.mounts = &w->mount,
		.mount_count = 1 };
	w->files.exe_init = CV_STR("/init");
	w->files.gateway.socket = CV_STR("/state/supervisors.sock");
	w->files.gateway.sandbox = CV_STR("spare-1");
	w->files.gateway.flags = CV_PLAN_GATEWAY_NO_MAIN | CV_PLAN_GATEWAY_SPARE;
	if (is_spare)
		return;
	w->mount.src = CV_STR("/state/y/workspace");
	w->spec.argv = w->argv;
	w->spec.argv_count = 1;
	w->spec.env = w->env;
	w->spec.env_count = 1;
	w->spec.tty = CV_TTY_YES;
	w->files.gateway.sandbox = CV_STR("y");
	w->files.gateway.token[0] = 7;
	w->files.gateway.flags = CV_PLAN_GATEWAY_MAIN_ENDS;
	w->files.policy_file = CV_STR("/state/y/policy.yaml");
	w->files.policy_name = CV_STR("policy");
	w->spec.hostname = CV_STR("sandbox-y");
}

static cv_code check(struct world *spare, struct world *w)
{
	struct cv_plan a, b;
	struct cv_arena scratch;
	struct cv_err err;

	assert_int_equal(
		cv_plan_build(&spare->spec, &spare->files, &spare->arena, &a, &err), CV_OK);
	assert_int_equal(cv_plan_build(&w->spec, &w->files, &w->arena, &b, &err), CV_OK);
	cv_arena_init(&scratch, 1 << 22);
	const cv_code code = cv_plan_claim_check(&a, &b, &scratch, &err);
	cv_arena_fini(&scratch);
	cv_arena_fini(&spare->arena);
	cv_arena_fini(&w->arena);
	return code;
}

static void who_it_is_and_what_it_runs_may_differ(void **state)
{
	static struct cv_plan_provider provider = { .name = { "p", 1 }, .type = { "t", 1 } };
	struct world spare, w;

	(void)state;
	make(&spare, true);
	make(&w, false);
	assert_int_equal(check(&spare, &w), CV_OK);
	w.files.providers = &provider, w.files.provider_count = 1; /* its keeper is told */
	assert_int_equal(check(&spare, &w), CV_OK);
	w.files.has_renewal = true; /* a courier is there from the start */
	assert_int_equal(check(&spare, &w), CV_INVALID);
}

/* Where none of them has to run before it is called; the file of agents is made by who claims. */
static void late_tools_may_be_there(void **state)
{
	static struct cv_str files[] = { { "/state/y/tools-0.yaml", 21 } };
	struct world spare, w;

	(void)state;
	for (int is_late = 0; is_late < 2; is_late++) {
		make(&spare, true);
		make(&w, false);
		w.files.tools_files = files, w.files.tools_count = 1;
		w.files.tools_map = CV_STR("say POST /v1/tools/say\n");
		w.files.tools_digest = CV_STR("0123");
		w.files.tools_state = CV_STR("/state/y/tools");
		w.files.tools_slots = CV_STR("/state/slots");
		w.files.tools_skill = CV_STR("call them");
		w.files.is_tools_late = is_late;
		assert_int_equal(check(&spare, &w), is_late ? CV_OK : CV_INVALID);
	}
	make(&spare, true);
	make(&w, false);
	w.files.routes_file = CV_STR("/state/routes/y.yaml"); /* its proxy's */
	assert_int_equal(check(&spare, &w), CV_OK);
}

static void what_who_claims_makes(void **state)
{
	static const struct {
		enum cv_plan_op_type type;
		const char *dst;
		bool is_made;
	} row[] = {
		{ CV_PLAN_DIR, "/etc/cove", true },
		{ CV_PLAN_DIR, "/etc/cove/tools", true },
		{ CV_PLAN_FILE, CV_TOOLS_SKILL, true },
		{ CV_PLAN_LINK, CV_TOOLS_SKILL, false },
		{ CV_PLAN_BIND, "/etc/cove/tools", false },
		{ CV_PLAN_FILE, "/etc/cover", false },
		{ CV_PLAN_FILE, "/etc/hosts", false },
		{ CV_PLAN_DIR, "/etc", false },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_plan_op op = { .type = row[i].type, .dst = cv_str_of(row[i].dst) };
		assert_int_equal(cv_plan_claim_makes(&op), row[i].is_made);
	}
}

static void only_a_spare_is_claimed(void **state)
{
	struct world spare, w;

	(void)state;
	make(&spare, true);
	make(&w, false);
	spare.files.gateway.flags = CV_PLAN_GATEWAY_NO_MAIN;
	assert_int_equal(check(&spare, &w), CV_INVALID);
	make(&spare, true);
	make(&w, true);
	assert_int_equal(check(&spare, &w), CV_INVALID);
}

/* What the sandbox is built of and confined by. */
static void another_shape_is_refused(void **state)
{
	static const struct cv_spec_path path = { { "/opt", 4 }, CV_PATH_DIR, true };

	(void)state;
	for (int i = 0; i < 8; i++) {
		struct world spare, w;

		make(&spare, true);
		make(&w, false);
		switch (i) {
		case 0: w.spec.memory_bytes = 1 << 30; break;
		case 1: w.spec.pids = 10; break;
		case 2: w.mount.dst = CV_STR("/elsewhere"); break;
		case 3: w.mount.is_readonly = true; break;
		case 4: w.spec.paths = &path, w.spec.path_count = 1; break;
		case 5: w.spec.landlock = CV_LANDLOCK_HARD_REQUIREMENT; break;
		case 6: w.spec.user = CV_STR("1234"); break;
		case 7: w.files.gateway.socket = CV_STR("/other.sock"); break;
		}
		assert_int_equal(check(&spare, &w), CV_INVALID);
	}
}

/* Which ports it names is of importance to anyip only: it listens from the start. */
static void ports_are_of_anyip_alone(void **state)
{
	static const uint32_t ports[] = { 22, 443 };

	(void)state;
	for (uint32_t how = 0; how < CV_INTERCEPTION_COUNT; how++) {
		struct world spare, w;

		make(&spare, true);
		make(&w, false);
		spare.spec.interception = w.spec.interception = how;
		w.spec.ports = ports, w.spec.port_count = 2;
		assert_int_equal(
			check(&spare, &w), how == CV_INTERCEPTION_ANYIP ? CV_INVALID : CV_OK);
		make(&spare, true);
		make(&w, false);
		spare.spec.interception = w.spec.interception = how;
		w.spec.ports = ports + 1, w.spec.port_count = 1; /* listened on anyhow */
		assert_int_equal(check(&spare, &w), CV_OK);
		make(&spare, true);
		make(&w, false);
		w.spec.interception = how;
		assert_int_equal(
			check(&spare, &w), how == CV_INTERCEPTION_AUTO ? CV_OK : CV_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_it_is_and_what_it_runs_may_differ),
		cmocka_unit_test(late_tools_may_be_there),
		cmocka_unit_test(what_who_claims_makes),
		cmocka_unit_test(only_a_spare_is_claimed),
		cmocka_unit_test(another_shape_is_refused),
		cmocka_unit_test(ports_are_of_anyip_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
