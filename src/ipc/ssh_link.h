/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh_link.h - the link between cove-ssh, which speaks SSH with one client, and the gateway
 *
 * The gateway starts one process per connection and gives it three descriptors, below.  From then on
 * the process asks, by this link, for what its client asks for; it can name no sandbox but the one that
 * the connection was opened to, because the gateway knows which that is.
 *
 * A channel is a number that the process chose; the gateway maps it to a command or to a connection.
 * Bytes of a command never pass this link: the ends of its pipes, or its terminal, do.
 */
#pragma once
#include "ipc/frame.h"

/* Descriptors that the process is started with. */
#define CV_SSH_LINK_FD   3
#define CV_SSH_CLIENT_FD 4 /* a stream socket: what the client sends and gets */
#define CV_SSH_KEY_FD    5 /* memfd: the host key, a file of OpenSSH */
#define CV_SSH_FDS       6

enum cv_ssh_link_state { CV_SSH_LINK_OPEN };

/* clang-format off */
/* cove-ssh to gateway */
#define CV_SSH_REQS(X) /* message, body bytes, descriptors, states, flags */                   \
	X(PART, CV_IPC_BODY_BYTES_MAX, 0, IN(OPEN), 0) /* bytes of an exec (plan/exec.h) */    \
	X(START, 12, 0, IN(OPEN), 0)    /* u32 channel, u32 flags CV_SSH_START_*, u32 rows << 16 | columns; what the PARTs said */ \
	X(ATTACH, 4, 0, IN(OPEN), 0)    /* u32 channel: to the main command, as if it had been started */ \
	X(SIGNAL, 8, 0, IN(OPEN), 0)    /* u32 channel, u32 number */                          \
	X(STDIN_END, 4, 0, IN(OPEN), 0) /* u32 channel: nothing more comes; not for a terminal */ \
	X(END, 4, 0, IN(OPEN), 0)       /* u32 channel: its client wants it no more */         \
	X(DIAL, 8, 0, IN(OPEN), 0)      /* u32 channel, u32 port, of the loopback inside */

/* gateway to cove-ssh */
#define CV_SSH_REPLIES(X)                                                                      \
	X(STARTED, 4, 3, IN(OPEN), 0)     /* u32 channel; stdin's write end, stdout's and stderr's read ends */ \
	X(STARTED_TTY, 4, 1, IN(OPEN), 0) /* u32 channel; the terminal's outer end */          \
	X(REPLAY, CV_IPC_BODY_BYTES_MAX, 0, IN(OPEN), 0) /* u32 channel, then what the main command wrote before */ \
	X(FAILED, 4096, 0, IN(OPEN), 0)   /* u32 channel, u32 errno, str text */               \
	X(EXITED, 8, 0, IN(OPEN), 0)      /* u32 channel, u32 wait status */                   \
	X(DIALLED, 4, 1, IN(OPEN), 0)     /* u32 channel; a connected socket */                \
	X(NOT_DIALLED, 8, 0, IN(OPEN), 0) /* u32 channel, u32 errno */
/* clang-format on */

enum { /* of START */
	CV_SSH_START_TTY = 1 << 0,
};

#define CV_SSH_REQ_ENUM(name, bytes, fds, states, flags)   CV_SSH_REQ_##name,
#define CV_SSH_REPLY_ENUM(name, bytes, fds, states, flags) CV_SSH_REPLY_##name,
enum cv_ssh_req { CV_SSH_REQS(CV_SSH_REQ_ENUM) CV_SSH_REQ_COUNT };
enum cv_ssh_reply { CV_SSH_REPLIES(CV_SSH_REPLY_ENUM) CV_SSH_REPLY_COUNT };
#undef CV_SSH_REQ_ENUM
#undef CV_SSH_REPLY_ENUM

extern const struct cv_ipc_rule cv_ssh_req_rule[CV_SSH_REQ_COUNT];
extern const struct cv_ipc_rule cv_ssh_reply_rule[CV_SSH_REPLY_COUNT];
