/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin.c - what the gateway's own user asks of one that runs: backup, restore, another key, another
 *           configuration, how it is
 *
 *     cove gateway backup FILE --> admin.sock of the state directory --> one answer
 *
 * A SOCK_SEQPACKET socket in a directory of mode 0700, and only our own uid: who can connect could
 * read the database as well.  A request is one message of words, and so is its answer; the loop
 * waits while it is done, which for the largest stores is a second.
 *
 * A restore ends the loop first, so that nobody writes any more, and then the program starts itself
 * again: what is in memory would be another store's.  Sandboxes go on and dial again.
 */
#include "gateway/admin.h"

#include "gateway/config.h"
#include "gateway/log.h"
#include "gateway/objects.h"
#include "gateway/place.h"
#include "gateway/rewrap.h"
#include "gateway/serve.h"
#include "gateway/state.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME   "admin.sock"
#define REQUEST_MAX   (CV_GW_PATH_BYTES_MAX + 64)
#define ANSWER_MAX    1024
#define REQUEST_MS    1000 /* for the message of who has connected: it comes at once */
#define CLIENT_WAIT_S 600

struct cv_gw_admin {
	int listener;
	int64_t started_ms;
	int restore_fd; /* who waits for the end of a restore; -1: none */
	char restore_path[CV_GW_PATH_BYTES_MAX];
};

static cv_code address_of(const char *state, struct sockaddr_un *ret, struct cv_err *err)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return (size_t)snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/" SOCKET_NAME, state) <
			       sizeof(ret->sun_path)
		       ? CV_OK
		       : cv_fail(err, CV_INVALID, "%s: too long for a socket in it", state);
}

/* ---- requests ---- */

/* '+' or '-', and a sentence. */
static void answer(int fd, bool is_good, const char *text)
{
	char line[ANSWER_MAX];
	const int n = snprintf(line, sizeof(line), "%c%s", is_good ? '+' : '-', text);

	(void)!send(fd, line, CV_MIN((size_t)n, sizeof(line) - 1), MSG_NOSIGNAL);
}

static void backup(struct cv_gateway *g, int fd, const char *path)
{
	struct cv_err err;

	cv_objects_flush(g->objects); /* what was deleted is not to come back by it */
	const bool is_good = cv_store_backup(g->store, path, &err) == CV_OK;

	cv_log(is_good ? CV_LOG_INFO : CV_LOG_ERROR, "admin",
		CV_LOG_FIELDS({ "file", cv_str_of(path) }), "%s",
		is_good ? "backup written" : err.msg);
	answer(fd, is_good,
		is_good ? "Backup written. The key of stored credentials is not in it." : err.msg);
}

static void restore(struct cv_gateway *g, int fd, const char *path)
{
	struct cv_gw_admin *a = g->admin;
	struct cv_err err;

	if (a->restore_fd >= 0) {
		answer(fd, false, "another restore is under way");
		return;
	}
	/* A wrong word must not cut off everybody's calls. */
	if (cv_store_backup_check(path, &err) != CV_OK) {
		cv_log(CV_LOG_ERROR, "admin", CV_LOG_FIELDS({ "file", cv_str_of(path) }), "%s",
			err.msg);
		answer(fd, false, err.msg);
		return;
	}
	a->restore_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	snprintf(a->restore_path, sizeof(a->restore_path), "%s", path);
	cv_log(CV_LOG_INFO, "admin", CV_LOG_FIELDS({ "file", cv_str_of(path) }), "restoring");
	g->is_draining = true;
	g->drain_until_ms = g->loop.now_ms;
}

static void rotate(struct cv_gateway *g, int fd)
{
	struct cv_err err;
	char text[128];
	size_t n = 0;
	const bool is_good = cv_gw_rewrap(g, &n, &err) == CV_OK;

	cv_log(is_good ? CV_LOG_INFO : CV_LOG_ERROR, "admin", CV_LOG_NONE, "%s",
		is_good ? "the key of stored credentials is another one" : err.msg);
	snprintf(text, sizeof(text), "%zu stored secrets are under the new key.", n);
	answer(fd, is_good, is_good ? text : err.msg);
}

