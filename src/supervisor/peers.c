/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers.c - the keeper and the proxy of a run
 *
 *     supervisor ---control--- keeper        CA certificate; the proxy's link, handed over
 *         |                      |
 *         +-------- proxy -------+
 *
 * With a network both are started while the sandbox is being built, and nobody waits for the
 * proxy: connections wait in the listeners, which the supervisor keeps.  Without one, and in the
 * service of a gateway, whose sandboxes are many and mostly idle, the proxy is started by the first
 * connection, or by a policy that has to be judged.
 *
 * A proxy that dies is started again with the same listeners, once there is a keeper with its CA.
 * A keeper that dies takes its CA key with it: the new one has another CA, which first goes into
 * the sandbox beside the former (ca.c); then the proxy, which went on, gets the new link.  Who dies
 * too often ends the run.
 */
#include "supervisor/supervisor.h"

#include "supervisor/helper.h"
#include "supervisor/limits.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- files for the proxy ---- */

static cv_code file_append(struct cv_buf *b, const char *path, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text;
	size_t n;

	if (fd < 0)
		return cv_fail_errno(err, "open %s", path);
	if (cv_ipc_fd_read_all(fd, SUP_ROOTS_BYTES_MAX, &text, &n, err) != CV_OK)
		return cv_wrap(err, "%s", path);
	cv_buf_put(b, (struct cv_str){ text, n });
	cv_buf_put_byte(b, '\n');
	free(text);
	return b->is_overflown ? cv_fail(err, CV_LIMIT, "%s: too large", path) : CV_OK;
}

/* The trusted roots of upstream servers: the host's, and --ca. */
cv_code roots_read(struct supervisor *s, struct cv_buf *b, struct cv_err *err)
{
	cv_code code = s->plan.roots.n ? file_append(b, s->plan.roots.p, err) : CV_OK;

	for (uint32_t i = 0; code == CV_OK && i < s->plan.ca_count; i++)
		code = file_append(b, s->plan.ca_files[i].p, err);
	return code;
}

static cv_code text_send(
	struct supervisor *s, enum cv_proxy_req type, struct cv_str text, struct cv_err *err)
{
	int fd;
	cv_code code = cv_ipc_memfd("cove-text", text, &fd, err);

	if (code != CV_OK)
		return code;
	code = cv_ipc_send(s->proxy.link, type, CV_STR_NONE, &fd, 1, err);
	close(fd);
	return code;
}

static cv_code root_send(struct supervisor *s, const char *path, struct cv_err *err)
{
	CV_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? cv_fail_errno(err, "open %s", path)
		      : cv_ipc_send(s->proxy.link, CV_PROXY_REQ_ROOTS, CV_STR_NONE, &fd, 1, err);
}

/* As files, which all proxies of the host share, and most never read. */
static cv_code roots_send(struct supervisor *s, struct cv_err *err)
{
	cv_code code = s->plan.roots.n ? root_send(s, s->plan.roots.p, err) : CV_OK;

	for (uint32_t i = 0; code == CV_OK && i < s->plan.ca_count; i++)
		code = root_send(s, s->plan.ca_files[i].p, err);
	return code;
}

