/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_seccomp_live.c - the filters in the kernel: calls are refused, real programs work
 *
 * Goal: what the interpreter of test_seccomp.c promises holds in this kernel, the listener hears of
 * connect(), and AGENT breaks none of the programs that people run.
 *
 * Method: each test forks; the child installs a filter, does one thing and exits with 0 or with a
 * line on stderr.  Programs that this machine lacks are skipped aloud.
 */
#include "unit/test.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "sys/seccomp.h"

#define CHILD_SECONDS_MAX 60 /* a child that hangs is a failure */

static void enter(enum cv_seccomp_profile p, int *ret_notify_fd)
{
	struct cv_err err = { 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		_exit(10);
	if (cv_seccomp_install(p, ret_notify_fd, &err) != CV_OK) {
		fprintf(stderr, "%s\n", err.msg);
		_exit(11);
	}
}

/* Runs body in a child; its wait status. */
static int in_child(void (*body)(void *), void *arg)
{
	int status = -1;
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(CHILD_SECONDS_MAX);
		body(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void needs_no_new_privs(void *arg)
{
	struct cv_err err = { 0 };
	(void)arg;

	if (cv_seccomp_install(CV_SECCOMP_AGENT, NULL, &err) != CV_INVALID)
		_exit(1);
}

static void install_needs_no_new_privs(void **state)
{
	(void)state;

	assert_int_equal(in_child(needs_no_new_privs, NULL), 0);
}

struct attempt {
	const char *what;
	long nr;
	unsigned long args[5];
	int want; /* errno */
};

/* clang-format off */
static const struct attempt attempts[] = {
	{ "ptrace", SYS_ptrace, { 0 }, EPERM },
	{ "process_vm_readv", SYS_process_vm_readv, { 1 }, EPERM },
	{ "pidfd_getfd", SYS_pidfd_getfd, { 0 }, EPERM },
	{ "kcmp", SYS_kcmp, { 1, 1 }, EPERM },
	{ "bpf", SYS_bpf, { 0 }, EPERM },
	{ "perf_event_open", SYS_perf_event_open, { 0 }, EPERM },
	{ "userfaultfd", SYS_userfaultfd, { 0 }, EPERM },
	{ "keyctl", SYS_keyctl, { 0 }, EPERM },
	{ "add_key", SYS_add_key, { 0 }, EPERM },
	{ "request_key", SYS_request_key, { 0 }, EPERM },
	{ "mount", SYS_mount, { 0 }, EPERM },
	{ "umount2", SYS_umount2, { 0 }, EPERM },
	{ "fsopen", SYS_fsopen, { 0 }, EPERM },
	{ "open_tree", SYS_open_tree, { 0 }, EPERM },
	{ "move_mount", SYS_move_mount, { 0 }, EPERM },
	{ "mount_setattr", SYS_mount_setattr, { 0 }, EPERM },
	{ "pivot_root", SYS_pivot_root, { 0 }, EPERM },
	{ "chroot", SYS_chroot, { 0 }, EPERM },
	{ "setns", SYS_setns, { 0 }, EPERM },
	{ "unshare user", SYS_unshare, { CLONE_NEWUSER }, EPERM },
	{ "fanotify_init", SYS_fanotify_init, { 0 }, EPERM },
	{ "open_by_handle_at", SYS_open_by_handle_at, { 0 }, EPERM },
	{ "kexec_load", SYS_kexec_load, { 0 }, EPERM },
	{ "finit_module", SYS_finit_module, { 0 }, EPERM },
	{ "quotactl", SYS_quotactl, { 0 }, EPERM },
	{ "acct", SYS_acct, { 0 }, EPERM },
	{ "swapoff", SYS_swapoff, { 0 }, EPERM },
	{ "reboot", SYS_reboot, { 0 }, EPERM },
	{ "syslog", SYS_syslog, { 3 }, EPERM },
	{ "clock_settime", SYS_clock_settime, { 0 }, EPERM },
	{ "mbind", SYS_mbind, { 0 }, EPERM },
	{ "clone newuser", SYS_clone, { CLONE_NEWUSER | SIGCHLD }, EPERM },
	{ "clone3", SYS_clone3, { 0 }, ENOSYS },
	{ "io_uring_setup", SYS_io_uring_setup, { 1 }, ENOSYS },
	{ "number 999", 999, { 0 }, ENOSYS },
	{ "x32 read", 0x40000000, { 0 }, ENOSYS },
	{ "seccomp filter", SYS_seccomp, { SECCOMP_SET_MODE_FILTER }, EPERM },
	{ "prctl seccomp", SYS_prctl, { PR_SET_SECCOMP, 2 }, EPERM },
	{ "prctl mm", SYS_prctl, { PR_SET_MM }, EPERM },
	{ "personality", SYS_personality, { 0x0400000 }, EPERM }, /* READ_IMPLIES_EXEC */
	{ "TIOCSTI", SYS_ioctl, { 0, TIOCSTI }, EPERM },
	{ "TIOCSTI, high half", SYS_ioctl, { 0, TIOCSTI | 1ul << 32 }, EPERM },
	{ "TIOCLINUX", SYS_ioctl, { 0, TIOCLINUX }, EPERM },
	{ "AF_VSOCK", SYS_socket, { AF_VSOCK, SOCK_STREAM }, EPERM },
	{ "AF_ALG", SYS_socket, { AF_ALG, SOCK_SEQPACKET }, EPERM },
	{ "AF_PACKET", SYS_socket, { AF_PACKET, SOCK_RAW }, EPERM },
	{ "MPTCP", SYS_socket, { AF_INET, SOCK_STREAM, 262 }, EPERM },
	{ "UDP-Lite", SYS_socket, { AF_INET, SOCK_DGRAM, 136 }, EPERM },
	{ "ICMP", SYS_socket, { AF_INET, SOCK_DGRAM, IPPROTO_ICMP }, EPERM },
	{ "sock_diag", SYS_socket, { AF_NETLINK, SOCK_RAW, 4 }, EPERM },
	{ "Fast Open", SYS_sendto, { ~0ul, 0, 0, MSG_FASTOPEN }, EPERM },
	{ "execveat a memfd", SYS_execveat, { ~0ul, 0, 0, 0, 0x1000 }, EPERM },
	/* Through the filter: the kernel's own answers. */
	{ "a bad descriptor", SYS_ioctl, { ~0ul, TIOCGWINSZ }, EBADF },
	{ "a bad pidfd", SYS_pidfd_send_signal, { ~0ul, 0 }, EBADF },
	{ "a bad sendto", SYS_sendto, { ~0ul, 0, 0, MSG_NOSIGNAL }, EBADF },
};
/* clang-format on */

static void attempt(void *arg)
{
	const struct attempt *a = arg;

	enter(CV_SECCOMP_AGENT, NULL);
	errno = 0;
	const long rc = syscall(a->nr, a->args[0], a->args[1], a->args[2], a->args[3], a->args[4]);

	if (rc == -1 && errno == a->want)
		_exit(0);
	fprintf(stderr, "%s: %ld, %s\n", a->what, rc, strerror(errno));
	_exit(1);
}

static void p1_agent_is_refused_by_errno(void **state)
{
	(void)state;

	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		struct attempt a = attempts[i];

		assert_int_equal(in_child(attempt, &a), 0);
	}
}

#if defined(__x86_64__)
static void call_int80(void *arg)
{
	long rc = 20; /* getpid of i386 */
	(void)arg;

	enter(CV_SECCOMP_AGENT, NULL);
	__asm__ volatile("int $0x80" : "+a"(rc) : : "memory", "r8", "r9", "r10", "r11");
	fprintf(stderr, "int 0x80 returned %ld\n", rc);
	_exit(0);
}

static void p1_int80_kills(void **state)
{
	(void)state;
	const int status = in_child(call_int80, NULL);

	/* SIGSEGV: a kernel without 32-bit emulation has no such gate at all. */
	assert_true(WIFSIGNALED(status));
	assert_true(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
}
#endif

/* A grandchild connects; the child, which holds the listener, refuses with an errno of its own. */
static void answer_connect(void *arg)
{
	struct seccomp_notif req = { 0 };
	struct seccomp_notif_resp resp = { .error = -ENETDOWN };
	int listener = -1, status = -1;
	(void)arg;

	enter(CV_SECCOMP_AGENT_NOTIFY, &listener);
	const pid_t pid = fork();

	if (pid == 0) {
		const struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
		const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		_exit(connect(s, (const struct sockaddr *)&to, sizeof(to)) == -1 ? errno : 0);
	}
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req) != 0 || req.data.nr != SYS_connect)
		_exit(2);
	resp.id = req.id;
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) != 0)
		_exit(3);
	if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != ENETDOWN)
		_exit(4);
	/* Without a listener the call fails: nobody would know who connects. */
	close(listener);
	if (connect(-1, NULL, 0) != -1 || errno != ENOSYS)
		_exit(5);
}

