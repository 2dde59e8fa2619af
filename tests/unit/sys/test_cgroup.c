/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: groups are found through any layout of mounts; a limit that was set holds; what is made
 * is killed and removed; a limit that nothing enforces is refused.
 * Method: texts of several hosts; then this host, where it lets us (else those tests are skipped).
 */
#include "unit/test.h"

#include "sys/cgroup.c"
#include "sys/cgroup_parse.c"

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

static struct cv_cgroup_places at;

static void parse(const char *cgroup, const char *mounts)
{
	cv_cgroup_places_parse(cv_str_of(cgroup), cv_str_of(mounts), &at);
}

static void finds_v2(void **state)
{
	(void)state;
	parse("0::/user.slice/user-1000.slice/app.scope\n",
		"24 1 0:22 / / rw shared:1 - ext4 /dev/sda1 rw\n"
		"30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
	assert_string_equal(at.v2, "/sys/fs/cgroup/user.slice/user-1000.slice/app.scope");
	assert_string_equal(at.v2_mount, "/sys/fs/cgroup");
	assert_string_equal(at.v1[CV_CGROUP_MEMORY], "");
	parse("0::/\n", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	assert_string_equal(at.v2, "/sys/fs/cgroup");
}

static void finds_v1_by_controller(void **state)
{
	(void)state;
	parse("5:cpuacct,cpu:/a b\n4:memory:/docker/f00\n3:pids:/docker/f00/x\n1:name=systemd:/\n",
		"1 0 0:1 / /cg/cpu\\040acct rw - cgroup cgroup rw,cpu,cpuacct\n"
		"2 0 0:2 /docker/f00 /cg/memory rw master:3 shared:4 - cgroup cgroup rw,memory\n"
		"3 0 0:3 /docker/f00 /cg/pids rw - cgroup cgroup rw,pids\n");
	assert_string_equal(at.v1[CV_CGROUP_CPU], "/cg/cpu acct/a b");
	assert_string_equal(at.v1[CV_CGROUP_MEMORY], "/cg/memory");
	assert_string_equal(at.v1[CV_CGROUP_PIDS], "/cg/pids/x");
	assert_string_equal(at.v1_freezer, "");
	assert_string_equal(at.v2, "");
}

static void what_is_not_mounted_is_not_found(void **state)
{
	(void)state;
	parse("0::/../outside\n", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	assert_string_equal(at.v2, "");
	parse("4:memory:/docker/f00d\n", "2 0 0:2 /docker/f00 /cg rw - cgroup cgroup rw,memory\n");
	assert_string_equal(at.v1[CV_CGROUP_MEMORY], "");
	parse("4:memory:/\n", "2 0 0:2 / /cg rw - tmpfs tmpfs rw,memory\n2 0 0:2 / /cg\n\n- -\n");
	assert_string_equal(at.v1[CV_CGROUP_MEMORY], "");
	parse("", "");
	parse("::\n0:\n:::\n0::relative", " - \n-\n");
	assert_string_equal(at.v2, "");
}

static void refuses_what_nothing_enforces(void **state)
{
	static struct cv_cgroup_host none;
	const struct cv_cgroup_limits cpu = { .cpu_milli = 500 }, memory = { .memory_bytes = 1 };
	struct cv_cgroup *cg;
	struct cv_err err;

	(void)state;
	assert_int_equal(cv_cgroup_new(&none, CV_STR("x"), &cpu, &cg, &err), CV_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "Delegate=yes"));
	assert_int_equal(cv_cgroup_new(&none, CV_STR("../x"), &cpu, &cg, &err), CV_INVALID);
	none.means[CV_CGROUP_MEMORY] = CV_CGROUP_RLIMIT;
	assert_int_equal(cv_cgroup_new(&none, CV_STR("x"), &memory, &cg, &err), CV_OK);
	assert_int_equal(cg->dir_count, 0);
	assert_int_equal(cv_cgroup_kill(cg, &err), CV_OK);
	assert_int_equal(cv_cgroup_remove(cg, &err), CV_OK);
	cv_cgroup_free(cg);
}

/* --- On this host ------------------------------------------------------------------------- */

static struct cv_cgroup_host host;

static struct cv_cgroup *group(
	enum cv_cgroup_limit needed, const char *what, const struct cv_cgroup_limits *limits)
{
	struct cv_cgroup *cg = NULL;
	struct cv_err err;
	char name[32];

	assert_int_equal(cv_cgroup_host_look(&host, &err), CV_OK);
	if (host.means[needed] < CV_CGROUP_V1)
		skip_unavailable("no control group of ours has this limit");
	snprintf(name, sizeof(name), "test-%s-%d", what, (int)getpid());
	const cv_code code = cv_cgroup_new(&host, cv_str_of(name), limits, &cg, &err);
	if (code != CV_OK)
		fail_msg("%s", err.msg);
	return cg;
}

static int in_group(const struct cv_cgroup *cg, int (*child)(void))
{
	int status, go[2];
	struct cv_err err;
	char c;

	assert_int_equal(pipe(go), 0);
	const pid_t pid = fork();
	if (pid == 0) {
		close(go[1]);
		(void)!read(go[0], &c, 1);
		_exit(child());
	}
	const cv_code code = cv_cgroup_add(cg, pid, &err);
	close(go[0]);
	close(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (code != CV_OK)
		fail_msg("%s", err.msg);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void finish(struct cv_cgroup *cg)
{
	struct cv_err err;

	const cv_code code = cv_cgroup_remove(cg, &err);
	if (code != CV_OK)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < cg->dir_count; i++)
		assert_int_equal(access(cg->dir[i], F_OK), -1);
	cv_cgroup_free(cg);
}

static int eat_memory(void)
{
	const size_t n = 200u << 20;
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 1;
	memset(p, 1, n);
	return 0;
}

static int fork_many(void)
{
	int made = 0;

	for (; made < 20; made++) {
		const pid_t pid = fork();

		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (pid < 0)
			break;
	}
	return made; /* they outlive us: the group kills them */
}

static void memory_holds(void **state)
{
	struct cv_cgroup *cg = group(CV_CGROUP_MEMORY, "memory",
		&(struct cv_cgroup_limits){ .memory_bytes = 64u << 20 });

	(void)state;
	assert_int_equal(in_group(cg, eat_memory), 128 + SIGKILL);
	finish(cg);
}

static void pids_hold_and_all_are_killed(void **state)
{
	struct cv_cgroup *cg =
		group(CV_CGROUP_PIDS, "pids", &(struct cv_cgroup_limits){ .pids = 8 });
	struct cv_err err;

	(void)state;
	assert_int_equal(in_group(cg, fork_many), 7);
	assert_true(!is_empty(cg->dir[0], "cgroup.procs"));
	const cv_code code = cv_cgroup_kill(cg, &err);
	if (code != CV_OK)
		fail_msg("%s", err.msg);
	finish(cg); /* rmdir works only when all are gone */
}

static void cpu_is_set(void **state)
{
	const struct cv_cgroup_limits all = { 256u << 20, 1500, 50 };
	struct cv_cgroup *cg = group(CV_CGROUP_CPU, "all", &all);
	char path[PATH_MAX];
	struct cv_buf b;

	(void)state;
	cv_buf_init(&b, PROC_BYTES_MAX);
	for (size_t i = 0; i < cg->dir_count; i++)
		if (join(path, cg->dir[i], cg->is_v2 ? "cpu.max" : "cpu.cfs_quota_us"))
			(void)file_read(path, &b);
	assert_true(cv_str_has_prefix(cv_buf_str(&b), CV_STR("150000")));
	cv_buf_fini(&b);
	finish(cg);
}

static void a_name_is_taken_once(void **state)
{
	const struct cv_cgroup_limits limits = { .pids = 8 };
	struct cv_cgroup *cg = group(CV_CGROUP_PIDS, "once", &limits), *other;
	struct cv_err err;
	char name[32];

	(void)state;
	snprintf(name, sizeof(name), "test-once-%d", (int)getpid());
	assert_int_equal(cv_cgroup_new(&host, cv_str_of(name), &limits, &other, &err), CV_SYSTEM);
	assert_int_equal(err.sys, EEXIST);
	assert_int_equal(access(cg->dir[0], F_OK), 0); /* the failure removed only its own */
	finish(cg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_v2),
		cmocka_unit_test(finds_v1_by_controller),
		cmocka_unit_test(what_is_not_mounted_is_not_found),
		cmocka_unit_test(refuses_what_nothing_enforces),
		cmocka_unit_test(memory_holds),
		cmocka_unit_test(pids_hold_and_all_are_killed),
		cmocka_unit_test(cpu_is_set),
		cmocka_unit_test(a_name_is_taken_once),
	};

	return cmocka_run_group_tests_name("sys/cgroup", tests, NULL, NULL);
}
