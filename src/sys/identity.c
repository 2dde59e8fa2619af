/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.c - from a stopped connect() to a record; see identity.h
 *
 * Order, and why:
 *   1. NOTIF_RECV gives the calling thread's id.  It may be any thread, so the pidfd is one of a
 *      thread (PIDFD_THREAD, 6.9) or, before that, of its process from /proc/TID/status.
 *   2. pidfd_getfd fetches the socket itself.  Links under /proc/PID/fd are not readable when the
 *      caller has another id or is not dumpable; and the cookie names the socket for ever, a number
 *      or an inode does not.  Sockets that are not TCP end here.
 *   3. Executable and ancestors, each through one descriptor of its /proc directory, which goes on
 *      naming the same process when the number is given to another one.  That a parent's number
 *      was still the parent's when its directory was opened is seen by reading the child's PPid
 *      once more: it changes when the parent ends.
 *   4. NOTIF_ID_VALID after the last read of the caller: it was the caller that was read.
 *   5. The callback queues the record, and only then the call proceeds, so the record is on its
 *      way before the connection can be.
 *
 * Another thread may replace the descriptor, or the address, between 2 and 5.  Then the record is
 * about a socket that does not connect, and the one that does has none: denied.
 */
#include "sys/identity.h"

#include "base/assert.h"
#include "sys/fd.h"
#include "sys/first_use.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Newer than the headers that we build with. */
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, uint64_t)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1u
#endif

#define NOTIF_BYTES_MAX  512  /* of the kernel's structures; 80 and 24 today */
#define STATUS_BYTES_MAX 4096 /* what we look for stands in the first half */
#define PROC_PATH_BYTES  32
#define REASON_BYTES_MAX 256

struct cv_identity {
	pid_t init;
	bool is_hashing, has_pending;
	struct cv_first_use *first_use;
	size_t recv_bytes, send_bytes; /* of the running kernel */
	uint64_t pending_id;           /* the notification whose record waits */
	struct cv_identity_record record;
	char reason[REASON_BYTES_MAX];
	size_t text_used;
	char text[CV_IDENTITY_TEXT_BYTES_MAX];
};

cv_code cv_identity_new(pid_t init, struct cv_identity **ret, struct cv_err *err)
{
	struct seccomp_notif_sizes sizes;

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return cv_fail(err, CV_UNAVAILABLE,
			"this kernel has no seccomp notifications (Linux 5.6 or newer has)");
	if (sizes.seccomp_notif > NOTIF_BYTES_MAX || sizes.seccomp_notif_resp > NOTIF_BYTES_MAX)
		return cv_fail(err, CV_UNAVAILABLE,
			"this kernel's seccomp notifications are larger than this build knows");
	struct cv_identity *id = calloc(1, sizeof(*id));
	if (!id)
		return cv_fail(err, CV_LIMIT, "out of memory");
	id->first_use = cv_first_use_new();
	if (!id->first_use) {
		free(id);
		return cv_fail(err, CV_LIMIT, "out of memory");
	}
	id->init = init;
	id->is_hashing = true;
	id->recv_bytes = sizes.seccomp_notif;
	id->send_bytes = sizes.seccomp_notif_resp;
	*ret = id;
	return CV_OK;
}

void cv_identity_free(struct cv_identity *id)
{
	if (!id)
		return;
	cv_first_use_free(id->first_use);
	free(id);
}

void cv_identity_hashing_set(struct cv_identity *id, bool is_wanted)
{
	id->is_hashing = is_wanted;
}

