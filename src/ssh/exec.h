/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.h - a process that runs one command over SSH, for the gateway
 *
 *     gateway ══ pipes, or a stream in place of a terminal ══ cove-ssh-exec == SSH ==> relay
 *        └── link (ipc/ssh_exec_link.h) ──────────────────────────┘      (a server in a sandbox)
 *
 *     exec_main.c   start, confinement, the loop, the end
 *     exec_start.c  the connection, until the server has taken the command
 *     exec_bytes.c  bytes both ways, and how it ended
 *     exec_kept.c   output and end of one that outlives its client
 *
 * The server is whatever listens behind a relay that a sandbox's supervisor opened: it is hostile.
 * So what parses it is this process and not the gateway, confined as cove-ssh is, and holds nothing:
 * no key, no token, no name of a sandbox.  It says who it is by user name only, and cannot know the
 * server's key; who opened the relay showed a token of the sandbox, and that was the authentication.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "ipc/kept.h"
#include "ipc/outbox.h"
#include "ipc/ssh_exec_link.h"

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h> /* ssh_send_keepalive() */

#define EXEC_OUT_MAX      (256u << 10) /* towards a pipe; beyond it the server's window stays shut */
#define EXEC_CHUNK        (32u << 10)  /* what every server takes as one packet */
#define EXEC_START_MS     15000 /* from the first byte until the server has taken the command */
#define EXEC_PING_MS      15000 /* of silence, then the server is asked ... */
#define EXEC_PINGS_MAX    4     /* ... so often (openshell-api 6) */
#define EXEC_PACKETS_MAX  64    /* reads of the server, before the pipes get their turn */
#define EXEC_MESSAGES_MAX 64    /* likewise, of the gateway */
/* Of a kept one, as of those of our own supervisors. */
#define EXEC_AHEAD_BYTES (CV_KEPT_RING_BYTES / 2) /* of who wants all of it */
#define EXEC_TAIL_MS     500                      /* of silence after the exit */
#define EXEC_TERM_MS     2000  /* from SIGTERM to SIGKILL when its time is over */
#define EXEC_DEAD_MS     10000 /* from SIGKILL until nobody waits any more */

enum { IN, OUT, ERR, ENDS };

struct client {
	int link;
	struct cv_ipc_link rules;
	struct cv_ipc_outbox out;
	ssh_session session;
	ssh_event event;
	ssh_channel ch;
	struct ssh_channel_callbacks_struct cb;
	struct cv_buf line; /* the command, for a shell */
	char term[CV_SSH_EXEC_TERM_MAX + 1];
	uint32_t rows, cols;
	bool is_tty, is_started;
	int fd[ENDS];           /* of a terminal only OUT; -1 */
	struct cv_buf to[ENDS]; /* OUT, ERR: from the server; IN: what it had no room for */
	bool has_rest[ENDS];    /* OUT, ERR: libssh holds more of it */
	bool is_in_told;        /* the server knows that no more comes */
	bool has_ended;         /* of its output; or it closed the channel */
	bool is_gone;           /* the connection is */
	bool has_status, is_told;
	uint32_t status; /* of wait(2) */
	int64_t now_ms, heard_ms;
	unsigned pings;
	/* exec_kept.c */
	bool is_kept, is_timed_out, is_killed;
	struct cv_kept ring;
	int memory, raised;      /* its memfd; an eventfd */
	uint32_t seconds;        /* that it may take; 0: any */
	uint64_t pace;           /* UINT64_MAX: none */
	int64_t due_ms, tail_ms; /* its time, then of what follows; 0: none */
	char buf[CV_IPC_BODY_BYTES_MAX + 8];
};

/* ---- exec_start.c: fails with FAILED and the end of the process ---- */

void start_connect(struct client *c);
void start_command(struct client *c);

/* ---- exec_bytes.c ---- */

void bytes_callbacks(struct client *c);
void bytes_pump(struct client *c);
/* The server closed the channel or the connection, and all that it said was passed on. */
bool bytes_are_over(const struct client *c);
int bytes_in_fd(const struct client *c); /* where input comes from; -1: no more, or no room now */

/* ---- exec_kept.c ---- */

void kept_make(struct client *c, struct cv_ipc_reader *r); /* before it is confined */
void kept_tell(struct client *c);                          /* it runs */
bool kept_is_ahead(const struct client *c);                /* its output has to wait */
void kept_put(struct client *c, int which, struct cv_str bytes);
void kept_turn(struct client *c); /* what is due */
int64_t kept_next_ms(const struct client *c);
bool kept_is_over(const struct client *c);
CV_NORETURN void kept_end(struct client *c);

/* ---- exec_main.c ---- */

void client_tell(struct client *c, uint32_t type, struct cv_str body);
void client_tell_fds(struct client *c, uint32_t type, const int *fds, size_t n);
CV_NORETURN CV_PRINTF(2, 3) void client_fail(struct client *c, const char *fmt, ...);
CV_NORETURN void client_end(struct client *c);
