/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_try.c - each mechanism, done once; see probe_try.h
 *
 * An attempt does what a run does, with the same functions where there are any, and looks whether
 * it had the effect.  It owns its process: namespaces and filters that it enters end with it.
 */
#include "sys/probe_try.h"

#include "sys/cell.h"
#include "sys/cgroup.h"
#include "sys/child.h"
#include "sys/fd.h"
#include "sys/identity.h"
#include "sys/landlock.h"
#include "sys/netlink.h"
#include "sys/netns.h"
#include "sys/proc.h"
#include "sys/seccomp.h"
#include "sys/sockdiag.h"
#include "sys/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

#define KERNEL_MAJOR_TESTED 6 /* 6.1 is the oldest that cove is tested on */
#define KERNEL_MINOR_TESTED 1
#define SIX_NAMESPACES \
	(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)
#define INNER_ID       1000 /* not 0: nothing regains capabilities by exec */
#define ERRATUM_3      4u   /* access widened through disconnected directories, fixed */
#define NOTIFY_WAIT_MS 1000
#define SCRATCH        "/tmp" /* covered by a tmpfs of the attempt's own */

CV_PRINTF(3, 4)
static void say(struct cv_probe_outcome *o, enum cv_probe_status status, const char *fmt, ...)
{
	va_list ap;

	o->status = status;
	va_start(ap, fmt);
	vsnprintf(o->detail, sizeof(o->detail), fmt, ap);
	va_end(ap);
}

static void say_errno(struct cv_probe_outcome *o, const char *what)
{
	say(o, CV_PROBE_MISSING, "%s: %s", what, strerror(errno));
}

static void say_err(struct cv_probe_outcome *o, const struct cv_err *err)
{
	say(o, CV_PROBE_MISSING, "%.*s", CV_PROBE_DETAIL_BYTES - 1, err->msg);
}

void cv_probe_try_kernel(struct cv_probe_outcome *o)
{
	struct cv_str rest;
	uint64_t major, minor;
	struct utsname u;

	if (uname(&u) < 0)
		return say_errno(o, "uname");
	rest = cv_str_of(u.release);
	const bool is_read = cv_str_to_u64(cv_str_cut(&rest, '.'), 1000, &major) &&
			     cv_str_to_u64(cv_str_cut(&rest, '.'), 1000, &minor);
	const bool is_new =
		is_read && (major > KERNEL_MAJOR_TESTED ||
				   (major == KERNEL_MAJOR_TESTED && minor >= KERNEL_MINOR_TESTED));
	say(o, is_new ? CV_PROBE_OK : CV_PROBE_DEGRADED, "%s%.60s",
		is_new ? "Linux " : "older than the oldest tested, 6.1: Linux ", u.release);
}

/* --- Namespaces --------------------------------------------------------------------------- */

/* Why namespaces are refused, as far as the host tells. */
static void explain(struct cv_probe_outcome *o)
{
	const struct cv_userns_knob *k = cv_userns_knob_find();
	const size_t n = strlen(o->detail);

	snprintf(o->enable, sizeof(o->enable), "%s",
		k ? k->enable
		  : "leave the outer container, or give it --security-opt seccomp=unconfined");
	if (k)
		snprintf(o->detail + n, sizeof(o->detail) - n, " (%s is %s)", k->name, k->forbids);
}

/* Enters the namespaces with one id inside; false: it is said why not. */
static bool enter(struct cv_probe_outcome *o, int namespaces)
{
	const unsigned uid = geteuid(), gid = getegid();
	char uid_map[48], gid_map[48];

	snprintf(uid_map, sizeof(uid_map), "%d %u 1", INNER_ID, uid);
	snprintf(gid_map, sizeof(gid_map), "%d %u 1", INNER_ID, gid);
	if (unshare(namespaces) < 0) {
		say_errno(o, "unshare");
		explain(o);
		return false;
	}
	if (cv_userns_write("/proc/self/setgroups", "deny", NULL) != CV_OK ||
		cv_userns_write("/proc/self/uid_map", uid_map, NULL) != CV_OK ||
		cv_userns_write("/proc/self/gid_map", gid_map, NULL) != CV_OK) {
		say_errno(o, "write an id map");
		explain(o);
		return false;
	}
	return true;
}