void cv_identity_prepare(int notify_fd)
{
	/* Costs time when it is refused, nothing else. */
	(void)!ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

/* --- What /proc says ---------------------------------------------------------------------- */

struct status {
	uint32_t tgid, ppid; /* as we see them */
	uint32_t inner_pid;  /* as the process sees itself: the last column of NStgid */
};

/* The value of the line that starts with key; false when there is none. */
static bool status_line(struct cv_str text, struct cv_str key, struct cv_str *ret)
{
	while (text.p) {
		struct cv_str line = cv_str_cut(&text, '\n');

		if (text.p && cv_str_has_prefix(line, key)) { /* the last line may be cut */
			*ret = cv_str_slice(line, key.n, line.n);
			return true;
		}
	}
	return false;
}

static uint32_t last_number(struct cv_str line)
{
	const size_t tab = cv_str_rfind_byte(line, '\t');
	uint64_t v;

	line = cv_str_trim(tab < line.n ? cv_str_slice(line, tab + 1, line.n) : line);
	return cv_str_to_u64(line, UINT32_MAX, &v) ? (uint32_t)v : 0;
}

/* From the text of /proc/PID/status.  What is not there is 0, which no process has.  The first
 * line holds a name that the process chose; the kernel writes its line ends as "\n". */
static struct status status_parse(struct cv_str text)
{
	struct status s = { 0 };
	struct cv_str line;

	if (status_line(text, CV_STR("Tgid:"), &line))
		s.tgid = last_number(line);
	if (status_line(text, CV_STR("PPid:"), &line))
		s.ppid = last_number(line);
	if (status_line(text, CV_STR("NStgid:"), &line))
		s.inner_pid = last_number(line);
	return s;
}

/* Reads the open status file from its start: the kernel writes it anew. */
static bool status_read(int fd, struct status *ret)
{
	char text[STATUS_BYTES_MAX];
	const ssize_t n = pread(fd, text, sizeof(text), 0);

	if (n <= 0)
		return false;
	*ret = status_parse((struct cv_str){ text, (size_t)n });
	return true;
}

static int proc_open(pid_t pid)
{
	char path[PROC_PATH_BYTES];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* --- The record --------------------------------------------------------------------------- */

/* Only the first reason is kept: later ones follow from it. */
static void unknown(struct cv_identity *id, const char *what, const char *why)
{
	if (id->record.unknown_reason.n)
		return;
	snprintf(id->reason, sizeof(id->reason), "%.40s: %.200s", what, why);
	id->record.unknown_reason = cv_str_of(id->reason);
}

/* The path of an executable as the sandbox names it, in the record's own text.  False: why not is
 * in the record. */
static bool exe_path(struct cv_identity *id, int proc, const char *who, struct cv_str *ret)
{
	const size_t room = sizeof(id->text) - id->text_used;
	char *p = id->text + id->text_used;

	const ssize_t n = room ? readlinkat(proc, "exe", p, room) : 0;
	if (n < 0) {
		unknown(id, who, strerror(errno));
		return false;
	}
	if ((size_t)n == room || n >= PATH_MAX - 1) { /* it may have been cut */
		unknown(id, who, "paths of executables are too long");
		return false;
	}
	struct cv_str path = { p, (size_t)n };
	if (n == 0 || p[0] != '/') {
		unknown(id, who, "the executable has no path in the sandbox");
		return false;
	}
	if (cv_str_has_suffix(path, CV_STR(" (deleted)")))
		path.n -= CV_STR(" (deleted)").n;
	id->text_used += path.n;
	*ret = path;
	return true;
}

/* Compares with the first use; what was found is in the record. */
static void exe_check(struct cv_identity *id, int proc, const char *who, struct cv_str path)
{
	struct cv_err err;

	if (!id->is_hashing)
		return;
	const cv_code code = cv_first_use_check(id->first_use, path, proc, "exe", &err);
	if (code == CV_OK)
		return;
	if (code != CV_DENIED)
		unknown(id, who, err.msg);
	else if (!id->record.changed_path.n)
		id->record.changed_path = path;
}

/* Adds the executables of the processes above the caller, whose open status file is given. */
static void ancestors_read(struct cv_identity *id, int status_fd, struct status child)
{
	struct cv_identity_record *r = &id->record;
	CV_AUTO_FD int fd = dup(status_fd);

	for (int steps = 0; steps < CV_IDENTITY_ANCESTOR_MAX; steps++) {
		const pid_t parent = (pid_t)child.ppid;
		struct status again;
		struct cv_str path;

		if (parent <= 1 || parent == id->init)
			return;
		CV_AUTO_FD int proc = proc_open(parent);
		if (!status_read(fd, &again)) {
			unknown(id, "ancestor", "it ended while it was looked at");
			return;
		}
		if (again.ppid != child.ppid) { /* the parent ended; there is another one */
			child = again;
			continue;
		}
		if (proc < 0)
			return unknown(id, "ancestor", strerror(errno));
		if (!exe_path(id, proc, "ancestor", &path))
			return;
		exe_check(id, proc, "ancestor", path);
		r->ancestors[r->ancestor_count++] = path;
		cv_fd_cleanup(&fd);
		fd = openat(proc, "status", O_RDONLY | O_CLOEXEC);
		if (fd < 0 || !status_read(fd, &child))
			return unknown(id, "ancestor", "it ended while it was looked at");
	}
}

/* Fills the record from the calling thread's directory under /proc. */
static void caller_read(struct cv_identity *id, pid_t tid)
{
	struct cv_identity_record *r = &id->record;
	CV_AUTO_FD int proc = proc_open(tid);
	struct status status;

	if (proc < 0)
		return unknown(id, "process", strerror(errno));
	CV_AUTO_FD int fd = openat(proc, "status", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !status_read(fd, &status))
		return unknown(id, "process", "its status can't be read");
	r->pid = status.inner_pid;
	if (!exe_path(id, proc, "executable", &r->exe))
		return;
	/* A file that never had a name can't be told from another one of the same name. */
	if (cv_str_has_prefix(r->exe, CV_STR("/memfd:")))
		return unknown(id, "executable", "it is in memory and has no file");
	exe_check(id, proc, "executable", r->exe);
	ancestors_read(id, fd, status);
}

/* --- The socket --------------------------------------------------------------------------- */

/* The caller's descriptor, or -1. */
static int descriptor_fetch(pid_t tid, int number)
{
	CV_AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);

	if (pidfd < 0 && errno == EINVAL) { /* before 6.9: by the process that the thread is of */
		CV_AUTO_FD int proc = proc_open(tid);
		CV_AUTO_FD int fd = proc < 0 ? -1 : openat(proc, "status", O_RDONLY | O_CLOEXEC);
		struct status status;

		if (fd < 0 || !status_read(fd, &status) || !status.tgid)
			return -1;
		pidfd = (int)syscall(SYS_pidfd_open, (pid_t)status.tgid, 0);
	}
	return pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
}

static bool option_is(int sock, int option, int a, int b)
{
	socklen_t bytes = sizeof(int);
	int v;

	return getsockopt(sock, SOL_SOCKET, option, &v, &bytes) == 0 && (v == a || v == b);
}

/* The cookie of the caller's socket.  False: not TCP, or it can't be fetched. */
static bool tcp_cookie(pid_t tid, int number, uint64_t *ret)
{
	CV_AUTO_FD int sock = descriptor_fetch(tid, number);
	socklen_t bytes = sizeof(*ret);

	/* Domain first: UNIX sockets are connected more often than UDP ones. */
	return sock >= 0 && option_is(sock, SO_DOMAIN, AF_INET, AF_INET6) &&
	       option_is(sock, SO_PROTOCOL, IPPROTO_TCP, IPPROTO_TCP) &&
	       option_is(sock, SO_TYPE, SOCK_STREAM, SOCK_STREAM) &&
	       getsockopt(sock, SOL_SOCKET, SO_COOKIE, ret, &bytes) == 0;
}

/* --- The notification --------------------------------------------------------------------- */

static cv_code proceed(
	const struct cv_identity *id, int notify_fd, uint64_t notification, struct cv_err *err)
{
	union {
		struct seccomp_notif_resp resp;
		char room[NOTIF_BYTES_MAX];
	} u;

	memset(&u, 0, id->send_bytes);
	u.resp.id = notification;
	u.resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	if (ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &u) < 0 && errno != ENOENT)
		return cv_fail_errno(err, "answer a notification");
	return CV_OK; /* ENOENT: the caller is gone */
}

