/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.c - see sandbox.h
 *
 * The child's steps, each needing something that a later one takes away:
 *
 *     die with parent   before anything that could outlive it
 *     network           lo, routes, listeners: needs CAP_NET_ADMIN; by a second process (aside.c)
 *     id maps           the only id inside is the caller's own; it is not 0 inside, so the exec
 *                       of cove-init drops every capability by itself.  With CV_PLAN_IDS the
 *                       caller's range is there too, mapped by whoever waits outside
 *     file systems      needs CAP_SYS_ADMIN (build.c)
 *     host's tree       unmounted, by the second process too
 *     BUILT             listeners and root leave for the supervisor
 *     mapper            with CV_PLAN_IDS: a process for the map of the command's own namespace
 *     capabilities      every set emptied, the bounding set first
 *     cove-init         by descriptor: the host's tree is gone
 *
 * A step that fails sends FAILED and ends the child, and with it everything made so far.
 */
#include "supervisor/sandbox.h"

#include "ipc/init_link.h"
#include "supervisor/aside.h"
#include "supervisor/build.h"
#include "supervisor/roots.h"
#include "sys/caps.h"
#include "sys/fd.h"
#include "sys/idmap.h"
#include "sys/userns.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

/* ---- ids ---- */

/* More than one id: the map is written from outside, by newuidmap.  setgroups is given up as ever; the
 * groups of whoever started us are no business of what runs inside. */
static cv_code ids_await(int outside, struct cv_err *err)
{
	char byte = 0;
	const cv_code code = cv_userns_write("/proc/self/setgroups", "deny", err);

	if (code != CV_OK)
		return code;
	return write(outside, &byte, 1) == 1 && read(outside, &byte, 1) == 1
		       ? CV_OK
		       : cv_fail(err, CV_UNAVAILABLE, "the ids were not mapped");
}

/* The other end of that. */
static cv_code ids_give(const struct cv_plan *plan, int inside, pid_t pid, struct cv_err *err)
{
	struct cv_idmap map;
	char byte = 0;

	if (read(inside, &byte, 1) != 1)
		return cv_fail(err, CV_SYSTEM, "the sandbox ended before it had ids");
	if (cv_idmap_find(&map, err) != CV_OK ||
		cv_idmap_apply(pid, plan->inner_uid, plan->inner_gid, &map, err) != CV_OK)
		return cv_wrap(err, "--nested-ids");
	return write(inside, &byte, 1) == 1 ? CV_OK : cv_fail_errno(err, "tell of the ids");
}

/* What a map says of the ids behind inner: all of them, from 1 on, and inner is 0. */
static cv_code own_map_text(
	const char *path, uint32_t inner, char *text, size_t size, struct cv_err *err)
{
	char lines[256];
	struct cv_str rest = { lines, 0 };
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, lines, sizeof(lines));

	rest.n = n > 0 ? (size_t)n : 0;
	while (rest.n) {
		struct cv_str line = cv_str_trim(cv_str_cut(&rest, '\n'));
		uint64_t first, count;
		const struct cv_str from = cv_str_cut(&line, ' ');
		const struct cv_str last =
			cv_str_slice(line, cv_str_rfind_byte(line, ' ') + 1, line.n);

		if (!cv_str_to_u64(from, UINT32_MAX, &first) || first != (uint64_t)inner + 1 ||
			!cv_str_to_u64(last, UINT32_MAX, &count))
			continue;
		snprintf(text, size, "0 %u 1\n1 %u %u\n", inner, inner + 1, (uint32_t)count);
		return CV_OK;
	}
	return cv_fail(err, CV_SYSTEM, "%s has no range", path);
}

