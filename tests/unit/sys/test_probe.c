/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a report has every row, says what helps where something is missing, and leaves nothing
 * behind; the tier follows from the rows; an attempt that hangs or dies is missing.
 * Method: all attempts on this host; rows made by hand; attempts that misbehave.
 */
#include "unit/test.h"

#include "sys/probe.c"
#include "sys/probe_try.c"

#include <sched.h>
#include <sys/wait.h>

static void all_rows_on_this_host(void **state)
{
	static struct cv_probe_report r;

	(void)state;
	cv_probe_all(&r);
	for (int i = 0; i < CV_PROBE_COUNT; i++) {
		const struct cv_probe_row *row = &r.rows[i];

		print_message("# %-22s %-8s %s [%s]\n", row->name,
			cv_probe_status_name(row->status), row->detail, row->enable);
		assert_non_null(row->name);
		assert_true(row->detail[0]);
		assert_true(row->protects[0] && row->lost[0]);
		assert_int_equal(row->enable[0] == '\0', row->status == CV_PROBE_OK);
	}
	assert_int_equal(r.tier, cv_probe_tier(r.rows));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

static struct cv_probe_row rows[CV_PROBE_COUNT];

static enum cv_tier tier_without(enum cv_probe a, enum cv_probe b)
{
	for (int i = 0; i < CV_PROBE_COUNT; i++) {
		rows[i].status = CV_PROBE_OK;
		rows[i].needed_for = probe[i].needed_for;
	}
	rows[a].status = rows[b].status = CV_PROBE_MISSING;
	return cv_probe_tier(rows);
}

static void the_tier_follows_from_the_rows(void **state)
{
	(void)state;
	assert_int_equal(tier_without(CV_PROBE_KVM, CV_PROBE_GVISOR), CV_TIER_NAMESPACES);
	assert_int_equal(tier_without(CV_PROBE_OVERLAY, CV_PROBE_CPU), CV_TIER_NAMESPACES);
	assert_int_equal(tier_without(CV_PROBE_LANDLOCK, CV_PROBE_KVM), CV_TIER_NAMESPACES);
	assert_int_equal(tier_without(CV_PROBE_USERNS, CV_PROBE_USERNS), CV_TIER_NONE);
	assert_int_equal(tier_without(CV_PROBE_NETNS, CV_PROBE_NETNS), CV_TIER_NONE);
	assert_int_equal(tier_without(CV_PROBE_USERNS, CV_PROBE_LANDLOCK), CV_TIER_NONE);
	assert_int_equal(tier_without(CV_PROBE_SECCOMP, CV_PROBE_SECCOMP), CV_TIER_NONE);
	tier_without(CV_PROBE_KVM, CV_PROBE_KVM);
	rows[CV_PROBE_NETNS].status = CV_PROBE_DEGRADED;
	assert_int_equal(cv_probe_tier(rows), CV_TIER_NAMESPACES);
}

static void try_hang(struct cv_probe_outcome *o)
{
	o->status = CV_PROBE_OK;
	for (;;)
		pause();
}

static void try_die(struct cv_probe_outcome *o)
{
	o->status = CV_PROBE_OK;
	kill(getpid(), SIGKILL);
}

static void no_answer_is_missing(void **state)
{
	const struct probe hang = { .try = try_hang }, die = { .try = try_die };
	struct cv_probe_outcome o;

	(void)state;
	outcome_of(&hang, 200, &o);
	assert_int_equal(o.status, CV_PROBE_MISSING);
	assert_string_equal(o.detail, "no answer in time");
	assert_non_null(strstr(o.enable, "again")); /* nothing is to be installed */
	outcome_of(&die, TRY_MS, &o);
	assert_int_equal(o.status, CV_PROBE_MISSING);
	assert_string_equal(o.detail, "the attempt was killed");
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* Is killed for being late while its client waits in connect() for somebody to look. */
static void try_identity_unserved(struct cv_probe_outcome *o)
{
	int pair[2], number;

	(void)o;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	const pid_t self = getpid();
	if (fork() == 0)
		identity_client(self, pair[1]);
	(void)!read(pair[0], &number, sizeof(number));
	(void)!write(pair[0], "g", 1);
	for (;;)
		pause();
}

/* Whatever an attempt had started ends with it; who is left becomes ours, and would hold the
 * terminal of whoever asked. */
static void an_attempt_that_is_late_leaves_nobody(void **state)
{
	const struct probe late = { .try = try_identity_unserved };
	struct cv_probe_outcome o;
	pid_t left = 0;

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	outcome_of(&late, 500, &o);
	assert_string_equal(o.detail, "no answer in time");
	for (int n = 0; n < 300 && (left = waitpid(-1, NULL, WNOHANG)) >= 0; n++)
		if (left == 0)
			usleep(10000);
	assert_int_equal(left, -1);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static bool file_write(const char *path, const char *text)
{
	CV_AUTO_FD int fd = open(path, O_WRONLY);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* What a host that forbids user namespaces reports; the knob of an own namespace forbids them
 * there only.  Exits with the number of the look that failed. */
static int report_without_userns(void)
{
	static struct cv_probe_report r;
	char map[32];

	snprintf(map, sizeof(map), "0 %u 1", geteuid());
	if (unshare(CLONE_NEWUSER) < 0 || !file_write("/proc/self/uid_map", map) ||
		!file_write("/proc/sys/user/max_user_namespaces", "0"))
		return 99;
	cv_probe_all(&r);
	const struct cv_probe_row *row = &r.rows[CV_PROBE_USERNS];
	if (row->status != CV_PROBE_MISSING || r.rows[CV_PROBE_NETNS].status != CV_PROBE_MISSING)
		return 1;
	if (!strstr(row->detail, "user.max_user_namespaces is 0"))
		return 2;
	if (strncmp(row->enable, "sysctl -w user.max_user_namespaces=", 35) != 0)
		return 3;
	return r.tier == CV_TIER_NONE ? 0 : 4;
}

static void a_knob_explains(void **state)
{
	int status;

	(void)state;
	const pid_t pid = fork();
	if (pid == 0)
		_exit(report_without_userns());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 99) /* not here */
		skip_unavailable("no user namespace can be made with none in it");
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_rows_on_this_host),
		cmocka_unit_test(the_tier_follows_from_the_rows),
		cmocka_unit_test(no_answer_is_missing),
		cmocka_unit_test(an_attempt_that_is_late_leaves_nobody),
		cmocka_unit_test(a_knob_explains),
	};

	return cmocka_run_group_tests_name("sys/probe", tests, NULL, NULL);
}
