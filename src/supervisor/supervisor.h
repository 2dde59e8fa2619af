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
#include "supervisor/service.h"
#include "supervisor/terminal.h"
#include "sys/netns.h"

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define HELPER_ADOPTED (-1)

/* A program of ours beside the sandbox (helper.c). */
struct helper {
	const char *name;
	pid_t pid; /* 0: not running; HELPER_ADOPTED: not our child */
	int pidfd; /* of an adopted one that said which it is; else -1 */
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

/* Which file a protected path was (guards.c); zeros: none. */
struct guard_mark {
	uint64_t ino;
	int64_t born_s;
	uint32_t born_ns;
};

enum outcome { OUTCOME_NONE, OUTCOME_STATUS, OUTCOME_FAILED };

struct supervisor {
	struct cv_plan plan;
	struct cv_arena arena; /* of the plan */

	struct sandbox sandbox; /* sandbox.c, inside.c */
	struct cv_ipc_link inside;
	struct cv_ipc_outbox inside_out;
	int built[CV_BUILT_COUNT];                    /* -1 until BUILT */
	enum cv_interception interception;            /* in force, once built */
	struct cv_netns_pair more[CV_NETNS_MORE_MAX]; /* with anyip: listeners of further ports */
	uint32_t more_count;
	int more_watch; /* epoll of them; -1 */
	bool is_built, is_commanded;
	int notify; /* epoll of the commands' connects, -1: none yet; identity.c */
	unsigned notify_count;
	int notify_waiting; /* the proxy's link did not take a record of this one; -1 */
	struct cv_identity *identity;

	struct helper keeper, proxy; /* peers.c */
	struct helper courier;       /* courier.c */
	struct helper broker;        /* broker.c */
	int broker_for_proxy; /* the proxy's end of its link to the broker, until handed over */
	int broker_call;      /* the other end of it while no broker runs: a call is in there; -1 */
	int64_t broker_again_ms; /* it died too often: no call starts another before; 0: it did not */
	int broker_catalog[CV_PLAN_TOOLS_FILES_MAX]; /* --tools as they were read: memfds; -1 */
	char *broker_state;                          /* its directory; NULL: none was made */
	char *broker_states;                         /* that all runs of the user have theirs in */
	bool is_broker_state_kept;                   /* it is there before and after the run */
	uint32_t broker_end_ms;                      /* that its servers may take to end */
	bool is_broker_told;                         /* of the sandbox, and to go */
	int keeper_given;     /* the link of a keeper that was made ahead, until it is taken; -1 */
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
	int policy_text;                /* what was read last; -1: nothing */
	bool is_policy_lost;            /* the file is the sandbox's to write now */
	struct guard_mark *guard;       /* of each operation of the plan */
	bool is_timed_out;

	struct cv_cgroup *cgroup; /* limits.c; NULL: no limit by cgroup */
	pid_t janitor;
	int janitor_link;

	struct service service; /* service.h */

	enum outcome outcome;
	int status; /* exit status of this process, once outcome is set */

