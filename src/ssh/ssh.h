/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh.h - a process that speaks SSH with one client of one sandbox
 *
 *     client == SSH ==> cove-ssh == pipes, a terminal, sockets ==> what runs in the sandbox
 *                          |
 *                          +-- link (ipc/ssh_link.h) --> gateway --> supervisor
 *
 *     main.c      start, confinement, key exchange, the loop, the end
 *     requests.c  what the client may ask, as libssh tells it
 *     channel.c   a channel: its command or connection, and bytes both ways
 *     link.c      what the gateway is asked, and its answers
 *
 * It holds the sandbox's host key and the ends of what this client started, and can reach nothing
 * else: no file, no new socket, no process.  It decides nothing either: who may come was decided when
 * the gateway saw the token, and the gateway knows whose sandbox this is.
 *
 * libssh calls back from within most of its functions, so callbacks only mark what is to be done, and
 * a channel is freed at the end of a turn and nowhere else.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "ipc/outbox.h"
#include "ipc/ssh_link.h"
#include "ssh/limits.h"

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <poll.h>

enum { IN, OUT, ERR, ENDS };

enum chan_kind { CHAN_SESSION, CHAN_MAIN, CHAN_TCP };
enum chan_state {
	CHAN_NEW,     /* nothing was asked for yet */
	CHAN_ASKED,   /* the gateway was */
	CHAN_RUNNING, /* its ends are here */
	CHAN_OVER,    /* the client was told, or is gone */
};

struct chan {
	struct chan *next;
	struct sshd *s;
	ssh_channel ch;
	struct ssh_channel_callbacks_struct cb;
	uint32_t id; /* on the link */
	enum chan_kind kind;
	enum chan_state state;
	int fd[ENDS];      /* of a terminal or a socket only OUT; -1 */
	short ready[ENDS]; /* what poll() said of each */
	bool is_tty, is_sftp;
	bool has_rest;    /* libssh holds input that `in` had no room for */
	bool is_in_ended; /* by the client */
	bool is_in_told;  /* and the command knows */
	bool is_out_told; /* the client knows that no more comes */
	bool is_closed;   /* by the client */
	bool has_exited, has_failed;
	bool was_ctrl_p; /* CHAN_MAIN: of Ctrl-P Ctrl-Q */
	bool is_detached;
	int status;            /* wait status; errno of a failure */
	int64_t tail_ms;       /* 0: none */
	unsigned attempt;      /* which path of the sftp server */
	struct cv_buf in;      /* towards the command */
	struct cv_buf rest[2]; /* towards the client, that it had no room for: of OUT and ERR */
	struct cv_buf env;     /* NAME=VALUE, each with its NUL */
	unsigned env_count;
	char term[SSH_TERM_MAX];
	uint32_t rows, cols;
};

struct sshd {
	int link;
	struct cv_ipc_link rules;
	struct cv_ipc_outbox out;
	ssh_session session;
	ssh_event event;
	struct ssh_server_callbacks_struct cb;
	struct chan *chans;
	size_t chan_count;
	uint32_t next_id;
	unsigned auth_tries;
	bool is_authenticated, is_over;
	int64_t now_ms, login_until_ms;
	char buf[CV_IPC_BODY_BYTES_MAX + 8];
};

/* ---- channel.c ---- */

struct chan *chan_new(struct sshd *s, enum chan_kind kind); /* NULL: too many */
struct chan *chan_find(struct sshd *s, uint32_t id);
void chan_free(struct chan *c);
/* Watches what it can use; returns how many of v it took. */
#define CHAN_POLLS_MAX 3
size_t chan_polls(struct chan *c, struct pollfd *v, int *which);
void chan_serve(struct chan *c);
/* Takes what fits, returns how much. */
uint32_t chan_in(struct chan *c, const char *bytes, uint32_t n);
void chan_resize(const struct chan *c);
void chan_say(struct chan *c, const char *text); /* to the client's stderr, with our name before */

/* ---- link.c ---- */

void link_u32s(struct sshd *s, uint32_t type, const uint32_t *v, size_t n);
/* Asks for a command: argv, and what the channel holds of variables and a terminal. */
bool link_start(struct chan *c, const char *const *argv, size_t argc);
void link_read(struct sshd *s);
/* Dials and waits, for SSH_DIAL_MS at most.  c->fd[OUT] is the connection, or c->has_failed. */
void link_dial(struct chan *c, uint32_t port);

/* ---- requests.c ---- */

void requests_serve(struct sshd *s); /* sets the callbacks */
/* The sftp server was not at that path: asks for the next.  False: there is none. */
bool requests_sftp_next(struct chan *c);

CV_NORETURN void die(const char *what);