void cv_probe_try_userns(struct cv_probe_outcome *o)
{
	if (!enter(o, CLONE_NEWUSER))
		return;
	/* With AppArmor's restriction the namespace is there, and its capabilities are not. */
	if (unshare(CLONE_NEWUTS) < 0 || sethostname("cove", 4) < 0) {
		say_errno(o, "the namespace has no capabilities");
		return explain(o);
	}
	say(o, CV_PROBE_OK, "one id inside, without privileges");
}

void cv_probe_try_namespaces(struct cv_probe_outcome *o)
{
	int status;

	if (!enter(o, SIX_NAMESPACES))
		return;
	if (sethostname("cove", 4) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		say_errno(o, "the namespaces have no capabilities");
		return explain(o);
	}
	const pid_t pid = fork();
	if (pid == 0)
		_exit(getpid() == 1 && mount("proc", "/proc", "proc",
					       MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0
				? 0
				: 1);
	if (pid < 0 || cv_child_wait(pid, &status) != CV_OK)
		return say_errno(o, "fork into the pid namespace");
	if (status != 0) {
		snprintf(o->enable, sizeof(o->enable),
			"leave the outer container, or give it --security-opt systempaths=unconfined");
		return say(o, CV_PROBE_MISSING, "a new /proc can't be mounted");
	}
	say(o, CV_PROBE_OK, "user, pid, mount, net, ipc, uts");
}

/* Without a policy: one that names too many ports for anyip is refused by its own run. */
void cv_probe_try_netns(struct cv_probe_outcome *o)
{
	static const char *const what[CV_INTERCEPTION_COUNT] = {
		[CV_INTERCEPTION_TPROXY] = "nf_tables and tproxy, IPv4 and IPv6",
		[CV_INTERCEPTION_REDIRECT] = "redirect: nf_tables and nat, without tproxy",
		[CV_INTERCEPTION_ANYIP] = "anyip: sockets on known ports, without nf_tables",
	};
	const struct cv_netns_want want = { .how = CV_INTERCEPTION_AUTO };
	struct cv_netns_fds fds;
	struct cv_err err;

	if (!enter(o, CLONE_NEWUSER))
		return;
	CV_AUTO_FD int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return say_errno(o, "open /proc");
	if (cv_netns_make(proc, &want, &fds, &err) != CV_OK)
		return say_err(o, &err);
	cv_netns_fds_close(&fds);
	o->interception = fds.how;
	snprintf(o->lost, sizeof(o->lost), "%s", cv_interception_lost(fds.how));
	say(o, fds.how == CV_INTERCEPTION_TPROXY ? CV_PROBE_OK : CV_PROBE_DEGRADED, "%s",
		what[fds.how]);
}

/* As the proxy does it: by a descriptor of the sandbox's own network namespace. */
void cv_probe_try_callers(struct cv_probe_outcome *o)
{
	CV_AUTO_FD int diag = -1;
	struct cv_err err;

	if (!enter(o, CLONE_NEWUSER | CLONE_NEWNET))
		return;
	CV_AUTO_FD int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || listen(listener, 1) < 0)
		return say_errno(o, "listen");
	if (cv_nl_open(NETLINK_SOCK_DIAG, &diag, &err) != CV_OK ||
		cv_sockdiag_try(diag, listener, &err) != CV_OK)
		return say_err(o, &err);
	say(o, CV_PROBE_OK, "sock_diag, by the addresses of a connection");
}

void cv_probe_try_overlay(struct cv_probe_outcome *o)
{
	if (!enter(o, CLONE_NEWUSER | CLONE_NEWNS))
		return;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", SCRATCH, "tmpfs", 0, "mode=755") < 0 ||
		mkdir(SCRATCH "/l", 0755) < 0 || mkdir(SCRATCH "/u", 0755) < 0 ||
		mkdir(SCRATCH "/w", 0755) < 0 || mkdir(SCRATCH "/m", 0755) < 0)
		return say_errno(o, "tmpfs in a user namespace");
	if (mount("overlay", SCRATCH "/m", "overlay", 0,
		    "lowerdir=" SCRATCH "/l,upperdir=" SCRATCH "/u,workdir=" SCRATCH
		    "/w,userxattr") < 0)
		return say_errno(o, "mount overlay in a user namespace");
	if (mkdir(SCRATCH "/m/x", 0755) < 0)
		return say_errno(o, "write to an overlay");
	say(o, CV_PROBE_OK, "in a user namespace");
}