static void status(struct cv_gateway *g, int fd)
{
	const struct cv_object_range r = cv_object_all(g->objects, CV_OBJECT_SANDBOX);
	char text[ANSWER_MAX];
	struct cv_buf b;

	cv_buf_init(&b, sizeof(text) - 1);
	cv_buf_printf(&b, "%s://", g->config->disable_tls ? "http" : "https");
	cv_gw_place_authority(g->config, g->port, &b);
	cv_buf_printf(
		&b, " %s %zu %lld", CV_VERSION, r.end - r.first, (long long)g->admin->started_ms);
	answer(fd, cv_str_to_cstr(cv_buf_str(&b), text, sizeof(text)), text);
	cv_buf_fini(&b);
}

static void reload(struct cv_gateway *g, int fd)
{
	char text[ANSWER_MAX];
	struct cv_buf fixed;
	struct cv_err err;

	cv_buf_init(&fixed, CV_GW_FIXED_BYTES_MAX);
	if (cv_gw_reload(g, &fixed, &err) != CV_OK) {
		answer(fd, false, err.msg);
	} else if (cv_buf_len(&fixed)) {
		(void)snprintf(text, sizeof(text),
			"Configuration, certificates and keys are read again. A restart is needed "
			"for: %.*s",
			CV_STR_ARG(cv_buf_str(&fixed)));
		answer(fd, true, text);
	} else
		answer(fd, true, "Configuration, certificates and keys are read again.");
	cv_buf_fini(&fixed);
}

static void request_do(struct cv_gateway *g, int fd, const char *request)
{
	static const char b[] = "backup ", r[] = "restore ";
	const char *path = strchr(request, ' ');

	if (path && path[1] != '/')
		answer(fd, false, "the path is not absolute");
	else if (!strncmp(request, b, sizeof(b) - 1))
		backup(g, fd, path + 1);
	else if (!strncmp(request, r, sizeof(r) - 1))
		restore(g, fd, path + 1);
	else if (!strcmp(request, "rotate-credentials-key"))
		rotate(g, fd);
	else if (!strcmp(request, "status"))
		status(g, fd);
	else if (!strcmp(request, "reload"))
		reload(g, fd);
	else
		answer(fd, false, "unknown request");
}

static void on_listener(struct cv_gateway *g)
{
	const struct timeval patience = { .tv_sec = REQUEST_MS / 1000 };
	CV_AUTO_FD int fd = accept4(g->admin->listener, NULL, NULL, SOCK_CLOEXEC);
	char request[REQUEST_MAX];
	struct ucred who;
	socklen_t n = sizeof(who);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 ||
		who.uid != geteuid() ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return;
	const ssize_t got = recv(fd, request, sizeof(request) - 1, 0);
	if (got <= 0 || g->is_draining)
		return;
	request[got] = '\0';
	request_do(g, fd, request);
}

/* ---- the part ---- */

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	struct sockaddr_un a;
	cv_code code = address_of(g->state_dir, &a, err);

	g->admin = calloc(1, sizeof(*g->admin));
	if (!g->admin)
		return cv_fail(err, CV_LIMIT, "no memory");
	g->admin->restore_fd = -1;
	g->admin->started_ms = cv_clock_unix_ms();
	g->admin->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (code != CV_OK)
		return code;
	/* The directory is locked: nobody else listens there. */
	if (g->admin->listener < 0 || (unlink(a.sun_path) < 0 && errno != ENOENT) ||
		bind(g->admin->listener, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
		listen(g->admin->listener, 8) < 0)
		return cv_fail_errno(err, "listen at %s", a.sun_path);
	return cv_loop_add(&g->loop, g->admin->listener, EPOLLIN,
		(struct cv_watch){ CV_GW_WATCH(CV_GW_PART_ADMIN, 0), { 0, 0 } }, err);
}

static void event(struct cv_gateway *g, const struct cv_loop_event *e)
{
	(void)e;
	on_listener(g);
}

static void stop(struct cv_gateway *g)
{
	if (!g->admin)
		return;
	if (g->admin->listener >= 0)
		close(g->admin->listener);
	if (g->admin->restore_fd >= 0)
		close(g->admin->restore_fd);
	free(g->admin);
	g->admin = NULL;
}

