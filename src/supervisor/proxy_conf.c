/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_conf.c - what a new proxy is told before it goes
 *
 * It opens nothing itself: listeners, links, files and texts come as descriptors or in messages, in
 * the order of proxy_configure(), and GO is the last.  Each proxy of a run is told all of it, so the
 * supervisor keeps, or can read again, whatever the first one had.  Some of it others are told too:
 * roots and pins the courier and the broker, sinks the broker; routes and layer a proxy that runs,
 * when the gateway has new ones.
 */
#include "supervisor/supervisor.h"

#include "base/ip.h"
#include "supervisor/limits.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define VARIABLE_BYTES_MAX 32768 /* what the links take */

/* ---- files ---- */

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
cv_code roots_text_send(struct supervisor *s, int link, uint32_t type, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, SUP_ROOTS_BYTES_MAX);
	cv_code code = s->plan.roots.n ? file_append(&b, s->plan.roots.p, err) : CV_OK;
	for (uint32_t i = 0; code == CV_OK && i < s->plan.ca_count; i++)
		code = file_append(&b, s->plan.ca_files[i].p, err);
	if (code == CV_OK)
		code = cv_ipc_send_text(link, type, "cove-roots", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

/* Values may be secret: what is written here is wiped. */
cv_code variable_send(int link, uint32_t type, struct cv_str pair, struct cv_err *err)
{
	const size_t eq = cv_str_find_byte(pair, '=');
	struct cv_buf b;

	cv_buf_init(&b, VARIABLE_BYTES_MAX);
	cv_ipc_put_str(&b, cv_str_slice(pair, 0, eq));
	cv_ipc_put_str(&b, cv_str_slice(pair, eq + 1, pair.n));
	const cv_code code = b.is_overflown ? cv_fail(err, CV_LIMIT, "a variable is too long")
					    : cv_ipc_send(link, type, cv_buf_str(&b), NULL, 0, err);
	cv_buf_wipe(&b);
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

/* The address that this host has where others reach it: that of its default route, for which nothing
 * is sent.  False: it is on no network. */
static bool own_address(int family, struct cv_ip *ret)
{
	static const char *const elsewhere[] = { "203.0.113.1",
		"2001:db8::1" }; /* RFC 5737, 3849 */
	union {
		struct sockaddr sa;
		unsigned char bytes[CV_IP_SOCKADDR_BYTES];
	} to;
	CV_AUTO_FD int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(to);
	struct cv_ip ip;
	uint16_t port;

	return fd >= 0 && cv_ip_parse(cv_str_of(elsewhere[family == AF_INET6]), &ip) &&
	       connect(fd, &to.sa, (socklen_t)cv_ip_to_sockaddr(&ip, 9, &to)) == 0 &&
	       getsockname(fd, &to.sa, &n) == 0 && cv_ip_from_sockaddr(&to, n, ret, &port);
}

/* Names by which agents ask for this host's own servers; whether they may is the policy's to say.  Behind
 * the host's own file, in which they may mean something else. */
static void own_names_put(struct cv_buf *b)
{
	char text[CV_IP_TEXT_BYTES];
	struct cv_ip ip;

	if (!own_address(AF_INET, &ip) && !own_address(AF_INET6, &ip))
		return;
	cv_buf_put(b, CV_STR("\n"));
	cv_buf_put(b, cv_ip_format(&ip, text));
	cv_buf_put(b,
		CV_STR(" host.openshell.internal host.containers.internal host.docker.internal\n"));
}

/* resolv.conf and hosts may be missing: the proxy then knows no names but the pinned, and ours. */
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
	if (file_append(&b, "/etc/hosts", &ignored) != CV_OK)
		cv_buf_reset(&b);
	own_names_put(&b);
	if (code == CV_OK && cv_buf_len(&b))
		code = cv_ipc_send_text(
			s->proxy.link, CV_PROXY_REQ_HOSTS, "cove-text", cv_buf_str(&b), err);
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
		code = cv_ipc_send_text(
			s->proxy.link, CV_PROXY_REQ_ROUTES, "cove-text", cv_buf_str(&b), err);
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

/* The sandbox's own logs: kept across restarts of the proxy, made beneath the layer, where no link
 * leads anywhere.  Losing it does not stop the network: the sandbox itself could fill its memory
 * file system and would then deny itself service. */
static cv_code log_send(struct supervisor *s, const struct sink_link *to,
	const struct cv_plan_op *op, struct cv_err *err)
{
	CV_AUTO_FD int fd = openat(s->built[CV_BUILT_LAYER], op->dst.p + 1,
		O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		return cv_fail_errno(err, "make %.*s in the sandbox", CV_STR_ARG(op->dst));
	return sink_send(to, fd,
		op->flags & CV_PLAN_LOG_OCSF ? CV_AUDIT_FORM_OCSF : CV_AUDIT_FORM_LINE, false, err);
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

/* ---- the rest, and the order ---- */

cv_code layer_send(struct supervisor *s, struct cv_err *err)
{
	if (s->service.policy.layer >= 0)
		return cv_ipc_send(s->proxy.link, CV_PROXY_REQ_LAYER, CV_STR_NONE,
			&s->service.policy.layer, 1, err);
	return cv_ipc_send_text(
		s->proxy.link, CV_PROXY_REQ_LAYER, "cove-layer", s->plan.policy_layer, err);
}

cv_code advice_send(struct supervisor *s, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 8);
	cv_ipc_put_u32(&b, s->service.may_propose);
	const cv_code code =
		cv_ipc_send(s->proxy.link, CV_PROXY_REQ_ADVICE, cv_buf_str(&b), NULL, 0, err);
	cv_buf_fini(&b);
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

cv_code proxy_configure(struct supervisor *s, struct cv_err *err)
{
	cv_code code = listeners_send(s, err);

	if (code == CV_OK)
		code = keeper_link_send(s, err);
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
	if (code == CV_OK && s->service.may_propose)
		code = advice_send(s, err);
	if (code == CV_OK &&
		(s->plan.policy_file.n || s->plan.policy_layer.n || s->service.policy.text >= 0))
		code = policy_send(s, err);
	if (code == CV_OK)
		code = cv_ipc_send(s->proxy.link, CV_PROXY_REQ_GO, CV_STR_NONE, NULL, 0, err);
	return code;
}