static CV_NORETURN void mapper_main(int link, const char *uids, const char *gids)
{
	char path[64];
	struct cv_err err;
	uint32_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	if (link != CV_INIT_IDS_FD + 1 && dup3(link, CV_INIT_IDS_FD + 1, O_CLOEXEC) < 0)
		_exit(1);
	syscall(SYS_close_range, 0, CV_INIT_IDS_FD, 0);
	link = CV_INIT_IDS_FD + 1;
	syscall(SYS_close_range, link + 1, ~0U, 0);
	if (read(link, &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
	snprintf(path, sizeof(path), "/proc/%u/uid_map", pid);
	if (cv_userns_write(path, uids, &err) != CV_OK)
		_exit(1);
	snprintf(path, sizeof(path), "/proc/%u/gid_map", pid);
	_exit(cv_userns_write(path, gids, &err) == CV_OK && write(link, "", 1) == 1 ? 0 : 1);
}

/* Writing the map of a namespace takes a capability in the one around it, which cove-init has no
 * more when the command makes its own.  So this waits for it: it has nothing but one end of a
 * socket, writes one map for whoever has the other, before any program of the sandbox runs, and is
 * gone. */
static cv_code mapper_start(const struct cv_plan *plan, int *ret, struct cv_err *err)
{
	char uids[64], gids[64];
	int pair[2];

	if (own_map_text("/proc/self/uid_map", plan->inner_uid, uids, sizeof(uids), err) != CV_OK ||
		own_map_text("/proc/self/gid_map", plan->inner_gid, gids, sizeof(gids), err) !=
			CV_OK)
		return err->code;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return cv_fail_errno(err, "prepare for the command's ids");
	const pid_t pid = fork();
	if (pid == 0)
		mapper_main(pair[1], uids, gids);
	close(pair[1]);
	*ret = pair[0];
	return pid < 0 ? cv_fail_errno(err, "fork for the command's ids") : CV_OK;
}

/* One id each.  setgroups must be given up before an unprivileged process may map a group. */
static cv_code ids_map(const struct cv_plan *plan, uid_t uid, gid_t gid, struct cv_err *err)
{
	char text[64];
	cv_code code = cv_userns_write("/proc/self/setgroups", "deny", err);

	snprintf(text, sizeof(text), "%u %u 1\n", plan->inner_uid, uid);
	if (code == CV_OK)
		code = cv_userns_write("/proc/self/uid_map", text, err);
	snprintf(text, sizeof(text), "%u %u 1\n", plan->inner_gid, gid);
	if (code == CV_OK)
		code = cv_userns_write("/proc/self/gid_map", text, err);
	return code == CV_OK ? code : cv_userns_explain(err); /* AppArmor refuses only here */
}

/* What anyip has more of, before BUILT, which says that all is there. */
static cv_code more_send(const struct cv_netns_fds *net, struct cv_err *err)
{
	cv_code code = CV_OK;

	for (uint32_t i = 0; code == CV_OK && i < net->more_count; i++) {
		const int fds[2] = { net->more[i].tcp4, net->more[i].tcp6 };

		code = cv_ipc_send(CV_INIT_LINK_FD, CV_INIT_REPLY_MORE, CV_STR_NONE, fds, 2, err);
	}
	return code;
}

/* The network takes longer than the file systems.  What can't be done here the supervisor does. */
static uint32_t roots_try(const struct cv_plan *plan, const struct build *b)
{
	struct cv_err err;
	size_t at;

	return (plan->flags & CV_PLAN_NETWORK) &&
			       roots_write(plan, b->host, b->layer, &at, &err) == CV_OK
		       ? (uint32_t)at
		       : 0;
}

static cv_code built_send(
	const struct build *b, const struct cv_netns_fds *net, uint32_t ca_at, struct cv_err *err)
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

	/* Two u32; a buffer would be a page of its own. */
	const uint32_t body[2] = { htole32((uint32_t)net->how), htole32(ca_at) };
	const cv_code code = more_send(net, err);

	return code != CV_OK ? code
			     : cv_ipc_send(CV_INIT_LINK_FD, CV_INIT_REPLY_BUILT,
				       (struct cv_str){ (const char *)body, sizeof(body) }, fds,
				       CV_BUILT_COUNT, err);
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

static cv_code make(
	const struct cv_plan *plan, uid_t uid, gid_t gid, int *ret_mapper, struct cv_err *err)
{
	struct cv_netns_fds net;
	struct build build;
	struct aside aside;
	uint32_t ca_at = 0;
	/* First, because it takes longest; a network needs capabilities and no ids. */
	cv_code code = aside_start(&aside, plan, err);

	if (code == CV_OK && !(plan->flags & CV_PLAN_IDS))
		code = ids_map(plan, uid, gid, err);
	if (code == CV_OK)
		code = build_run(&build, plan, err);
	if (code == CV_OK)
		ca_at = roots_try(plan, &build);
	if (code == CV_OK)
		code = aside_network(&aside, &net, err);
	if (code == CV_OK)
		code = aside_let_go(&aside, build.host, err);
	if (code == CV_OK)
		code = built_send(&build, &net, ca_at, err);
	if (code == CV_OK && (plan->flags & CV_PLAN_IDS))
		code = mapper_start(plan, ret_mapper, err);
	return code == CV_OK ? cv_caps_drop_all(err) : code;
}

static CV_NORETURN void become_init(
	const struct cv_plan *plan, int link, int init_fd, int outside, uid_t uid, gid_t gid)
{
	static const char *const none[] = { NULL };
	static const char *const argv[] = { "cove-init", NULL };
	struct cv_err err;
	int mapper = -1;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		cv_fail_errno(&err, "die with the supervisor");
	else if (outside >= 0 && ids_await(outside, &err) != CV_OK)
		_exit(125); /* who is outside says why */
	else if (descriptors_set(link, init_fd, &init_fd, &err) == CV_OK &&
		 make(plan, uid, gid, &mapper, &err) == CV_OK) {
		fcntl(CV_INIT_LINK_FD, F_SETFD, 0);
		if (mapper >= 0 && mapper != CV_INIT_IDS_FD)
			dup2(mapper, CV_INIT_IDS_FD);
		if (mapper >= 0)
			fcntl(CV_INIT_IDS_FD, F_SETFD, 0);
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
	int pair[2], ids[2] = { -1, -1 }, pidfd = -1;
	struct clone_args args = { .flags = NAMESPACES | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD };
	cv_code code = cv_ipc_pair(pair, err);

	if (code != CV_OK)
		return code;
	if ((plan->flags & CV_PLAN_IDS) &&
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ids) < 0)
		return cv_fail_errno(err, "prepare for more ids");
	CV_AUTO_FD int inside = ids[0], outside = ids[1];
	const pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		become_init(plan, pair[1], init_fd, outside, uid, gid);
	close(pair[1]);
	if (pid < 0) {
		cv_fail_errno(err, "new namespaces (clone3)");
		close(pair[0]);
		return cv_userns_explain(err);
	}
	*ret = (struct sandbox){ pid, pidfd, pair[0] };
	if (outside >= 0)
		close(cv_take_fd(outside)); /* so that its end is seen */
	return inside < 0 ? CV_OK : ids_give(plan, inside, pid, err);
}
