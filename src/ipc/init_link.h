/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init_link.h - the link between a supervisor and the inside of its sandbox
 *
 * Two programs speak on the inner end, one after the other: first the set-up code that the
 * supervisor forked (BUILT, FAILED), then cove-init, which that code became.  The supervisor may
 * send commands before anybody reads: they wait in the socket.  When the outer end closes, the
 * sandbox ends.
 *
 * A command (plan/command.h) travels in PARTs, because its arguments may be larger than one
 * message; RUN says that it is whole and brings the descriptors it starts with.  A command is
 * known by the number that RUN gave it.
 *
 * NOTIFY, TTY and FAILED may come from a forked child that is about to become the command; after
 * its exec nothing inside holds this link except cove-init.
 */
#pragma once
#include "ipc/frame.h"

#define CV_INIT_LINK_FD 3
/* With CV_PLAN_IDS: of whom a command with CV_COMMAND_IDS gets the map of its user namespace.  Its
 * process id goes in, a byte comes out when it is written, once. */
#define CV_INIT_IDS_FD 5

enum cv_init_state { CV_INIT_BUILD, CV_INIT_READY };

/* clang-format off */
/* supervisor to cove-init */
#define CV_INIT_REQS(X) /* message, body bytes, descriptors, states, flags */                  \
	X(PART, CV_IPC_BODY_BYTES_MAX, 0, IN(READY), 0)  /* bytes of a command */              \
	X(RUN, 4, 3, IN(READY), 0)       /* u32 id; stdin stdout stderr */                     \
	X(RUN_TTY, 8, 0, IN(READY), 0)   /* u32 id, u32 rows << 16 | columns */                \
	X(SIGNAL, 8, 0, IN(READY), 0)    /* u32 id, u32 number: to its process group */        \
	X(SOCKET, 8, 0, IN(READY), 0)    /* u32 tag, u32 address family: wants SOCKET */

/* the inside to supervisor */
#define CV_INIT_REPLIES(X)                                                                     \
	X(BUILT, 8, 7, IN(BUILD), CV_IPC_ONCE)  /* u32 cv_interception in force, u32 where authorities begin in \
						 * the bundle of roots, 0: it is not written; the descriptors below */ \
	X(FAILED, 4096, 0, IN(BUILD) | IN(READY), 0) /* u32 id (0: no command), u32 cv_init_stage, \
						      * u32 errno, str text */                 \
	X(NOTIFY, 4, 1, IN(READY), 0)    /* u32 id; seccomp listener */                        \
	X(TTY, 4, 1, IN(READY), 0)       /* u32 id; the terminal's outer end */                \
	X(WEAKER, 4096, 0, IN(READY), 0) /* u32 id, str what this kernel can't confine */      \
	X(EXITED, 8, 0, IN(READY), 0)    /* u32 id, u32 wait status */                         \
	X(STARTED, 8, 0, IN(READY), 0)   /* u32 id, u32 pid; behind FAILED, too */             \
	X(SOCKET, 4, 1, IN(READY), 0)    /* u32 tag; a TCP socket of the sandbox's network, or anything else */ \
	X(MORE, 0, 2, IN(BUILD), 0)      /* before BUILT: another port's listeners, IPv4 and IPv6 */
/* clang-format on */

/* The descriptors of BUILT, in this order. */
enum {
	CV_BUILT_TCP4,
	CV_BUILT_TCP6,
	CV_BUILT_UDP4,
	CV_BUILT_UDP6,
	CV_BUILT_SOCK_DIAG,
	CV_BUILT_LAYER, /* the root's own file system alone, writable: where CA and logs go */
	CV_BUILT_ROOT,  /* / as the command sees it: where symbolic links are resolved */
	CV_BUILT_COUNT,
};

/* What FAILED was about; the exit status that a shell would give follows from it. */
enum cv_init_stage {
	CV_INIT_STAGE_BUILD,   /* the sandbox: 125 */
	CV_INIT_STAGE_CONFINE, /* the command's confinement: 125 */
	CV_INIT_STAGE_CWD,     /* 125 */
	CV_INIT_STAGE_EXEC,    /* 127 when it is not there, else 126 */
};

#define CV_INIT_ENUM(name, bytes, fds, states, flags)       CV_INIT_REQ_##name,
#define CV_INIT_REPLY_ENUM(name, bytes, fds, states, flags) CV_INIT_REPLY_##name,
enum cv_init_req { CV_INIT_REQS(CV_INIT_ENUM) CV_INIT_REQ_COUNT };
enum cv_init_reply { CV_INIT_REPLIES(CV_INIT_REPLY_ENUM) CV_INIT_REPLY_COUNT };
#undef CV_INIT_ENUM
#undef CV_INIT_REPLY_ENUM

extern const struct cv_ipc_rule cv_init_req_rule[CV_INIT_REQ_COUNT];
extern const struct cv_ipc_rule cv_init_reply_rule[CV_INIT_REPLY_COUNT];
