/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push.c - policies and credentials that the gateway sends
 *
 * A policy is judged by the proxy, as a file is that was changed (reload.c); one at a time, and of
 * those that wait the newest.  The last that was found good is what a proxy gets that has to be
 * started anew, and what the broker of host tools is told.
 */
#include "supervisor/supervisor.h"

#include "supervisor/helper.h"
#include "supervisor/limits.h"
#include "sys/fd.h"

#include <stdlib.h>

static void revision_tell(struct supervisor *s, uint32_t type, uint64_t revision, const char *why)
{
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_ipc_put_u64(&b, revision);
	if (why)
		cv_ipc_put_str(&b, cv_str_slice(cv_str_of(why), 0, 4000));
	service_tell(s, type, cv_buf_str(&b), NULL, 0);
	cv_buf_fini(&b);
}

static void refuse(struct supervisor *s, uint64_t revision, const char *why)
{
	revision_tell(s, CV_GATEWAY_REPLY_POLICY_REFUSED, revision, why);
}

static void next_drop(struct service *v)
{
	cv_fd_cleanup(&v->policy_next);
	v->policy_next = -1;
	v->is_policy_judged = false;
}

/* A copy of our own, that nobody changes any more. */
static cv_code copy(int fd, const char *name, int *ret, struct cv_err *err)
{
	char *text;
	size_t n;
	cv_code code = cv_ipc_fd_read_all(fd, SUP_POLICY_BYTES_MAX, &text, &n, err);

	if (code != CV_OK)
		return code;
	code = cv_ipc_memfd(name, (struct cv_str){ text, n }, ret, err);
	explicit_bzero(text, n);
	free(text);
	return code;
}

void push_look(struct supervisor *s)
{
	struct service *v = &s->service;
	struct cv_err err;

	if (v->policy_next < 0 || v->is_policy_judged || !s->proxy.pid ||
		s->proxy.rules.state != CV_PROXY_READY)
		return;
	if (policy_fd_send(s, v->policy_next, &err) == CV_OK) {
		v->is_policy_judged = true;
	} else if (!helper_is_gone(&s->proxy)) {
		refuse(s, v->policy_next_revision, err.msg);
		next_drop(v);
	}
}

/* One that is being judged when a newer comes is answered first. */
void push_policy(struct supervisor *s, uint64_t revision, int fd)
{
	struct service *v = &s->service;
	struct cv_err err;
	int mine;
	const cv_code code = copy(fd, "cove-policy", &mine, &err);

	close(fd);
	if (code != CV_OK) {
		refuse(s, revision, err.msg);
		return;
	}
	if (v->policy_waiting >= 0) {
		refuse(s, v->policy_waiting_revision, "a newer revision came");
		cv_fd_cleanup(&v->policy_waiting);
	}
	v->policy_waiting = mine;
	v->policy_waiting_revision = revision;
	if (v->policy_next >= 0 && v->is_policy_judged)
		return;
	if (v->policy_next >= 0) {
		refuse(s, v->policy_next_revision, "a newer revision came");
		next_drop(v);
	}
	v->policy_next = cv_take_fd(v->policy_waiting);
	v->policy_next_revision = revision;
	push_look(s);
}

static void next_take(struct supervisor *s)
{
	struct service *v = &s->service;

	next_drop(v);
	v->policy_next = cv_take_fd(v->policy_waiting);
	v->policy_next_revision = v->policy_waiting_revision;
	push_look(s);
}

bool push_result(struct supervisor *s, uint32_t code, struct cv_str text)
{
	struct service *v = &s->service;
	struct cv_err err;
	char why[4000];

	if (!v->is_on || v->policy_next < 0 || !v->is_policy_judged)
		return false;
	if (code != CV_OK) {
		text = cv_str_slice(text, 0, CV_MIN(text.n, sizeof(why) - 1));
		if (!cv_str_to_cstr(text, why, sizeof(why)))
			why[0] = '\0';
		refuse(s, v->policy_next_revision, why);
		next_take(s);
		return true;
	}
	cv_fd_cleanup(&v->policy);
	v->policy = cv_take_fd(v->policy_next);
	v->policy_revision = v->policy_next_revision;
	revision_tell(s, CV_GATEWAY_REPLY_POLICY_LOADED, v->policy_revision, NULL);
	if (broker_policy_send(s, &err) != CV_OK && !helper_is_gone(&s->broker))
		say("policy not reloaded for host tools: %s", err.msg);
	next_take(s);
	return true;
}

/* The next proxy is asked again. */
void push_proxy_died(struct supervisor *s)
{
	s->service.is_policy_judged = false;
}

void push_credentials(struct supervisor *s, uint64_t revision, int fd)
{
	struct cv_err err;
	int mine;
	const cv_code code = copy(fd, "cove-credentials", &mine, &err);

	(void)revision;
	close(fd);
	if (code != CV_OK) {
		say("credentials not taken: %s", err.msg);
		return;
	}
	cv_fd_cleanup(&s->credentials);
	s->credentials = mine;
	if (keeper_secrets_again(s, &err) != CV_OK)
		say("credentials not taken: %s", err.msg);
}
