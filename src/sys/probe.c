/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - runs each attempt in a child and gathers the rows; see probe.h
 *
 * The child sends its outcome through a pipe and ends.  One that says nothing in time, or dies,
 * counts as missing: a mechanism that hangs here would hang a run.
 */
#include "sys/probe.h"

#include "base/assert.h"
#include "sys/child.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "sys/probe_try.h"
#include "sys/sockdiag.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

/* Tens of milliseconds when all is well; the first network of a host loads modules, which took an
 * emulated machine that was busy more than three seconds. */
#define TRY_MS     15000

#define LANDLOCK   CV_PROBE_TIER_BIT(CV_TIER_LANDLOCK)
#define NAMESPACES CV_PROBE_TIER_BIT(CV_TIER_NAMESPACES)

#define DELEGATE   "systemd-run --user --scope -p Delegate=yes cove run ..."

struct probe {
	const char *name;
	cv_probe_try_fn *try;
	unsigned needed_for;
	const char *protects, *lost, *enable;
};

/* clang-format off */
static const struct probe probe[CV_PROBE_COUNT] = {
	[CV_PROBE_KERNEL] = { "kernel", cv_probe_try_kernel, 0,
		"everything below stands on it",
		"fixes and features of newer kernels", "boot Linux 6.1 or newer" },
	[CV_PROBE_USERNS] = { "user-namespace", cv_probe_try_userns, NAMESPACES,
		"a sandbox without privileges on the host",
		"no sandbox of namespaces at all", "sysctl -w user.max_user_namespaces=15000" },
	[CV_PROBE_NAMESPACES] = { "namespaces", cv_probe_try_namespaces, NAMESPACES,
		"the host's processes, files, network and IPC from the sandbox",
		"no sandbox of namespaces at all", "sysctl -w user.max_user_namespaces=15000" },
	[CV_PROBE_NETNS] = { "network-interception", cv_probe_try_netns, NAMESPACES,
		"every connection ends at the proxy",
		"no network that a policy could decide on", CV_NETNS_REMEDY },
	[CV_PROBE_CALLERS] = { "caller-lookup", cv_probe_try_callers, NAMESPACES,
		"each request is decided by the program that makes it",
		"every request is denied, since nobody knows whose it is", CV_SOCKDIAG_REMEDY },
	[CV_PROBE_SECCOMP] = { "seccomp", cv_probe_try_seccomp, LANDLOCK | NAMESPACES,
		"the kernel from the sandbox's system calls",
		"the whole kernel is in reach", "boot a kernel with CONFIG_SECCOMP_FILTER" },
	[CV_PROBE_IDENTITY] = { "identity", cv_probe_try_identity, 0,
		"rules that name an executable",
		"rules that name an executable match nothing",
		"run outside of another sandbox that watches system calls" },
	[CV_PROBE_LANDLOCK] = { "landlock", cv_probe_try_landlock, LANDLOCK,
		"files, signals and abstract sockets, a second time",
		"mounts alone keep files apart", "boot with landlock in the lsm= parameter" },
	[CV_PROBE_OVERLAY] = { "overlay", cv_probe_try_overlay, 0,
		"a root file system that may be written and is thrown away",
		"root file systems stay read-only", "modprobe overlay" },
	[CV_PROBE_PIDFD] = { "pidfd", cv_probe_try_pidfd, 0,
		"signals and sockets of the right process",
		"identities of threads cost one more look", "boot Linux 6.9 or newer" },
	[CV_PROBE_MEMORY] = { "limit-memory", cv_probe_try_memory, 0,
		"the host's memory (--memory)",
		"--memory holds for each process by itself", DELEGATE },
	[CV_PROBE_CPU] = { "limit-cpu", cv_probe_try_cpu, 0,
		"the host's CPUs (--cpu)", "--cpu is refused", DELEGATE },
	[CV_PROBE_PIDS] = { "limit-pids", cv_probe_try_pids, 0,
		"the host's process table (--pids)",
		"--pids counts the user's processes in the sandbox", DELEGATE },
	[CV_PROBE_GVISOR] = { "gvisor", cv_probe_try_gvisor, CV_PROBE_TIER_BIT(CV_TIER_GVISOR),
		"the host's kernel, by another one in user space",
		"the tier gvisor, which this build can't make yet", "install runsc" },
	[CV_PROBE_KVM] = { "kvm", cv_probe_try_kvm, CV_PROBE_TIER_BIT(CV_TIER_VM),
		"the host's kernel, by a machine of its own",
		"the tier vm, which this build can't make yet", "usermod -aG kvm $USER" },
	[CV_PROBE_CELLS] = { "host-tool-cells", cv_probe_try_cells, 0,
		"what host tools of one run have from those of another",
		"host tools reach processes and files of the user's other runs",
		"sysctl -w user.max_user_namespaces=15000" },
};
/* clang-format on */

