/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_forward.c - forward start, stop, list, service
 *
 * A forward in the background is a process of ours, and a file that says which
 * (forwards/SANDBOX-PORT.pid: "pid, sandbox's id, address").  A pid is used again some day: a
 * process is taken for a forward only while it runs this program.
 */
#include "client/commands.h"
#include "client/forward.h"
#include "base/ip.h"
#include "sys/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_BYTES_MAX 1024
#define RECORDS_MAX      1024

struct record {
	const char *path, *sandbox, *port, *id, *addr;
	pid_t pid;
	bool is_running;
};

static const char *folder(struct cl *c)
{
	return cl_print(c, "%s/forwards", cl_config_dir(c));
}

static bool runs_us(struct cl *c, pid_t pid)
{
	char own[PATH_MAX], other[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", own, sizeof(own));
	const ssize_t m = readlink(cl_print(c, "/proc/%d/exe", (int)pid), other, sizeof(other));

	return pid > 1 && n > 0 && n == m && memcmp(own, other, (size_t)n) == 0;
}

static bool record_read(struct cl *c, const char *file, struct record *ret)
{
	const struct cv_str name = cv_str_of(file);
	const size_t dash = cv_str_rfind_byte(name, '-');
	struct cv_str text;
	uint64_t pid;

	if (dash >= name.n || !cv_str_has_suffix(name, CV_STR(".pid")))
		return false;
	ret->path = cl_print(c, "%s/%s", folder(c), file);
	if (!cl_file_slurp(c, ret->path, RECORD_BYTES_MAX, &text))
		return false;
	text.n = cv_str_find_byte(text, '\n');
	const struct cv_str number = cv_str_cut(&text, '\t');
	if (!cv_str_to_u64(number, INT32_MAX, &pid))
		return false;
	const struct cv_str id = cv_str_cut(&text, '\t');
	ret->pid = (pid_t)pid;
	ret->id = cl_print(c, "%.*s", CV_STR_ARG(id));
	ret->addr = cl_print(c, "%.*s", CV_STR_ARG(text));
	ret->sandbox = cl_print(c, "%.*s", (int)dash, file);
	ret->port = cl_print(c, "%.*s", (int)(name.n - dash - 5), file + dash + 1);
	ret->is_running = runs_us(c, ret->pid);
	return true;
}

static struct record *records(struct cl *c, size_t *ret)
{
	struct record *v = cl_alloc(c, RECORDS_MAX * sizeof(*v));
	DIR *dir = opendir(folder(c));

	*ret = 0;
	for (const struct dirent *e; dir && *ret < RECORDS_MAX && (e = readdir(dir));)
		*ret += record_read(c, e->d_name, &v[*ret]);
	if (dir)
		closedir(dir);
	return v;
}

static void record_end(const struct record *r)
{
	if (r->is_running)
		(void)kill(r->pid, SIGTERM);
	unlink(r->path);
}

void cl_forwards_stop(struct cl *c, const char *id)
{
	size_t n;
	const struct record *v = records(c, &n);

	/* Another workspace, or another gateway, has its own of the same name. */
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].id, id) == 0)
			record_end(&v[i]);
}

/* ---- in the background ---- */

static CV_NORETURN void background_run(
	struct cl *c, int listener, const struct cl_forward_to *to, int ready)
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (c->rpc)
		close(cv_rpc_client_fd(c->rpc)); /* the parent's: it says goodbye on it */
	c->rpc = NULL;
	cl_connect(c);
	(void)!write(ready, "", 1);
	close(ready);
	for (int fd = 0; fd < 3; fd++)
		(void)dup2(null, fd);
	if (chdir("/") < 0)
		_exit(CL_EXIT_FAILED);
	cl_forward_serve(c, listener, to);
}

void cl_forward_background(
	struct cl *c, const char *sandbox, const char *id, const char *addr, uint32_t port)
{
	const struct cl_forward_to to = { id, "127.0.0.1", port, NULL };
	const char *path = cl_print(c, "%s/%s-%u.pid", folder(c), sandbox, port);
	char byte;
	int ends[2];

