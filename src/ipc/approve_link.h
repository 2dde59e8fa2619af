/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approve_link.h - what is held for a person: the question, and the link to who asks the person
 *
 *     broker, proxy --ASK--> supervisor --HELD--> cove approve, the terminal of cove run
 *                  <-ANSWER-            <-ANSWER-
 *
 * A question (struct cv_ask) is the body of ASK on the broker's and on the proxy's link, and of HELD
 * on the socket that the supervisor has in a directory of its user's: one body for all.  Its texts
 * are strangers': nothing here looks into them, and whoever prints them does it by base/shown.h.
 *
 * The socket is SOCK_SEQPACKET with the frames of frame.h.  Who may connect is the supervisor's to
 * say (approve_socket.c).
 */
#pragma once
#include "ipc/broker_link.h"

/* So that a question always fits a message, whatever the sandbox put into it. */
#define CV_ASK_WORD_BYTES_MAX      4096  /* who, what, rule, sandbox: paths are no longer */
#define CV_ASK_TEXT_BYTES_MAX      24576 /* what is more is not shown, and said to be there */
#define CV_ASK_ANCESTORS_BYTES_MAX 16384 /* of all ancestors; what is more is counted */

enum {                           /* cv_ask.flags */
	CV_ASK_EACH = 1 << 0,    /* policy wants an answer to each: none may stand for others */
	CV_ASK_ONCE = 1 << 1,    /* the first yes is for all alike, by policy */
	CV_ASK_NETWORK = 1 << 2, /* a request of the network, else a call of a host tool */
	CV_ASK_JSON = 1 << 3,    /* text is JSON */
};

struct cv_ask {
	uint64_t id;
	uint32_t seconds; /* until it is denied; 0: when the supervisor's time is over */
	struct cv_str sandbox;
	struct cv_str who;   /* executable */
	struct cv_str what;  /* tool; method and URL without query */
	struct cv_str text;  /* canonical arguments; the request as it will be sent */
	uint64_t text_bytes; /* of text, before it was cut */
	struct cv_str rule;  /* of the policy */
	uint32_t flags;
	uint32_t pid;                                       /* inside the sandbox */
	struct cv_str ancestors[CV_IDENTITY_ANCESTORS_MAX]; /* nearest first */
	size_t ancestor_count;
	uint32_t ancestors_more; /* that did not fit */
};

/* Cuts what is too long.  False: b has no room. */
bool cv_ask_put(struct cv_buf *b, const struct cv_ask *ask);
/* Strings are borrowed from body. */
CV_MUST bool cv_ask_get(struct cv_str body, struct cv_ask *ret);

enum cv_approve_state { CV_APPROVE_OPEN };

/* clang-format off */
/* cove approve to supervisor */
#define CV_APPROVE_REQS(X) /* message, body bytes, descriptors, states, flags */                  \
	X(LIST, 4, 0, IN(OPEN), CV_IPC_ONCE) /* u32: 1, those that come later, too */              \
	X(ANSWER, 16, 0, IN(OPEN), 0)        /* u64 id, u32 cv_approval_answer (DENY, ALLOW),       \
		u32: 1, for all alike in this run */

/* supervisor to cove approve */
#define CV_APPROVE_REPLIES(X)                                                                     \
	X(RUN, 8192, 0, IN(OPEN), CV_IPC_ONCE)  /* str name, str command: first of all */          \
	X(HELD, CV_IPC_BODY_BYTES_MAX, 0, IN(OPEN), 0) /* cv_ask; id is the run's own, seconds what is left */ \
	X(LISTED, 0, 0, IN(OPEN), CV_IPC_ONCE)  /* those that were held when LIST came */          \
	X(ENDED, 8, 0, IN(OPEN), 0)             /* u64 id: it needs no answer any more */          \
	X(RESULT, 12, 0, IN(OPEN), 0)           /* u64 id, u32 cv_approve_result */
/* clang-format on */

enum cv_approve_result {
	CV_APPROVE_DONE,
	CV_APPROVE_GONE, /* nothing of that number is held */
	CV_APPROVE_EACH, /* policy wants an answer to each call: not for all alike */
	CV_APPROVE_FULL, /* no more answers for all alike are kept */
	CV_APPROVE_RESULT_COUNT
};

#define CV_APPROVE_REQ_ENUM(name, bytes, fds, states, flags)   CV_APPROVE_REQ_##name,
#define CV_APPROVE_REPLY_ENUM(name, bytes, fds, states, flags) CV_APPROVE_REPLY_##name,
enum cv_approve_req { CV_APPROVE_REQS(CV_APPROVE_REQ_ENUM) CV_APPROVE_REQ_COUNT };
enum cv_approve_reply { CV_APPROVE_REPLIES(CV_APPROVE_REPLY_ENUM) CV_APPROVE_REPLY_COUNT };
#undef CV_APPROVE_REQ_ENUM
#undef CV_APPROVE_REPLY_ENUM

extern const struct cv_ipc_rule cv_approve_req_rule[CV_APPROVE_REQ_COUNT];
extern const struct cv_ipc_rule cv_approve_reply_rule[CV_APPROVE_REPLY_COUNT];
