/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.c - see sandbox.h
 *
 * The child's steps, each needing something that a later one takes away:
 *
 *     die with parent   before anything that could outlive it
 *     network           lo, routes, listeners: needs CAP_NET_ADMIN; by a second process (aside.c)
 *     id maps           the only id inside is the caller's own; it is not 0 inside, so the exec
 *                       of cove-init drops every capability by itself
 *     file systems      needs CAP_SYS_ADMIN (build.c)
 *     host's tree       unmounted, by the second process too
 *     BUILT             listeners and root leave for the supervisor
 *     capabilities      every set emptied, the bounding set first
 *     cove-init         by descriptor: the host's tree is gone
 *
 * A step that fails sends FAILED and ends the child, and with it everything made so far.
 */
#include "supervisor/sandbox.h"

#include "ipc/init_link.h"
#include "supervisor/aside.h"
#include "supervisor/build.h"
#include "sys/caps.h"
#include "sys/fd.h"
#include "sys/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define NAMESPACES \
	(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

static CV_NORETURN void fail(const struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, CV_ERR_MSG_BYTES_MAX + 64);
	cv_ipc_put_u32(&b, 0);
	cv_ipc_put_u32(&b, CV_INIT_STAGE_BUILD);
	cv_ipc_put_u32(&b, (uint32_t)err->sys);
	cv_ipc_put_str(&b, cv_str_of(err->msg));
	/* Without a link the supervisor sees the end of it, which says as much. */
	if (cv_ipc_send(CV_INIT_LINK_FD, CV_INIT_REPLY_FAILED, cv_buf_str(&b), NULL, 0, NULL) !=
		CV_OK)
		_exit(125);
	_exit(125);
}

static cv_code proc_write(const char *path, const char *text, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return cv_fail_errno(err, "write %s", path);
	return CV_OK;
}

/* One id each.  setgroups must be given up before an unprivileged process may map a group. */
static cv_code ids_map(const struct cv_plan *plan, uid_t uid, gid_t gid, struct cv_err *err)
{
	char text[64];
	cv_code code = proc_write("/proc/self/setgroups", "deny", err);

	snprintf(text, sizeof(text), "%u %u 1\n", plan->inner_uid, uid);
	if (code == CV_OK)
		code = proc_write("/proc/self/uid_map", text, err);
	snprintf(text, sizeof(text), "%u %u 1\n", plan->inner_gid, gid);
	if (code == CV_OK)
		code = proc_write("/proc/self/gid_map", text, err);
	return code == CV_OK ? code : cv_userns_explain(err); /* AppArmor refuses only here */
}

static cv_code built_send(const struct build *b, const struct cv_netns_fds *net, struct cv_err *err)
{
	const int fds[CV_BUILT_COUNT] = {
		[CV_BUILT_TCP4] = net->tcp4,
		[CV_BUILT_TCP6] = net->tcp6,
		[CV_BUILT_UDP4] = net->udp4,
		[CV_BUILT_UDP6] = net->udp6,
		[CV_BUILT_SOCK_DIAG] = net->diag,
		[CV_BUILT_LAYER] = b->layer,
		[CV_BUILT_ROOT] = b->root,
	};

	return cv_ipc_send(
		CV_INIT_LINK_FD, CV_INIT_REPLY_BUILT, CV_STR_NONE, fds, CV_BUILT_COUNT, err);
}

/* The link and cove-init on fixed numbers, nothing else of the supervisor's. */
static cv_code descriptors_set(int link, int init_fd, int *ret_init, struct cv_err *err)
{
	const int init_at = CV_INIT_LINK_FD + 1;

	/* Both are above 4: the supervisor keeps 3 and 4 occupied. */
	if (dup3(link, CV_INIT_LINK_FD, O_CLOEXEC) < 0 || dup3(init_fd, init_at, O_CLOEXEC) < 0)
		return cv_fail_errno(err, "place descriptors");
	if (syscall(SYS_close_range, init_at + 1, ~0U, 0) < 0)
		return cv_fail_errno(err, "close_range");
	*ret_init = init_at;
	return CV_OK;
}

static cv_code make(const struct cv_plan *plan, uid_t uid, gid_t gid, struct cv_err *err)
{
	struct cv_netns_fds net;
	struct build build;
	struct aside aside;
	/* First, because it takes longest; a network needs capabilities and no ids. */
	cv_code code = aside_start(&aside, err);

	if (code == CV_OK)
		code = ids_map(plan, uid, gid, err);
	if (code == CV_OK)
		code = build_run(&build, plan, err);
	if (code == CV_OK)
		code = aside_network(&aside, &net, err);
	if (code == CV_OK)
		code = aside_let_go(&aside, build.host, err);
	if (code == CV_OK)
		code = built_send(&build, &net, err);
	return code == CV_OK ? cv_caps_drop_all(err) : code;
}

static CV_NORETURN void become_init(
	const struct cv_plan *plan, int link, int init_fd, uid_t uid, gid_t gid)
{
	static const char *const none[] = { NULL };
	static const char *const argv[] = { "cove-init", NULL };
	struct cv_err err;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		cv_fail_errno(&err, "die with the supervisor");
	else if (descriptors_set(link, init_fd, &init_fd, &err) == CV_OK &&
		 make(plan, uid, gid, &err) == CV_OK) {
		fcntl(CV_INIT_LINK_FD, F_SETFD, 0);
		syscall(SYS_execveat, init_fd, "", argv, none, AT_EMPTY_PATH);
		cv_fail_errno(&err, "execute cove-init");
	}
	fail(&err);
}

cv_code sandbox_start(
	const struct cv_plan *plan, int init_fd, struct sandbox *ret, struct cv_err *err)
{
	const uid_t uid = geteuid();
	const gid_t gid = getegid();
	int pair[2], pidfd = -1;
	struct clone_args args = { .flags = NAMESPACES | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD };
	cv_code code = cv_ipc_pair(pair, err);

	if (code != CV_OK)
		return code;
	const pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		become_init(plan, pair[1], init_fd, uid, gid);
	close(pair[1]);
	if (pid < 0) {
		cv_fail_errno(err, "new namespaces (clone3)");
		close(pair[0]);
		return cv_userns_explain(err);
	}
	*ret = (struct sandbox){ pid, pidfd, pair[0] };
	return CV_OK;
}
