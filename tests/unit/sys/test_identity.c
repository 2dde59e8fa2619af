/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a TCP connect is recorded under its socket's cookie with the right executable and
 * ancestors, whoever in the process calls it and whatever became of the file; what can't be
 * established says so; the call proceeds only when the record was taken on.
 * Method: a child installs a filter that notifies on connect, hands the descriptor over and runs a
 * client; the test serves notifications until the child ends.  Clients that need an executable of
 * their own are copies of this program, run with the argument "client".
 */
#include "unit/test.h"

#include "sys/identity.c"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/un.h>
#include <sys/wait.h>

#define COOKIE_FD   100 /* the client writes its sockets' cookies here; no other gets so high */
#define RECORDS_MAX 16
#define THREADS     4
#define SERVE_MS    5000

struct copy {
	uint64_t cookie;
	uint32_t pid;
	char unknown[REASON_BYTES_MAX], changed[PATH_MAX], exe[PATH_MAX], ancestor[2][PATH_MAX];
	size_t ancestor_count;
};

static struct {
	int listener;
	uint16_t port;
	char self[PATH_MAX], dir[64], tool[PATH_MAX];
	struct copy record[RECORDS_MAX];
	size_t count;
	int refusals; /* how often the callback says no */
	int cookies;  /* pipe of the last child */
} t;

/* --- Clients ------------------------------------------------------------------------------ */

static int connect_tcp(uint16_t port)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);

	if (s < 0 || getsockopt(s, SOL_SOCKET, SO_COOKIE, &cookie, &n) < 0 ||
		write(COOKIE_FD, &cookie, sizeof(cookie)) != sizeof(cookie))
		return 3;
	if (connect(s, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return 4;
	close(s);
	return 0;
}

static int client_plain(void)
{
	return connect_tcp(t.port);
}

static void *client_thread(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)connect_tcp(t.port);
}

static int client_threads(void)
{
	pthread_t thread[THREADS];
	void *result;
	int status = 0;

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, client_thread, NULL) != 0)
			return 5;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], &result);
		status |= (int)(intptr_t)result;
	}
	return status;
}

static int wait_status(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return 6;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 7;
}

/* Runs the copy of this program as a child of the client. */
static int run_tool(const char *what)
{
	char port[8];
	const pid_t pid = fork();

	if (pid == 0) {
		snprintf(port, sizeof(port), "%u", t.port);
		execl(t.tool, "tool", "client", port, what, (char *)NULL);
		_exit(8);
	}
	return wait_status(pid);
}

static int client_tool(void)
{
	return run_tool("keep");
}

static int client_tool_unlinks(void)
{
	return run_tool("unlink");
}

static int client_memfd(void)
{
	char port[8], name[] = "tool", client[] = "client", what[] = "keep";
	char *argv[] = { name, client, port, what, NULL };
	const int file = open(t.tool, O_RDONLY), mem = memfd_create("tool", 0);
	struct stat st;

	snprintf(port, sizeof(port), "%u", t.port);
	if (fstat(file, &st) < 0 || sendfile(mem, file, NULL, (size_t)st.st_size) != st.st_size)
		return 9;
	close(file);
	fexecve(mem, argv, environ);
	return 10;
}

static int client_others(void)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(t.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_un none = { .sun_family = AF_UNIX, .sun_path = "/nonexistent" };
	const int udp = socket(AF_INET, SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);

	if (connect(udp, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return 11;
	if (connect(local, (const struct sockaddr *)&none, sizeof(none)) == 0 || errno != ENOENT)
		return 12;
	return connect(200, (const struct sockaddr *)&to, sizeof(to)) < 0 && errno == EBADF ? 0
											    : 13;
}

/* The client is process 2 of its own pid namespace, in its own user namespace. */
static int client_namespaces(void)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
		return 14;
	const pid_t init = fork();
	if (init == 0) {
		const pid_t pid = fork();

		if (pid == 0)
			_exit(connect_tcp(t.port));
		_exit(wait_status(pid));
	}
	return wait_status(init);
}

static int tool_main(char **argv)
{
	if (strcmp(argv[3], "unlink") == 0) {
		char path[PATH_MAX] = "";

		if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0 || unlink(path) < 0)
			return 15;
	}
	return connect_tcp((uint16_t)strtoul(argv[2], NULL, 10));
}

