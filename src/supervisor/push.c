/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push.c - policies, credentials and routes of model calls that the gateway sends
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
#include <sys/stat.h>
#include <unistd.h>

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

static void drop(struct service_policy *p)
{
	cv_fd_cleanup(&p->text);
	cv_fd_cleanup(&p->layer);
	p->text = p->layer = -1;
}

/* from is empty then. */
static void move(struct service_policy *to, struct service_policy *from)
{
	*to = *from;
	from->text = from->layer = -1;
}

/* For one that nobody will judge: its providers are attached all the same.  The same revision comes again
 * when what lies over it is another. */
static void supersede(struct supervisor *s, struct service_policy *old, struct service_policy *by)
{
	if (old->text < 0)
		return;
	if (old->revision != by->revision)
		refuse(s, old->revision, "a newer revision came");
	if (by->layer < 0)
		by->layer = cv_take_fd(old->layer);
	drop(old);
}

void push_init(struct supervisor *s)
{
	struct service *v = &s->service;
	const struct service_policy none = { .text = -1, .layer = -1 };

	v->policy = v->policy_next = v->policy_waiting = none;
	v->layer = v->routes = v->routes_next = -1;
}

/* A copy of our own, that nobody changes any more. */
static cv_code copy(int fd, const char *name, int *ret, struct cv_err *err)
{
	char *text;
	size_t n;
	cv_code code = cv_ipc_fd_read_all(fd, SUP_PUSH_BYTES_MAX, &text, &n, err);

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
	struct service_policy *next = &v->policy_next;
	cv_code code = CV_OK;
	struct cv_err err;

	if (next->text < 0 || v->is_policy_judged)
		return;
	/* Its READY leads here again. */
	if (!s->proxy.pid && s->is_built && !keeper_is_away(s) && proxy_start(s, &err) != CV_OK) {
		run_fail(s, &err);
		return;
	}
	if (!s->proxy.pid || s->proxy.rules.state != CV_PROXY_READY)
		return;
	if (next->layer >= 0)
		code = cv_ipc_send(
			s->proxy.link, CV_PROXY_REQ_LAYER, CV_STR_NONE, &next->layer, 1, &err);
	if (code == CV_OK)
		code = policy_fd_send(s, next->text, &err);
	if (code == CV_OK) {
		v->is_policy_judged = true;
	} else if (!helper_is_gone(&s->proxy)) {
		refuse(s, next->revision, err.msg);
		drop(next);
	}
}

void push_layer(struct supervisor *s, int fd)
{
	struct cv_err err;
	int mine;
	const cv_code code = copy(fd, "cove-layer", &mine, &err);

	close(fd);
	if (code != CV_OK) {
		say("what providers lay over the policy was not taken: %s", err.msg);
		return;
	}
	cv_fd_cleanup(&s->service.layer);
	s->service.layer = mine;
}

/* One that is being judged when a newer comes is answered first. */
void push_policy(struct supervisor *s, uint64_t revision, int fd)
{
	struct service *v = &s->service;
	struct service_policy came = { .text = -1, .layer = -1, .revision = revision };
	struct cv_err err;
	const cv_code code = copy(fd, "cove-policy", &came.text, &err);

	close(fd);
	came.layer = cv_take_fd(v->layer);
	if (code != CV_OK) {
		refuse(s, revision, err.msg);
		drop(&came);
		return;
	}
	supersede(s, &v->policy_waiting, &came);
	if (v->is_policy_judged) {
		move(&v->policy_waiting, &came);
		return;
	}
	supersede(s, &v->policy_next, &came);
	move(&v->policy_next, &came);
	push_look(s);
}

static void next_take(struct supervisor *s)
{
	struct service *v = &s->service;

	drop(&v->policy_next);
	v->is_policy_judged = false;
	move(&v->policy_next, &v->policy_waiting);
	push_look(s);
}

static void refused(struct supervisor *s, struct cv_str text)
{
	struct service_policy *next = &s->service.policy_next;
	struct cv_err err;
	char why[4000];

	text = cv_str_slice(text, 0, CV_MIN(text.n, sizeof(why) - 1));
	if (!cv_str_to_cstr(text, why, sizeof(why)))
		why[0] = '\0';
	refuse(s, next->revision, why);
	/* What it would have been judged with goes too.  A proxy that died is found elsewhere. */
	if (next->layer >= 0 && layer_send(s, &err) != CV_OK && !helper_is_gone(&s->proxy))
		say("%s", err.msg);
	next_take(s);
}

