/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh_exec_link.h - the link between cove-ssh-exec, which runs one command over SSH, and the gateway
 *
 * The gateway starts one process per command, for sandboxes whose supervisors take commands over SSH
 * and nothing else.  It gives the process a connection to that server and the inner ends of the
 * command's pipes (or of its terminal: one stream socket), and says once what to run.  From then on
 * the process is what a supervisor of ours would be: STARTED, bytes, EXITED.
 *
 * Of a command that outlives its client (KEEP) there are no pipes of output: the process writes a ring
 * (ipc/kept.h), in which its end is told, too.
 */
#pragma once
#include "ipc/frame.h"

/* Descriptors that the process is started with; of a terminal IN and ERR are closed. */
#define CV_SSH_EXEC_LINK_FD  3
#define CV_SSH_EXEC_RELAY_FD 4 /* a stream socket: what the server sends and gets */
#define CV_SSH_EXEC_IN_FD    5 /* read here */
#define CV_SSH_EXEC_OUT_FD   6 /* written here; of a terminal also read */
#define CV_SSH_EXEC_ERR_FD   7
#define CV_SSH_EXEC_FDS      8

#define CV_SSH_EXEC_LINE_MAX (256u << 10) /* of the command: what libssh takes as one packet */
#define CV_SSH_EXEC_TERM_MAX 64

enum cv_ssh_exec_link_state { CV_SSH_EXEC_LINK_OPEN };

/* clang-format off */
/* gateway to cove-ssh-exec */
#define CV_SSH_EXEC_REQS(X) /* message, body bytes, descriptors, states, flags */               \
	X(PART, CV_IPC_BODY_BYTES_MAX, 0, IN(OPEN), 0) /* bytes of the command, for a shell */  \
	X(START, 128, 0, IN(OPEN), CV_IPC_ONCE) /* u32 is_tty, u32 rows << 16 | columns, str terminal */ \
	X(SIGNAL, 4, 0, IN(OPEN), 0)            /* u32 number */                                \
	X(RESIZE, 4, 0, IN(OPEN), 0)            /* u32 rows << 16 | columns */                  \
	X(KEEP, 4096, 0, IN(OPEN), CV_IPC_ONCE) /* before START: u32 seconds it may take (0: any), u32 is_paced (a \
						 * PACE of 0), str about (ipc/kept.h) */        \
	X(PACE, 8, 0, IN(OPEN), 0)              /* u64: as KEPT_PACE of gateway_link.h */

/* cove-ssh-exec to gateway */
#define CV_SSH_EXEC_REPLIES(X)                                                                  \
	X(STARTED, 0, 0, IN(OPEN), CV_IPC_ONCE) /* the server took the command */               \
	X(EXITED, 4, 0, IN(OPEN), CV_IPC_ONCE)  /* u32 wait status; output may follow until its pipes end */ \
	X(FAILED, 1024, 0, IN(OPEN), CV_IPC_ONCE) /* str why; before STARTED, or the connection is gone */ \
	X(KEPT, 0, 2, IN(OPEN), CV_IPC_ONCE)    /* behind STARTED: memfd of its output, eventfd that is raised for more */
/* clang-format on */

#define CV_SSH_EXEC_REQ_ENUM(name, bytes, fds, states, flags)   CV_SSH_EXEC_REQ_##name,
#define CV_SSH_EXEC_REPLY_ENUM(name, bytes, fds, states, flags) CV_SSH_EXEC_REPLY_##name,
enum cv_ssh_exec_req { CV_SSH_EXEC_REQS(CV_SSH_EXEC_REQ_ENUM) CV_SSH_EXEC_REQ_COUNT };
enum cv_ssh_exec_reply { CV_SSH_EXEC_REPLIES(CV_SSH_EXEC_REPLY_ENUM) CV_SSH_EXEC_REPLY_COUNT };
#undef CV_SSH_EXEC_REQ_ENUM
#undef CV_SSH_EXEC_REPLY_ENUM

extern const struct cv_ipc_rule cv_ssh_exec_req_rule[CV_SSH_EXEC_REQ_COUNT];
extern const struct cv_ipc_rule cv_ssh_exec_reply_rule[CV_SSH_EXEC_REPLY_COUNT];
