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
 * In a sandbox of a gateway whose catalogs name nothing that has to run before it is asked for, the
 * broker is started by the first call (CV_PLAN_TOOLS_LATE): proxy and supervisor have the ends of its
 * link until then, and the call waits in it.  Sandboxes that never call a tool have no broker, and
 * none is waited for.
 *
 * All runs of a user have theirs in one directory, cove-tools-UID, and those of a gateway in its
 * own: so there is one place that the tools of every run are not shown (HIDE).
 */
#include "supervisor/broker_int.h"

#include "supervisor/helper.h"
#include "supervisor/limits.h"
#include "sys/children.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static bool has_tools(const struct supervisor *s)
{
	return s->plan.tools_count > 0;
}

/* ---- its directory ---- */

#define STATE_TRIES 3 /* another run that ends may remove it under our hands */

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
		if (asprintf(&s->broker_states, "%.*s" BROKER_STATES_NAME,
			    CV_STR_ARG(s->plan.tools_state), (unsigned)geteuid()) < 0)
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

/* STATE/sandboxes/ID/tools: all of STATE is the gateway's. */
static cv_code states_find(struct supervisor *s, struct cv_err *err)
{
	const struct cv_str own = cv_str_of(s->broker_state);
	struct cv_str above = own;

	if (cv_str_has_suffix(above, CV_STR("/tools"))) {
		above = cv_str_slice(above, 0, above.n - strlen("/tools"));
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
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return cv_fail_errno(err, "PR_SET_CHILD_SUBREAPER");
	if (s->service.is_on) { /* the sandbox's own, which the gateway removes with it */
		s->is_broker_state_kept = true;
		s->broker_state = cv_str_dup(s->plan.tools_state);
		return s->broker_state ? states_find(s, err) : cv_fail(err, CV_LIMIT, "no memory");
	}
	return state_make_new(s, err);
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
	code = broker_put(s, CV_BROKER_CONTROL_KEEPER, &none, &pair[0], err);
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

/* ---- start ---- */

static bool is_late(const struct supervisor *s)
{
	return s->plan.flags & CV_PLAN_TOOLS_LATE;
}

cv_code broker_link_make(struct supervisor *s, struct cv_err *err)
{
	int pair[2];
	const cv_code code = cv_ipc_pair(pair, err);

	if (code != CV_OK)
		return code;
	cv_fd_cleanup(&s->broker_for_proxy);
	cv_fd_cleanup(&s->broker_call);
	s->broker_for_proxy = pair[0];
	s->broker_call = pair[1];
	return CV_OK;
}

/* What can be said before the sandbox is there. */
static cv_code begin(struct supervisor *s, struct cv_err *err)
{
	if (s->is_broker_state_kept && mkdir(s->broker_state, 0700) < 0 && errno != EEXIST)
		return cv_fail_errno(err, "make %s", s->broker_state);
	cv_code code = helper_start(&s->broker, s->plan.exe_broker, cv_broker_control_reply_rule,
		CV_BROKER_CONTROL_REPLY_COUNT, err);

	s->is_broker_told = false;
	if (code == CV_OK)
		code = broker_configure(s, err);
	return code == CV_OK ? broker_keeper_join(s, err) : code;
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
	if (!has_tools(s) || is_late(s))
		return CV_OK;
	return outcome_of(s, begin(s, err), err);
}

cv_code broker_built(struct supervisor *s, struct cv_err *err)
{
	if (!has_tools(s) || is_late(s) || s->is_broker_told)
		return CV_OK;
	return outcome_of(s, broker_introduce(s, err), err);
}

bool broker_is_awaited(const struct supervisor *s)
{
	return has_tools(s) && !is_late(s) && s->broker.rules.state != CV_BROKER_READY;
}

/* ---- the proxy's side ---- */

static cv_code link_give(struct supervisor *s, struct cv_err *err)
{
	const cv_code code = cv_ipc_send(
		s->proxy.link, CV_PROXY_REQ_BROKER, CV_STR_NONE, &s->broker_for_proxy, 1, err);

	cv_fd_cleanup(&s->broker_for_proxy);
	s->broker_for_proxy = -1;
	return code;
}

/* One that died is found by who reads its link. */
static cv_code link_offer(struct supervisor *s, struct cv_err *err)
{
	if (!s->proxy.pid || s->broker_for_proxy < 0)
		return CV_OK;
	const cv_code code = link_give(s, err);
	return code != CV_OK && helper_is_gone(&s->proxy) ? CV_OK : code;
}

cv_code broker_join(struct supervisor *s, struct cv_err *err)
{
	if (!has_tools(s))
		return CV_OK;
	cv_code code = cv_ipc_send_text(
		s->proxy.link, CV_PROXY_REQ_TOOLS, "cove-tools", s->plan.tools_map, err);
	if (code == CV_OK && s->broker_for_proxy < 0 && s->broker.pid && s->is_broker_told)
		code = broker_link_renew(s, err);
	else if (code == CV_OK && is_late(s) && !s->broker.pid && !s->broker_again_ms)
		code = broker_link_make(s, err);
	if (code == CV_OK && s->broker_for_proxy >= 0)
		code = link_give(s, err);
	return code;
}

/* ---- while the sandbox runs ---- */

static cv_code start(struct supervisor *s, struct cv_err *err)
{
	cv_code code = begin(s, err);

	if (code == CV_OK)
		code = broker_introduce(s, err);
	return code == CV_OK ? link_offer(s, err) : code;
}

static cv_code wait_for_call(struct supervisor *s, struct cv_err *err)
{
	const cv_code code = broker_link_make(s, err);

	return code == CV_OK ? link_offer(s, err) : code;
}

/* A proxy that died is seen by the same: the next one gets a link of its own. */
void broker_called(struct supervisor *s)
{
	struct cv_err err;
	char byte;

	if (recv(s->broker_call, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0) {
		close(s->broker_call);
		s->broker_call = -1;
		return;
	}
	if (outcome_of(s, start(s, &err), &err) != CV_OK)
		run_fail(s, &err);
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

/* The command of a run needs it; it was there when that began. */
static cv_code start_again(
	struct supervisor *s, bool was_ready, bool may_restart, struct cv_err *err)
{
	if (!was_ready)
		return cv_fail(err, CV_UNAVAILABLE, "the broker of host tools did not start");
	if (!may_restart)
		return cv_fail(
			err, CV_UNAVAILABLE, "the broker of host tools dies again and again");
	say("the broker of host tools died; a new one is started, calls under way have failed");
	return outcome_of(s, start(s, err), err);
}

/* The sandbox can do without, and what was wrong may be right again later: a full disk, say. */
static cv_code wait_again(struct supervisor *s, bool may_restart, struct cv_err *err)
{
	if (may_restart) {
		say("the broker of host tools died; the next call starts another, calls under way have failed");
		return wait_for_call(s, err);
	}
	say("the broker of host tools dies again and again; no call starts another before a minute is over");
	s->broker_again_ms = cv_clock_ms() + SUP_RESTART_WINDOW_MS;
	return CV_OK;
}

static void died(struct supervisor *s)
{
	const bool was_ready = s->broker.rules.state == CV_BROKER_READY;
	struct cv_err err;

	helper_stop(&s->broker);
	orphans_end(s);
	approve_drop(s, ASKER_BROKER);
	const bool may_restart = helper_may_restart(&s->broker);
	const cv_code code = is_late(s) ? wait_again(s, may_restart, &err)
					: start_again(s, was_ready, may_restart, &err);
	if (code != CV_OK)
		run_fail(s, &err);
}

void broker_due(struct supervisor *s)
{
	struct cv_err err;

	if (!s->broker_again_ms || cv_clock_ms() < s->broker_again_ms)
		return;
	s->broker_again_ms = 0;
	if (wait_for_call(s, &err) != CV_OK)
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
		if (is_late(s))
			say("%s", err.msg);
		else
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