const struct cv_gw_part cv_gw_part_admin = {
	.name = "admin",
	.start = start,
	.stop = stop,
	.event = event,
};

bool cv_gw_admin_restore(struct cv_gateway *g)
{
	struct cv_gw_admin *a = g->admin;
	struct cv_err err;

	if (!a || a->restore_fd < 0)
		return false;
	cv_objects_flush(g->objects); /* it is of the records that go */
	const bool is_good = cv_store_restore(g->store, a->restore_path, &err) == CV_OK;
	cv_log(is_good ? CV_LOG_INFO : CV_LOG_ERROR, "admin", CV_LOG_NONE, "%s",
		is_good ? "restored; starting again" : err.msg);
	answer(a->restore_fd, is_good,
		is_good ? "Restored; the gateway starts again with it." : err.msg);
	return true;
}

/* ---- who asks ---- */

static cv_code dial(const char *state, int wait_ms, int *ret_fd, struct cv_err *err)
{
	const struct timeval patience = { wait_ms / 1000, wait_ms % 1000 * 1000 };
	CV_AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un a;

	if (address_of(state, &a, err) != CV_OK)
		return err->code;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return cv_fail_errno(err, "socket");
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return cv_fail(err, CV_UNAVAILABLE, "no gateway runs in %s", state);
	*ret_fd = cv_take_fd(fd);
	return CV_OK;
}

static cv_code ask(int fd, const char *request, char *ret, size_t bytes, struct cv_err *err)
{
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return cv_fail(err, CV_UNAVAILABLE, "ask the gateway: %s", strerror(errno));
	const ssize_t n = recv(fd, ret, bytes - 1, 0);
	if (n <= 0)
		return cv_fail(err, CV_UNAVAILABLE, "the gateway did not answer; see its log");
	ret[n] = '\0';
	return ret[0] == '+' ? CV_OK : cv_fail(err, CV_SYSTEM, "%s", ret + 1);
}

cv_code cv_gw_admin_ask(
	const char *state, const char *request, char *ret, size_t bytes, struct cv_err *err)
{
	CV_AUTO_FD int fd = -1;
	const cv_code code = dial(state, CLIENT_WAIT_S * 1000, &fd, err);

	return code == CV_OK ? ask(fd, request, ret, bytes, err) : code;
}

/* "+URL VERSION SANDBOXES STARTED" */
static bool status_parse(const char *text, struct cv_gw_admin_status *ret)
{
	struct cv_str rest = cv_str_of(text + 1);
	uint64_t sandboxes, started;

	if (!cv_str_to_cstr(cv_str_cut(&rest, ' '), ret->url, sizeof(ret->url)) ||
		!cv_str_to_cstr(cv_str_cut(&rest, ' '), ret->version, sizeof(ret->version)) ||
		!cv_str_to_u64(cv_str_cut(&rest, ' '), UINT32_MAX, &sandboxes) ||
		!cv_str_to_u64(rest, INT64_MAX, &started))
		return false;
	ret->sandboxes = (uint32_t)sandboxes;
	ret->started_ms = (int64_t)started;
	return true;
}

cv_code cv_gw_admin_look(
	const char *state, int ms, struct cv_gw_admin_status *ret, struct cv_err *err)
{
	CV_AUTO_FD int fd = -1, pidfd = -1;
	char text[ANSWER_MAX];
	struct ucred who;
	socklen_t n = sizeof(who);

	if (dial(state, ms, &fd, err) != CV_OK)
		return err->code;
	/* Who called listen(2).  It answers after the pidfd was opened, so that is no other's. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
		return cv_fail_errno(err, "SO_PEERCRED");
	pidfd = (int)syscall(SYS_pidfd_open, who.pid, 0);
	if (ask(fd, "status", text, sizeof(text), err) != CV_OK)
		return err->code;
	if (pidfd < 0 || !status_parse(text, ret))
		return cv_fail(
			err, CV_PROTO, "who listens in %s is no gateway of this kind", state);
	ret->pid = who.pid;
	ret->pidfd = cv_take_fd(pidfd);
	return CV_OK;
}