const char *cv_probe_status_name(enum cv_probe_status status)
{
	static const char *const name[CV_PROBE_STATUS_COUNT] = { "missing", "degraded", "ok" };

	cv_assert(status < CV_PROBE_STATUS_COUNT);
	return name[status];
}

static CV_NORETURN void child_run(cv_probe_try_fn *try, int to)
{
	struct cv_probe_outcome o = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	try(&o);
	_exit(write(to, &o, sizeof(o)) == sizeof(o) ? 0 : 1);
}

static const char no_answer[] = "no answer in time";

/* Waits for the whole outcome.  NULL, or why there is none. */
static const char *outcome_read(int from, int ms, struct cv_probe_outcome *ret)
{
	struct pollfd p = { .fd = from, .events = POLLIN };
	int n;

	do {
		n = poll(&p, 1, ms);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return no_answer;
	/* Less than PIPE_BUF, so it comes in one piece. */
	return read(from, ret, sizeof(*ret)) == sizeof(*ret) ? NULL : "the attempt was killed";
}

static void outcome_of(const struct probe *p, int ms, struct cv_probe_outcome *ret)
{
	struct cv_probe_outcome o = { 0 };
	int pipe_fd[2];

	memset(ret, 0, sizeof(*ret));
	if (pipe2(pipe_fd, O_CLOEXEC) < 0) {
		snprintf(ret->detail, sizeof(ret->detail), "pipe: %s", strerror(errno));
		return;
	}
	const pid_t pid = fork();
	if (pid == 0)
		child_run(p->try, pipe_fd[1]);
	close(pipe_fd[1]);
	CV_AUTO_FD int from = pipe_fd[0];
	const char *why = pid < 0 ? "fork failed" : outcome_read(from, ms, &o);
	cv_child_kill(pid);
	if (!why) {
		*ret = o;
		return;
	}
	snprintf(ret->detail, sizeof(ret->detail), "%s", why);
	if (why == no_answer) /* nothing is known of the mechanism */
		snprintf(ret->enable, sizeof(ret->enable), "ask again when this host is less busy");
}

/* Other tiers are what a host could have: this build makes no sandbox of them. */
enum cv_tier cv_probe_tier(const struct cv_probe_row rows[CV_PROBE_COUNT])
{
	for (int i = 0; i < CV_PROBE_COUNT; i++)
		if ((rows[i].needed_for & NAMESPACES) && rows[i].status == CV_PROBE_MISSING)
			return CV_TIER_NONE;
	return CV_TIER_NAMESPACES;
}

void cv_probe_all(struct cv_probe_report *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < CV_PROBE_COUNT; i++) {
		const struct probe *p = &probe[i];
		struct cv_probe_row *row = &ret->rows[i];
		struct cv_probe_outcome o;

		outcome_of(p, TRY_MS, &o);
		row->name = p->name;
		row->status = o.status < CV_PROBE_STATUS_COUNT ? o.status : CV_PROBE_MISSING;
		row->protects = p->protects;
		snprintf(row->lost, sizeof(row->lost), "%s", o.lost[0] ? o.lost : p->lost);
		if (i == CV_PROBE_NETNS)
			ret->interception = o.interception;
		row->needed_for = p->needed_for;
		snprintf(row->detail, sizeof(row->detail), "%s", o.detail);
		if (row->status != CV_PROBE_OK)
			snprintf(row->enable, sizeof(row->enable), "%s",
				o.enable[0] ? o.enable : p->enable);
	}
	ret->tier = cv_probe_tier(ret->rows);
}
