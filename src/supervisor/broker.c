/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker.c - the broker of host tools, in runs that have any
 *
 *     supervisor ---control--- broker        catalogs, a directory, sinks; the sandbox and its token
 *         |                       |
 *         +-------- proxy --------+           OPEN: a link of their own, handed to both
 *         +-------- keeper -------+           RELEASE_TOOL: another one
 *
 * It reads its catalogs while the sandbox is being built, is told of the sandbox once that is
 * there, and the command waits for READY.  Either may be started again: a new broker is configured
 * from nothing and finds the records of jobs in its directory; a new proxy gets another link to the
 * broker that runs.  The directory is removed when the run ends, by the janitor if not by us.
 *
 * All runs of a user have theirs in one directory, cove-tools-UID, and those of a gateway in its
 * own: so there is one place that the tools of every run are not shown (HIDE).
 */
#include "supervisor/supervisor.h"

#include "base/hex.h"
#include "base/sha256.h"
#include "ipc/broker_link.h"
#include "supervisor/helper.h"
#include "supervisor/limits.h"
#include "sys/children.h"
#include "sys/fd.h"
#include "sys/tree.h"
#include "tools/builtin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define BODY_BYTES_MAX 65536

static bool has_tools(const struct supervisor *s)
{
	return s->plan.tools_count > 0;
}

/* What the broker calls this sandbox.  One of a gateway has a name that outlives its supervisor, and
 * finds the jobs of an earlier start by it. */
static struct cv_str name_of(const struct supervisor *s, char text[32])
{
	if (s->plan.gateway.sandbox.n)
		return s->plan.gateway.sandbox;
	return (struct cv_str){ text, (size_t)snprintf(text, 32, "cove-%d", (int)getpid()) };
}

static cv_code put(struct supervisor *s, enum cv_broker_control type, struct cv_buf *body,
	const int *fd, struct cv_err *err)
{
	const cv_code code =
		body->is_overflown
			? cv_fail(err, CV_LIMIT, "a message to the broker is too long")
			: cv_ipc_send(s->broker.link, type, cv_buf_str(body), fd, fd != NULL, err);

	if (body->data)
		explicit_bzero(body->data, body->cap); /* a variable of the host may be secret */
	cv_buf_fini(body);
	return code;
}

/* ---- its directory ---- */

#define STATES_NAME "/cove-tools-%u" /* in which all runs of the user have their directories */
#define STATE_TRIES 3                /* another run that ends may remove it under our hands */

