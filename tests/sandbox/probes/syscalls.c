// SPDX-License-Identifier: Apache-2.0
// Every way to the kernel that no program of an agent needs, tried once from inside.  A line for
// each: its name and the errno's name, OK, or KILLED with the signal's number for those that are
// tried in a child.  Arguments are ones that the kernel would accept where that is harmless, so
// that EPERM is the filter's answer and not an accident of the arguments.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void say(const char *name, long ret)
{
	if (ret >= 0)
		printf("%s OK\n", name);
	else
		printf("%s %s\n", name, strerrorname_np(errno) ? strerrorname_np(errno) : "?");
	fflush(stdout);
}

#define TRY(name, call)                 \
	do {                            \
		errno = 0;              \
		long r_ = (long)(call); \
		say(name, r_);          \
	} while (0)
#define SYS(name, ...) TRY(name, syscall(__VA_ARGS__))

// In a child, for what may kill or change the caller for good.
#define CHILD(name, call)                                              \
	do {                                                           \
		fflush(stdout);                                        \
		pid_t p_ = fork();                                     \
		if (p_ == 0) {                                         \
			errno = 0;                                     \
			long r_ = (long)(call);                        \
			say(name, r_);                                 \
			_exit(0);                                      \
		}                                                      \
		int st_;                                               \
		waitpid(p_, &st_, 0);                                  \
		if (WIFSIGNALED(st_))                                  \
			printf("%s KILLED %d\n", name, WTERMSIG(st_)); \
		fflush(stdout);                                        \
	} while (0)

struct clone3_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
		set_tid_size, cgroup;
};

static long raw_clone(unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	int e = errno;
	if (pid > 0)
		waitpid(pid, NULL, __WALL);
	errno = e;
	return pid;
}

static long raw_clone3(uint64_t flags)
{
	struct clone3_args a = { .flags = flags, .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &a, sizeof a);
	if (pid == 0)
		_exit(0);
	int e = errno;
	if (pid > 0)
		waitpid(pid, NULL, __WALL);
	errno = e;
	return pid;
}

#ifdef __x86_64__
static long int80(long nr, long a, long b, long c)
{
	long ret;
	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	if (ret < 0 && ret > -4096) {
		errno = -ret;
		return -1;
	}
	return ret;
}
#endif

static long sock(int family, int type, int protocol)
{
	int fd = socket(family, type, protocol);
	if (fd >= 0)
		close(fd);
	return fd;
}

static long sockpair(int family, int type, int protocol)
{
	int sv[2];
	return socketpair(family, type, protocol, sv);
}

static long fastopen(int v6)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(443), .sin_addr.s_addr = htonl(0x5db8d822)
	};
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(443) };
	a6.sin6_addr.s6_addr[0] = 0x26;
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return -1;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return sendto(
		fd, "x", 1, MSG_FASTOPEN, v6 ? (void *)&a6 : (void *)&a, v6 ? sizeof a6 : sizeof a);
}

static long fastopen_msg(int many)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(443), .sin_addr.s_addr = htonl(0x5db8d822)
	};
	struct iovec v = { "x", 1 };
	struct mmsghdr m = { .msg_hdr = { .msg_name = &a,
				     .msg_namelen = sizeof a,
				     .msg_iov = &v,
				     .msg_iovlen = 1 } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return many ? sendmmsg(fd, &m, 1, MSG_FASTOPEN) : sendmsg(fd, &m.msg_hdr, MSG_FASTOPEN);
}

static long fastopen_connect(void)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	return setsockopt(fd, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &one, sizeof one);
}

static long ulp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return setsockopt(fd, IPPROTO_TCP, 31 /* TCP_ULP */, "tls", 3);
}

static long tty_inject(unsigned long request, char *arg)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);
	if (fd < 0)
		return -1;
	return ioctl(fd, request, arg);
}

static long own_filter(int flags)
{
	struct {
		unsigned short code;
		unsigned char jt, jf;
		unsigned int k;
	} f = { 0x06, 0, 0, 0x7fff0000 };
	struct {
		unsigned short len;
		void *filter;
	} prog = { 1, &f };
	return syscall(SYS_seccomp, 1, flags, &prog);
}

