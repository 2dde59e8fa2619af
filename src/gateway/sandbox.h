/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.h - sandboxes: what should be, what is, and who wants to know
 *
 *     object (objects.h, kind SANDBOX) --runtime--> struct cv_gw_box --link--> cove-supervisor
 *
 * What should be is stored in the object's status.phase: READY (it should run), STOPPED, DELETING, or
 * ERROR (its main command ended, or it could not be started; exit_code and the condition say which).
 * What clients see is computed by cv_gw_box_view() from that and from what is known of its
 * supervisor; the table is in phase.c.
 *
 * A box lives as long as its object.  Parts that keep something about a sandbox over a turn keep its
 * ref and ask cv_gw_box_get().
 *
 *     sandbox.c   stopping, deleting; adoption; what is due         create.c  what a request may say
 *     start.c     starting, and who waits for it                    sandbox_rpc.c  the calls
 *     phase.c     the states, as tables                             view.c    what clients see
 *     session.c   the socket, links, messages to handlers
 *     external.c  sandboxes that others run
 *     exec.c      commands; kept.c those that outlive their client
 *     watch.c     followers, log lines and events  forward.c  ports
 */
#pragma once
#include "driver/driver.h"
#include "gateway/gateway.h"
#include "gateway/quota.h"
#include "gateway/slots.h"
#include "gateway/steps.h"
#include "ipc/gateway_link.h"

#include "openshell.pb-c.h"

/* What should be. */
enum cv_gw_want { CV_GW_RUN, CV_GW_STOP, CV_GW_DELETE, CV_GW_FAIL, CV_GW_WANT_COUNT };

/* What is known of its supervisor. */
/* clang-format off */
#define CV_GW_STATES(X)                                                                       \
	X(ABSENT)    /* no process */                                                          \
	X(QUEUED)    /* will be started: its turn comes */                                     \
	X(STARTED)   /* a process that has not dialled yet */                                  \
	X(DIALLED)   /* a link; the sandbox is being built */                                  \
	X(UP)        /* a link, and commands may come */                                       \
	X(LOST)      /* a process whose link is broken, or may be there: it will dial again */ \
	X(WAITING)   /* should run, and there is no room for it yet: admission.h */            \
	X(ENDING)    /* told to stop, or killed; until the process is gone */
/* clang-format on */
#define CV_GW_STATE_ENUM(name) CV_GW_##name,
enum cv_gw_state { CV_GW_STATES(CV_GW_STATE_ENUM) CV_GW_STATE_COUNT };
#undef CV_GW_STATE_ENUM

struct cv_gw_link;
struct cv_gw_exec;
struct cv_gw_kept;
struct cv_gw_forward;
struct cv_gw_relay;
struct cv_gw_watcher;
struct cv_gw_lines;
struct cv_gw_env;
struct cv_gw_external;

struct cv_gw_unwritten { /* a failure that the store has not taken yet */
	char reason[64], message[256];
	int exit_code;  /* < 0: none */
	bool is_report; /* its supervisor waits to be let go */
};

/* What a supervisor knows of CV_GW_SETTING_PROPOSALS; of one from before this start nobody knows. */
enum cv_gw_proposals { CV_GW_PROPOSALS_UNKNOWN, CV_GW_PROPOSALS_OFF, CV_GW_PROPOSALS_ON };

struct cv_gw_box {
	struct cv_gateway *g;
	struct cv_object *object;
	struct cv_ref ref;
	enum cv_gw_state state;
	bool is_first;   /* it has never been up since it was created or started */
	bool is_restart; /* started by StartSandbox, not by its creation */
	uint64_t
		policy_revision; /* policy_link.c: what its supervisor was started with; 0: unknown */
	enum cv_gw_proposals proposals_told; /* policy_link.c: to its supervisor */
	int64_t since_ms;                    /* Unix; when the phase became what it is */
	Openshell__V1__SandboxPhase told;    /* the phase that followers know */
	int64_t deadline_ms;                 /* loop time, of the present state; 0: none */
	struct cv_driver_process process;    /* pid 0: none, or not known */
	struct cv_gw_link *link;             /* NULL: none */
	struct cv_gw_exec *execs;            /* exec.c */
	struct cv_gw_kept *kept;             /* kept.c */
	struct cv_gw_forward *forwards;      /* forward.c */
	size_t forward_count;
	struct cv_gw_relay *relays; /* service_http.c */
	size_t relay_count;
	struct cv_gw_watcher *watchers;    /* watch.c */
	struct cv_gw_lines *lines;         /* watch.c: log lines and events */
	struct cv_gw_env *env;             /* deliver.c: what its keeper has */
	struct cv_gw_external *external;   /* NULL: its supervisor is ours */
	struct cv_gw_start start;          /* steps.h: the one that is under way */
	struct cv_gw_unwritten *unwritten; /* want.c; NULL: all is stored */
	struct cv_gw_box *next_queued;
	struct cv_quota_holder quota;         /* admission.c: what it is counted with */
	struct cv_quota_amount asks;          /* what it is counted with when it runs */
	unsigned asks_default;                /* bits of resources: it has no limit of its own */
	int64_t wait_since_ms, wait_until_ms; /* Unix */
};

