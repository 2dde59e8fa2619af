/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox_int.h - what the files of the part "sandbox" share with each other and with nobody else
 */
#pragma once
#include "gateway/sandbox.h"

#include "ipc/outbox.h"

/* ---- limits and times ---- */

#define BOX_ARENA_MAX       (8u << 20) /* one start: policy text, command, environment */
#define BOX_STARTS_TURN_MAX 8     /* supervisors started in one turn: others want theirs, too */
#define BOX_DIAL_MS         20000 /* from a process to its HELLO, on a loaded machine */
#define BOX_BUILD_MS        30000 /* from HELLO to READY */
#define BOX_LOST_MS         20000 /* for a broken link to come back: supervisors dial each second */
#define BOX_STOP_GRACE_MS   5000  /* from SIGTERM to the end */
#define BOX_ENDING_MS       15000 /* from STOP to the process' end; then it is killed */
#define BOX_DELETE_GRACE_MS 0     /* nobody will look at what is left */
#define LINKS_PENDING_MAX   1024  /* that have not said HELLO */
#define LINK_HELLO_MS       5000

/* Subkinds of watches of the part. */
enum { WATCH_LISTENER, WATCH_LINK, WATCH_PROCESS, WATCH_SPARE };

struct cv_gw_sandboxes {
	const struct cv_driver_type *driver;
	struct cv_driver *d;
	struct cv_slots boxes, links, spares;
	int64_t spare_after_ms; /* none is made before */
	size_t links_pending;
	int listener;
	char *socket; /* absolute path */
	struct cv_gw_box *queue_first, *queue_last;
	int64_t deadline_ms; /* the next of all boxes and links; INT64_MAX: none */
	const struct cv_gw_box_hooks *hooks[CV_GW_BOX_HOOKS_MAX];
	size_t hook_count;
	char *recv_buf;
	int64_t driver_ms; /* when it wants its turn */
	int64_t ahead_ms;  /* the same, for what it has used up */
	bool has_broken;   /* a link waits to be closed */
};

struct cv_gw_link {
	struct cv_gateway *g;
	struct cv_ref ref;
	int fd;
	struct cv_ipc_link rules;
	struct cv_ipc_outbox out;
	struct cv_gw_box *box; /* NULL before HELLO, and of a spare */
	struct cv_ref spare;
	bool is_spare;
	pid_t pid; /* of the peer, by the kernel */
	int64_t deadline_ms;
	bool is_broken;
};

/* sandbox_rpc.c */
#define SANDBOX_METHODS 6
extern const struct cv_gw_method sandbox_methods[SANDBOX_METHODS];

/* early.c: a sandbox is stored, and started meanwhile. */
struct box_early {
	bool is_on;      /* it was tried */
	bool is_claimed; /* and is a spare that stood */
	cv_code code;    /* how it went */
	struct cv_err err;
};
/* Takes m. Not OK: there is no such sandbox, and whatever was begun ends. */
CV_MUST enum cv_rpc_status box_create(struct cv_gateway *g, ProtobufCMessage *m,
	struct cv_gw_box **ret, struct box_early *ret_early, struct cv_err *err);
/* It is stored, and was said so: it goes on. */
void box_created(struct cv_gw_box *b, const struct box_early *early);

#define HOOKS(b, i, field)                                         \
	for (size_t i = 0; i < (b)->g->sandboxes->hook_count; i++) \
		if ((b)->g->sandboxes->hooks[i]->field)

/* start.c */
void box_start(struct cv_gw_box *b); /* queues it */
void box_queue_leave(struct cv_gw_box *b);
void boxes_start(struct cv_gateway *g); /* those whose turn it is */
/* What a spare is told to become: -1 each, or for the set alone. */
struct box_claim {
	int plan, set;
};

/* Its supervisor, or a spare's that becomes its own: then *ret_claim, -1 before, is to be sent. */
CV_MUST cv_code box_supervisor_start(struct cv_gw_box *b, bool is_new, struct cv_arena *arena,
	struct box_claim *ret_claim, struct cv_err *err);
/* A message to a spare, which is woken on another processor (sys/proc.h). */
bool box_send_aside(struct cv_gw_box *b, uint32_t type, const int *fds, size_t n);
/* Sends it, and closes it.  False: nothing was to be sent, or the link is broken. */
bool box_claim_send(struct cv_gw_box *b, struct box_claim *c);
void box_process_watch(struct cv_gw_box *b); /* its end is an event */
void box_begun(struct cv_gw_box *b);         /* it is QUEUED, and its supervisor was started */
void box_start_failed(struct cv_gw_box *b, cv_code code, const struct cv_err *err);

/* sandbox.c, want.c */
struct cv_gw_box *box_new(struct cv_gateway *g, struct cv_object *o); /* NULL: no memory */
struct box_failure {
	const char *reason, *message;
	int exit_code; /* < 0: none */
};
/* Writes what should be: READY, STOPPED, DELETING, or ERROR with a failure. */
CV_MUST enum cv_rpc_status box_want_write(struct cv_gw_box *b, Openshell__V1__SandboxPhase phase,
	const struct box_failure *f, struct cv_err *err);