/* --- The harness -------------------------------------------------------------------------- */

static int filter_install(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = CV_ARRAY_LEN(code), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
}

static void fd_send(int sock, int fd)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)
	};

	memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	if (sendmsg(sock, &m, 0) != 1)
		_exit(20);
}

static int fd_receive(int sock)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)
	};
	int fd;

	assert_int_equal(recvmsg(sock, &m, 0), 1);
	assert_int_equal(m.msg_controllen, CMSG_SPACE(sizeof(int)));
	memcpy(&fd, CMSG_DATA(&c.h), sizeof(fd));
	return fd;
}

static pid_t start(int (*client)(void), int *ret_notify)
{
	int pair[2], pipe_fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK), 0);
	t.count = 0;
	const pid_t pid = fork();
	if (pid == 0) {
		if (dup2(pipe_fd[1], COOKIE_FD) < 0)
			_exit(21);
		const int notify = filter_install();
		if (notify < 0)
			_exit(21);
		fd_send(pair[0], notify);
		close(notify);
		_exit(client());
	}
	*ret_notify = fd_receive(pair[1]);
	cv_identity_prepare(*ret_notify);
	close(pair[0]);
	close(pair[1]);
	close(pipe_fd[1]);
	t.cookies = pipe_fd[0];
	return pid;
}

static void put(char *to, size_t size, struct cv_str s)
{
	assert_true(cv_str_to_cstr(s, to, size));
}

static bool take(const struct cv_identity_record *r, void *arg)
{
	(void)arg;
	if (t.refusals) {
		t.refusals--;
		return false;
	}
	assert_true(t.count < RECORDS_MAX);
	struct copy *c = &t.record[t.count++];
	c->cookie = r->cookie;
	c->pid = r->pid;
	c->ancestor_count = r->ancestor_count;
	put(c->unknown, sizeof(c->unknown), r->unknown_reason);
	put(c->changed, sizeof(c->changed), r->changed_path);
	put(c->exe, sizeof(c->exe), r->exe);
	for (size_t i = 0; i < CV_MIN(r->ancestor_count, CV_ARRAY_LEN(c->ancestor)); i++)
		put(c->ancestor[i], PATH_MAX, r->ancestors[i]);
	return true;
}

static void await(int notify)
{
	struct pollfd p = { .fd = notify, .events = POLLIN };

	assert_int_equal(poll(&p, 1, SERVE_MS), 1);
}

/* Serves until the filter has no process left; the client must have succeeded. */
static void serve(struct cv_identity *id, pid_t pid, int notify)
{
	struct pollfd p = { .fd = notify, .events = POLLIN };
	struct cv_err err;

	for (;;) {
		assert_int_equal(poll(&p, 1, SERVE_MS), 1);
		if (!(p.revents & POLLIN))
			break;
		assert_int_equal(cv_identity_serve(id, notify, take, NULL, &err), CV_OK);
	}
	assert_int_equal(wait_status(pid), 0);
	close(notify);
}

static struct cv_identity *identity(pid_t init)
{
	struct cv_identity *id;
	struct cv_err err;

	assert_int_equal(cv_identity_new(init, &id, &err), CV_OK);
	return id;
}

static void run(struct cv_identity *id, int (*client)(void))
{
	int notify;
	const pid_t pid = start(client, &notify);

	serve(id, pid, notify);
}

static uint64_t cookie_next(void)
{
	uint64_t cookie;

	assert_int_equal(read(t.cookies, &cookie, sizeof(cookie)), sizeof(cookie));
	return cookie;
}

