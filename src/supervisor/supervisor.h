/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor.h - the state of one run
 *
 * Process: cove-supervisor, one per sandbox, single-threaded.  Each part of the state is changed
 * by the file that its comment names; loop.c dispatches.
 */
#pragma once
#include "ipc/init_link.h"
#include "ipc/keeper_link.h"
#include "ipc/proxy_link.h"
#include "plan/limits.h"
#include "plan/plan.h"
#include "supervisor/approve.h"
#include "supervisor/sandbox.h"
#include "supervisor/terminal.h"

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* A program of ours beside the sandbox (helper.c). */
struct helper {
	const char *name;
	pid_t pid; /* 0: not running */
	int link;  /* -1: not running */
	struct cv_ipc_link rules;
	int64_t window_ms; /* when the present window of restarts began */
	unsigned restarts; /* in it */
};

/* What stat(2) says of the policy file that was sent last. */
struct policy_mark {
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

enum outcome { OUTCOME_NONE, OUTCOME_STATUS, OUTCOME_FAILED };

struct supervisor {
	struct cv_plan plan;
	struct cv_arena arena; /* of the plan */

	struct sandbox sandbox; /* sandbox.c, inside.c */
	struct cv_ipc_link inside;
	int built[CV_BUILT_COUNT]; /* -1 until BUILT */
	bool is_built, is_commanded;
	int notify; /* connects of the command, -1: none; identity.c */
	struct cv_identity *identity;
	bool is_identity_waiting; /* the proxy's link did not take a record: its caller waits */

	struct helper keeper, proxy; /* peers.c */
	struct helper courier;       /* courier.c */
	struct helper broker;        /* broker.c */
	int broker_for_proxy; /* the proxy's end of its link to the broker, until handed over */
	int broker_catalog[CV_PLAN_TOOLS_FILES_MAX]; /* --tools as they were read: memfds; -1 */
	char *broker_state;                          /* its directory; NULL: none was made */
	uint32_t broker_end_ms;                      /* that its servers may take to end */
	bool is_broker_told;                         /* of the sandbox, and to go */
	int keeper_for_proxy; /* the proxy's end of its link to the keeper, until handed over */
	char *ca[CV_KEEPER_FORMER_CAS_MAX + 1]; /* ca.c; PEM, malloc'd; the newest in turn */
	unsigned ca_count;                      /* that there have been */
	size_t ca_at;                           /* where they begin in the bundle; 0: not written */
	bool has_ca_files;
	char *report; /* the proxy's summary; malloc'd */

	struct approvals approvals; /* approve.c, approve_socket.c, approve_tty.c */
	struct terminal terminal;   /* terminal.c */
	int upstream;               /* CV_PLAN_UPSTREAM_FD, for the proxy; -1: none */
	int credentials;            /* CV_PLAN_CREDENTIALS_FD, for the keeper; -1: no provider */
	int signals, watch;         /* signalfd; inotify of the policy's directory */

	int64_t deadline_ms;       /* --timeout, then the grace; 0: none */
	int64_t look_ms, watch_ms; /* when to look at the policy file (0: never), to watch it */
	struct policy_mark policy_mark; /* reload.c */
	bool is_timed_out;

	struct cv_cgroup *cgroup; /* limits.c; NULL: no limit by cgroup */
	pid_t janitor;
	int janitor_link;

	enum outcome outcome;
	int status; /* exit status of this process, once outcome is set */

