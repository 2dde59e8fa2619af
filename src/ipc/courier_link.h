/* SPDX-License-Identifier: Apache-2.0 */
/*
 * courier_link.h - the courier's two links
 *
 * Control (descriptor 3): from the supervisor.  It says whom to trust, where pinned names are and
 * what commands may see of the environment; then hands over the other end of the keeper's link.
 * Tokens never pass the control link.
 *
 * Errands: from the keeper.  Each has a tag and gets exactly one reply with it: CARRIED, or FAILED
 * with a reason.  A body that comes back may be larger than a message and is a sealed memfd.
 */
#pragma once
#include "ipc/frame.h"

#define CV_COURIER_CONTROL_FD 3
#define CV_COURIER_BODY_BYTES_MAX \
	(1u << 20) /* of an answer over HTTP: no token endpoint sends a tenth */
#define CV_COURIER_OUTPUT_BYTES_MAX 65536 /* of a command's */

enum cv_courier_state { CV_COURIER_NEW, CV_COURIER_READY };

/* Of GO. */
enum {
	CV_COURIER_LOOPBACK_HTTP = 1 << 0, /* http:// to this host: tests only */
	CV_COURIER_COMMANDS = 1 << 1,      /* a plan has a command: files stay reachable */
	CV_COURIER_HTTP = 1 << 2, /* http:// to whomever: for what is used without TLS later, too */
};

/* clang-format off */
/* supervisor to courier: message, body bytes, descriptors, states, flags */
#define CV_COURIER_CONTROLS(X)                                                                \
	X(ROOTS, 0, 1, IN(NEW), CV_IPC_ONCE)   /* memfd: PEM of the trusted roots */           \
	X(PIN, 1024, 0, IN(NEW), 0)            /* str host, u32 port, str address */           \
	X(ENV, 32768, 0, IN(NEW), 0)           /* str name, str value */                       \
	X(GO, 16, 1, IN(NEW), CV_IPC_ONCE)     /* u32 flags; the keeper's link */              \
	X(LINK, 0, 1, IN(READY), 0)            /* the link of a keeper started anew */

/* courier to supervisor */
#define CV_COURIER_CONTROL_REPLIES(X)                                                         \
	X(READY, 0, 0, IN(NEW), CV_IPC_ONCE)                                                   \
	X(FATAL, 4096, 0, IN(NEW) | IN(READY), CV_IPC_ONCE)

/* keeper to courier */
#define CV_COURIER_REQS(X)                                                                    \
	X(FETCH, 65536, 0, IN(READY), 0)       /* u32 tag, str method, str url, u32 count, count times */ \
	                                       /* (str name, str value), str body */           \
	X(COMMAND, 65536, 0, IN(READY), 0)     /* u32 tag, u32 argc, argc times str, u32 count, */ \
	                                       /* count times str: names of ENV that it gets */

/* courier to keeper */
#define CV_COURIER_REPLIES(X)                                                                 \
	X(CARRIED, 8192, 1, IN(READY), 0)      /* u32 tag, u32 status, u32 count, count times */ \
	                                       /* (str name, str value); memfd: the body */    \
	X(FAILED, 1024, 0, IN(READY), 0)       /* u32 tag, u32 enum cv_courier_failure, str text */

/* Why an errand brought nothing back. */
#define CV_COURIER_FAILURES(X)                                                                \
	X(BUSY, "busy", "too many errands at once")                                            \
	X(MESSAGE, "bad_errand", "the errand's method, URL or headers are not allowed")        \
	X(RESOLVE, "name_not_found", "the issuer's name has no address")                       \
	X(CONNECT, "connect_failed", "the issuer cannot be reached")                           \
	X(TLS, "tls_failed", "the issuer's certificate cannot be verified, or TLS failed")     \
	X(TIMEOUT, "timeout", "no whole answer in time")                                       \
	X(LARGE, "answer_too_large", "the answer is too large")                                \
	X(BROKEN, "broken_answer", "the answer is not HTTP, or ended early")                   \
	X(START, "command_not_started", "the command cannot be started")
/* clang-format on */

#define CV_COURIER_CONTROL_ENUM(name, bytes, fds, states, flags) CV_COURIER_CONTROL_##name,
#define CV_COURIER_CREPLY_ENUM(name, bytes, fds, states, flags)  CV_COURIER_CONTROL_REPLY_##name,
#define CV_COURIER_REQ_ENUM(name, bytes, fds, states, flags)     CV_COURIER_REQ_##name,
#define CV_COURIER_REPLY_ENUM(name, bytes, fds, states, flags)   CV_COURIER_REPLY_##name,
#define CV_COURIER_FAILURE_ENUM(name, slug, text)                CV_COURIER_FAILURE_##name,
enum cv_courier_control { CV_COURIER_CONTROLS(CV_COURIER_CONTROL_ENUM) CV_COURIER_CONTROL_COUNT };
enum cv_courier_control_reply {
	CV_COURIER_CONTROL_REPLIES(CV_COURIER_CREPLY_ENUM) CV_COURIER_CONTROL_REPLY_COUNT
};
enum cv_courier_req { CV_COURIER_REQS(CV_COURIER_REQ_ENUM) CV_COURIER_REQ_COUNT };
enum cv_courier_reply { CV_COURIER_REPLIES(CV_COURIER_REPLY_ENUM) CV_COURIER_REPLY_COUNT };
enum cv_courier_failure { CV_COURIER_FAILURES(CV_COURIER_FAILURE_ENUM) CV_COURIER_FAILURE_COUNT };
#undef CV_COURIER_CONTROL_ENUM
#undef CV_COURIER_CREPLY_ENUM
#undef CV_COURIER_REQ_ENUM
#undef CV_COURIER_REPLY_ENUM
#undef CV_COURIER_FAILURE_ENUM

extern const struct cv_ipc_rule cv_courier_control_rule[CV_COURIER_CONTROL_COUNT];
extern const struct cv_ipc_rule cv_courier_control_reply_rule[CV_COURIER_CONTROL_REPLY_COUNT];
extern const struct cv_ipc_rule cv_courier_req_rule[CV_COURIER_REQ_COUNT];
extern const struct cv_ipc_rule cv_courier_reply_rule[CV_COURIER_REPLY_COUNT];

struct cv_courier_failure_row {
	const char *slug, *text;
};
extern const struct cv_courier_failure_row cv_courier_failure_row[CV_COURIER_FAILURE_COUNT];