	const int listener = cl_listen(c, addr, &port);
	fflush(NULL);
	if (pipe2(ends, O_CLOEXEC) < 0)
		cl_die(c, "pipe: %s", strerror(errno));
	const pid_t pid = fork();
	if (pid < 0)
		cl_die(c, "fork: %s", strerror(errno));
	if (pid == 0) {
		close(ends[0]);
		background_run(c, listener, &to, ends[1]);
	}
	close(ends[1]);
	close(listener);
	if (read(ends[0], &byte, 1) != 1) { /* what was wrong, it has said */
		(void)cv_child_wait(pid, NULL);
		exit(CL_EXIT_FAILED);
	}
	close(ends[0]);
	cl_file_write(c, path, cv_str_of(cl_print(c, "%d\t%s\t%s\n", (int)pid, id, addr)));
	cl_mark(c, 'v', "Forwarding port %u to sandbox %s in the background", port,
		cl_shown(c, sandbox));
	printf(strchr(addr, ':') ? "Access at: http://[%s]:%u/\n" : "Access at: http://%s:%u/\n",
		addr, port);
	printf("Stop with: %s forward stop %u %s\n", c->program, port, cl_shown(c, sandbox));
}

/* ---- the commands ---- */

int cl_run_forward_start(struct cl *c)
{
	const char *addr;
	uint32_t port;

	cl_listen_parse(c, cl_arg(&c->w, 0), false, &addr, &port);
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 1), true);
	if (cl_has(&c->w, "background")) {
		cl_forward_background(c, s->metadata->name, s->metadata->id, addr, port);
		return 0;
	}
	const struct cl_forward_to to = { s->metadata->id, "127.0.0.1", port, NULL };
	const int listener = cl_listen(c, addr, &port);
	cl_note(c, "Forwarding %s:%u to sandbox %s (Ctrl-C ends it)", addr, port,
		cl_shown(c, s->metadata->name));
	cl_forward_serve(c, listener, &to);
}

int cl_run_forward_service(struct cl *c)
{
	const char *local = cl_flag(&c->w, "local"), *host = cl_flag(&c->w, "target-host");
	const uint32_t target = cl_number(&c->w, "target-port", 0);
	const char *addr = "127.0.0.1";
	uint32_t port = target;

	if (!cl_has(&c->w, "target-port"))
		cl_die_usage(c, "the following required arguments were not provided: "
				"--target-port <PORT>");
	if (!target || target > 65535)
		cl_die_usage(c, "invalid value '%s' for '--target-port <PORT>': 1 to 65535",
			cl_flag(&c->w, "target-port"));
	if (host && !cv_ip_text_is_loopback(cv_str_of(host)))
		cl_die(c, "tcp target host must be loopback");
	if (local)
		cl_listen_parse(c, local, true, &addr, &port);
	const Openshell__V1__Sandbox *s = cl_sandbox_of(c, cl_arg(&c->w, 0), true);
	const struct cl_forward_to to = { s->metadata->id, host ? host : "127.0.0.1", target,
		NULL };
	const int listener = cl_listen(c, addr, &port);
	printf("Forwarding %s:%u -> %s:%u in sandbox %s\n", addr, port, cl_shown(c, to.host),
		target, cl_shown(c, s->metadata->name));
	fflush(stdout);
	cl_forward_serve(c, listener, &to);
}

int cl_run_forward_stop(struct cl *c)
{
	const char *port = cl_arg(&c->w, 0), *name = cl_arg(&c->w, 1);
	size_t n, ended = 0;
	const struct record *v = records(c, &n);
	uint64_t number;

	if (!cv_str_to_u64(cv_str_of(port), 65535, &number))
		cl_die_usage(c, "invalid value '%s' for '<PORT>'", port);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].port, port) != 0 || (name && strcmp(v[i].sandbox, name) != 0))
			continue;
		record_end(&v[i]);
		cl_mark(c, 'v', "Stopped forward of port %s for sandbox %s", port,
			cl_shown(c, v[i].sandbox));
		ended++;
	}
	if (!ended)
		cl_mark(c, '!', "No active forward found for port %s%s%s", port,
			name ? " on sandbox " : "", name ? cl_shown(c, name) : "");
	return 0;
}

int cl_run_forward_list(struct cl *c)
{
	static const char *const heads[] = { "SANDBOX", "BIND", "PORT", "PID", "STATUS" };
	struct cl_table t;
	size_t n;
	const struct record *v = records(c, &n);

	if (!n) {
		puts("No active forwards.");
		return 0;
	}
	cl_table_init(&t, CV_ARRAY_LEN(heads));
	for (size_t i = 0; i < CV_ARRAY_LEN(heads); i++)
		cl_table_cell(&t, cv_str_of(heads[i]));
	for (size_t i = 0; i < n; i++) {
		cl_table_cell(&t, cv_str_of(v[i].sandbox));
		cl_table_cell(&t, cv_str_of(v[i].addr));
		cl_table_cell(&t, cv_str_of(v[i].port));
		cl_table_cell(&t, cv_str_of(cl_print(c, "%d", (int)v[i].pid)));
		cl_table_cell(&t, cv_str_of(v[i].is_running ? "running" : "dead"));
	}
	cl_table_done(c, &t);
	return 0;
}
