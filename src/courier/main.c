/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - cove-courier: the process that talks to issuers for the keeper
 *
 * The keeper holds the secrets and touches no network; the proxy has the network and may hold no
 * secret of renewal; so a third process carries sealed errands between the keeper and the issuers
 * that the user's own configuration names (docs/decisions/courier.md).  It decides nothing: what
 * is asked, and what an answer means, is the keeper's.
 *
 * Started by the supervisor with its control link as descriptor 3 and nothing else.  Its stages:
 *
 *   0. wipe        starts itself once more, with an allocator that overwrites what is freed: the
 *                  libraries keep copies of requests and answers, and wipe none of them
 *   1. harden      not dumpable, no core: a token must not leave through a crash
 *   2. configure   roots, pinned names, variables for commands; until GO with the keeper's link
 *   3. confine     no new privileges; and, unless commands are to be run, no file may be written,
 *                  and none read but those that resolving names needs (Landlock)
 *   4. serve       errands of the keeper, until the supervisor closes the control link
 *
 * A message that a link's table does not allow ends that link: the keeper's, and renewals stop; or
 * the supervisor's, and the courier ends.  There is no list of system calls: the resolver and
 * commands may make any.
 */
#include "courier/courier.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/landlock.h"
#include "sys/proc.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define WATCHES_MAX (2 + 2 * COURIER_ERRANDS_MAX)

CV_NORETURN static void die(const struct cv_err *err)
{
	(void)!cv_ipc_send(CV_COURIER_CONTROL_FD, CV_COURIER_CONTROL_REPLY_FATAL,
		cv_str_of(err->msg), NULL, 0, NULL);
	_exit(cv_code_row(err->code)->exit);
}

/* ---- errands ---- */

static void keeper_drop(struct courier *c);

static void errand_end(struct courier *c, struct errand *e)
{
	fetch_drop(c, e);
	command_drop(e);
	if (e->body.data)
		explicit_bzero(e->body.data, e->body.cap);
	cv_buf_fini(&e->body);
	e->is_used = false;
}

static void reply(struct courier *c, enum cv_courier_reply type, struct cv_buf *b, int fd)
{
	struct cv_err err;

	if (c->keeper >= 0 &&
		cv_ipc_send(c->keeper, type, cv_buf_str(b), &fd, fd >= 0, &err) != CV_OK)
		keeper_drop(c);
	cv_buf_fini(b);
}

void errand_failed(struct courier *c, struct errand *e, enum cv_courier_failure why)
{
	struct cv_buf b;

	cv_buf_init(&b, 1024);
	cv_ipc_put_u32(&b, e->tag);
	cv_ipc_put_u32(&b, why);
	cv_ipc_put_str(&b, cv_str_of(cv_courier_failure_row[why].text));
	errand_end(c, e);
	reply(c, CV_COURIER_REPLY_FAILED, &b, -1);
}

void errand_carried(struct courier *c, struct errand *e, int status)
{
	CV_AUTO_FD int fd = -1;
	struct cv_err err;
	struct cv_buf b;

	if (cv_ipc_memfd("cove-answer", cv_buf_str(&e->body), &fd, &err) != CV_OK) {
		errand_failed(c, e, CV_COURIER_FAILURE_BUSY);
		return;
	}
	cv_buf_init(&b, 8192);
	cv_ipc_put_u32(&b, e->tag);
	cv_ipc_put_u32(&b, (uint32_t)status);
	cv_ipc_put_u32(&b, (uint32_t)e->kept_count);
	for (size_t i = 0; i < e->kept_count; i++) {
		cv_ipc_put_str(&b, cv_str_of(e->kept[i].name));
		cv_ipc_put_str(&b, cv_str_of(e->kept[i].value));
	}
	errand_end(c, e);
	reply(c, CV_COURIER_REPLY_CARRIED, &b, fd);
}

static struct errand *errand_new(struct courier *c, uint32_t tag)
{
	for (size_t i = 0; i < COURIER_ERRANDS_MAX; i++)
		if (!c->errand[i].is_used) {
			c->errand[i] = (struct errand){
				.is_used = true, .tag = tag, .pidfd = -1, .pipe = -1
			};
			return &c->errand[i];
		}
	return NULL;
}

/* Nobody is left to answer to: what is under way ends. */
static void keeper_drop(struct courier *c)
{
	if (c->keeper >= 0)
		close(c->keeper);
	c->keeper = -1;
	for (size_t i = 0; i < COURIER_ERRANDS_MAX; i++)
		if (c->errand[i].is_used)
			errand_end(c, &c->errand[i]);
}

static cv_code errand_take(struct courier *c, const struct cv_ipc_msg *m, struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct errand none = { .tag = cv_ipc_get_u32(&r), .pidfd = -1, .pipe = -1 };
	struct errand *const e = errand_new(c, none.tag);

	if (r.is_bad)
		return cv_fail(err, CV_PROTO, "errand: bad body");
	if (!e) {
		errand_failed(c, &none, CV_COURIER_FAILURE_BUSY);
		return CV_OK;
	}
	switch ((enum cv_courier_req)m->type) {
	case CV_COURIER_REQ_FETCH: return fetch_start(c, e, &r, err);
	case CV_COURIER_REQ_COMMAND: return command_start(c, e, &r, err);
	case CV_COURIER_REQ_COUNT: break;
	}
	return CV_PROTO;
}

