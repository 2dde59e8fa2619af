/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aside.c - see aside.h
 *
 * Half a millisecond of a start is the kernel making a network namespace, and as much again is it
 * waiting for a grace period when the host's tree is unmounted.  Neither needs the processor that
 * mounts the file systems, or executes cove-init, meanwhile; so a second process does both:
 *
 *     builder   ids  mounts ................ setns  seal  capabilities  exec cove-init  wait
 *     aside          namespace, listeners ......... unmount the host's tree ........... exit 0
 *
 * It shares the builder's descriptors (so what it opens is there) and not its memory (so that
 * errno, stack and heap are its own); its result travels in a shared page.  Being PID 2 it is
 * cove-init's child in the end, and cove-init starts nothing before it ended well.
 */
#include "supervisor/aside.h"

#include "sys/fd.h"
#include "sys/proc.h"
#include "sys/sockdiag.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

int umount2(const char *target, int flags); /* <sys/mount.h> clashes with <linux/mount.h> */
#define DETACH 2                            /* MNT_DETACH */

struct aside_shared {
	struct cv_netns_fds net;
	int proc, netns, host;
	cv_code code;
	struct cv_err err;
};

/* Without it every request would be denied, one by one, and nobody told why. */
static cv_code callers_check(const struct cv_netns_fds *net, struct cv_err *err)
{
	struct cv_err why;

	if (cv_sockdiag_try(net->diag, net->tcp4, &why) == CV_OK)
		return CV_OK;
	return cv_fail(err, CV_UNAVAILABLE,
		"sandbox network: whose a request is can't be found out, so none could be allowed: "
		"%s; to enable: " CV_SOCKDIAG_REMEDY,
		why.msg);
}

static cv_code network_make(struct aside_shared *s, const struct cv_plan *plan, struct cv_err *err)
{
	const struct cv_netns_want want = { (enum cv_interception)plan->interception, plan->ports,
		plan->port_count };
	cv_code code = cv_netns_make(s->proc, &want, &s->net, err);

	if (code == CV_OK && (plan->flags & CV_PLAN_NETWORK))
		code = callers_check(&s->net, err);
	if (code != CV_OK)
		return code;
	/* Of a socket, because /proc is anywhere or nowhere while the builder pivots. */
	s->netns = ioctl(s->net.tcp4, SIOCGSKNS);
	return s->netns < 0 ? cv_fail_errno(err, "open the network namespace") : CV_OK;
}

static CV_NORETURN void aside_main(struct aside_shared *s, const struct cv_plan *plan, int link)
{
	char byte = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	s->code = network_make(s, plan, &s->err);
	if (write(link, &byte, 1) != 1 || s->code != CV_OK || read(link, &byte, 1) != 1)
		_exit(1);
	_exit(fchdir(s->host) < 0 || umount2(".", DETACH) < 0 ? 1 : 0);
}

cv_code aside_start(struct aside *a, const struct cv_plan *plan, struct cv_err *err)
{
	int pair[2];

	a->shared = mmap(NULL, sizeof(*a->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a->shared == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return cv_fail_errno(err, "prepare the second process");
	/* Opened before the builder pivots away from it. */
	a->shared->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (a->shared->proc < 0)
		return cv_fail_errno(err, "open /proc");
	const pid_t pid =
		(pid_t)syscall(SYS_clone, CLONE_FILES | CLONE_PIDFD | SIGCHLD, 0, &a->pidfd, 0, 0);
	if (pid == 0)
		aside_main(a->shared, plan, pair[1]);
	if (pid > 0)
		cv_proc_elsewhere(pid); /* or it would be done behind what we do */
	a->link = pair[0];
	return pid < 0 ? cv_fail_errno(err, "fork the second process") : CV_OK;
}

/* Both ends of the link are in the descriptors that the two share, so it never says "end of file":
 * that it ended is the pidfd's to say. */
static bool has_answered(const struct aside *a)
{
	struct pollfd fds[] = { { .fd = a->link, .events = POLLIN },
		{ .fd = a->pidfd, .events = POLLIN } };
	char byte;

	while (poll(fds, CV_ARRAY_LEN(fds), -1) < 0)
		if (errno != EINTR)
			return false;
	return (fds[0].revents & POLLIN) && read(a->link, &byte, 1) == 1;
}

cv_code aside_network(struct aside *a, struct cv_netns_fds *ret, struct cv_err *err)
{
	if (!has_answered(a))
		return cv_fail(err, CV_SYSTEM, "the second process ended");
	if (a->shared->code != CV_OK) {
		*err = a->shared->err;
		return a->shared->code;
	}
	if (setns(a->shared->netns, CLONE_NEWNET) < 0)
		return cv_fail_errno(err, "enter the network namespace");
	*ret = a->shared->net;
	return CV_OK;
}

cv_code aside_let_go(struct aside *a, int host, struct cv_err *err)
{
	const char byte = 0;

	a->shared->host = host;
	return write(a->link, &byte, 1) == 1 ? CV_OK : cv_fail_errno(err, "let the host's tree go");
}