/* A file without a name in dir; -1. */
static int nameless_open(const char *dir)
{
	char path[64];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	snprintf(path, sizeof(path), "%s/.cove-spool-%d", dir, (int)getpid());
	fd = open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/* Where the proxy keeps bodies until they were looked at.  /var/tmp is on a disk, where /tmp may be
 * memory.  Each proxy has a file of its own, so what a dead one had is gone.  Without any it says of
 * each body that is too large for its memory that it can't be kept. */
static cv_code spool_send(struct supervisor *s, struct cv_err *err)
{
	static const char *const dirs[] = { "/var/tmp", "/tmp" };
	CV_AUTO_FD int fd = -1;
	struct cv_buf b;

	for (size_t i = 0; i < CV_ARRAY_LEN(dirs) && fd < 0; i++)
		fd = nameless_open(dirs[i]);
	if (fd < 0)
		return CV_OK;
	cv_buf_init(&b, 16);
	cv_ipc_put_u64(&b, SUP_SPOOL_BODY_MAX);
	cv_ipc_put_u64(&b, SUP_SPOOL_BYTES_MAX);
	const cv_code code =
		cv_ipc_send(s->proxy.link, CV_PROXY_REQ_SPOOL, cv_buf_str(&b), &fd, 1, err);
	cv_buf_fini(&b);
	return code;
}

/* resolv.conf and hosts may be missing: the proxy then knows no names but the pinned. */
static cv_code resolver_send(struct supervisor *s, struct cv_err *err)
{
	struct cv_err ignored;
	struct cv_buf b;
	cv_code code = CV_OK;

	cv_buf_init(&b, SUP_ROOTS_BYTES_MAX);
	if (file_append(&b, "/etc/resolv.conf", &ignored) == CV_OK)
		code = cv_ipc_send(s->proxy.link, CV_PROXY_REQ_RESOLVER,
			cv_str_slice(cv_buf_str(&b), 0,
				CV_MIN(cv_buf_len(&b), (size_t)SUP_RESOLVER_BYTES_MAX)),
			NULL, 0, err);
	cv_buf_reset(&b);
	if (code == CV_OK && file_append(&b, "/etc/hosts", &ignored) == CV_OK)
		code = text_send(s, CV_PROXY_REQ_HOSTS, cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

cv_code pins_send(struct supervisor *s, int link, uint32_t type, struct cv_err *err)
{
	cv_code code = CV_OK;

	for (uint32_t i = 0; code == CV_OK && i < s->plan.pin_count; i++) {
		const struct cv_plan_pin *pin = &s->plan.pins[i];
		struct cv_buf b;

		cv_buf_init(&b, 1024);
		cv_ipc_put_str(&b, pin->host);
		cv_ipc_put_u32(&b, pin->port);
		cv_ipc_put_str(&b, pin->addr);
		code = b.is_overflown ? cv_fail(err, CV_LIMIT, "--resolve: the name is too long")
				      : cv_ipc_send(link, type, cv_buf_str(&b), NULL, 0, err);
		cv_buf_fini(&b);
	}
	return code;
}

/* ---- budgets, and the routes of model calls ---- */

static cv_code budgets_send(struct supervisor *s, struct cv_err *err)
{
	cv_code code = CV_OK;

	for (uint32_t i = 0; code == CV_OK && i < s->plan.budget_count; i++) {
		struct cv_buf b;

		cv_buf_init(&b, 1024);
		cv_ipc_put_str(&b, s->plan.budgets[i]);
		code = b.is_overflown ? cv_fail(err, CV_LIMIT, "--budget: too long")
				      : cv_ipc_send(s->proxy.link, CV_PROXY_REQ_BUDGET,
						cv_buf_str(&b), NULL, 0, err);
		cv_buf_fini(&b);
	}
	return code;
}

cv_code routes_send(struct supervisor *s, struct cv_err *err)
{
	struct cv_buf b;

	if (s->service.is_on && s->service.routes >= 0)
		return cv_ipc_send(s->proxy.link, CV_PROXY_REQ_ROUTES, CV_STR_NONE,
			&s->service.routes, 1, err);
	if (!s->plan.routes_file.n)
		return CV_OK;
	cv_buf_init(&b, SUP_ROOTS_BYTES_MAX);
	cv_code code = file_append(&b, s->plan.routes_file.p, err);
	if (code == CV_OK)
		code = text_send(s, CV_PROXY_REQ_ROUTES, cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

/* The upstream proxy; each new cove-proxy is told.  What it has to be shown is the keeper's. */
static cv_code forward_send(struct supervisor *s, struct cv_err *err)
{
	struct cv_buf b;

	if (!s->plan.upstream_proxy.n)
		return CV_OK;
	cv_buf_init(&b, SUP_FORWARD_BYTES_MAX);
	cv_ipc_put_str(&b, s->plan.upstream_proxy);
	cv_ipc_put_str(&b, s->plan.upstream_direct);
	cv_ipc_put_u32(&b, (s->plan.flags & CV_PLAN_UPSTREAM_BY_NAME) != 0);
	cv_ipc_put_u32(&b, s->upstream >= 0);
	const cv_code code = b.is_overflown ? cv_fail(err, CV_LIMIT, "--upstream-proxy: too long")
					    : cv_ipc_send(s->proxy.link, CV_PROXY_REQ_FORWARD,
						      cv_buf_str(&b), NULL, 0, err);
	cv_buf_fini(&b);
	return code;
}

/* ---- where decisions are written ---- */

struct sink_link { /* who is told of sinks */
	int link;
	uint32_t type;
};

static cv_code sink_send(const struct sink_link *to, int fd, enum cv_audit_form form,
	bool is_required, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 8);
	cv_ipc_put_u32(&b, form);
	cv_ipc_put_u32(&b, is_required);
	const cv_code code = cv_ipc_send(to->link, to->type, cv_buf_str(&b), &fd, 1, err);
	cv_buf_fini(&b);
	return code;
}

/* The sandbox's own log: kept across restarts of the proxy, made beneath the layer, where no link
 * leads anywhere.  Losing it does not stop the network: the sandbox itself could fill its memory
 * file system and would then deny itself service. */
static cv_code log_send(struct supervisor *s, const struct sink_link *to,
	const struct cv_plan_op *op, struct cv_err *err)
{
	CV_AUTO_FD int fd = openat(s->built[CV_BUILT_LAYER], op->dst.p + 1,
		O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		return cv_fail_errno(err, "make %.*s in the sandbox", CV_STR_ARG(op->dst));
	return sink_send(to, fd, CV_AUDIT_FORM_LINE, false, err);
}

/* Lines for the gateway: not required, since what waits for it is bounded. */
static cv_code gateway_sink_send(
	struct supervisor *s, const struct sink_link *to, struct cv_err *err)
{
	int fd;
	cv_code code = events_pipe(s, to->link == s->proxy.link ? 0 : 1, &fd, err);

	if (code != CV_OK)
		return code;
	code = sink_send(to, fd, CV_AUDIT_FORM_LINE, false, err);
	close(fd);
	return code;
}

cv_code sinks_send(struct supervisor *s, int link, uint32_t type, struct cv_err *err)
{
	const struct sink_link to = { link, type };
	cv_code code = CV_OK;

	for (uint32_t i = 0; code == CV_OK && i < s->plan.op_count; i++)
		if (s->plan.ops[i].type == CV_PLAN_LOG)
			code = log_send(s, &to, &s->plan.ops[i], err);
	if (code == CV_OK && s->service.is_on)
		code = gateway_sink_send(s, &to, err);
	if (code == CV_OK && (s->plan.flags & CV_PLAN_VERBOSE))
		code = sink_send(&to, 2, CV_AUDIT_FORM_LINE, false, err);
	if (code != CV_OK || !s->plan.audit_file.n)
		return code;
	CV_AUTO_FD int fd = open(s->plan.audit_file.p,
		O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0)
		return cv_fail_errno(err, "audit file %.*s", CV_STR_ARG(s->plan.audit_file));
	return sink_send(&to, fd, CV_AUDIT_FORM_OCSF, true, err);
}

/* ---- the proxy ---- */

cv_code layer_send(struct supervisor *s, struct cv_err *err)
{
	int fd;

	if (s->service.policy.layer >= 0)
		return cv_ipc_send(s->proxy.link, CV_PROXY_REQ_LAYER, CV_STR_NONE,
			&s->service.policy.layer, 1, err);
	cv_code code = cv_ipc_memfd("cove-layer", s->plan.policy_layer, &fd, err);
	if (code != CV_OK)
		return code;
	code = cv_ipc_send(s->proxy.link, CV_PROXY_REQ_LAYER, CV_STR_NONE, &fd, 1, err);
	close(fd);
	return code;
}

static cv_code metadata_send(struct supervisor *s, struct cv_err *err)
{
	struct cv_buf b;

	if (!s->plan.metadata_count)
		return CV_OK;
	cv_buf_init(&b, 32768); /* as the link takes it */
	for (uint32_t i = 0; i < s->plan.metadata_count; i++)
		cv_ipc_put_str(&b, s->plan.metadata[i]);
	const cv_code code = b.is_overflown ? cv_fail(err, CV_LIMIT, "metadata: too long")
					    : cv_ipc_send(s->proxy.link, CV_PROXY_REQ_METADATA,
						      cv_buf_str(&b), NULL, 0, err);
	cv_buf_fini(&b);
	return code;
}

static void link_drop(struct supervisor *s)
{
	if (s->keeper_for_proxy >= 0)
		close(s->keeper_for_proxy);
	s->keeper_for_proxy = -1;
}

/* A new link between keeper and proxy: the keeper gets its end with a message of that type, the other
 * waits for the proxy. */
static cv_code link_make(
	struct supervisor *s, enum cv_keeper_control type, struct cv_str body, struct cv_err *err)
{
	int pair[2];
	cv_code code = cv_ipc_pair(pair, err);

	if (code != CV_OK)
		return code;
	code = cv_ipc_send(s->keeper.link, type, body, &pair[1], 1, err);
	close(pair[1]);
	link_drop(s);
	s->keeper_for_proxy = pair[0];
	if (code != CV_OK)
		link_drop(s);
	return code;
}

/* The end that waits, if there is one, to the proxy. */
static cv_code link_send(struct supervisor *s, struct cv_err *err)
{
	const cv_code code = s->keeper_for_proxy < 0
				     ? CV_OK
				     : cv_ipc_send(s->proxy.link, CV_PROXY_REQ_KEEPER, CV_STR_NONE,
					       &s->keeper_for_proxy, 1, err);

	link_drop(s);
	return code;
}

static cv_code listeners_send(struct supervisor *s, struct cv_err *err)
{
	const char how[4] = { (char)s->interception }; /* u32 */
	cv_code code = cv_ipc_send(s->proxy.link, CV_PROXY_REQ_LISTENERS,
		(struct cv_str){ how, sizeof(how) }, &s->built[CV_BUILT_TCP4], 5, err);

	for (uint32_t i = 0; code == CV_OK && i < s->more_count; i++) {
		const int fds[2] = { s->more[i].tcp4, s->more[i].tcp6 };

		code = cv_ipc_send(s->proxy.link, CV_PROXY_REQ_MORE, CV_STR_NONE, fds, 2, err);
	}
	return code;
}

static cv_code proxy_configure(struct supervisor *s, struct cv_err *err)
{
	cv_code code = listeners_send(s, err);

	if (code == CV_OK)
		code = link_send(s, err);
	if (code == CV_OK)
		code = roots_send(s, err);
	if (code == CV_OK)
		code = resolver_send(s, err);
	if (code == CV_OK && ((s->plan.flags & CV_PLAN_CREDENTIALS) || s->service.is_on))
		code = spool_send(s, err);
	if (code == CV_OK)
		code = pins_send(s, s->proxy.link, CV_PROXY_REQ_PIN, err);
	if (code == CV_OK)
		code = budgets_send(s, err);
	if (code == CV_OK)
		code = routes_send(s, err);
	if (code == CV_OK)
		code = forward_send(s, err);
	if (code == CV_OK)
		code = metadata_send(s, err);
	if (code == CV_OK)
		code = sinks_send(s, s->proxy.link, CV_PROXY_REQ_AUDIT_SINK, err);
	if (code == CV_OK)
		code = broker_join(s, err);
	if (code == CV_OK && (s->plan.policy_layer.n || s->service.policy.layer >= 0))
		code = layer_send(s, err);
	if (code == CV_OK && s->service.is_on)
		code = cv_ipc_send(s->proxy.link, CV_PROXY_REQ_DENIALS, CV_STR_NONE, NULL, 0, err);
	if (code == CV_OK &&
		(s->plan.policy_file.n || s->plan.policy_layer.n || s->service.policy.text >= 0))
		code = policy_send(s, err);
	if (code == CV_OK)
		code = cv_ipc_send(s->proxy.link, CV_PROXY_REQ_GO, CV_STR_NONE, NULL, 0, err);
	return code;
}

/* The keeper stays when a proxy dies: it has what can't be had twice, the CA and the tokens that
 * were renewed. */
cv_code proxy_start(struct supervisor *s, struct cv_err *err)
{
	cv_code code = CV_OK;

	if (s->proxy.pid)
		return CV_OK;
	if (s->keeper.pid && s->keeper_for_proxy < 0)
		code = link_make(s, CV_KEEPER_CONTROL_PROXY, CV_STR_NONE, err);
	/* A keeper that died is found by who reads its link; the next one's CA starts the proxy. */
	if (code != CV_OK && helper_is_gone(&s->keeper))
		return CV_OK;
	if (code == CV_OK)
		code = helper_start(&s->proxy, s->plan.exe_proxy, cv_proxy_reply_rule,
			CV_PROXY_REPLY_COUNT, err);
	if (code == CV_OK)
		code = proxy_configure(s, err);
	/* One that died already, or said why it can't run, is found by who reads its link. */
	if (code != CV_OK && s->proxy.pid && helper_is_gone(&s->proxy))
		return CV_OK;
	return code == CV_OK ? code : cv_wrap(err, "start the proxy");
}

static void proxy_died(struct supervisor *s)
{
	const bool was_ready = s->proxy.rules.state == CV_PROXY_READY;
	struct cv_err err;

	helper_stop(&s->proxy);
	push_proxy_died(s);
	approve_drop(s, ASKER_PROXY);
	cv_fail(&err, CV_UNAVAILABLE,
		was_ready ? "the proxy dies again and again" : "the proxy did not start");
	if (!helper_may_restart(&s->proxy)) {
		run_fail(s, &err);
		return;
	}
	say("the proxy died; a new one is started, connections in flight are reset");
	if (!keeper_is_away(s) && proxy_start(s, &err) != CV_OK)
		run_fail(s, &err);
}

static void policy_result(struct supervisor *s, struct cv_ipc_reader *r)
{
	const uint32_t code = cv_ipc_get_u32(r);
	const struct cv_str text = cv_ipc_get_str(r);
	struct cv_err err;

	if (s->proxy.rules.state == CV_PROXY_NEW) {
		if (code == CV_OK)
			return;
		cv_fail(&err, CV_INVALID, "policy: %.*s", CV_STR_ARG(text));
		run_fail(s, &err);
	} else if (push_result(s, code, text)) {
		return; /* the gateway was answered */
	} else if (code == CV_OK) {
		if (!(s->plan.flags & CV_PLAN_QUIET))
			say("policy reloaded");
	} else {
		say("policy not reloaded, the old one stays:\n%.*s", CV_STR_ARG(text));
	}
}

static void proxy_handle(struct supervisor *s, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct cv_str text;
	struct cv_err err;

	switch ((enum cv_proxy_reply)m->type) {
	case CV_PROXY_REPLY_READY:
		s->proxy.rules.state = CV_PROXY_READY;
		push_look(s);
		break;
	case CV_PROXY_REPLY_DENIED: events_denial(s, m->body); break;
	case CV_PROXY_REPLY_COUNTS: events_counts(s, m->body); break;
	case CV_PROXY_REPLY_POLICY_RESULT: policy_result(s, &r); break;
	case CV_PROXY_REPLY_RESOLVE: resolve_answer(s, m->body); break;
	case CV_PROXY_REPLY_REPORT_TEXT:
		free(s->report);
		s->report = cv_str_dup(cv_ipc_get_str(&r));
		break;
	case CV_PROXY_REPLY_FATAL:
		text = cv_ipc_get_str(&r);
		cv_fail(&err, CV_UNAVAILABLE, "proxy: %.*s", CV_STR_ARG(text));
		run_fail(s, &err);
		break;
	case CV_PROXY_REPLY_ASK: approve_ask(s, ASKER_PROXY, m->body); break;
	case CV_PROXY_REPLY_ASK_END: approve_ask_end(s, ASKER_PROXY, m->body); break;
	case CV_PROXY_REPLY_COUNT: break;
	}
}

void proxy_read(struct supervisor *s)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	const cv_code code = cv_ipc_recv(s->proxy.link, &s->proxy.rules, s->message, &m, &err);

	if (code == CV_OK) {
		proxy_handle(s, &m);
		cv_ipc_msg_fini(&m);
	} else if (code != CV_UNAVAILABLE) {
		if (code == CV_PROTO)
			say("proxy: %s", err.msg);
		proxy_died(s);
	}
}

void proxy_report(struct supervisor *s)
{
	const int64_t until = cv_clock_ms() + SUP_REPORT_MS;

	if (!s->proxy.pid || s->proxy.rules.state != CV_PROXY_READY ||
		cv_ipc_send(s->proxy.link, CV_PROXY_REQ_REPORT, CV_STR_NONE, NULL, 0, NULL) !=
			CV_OK)
		return;
	while (!s->report && s->proxy.pid) {
		struct pollfd w = { s->proxy.link, POLLIN, 0 };
		struct cv_ipc_msg m;

		if (poll(&w, 1, (int)CV_MAX(until - cv_clock_ms(), 0)) <= 0 ||
			cv_ipc_recv(s->proxy.link, &s->proxy.rules, s->message, &m, NULL) != CV_OK)
			return;
		proxy_handle(s, &m);
		cv_ipc_msg_fini(&m);
	}
}

/* ---- the keeper ---- */

bool proxy_is_late(const struct supervisor *s)
{
	return s->service.is_on;
}

bool keeper_is_away(const struct supervisor *s)
{
	return s->keeper.pid && s->keeper.rules.state != CV_KEEPER_READY;
}

/* Each has all that the first one had.  What that one had renewed meanwhile is lost. */
static cv_code keeper_configure(struct supervisor *s, struct cv_err *err)
{
	cv_code code = CV_OK;
	struct cv_buf b;
	char name[32];

	if (s->credentials >= 0)
		code = cv_ipc_send(s->keeper.link, CV_KEEPER_CONTROL_SECRETS, CV_STR_NONE,
			&s->credentials, 1, err);
	if (code == CV_OK && s->credentials >= 0 && s->ca_count)
		code = cv_ipc_send(
			s->keeper.link, CV_KEEPER_CONTROL_AGAIN, CV_STR_NONE, NULL, 0, err);
	if (code == CV_OK && s->upstream >= 0)
		code = cv_ipc_send(s->keeper.link, CV_KEEPER_CONTROL_UPSTREAM, CV_STR_NONE,
			&s->upstream, 1, err);
	/* Who looks for a CA by its name must not find the wrong one. */
	snprintf(name, sizeof(name), "cove-%d", (int)getpid());
	if (s->ca_count)
		snprintf(name, sizeof(name), "cove-%d-%u", (int)getpid(), s->ca_count + 1);
	cv_buf_init(&b, 256);
	cv_ipc_put_str(&b, cv_str_of(name));
	if (code == CV_OK)
		code = link_make(s, CV_KEEPER_CONTROL_START, cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

cv_code keeper_start(struct supervisor *s, struct cv_err *err)
{
	cv_code code = CV_OK;

	if (s->keeper_given >= 0)
		helper_adopt(&s->keeper, cv_take_fd(s->keeper_given), cv_keeper_control_reply_rule,
			CV_KEEPER_CONTROL_REPLY_COUNT);
	else
		code = helper_start(&s->keeper, s->plan.exe_keeper, cv_keeper_control_reply_rule,
			CV_KEEPER_CONTROL_REPLY_COUNT, err);
	if (code == CV_OK)
		code = keeper_configure(s, err);
	if (code == CV_OK)
		code = courier_join(s, err);
	if (code == CV_OK)
		code = broker_keeper_join(s, err);
	/* One that died already is found by who reads its link. */
	if (code != CV_OK && s->keeper.pid && helper_is_gone(&s->keeper))
		return CV_OK;
	return code == CV_OK ? code : cv_wrap(err, "start the keeper");
}

cv_code keeper_catalog_renew(struct supervisor *s, struct cv_err *err)
{
	cv_code code;

	if (!s->proxy.pid) {
		link_drop(s); /* the next one gets one of its own */
		return CV_OK;
	}
	code = link_make(s, CV_KEEPER_CONTROL_PROXY, CV_STR_NONE, err);
	if (code == CV_OK)
		code = cv_ipc_send(
			s->proxy.link, CV_PROXY_REQ_CREDENTIALS, CV_STR_NONE, NULL, 0, err);
	return code == CV_OK ? link_send(s, err) : code;
}

/* First into the sandbox, then to the proxy: nobody is to meet a leaf whose CA he can't find. */
static void ca_take(struct supervisor *s, struct cv_str pem)
{
	struct cv_err err;

	s->keeper.rules.state = CV_KEEPER_READY;
	cv_code code = ca_add(s, pem, &err);
	if (code != CV_OK || !s->is_built) {
		if (code != CV_OK)
			run_fail(s, &err);
		return;
	}
	code = ca_files_write(s, &err);
	if (code == CV_OK && !proxy_is_late(s))
		code = proxy_start(s, &err);
	if (code == CV_OK && s->proxy.pid)
		code = link_send(s, &err);
	/* A proxy that died is found by who reads its link. */
	if (code != CV_OK && !(s->proxy.pid && helper_is_gone(&s->proxy)))
		run_fail(s, &err);
	inside_command(s);
	push_look(s);
}

static void keeper_died(struct supervisor *s)
{
	const bool was_ready = s->keeper.rules.state == CV_KEEPER_READY;
	struct cv_err err;

	helper_stop(&s->keeper);
	push_keeper_died(s);
	cv_fail(&err, CV_UNAVAILABLE,
		was_ready ? "the keeper dies again and again" : "the keeper did not start");
	if (!helper_may_restart(&s->keeper)) {
		run_fail(s, &err);
		return;
	}
	say("the keeper died; a new one is started, with a new certificate authority");
	if (keeper_start(s, &err) != CV_OK)
		run_fail(s, &err);
}

void keeper_read(struct supervisor *s)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	const cv_code code = cv_ipc_recv(s->keeper.link, &s->keeper.rules, s->message, &m, &err);

	if (code == CV_UNAVAILABLE)
		return;
	if (code != CV_OK) {
		keeper_died(s);
		return;
	}
	struct cv_ipc_reader r = { .rest = m.body };
	if (m.type == CV_KEEPER_CONTROL_REPLY_CA) {
		ca_take(s, cv_ipc_get_str(&r));
		push_keeper_look(s);
	} else if (m.type == CV_KEEPER_CONTROL_REPLY_BORN) {
		s->keeper.pidfd = cv_take_fd(m.fds[0]);
	} else if (m.type == CV_KEEPER_CONTROL_REPLY_SECRETS_RESULT) {
		push_keeper_result(s, m.body);
	} else {
		cv_fail(&err, CV_UNAVAILABLE, "keeper: %.*s", CV_STR_ARG(m.body));
		run_fail(s, &err);
	}
	cv_ipc_msg_fini(&m);
}
