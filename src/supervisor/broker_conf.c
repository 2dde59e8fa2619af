/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_conf.c - what a broker is told: before the sandbox is there, once it is, and when its policy
 * changes
 */
#include "supervisor/broker_int.h"

#include "base/hex.h"
#include "base/sha256.h"
#include "supervisor/limits.h"
#include "sys/fd.h"
#include "tools/builtin.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cv_str broker_name_of(const struct supervisor *s, char text[32])
{
	if (s->plan.gateway.sandbox.n)
		return s->plan.gateway.sandbox;
	return (struct cv_str){ text, (size_t)snprintf(text, 32, "cove-%d", (int)getpid()) };
}

cv_code broker_put(struct supervisor *s, enum cv_broker_control type, struct cv_buf *body,
	const int *fd, struct cv_err *err)
{
	const cv_code code =
		body->is_overflown
			? cv_fail(err, CV_LIMIT, "a message to the broker is too long")
			: cv_ipc_send(s->broker.link, type, cv_buf_str(body), fd, fd != NULL, err);

	cv_buf_wipe(body);
	return code;
}

static cv_code catalog_put(struct supervisor *s, uint32_t i, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_ipc_put_str(&b, s->plan.tools_files[i]);
	return broker_put(s, CV_BROKER_CONTROL_CATALOG, &b, &s->broker_catalog[i], err);
}

static cv_code builtin_send(struct supervisor *s, uint32_t i, struct cv_err *err)
{
	const struct cv_str prefix = CV_STR(CV_BUILTIN_CATALOG_PREFIX),
			    path = s->plan.tools_files[i];
	const struct cv_str name = cv_str_slice(path, prefix.n, path.n);

	for (unsigned long k = 0; k < cv_builtin_catalogs_count; k++) {
		const struct cv_builtin_catalog *c = &cv_builtin_catalogs[k];

		if (!cv_str_eq(name, cv_str_of(c->id)))
			continue;
		if (cv_ipc_memfd("cove-catalog", (struct cv_str){ c->text, c->bytes },
			    &s->broker_catalog[i], err) != CV_OK)
			return err->code;
		return catalog_put(s, i, err);
	}
	return cv_fail(err, CV_NOT_FOUND, "no catalog %.*s", CV_STR_ARG(path));
}

/* Read once: a broker that is started again runs what the first one ran. */
static cv_code catalog_send(struct supervisor *s, uint32_t i, struct cv_err *err)
{
	if (s->broker_catalog[i] < 0) {
		const struct cv_str path = s->plan.tools_files[i];
		if (cv_str_has_prefix(path, CV_STR(CV_BUILTIN_CATALOG_PREFIX)))
			return builtin_send(s, i, err);
		CV_AUTO_FD int fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		char *text;
		size_t n;

		if (fd < 0)
			return cv_fail_errno(err, "--tools %.*s", CV_STR_ARG(path));
		if (cv_ipc_fd_read_all(fd, SUP_CATALOG_BYTES_MAX, &text, &n, err) != CV_OK)
			return cv_wrap(err, "--tools %.*s", CV_STR_ARG(path));
		const cv_code code = cv_ipc_memfd(
			"cove-catalog", (struct cv_str){ text, n }, &s->broker_catalog[i], err);
		free(text);
		if (code != CV_OK)
			return code;
	}
	return catalog_put(s, i, err);
}

static cv_code path_put(
	struct supervisor *s, enum cv_broker_control type, struct cv_str path, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_ipc_put_str(&b, path);
	return broker_put(s, type, &b, NULL, err);
}

static cv_code slots_send(struct supervisor *s, struct cv_err *err)
{
	return s->plan.tools_slots.n
		       ? path_put(s, CV_BROKER_CONTROL_SLOTS, s->plan.tools_slots, err)
		       : CV_OK;
}

/* Ours is one of the places where launchers put them (cli/run_tools.c); other runs may have theirs at
 * another. */