static void keeper_read(struct courier *c)
{
	struct cv_ipc_msg m;
	struct cv_err err;

	if (cv_ipc_recv(c->keeper, &c->errands, c->buf, &m, &err) != CV_OK ||
		errand_take(c, &m, &err) != CV_OK)
		keeper_drop(c);
	explicit_bzero(c->buf, sizeof(c->buf));
}

/* ---- the control link ---- */

static cv_code roots_take(struct courier *c, struct cv_ipc_msg *m, struct cv_err *err)
{
	return cv_ipc_fd_read_all(
		m->fds[0], COURIER_ROOTS_BYTES_MAX, &c->roots, &c->root_bytes, err);
}

static cv_code pin_take(struct courier *c, struct cv_str body, struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = body };
	const struct cv_str host = cv_ipc_get_str(&r);
	const uint32_t port = cv_ipc_get_u32(&r);
	const struct cv_str addr = cv_ipc_get_str(&r);
	const bool is_ip6 = cv_str_has_byte(addr, ':');
	struct cv_buf b;

	if (!cv_ipc_reader_is_done(&r))
		return cv_fail(err, CV_PROTO, "PIN: bad body");
	cv_buf_init(&b, 1024);
	cv_buf_printf(&b, "%.*s:%u:%s%.*s%s", CV_STR_ARG(host), port, is_ip6 ? "[" : "",
		CV_STR_ARG(addr), is_ip6 ? "]" : "");
	cv_buf_put_byte(&b, 0);
	struct curl_slist *const longer =
		b.is_overflown ? NULL : curl_slist_append(c->pins, cv_buf_str(&b).p);
	cv_buf_fini(&b);
	if (!longer)
		return cv_fail(err, CV_LIMIT, "PIN: too long");
	c->pins = longer;
	return CV_OK;
}

static cv_code env_take(struct courier *c, struct cv_str body, struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = body };
	const struct cv_str name = cv_ipc_get_str(&r), value = cv_ipc_get_str(&r);
	char *text;

	if (!cv_ipc_reader_is_done(&r) || !name.n || cv_str_has_byte(name, '=') ||
		cv_str_has_byte(name, 0) || cv_str_has_byte(value, 0))
		return cv_fail(err, CV_PROTO, "ENV: bad body");
	if (c->env_count == COURIER_ENV_MAX ||
		asprintf(&text, "%.*s=%.*s", CV_STR_ARG(name), CV_STR_ARG(value)) < 0)
		return cv_fail(err, CV_LIMIT, "ENV: too many variables");
	c->env[c->env_count++] = text;
	return CV_OK;
}

static cv_code go_take(struct courier *c, struct cv_ipc_msg *m, struct cv_err *err)
{
	struct cv_ipc_reader r = { .rest = m->body };

	c->flags = cv_ipc_get_u32(&r);
	if (!cv_ipc_reader_is_done(&r))
		return cv_fail(err, CV_PROTO, "GO: bad body");
	if (!c->roots)
		return cv_fail(err, CV_PROTO, "GO before ROOTS");
	c->keeper = cv_take_fd(m->fds[0]);
	c->control.state = c->errands.state = CV_COURIER_READY;
	return CV_OK;
}

static cv_code control_handle(struct courier *c, struct cv_ipc_msg *m, struct cv_err *err)
{
	switch ((enum cv_courier_control)m->type) {
	case CV_COURIER_CONTROL_ROOTS: return roots_take(c, m, err);
	case CV_COURIER_CONTROL_PIN: return pin_take(c, m->body, err);
	case CV_COURIER_CONTROL_ENV: return env_take(c, m->body, err);
	case CV_COURIER_CONTROL_GO: return go_take(c, m, err);
	case CV_COURIER_CONTROL_LINK:
		keeper_drop(c);
		c->keeper = cv_take_fd(m->fds[0]);
		c->errands.seen = 0;
		return CV_OK;
	case CV_COURIER_CONTROL_COUNT: break;
	}
	return CV_PROTO;
}

static void control_read(struct courier *c)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	cv_code code = cv_ipc_recv(CV_COURIER_CONTROL_FD, &c->control, c->buf, &m, &err);

	if (code == CV_NOT_FOUND) {
		keeper_drop(c); /* commands end with the run */
		_exit(0);
	}
	if (code == CV_OK) {
		code = control_handle(c, &m, &err);
		cv_ipc_msg_fini(&m);
	}
	if (code != CV_OK)
		die(&err);
}

/* ---- stages ---- */