/* The user's own, in a directory that may be everybody's. */
static cv_code states_make(const char *path, struct cv_err *err)
{
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return cv_fail_errno(err, "make %s", path);
	if (lstat(path, &st) < 0)
		return cv_fail_errno(err, "look at %s", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return cv_fail(err, CV_DENIED, "%s is not yours alone (0700)", path);
	return CV_OK;
}

static cv_code state_make_new(struct supervisor *s, struct cv_err *err)
{
	for (int i = 0; i < STATE_TRIES; i++) {
		if (asprintf(&s->broker_states, "%.*s" STATES_NAME, CV_STR_ARG(s->plan.tools_state),
			    (unsigned)geteuid()) < 0)
			s->broker_states = NULL;
		if (!s->broker_states ||
			asprintf(&s->broker_state, "%s/XXXXXX", s->broker_states) < 0)
			s->broker_state = NULL;
		if (!s->broker_state)
			return cv_fail(err, CV_LIMIT, "no memory");
		if (states_make(s->broker_states, err) == CV_OK) {
			if (mkdtemp(s->broker_state)) /* 0700 */
				return CV_OK;
			cv_fail_errno(err, "make %s", s->broker_state);
		}
		free(s->broker_state);
		free(s->broker_states);
		s->broker_state = s->broker_states = NULL;
		if (err->sys != ENOENT)
			break;
	}
	return err->code;
}

/* STATE/sandboxes/ID/tools/state: all of STATE is the gateway's. */
static cv_code states_find(struct supervisor *s, struct cv_err *err)
{
	const struct cv_str own = cv_str_of(s->broker_state);
	struct cv_str above = own;

	if (cv_str_has_suffix(above, CV_STR("/tools/state"))) {
		above = cv_str_slice(above, 0, above.n - strlen("/tools/state"));
		above = cv_str_slice(above, 0, cv_str_rfind_byte(above, '/'));
	}
	const bool is_known = cv_str_has_suffix(above, CV_STR("/sandboxes"));
	above = is_known ? cv_str_slice(above, 0, above.n - strlen("/sandboxes")) : own;
	s->broker_states = cv_str_dup(above);
	return s->broker_states ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");
}

cv_code broker_state_make(struct supervisor *s, struct cv_err *err)
{
	if (!has_tools(s))
		return CV_OK;
	if (s->service.is_on) { /* the sandbox's own, which the gateway removes with it */
		s->is_broker_state_kept = true;
		s->broker_state = cv_str_dup(s->plan.tools_state);
		if (!s->broker_state)
			return cv_fail(err, CV_LIMIT, "no memory");
		if (mkdir(s->broker_state, 0700) < 0 && errno != EEXIST)
			return cv_fail_errno(err, "make %s", s->broker_state);
		return states_find(s, err);
	}
	return state_make_new(s, err);
}

/* ---- configuration ---- */

static cv_code catalog_put(struct supervisor *s, uint32_t i, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_ipc_put_str(&b, s->plan.tools_files[i]);
	return put(s, CV_BROKER_CONTROL_CATALOG, &b, &s->broker_catalog[i], err);
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

static cv_code state_send(struct supervisor *s, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_ipc_put_str(&b, cv_str_of(s->broker_state));
	return put(s, CV_BROKER_CONTROL_STATE, &b, NULL, err);
}

static cv_code hide_put(struct supervisor *s, struct cv_str dir, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_ipc_put_str(&b, dir);
	return put(s, CV_BROKER_CONTROL_HIDE, &b, NULL, err);
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
		code = hide_put(s, cv_str_of(s->broker_states), err);
	for (size_t i = 0; code == CV_OK && i < CV_ARRAY_LEN(place); i++)
		if (cv_str_has_prefix(place[i], CV_STR("/")) && place[i].n < PATH_MAX / 2) {
			snprintf(path, sizeof(path), "%.*s" STATES_NAME, CV_STR_ARG(place[i]),
				(unsigned)geteuid());
			code = hide_put(s, cv_str_of(path), err);
		}
	return code;
}

static cv_code env_send(struct supervisor *s, struct cv_str pair, struct cv_err *err)
{
	const size_t eq = cv_str_find_byte(pair, '=');
	struct cv_buf b;

	cv_buf_init(&b, BODY_BYTES_MAX);
	cv_ipc_put_str(&b, cv_str_slice(pair, 0, eq));
	cv_ipc_put_str(&b, cv_str_slice(pair, eq + 1, pair.n));
	return put(s, CV_BROKER_CONTROL_ENV, &b, NULL, err);
}

static cv_code sandbox_send(struct supervisor *s, struct cv_err *err)
{
	unsigned char digest[CV_SHA256_BYTES];
	char name[32];
	struct cv_buf b;
	int pair[2];

	if (!cv_hex_decode(s->plan.tools_digest, digest, sizeof(digest)))
		return cv_fail(err, CV_PROTO, "the plan's digest of a token");
	cv_code code = cv_ipc_pair(pair, err);
	if (code != CV_OK)
		return code;
	cv_buf_init(&b, 4096);
	cv_ipc_put_str(&b, name_of(s, name));
	cv_ipc_put_str(&b, (struct cv_str){ (const char *)digest, sizeof(digest) });
	code = put(s, CV_BROKER_CONTROL_SANDBOX, &b, &pair[1], err);
	close(pair[1]);
	cv_fd_cleanup(&s->broker_for_proxy);
	s->broker_for_proxy = pair[0];
	return code;
}

static cv_code root_send(struct supervisor *s, struct cv_err *err)
{
	char name[32];
	struct cv_buf b;

	cv_buf_init(&b, 256);
	cv_ipc_put_str(&b, name_of(s, name));
	return put(s, CV_BROKER_CONTROL_ROOT, &b, &s->built[CV_BUILT_ROOT], err);
}

static cv_code about_put(
	struct supervisor *s, enum cv_broker_about key, struct cv_str value, struct cv_err *err)
{
	char name[32];
	struct cv_buf b;

	cv_buf_init(&b, 8192);
	cv_ipc_put_str(&b, name_of(s, name));
	cv_ipc_put_u32(&b, key);
	cv_ipc_put_str(&b, value);
	return put(s, CV_BROKER_CONTROL_ABOUT, &b, NULL, err);
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
	cv_ipc_put_str(&b, name_of(s, name));
	cv_ipc_put_str(&b, cv_str_slice(s->plan.policy_name, 0, 4000));
	code = put(s, CV_BROKER_CONTROL_POLICY, &b, &fd, err);
	close(fd);
	return code;
}

static cv_code go_send(struct supervisor *s, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 4);
	cv_ipc_put_u32(&b, 0);
	return put(s, CV_BROKER_CONTROL_GO, &b, NULL, err);
}

static cv_code roots_send(struct supervisor *s, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, SUP_ROOTS_BYTES_MAX);
	cv_code code = roots_read(s, &b, err);
	if (code == CV_OK)
		code = cv_ipc_send_text(
			s->broker.link, CV_BROKER_CONTROL_ROOTS, "cove-roots", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

/* ---- the keeper's side ---- */

cv_code broker_keeper_join(struct supervisor *s, struct cv_err *err)
{
	struct cv_buf none;
	int pair[2];

	if (!s->broker.pid || !s->keeper.pid)
		return CV_OK; /* whoever comes second joins them */
	cv_code code = cv_ipc_pair(pair, err);
	if (code != CV_OK)
		return code;
	cv_buf_init(&none, 0);
	code = put(s, CV_BROKER_CONTROL_KEEPER, &none, &pair[0], err);
	if (code == CV_OK)
		code = cv_ipc_send(
			s->keeper.link, CV_KEEPER_CONTROL_BROKER, CV_STR_NONE, &pair[1], 1, err);
	close(pair[0]);
	close(pair[1]);
	/* Who died meanwhile is found by who reads its link, and they are joined again. */
	if (code != CV_OK && (helper_is_gone(&s->broker) || helper_is_gone(&s->keeper)))
		return CV_OK;
	return code;
}

static cv_code hold_send(struct supervisor *s, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 4);
	cv_ipc_put_u32(&b, (uint32_t)CV_MAX(s->plan.approve_ms / 1000, (uint64_t)1));
	return put(s, CV_BROKER_CONTROL_HOLD, &b, NULL, err);
}

/* ---- start ---- */

/* What can be said before the sandbox is there. */
static cv_code begin(struct supervisor *s, struct cv_err *err)
{
	cv_code code = helper_start(&s->broker, s->plan.exe_broker, cv_broker_control_reply_rule,
		CV_BROKER_CONTROL_REPLY_COUNT, err);

	s->is_broker_told = false;
	for (uint32_t i = 0; code == CV_OK && i < s->plan.tools_count; i++)
		code = catalog_send(s, i, err);
	if (code == CV_OK)
		code = state_send(s, err);
	if (code == CV_OK)
		code = hide_send(s, err);
	if (code == CV_OK)
		code = hold_send(s, err);
	for (uint32_t i = 0; code == CV_OK && i < s->plan.tools_env_count; i++)
		code = env_send(s, s->plan.tools_env[i], err);
	if (code == CV_OK)
		code = roots_send(s, err);
	if (code == CV_OK)
		code = pins_send(s, s->broker.link, CV_BROKER_CONTROL_PIN, err);
	return code == CV_OK ? broker_keeper_join(s, err) : code;
}

static cv_code tell(struct supervisor *s, struct cv_err *err)
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

/* One that died already, or said why it can't run, is found by who reads its link. */
static cv_code outcome_of(struct supervisor *s, cv_code code, struct cv_err *err)
{
	if (code == CV_OK || (s->broker.pid && helper_is_gone(&s->broker)))
		return CV_OK;
	return cv_wrap(err, "start the broker of host tools");
}

cv_code broker_start(struct supervisor *s, struct cv_err *err)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(s->broker_catalog); i++)
		s->broker_catalog[i] = -1;
	if (!has_tools(s))
		return CV_OK;
	return outcome_of(s, begin(s, err), err);
}

