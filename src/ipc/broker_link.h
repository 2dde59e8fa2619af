/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_link.h - the broker's links
 *
 * Control (descriptor 3): from whoever started it, a supervisor for one sandbox or a gateway for
 * many; every message about a sandbox names it.  The broker gets a catalog, a directory of its own,
 * sinks and a keeper, then sandboxes; READY comes when the servers of the catalog answer.
 *
 * A sandbox's link: from its proxy.  Each OPEN hands over one end of a stream, over which the
 * proxy then speaks plain HTTP/1.1 for one connection of the sandbox; who is at its other end is in
 * OPEN and nowhere else.  So nothing that a request says about its sender is ever believed, and
 * the broker has no address that anybody could connect to.
 *
 * Approvals go the other way: ASK names a call that is held, and whoever can ask a person answers.
 */
#pragma once
#include "ipc/frame.h"
#include "ipc/proxy_link.h"

#define CV_BROKER_CONTROL_FD 3
#define CV_BROKER_NAME_MAX   128 /* of a sandbox */

enum cv_broker_state { CV_BROKER_NEW, CV_BROKER_READY };

/* clang-format off */
/* whoever started it, to the broker: message, body bytes, descriptors, states, flags */
#define CV_BROKER_CONTROLS(X)                                                                     \
	X(CATALOG, 4096, 1, IN(NEW), 0)          /* str file name; memfd: text; several are laid together */ \
	X(STATE, 4096, 0, IN(NEW), CV_IPC_ONCE)  /* str: a directory, 0700, that is the broker's */ \
	X(AUDIT_SINK, 8, 1, IN(NEW), 0)          /* as the proxy's */                              \
	X(KEEPER, 0, 1, IN(NEW) | IN(READY), 0)  /* keeper_link; absent: no credentials */         \
	X(ENV, 32768, 0, IN(NEW), 0)             /* str name, str value: what tools may inherit */ \
	X(GO, 4, 0, IN(NEW), CV_IPC_ONCE)        /* u32 flags: start servers, say READY */         \
	X(SANDBOX, 4096, 1, IN(NEW) | IN(READY), 0) /* str name, str SHA-256 of its token (32 bytes); its link */ \
	X(LINK, 256, 1, IN(READY), 0)            /* str name; the link of a proxy started anew */  \
	X(POLICY, 8192, 1, IN(NEW) | IN(READY), 0) /* str name, str file name; memfd: text */      \
	X(ROOT, 256, 1, IN(NEW) | IN(READY), 0)  /* str name; O_PATH of / in the sandbox */        \
	X(SANDBOX_END, 256, 0, IN(NEW) | IN(READY), 0) /* str name: calls are cancelled, its token is dead */ \
	X(ANSWER, 1024, 0, IN(READY), 0)         /* u64 of ASK, u32 cv_approval_answer, str who */ \
	X(ABOUT, 8192, 0, IN(NEW) | IN(READY), 0) /* str name, u32 cv_broker_about, str: of how it runs */ \
	X(ROOTS, 0, 1, IN(NEW), CV_IPC_ONCE)     /* memfd: PEM of the roots that https:// is verified by */ \
	X(PIN, 1024, 0, IN(NEW), 0)              /* as the courier's: str host, u32 port, str address */ \
	X(HOLD, 4, 0, IN(NEW), CV_IPC_ONCE)      /* u32: seconds until a held call is denied */    \
	X(HIDE, 4096, 0, IN(NEW), 0)             /* str: a directory that no tool is to see */    \
	X(SLOTS, 4096, 0, IN(NEW), CV_IPC_ONCE)  /* str: the file of sys/slots.h; absent: no tool counts there */

/* broker to whoever started it */
#define CV_BROKER_CONTROL_REPLIES(X)                                                              \
	X(READY, 0, 0, IN(NEW), CV_IPC_ONCE)                                                       \
	X(FATAL, 8192, 0, IN(NEW) | IN(READY), CV_IPC_ONCE) /* str: why it ends, a server's log included */ \
	X(ASK, CV_IPC_BODY_BYTES_MAX, 0, IN(READY), 0) /* cv_ask of approve_link.h: a call is held */ \
	X(ASK_END, 8, 0, IN(READY), 0)           /* u64 id: nobody waits for it any more */        \
	X(SANDBOX_ENDED, 256, 0, IN(READY), 0)   /* str name: nothing of it is left */             \
	X(ENDS_IN, 4, 0, IN(NEW), CV_IPC_ONCE)   /* u32 ms that servers may take to end; before READY */ \
	X(SAY, 4096, 0, IN(NEW) | IN(READY), 0)  /* str: what a person should know of this host */

/* proxy to broker, on a sandbox's link */
#define CV_BROKER_REQS(X)                                                                         \
	X(OPEN, CV_IPC_BODY_BYTES_MAX, 1, IN(READY), 0) /* u32 cv_broker_target, u32 port, \
		cv_proxy_identity; one end of a stream */

/* broker to proxy: none; a stream that the broker can't serve is closed */
/* clang-format on */

enum cv_broker_target {
	CV_BROKER_TOOLS,  /* the reserved route */
	CV_BROKER_SERVER, /* a server of the catalog, as host.openshell.internal:port */
	CV_BROKER_TARGET_COUNT
};

/* What a build for a sandbox needs to have the same way out as it. */
enum cv_broker_about {
	CV_BROKER_ABOUT_WORKDIR, /* what relative paths of a call begin at */
	/* Options of `cove run`, with their values. */
	CV_BROKER_ABOUT_CA,
	CV_BROKER_ABOUT_RESOLVE,
	CV_BROKER_ABOUT_UPSTREAM,
	CV_BROKER_ABOUT_UPSTREAM_DIRECT,
	CV_BROKER_ABOUT_UPSTREAM_BY_NAME,
	CV_BROKER_ABOUT_COUNT
};

enum cv_approval_answer {
	CV_APPROVAL_DENY,
	CV_APPROVAL_ALLOW,
	CV_APPROVAL_TIMEOUT,
	CV_APPROVAL_FLOOD, /* denied unseen: a person is asked too much already */
	CV_APPROVAL_ANSWER_COUNT
};

#define CV_BROKER_CONTROL_ENUM(name, bytes, fds, states, flags) CV_BROKER_CONTROL_##name,
#define CV_BROKER_CREPLY_ENUM(name, bytes, fds, states, flags)  CV_BROKER_CONTROL_REPLY_##name,
#define CV_BROKER_REQ_ENUM(name, bytes, fds, states, flags)     CV_BROKER_REQ_##name,
enum cv_broker_control { CV_BROKER_CONTROLS(CV_BROKER_CONTROL_ENUM) CV_BROKER_CONTROL_COUNT };
enum cv_broker_control_reply {
	CV_BROKER_CONTROL_REPLIES(CV_BROKER_CREPLY_ENUM) CV_BROKER_CONTROL_REPLY_COUNT
};
enum cv_broker_req { CV_BROKER_REQS(CV_BROKER_REQ_ENUM) CV_BROKER_REQ_COUNT };
#undef CV_BROKER_CONTROL_ENUM
#undef CV_BROKER_CREPLY_ENUM
#undef CV_BROKER_REQ_ENUM

extern const struct cv_ipc_rule cv_broker_control_rule[CV_BROKER_CONTROL_COUNT];
extern const struct cv_ipc_rule cv_broker_control_reply_rule[CV_BROKER_CONTROL_REPLY_COUNT];
extern const struct cv_ipc_rule cv_broker_req_rule[CV_BROKER_REQ_COUNT];