static void listener_hears_connect(void **state)
{
	(void)state;

	assert_int_equal(in_child(answer_connect, NULL), 0);
}

struct misdeed {
	enum cv_seccomp_profile profile;
	long nr;
	unsigned long args[4];
};

static void misbehave(void *arg)
{
	const struct misdeed *m = arg;

	enter(m->profile, NULL);
	syscall(m->nr, m->args[0], m->args[1], m->args[2], m->args[3]);
	_exit(0);
}

static void own_process_is_killed(void **state)
{
	static const struct misdeed list[] = {
		{ CV_SECCOMP_PROXY, SYS_execve, { 0 } },
		{ CV_SECCOMP_PROXY, SYS_mmap, { 0, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS } },
		{ CV_SECCOMP_PROXY, SYS_kill, { 1, 0 } },
		{ CV_SECCOMP_KEEPER, SYS_socket, { AF_INET, SOCK_STREAM } },
		{ CV_SECCOMP_KEEPER, SYS_unlinkat, { ~0ul } },
		{ CV_SECCOMP_KEEPER, 999, { 0 } },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct misdeed m = list[i];
		const int status = in_child(misbehave, &m);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

static void abort_under(void *arg)
{
	enter(*(const enum cv_seccomp_profile *)arg, NULL);
	abort();
}

static void own_process_can_abort(void **state)
{
	enum cv_seccomp_profile both[] = { CV_SECCOMP_PROXY, CV_SECCOMP_KEEPER };
	(void)state;

	for (size_t i = 0; i < 2; i++) {
		const int status = in_child(abort_under, &both[i]);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

struct program {
	const char *needs; /* found by `command -v`, else skipped */
	const char *script;
};

static const struct program programs[] = {
	{ "sort", "test \"$(printf 'b\\na\\n' | sort | head -n 1)\" = a" },
	{ "tar",
		"mkdir t && echo x > t/f && ln -s f t/l && mkfifo t/p && tar cf t.tar t && tar xf t.tar" },
	{ "python3",
		"python3 -c '\n"
		"import threading, subprocess, multiprocessing, socket, mmap\n"
		"t = threading.Thread(target=lambda: subprocess.check_call([\"true\"])); t.start(); t.join()\n"
		"with multiprocessing.Pool(2) as p: assert p.map(abs, [-1, 2]) == [1, 2]\n"
		"a, b = socket.socketpair(); a.sendall(b\"x\"); assert b.recv(1) == b\"x\"\n"
		"s = socket.create_server((\"127.0.0.1\", 0)); c = socket.create_connection(s.getsockname())\n"
		"socket.getaddrinfo(\"localhost\", 80)\n'" },
	{ "node",
		"node -e '\n"
		"const cp = require(\"child_process\"); cp.execFileSync(\"true\");\n"
		"const net = require(\"net\"); const s = net.createServer(c => c.end());\n"
		"s.listen(0, \"127.0.0.1\", () => net.connect(s.address().port, \"127.0.0.1\")\n"
		"  .on(\"close\", () => require(\"fs\").readFile(\"/dev/null\", () => s.close())).resume());\n"
		"new (require(\"worker_threads\").Worker)(\"1\", { eval: true });'" },
	{ "git",
		"git init -q g && cd g && git config user.email a@b && git config user.name a && echo x > f && "
		"git add f && git commit -qm x && git gc -q && git clone -q . ../h" },
	{ "gcc",
		"printf '#include <stdio.h>\\nint main(void) { return puts(\"hi\") < 0; }' > h.c && gcc -O2 h.c -o h && "
		"test \"$(./h)\" = hi" },
	{ "make",
		"printf 'all: a b\\na b:\\n\\ttouch $@\\n' > Makefile && make -s -j2 && test -f b" },
	{ "go", "printf 'package main\\nimport (\"net\"; \"os/exec\"; \"sync\")\\nfunc main() {\\n"
		"var w sync.WaitGroup; for i := 0; i < 8; i++ { w.Add(1); go func() { exec.Command(\"true\").Run(); w.Done() }() }; w.Wait()\\n"
		"l, e := net.Listen(\"tcp\", \"127.0.0.1:0\"); if e != nil { panic(e) }\\n"
		"if _, e = net.Dial(\"tcp\", l.Addr().String()); e != nil { panic(e) } }\\n' > m.go && "
		"GOFLAGS=-mod=mod GO111MODULE=off GOTOOLCHAIN=local GOCACHE=$PWD/c go run m.go" },
	{ "java", "printf 'public class A { public static void main(String[] a) throws Exception { "
		  "Thread t = new Thread(() -> {}); t.start(); t.join(); "
		  "new java.net.ServerSocket(0).close(); "
		  "new ProcessBuilder(\"true\").start().waitFor(); } }' > A.java && java A.java" },
	{ "perl",
		"perl -e 'use POSIX; fork // die; mkfifo(\"q\", 0600) if $$; select(undef, undef, undef, 0.01)'" },
	{ "gdb", "gdb -q -batch -ex 'print 1' > /dev/null" },
};

static void run_script(void *arg)
{
	char dir[] = "/tmp/cv-seccomp-XXXXXX";

	if (!mkdtemp(dir) || chdir(dir) != 0)
		_exit(12);
	const pid_t pid = fork();

	if (pid == 0) {
		enter(CV_SECCOMP_AGENT, NULL);
		execl("/bin/sh", "sh", "-ec", (const char *)arg, NULL);
		_exit(13);
	}
	int status = -1;

	if (waitpid(pid, &status, 0) != pid)
		_exit(14);
	if (fork() == 0) /* outside the filter */
		execl("/bin/rm", "rm", "-rf", "--", dir, NULL);
	wait(NULL);
	_exit(status != 0);
}

static void look_for(void *arg)
{
	execl("/bin/sh", "sh", "-c", "command -v -- \"$0\" > /dev/null", (const char *)arg, NULL);
	_exit(1);
}

static void agent_runs_real_programs(void **state)
{
	(void)state;

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		const struct program *p = &programs[i];
		char script[2048], needs[32];

		snprintf(needs, sizeof(needs), "%s", p->needs);
		if (in_child(look_for, needs) != 0) {
			print_message("# SKIP %s: not on this machine\n", p->needs);
			continue;
		}
		assert_true(
			(size_t)snprintf(script, sizeof(script), "%s", p->script) < sizeof(script));
		if (in_child(run_script, script) != 0)
			fail_msg("%s does not work under the AGENT filter", p->needs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(install_needs_no_new_privs),
		cmocka_unit_test(p1_agent_is_refused_by_errno),
#if defined(__x86_64__)
		cmocka_unit_test(p1_int80_kills),
#endif
		cmocka_unit_test(listener_hears_connect),
		cmocka_unit_test(own_process_is_killed),
		cmocka_unit_test(own_process_can_abort),
		cmocka_unit_test(agent_runs_real_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