cv_code broker_built(struct supervisor *s, struct cv_err *err)
{
	if (!has_tools(s) || s->is_broker_told)
		return CV_OK;
	return outcome_of(s, tell(s, err), err);
}

bool broker_is_awaited(const struct supervisor *s)
{
	return has_tools(s) && s->broker.rules.state != CV_BROKER_READY;
}

/* ---- the proxy's side ---- */

/* A link for a proxy that is started anew. */
static cv_code link_renew(struct supervisor *s, struct cv_err *err)
{
	char name[32];
	struct cv_buf b;
	int pair[2];
	cv_code code = cv_ipc_pair(pair, err);

	if (code != CV_OK)
		return code;
	cv_buf_init(&b, 256);
	cv_ipc_put_str(&b, name_of(s, name));
	code = put(s, CV_BROKER_CONTROL_LINK, &b, &pair[1], err);
	close(pair[1]);
	if (code == CV_OK)
		s->broker_for_proxy = pair[0];
	else
		close(pair[0]);
	return CV_OK; /* a broker that is gone is found by who reads its link */
}

static cv_code link_give(struct supervisor *s, struct cv_err *err)
{
	const cv_code code = cv_ipc_send(
		s->proxy.link, CV_PROXY_REQ_BROKER, CV_STR_NONE, &s->broker_for_proxy, 1, err);

	cv_fd_cleanup(&s->broker_for_proxy);
	s->broker_for_proxy = -1;
	return code;
}