/* --- Confinement -------------------------------------------------------------------------- */

void cv_probe_try_landlock(struct cv_probe_outcome *o)
{
	const struct cv_landlock_caps caps = cv_landlock_probe();
	struct cv_err err;

	if (caps.abi <= 0)
		return say(o, CV_PROBE_MISSING, "not built into this kernel, or switched off");
	if (cv_proc_no_new_privs_set(&err) != CV_OK || cv_landlock_deny_files(caps, &err) != CV_OK)
		return say_err(o, &err);
	CV_AUTO_FD int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 || errno != EACCES)
		return say(o, CV_PROBE_MISSING, "a rule set had no effect");
	const char *missing = cv_landlock_missing(caps.abi);
	const bool has_erratum = !(caps.errata & ERRATUM_3) && caps.abi > 1;
	snprintf(o->enable, sizeof(o->enable), "boot a newer kernel (6.12, with its fixes)");
	say(o, missing[0] || has_erratum ? CV_PROBE_DEGRADED : CV_PROBE_OK,
		"ABI %d, errata 0x%x%s%s%s", caps.abi, caps.errata, missing[0] ? "; without " : "",
		missing, has_erratum ? "; erratum 3 is not fixed" : "");
}

void cv_probe_try_seccomp(struct cv_probe_outcome *o)
{
	struct cv_err err;

	if (cv_proc_no_new_privs_set(&err) != CV_OK ||
		cv_seccomp_install(CV_SECCOMP_AGENT, NULL, &err) != CV_OK)
		return say_err(o, &err);
	if (unshare(CLONE_NEWUSER) == 0 || errno != EPERM)
		return say(o, CV_PROBE_MISSING, "a filter had no effect");
	say(o, CV_PROBE_OK, "allow-list of %d instructions",
		cv_seccomp_filter(CV_SECCOMP_AGENT)->insn_count);
}

/* A process under the filter of a sandbox that connects: tells the number of its listener, then
 * waits until that was fetched.  It holds a listener of its own, so a connect that nobody looks at
 * would last for ever: it ends with who made it. */
static CV_NORETURN void identity_client(pid_t parent, int sock)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct cv_err err = { 0 };
	int listener = -1;
	char go;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (cv_proc_no_new_privs_set(&err) == CV_OK)
		(void)!cv_seccomp_install(CV_SECCOMP_AGENT_NOTIFY, &listener, &err);
	(void)!write(sock, &listener, sizeof(listener));
	if (listener < 0) {
		(void)!write(sock, &err, sizeof(err));
		_exit(1);
	}
	(void)!read(sock, &go, 1);
	(void)!connect(s, (const struct sockaddr *)&to, sizeof(to));
	_exit(0);
}

static bool identity_seen(const struct cv_identity_record *r, void *arg)
{
	struct cv_probe_outcome *o = arg;

	if (r->unknown_reason.n)
		say(o, CV_PROBE_DEGRADED, "%.*s", CV_STR_ARG(r->unknown_reason));
	else
		say(o, CV_PROBE_OK, "from notifications of connect");
	return true;
}

static void identity_serve(struct cv_probe_outcome *o, pid_t pid, int number, int sock)
{
	CV_AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	CV_AUTO_FD int listener = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	struct pollfd p = { .fd = listener, .events = POLLIN };
	struct cv_identity *id;
	struct cv_err err;

	if (listener < 0)
		return say_errno(o, "fetch a descriptor");
	if (write(sock, "g", 1) != 1 || poll(&p, 1, NOTIFY_WAIT_MS) != 1)
		return say(o, CV_PROBE_MISSING, "no notification came");
	if (cv_identity_new(getpid(), &id, &err) != CV_OK)
		return say_err(o, &err);
	say(o, CV_PROBE_MISSING, "the socket of the caller can't be fetched");
	if (cv_identity_serve(id, listener, identity_seen, o, &err) != CV_OK)
		say_err(o, &err);
	cv_identity_free(id);
}