static bool is_waiting(int notify_fd, uint64_t notification)
{
	return ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &notification) == 0;
}

cv_code cv_identity_resume(
	struct cv_identity *id, int notify_fd, cv_identity_fn *take, void *arg, struct cv_err *err)
{
	if (!id->has_pending)
		return CV_OK;
	if (!is_waiting(notify_fd, id->pending_id)) {
		id->has_pending = false;
		return CV_OK;
	}
	if (!take(&id->record, arg))
		return cv_fail(err, CV_UNAVAILABLE, "the record of a connection has to wait");
	id->has_pending = false;
	return proceed(id, notify_fd, id->pending_id, err);
}

cv_code cv_identity_serve(
	struct cv_identity *id, int notify_fd, cv_identity_fn *take, void *arg, struct cv_err *err)
{
	union {
		struct seccomp_notif notif;
		char room[NOTIF_BYTES_MAX];
	} u;

	const cv_code waiting = cv_identity_resume(id, notify_fd, take, arg, err);
	if (waiting != CV_OK)
		return waiting;
	memset(&u, 0, id->recv_bytes); /* the kernel insists */
	if (ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_RECV, &u) < 0) {
		if (errno == ENOENT || errno == EINTR || errno == EAGAIN)
			return CV_OK; /* gone, or the loop comes back */
		return cv_fail_errno(err, "receive a notification");
	}
	memset(&id->record, 0, sizeof(id->record));
	id->text_used = 0;
	/* Other calls than connect are no business of this filter, and proceed. */
	if (u.notif.data.nr != SYS_connect ||
		!tcp_cookie((pid_t)u.notif.pid, (int)u.notif.data.args[0], &id->record.cookie))
		return proceed(id, notify_fd, u.notif.id, err);
	caller_read(id, (pid_t)u.notif.pid);
	id->pending_id = u.notif.id;
	id->has_pending = true;
	return cv_identity_resume(id, notify_fd, take, arg, err);
}