static long file_handle(void)
{
	struct {
		unsigned bytes;
		int type;
		unsigned char h[128];
	} h = { 128 };
	int mount;
	return syscall(SYS_name_to_handle_at, AT_FDCWD, ".", &h, &mount, 0);
}

static long file_handle_open(void)
{
	struct {
		unsigned bytes;
		int type;
		unsigned char h[8];
	} h = { 8, 1, { 2 } };
	return syscall(SYS_open_by_handle_at, AT_FDCWD, &h, O_RDONLY);
}

static long setns_of(const char *path)
{
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	return setns(fd, 0);
}

static long exec_stack(void)
{
	return (long)mmap(
		(void *)0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

int main(void)
{
	char buf[4096] = { 0 };
	struct iovec iov = { buf, 8 }, riov = { buf + 8, 8 };
	struct io_uring_params ring = { 0 };

	SYS("io_uring_setup", SYS_io_uring_setup, 4, &ring);
	SYS("io_uring_enter", SYS_io_uring_enter, -1, 0, 0, 0, 0, 0);
	SYS("io_uring_register", SYS_io_uring_register, -1, 0, 0, 0);

	CHILD("unshare-user", unshare(CLONE_NEWUSER));
	CHILD("unshare-mount", unshare(CLONE_NEWNS));
	CHILD("unshare-net", unshare(CLONE_NEWNET));
	CHILD("unshare-pid", unshare(CLONE_NEWPID));
	CHILD("unshare-ipc", unshare(CLONE_NEWIPC));
	CHILD("unshare-uts", unshare(CLONE_NEWUTS));
	CHILD("unshare-cgroup", unshare(CLONE_NEWCGROUP));
	CHILD("unshare-time", unshare(0x80));
	TRY("clone-user", raw_clone(CLONE_NEWUSER));
	TRY("clone-mount", raw_clone(CLONE_NEWNS));
	TRY("clone-net", raw_clone(CLONE_NEWNET));
	TRY("clone-pid", raw_clone(CLONE_NEWPID));
	TRY("clone-ipc", raw_clone(CLONE_NEWIPC));
	TRY("clone-uts", raw_clone(CLONE_NEWUTS));
	TRY("clone-cgroup", raw_clone(CLONE_NEWCGROUP));
	TRY("clone-high-bits", raw_clone(CLONE_NEWUSER | (1ul << 40)));
	TRY("clone3", raw_clone3(0));
	TRY("clone3-user", raw_clone3(CLONE_NEWUSER));
	TRY("clone3-into-cgroup", raw_clone3(0x200000000ull));
	TRY("setns-net", setns_of("/proc/1/ns/net"));
	TRY("setns-own", setns_of("/proc/self/ns/net"));
	SYS("setns-bad", SYS_setns, -1, 0);

	SYS("mount", SYS_mount, "none", "/tmp", "tmpfs", 0, 0);
	SYS("mount-bind", SYS_mount, "/usr", "/tmp", 0, 4096, 0);
	SYS("mount-remount", SYS_mount, 0, "/usr", 0, 32 | 4096, 0);
	SYS("umount2", SYS_umount2, "/proc", 2);
	SYS("pivot_root", SYS_pivot_root, ".", ".");
	CHILD("chroot", chroot("/tmp"));
	SYS("open_tree", SYS_open_tree, AT_FDCWD, "/usr", 1);
	SYS("move_mount", SYS_move_mount, -1, "", -1, "", 0);
	SYS("fsopen", SYS_fsopen, "tmpfs", 0);
	SYS("fsconfig", SYS_fsconfig, -1, 0, 0, 0, 0);
	SYS("fsmount", SYS_fsmount, -1, 0, 0);
	SYS("fspick", SYS_fspick, AT_FDCWD, "/", 0);
	SYS("mount_setattr", SYS_mount_setattr, AT_FDCWD, "/usr", 0, buf, 32);
	SYS("open_tree_attr", 467, AT_FDCWD, "/usr", 1, buf, 32);
	SYS("listmount", 458, 0, 0, 0, 0);
	SYS("statmount", 457, 0, 0, 0, 0);

	SYS("bpf", SYS_bpf, 0, buf, 72);
	SYS("perf_event_open", SYS_perf_event_open, buf, 0, -1, -1, 0);
	SYS("userfaultfd", SYS_userfaultfd, 1);
	SYS("add_key", SYS_add_key, "user", "cove", "x", 1, -2);
	SYS("request_key", SYS_request_key, "user", "cove", 0, -2);
	SYS("keyctl", SYS_keyctl, 0, -3, 1, 0, 0);
	SYS("kexec_load", SYS_kexec_load, 0, 0, 0, 0);
	SYS("kexec_file_load", SYS_kexec_file_load, -1, -1, 0, "", 0);
	SYS("init_module", SYS_init_module, buf, 8, "");
	SYS("finit_module", SYS_finit_module, -1, "", 0);
	SYS("delete_module", SYS_delete_module, "cove", 0);
	TRY("name_to_handle_at", file_handle());
	TRY("open_by_handle_at", file_handle_open());
	SYS("fanotify_init", SYS_fanotify_init, 0, 0);
	SYS("quotactl", SYS_quotactl, 0, 0, 0, 0);
	SYS("acct", SYS_acct, 0);
	SYS("swapon", SYS_swapon, "/dev/zero", 0);
	SYS("swapoff", SYS_swapoff, "/dev/zero");
	SYS("reboot", SYS_reboot, 0, 0, 0, 0);
	SYS("syslog", SYS_syslog, 10, 0, 0);
	SYS("sethostname", SYS_sethostname, "x", 1);
	SYS("setdomainname", SYS_setdomainname, "x", 1);
	SYS("settimeofday", SYS_settimeofday, 0, 0);
	SYS("clock_settime", SYS_clock_settime, 0, buf);
	SYS("clock_adjtime", SYS_clock_adjtime, 0, buf);
	SYS("lookup_dcookie", 212, 0, buf, 1);
	SYS("migrate_pages", SYS_migrate_pages, 0, 0, 0, 0);
	SYS("move_pages", SYS_move_pages, 0, 0, 0, 0, 0, 0);
	SYS("lsm_set_self_attr", 460, 0, buf, 32, 0);
#ifdef __x86_64__
	SYS("iopl", SYS_iopl, 3);
	SYS("ioperm", SYS_ioperm, 0x70, 2, 1);
	SYS("modify_ldt", SYS_modify_ldt, 0, buf, 16);
	SYS("uselib", SYS_uselib, "/usr/lib/x");
#endif

	TRY("ptrace-traceme", ({
		long r;
		pid_t p = 0;
		r = syscall(SYS_ptrace, PTRACE_SEIZE, 1, 0, 0);
		r;
	}));
	CHILD("ptrace-me", ptrace(PTRACE_TRACEME, 0, 0, 0));
	SYS("ptrace-parent", SYS_ptrace, PTRACE_ATTACH, getppid(), 0, 0);
	SYS("process_vm_readv", SYS_process_vm_readv, 1, &iov, 1, &riov, 1, 0);
	SYS("process_vm_writev", SYS_process_vm_writev, 1, &iov, 1, &riov, 1, 0);
	SYS("process_madvise", SYS_process_madvise, -1, &iov, 1, 4, 0);
	SYS("kcmp", SYS_kcmp, 1, getpid(), 0, 0, 0);
	TRY("pidfd_getfd", ({
		int pf = syscall(SYS_pidfd_open, 1, 0);
		syscall(SYS_pidfd_getfd, pf, 0, 0);
	}));
	CHILD("seccomp-own-filter", own_filter(0));
	CHILD("seccomp-own-listener", own_filter(8));
	CHILD("seccomp-strict", syscall(SYS_seccomp, 0, 0, 0));

	TRY("af_packet", sock(AF_PACKET, SOCK_RAW, htons(3)));
	TRY("af_packet-dgram", sock(AF_PACKET, SOCK_DGRAM, 0));
	TRY("raw-icmp", sock(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	TRY("raw-raw", sock(AF_INET, SOCK_RAW, IPPROTO_RAW));
	TRY("raw6-icmp", sock(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
	TRY("ping", sock(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	TRY("ping6", sock(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
	TRY("mptcp", sock(AF_INET, SOCK_STREAM, 262));
	TRY("mptcp6", sock(AF_INET6, SOCK_STREAM, 262));
	TRY("sctp", sock(AF_INET, SOCK_STREAM, IPPROTO_SCTP));
	TRY("sctp-seqpacket", sock(AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP));
	TRY("udplite", sock(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE));
	TRY("dccp", sock(AF_INET, 6 /* SOCK_DCCP */, 33));
	TRY("smc-by-protocol", sock(AF_INET, SOCK_STREAM, 256));
	TRY("type-high-bits", sock(AF_INET, 0x100000 | SOCK_STREAM, 0));
	TRY("socket-high-word", syscall(SYS_socket, 0x100000000ul | AF_VSOCK, SOCK_STREAM, 0));
	TRY("af_vsock", sock(AF_VSOCK, SOCK_STREAM, 0));
	TRY("af_alg", sock(AF_ALG, SOCK_SEQPACKET, 0));
	TRY("af_smc", sock(43, SOCK_STREAM, 0));
	TRY("af_xdp", sock(44, SOCK_RAW, 0));
	TRY("af_bluetooth", sock(31, SOCK_RAW, 0));
	TRY("af_can", sock(29, SOCK_RAW, 1));
	TRY("af_rds", sock(21, SOCK_SEQPACKET, 0));
	TRY("af_tipc", sock(30, SOCK_RDM, 0));
	TRY("af_key", sock(15, SOCK_RAW, 2));
	TRY("af_kcm", sock(41, SOCK_DGRAM, 0));
	TRY("af_nfc", sock(39, SOCK_STREAM, 0));
	TRY("af_qipcrtr", sock(42, SOCK_DGRAM, 0));
	TRY("af_mctp", sock(45, SOCK_DGRAM, 0));
	TRY("af_rxrpc", sock(33, SOCK_DGRAM, AF_INET));
	TRY("af_pppox", sock(24, SOCK_STREAM, 0));
	TRY("af_ax25", sock(3, SOCK_SEQPACKET, 0));
	TRY("af_x25", sock(9, SOCK_SEQPACKET, 0));
	TRY("af_appletalk", sock(5, SOCK_DGRAM, 0));
	TRY("af_llc", sock(26, SOCK_STREAM, 0));
	TRY("af_ieee802154", sock(36, SOCK_DGRAM, 0));
	TRY("af_phonet", sock(35, SOCK_DGRAM, 0));
	TRY("netlink-route", sock(AF_NETLINK, SOCK_RAW, 0));
	TRY("netlink-sock_diag", sock(AF_NETLINK, SOCK_RAW, 4));
	TRY("netlink-xfrm", sock(AF_NETLINK, SOCK_RAW, 6));
	TRY("netlink-audit", sock(AF_NETLINK, SOCK_RAW, 9));
	TRY("netlink-netfilter", sock(AF_NETLINK, SOCK_RAW, 12));
	TRY("netlink-uevent", sock(AF_NETLINK, SOCK_RAW, 15));
	TRY("netlink-generic", sock(AF_NETLINK, SOCK_RAW, 16));
	TRY("netlink-connector", sock(AF_NETLINK, SOCK_RAW, 11));
	TRY("netlink-crypto", sock(AF_NETLINK, SOCK_RAW, 21));
	TRY("socketpair-vsock", sockpair(AF_VSOCK, SOCK_STREAM, 0));
	TRY("socketpair-tipc", sockpair(30, SOCK_STREAM, 0));
	TRY("fastopen-sendto", fastopen(0));
	TRY("fastopen-sendto6", fastopen(1));
	TRY("fastopen-sendmsg", fastopen_msg(0));
	TRY("fastopen-sendmmsg", fastopen_msg(1));
	TRY("fastopen-connect", fastopen_connect());
	TRY("tcp-ulp", ulp());

	TRY("tiocsti", tty_inject(TIOCSTI, "x"));
	TRY("tiocsti-high-word", tty_inject(0x100000000ul | TIOCSTI, "x"));
	TRY("tioclinux", tty_inject(TIOCLINUX, "\x02"));
	TRY("fs-ioc-setflags", ({
		int f = 0x10, fd = open(".", O_RDONLY);
		ioctl(fd, _IOW('f', 2, long), &f);
	}));
	TRY("siocsifaddr", ({
		int fd = socket(AF_INET, SOCK_DGRAM, 0);
		ioctl(fd, 0x8916, buf);
	}));

	CHILD("personality-readimplies", personality(READ_IMPLIES_EXEC));
	CHILD("mmap-null", exec_stack());
	SYS("setuid-0", SYS_setuid, 0);
	SYS("setresuid-0", SYS_setresuid, 0, 0, 0);
	SYS("setgroups", SYS_setgroups, 1, buf);
	SYS("capset", SYS_capset, ({
		static unsigned h[2] = { 0x20080522, 0 };
		h;
	}),
		({
			static unsigned d[6] = { 1u << 21, 1u << 21, 1u << 21 };
			d;
		}));
	TRY("prctl-ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0));
	TRY("prctl-mm", prctl(PR_SET_MM, 1, 4096, 0, 0));
	TRY("no_new_privs-off", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SYS("sched-fifo", SYS_sched_setscheduler, 0, 1, ({
		static int p = 1;
		&p;
	}));
	TRY("nice-up", setpriority(PRIO_PROCESS, 0, -5));
	TRY("rlimit-core-up",
		setrlimit(RLIMIT_CORE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }));
	SYS("mknod-device", SYS_mknodat, AT_FDCWD, "n0", S_IFCHR | 0666, 0x103);
	SYS("mknod-block", SYS_mknodat, AT_FDCWD, "n1", S_IFBLK | 0666, 0xfe00);

#ifdef __x86_64__
	CHILD("int80-getpid", int80(20, 0, 0, 0));
	CHILD("int80-execve", int80(11, 0, 0, 0));
	CHILD("int80-socketcall", int80(102, 1, 0, 0));
	CHILD("x32-getpid", syscall(0x40000000 | 39));
	CHILD("x32-execve", syscall(0x40000000 | 520, 0, 0, 0));
	CHILD("x32-ptrace", syscall(0x40000000 | 521, 0, 0, 0));
#endif
	CHILD("nr-minus-one", syscall(-1L));
	CHILD("nr-high-word", syscall(0x100000000L | SYS_ptrace, PTRACE_SEIZE, 1, 0, 0));
	CHILD("nr-unknown", syscall(999));

	// What must go on working: a sandbox that breaks programs is turned off.
	TRY("fork", ({
		pid_t p = fork();
		if (p == 0)
			_exit(0);
		waitpid(p, NULL, 0);
		p;
	}));
	TRY("tcp", sock(AF_INET, SOCK_STREAM, 0));
	TRY("tcp6", sock(AF_INET6, SOCK_STREAM, 0));
	TRY("udp", sock(AF_INET, SOCK_DGRAM, 0));
	TRY("unix", sock(AF_UNIX, SOCK_STREAM, 0));
	TRY("socketpair-unix", sockpair(AF_UNIX, SOCK_STREAM, 0));
	TRY("memfd", memfd_create("x", 0));
	SYS("statx", SYS_statx, AT_FDCWD, ".", 0, 0, buf);
	SYS("epoll", SYS_epoll_create1, 0);
	SYS("inotify", SYS_inotify_init1, 0);
	SYS("getrandom", SYS_getrandom, buf, 8, 0);
	SYS("rseq-membarrier", SYS_membarrier, 0, 0, 0);
	SYS("landlock-version", 444, 0, 0, 1);
	SYS("close_range", SYS_close_range, 900, 1000, 0);
	SYS("openat2", SYS_openat2, AT_FDCWD, ".", (uint64_t[]){ O_RDONLY, 0, 0 }, 24);
	SYS("faccessat2", 439, AT_FDCWD, ".", 4, 0);
	SYS("pidfd_open-self", SYS_pidfd_open, getpid(), 0);
	SYS("futex", SYS_futex, buf, 1, 1, 0, 0, 0);
	TRY("pty", posix_openpt(O_RDWR | O_NOCTTY));
	return 0;
}
