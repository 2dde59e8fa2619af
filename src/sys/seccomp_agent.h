/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp_agent.h - the rows of the AGENT profiles; see seccomp_table.h for how to read them
 *
 * The agent runs without capabilities, in namespaces of its own, beneath Landlock.  What is left
 * for this filter is the kernel code that those do not cover (surface), and ways round the one that
 * knows who connects (identity).  A call that only ever acts on what the caller already holds is
 * permitted: refusing it would break programs and stop nobody.
 */
#pragma once
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/tiocl.h>
#include <netinet/in.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "sys/seccomp_table.h"

/* Constants that older headers lack. */
#define CV_CLONE_NEWTIME 0x00000080
#define CV_TIOCSTI       0x5412
#define CV_TIOCLINUX     0x541c
#define CV_TCP_ULP       31
#define CV_MSG_FASTOPEN  0x20000000
#define CV_PR_GET_AUXV   0x41555856
#define CV_PR_SET_VMA    0x53564d41
#define CV_PR_SET_MDWE   65
#define CV_PR_GET_MDWE   66
#define CV_PR_GET_SHSTK  74
#define CV_PR_SET_SHSTK  75
#define CV_PR_LOCK_SHSTK 76
#define CV_PR_FUTEX_HASH 78

/* clang-format off */
static const struct cv_seccomp_call_row cv_seccomp_agent_calls[] = {
	/* Permitted: files. */
	{ CV_SECCOMP_PERMIT, "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 "
		"lseek close close_range dup dup2 dup3 fcntl flock ftruncate truncate fallocate fadvise64 "
		"readahead sync syncfs fsync fdatasync sync_file_range sendfile splice tee vmsplice "
		"copy_file_range pipe pipe2 cachestat",
		"bytes in and out of what is already open" },
	{ CV_SECCOMP_PERMIT, "open openat openat2 creat stat fstat lstat newfstatat statx access faccessat "
		"faccessat2 readlink readlinkat getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir "
		"rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat utime utimes "
		"utimensat futimesat statfs fstatfs ustat umask",
		"paths: the mounts and Landlock decide which" },
	{ CV_SECCOMP_PERMIT, "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat setxattr lsetxattr "
		"fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr "
		"lremovexattr fremovexattr setxattrat getxattrat listxattrat removexattrat",
		"attributes of own files; more needs a capability, and there is none" },
	{ CV_SECCOMP_PERMIT, "mknod mknodat",
		"FIFOs, sockets and plain files; a device needs CAP_MKNOD on the host" },
	{ CV_SECCOMP_PERMIT, "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch",
		"file watchers; each watch needs the right to read the file" },
	{ CV_SECCOMP_PERMIT, "io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents",
		"the old asynchronous I/O, which databases use: reads and writes only, no connect" },
	/* Permitted: memory. */
	{ CV_SECCOMP_PERMIT, "mmap mprotect munmap mremap msync mincore madvise brk mlock mlock2 mlockall "
		"munlock munlockall remap_file_pages memfd_create memfd_secret pkey_mprotect pkey_alloc "
		"pkey_free membarrier mseal map_shadow_stack",
		"own memory; compilers at run time need it executable, and memfd_create is how Landlock-safe "
		"programs share it" },
	{ CV_SECCOMP_PERMIT, "get_mempolicy",
		"libnuma reads it as it is loaded" },
	/* Permitted: processes, threads, signals. */
	{ CV_SECCOMP_PERMIT, "fork vfork execve exit exit_group wait4 waitid getpid gettid getppid "
		"set_tid_address set_robust_list get_robust_list arch_prctl set_thread_area get_thread_area "
		"rseq restart_syscall getpgid getpgrp setpgid getsid setsid",
		"processes and threads of the sandbox's own PID namespace" },
	{ CV_SECCOMP_PERMIT, "kill tkill tgkill pidfd_open pidfd_send_signal rt_sigaction rt_sigprocmask "
		"rt_sigpending rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
		"sigaltstack pause signalfd signalfd4",
		"signals; the PID namespace and Landlock's scope bound them; Go and systemd-like tools need "
		"pidfds" },
	{ CV_SECCOMP_PERMIT, "futex futex_waitv futex_wake futex_wait futex_requeue",
		"locks; only memory that the caller has mapped" },
	{ CV_SECCOMP_PERMIT, "sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam "
		"sched_getscheduler sched_setscheduler sched_getattr sched_setattr sched_get_priority_max "
		"sched_get_priority_min sched_rr_get_interval getpriority setpriority ioprio_get ioprio_set "
		"getcpu",
		"own scheduling; raising it needs a capability, and the cgroup bounds the sum" },
	{ CV_SECCOMP_PERMIT, "getrlimit setrlimit prlimit64 getrusage times sysinfo uname",
		"own limits, downwards; another process's need the same ids" },
	{ CV_SECCOMP_PERMIT, "getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid "
		"setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capget capset",
		"ids; without CAP_SETUID and CAP_SETGID they can only be set to what they are" },
	{ CV_SECCOMP_PERMIT, "landlock_create_ruleset landlock_add_rule landlock_restrict_self",
		"can only take away; sandboxes inside the sandbox are welcome" },
	/* Permitted: time and waiting. */
	{ CV_SECCOMP_PERMIT, "time gettimeofday clock_gettime clock_getres nanosleep clock_nanosleep alarm "
		"getitimer setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete "
		"timerfd_create timerfd_settime timerfd_gettime",
		"clocks are read and waited for, never set" },
	{ CV_SECCOMP_PERMIT, "poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
		"epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2",
		"waiting for descriptors" },
	{ CV_SECCOMP_PERMIT, "getrandom", "randomness" },
	/* Permitted: between processes, and the network, whose every packet ends at the proxy. */
	{ CV_SECCOMP_PERMIT, "bind listen accept accept4 recvfrom recvmsg recvmmsg getsockname getpeername "
		"getsockopt shutdown",
		"sockets of the families that socket() lets through" },
	{ CV_SECCOMP_PERMIT, "setsockopt", "see the refusal of TCP_ULP below" },
	{ CV_SECCOMP_PERMIT, "ioctl", "see the refusals of TIOCSTI and TIOCLINUX below" },
	{ CV_SECCOMP_PERMIT, "shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv "
		"msgctl mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr",
		"System V and POSIX IPC; the IPC namespace is the sandbox's own" },

	/* ENOSYS: the C library has another way, and takes it. */
	{ CV_SECCOMP_ENOSYS, "clone3",
		"namespace flags in memory, which a filter cannot read; glibc falls back to clone" },
	{ CV_SECCOMP_ENOSYS, "io_uring_setup io_uring_enter io_uring_register",
		"connects and opens past this filter; libuv and others fall back" },
	{ CV_SECCOMP_ENOSYS, "_sysctl afs_syscall create_module get_kernel_syms getpmsg nfsservctl putpmsg "
		"query_module security tuxcall vserver",
		"no kernel has them any more" },

	/* Refused. */
	{ CV_SECCOMP_EPERM, "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease "
		"pidfd_getfd kcmp",
		"another process's memory and descriptors: its secrets, and its identity at connect" },
	{ CV_SECCOMP_EPERM, "mount umount2 fsopen fsconfig fsmount fspick move_mount open_tree "
		"open_tree_attr mount_setattr pivot_root chroot statmount listmount",
		"the mount family: what is visible is decided before the agent starts" },
	{ CV_SECCOMP_EPERM, "setns unshare",
		"new namespaces bring capabilities over code that only root used to reach" },
	{ CV_SECCOMP_EPERM, "bpf perf_event_open userfaultfd",
		"large kernel surface; userfaultfd holds the kernel still in the middle of a copy" },
	{ CV_SECCOMP_EPERM, "add_key keyctl request_key",
		"keyrings are not in a namespace" },
	{ CV_SECCOMP_EPERM, "name_to_handle_at open_by_handle_at fanotify_init fanotify_mark",
		"files without paths, past the mounts" },
	{ CV_SECCOMP_EPERM, "kexec_load kexec_file_load init_module finit_module delete_module reboot swapon "
		"swapoff acct quotactl quotactl_fd syslog sethostname setdomainname vhangup uselib sysfs "
		"lookup_dcookie iopl ioperm modify_ldt",
		"administration of the machine, and calls that only it needs" },
	{ CV_SECCOMP_EPERM, "settimeofday clock_settime clock_adjtime adjtimex",
		"the clock is everyone's" },
	{ CV_SECCOMP_EPERM, "mbind set_mempolicy set_mempolicy_home_node migrate_pages move_pages",
		"placement of pages: rarely needed, often broken" },
	{ CV_SECCOMP_EPERM, "lsm_get_self_attr lsm_set_self_attr lsm_list_modules",
		"the host's security modules are not the agent's concern" },
};