	char message[8 + CV_IPC_BODY_BYTES_MAX];
};

int64_t now_ms(void); /* monotonic */

/* "cove: ..." on stderr. */
CV_PRINTF(1, 2) void say(const char *fmt, ...);

/* Ends the run with 125 and this message, unless it already ends. */
void run_fail(struct supervisor *s, const struct cv_err *err);

/* loop.c: until outcome is set. */
void loop_run(struct supervisor *s);

/* inside.c: what comes from the sandbox. */
void inside_read(struct supervisor *s);
/* Sends the command, once everything it needs is there. */
void inside_command(struct supervisor *s);
void inside_signal(struct supervisor *s, int number);

/* peers.c: keeper and proxy. */
CV_MUST cv_code keeper_start(struct supervisor *s, struct cv_err *err);
void keeper_read(struct supervisor *s);
/* Starts the proxy with all it needs; does nothing when it runs.  Needs BUILT. */
CV_MUST cv_code proxy_start(struct supervisor *s, struct cv_err *err);
void proxy_read(struct supervisor *s);
/* Asks for the summary and waits for it, shortly. */
void proxy_report(struct supervisor *s);
/* A keeper runs whose CA is not there yet. */
bool keeper_is_away(const struct supervisor *s);

/* ca.c: the authorities that the sandbox trusts. */
CV_MUST cv_code ca_add(struct supervisor *s, struct cv_str pem, struct cv_err *err);
CV_MUST cv_code ca_files_write(struct supervisor *s, struct cv_err *err);

/* What proxy and courier both are told: the trusted roots of upstream servers, and PIN messages of
 * either link. */
CV_MUST cv_code roots_read(struct supervisor *s, struct cv_buf *b, struct cv_err *err);
CV_MUST cv_code pins_send(struct supervisor *s, int link, uint32_t type, struct cv_err *err);

/* courier.c: who carries renewals.  Nothing happens in a run without any. */
/* After one of keeper and courier was started: starts the courier if none runs, and links both. */
CV_MUST cv_code courier_join(struct supervisor *s, struct cv_err *err);
void courier_read(struct supervisor *s);
void courier_stop(struct supervisor *s);

/* peers.c: the run's sinks, by a link's AUDIT_SINK.  Needs BUILT. */
CV_MUST cv_code sinks_send(struct supervisor *s, int link, uint32_t type, struct cv_err *err);

/* broker.c: host tools.  Nothing happens in a run without any. */
CV_MUST cv_code broker_state_make(struct supervisor *s, struct cv_err *err);
CV_MUST cv_code broker_start(struct supervisor *s, struct cv_err *err);
CV_MUST cv_code broker_built(struct supervisor *s, struct cv_err *err); /* once BUILT came */
CV_MUST cv_code broker_join(
	struct supervisor *s, struct cv_err *err); /* a proxy is being configured */
CV_MUST cv_code broker_policy_send(struct supervisor *s, struct cv_err *err);
CV_MUST cv_code broker_keeper_join(struct supervisor *s, struct cv_err *err); /* a new link */
bool broker_is_awaited(const struct supervisor *s); /* the command can't be started yet */
void broker_read(struct supervisor *s);
void broker_stop(struct supervisor *s); /* and its directory is removed */

/* reload.c: the policy file changes. */
void reload_start(struct supervisor *s); /* sets look_ms */
void reload_look(struct supervisor *s);  /* at look_ms */
/* is_forced: by SIGHUP, whatever the directory says. */
void reload_event(struct supervisor *s, bool is_forced);
/* The file as it is now, in a memfd; without a policy, one that allows nothing. */
CV_MUST cv_code policy_read(struct supervisor *s, int *ret, struct cv_err *err);
CV_MUST cv_code policy_send(struct supervisor *s, struct cv_err *err);

/* limits.c: a cgroup around the sandbox, and who removes what is left when we can't. */
CV_MUST cv_code limits_enter(struct supervisor *s, struct cv_err *err);
void limits_leave(struct supervisor *s);

/* identity.c: who connects. */
void identity_open(struct supervisor *s, int notify);
void identity_serve(struct supervisor *s);
void identity_resume(struct supervisor *s);
void identity_close(struct supervisor *s);

/* resolve.c: paths of executables as the sandbox sees them. */
void resolve_answer(struct supervisor *s, struct cv_str body);
