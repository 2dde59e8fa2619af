/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_link.h - the keeper's two links
 *
 * Control (descriptor 3): from the supervisor.  It asks for the run's CA certificate and hands
 * over the other end of the proxy's link; a later PROXY replaces that link.
 * Leaves: from a proxy, which made its own key pair and wants a certificate for one name.  The CA
 * key never leaves the keeper; the proxy's key never leaves the proxy.
 */
#pragma once
#include "ipc/frame.h"

#define CV_KEEPER_CONTROL_FD 3

enum cv_keeper_state { CV_KEEPER_NEW, CV_KEEPER_READY };

/* clang-format off */
/* supervisor to keeper */
#define CV_KEEPER_CONTROLS(X) /* message, body bytes, descriptors, states, flags */     \
	X(START, 256, 1, IN(NEW), CV_IPC_ONCE)  /* str run name; the proxy's link */     \
	X(PROXY, 0, 1, IN(READY), 0)            /* the link of a proxy started anew */

/* keeper to supervisor */
#define CV_KEEPER_CONTROL_REPLIES(X)                                                    \
	X(CA, 8192, 0, IN(NEW), CV_IPC_ONCE)    /* str PEM of the CA certificate */      \
	X(FATAL, 4096, 0, IN(NEW) | IN(READY), CV_IPC_ONCE)

/* proxy to keeper */
#define CV_KEEPER_REQS(X)                                                               \
	X(LEAF, 1024, 0, IN(READY), 0)          /* u32 tag, str host (canonical), str SPKI DER */

/* keeper to proxy */
#define CV_KEEPER_REPLIES(X)                                                            \
	X(LEAF_CERT, 4096, 0, IN(READY), 0)     /* u32 tag, str leaf DER, u64 not_after_s */ \
	X(LEAF_REFUSED, 1024, 0, IN(READY), 0)  /* u32 tag, str reason */
/* clang-format on */

#define CV_KEEPER_ENUM(name, bytes, fds, states, flags)        CV_KEEPER_CONTROL_##name,
#define CV_KEEPER_CREPLY_ENUM(name, bytes, fds, states, flags) CV_KEEPER_CONTROL_REPLY_##name,
#define CV_KEEPER_REQ_ENUM(name, bytes, fds, states, flags)    CV_KEEPER_REQ_##name,
#define CV_KEEPER_REPLY_ENUM(name, bytes, fds, states, flags)  CV_KEEPER_REPLY_##name,
enum cv_keeper_control { CV_KEEPER_CONTROLS(CV_KEEPER_ENUM) CV_KEEPER_CONTROL_COUNT };
enum cv_keeper_control_reply {
	CV_KEEPER_CONTROL_REPLIES(CV_KEEPER_CREPLY_ENUM) CV_KEEPER_CONTROL_REPLY_COUNT
};
enum cv_keeper_req { CV_KEEPER_REQS(CV_KEEPER_REQ_ENUM) CV_KEEPER_REQ_COUNT };
enum cv_keeper_reply { CV_KEEPER_REPLIES(CV_KEEPER_REPLY_ENUM) CV_KEEPER_REPLY_COUNT };
#undef CV_KEEPER_ENUM
#undef CV_KEEPER_CREPLY_ENUM
#undef CV_KEEPER_REQ_ENUM
#undef CV_KEEPER_REPLY_ENUM

extern const struct cv_ipc_rule cv_keeper_control_rule[CV_KEEPER_CONTROL_COUNT];
extern const struct cv_ipc_rule cv_keeper_control_reply_rule[CV_KEEPER_CONTROL_REPLY_COUNT];
extern const struct cv_ipc_rule cv_keeper_req_rule[CV_KEEPER_REQ_COUNT];
extern const struct cv_ipc_rule cv_keeper_reply_rule[CV_KEEPER_REPLY_COUNT];