/* Brings it there; b may be gone afterwards. */
void box_settle(struct cv_gw_box *b);
void box_deadline(struct cv_gw_box *b, int64_t ms); /* from now; 0: none */
void box_stop(struct cv_gw_box *b, uint32_t grace_ms);
/* The stored status becomes: should fail with this reason.  exit_code < 0: none.  If the store
 * refuses, it is so all the same, and boxes_write() tries again. */
void box_fail(struct cv_gw_box *b, const char *reason, int exit_code, const char *message);
void boxes_write(struct cv_gateway *g);
/* Its supervisor reported its end, which is stored: it may go. */
void box_let_go(struct cv_gw_box *b);
/* HELLO came from a supervisor that showed this token: is it the one?  pid is the kernel's word. */
bool process_is_its(const struct cv_driver_process *p, struct cv_str instance, struct cv_str token);
bool box_is_its(struct cv_gw_box *b, struct cv_str instance, struct cv_str token);
void box_dialled(struct cv_gw_box *b, struct cv_gw_link *l, uint64_t policy_revision);
void box_link_lost(struct cv_gw_box *b);
void box_message(struct cv_gw_box *b, struct cv_ipc_msg *m);
void box_gone(struct cv_gw_box *b); /* what ran is gone; b may be, too */

/* spare.c */
void spare_turn(struct cv_gateway *g); /* makes one, ends one */
/* Those that were built for another configuration end. */
void spare_reload(struct cv_gateway *g, const struct cv_gw_config *old);
int64_t spare_due_ms(const struct cv_gateway *g);
bool spare_hello(
	struct cv_gw_link *l, struct cv_str id, struct cv_str instance, struct cv_str token);
void spare_message(struct cv_gw_link *l, uint32_t type);
void spare_link_lost(struct cv_gw_link *l);
void spare_gone(struct cv_gateway *g, struct cv_ref ref); /* its process */
/* One that fits becomes the box': its process and link.  False: there is none. */
bool spare_claim(struct cv_gw_box *b, const struct cv_driver_sandbox *d, int *ret_plan);
/* The supervisor of a box that is not to be after all: it ends, and its directory goes. */
void spare_end_box(struct cv_gw_box *b);
void spare_stop(struct cv_gateway *g);

/* session.c */
cv_code session_start(struct cv_gateway *g, struct cv_err *err);
void session_stop(struct cv_gateway *g);
void session_event(struct cv_gateway *g, const struct cv_loop_event *e);
void session_close(struct cv_gw_link *l); /* frees it; its box is told */
int64_t session_turn(struct cv_gateway *g);
void session_drain(struct cv_gateway *g, struct cv_ref link); /* reads all that is there */

/* Asks its supervisor for a connection to a port inside; DIALLED or NOT_DIALLED is the answer. */
#define DIAL_SSH 0 /* in place of a port: the SSH server of a supervisor that is not ours */
CV_MUST enum cv_rpc_status box_dial(
	struct cv_gw_box *b, uint32_t channel, uint32_t port, struct cv_err *err);

/* create.c */
CV_MUST enum cv_rpc_status create_check(
	const Openshell__V1__CreateSandboxRequest *r, struct cv_err *err);
/* The sandbox as it will be stored, all but its metadata's id and version. */
Openshell__V1__Sandbox *create_message(const struct cv_gateway *g,
	const Openshell__V1__CreateSandboxRequest *r, struct cv_str name, struct cv_str workspace);
/* A map<string, string> of variables; allowed: the one name of the reserved prefix that may be set. */
CV_MUST enum cv_rpc_status environment_check(const char *field, const void *entries, size_t n,
	size_t value_max, const char *allowed, struct cv_err *err);
/* Its limits of memory (bytes) and processors (thousandths); 0: none is said, or none that is good. */
void create_asks(const Openshell__V1__SandboxSpec *spec, uint64_t *ret_memory, uint64_t *ret_cpu);
/* What the driver is told of the spec.  CV_INVALID, CV_UNAVAILABLE (an image). */
CV_MUST cv_code create_describe(const struct cv_gw_box *b, struct cv_driver_sandbox *s,
	struct cv_arena *arena, struct cv_err *err);

/* exec.c */
void exec_ready(struct cv_gw_box *b); /* the sandbox is up: what waits goes */
void exec_message(struct cv_gw_box *b, struct cv_ipc_msg *m);
void exec_link_lost(struct cv_gw_box *b);
void exec_ended(struct cv_gw_box *b); /* the supervisor is gone */

/* kept.c */
bool kept_has_number(const struct cv_gw_box *b, uint32_t number);
void kept_ready(struct cv_gw_box *b);                         /* what waits goes */
bool kept_message(struct cv_gw_box *b, struct cv_ipc_msg *m); /* false: of another command */
void kept_link_lost(struct cv_gw_box *b);

/* forward.c */
uint32_t forward_channel(struct cv_gateway *g); /* a number for DIAL */
void forward_message(struct cv_gw_box *b, struct cv_ipc_msg *m);
void forward_ended(struct cv_gw_box *b);

/* watch.c */
void watch_event_line(struct cv_gw_box *b, struct cv_str body);
void watch_phase(struct cv_gw_box *b);   /* it is another, or the message is */
void watch_deleted(struct cv_gw_box *b); /* ends all followers, frees the lines */
/* An event: steps of a start as clients show them, that which begins and that which is done ("":
 * none). */
void watch_platform(
	struct cv_gw_box *b, const char *reason, const char *const step[2], const char *message);