/* What the resolver and the TLS library read after this: names, addresses and their modules. */
static void confine(const struct courier *c)
{
	static const struct cv_landlock_rule readable[] = {
		{ "/etc", CV_LANDLOCK_READ },
		{ "/run", CV_LANDLOCK_READ }, /* where systemd-resolved keeps resolv.conf */
		{ "/lib", CV_LANDLOCK_READ },
		{ "/lib64", CV_LANDLOCK_READ },
		{ "/usr/lib", CV_LANDLOCK_READ },
		{ "/usr/lib64", CV_LANDLOCK_READ },
		{ "/dev/urandom", CV_LANDLOCK_READ },
		{ "/dev/null", CV_LANDLOCK_DEVICE },
	};
	const struct cv_landlock_caps caps = cv_landlock_probe();
	struct cv_err err;

	if (cv_proc_no_new_privs_set(&err) != CV_OK)
		die(&err);
	if (!(c->flags & CV_COURIER_COMMANDS) && caps.abi &&
		cv_landlock_apply(caps, readable, CV_ARRAY_LEN(readable), &err) != CV_OK)
		die(&err);
}

static size_t watches_fill(const struct courier *c, struct curl_waitfd *w)
{
	size_t n = 0;

	w[n++] = (struct curl_waitfd){ CV_COURIER_CONTROL_FD, CURL_WAIT_POLLIN, 0 };
	if (c->keeper >= 0)
		w[n++] = (struct curl_waitfd){ c->keeper, CURL_WAIT_POLLIN, 0 };
	for (size_t i = 0; i < COURIER_ERRANDS_MAX; i++)
		if (c->errand[i].is_used && c->errand[i].pid > 0) {
			w[n++] = (struct curl_waitfd){ c->errand[i].pidfd, CURL_WAIT_POLLIN, 0 };
			if (c->errand[i].pipe >= 0)
				w[n++] = (struct curl_waitfd){ c->errand[i].pipe, CURL_WAIT_POLLIN,
					0 };
		}
	return n;
}

/* Until the first command's time is over; curl shortens it to its own. */
static int wait_ms(const struct courier *c)
{
	int64_t until = INT64_MAX;

	for (size_t i = 0; i < COURIER_ERRANDS_MAX; i++)
		if (c->errand[i].is_used && c->errand[i].pid > 0)
			until = CV_MIN(until, c->errand[i].until_ms);
	if (until == INT64_MAX)
		return COURIER_COMMAND_MS;
	return (int)CV_MAX(CV_MIN(until - cv_clock_ms(), (int64_t)COURIER_COMMAND_MS), 0);
}

static void serve(struct courier *c)
{
	for (;;) {
		struct curl_waitfd w[WATCHES_MAX];
		const size_t n = watches_fill(c, w);
		const bool has_keeper = c->keeper >= 0;
		struct cv_err err;

		if (curl_multi_poll(c->multi, w, (unsigned)n, wait_ms(c), NULL) != CURLM_OK) {
			cv_fail(&err, CV_SYSTEM, "libcurl cannot wait");
			die(&err);
		}
		fetch_step(c);
		for (size_t i = 0; i < COURIER_ERRANDS_MAX; i++)
			if (c->errand[i].is_used && c->errand[i].pid > 0)
				command_step(c, &c->errand[i]);
		/* The keeper's link may be gone since the wait. */
		if (has_keeper && c->keeper >= 0 && w[1].revents)
			keeper_read(c);
		if (w[0].revents)
			control_read(c);
	}
}

/* glibc reads these before main(), and no call can set them later.  Without a cache per thread,
 * every free() overwrites; see mallopt(3), M_PERTURB. */
static void wipe_freed_memory(void)
{
	char *const argv[] = { (char[]){ "cove-courier" }, NULL };
	char *const envp[] = {
		(char[]){ "GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.perturb=90" },
		NULL
	};
	struct cv_err err;

	if (environ[0])
		return; /* the second time; the supervisor gives no environment */
	execve("/proc/self/exe", argv, envp);
	cv_fail_errno(&err, "start again");
	die(&err);
}

int main(void)
{
	static struct courier c = {
		.control = { .rules = cv_courier_control_rule,
			.rule_count = CV_COURIER_CONTROL_COUNT,
			.state = CV_COURIER_NEW },
		.errands = { .rules = cv_courier_req_rule,
			.rule_count = CV_COURIER_REQ_COUNT,
			.state = CV_COURIER_NEW },
		.keeper = -1,
	};
	struct cv_err err;

	wipe_freed_memory();
	prctl(PR_SET_NAME, "cove-courier"); /* it was started as "exe" */
	if (cv_proc_harden(&err) != CV_OK || fetch_open(&c, &err) != CV_OK)
		die(&err);
	while (c.control.state == CV_COURIER_NEW)
		control_read(&c);
	confine(&c);
	if (cv_ipc_send(CV_COURIER_CONTROL_FD, CV_COURIER_CONTROL_REPLY_READY, CV_STR_NONE, NULL, 0,
		    &err) != CV_OK)
		die(&err);
	serve(&c);
}
