/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_link.h - the link between a supervisor and the gateway that its sandbox belongs to
 *
 * The supervisor dials: a SOCK_SEQPACKET Unix socket whose path is in the plan.  It says HELLO and
 * shows the token that it was started with; the gateway answers ACCEPTED, or closes.  When the link
 * breaks the sandbox goes on and the supervisor dials again; whatever happened meanwhile (a READY,
 * an EXITED, the main command's end) is told then, because each is kept until the gateway has said
 * that it is written down (SETTLED).
 *
 * A command is known by a number that the gateway chose, never used twice in the life of a
 * supervisor; 1 is the main command, which the plan holds.  Its pipes or its terminal are made
 * here, and the gateway gets the outer ends: bytes of a command never pass this link, and they
 * wait in the pipe while there is no gateway.  After HELLO the supervisor sends STARTED (or
 * STARTED_TTY) again for each command that still runs, so that a new gateway has the ends.  What
 * is kept here keeps a command's stdin open too: when its client ends it, the gateway closes its
 * own end and says STDIN_END.
 *
 * What a new gateway is told comes in this order: the commands (each that runs, with its ends, and
 * each end that is not settled), READY if the sandbox stands, ENDED if all is over.  A command that
 * it knows and that was not told before READY is one that never started.
 *
 * A kept command (EXEC_KEPT) is one that outlives its client: its output is read here, into memory that
 * gateways share, and how it ended is written there too.  Nothing else is told of it, and it is kept
 * until the gateway settles it, also when it is over.
 *
 * A spare sandbox is one that was built before it was asked for.  Its supervisor says READY under a
 * name that stands for nothing, and waits; CLAIM tells it who it is, and READY comes again.  A spare
 * has nothing to live for without its gateway: it ends with the link.
 *
 * A sandbox of a plan with CV_PLAN_GATEWAY_AWAIT is built, or claimed, while the gateway writes
 * down that there is one, and might have to take that back.  No command runs in it before that is
 * done: ACCEPTED says so, and to one that was claimed, and so accepted before under another name,
 * GO.
 *
 * Policy is text (YAML, as `cove run --policy` reads it): the proxy judges it as it would judge a
 * file, and POLICY_LOADED or POLICY_REFUSED says with which outcome.
 */
#pragma once
#include "ipc/frame.h"

#define CV_GATEWAY_LINK_VERSION 1
#define CV_GATEWAY_TOKEN_BYTES  32

enum cv_gateway_link_state { CV_GATEWAY_LINK_NEW, CV_GATEWAY_LINK_OPEN };

/* clang-format off */
/* gateway to supervisor */
#define CV_GATEWAY_REQS(X) /* message, body bytes, descriptors, states, flags */               \
	X(ACCEPTED, 0, 0, IN(NEW), CV_IPC_ONCE)                                                \
	X(PART, CV_IPC_BODY_BYTES_MAX, 0, IN(OPEN), 0) /* bytes of an exec (plan/exec.h) */    \
	X(EXEC, 12, 0, IN(OPEN), 0)     /* u32 id, u32 flags CV_GATEWAY_EXEC_*, u32 rows << 16 | columns; what the PARTs said */ \
	X(SIGNAL, 8, 0, IN(OPEN), 0)    /* u32 id, u32 number: to its process group */         \
	X(DIAL, 8, 0, IN(OPEN), 0)      /* u32 channel, u32 port: 127.0.0.1, then ::1, inside */ \
	X(POLICY, 8, 1, IN(OPEN), 0)    /* u64 revision; memfd of its text */                  \
	X(CREDENTIALS, 8, 1, IN(OPEN), 0) /* u64 revision; memfd of a set (cred/set.h) for the keeper */ \
	X(STOP, 4, 0, IN(OPEN), 0)      /* u32 ms of grace: SIGTERM, then the end */           \
	X(SETTLED, 8, 0, IN(OPEN), 0)   /* u32 what (cv_gateway_reply), u32 id: forget it */   \
	X(SETTINGS, 64, 0, IN(OPEN), 0) /* u32 CV_GATEWAY_SETTING_*, from now on; where it stands \
					 * supervisors before it took a message and did nothing */ \
	X(STDIN_END, 4, 0, IN(OPEN), 0) /* u32 id: nothing more comes; not for a terminal */   \
	X(LAYER, 0, 1, IN(OPEN), 0)     /* memfd: what attached providers lay over the next POLICY and those \
					 * behind it (cred/compose.h), judged with it; empty: nothing */ \
	X(ANSWER, 2048, 0, IN(OPEN), 0) /* u64 question, u32 cv_approval_answer (DENY, ALLOW), u32 1: \
					 * for all alike in this run, str who */ \
	X(CLAIM, 0, 1, IN(OPEN), 0)     /* to a spare sandbox that is ready: memfd of the plan that it becomes (plan/claim.h); \
					 * READY is the answer */ \
	X(EXEC_KEPT, 4096, 1, IN(OPEN), 0) /* u32 id, u32 seconds it may take (0: any), u32 flags \
					 * CV_GATEWAY_KEPT_*, str about (ipc/kept.h), u32 rows << 16 | columns; its \
					 * stdin; what the PARTs said.  KEPT or FAILED is the answer */ \
	X(KEPT_PACE, 12, 0, IN(OPEN), 0) /* u32 id, u64 place in its ring: what comes behind it is not read \
					 * by somebody who wants it all; ~0: nobody does. Until the link breaks */ \
	X(ROUTES, 0, 1, IN(OPEN), 0)    /* memfd: routes of inference.local (plan/routes.h) in the place of the \
					 * former, together with the next CREDENTIALS; empty: none, at once */ \
	X(GO, 0, 0, IN(OPEN), 0)        /* after a CLAIM with CV_PLAN_GATEWAY_AWAIT: it is written down */ \
	X(CLAIM_SET, 0, 2, IN(OPEN), 0) /* CLAIM, and memfd of the set (cred/set.h) that its keeper is to have */ \
	X(PROPOSED, CV_IPC_BODY_BYTES_MAX, 0, IN(OPEN), 0) /* u64 tag of PROPOSE, u32 HTTP status, u32 1: there is \
					 * nothing to wait for, str JSON */

/* supervisor to gateway */
#define CV_GATEWAY_REPLIES(X)                                                                  \
	X(HELLO, 512, 0, IN(NEW), CV_IPC_ONCE) /* u32 version, str sandbox id, str instance id, \
				* str token (CV_GATEWAY_TOKEN_BYTES), u32 pid, u64 policy revision */ \
	X(READY, 0, 0, IN(OPEN), 0)     /* the sandbox stands, commands may come */            \
	X(STARTED, 8, 3, IN(OPEN), 0)   /* u32 id, u32 pid inside; stdin's write end, stdout's and stderr's read ends */ \
	X(STARTED_TTY, 8, 1, IN(OPEN), 0) /* u32 id, u32 pid inside; the terminal's outer end */ \
	X(FAILED, 4096, 0, IN(OPEN), 0) /* u32 id, u32 cv_init_stage, u32 errno, str text */   \
	X(EXITED, 8, 0, IN(OPEN), 0)    /* u32 id, u32 wait status; until SETTLED */           \
	X(DIALLED, 4, 1, IN(OPEN), 0)   /* u32 channel; a connected socket */                  \
	X(NOT_DIALLED, 8, 0, IN(OPEN), 0) /* u32 channel, u32 errno */                         \
	X(POLICY_LOADED, 8, 0, IN(OPEN), 0)    /* u64 revision */                              \
	X(POLICY_REFUSED, 4096, 0, IN(OPEN), 0) /* u64 revision, str why */                    \
	X(EVENT, CV_IPC_BODY_BYTES_MAX, 0, IN(OPEN), 0) /* u64 Unix ms, str level, str target, str message: one line of the log */ \
	X(DENIAL, 16384, 0, IN(OPEN), 0) /* a connection that policy refused: str host, u32 port (0: a name was asked for and refused), str binary, \
				* u32 stage (cv_gateway_denial), str reason, str method, str path */ \
	X(LOST, 8, 0, IN(OPEN), 0)      /* u32 lines of the log that were dropped, u32 denials */ \
	X(ENDED, 4096, 0, IN(OPEN), 0)  /* u32 exit status of the main command, u32 is_failure, str why; until SETTLED */ \
	X(CREDENTIALS_LOADED, 8, 0, IN(OPEN), 0)     /* u64 revision: their placeholders are of use */ \
	X(CREDENTIALS_REFUSED, 4096, 0, IN(OPEN), 0) /* u64 revision, str why; those before stay */ \
	X(ASK, CV_IPC_BODY_BYTES_MAX, 0, IN(OPEN), 0) /* cv_ask (approve_link.h): a call or a request is \
				* held; its id is the run's, seconds what is left. Again after ACCEPTED */ \
	X(ASK_END, 8, 0, IN(OPEN), 0)   /* u64 question: it needs no answer any more */        \
	X(ANSWERED, 12, 0, IN(OPEN), 0) /* u64 question, u32 cv_approve_result */              \
	X(COUNTS, 40, 0, IN(OPEN), 0)   /* u64 requests that the proxy allowed, denied, logged since the last of \
				* these, u64 bytes up, u64 bytes down */ \
	X(KEPT, 4, 2, IN(OPEN), 0)      /* u32 id; memfd of its output (ipc/kept.h), eventfd that is \
				* raised for more. Again after ACCEPTED, until SETTLED */ \
	X(KEPT_INPUT, 4, 1, IN(OPEN), 0) /* u32 id; stdin's write end or the terminal's outer end, of one that \
				* has such; one that swallows when it has ended. Behind each KEPT */ \
	X(PROPOSE, CV_IPC_BODY_BYTES_MAX, 0, IN(OPEN), 0) /* an agent's: u64 tag, u32 cv_gateway_propose, str: of \
				* SUBMIT rules (plan/proposal.h), of SHOW an id */
/* clang-format on */

enum {                                         /* of SETTINGS */
	CV_GATEWAY_SETTING_PROPOSALS = 1 << 0, /* agents may propose rules */
};

enum { /* of EXEC */
	CV_GATEWAY_EXEC_TTY = 1 << 0,
	/* stdin is empty: STARTED brings a descriptor that swallows, and STDIN_END need not be sent */
	CV_GATEWAY_EXEC_NO_STDIN = 1 << 1,
};

enum { /* of EXEC_KEPT; supervisors before KEPT_INPUT took each but 0 for the first */
	CV_GATEWAY_KEPT_PACED = 1 << 0, /* a PACE of 0 from the start */
	CV_GATEWAY_KEPT_TTY = 1 << 1,
	CV_GATEWAY_KEPT_STDIN = 1 << 2, /* stdin is a pipe, whose other end KEPT_INPUT brings */
};

enum cv_gateway_propose { CV_GATEWAY_PROPOSE_SUBMIT, CV_GATEWAY_PROPOSE_SHOW };

enum cv_gateway_denial {
	CV_GATEWAY_DENIAL_L4,
	CV_GATEWAY_DENIAL_L7,
	CV_GATEWAY_DENIAL_L7_AUDIT,
	CV_GATEWAY_DENIAL_SSRF,
};

#define CV_GATEWAY_REQ_ENUM(name, bytes, fds, states, flags)   CV_GATEWAY_REQ_##name,
#define CV_GATEWAY_REPLY_ENUM(name, bytes, fds, states, flags) CV_GATEWAY_REPLY_##name,
enum cv_gateway_req { CV_GATEWAY_REQS(CV_GATEWAY_REQ_ENUM) CV_GATEWAY_REQ_COUNT };
enum cv_gateway_reply { CV_GATEWAY_REPLIES(CV_GATEWAY_REPLY_ENUM) CV_GATEWAY_REPLY_COUNT };
#undef CV_GATEWAY_REQ_ENUM
#undef CV_GATEWAY_REPLY_ENUM

extern const struct cv_ipc_rule cv_gateway_req_rule[CV_GATEWAY_REQ_COUNT];
extern const struct cv_ipc_rule cv_gateway_reply_rule[CV_GATEWAY_REPLY_COUNT];