/* With --nested: a sandbox or a container build of the agent's own, inside this one.  A new user
 * namespace brings capabilities over what is new with it, and nothing here: mounts that came along
 * are locked (mount_namespaces(7)), the sandbox's network belongs to another user namespace.  What
 * it brings nearer is kernel code, so sockets stay as they are: no packet filters, no raw sockets. */
static const struct cv_seccomp_call_row cv_seccomp_nested_calls[] = {
	{ CV_SECCOMP_PERMIT, "clone unshare setns",
		"new namespaces, and entering those that one made; an outer one needs a capability there" },
	{ CV_SECCOMP_PERMIT, "mount umount2 pivot_root chroot",
		"in a mount namespace of its own; elsewhere there is no capability for it" },
	{ CV_SECCOMP_ENOSYS, "execveat",
		"builders execute a copy of themselves by descriptor; fexecve then takes its path in /proc" },
	{ CV_SECCOMP_PERMIT, "sethostname setdomainname", "in a uts namespace of its own" },
	{ CV_SECCOMP_PRETEND, "setgroups",
		"with one id in the namespace the kernel refuses it, and builders stop; there is no group to "
		"give up" },
};

#define INET_ROWS(call, family)                                                                    \
	CV_SC_3(call, "TCP", CV_SC_EQ(0, family), CV_SC_SOCK_TYPE(1, SOCK_STREAM), CV_SC_EQ(2, 0)),        \
	CV_SC_3(call, "TCP", CV_SC_EQ(0, family), CV_SC_SOCK_TYPE(1, SOCK_STREAM), CV_SC_EQ(2, IPPROTO_TCP)), \
	CV_SC_3(call, "UDP", CV_SC_EQ(0, family), CV_SC_SOCK_TYPE(1, SOCK_DGRAM), CV_SC_EQ(2, 0)),         \
	CV_SC_3(call, "UDP", CV_SC_EQ(0, family), CV_SC_SOCK_TYPE(1, SOCK_DGRAM), CV_SC_EQ(2, IPPROTO_UDP))
