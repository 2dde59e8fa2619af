/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp_own.h - the rows of the PROXY, KEEPER and SSH profiles; see seccomp_table.h
 *
 * Lists of what these three programs, their C library, OpenSSL and libssh call after they have confined
 * themselves; the default kills.  Everything with a path, every new process, every new executable
 * page is absent.  The few rows with EPERM are calls that a C library makes on its own account and
 * does without.
 */
#pragma once
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "sys/seccomp_table.h"

/* clang-format off */
#define COMMON_CALLS                                                                               \
	{ CV_SECCOMP_PERMIT, "read readv write writev pread64 lseek fstat recvmsg sendmsg recvfrom close", \
		"bytes in and out of what it holds" },                                              \
	{ CV_SECCOMP_PERMIT, "munmap mremap brk madvise mlock mlock2 munlock",                      \
		"memory of the allocator; locked pages for secrets" },                              \
	{ CV_SECCOMP_PERMIT, "poll ppoll epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 " \
		"timerfd_create timerfd_settime timerfd_gettime eventfd2",                          \
		"the event loop" },                                                                 \
	{ CV_SECCOMP_PERMIT, "clock_gettime clock_getres gettimeofday clock_nanosleep getrandom",   \
		"time, where the vDSO has none, and randomness" },                                  \
	{ CV_SECCOMP_PERMIT, "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall signalfd4", \
		"signals to itself" },                                                              \
	{ CV_SECCOMP_PERMIT, "futex sched_yield set_robust_list rseq",                              \
		"locks of the C library and OpenSSL" },                                             \
	{ CV_SECCOMP_PERMIT, "getpid gettid getppid getuid geteuid getgid getegid sysinfo getrlimit", \
		"who it is; sysinfo is how qsort learns how much memory there is" },                \
	{ CV_SECCOMP_PERMIT, "exit exit_group", "ends" },                                           \
	{ CV_SECCOMP_EPERM, "open openat readlink readlinkat access",                               \
		"an allocator with several heaps looks into /proc and /sys and does without; so does abort" }

#define COMMON_PERMITS                                                                             \
	CV_SC_1("mmap", "memory, never executable", CV_SC_NONE(2, PROT_EXEC)),                      \
	CV_SC_1("mprotect", "likewise", CV_SC_NONE(2, PROT_EXEC)),                                  \
	CV_SC_1("tgkill", "abort(); a signal to anybody else is no use", CV_SC_EQ(2, SIGABRT)),     \
	CV_SC_1("prlimit64", "reads limits", CV_SC_NULL(2)),                                        \
	CV_SC_1("fcntl", "flags", CV_SC_EQ(1, F_GETFD)),                                            \
	CV_SC_1("fcntl", "flags", CV_SC_EQ(1, F_SETFD)),                                            \
	CV_SC_1("fcntl", "flags", CV_SC_EQ(1, F_GETFL)),                                            \
	CV_SC_1("fcntl", "flags", CV_SC_EQ(1, F_SETFL)),                                            \
	CV_SC_1("fcntl", "what a received memfd promises", CV_SC_EQ(1, F_GET_SEALS)),                 \
	CV_SC_1("fcntl", "a copy", CV_SC_EQ(1, F_DUPFD_CLOEXEC)),                                   \
	CV_SC_1("newfstatat", "fstat(), as glibc calls it", CV_SC_ALL(3, AT_EMPTY_PATH)),           \
	CV_SC_1("ioctl", "stdio asks whether stderr is a terminal", CV_SC_EQ(1, TCGETS))

static const struct cv_seccomp_call_row cv_seccomp_proxy_calls[] = {
	COMMON_CALLS,
	{ CV_SECCOMP_PERMIT, "sendto sendmmsg recvmmsg accept accept4 connect bind shutdown getsockname "
		"getpeername getsockopt setsockopt",
		"connections to the agent and to the Internet; the listeners were handed to it" },
	{ CV_SECCOMP_PERMIT, "pwrite64 ftruncate",
		"the spool, a file without a name that was handed to it" },
	{ CV_SECCOMP_PERMIT, "splice pipe2",
		"relays without copying through the process" },
	{ CV_SECCOMP_PERMIT, "dup dup3",
		"descriptors that were handed to it" },
};

#define PROXY_SOCKET(family, type)                                                                 \
	CV_SC_2("socket", "dials upstream and asks DNS", CV_SC_EQ(0, family),                       \
		CV_SC_SOCK_TYPE(1, type))

static const struct cv_seccomp_arg_row cv_seccomp_proxy_permits[] = {
	COMMON_PERMITS,
	PROXY_SOCKET(AF_INET, SOCK_STREAM),
	PROXY_SOCKET(AF_INET, SOCK_DGRAM),
	PROXY_SOCKET(AF_INET6, SOCK_STREAM),
	PROXY_SOCKET(AF_INET6, SOCK_DGRAM),
	CV_SC_2("socketpair", "a request of our own, as a flow", CV_SC_EQ(0, AF_UNIX),
		CV_SC_SOCK_TYPE(1, SOCK_STREAM)),
	CV_SC_1("fallocate", "gives a part of the spool back",
		CV_SC_EQ(1, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)),
	CV_SC_1("fcntl", "size of a relay's pipe", CV_SC_EQ(1, F_SETPIPE_SZ)),
	CV_SC_1("fcntl", "size of a relay's pipe", CV_SC_EQ(1, F_GETPIPE_SZ)),
	CV_SC_1("ioctl", "bytes that wait", CV_SC_EQ(1, FIONREAD)),
	CV_SC_1("ioctl", "does not block", CV_SC_EQ(1, FIONBIO)),
	{ 0 },
};

static const struct cv_seccomp_call_row cv_seccomp_keeper_calls[] = {
	COMMON_CALLS,
};

static const struct cv_seccomp_arg_row cv_seccomp_keeper_permits[] = {
	COMMON_PERMITS,
	{ 0 },
};

static const struct cv_seccomp_call_row cv_seccomp_ssh_calls[] = {
	COMMON_CALLS,
	{ CV_SECCOMP_PERMIT, "sendto shutdown getsockname getpeername getsockopt setsockopt",
		"its client and connections into the sandbox; each was handed to it" },
};

static const struct cv_seccomp_arg_row cv_seccomp_ssh_permits[] = {
	COMMON_PERMITS,
	CV_SC_1("ioctl", "the window of a terminal that was handed to it", CV_SC_EQ(1, TIOCSWINSZ)),
	{ 0 },
};

static const struct cv_seccomp_arg_row cv_seccomp_own_refusals[] = { { 0 } };
/* clang-format on */