void cv_probe_try_identity(struct cv_probe_outcome *o)
{
	struct cv_err err = { 0 };
	int pair[2], number = -1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return say_errno(o, "socketpair");
	const pid_t self = getpid(), pid = fork();
	if (pid == 0)
		identity_client(self, pair[1]);
	close(pair[1]);
	CV_AUTO_FD int sock = pair[0];
	if (pid < 0 || read(sock, &number, sizeof(number)) != sizeof(number))
		return say(o, CV_PROBE_MISSING, "the attempt died");
	if (number >= 0)
		identity_serve(o, pid, number, sock);
	else if (read(sock, &err, sizeof(err)) == sizeof(err))
		say_err(o, &err);
	cv_child_kill(pid);
}

void cv_probe_try_pidfd(struct cv_probe_outcome *o)
{
	CV_AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	CV_AUTO_FD int copy = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, pidfd, 0);

	if (pidfd < 0 || copy < 0)
		return say_errno(o, pidfd < 0 ? "pidfd_open" : "pidfd_getfd");
	CV_AUTO_FD int thread = (int)syscall(SYS_pidfd_open, getpid(), PIDFD_THREAD);
	say(o, thread < 0 ? CV_PROBE_DEGRADED : CV_PROBE_OK, "%s",
		thread < 0 ? "of processes, not of threads" : "of processes and threads");
}

/* --- Limits ------------------------------------------------------------------------------- */

/* Makes a group with the one limit, and removes it. */
static void limit_try(struct cv_probe_outcome *o, enum cv_cgroup_limit limit,
	const struct cv_cgroup_limits *limits)
{
	struct cv_cgroup_host *host = calloc(1, sizeof(*host));
	struct cv_cgroup *cg;
	struct cv_err err;
	char name[32];

	if (!host)
		return say(o, CV_PROBE_MISSING, "out of memory");
	snprintf(name, sizeof(name), "probe-%d", (int)getpid());
	if (cv_cgroup_host_look(host, &err) != CV_OK) {
		say_err(o, &err);
	} else if (host->means[limit] == CV_CGROUP_NONE) {
		say(o, CV_PROBE_MISSING, "no writable cgroup with the %s controller",
			cv_cgroup_limit_name(limit));
	} else if (cv_cgroup_new(host, cv_str_of(name), limits, &cg, &err) != CV_OK) {
		say_err(o, &err);
	} else {
		say(o, host->means[limit] >= CV_CGROUP_V1 ? CV_PROBE_OK : CV_PROBE_DEGRADED, "%s",
			cv_cgroup_means_words(limit, host->means[limit]));
		if (cv_cgroup_remove(cg, &err) != CV_OK)
			say_err(o, &err);
		cv_cgroup_free(cg);
	}
	free(host);
}

void cv_probe_try_memory(struct cv_probe_outcome *o)
{
	limit_try(o, CV_CGROUP_MEMORY, &(struct cv_cgroup_limits){ .memory_bytes = 64u << 20 });
}

void cv_probe_try_cpu(struct cv_probe_outcome *o)
{
	limit_try(o, CV_CGROUP_CPU, &(struct cv_cgroup_limits){ .cpu_milli = 1000 });
}

void cv_probe_try_pids(struct cv_probe_outcome *o)
{
	limit_try(o, CV_CGROUP_PIDS, &(struct cv_cgroup_limits){ .pids = 64 });
}

/* --- Other runtimes: reported, not used --------------------------------------------------- */

void cv_probe_try_gvisor(struct cv_probe_outcome *o)
{
	static const char *const place[] = { "/usr/local/sbin/runsc", "/usr/local/bin/runsc",
		"/usr/sbin/runsc", "/usr/bin/runsc", "/opt/bin/runsc" };

	for (size_t i = 0; i < CV_ARRAY_LEN(place); i++)
		if (access(place[i], X_OK) == 0)
			return say(o, CV_PROBE_OK, "%s; this build does not use it", place[i]);
	say(o, CV_PROBE_MISSING, "no runsc");
}

void cv_probe_try_kvm(struct cv_probe_outcome *o)
{
	CV_AUTO_FD int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return say_errno(o, "/dev/kvm");
	say(o, CV_PROBE_OK, "/dev/kvm; this build does not use it");
}

void cv_probe_try_cells(struct cv_probe_outcome *o)
{
	struct cv_cells cells;
	struct cv_err err;

	if (cv_cells_open(&cells, &err) != CV_OK) {
		say_err(o, &err);
		return explain(o);
	}
	say(o, CV_PROBE_OK, "pid and mount namespaces%s",
		cells.userns < 0 ? "" : ", without privileges");
}