static cv_code hide_send(struct supervisor *s, struct cv_err *err)
{
	const struct cv_str variable = CV_STR("XDG_RUNTIME_DIR=");
	char user[64];
	struct cv_str place[4] = { CV_STR("/tmp"), CV_STR("/var/tmp") };
	char path[PATH_MAX];
	cv_code code = CV_OK;

	snprintf(user, sizeof(user), "/run/user/%u", (unsigned)geteuid());
	place[2] = cv_str_of(user);
	for (uint32_t i = 0; i < s->plan.tools_env_count; i++)
		if (cv_str_has_prefix(s->plan.tools_env[i], variable))
			place[3] = cv_str_slice(
				s->plan.tools_env[i], variable.n, s->plan.tools_env[i].n);
	if (*s->broker_states)
		code = path_put(s, CV_BROKER_CONTROL_HIDE, cv_str_of(s->broker_states), err);
	for (size_t i = 0; code == CV_OK && i < CV_ARRAY_LEN(place); i++)
		if (cv_str_has_prefix(place[i], CV_STR("/")) && place[i].n < PATH_MAX / 2) {
			snprintf(path, sizeof(path), "%.*s" BROKER_STATES_NAME,
				CV_STR_ARG(place[i]), (unsigned)geteuid());
			code = path_put(s, CV_BROKER_CONTROL_HIDE, cv_str_of(path), err);
		}
	return code;
}

/* With the broker's end of the link that was made for a proxy. */
static cv_code link_put(
	struct supervisor *s, enum cv_broker_control type, struct cv_buf *body, struct cv_err *err)
{
	const cv_code code = broker_put(s, type, body, &s->broker_call, err);

	cv_fd_cleanup(&s->broker_call);
	s->broker_call = -1;
	return code;
}

cv_code broker_link_renew(struct supervisor *s, struct cv_err *err)
{
	char name[32];
	struct cv_buf b;
	cv_code code = broker_link_make(s, err);

	if (code != CV_OK)
		return code;
	cv_buf_init(&b, 256);
	cv_ipc_put_str(&b, broker_name_of(s, name));
	if (link_put(s, CV_BROKER_CONTROL_LINK, &b, err) == CV_OK)
		return CV_OK;
	cv_fd_cleanup(&s->broker_for_proxy);
	s->broker_for_proxy = -1;
	return CV_OK; /* a broker that is gone is found by who reads its link */
}

static cv_code sandbox_send(struct supervisor *s, struct cv_err *err)
{
	unsigned char digest[CV_SHA256_BYTES];
	char name[32];
	struct cv_buf b;

	if (!cv_hex_decode(s->plan.tools_digest, digest, sizeof(digest)))
		return cv_fail(err, CV_PROTO, "the plan's digest of a token");
	cv_code code = s->broker_call < 0 ? broker_link_make(s, err) : CV_OK;
	if (code != CV_OK)
		return code;
	cv_buf_init(&b, 4096);
	cv_ipc_put_str(&b, broker_name_of(s, name));
	cv_ipc_put_str(&b, (struct cv_str){ (const char *)digest, sizeof(digest) });
	return link_put(s, CV_BROKER_CONTROL_SANDBOX, &b, err);
}

static cv_code root_send(struct supervisor *s, struct cv_err *err)
{
	char name[32];
	struct cv_buf b;

	cv_buf_init(&b, 256);
	cv_ipc_put_str(&b, broker_name_of(s, name));
	return broker_put(s, CV_BROKER_CONTROL_ROOT, &b, &s->built[CV_BUILT_ROOT], err);
}

static cv_code about_put(
	struct supervisor *s, enum cv_broker_about key, struct cv_str value, struct cv_err *err)
{
	char name[32];
	struct cv_buf b;

	cv_buf_init(&b, 8192);
	cv_ipc_put_str(&b, broker_name_of(s, name));
	cv_ipc_put_u32(&b, key);
	cv_ipc_put_str(&b, value);
	return broker_put(s, CV_BROKER_CONTROL_ABOUT, &b, NULL, err);
}