cv_code broker_join(struct supervisor *s, struct cv_err *err)
{
	if (!has_tools(s))
		return CV_OK;
	cv_code code = cv_ipc_send_text(
		s->proxy.link, CV_PROXY_REQ_TOOLS, "cove-tools", s->plan.tools_map, err);
	if (code == CV_OK && s->broker_for_proxy < 0 && s->broker.pid && s->is_broker_told)
		code = link_renew(s, err);
	if (code == CV_OK && s->broker_for_proxy >= 0)
		code = link_give(s, err);
	return code;
}

/* ---- what it says ---- */

/* Who was a child of one of its tools, and was in no cell, is ours now: we are a subreaper.  Each that
 * ends leaves its own children to us. */
static void orphans_end(const struct supervisor *s)
{
	const pid_t ours[] = { s->sandbox.pid, s->keeper.pid, s->courier.pid, s->proxy.pid,
		s->broker.pid, s->janitor };

	cv_children_end(ours, CV_ARRAY_LEN(ours), SUP_ORPHANS_MS);
}

static void died(struct supervisor *s)
{
	const bool was_ready = s->broker.rules.state == CV_BROKER_READY;
	struct cv_err err;

	helper_stop(&s->broker);
	orphans_end(s);
	approve_drop(s, ASKER_BROKER);
	cv_fail(&err, CV_UNAVAILABLE, "the broker of host tools %s",
		was_ready ? "dies again and again" : "did not start");
	if (!was_ready || !helper_may_restart(&s->broker)) {
		run_fail(s, &err);
		return;
	}
	say("the broker of host tools died; a new one is started, calls under way have failed");
	cv_code code = begin(s, &err);
	if (code == CV_OK)
		code = tell(s, &err);
	if (code == CV_OK && s->proxy.pid && s->broker_for_proxy >= 0 &&
		link_give(s, &err) != CV_OK && !helper_is_gone(&s->proxy))
		code = err.code;
	if (outcome_of(s, code, &err) != CV_OK)
		run_fail(s, &err);
}

static void handle(struct supervisor *s, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct cv_str text;
	struct cv_err err;

	switch ((enum cv_broker_control_reply)m->type) {
	case CV_BROKER_CONTROL_REPLY_READY:
		s->broker.rules.state = CV_BROKER_READY;
		inside_command(s);
		break;
	case CV_BROKER_CONTROL_REPLY_FATAL:
		text = cv_ipc_get_str(&r);
		cv_fail(&err, CV_UNAVAILABLE, "tools: %.*s", CV_STR_ARG(text));
		run_fail(s, &err);
		break;
	case CV_BROKER_CONTROL_REPLY_ASK: approve_ask(s, ASKER_BROKER, m->body); break;
	case CV_BROKER_CONTROL_REPLY_ASK_END: approve_ask_end(s, ASKER_BROKER, m->body); break;
	case CV_BROKER_CONTROL_REPLY_ENDS_IN: s->broker_end_ms = cv_ipc_get_u32(&r); break;
	case CV_BROKER_CONTROL_REPLY_SAY:
		text = cv_ipc_get_str(&r);
		say("%.*s", CV_STR_ARG(text));
		break;
	case CV_BROKER_CONTROL_REPLY_SANDBOX_ENDED:
	case CV_BROKER_CONTROL_REPLY_COUNT: break;
	}
}

void broker_read(struct supervisor *s)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	const cv_code code = cv_ipc_recv(s->broker.link, &s->broker.rules, s->message, &m, &err);

	if (code == CV_UNAVAILABLE)
		return;
	if (code != CV_OK) {
		if (code == CV_PROTO)
			say("broker: %s", err.msg);
		died(s);
		return;
	}
	handle(s, &m);
	cv_ipc_msg_fini(&m);
}

/* ---- the end ---- */

/* It ends by itself when its link does, and its tools first; killed, it leaves that to others. */
void broker_stop(struct supervisor *s)
{
	struct cv_err err;

	if (s->broker.pid) {
		close(s->broker.link);
		s->broker.link = -1;
		CV_AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, s->broker.pid, 0);
		struct pollfd w = { pidfd, POLLIN, 0 };

		if (pidfd >= 0)
			(void)!poll(&w, 1,
				(int)CV_MAX((uint32_t)SUP_BROKER_END_MS,
					CV_MIN(s->broker_end_ms, (uint32_t)SUP_SERVERS_END_MS)));
		helper_stop(&s->broker);
		orphans_end(s);
	}
	const cv_code code = s->broker_state ? state_tree_remove(s, &err) : CV_OK;
	if (code != CV_OK && !(code == CV_NOT_FOUND && s->is_broker_state_kept))
		say("%s", err.msg);
	if (s->broker_states && !s->is_broker_state_kept)
		(void)!rmdir(s->broker_states); /* unless other runs are there */
}