static inline struct cv_gw_box *cv_gw_box_of(const struct cv_object *o)
{
	return o->runtime;
}
static inline const Openshell__V1__Sandbox *cv_gw_box_stored(const struct cv_gw_box *b)
{
	return (const Openshell__V1__Sandbox *)(const void *)b->object->message;
}

/* NULL: the sandbox is gone. */
struct cv_gw_box *cv_gw_box_get(const struct cv_gateway *g, struct cv_ref ref);
/* By id (of that workspace, where one is said), or by name in the workspace (empty: default); the caller of c may do there what its method
 * asks for.  NOT_FOUND "sandbox not found"; without any INVALID_ARGUMENT, which says the field. */
CV_MUST enum cv_rpc_status cv_gw_box_open(const struct cv_rpc_call *c, const char *field,
	struct cv_str id_or_name, struct cv_str workspace, bool is_change, struct cv_gw_box **ret,
	struct cv_err *err);

/* ---- phase.c ---- */

enum cv_gw_want cv_gw_box_want(const struct cv_gw_box *b);
Openshell__V1__SandboxPhase cv_gw_box_phase(const struct cv_gw_box *b);
const char *cv_gw_phase_name(Openshell__V1__SandboxPhase p); /* "Ready" */
/* The only one who changes the state; tells followers when the phase becomes another. */
void cv_gw_box_set(struct cv_gw_box *b, enum cv_gw_state next);
/* After the stored part changed. */
void cv_gw_box_changed(struct cv_gw_box *b);

/* ---- view.c ---- */

/* As clients see it, in the arena; borrows from the stored message.  NULL: no memory. */
Openshell__V1__Sandbox *cv_gw_box_view(const struct cv_gw_box *b, struct cv_arena *arena);

/* ---- session.c ---- */

/* Sends, or keeps until the link takes it.  False: there is no link, or the supervisor does not read
 * (then the link is closed, in the next turn). */
bool cv_gw_box_send(
	struct cv_gw_box *b, uint32_t type, struct cv_str body, const int *fds, size_t fd_count);
bool cv_gw_box_send_u32s(struct cv_gw_box *b, uint32_t type, const uint32_t *v, size_t n);

/* ---- exec.c ---- */

/* Commands that waited for something may start, if the sandbox is up. */
void cv_gw_exec_resume(struct cv_gw_box *b);

/* ---- what other parts do for sandboxes; each function may be NULL ---- */

struct cv_gw_box_hooks {
	/* A sandbox is being created from a request that was found good: m may be changed (pb.h).
	 * Anything but OK refuses it. */
	enum cv_rpc_status (*create)(struct cv_gateway *g, const struct cv_rpc_call *c,
		Openshell__V1__Sandbox *m, struct cv_err *err);
	/* Its supervisor is about to be started: what it is told besides (policy, layer, providers,
	 * credentials), with strings in the arena.  A descriptor is closed after the start. */
	cv_code (*prepare)(struct cv_gw_box *b, struct cv_driver_sandbox *s, struct cv_arena *arena,
		struct cv_err *err);
	/* Its supervisor has dialled, and says that it has this revision of the policy. */
	void (*dialled)(struct cv_gw_box *b, uint64_t policy_revision);
	/* POLICY_LOADED, POLICY_REFUSED, CREDENTIALS_LOADED, CREDENTIALS_REFUSED, DENIAL, ASK, ASK_END,
	 * ANSWERED: the body as it came. */
	void (*message)(struct cv_gw_box *b, uint32_t type, struct cv_str body);
	/* Its supervisor is gone. */
	void (*ended)(struct cv_gw_box *b);
	/* The object is about to be deleted. */
	void (*deleted)(struct cv_gw_box *b);
};

#define CV_GW_BOX_HOOKS_MAX 16
/* In a part's start(); borrowed. */
void cv_gw_box_hook(struct cv_gateway *g, const struct cv_gw_box_hooks *h);

/* A line of the log of a sandbox, from the gateway itself. */
CV_PRINTF(4, 5)
void cv_gw_box_log(
	struct cv_gw_box *b, const char *level, const char *target, const char *fmt, ...);