bool push_result(struct supervisor *s, uint32_t code, struct cv_str text)
{
	struct service *v = &s->service;
	struct cv_err err;

	if (!v->is_on || !v->is_policy_judged)
		return false;
	if (code != CV_OK) {
		refused(s, text);
		return true;
	}
	if (v->policy_next.layer < 0)
		v->policy_next.layer = cv_take_fd(v->policy.layer);
	drop(&v->policy);
	move(&v->policy, &v->policy_next);
	revision_tell(s, CV_GATEWAY_REPLY_POLICY_LOADED, v->policy.revision, NULL);
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

/* ---- routes ---- */

/* A proxy that is not there gets them when it is started. */
static void routes_take(struct supervisor *s, int fd)
{
	struct service *v = &s->service;
	struct cv_err err;

	cv_fd_cleanup(&v->routes);
	v->routes = fd;
	if (s->proxy.pid && routes_send(s, &err) != CV_OK && !helper_is_gone(&s->proxy))
		say("the routes of inference.local were not handed over: %s", err.msg);
}

void push_routes(struct supervisor *s, int fd)
{
	struct service *v = &s->service;
	struct stat st;
	struct cv_err err;
	int mine;
	const cv_code code = copy(fd, "cove-routes", &mine, &err);

	close(fd);
	if (code != CV_OK) {
		say("routes of inference.local were not taken: %s", err.msg);
		return;
	}
	cv_fd_cleanup(&v->routes_next);
	v->routes_next = -1;
	/* What is taken away needs no credential, and must not wait for any. */
	if (fstat(mine, &st) == 0 && st.st_size == 0)
		routes_take(s, mine);
	else
		v->routes_next = mine;
}

/* ---- credentials ---- */

static void credentials_answer(struct supervisor *s, const char *why)
{
	struct service *v = &s->service;
	struct cv_err err;

	if (!v->is_claim_unsealed) {
		revision_tell(s,
			why ? CV_GATEWAY_REPLY_CREDENTIALS_REFUSED
			    : CV_GATEWAY_REPLY_CREDENTIALS_LOADED,
			v->credentials_next_revision, why);
	} else if (why) {
		cv_fail(&err, CV_INVALID, "the sandbox's credentials: %s", why);
		run_fail(s, &err);
	}
	v->is_claim_unsealed = false;
	cv_fd_cleanup(&v->credentials_next);
	v->credentials_next = -1;
	v->is_credentials_judged = false;
}

void push_keeper_look(struct supervisor *s)
{
	struct service *v = &s->service;
	struct cv_err err;

	if (v->credentials_next < 0 || v->is_credentials_judged || !s->keeper.pid ||
		s->keeper.rules.state != CV_KEEPER_READY)
		return;
	v->is_credentials_judged = true;
	if (cv_ipc_send(s->keeper.link, CV_KEEPER_CONTROL_SECRETS_ANEW, CV_STR_NONE,
		    &v->credentials_next, 1, &err) != CV_OK &&
		!helper_is_gone(&s->keeper))
		credentials_answer(s, err.msg);
}

/* The next one has the former set, and is asked again. */
void push_keeper_died(struct supervisor *s)
{
	s->service.is_credentials_judged = false;
}

void push_keeper_result(struct supervisor *s, struct cv_str body)
{
	struct service *v = &s->service;
	struct cv_ipc_reader r = { .rest = body };
	const uint32_t code = cv_ipc_get_u32(&r), has_renewals = cv_ipc_get_u32(&r);
	const struct cv_str text = cv_ipc_get_str(&r);
	struct cv_err err;
	char why[1024];

	if (v->credentials_next < 0 || !v->is_credentials_judged)
		return;
	if (code != CV_OK) {
		if (!cv_str_to_cstr(cv_str_slice(text, 0, CV_MIN(text.n, sizeof(why) - 1)), why,
			    sizeof(why)))
			why[0] = '\0';
		credentials_answer(s, why);
		return;
	}
	cv_fd_cleanup(&s->credentials);
	s->credentials = cv_take_fd(v->credentials_next);
	/* Whoever of them died meanwhile is found by who reads its link. */
	if (keeper_catalog_renew(s, &err) != CV_OK && !helper_is_gone(&s->proxy) &&
		!helper_is_gone(&s->keeper)) {
		run_fail(s, &err);
		return;
	}
	if (has_renewals && !(s->plan.flags & CV_PLAN_RENEWAL)) {
		s->plan.flags |= CV_PLAN_RENEWAL;
		if (courier_join(s, &err) != CV_OK) {
			run_fail(s, &err);
			return;
		}
	}
	/* Behind the catalog that has their credential. */
	if (v->routes_next >= 0)
		routes_take(s, cv_take_fd(v->routes_next));
	credentials_answer(s, NULL);
	inside_command(s); /* of a claim */
}

cv_code push_claimed(struct supervisor *s, int fd, struct cv_err *err)
{
	struct service *v = &s->service;
	const cv_code code = copy(fd, "cove-credentials", &v->credentials_next, err);

	close(fd);
	v->is_claim_unsealed = code == CV_OK;
	push_keeper_look(s);
	return code;
}

void push_credentials(struct supervisor *s, uint64_t revision, int fd)
{
	struct service *v = &s->service;
	struct cv_err err;
	int mine;
	const cv_code code = copy(fd, "cove-credentials", &mine, &err);

	close(fd);
	if (v->credentials_next >= 0 || code != CV_OK) {
		revision_tell(s, CV_GATEWAY_REPLY_CREDENTIALS_REFUSED, revision,
			code != CV_OK ? err.msg : "the last ones are not judged yet");
		if (code == CV_OK)
			close(mine);
		return;
	}
	v->credentials_next = mine;
	v->credentials_next_revision = revision;
	push_keeper_look(s);
}