static cv_code pin_put(struct supervisor *s, const struct cv_plan_pin *p, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 1024);
	cv_buf_printf(&b, "%.*s:%u:%.*s", CV_STR_ARG(p->host), p->port, CV_STR_ARG(p->addr));
	const cv_code code = about_put(s, CV_BROKER_ABOUT_RESOLVE, cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

/* An upstream proxy's USER:PASSWORD is not passed on: a build has no secrets. */
static cv_code about_send(struct supervisor *s, struct cv_err *err)
{
	const struct cv_plan *p = &s->plan;
	cv_code code = about_put(s, CV_BROKER_ABOUT_WORKDIR, p->command.cwd, err);

	for (uint32_t i = 0; code == CV_OK && i < p->ca_count; i++)
		code = about_put(s, CV_BROKER_ABOUT_CA, p->ca_files[i], err);
	for (uint32_t i = 0; code == CV_OK && i < p->pin_count; i++)
		code = pin_put(s, &p->pins[i], err);
	if (code == CV_OK && p->upstream_proxy.n)
		code = about_put(s, CV_BROKER_ABOUT_UPSTREAM, p->upstream_proxy, err);
	if (code == CV_OK && p->upstream_direct.n)
		code = about_put(s, CV_BROKER_ABOUT_UPSTREAM_DIRECT, p->upstream_direct, err);
	if (code == CV_OK && (p->flags & CV_PLAN_UPSTREAM_BY_NAME))
		code = about_put(s, CV_BROKER_ABOUT_UPSTREAM_BY_NAME, CV_STR_NONE, err);
	return code;
}

cv_code broker_policy_send(struct supervisor *s, struct cv_err *err)
{
	char name[32];
	struct cv_buf b;
	int fd;

	if (!s->broker.pid || !s->is_broker_told)
		return CV_OK;
	cv_code code = policy_read(s, &fd, err);
	if (code != CV_OK)
		return code;
	cv_buf_init(&b, 8192);
	cv_ipc_put_str(&b, broker_name_of(s, name));
	cv_ipc_put_str(&b, cv_str_slice(s->plan.policy_name, 0, 4000));
	code = broker_put(s, CV_BROKER_CONTROL_POLICY, &b, &fd, err);
	close(fd);
	return code;
}

static cv_code go_send(struct supervisor *s, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 4);
	cv_ipc_put_u32(&b, 0);
	return broker_put(s, CV_BROKER_CONTROL_GO, &b, NULL, err);
}

static cv_code hold_send(struct supervisor *s, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 4);
	cv_ipc_put_u32(&b, (uint32_t)CV_MAX(s->plan.approve_ms / 1000, (uint64_t)1));
	return broker_put(s, CV_BROKER_CONTROL_HOLD, &b, NULL, err);
}

cv_code broker_configure(struct supervisor *s, struct cv_err *err)
{
	cv_code code = CV_OK;

	for (uint32_t i = 0; code == CV_OK && i < s->plan.tools_count; i++)
		code = catalog_send(s, i, err);
	if (code == CV_OK)
		code = path_put(s, CV_BROKER_CONTROL_STATE, cv_str_of(s->broker_state), err);
	if (code == CV_OK)
		code = hide_send(s, err);
	if (code == CV_OK)
		code = slots_send(s, err);
	if (code == CV_OK)
		code = hold_send(s, err);
	for (uint32_t i = 0; code == CV_OK && i < s->plan.tools_env_count; i++)
		code = variable_send(
			s->broker.link, CV_BROKER_CONTROL_ENV, s->plan.tools_env[i], err);
	if (code == CV_OK)
		code = roots_text_send(s, s->broker.link, CV_BROKER_CONTROL_ROOTS, err);
	if (code == CV_OK)
		code = pins_send(s, s->broker.link, CV_BROKER_CONTROL_PIN, err);
	return code;
}

cv_code broker_introduce(struct supervisor *s, struct cv_err *err)
{
	cv_code code = sinks_send(s, s->broker.link, CV_BROKER_CONTROL_AUDIT_SINK, err);

	if (code == CV_OK)
		code = sandbox_send(s, err);
	if (code == CV_OK)
		code = root_send(s, err);
	if (code == CV_OK)
		code = about_send(s, err);
	s->is_broker_told = code == CV_OK;
	if (code == CV_OK)
		code = broker_policy_send(s, err);
	return code == CV_OK ? go_send(s, err) : code;
}
