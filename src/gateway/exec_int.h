/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_int.h - what exec.c (commands that run), exec_rpc.c (what clients ask) and kept.c (commands
 * that outlive them) share
 */
#pragma once
#include "gateway/sandbox_int.h"

#include <sys/ioctl.h>

#define MAIN_ID         1          /* ipc/gateway_link.h */
#define EXEC_WAIT_MS    15000      /* for a session (openshell-api 6) */
#define STDIN_BYTES_MAX (2u << 20) /* two messages: the client is held behind the first */

enum { IN, OUT, ERR, ENDS }; /* also the subkinds of watches */
enum exec_state { EXEC_WAITING, EXEC_SENT, EXEC_RUNNING, EXEC_OVER };

struct cv_gw_execs {
	struct cv_slots all;
	uint32_t next_id;
	int64_t deadline_ms;
	bool has_more; /* a pipe was left before it was empty */
};

struct cv_gw_exec {
	struct cv_gw_exec *next; /* of its box */
	struct cv_gateway *g;
	struct cv_ref ref, box;
	struct cv_rpc_call *call; /* NULL: nobody */
	enum exec_state state;
	uint32_t id;
	int fd[ENDS]; /* of a terminal only OUT */
	bool is_tty, is_blocked, is_more, has_stdin_ended, is_held;
	bool is_stdin_none; /* CV_GATEWAY_EXEC_NO_STDIN was said */
	bool is_lent;       /* MAIN_ID: a cove-ssh reads and writes its ends */
	bool is_cut;        /* what ran it is gone: how it ended is not known */
	bool is_timed_out, has_exited, is_killed, is_finished;
	bool has_size; /* its client's terminal has another size by now, and perhaps it none yet */
	struct winsize size;
	int status;
	int64_t deadline_ms; /* its timeout, then of what follows; 0: none */
	int64_t tail_ms;     /* 0: none */
	struct cv_buf in;
	struct cv_buf replay;                             /* MAIN_ID */
	const Openshell__V1__ExecSandboxRequest *request; /* a copy until it is sent */
	struct cv_gw_exec_ssh *ssh; /* exec_ssh.c: it goes over SSH; else NULL */
};

struct cv_gw_exec *exec_find(const struct cv_gw_box *b, uint32_t id);
struct cv_gw_exec *exec_new(struct cv_gw_box *b, uint32_t id); /* NULL: no memory */
/* Sets a time of x, which is *which, from now; 0: none. */
void exec_deadline(struct cv_gw_exec *x, int64_t *which, int64_t ms);
/* Each may be the end of x. */
void exec_finish_fail(struct cv_gw_exec *x, enum cv_rpc_status s, const char *why);
void exec_advance(struct cv_gw_exec *x);   /* output, and the end if this was it */
void exec_abandon(struct cv_gw_exec *x);   /* nobody wants it any more */
void exec_in_write(struct cv_gw_exec *x);  /* as much as stdin takes */
void exec_size_tell(struct cv_gw_exec *x); /* to its terminal, when it has one */
/* What ran it is gone: when its output has ended its client is told so. */
void exec_cut(struct cv_gw_exec *x);

/* A command whose client was another process, which is gone: it is told to end. */
void exec_orphan(struct cv_gw_box *b, uint32_t id, bool is_running);
/* The ends of the main command are read here again. */
void exec_main_return(struct cv_gw_box *b);

/* exec_ssh.c */
void exec_ssh_send(struct cv_gw_exec *x, struct cv_gw_box *b); /* x->request; may be the end of x */
/* k->request, with this stdin unless it takes input; may be the end of k. */
void exec_ssh_keep(struct cv_gw_kept *k, struct cv_gw_box *b, int in);
void exec_ssh_signal(struct cv_gw_exec_ssh *y, int number); /* NULL is fine, here and below */
void exec_ssh_resize(struct cv_gw_exec_ssh *y, uint32_t rows, uint32_t cols);
void exec_ssh_pace(struct cv_gw_exec_ssh *y, uint64_t place); /* KEPT_PACE; not NULL */
void exec_ssh_drop(struct cv_gw_exec_ssh *y);                 /* its command forgets it */
/* DIALLED and NOT_DIALLED that may belong to one; false: to none. */
bool exec_ssh_dial_message(struct cv_gw_box *b, uint32_t channel, struct cv_ipc_msg *m);

/* exec_rpc.c */
#define EXEC_METHODS 2
extern const struct cv_gw_method exec_methods[EXEC_METHODS];
void exec_send(struct cv_gw_exec *x, struct cv_gw_box *b); /* x->request; may be the end of x */
uint32_t exec_id_next(const struct cv_gw_box *b);
enum cv_rpc_status exec_request_check(
	const Openshell__V1__ExecSandboxRequest *r, struct cv_err *err);
/* Whether a command can be started now, or after a while. */
enum cv_rpc_status exec_box_check(
	const struct cv_gw_box *b, bool *ret_is_waiting, struct cv_err *err);
/* The bytes of a command, for the supervisor; false: they do not fit. */
bool exec_request_put(
	const Openshell__V1__ExecSandboxRequest *r, const struct cv_gw_box *b, struct cv_buf *out);
bool exec_parts_send(struct cv_gw_box *b, struct cv_str bytes);
/* EXEC with these bytes (plan/exec.h); false: the link is broken. */
bool exec_bytes_send(
	struct cv_gw_box *b, uint32_t id, uint32_t flags, uint32_t size, struct cv_str bytes);