/* MPTCP, SCTP, UDP-Lite, ICMP and raw sockets fall through: Landlock's TCP rules and the proxy's
 * identity do not know them. */
#define SOCKET_ROWS(call)                                                                          \
	CV_SC_1(call, "local", CV_SC_EQ(0, AF_UNIX)), INET_ROWS(call, AF_INET), INET_ROWS(call, AF_INET6), \
	CV_SC_2(call, "addresses and routes of lo, which C libraries list", CV_SC_EQ(0, AF_NETLINK), CV_SC_EQ(2, 0))

#define NAMESPACE_FLAGS                                                                            \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
		CLONE_NEWNET | CV_CLONE_NEWTIME)

#define PRCTL(option, why)       CV_SC_1("prctl", why, CV_SC_EQ(0, option))
#define PERSONALITY(value, why)  CV_SC_1("personality", why, CV_SC_EQ(0, value))

static const struct cv_seccomp_arg_row cv_seccomp_agent_permits[] = {
	SOCKET_ROWS("socket"),
	SOCKET_ROWS("socketpair"),
	CV_SC_1("sendto", "Fast Open connects without connect()", CV_SC_NONE(3, CV_MSG_FASTOPEN)),
	CV_SC_1("sendmsg", "likewise", CV_SC_NONE(2, CV_MSG_FASTOPEN)),
	CV_SC_1("sendmmsg", "likewise", CV_SC_NONE(3, CV_MSG_FASTOPEN)),
	CV_SC_1("clone", "threads and processes, no namespaces", CV_SC_NONE(0, NAMESPACE_FLAGS)),
	CV_SC_1("execveat", "by path: what is executed has one that identity can hash",
		CV_SC_NONE(4, AT_EMPTY_PATH)),
	CV_SC_1("seccomp", "what libraries ask first", CV_SC_EQ(0, SECCOMP_GET_ACTION_AVAIL)),
	CV_SC_1("seccomp", "likewise", CV_SC_EQ(0, SECCOMP_GET_NOTIF_SIZES)),
	/* Filters of its own (seccomp, PR_SET_SECCOMP) are refused: they could only restrict the agent
	 * further, but each is a program that the kernel compiles and runs, at every call. */

	PERSONALITY(0, "the usual one"),
	PERSONALITY(0xffffffff, "asks which it is"),
	PERSONALITY(ADDR_NO_RANDOMIZE, "debuggers and old Emacs; only weakens itself"),

	PRCTL(PR_SET_PDEATHSIG, "die with the parent"),
	PRCTL(PR_GET_PDEATHSIG, "reads"),
	PRCTL(PR_GET_DUMPABLE, "reads"),
	PRCTL(PR_SET_DUMPABLE, "ssh-agent and gpg hide themselves"),
	PRCTL(PR_GET_KEEPCAPS, "reads"),
	PRCTL(PR_SET_KEEPCAPS, "there are no capabilities to keep"),
	PRCTL(PR_GET_TIMING, "reads"),
	PRCTL(PR_SET_NAME, "names of threads"),
	PRCTL(PR_GET_NAME, "reads"),
	PRCTL(PR_GET_SECCOMP, "man and others ask before they make a filter, and do without"),
	PRCTL(PR_CAPBSET_READ, "reads"),
	PRCTL(PR_CAPBSET_DROP, "only takes away"),
	PRCTL(PR_GET_TSC, "reads"),
	PRCTL(PR_GET_SECUREBITS, "reads"),
	PRCTL(PR_SET_TIMERSLACK, "own timers"),
	PRCTL(PR_GET_TIMERSLACK, "reads"),
	PRCTL(PR_MCE_KILL, "own treatment at a memory fault"),
	PRCTL(PR_MCE_KILL_GET, "reads"),
	PRCTL(PR_SET_CHILD_SUBREAPER, "supervisors of jobs"),
	PRCTL(PR_GET_CHILD_SUBREAPER, "reads"),
	PRCTL(PR_SET_NO_NEW_PRIVS, "only takes away"),
	PRCTL(PR_GET_NO_NEW_PRIVS, "reads"),
	PRCTL(PR_GET_TID_ADDRESS, "reads"),
	PRCTL(PR_SET_THP_DISABLE, "own memory"),
	PRCTL(PR_GET_THP_DISABLE, "reads"),
	PRCTL(PR_CAP_AMBIENT, "without capabilities it reads and lowers"),
	PRCTL(PR_GET_SPECULATION_CTRL, "reads"),
	PRCTL(PR_SET_SPECULATION_CTRL, "browsers and JITs harden themselves"),
	PRCTL(CV_PR_SET_VMA, "names of memory, used by allocators and Go"),
	PRCTL(CV_PR_SET_MDWE, "only takes away"),
	PRCTL(CV_PR_GET_MDWE, "reads"),
	PRCTL(CV_PR_GET_AUXV, "reads what it was started with"),
	PRCTL(CV_PR_GET_SHSTK, "shadow stacks, by the C library"),
	PRCTL(CV_PR_SET_SHSTK, "likewise"),
	PRCTL(CV_PR_LOCK_SHSTK, "likewise"),
	PRCTL(CV_PR_FUTEX_HASH, "own locks"),
	/* Not here, among others: PR_SET_MM (a process could name another executable as its own),
	 * PR_SET_SECCOMP, PR_SET_PTRACER (nobody may trace), PR_SET_MEMORY_MERGE (pages shared with
	 * others tell what they hold), PR_SCHED_CORE, PR_SET_SYSCALL_USER_DISPATCH. */
	{ 0 },
};

static const struct cv_seccomp_arg_row cv_seccomp_agent_refusals[] = {
	CV_SC_1("ioctl", "types into the terminal of whoever started it", CV_SC_EQ(1, CV_TIOCSTI)),
	CV_SC_1("ioctl", "pastes into a virtual console", CV_SC_EQ(1, CV_TIOCLINUX)),
	CV_SC_2("setsockopt", "turns TCP into SMC, ESP or in-kernel TLS",
		CV_SC_EQ(1, IPPROTO_TCP), CV_SC_EQ(2, CV_TCP_ULP)),
	{ 0 },
};
/* clang-format on */