	char message[8 + CV_IPC_BODY_BYTES_MAX];
};

/* "cove: ..." on stderr. */
CV_PRINTF(1, 2) void say(const char *fmt, ...);

/* blank.c: was this process started ahead?  Then it waits to hear what for; from there on it is as
 * if it had been started for that. */
bool blank_is(void);
CV_MUST cv_code blank_wait(struct supervisor *s, struct cv_err *err);

/* Ends the run with 125 and this message, unless it already ends. */
void run_fail(struct supervisor *s, const struct cv_err *err);

/* guards.c: what is protected in the working directory, and at the end what was replaced there. */
void guards_note(struct supervisor *s);
void guards_tell(const struct supervisor *s);

/* loop.c: until outcome is set. */
void loop_run(struct supervisor *s);

/* inside.c: what comes from the sandbox. */
void inside_read(struct supervisor *s);
/* Sends the command, once everything it needs is there. */
void inside_command(struct supervisor *s);
void inside_signal(struct supervisor *s, int number);
void inside_signal_to(struct supervisor *s, uint32_t id, int number);
/* PARTs of a command, and what makes it run; without stdio in a terminal of that size. */
CV_MUST cv_code inside_parts(struct supervisor *s, struct cv_str command, struct cv_err *err);
CV_MUST cv_code inside_run(
	struct supervisor *s, uint32_t id, uint32_t size, const int *stdio, struct cv_err *err);
CV_MUST cv_code inside_socket(
	struct supervisor *s, uint32_t tag, uint32_t family, struct cv_err *err);
void inside_flush(struct supervisor *s); /* what waits for the link */

/* peers.c: keeper and proxy. */
CV_MUST cv_code keeper_start(struct supervisor *s, struct cv_err *err);
void keeper_read(struct supervisor *s);
/* Starts the proxy with all it needs; does nothing when it runs.  Needs BUILT. */
CV_MUST cv_code proxy_start(struct supervisor *s, struct cv_err *err);
void proxy_read(struct supervisor *s);
/* Asks for the summary and waits for it, shortly. */
void proxy_report(struct supervisor *s);
/* The keeper has other credentials now: the proxy gets their placeholders. */
CV_MUST cv_code keeper_catalog_renew(struct supervisor *s, struct cv_err *err);
/* A keeper runs whose CA is not there yet. */
bool keeper_is_away(const struct supervisor *s);
bool proxy_is_late(const struct supervisor *s); /* started when something needs it */
/* To the proxy, its end of the link to the keeper, if one waits for it. */
CV_MUST cv_code keeper_link_send(struct supervisor *s, struct cv_err *err);

/* proxy_conf.c: all that a new proxy is told. */
CV_MUST cv_code proxy_configure(struct supervisor *s, struct cv_err *err);

/* ca.c: the authorities that the sandbox trusts. */
CV_MUST cv_code ca_add(struct supervisor *s, struct cv_str pem, struct cv_err *err);
CV_MUST cv_code ca_files_write(struct supervisor *s, struct cv_err *err);

/* proxy_conf.c, what courier and broker are told too: the trusted roots of upstream servers as one text,
 * a variable "NAME=VALUE", and PIN messages of either link. */
CV_MUST cv_code roots_text_send(struct supervisor *s, int link, uint32_t type, struct cv_err *err);
CV_MUST cv_code variable_send(int link, uint32_t type, struct cv_str pair, struct cv_err *err);
CV_MUST cv_code pins_send(struct supervisor *s, int link, uint32_t type, struct cv_err *err);

/* courier.c: who carries renewals.  Nothing happens in a run without any. */
/* After one of keeper and courier was started: starts the courier if none runs, and links both. */
CV_MUST cv_code courier_join(struct supervisor *s, struct cv_err *err);
void courier_read(struct supervisor *s);
void courier_stop(struct supervisor *s);

/* proxy_conf.c: the run's sinks, by a link's AUDIT_SINK.  Needs BUILT. */
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
void broker_called(struct supervisor *s); /* broker_call is readable */
void broker_due(struct supervisor *s);    /* broker_again_ms, if that has come */
void broker_stop(struct supervisor *s);   /* and its directory is removed */
/* limits.c: that directory, or what builds left in it when it is to stay. */
CV_MUST cv_code state_tree_remove(const struct supervisor *s, struct cv_err *err);

/* reload.c: the policy file changes. */
void reload_start(struct supervisor *s); /* sets look_ms */
void reload_look(struct supervisor *s);  /* at look_ms */
/* is_forced: by SIGHUP, whatever the directory says. */
void reload_event(struct supervisor *s, bool is_forced);
/* The file as it is now, in a memfd; without a policy, one that allows nothing. */
CV_MUST cv_code policy_read(struct supervisor *s, int *ret, struct cv_err *err);
CV_MUST cv_code policy_send(struct supervisor *s, struct cv_err *err);

/* That policy, to be judged. */
CV_MUST cv_code policy_fd_send(struct supervisor *s, int fd, struct cv_err *err);
/* proxy_conf.c: what providers lay over every policy of this run; routes of model calls. */
CV_MUST cv_code layer_send(struct supervisor *s, struct cv_err *err);
CV_MUST cv_code advice_send(struct supervisor *s, struct cv_err *err);
CV_MUST cv_code routes_send(struct supervisor *s, struct cv_err *err);

/* limits.c: a cgroup around the sandbox, and who removes what is left when we can't. */
CV_MUST cv_code limits_enter(struct supervisor *s, struct cv_err *err);
void limits_leave(struct supervisor *s);

/* identity.c: who connects. */
void identity_open(struct supervisor *s, int notify);
void identity_serve(struct supervisor *s);
void identity_resume(struct supervisor *s);

/* resolve.c: paths of executables as the sandbox sees them. */
void resolve_answer(struct supervisor *s, struct cv_str body);

/* gateway.c: in the service of a gateway.  All do nothing in other runs. */
CV_MUST cv_code service_start(struct supervisor *s, struct cv_err *err);
/* The plan is another one: must the gateway write the sandbox down first? */
void service_await(struct supervisor *s);
int64_t service_due_ms(const struct supervisor *s); /* 0: never */
void service_due(struct supervisor *s);
short service_interest(const struct supervisor *s);
void service_serve(struct supervisor *s, short events);
/* To the gateway, if one is there; else it is lost, unless its sender keeps and retells it. */
void service_tell(
	struct supervisor *s, uint32_t type, struct cv_str body, const int *fds, size_t fd_count);
/* A proposal's message of the proxy (PROPOSE): on its way, or answered when no gateway is there. */
void service_propose(struct supervisor *s, struct cv_str body);
void service_ready(struct supervisor *s);
void service_why(struct supervisor *s, struct cv_str why); /* it failed; the first reason counts */
void service_stop(struct supervisor *s, uint32_t grace_ms);
void service_stop_look(struct supervisor *s); /* a command ended */
void service_end(struct supervisor *s);       /* tells the end, and waits until it is settled */

/* exec.c */
CV_MUST cv_code exec_init(struct supervisor *s, struct cv_err *err);
void exec_part(struct supervisor *s, struct cv_str bytes);
void exec_run(struct supervisor *s, struct cv_str body);
CV_MUST cv_code exec_main(struct supervisor *s, struct cv_err *err);
void exec_tty(struct supervisor *s, uint32_t id, int outer); /* takes it */
void exec_started(struct supervisor *s, uint32_t id, uint32_t pid);
void exec_failed(
	struct supervisor *s, uint32_t id, uint32_t stage, uint32_t error, struct cv_str why);
void exec_exited(struct supervisor *s, uint32_t id, uint32_t status);
void exec_stdin_end(struct supervisor *s, uint32_t id);
void exec_signal(struct supervisor *s, uint32_t id, uint32_t number);
/* SIGTERM; and SIGHUP to what has a terminal, as when that goes: an interactive shell minds nothing else. */
void exec_stop_all(struct supervisor *s);
void exec_settled(struct supervisor *s, uint32_t id);
void exec_retell(struct supervisor *s); /* to a gateway that has just come */
unsigned exec_running(const struct supervisor *s);
void exec_end_all(struct supervisor *s); /* the sandbox is gone */

void exec_kept(struct supervisor *s, struct cv_str body, int in); /* takes it */

/* kept.c: commands that outlive their client (ipc/kept.h).  A struct kept is of one of exec.c's. */
CV_MUST cv_code kept_init(struct supervisor *s, struct cv_err *err);
struct kept *kept_new(struct supervisor *s, uint32_t id, uint32_t seconds, uint32_t flags,
	struct cv_str about, struct cv_err *err);                                  /* NULL: err */
CV_MUST cv_code kept_pipes(struct kept *k, const int ends[2], struct cv_err *err); /* takes them */
/* Its stdin's write end; its terminal's outer end, which is also where its output comes from.
 * Taken, and given to gateways. */
void kept_input(struct supervisor *s, struct kept *k, int fd);
void kept_terminal(struct supervisor *s, struct kept *k, int outer);
bool kept_has_input(const struct kept *k);
void kept_input_end(struct kept *k); /* nothing more comes; not for a terminal */
void kept_tell(struct supervisor *s, const struct kept *k);
void kept_failed(struct kept *k, uint32_t error, struct cv_str why);
void kept_exited(struct kept *k, uint32_t status);
void kept_lost(struct kept *k); /* the sandbox is gone: the end, now */
bool kept_is_over(const struct kept *k);
void kept_free(struct supervisor *s, struct kept *k);
void kept_pace(struct supervisor *s, uint32_t id, uint64_t place);
void kept_pace_none(struct supervisor *s); /* the gateway is gone */
void kept_serve(struct supervisor *s);
int64_t kept_due_ms(const struct supervisor *s);
void kept_due(struct supervisor *s);

/* claim.c: a sandbox built ahead */
/* Takes both; set: of credentials for its keeper, or -1. */
void claim(struct supervisor *s, int plan, int set);
void claim_never(struct supervisor *s); /* its gateway is gone */

/* dial.c */
CV_MUST cv_code dial_init(struct supervisor *s, struct cv_err *err);
void dial_open(struct supervisor *s, uint32_t channel, uint32_t port);
void dial_socket(struct supervisor *s, uint32_t tag, int fd); /* takes it */
void dial_serve(struct supervisor *s);
int64_t dial_due_ms(const struct supervisor *s);
void dial_due(struct supervisor *s);
void dial_drop(struct supervisor *s); /* all: who asked is gone */

/* events.c */
void events_init(struct supervisor *s);
/* A new pipe for who writes lines; the caller closes what it gets. */
CV_MUST cv_code events_pipe(struct supervisor *s, size_t who, int *ret, struct cv_err *err);
void events_read(struct supervisor *s, size_t who);
void events_line(struct supervisor *s, struct cv_str level, struct cv_str target, int64_t time_ms,
	struct cv_str message);
void events_denial(struct supervisor *s, struct cv_str body);
void events_counts(struct supervisor *s, struct cv_str body); /* COUNTS of the proxy */
void events_send(struct supervisor *s);                       /* as much as the link takes */

/* push.c: what the gateway sends */
void push_init(struct supervisor *s);
void push_layer(struct supervisor *s, int fd);                     /* takes it */
void push_policy(struct supervisor *s, uint64_t revision, int fd); /* takes it */
void push_look(struct supervisor *s);                              /* the proxy is ready */
/* The proxy's judgement; false: it was not asked for here. */
CV_MUST bool push_result(struct supervisor *s, uint32_t code, struct cv_str text);
void push_proxy_died(struct supervisor *s);
void push_keeper_look(struct supervisor *s); /* the keeper is ready */
void push_keeper_died(struct supervisor *s);
void push_keeper_result(struct supervisor *s, struct cv_str body);
void push_credentials(struct supervisor *s, uint64_t revision, int fd); /* takes it */
/* Those of a spare that is claimed, whose command waits for them; takes fd. */
CV_MUST cv_code push_claimed(struct supervisor *s, int fd, struct cv_err *err);
void push_routes(struct supervisor *s, int fd); /* takes it */