/* The copy of this program, as it is, or with one byte more. */
static void tool_write(bool is_changed)
{
	const int from = open(t.self, O_RDONLY),
		  to = open(t.tool, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	struct stat st;

	assert_true(from >= 0 && to >= 0);
	assert_int_equal(fstat(from, &st), 0);
	assert_int_equal(sendfile(to, from, NULL, (size_t)st.st_size), st.st_size);
	if (is_changed)
		assert_int_equal(write(to, "x", 1), 1);
	close(from);
	close(to);
}

/* --- Tests -------------------------------------------------------------------------------- */

static void caller_and_cookie(void **state)
{
	struct cv_identity *id = identity(getpid());
	int notify;

	(void)state;
	const pid_t pid = start(client_plain, &notify);
	serve(id, pid, notify);
	assert_int_equal(t.count, 1);
	assert_string_equal(t.record[0].unknown, "");
	assert_string_equal(t.record[0].exe, t.self);
	assert_int_equal(t.record[0].cookie, cookie_next());
	assert_int_equal(t.record[0].pid, pid);
	assert_int_equal(t.record[0].ancestor_count, 0); /* the test is init */
	close(t.cookies);
	cv_identity_free(id);
}

static void threads_that_are_not_leader(void **state)
{
	struct cv_identity *id = identity(getpid());
	int notify;

	(void)state;
	const pid_t pid = start(client_threads, &notify);
	serve(id, pid, notify);
	assert_int_equal(t.count, THREADS);
	for (int i = 0; i < THREADS; i++) {
		const uint64_t cookie = cookie_next();
		bool is_found = false;

		for (size_t k = 0; k < t.count; k++)
			is_found |= t.record[k].cookie == cookie;
		assert_true(is_found);
		assert_string_equal(t.record[i].unknown, "");
		assert_int_equal(t.record[i].pid, pid);
	}
	close(t.cookies);
	cv_identity_free(id);
}

static void other_executable_and_ancestor(void **state)
{
	struct cv_identity *id = identity(getpid());

	(void)state;
	tool_write(false);
	run(id, client_tool);
	assert_int_equal(t.count, 1);
	assert_string_equal(t.record[0].unknown, "");
	assert_string_equal(t.record[0].exe, t.tool);
	assert_int_equal(t.record[0].ancestor_count, 1);
	assert_string_equal(t.record[0].ancestor[0], t.self);
	close(t.cookies);
	cv_identity_free(id);
}

static void deleted_executable(void **state)
{
	struct cv_identity *id = identity(getpid());

	(void)state;
	tool_write(false);
	run(id, client_tool_unlinks);
	assert_int_equal(t.count, 1);
	assert_string_equal(t.record[0].unknown, "");
	assert_string_equal(t.record[0].exe, t.tool);
	close(t.cookies);
	cv_identity_free(id);
}

static void p3_changed_executable(void **state)
{
	struct cv_identity *id = identity(getpid());

	(void)state;
	for (int i = 0; i < 3; i++) {
		tool_write(i == 1);
		run(id, client_tool);
		assert_int_equal(t.count, 1);
		assert_string_equal(t.record[0].unknown, "");
		assert_string_equal(t.record[0].changed, i == 1 ? t.tool : "");
		close(t.cookies);
	}
	tool_write(true);
	cv_identity_hashing_set(id, false);
	run(id, client_tool);
	assert_string_equal(t.record[0].changed, "");
	close(t.cookies);
	cv_identity_free(id);
}

static void p3_executable_in_memory(void **state)
{
	struct cv_identity *id = identity(getpid());

	(void)state;
	tool_write(false);
	run(id, client_memfd);
	assert_int_equal(t.count, 1);
	assert_true(t.record[0].unknown[0]);
	close(t.cookies);
	cv_identity_free(id);
}

static void other_sockets_have_no_record(void **state)
{
	struct cv_identity *id = identity(getpid());

	(void)state;
	run(id, client_others);
	assert_int_equal(t.count, 0);
	close(t.cookies);
	cv_identity_free(id);
}

static void pid_is_the_inner_one(void **state)
{
	int notify;
	const pid_t pid = start(client_namespaces, &notify);
	struct cv_identity *id = identity(pid);

	(void)state;
	serve(id, pid, notify);
	assert_int_equal(t.count, 1);
	assert_string_equal(t.record[0].unknown, "");
	assert_int_equal(t.record[0].pid, 2);
	assert_int_equal(t.record[0].ancestor_count, 1); /* process 1 of the namespace */
	close(t.cookies);
	cv_identity_free(id);
}

static void waits_until_the_record_is_taken(void **state)
{
	struct cv_identity *id = identity(getpid());
	struct pollfd accepts = { .fd = t.listener, .events = POLLIN };
	struct cv_err err;
	int notify, status;

	(void)state;
	while (poll(&accepts, 1, 0) == 1) /* of earlier tests */
		close(accept(t.listener, NULL, NULL));
	const pid_t pid = start(client_plain, &notify);
	await(notify);
	t.refusals = 3;
	assert_int_equal(cv_identity_serve(id, notify, take, NULL, &err), CV_UNAVAILABLE);
	assert_int_equal(cv_identity_serve(id, notify, take, NULL, &err), CV_UNAVAILABLE);
	assert_int_equal(cv_identity_resume(id, notify, take, NULL, &err), CV_UNAVAILABLE);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	assert_int_equal(poll(&accepts, 1, 20), 0); /* it did not proceed */
	assert_int_equal(cv_identity_resume(id, notify, take, NULL, &err), CV_OK);
	assert_int_equal(t.count, 1);
	assert_int_equal(t.record[0].cookie, cookie_next());
	serve(id, pid, notify);
	assert_int_equal(t.count, 1);
	assert_int_equal(poll(&accepts, 1, 0), 1);
	close(t.cookies);
	cv_identity_free(id);
}

static void p4_caller_that_ended_has_no_record(void **state)
{
	struct cv_identity *id = identity(getpid());
	struct cv_err err;
	int notify;

	(void)state;
	const pid_t pid = start(client_plain, &notify);
	await(notify);
	t.refusals = 1;
	assert_int_equal(cv_identity_serve(id, notify, take, NULL, &err), CV_UNAVAILABLE);
	kill(pid, SIGKILL);
	wait_status(pid);
	assert_int_equal(cv_identity_resume(id, notify, take, NULL, &err), CV_OK);
	assert_int_equal(t.count, 0);
	close(notify);
	close(t.cookies);
	cv_identity_free(id);
}

static void status_text(void **state)
{
	const struct status s = status_parse(CV_STR("Name:\tPPid:\\n1\nTgid:\t17\nPid:\t18\n"
						    "PPid:\t12\nNStgid:\t17\t5\t2\nNSpid:\t18\n"));

	(void)state;
	assert_int_equal(s.tgid, 17);
	assert_int_equal(s.ppid, 12);
	assert_int_equal(s.inner_pid, 2);
	assert_int_equal(status_parse(CV_STR("PPid:\t12")).ppid, 0); /* cut: may be 123 */
	assert_int_equal(status_parse(CV_STR("PPid:\tx\n")).ppid, 0);
	assert_int_equal(status_parse(CV_STR("")).tgid, 0);
}

static int setup(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);

	(void)state;
	t.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(t.listener, (struct sockaddr *)&at, n) < 0 || listen(t.listener, 64) < 0 ||
		getsockname(t.listener, (struct sockaddr *)&at, &n) < 0)
		return -1;
	t.port = ntohs(at.sin_port);
	snprintf(t.dir, sizeof(t.dir), "/tmp/cove-identity-XXXXXX");
	if (!mkdtemp(t.dir) || readlink("/proc/self/exe", t.self, sizeof(t.self) - 1) < 0)
		return -1;
	snprintf(t.tool, sizeof(t.tool), "%s/tool", t.dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(t.tool);
	return rmdir(t.dir);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(caller_and_cookie),
		cmocka_unit_test(threads_that_are_not_leader),
		cmocka_unit_test(other_executable_and_ancestor),
		cmocka_unit_test(deleted_executable),
		cmocka_unit_test(p3_changed_executable),
		cmocka_unit_test(p3_executable_in_memory),
		cmocka_unit_test(other_sockets_have_no_record),
		cmocka_unit_test(pid_is_the_inner_one),
		cmocka_unit_test(waits_until_the_record_is_taken),
		cmocka_unit_test(p4_caller_that_ended_has_no_record),
		cmocka_unit_test(status_text),
	};

	if (argc == 4 && strcmp(argv[1], "client") == 0)
		return tool_main(argv);
	return cmocka_run_group_tests_name("sys/identity", tests, setup, teardown);
}
