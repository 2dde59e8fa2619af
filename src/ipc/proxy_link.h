/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_link.h - the link between a supervisor and its proxy
 *
 * The proxy is started with its end of the pair as descriptor 3 and knows nothing else: no
 * arguments, no environment, no files.  The supervisor hands it everything by the messages of the
 * first table, in state NEW, ends with GO, and from then on sends identities and policies, and
 * KEEPER once more when the keeper had to be started anew.
 *
 * Identities are pushed: for each connect() in the sandbox the supervisor sends IDENTITY before
 * it lets the call proceed, so the record is in the proxy's socket buffer before the connection
 * can be accepted.  The proxy drains this link before it looks a connection up.
 */
#pragma once
#include "audit/event.h"
#include "ipc/frame.h"

#define CV_PROXY_LINK_FD 3

enum cv_proxy_state { CV_PROXY_NEW, CV_PROXY_READY };

/* clang-format off */
/* supervisor to proxy. IN(s): allowed in state s. */
#define CV_PROXY_REQS(X) /* message, body bytes, descriptors, states, flags */               \
	X(LISTENERS, 4, 5, IN(NEW), CV_IPC_ONCE)  /* u32 cv_interception; tcp4 tcp6 udp4 udp6 sock_diag */ \
	X(KEEPER, 0, 1, IN(NEW) | IN(READY), 0)   /* keeper_link; absent: no interception */  \
	X(ROOTS, 0, 1, IN(NEW), 0)                /* a file of trusted roots, PEM */          \
	X(RESOLVER, 8192, 0, IN(NEW), CV_IPC_ONCE) /* the host's resolv.conf */               \
	X(HOSTS, 0, 1, IN(NEW), CV_IPC_ONCE)      /* the host's hosts file */                 \
	X(PIN, 1024, 0, IN(NEW), 0)               /* str host, u32 port, str address */       \
	X(AUDIT_SINK, 8, 1, IN(NEW), 0)           /* u32 cv_audit_form, u32 is_required */    \
	X(BUDGET, 1024, 0, IN(NEW), 0)            /* str: as plan/budget.h reads it */        \
	X(ROUTES, 0, 1, IN(NEW) | IN(READY), 0)   /* inference, as plan/routes.h reads it; \
		another takes the place of the former; empty: none */                          \
	X(LAYER, 0, 1, IN(NEW) | IN(READY), 0)    /* memfd: what providers lay over policies to come */ \
	X(POLICY, 4096, 1, IN(NEW) | IN(READY), 0) /* str file name; memfd: text */           \
	X(GO, 0, 0, IN(NEW), CV_IPC_ONCE)         /* start to accept */                       \
	X(IDENTITY, CV_IPC_BODY_BYTES_MAX, 0, IN(NEW) | IN(READY), 0) /* cv_proxy_identity */ \
	X(RESOLVED, CV_IPC_BODY_BYTES_MAX, 0, IN(NEW) | IN(READY), 0) /* u32 n, n × (str, str) */ \
	X(REPORT, 0, 0, IN(READY), 0)             /* wants REPORT_TEXT */                     \
	X(FORWARD, 16384, 0, IN(NEW), CV_IPC_ONCE) /* the upstream proxy, in the words of        \
		plan/forward.h: str url, str list, u32 by name, u32 the keeper has credentials */  \
	X(METADATA, 32768, 0, IN(NEW), CV_IPC_ONCE) /* CV_PROXY_FACT_COUNT x str, by number */ \
	X(TOOLS, 0, 1, IN(NEW), CV_IPC_ONCE)      /* memfd: host tools, as plan/toolmap.h reads them */ \
	X(BROKER, 0, 1, IN(NEW) | IN(READY), 0)   /* broker_link; a later one takes its place */ \
	X(ANSWER, 1024, 0, IN(READY), 0)          /* as on broker_link: u64 of ASK, u32, str who */ \
	X(DENIALS, 0, 0, IN(NEW), CV_IPC_ONCE)    /* wants DENIED and COUNTS */                 \
	X(CREDENTIALS, 0, 0, IN(READY), 0)        /* the catalog of the next KEEPER is another one */ \
	X(SPOOL, 16, 1, IN(NEW), CV_IPC_ONCE)     /* a file without a name; u64 of one body, u64 of all: \
		bytes that may be in it; absent: none is kept beyond memory */                      \
	X(MORE, 0, 2, IN(NEW), 0)                 /* another port's listeners, IPv4 and IPv6 */ \
	X(PROPOSED, CV_IPC_BODY_BYTES_MAX, 0, IN(READY), 0) /* PROPOSED of gateway_link.h */ \
	X(ADVICE, 4, 0, IN(NEW) | IN(READY), 0)   /* u32: whether agents may propose rules, and denials say so */

/* proxy to supervisor */
#define CV_PROXY_REPLIES(X)                                                                  \
	X(READY, 0, 0, IN(NEW), CV_IPC_ONCE)                                                  \
	X(POLICY_RESULT, CV_IPC_BODY_BYTES_MAX, 0, IN(NEW) | IN(READY), 0) /* u32 cv_code, str */ \
	X(RESOLVE, CV_IPC_BODY_BYTES_MAX, 0, IN(NEW) | IN(READY), 0) /* u32 n, n × str paths */  \
	X(REPORT_TEXT, CV_IPC_BODY_BYTES_MAX, 0, IN(READY), 0)     /* str: the run's summary */  \
	X(FATAL, 4096, 0, IN(NEW) | IN(READY), CV_IPC_ONCE)        /* str: why it ends */         \
	X(ASK, CV_IPC_BODY_BYTES_MAX, 0, IN(READY), 0) /* cv_ask of approve_link.h: a request is held */ \
	X(ASK_END, 8, 0, IN(READY), 0)             /* u64 id: nobody waits for it any more */       \
	X(DENIED, 16384, 0, IN(READY), 0)          /* DENIAL of gateway_link.h */               \
	X(COUNTS, 40, 0, IN(READY), 0)             /* COUNTS of gateway_link.h */              \
	X(PROPOSE, CV_IPC_BODY_BYTES_MAX, 0, IN(READY), 0) /* PROPOSE of gateway_link.h */
/* clang-format on */

#define CV_PROXY_REQ_ENUM(name, bytes, fds, states, flags)   CV_PROXY_REQ_##name,
#define CV_PROXY_REPLY_ENUM(name, bytes, fds, states, flags) CV_PROXY_REPLY_##name,
enum cv_proxy_req { CV_PROXY_REQS(CV_PROXY_REQ_ENUM) CV_PROXY_REQ_COUNT };
enum cv_proxy_reply { CV_PROXY_REPLIES(CV_PROXY_REPLY_ENUM) CV_PROXY_REPLY_COUNT };
#undef CV_PROXY_REQ_ENUM
#undef CV_PROXY_REPLY_ENUM

extern const struct cv_ipc_rule cv_proxy_req_rule[CV_PROXY_REQ_COUNT];
extern const struct cv_ipc_rule cv_proxy_reply_rule[CV_PROXY_REPLY_COUNT];

/* What the emulated metadata servers say; keys and tokens are placeholders.  Without its token, or its
 * path, a server is not there; the others may be empty. */
enum cv_proxy_fact {
	CV_PROXY_FACT_GOOGLE_TOKEN,
	CV_PROXY_FACT_GOOGLE_PROJECT,
	CV_PROXY_FACT_GOOGLE_EMAIL,
	CV_PROXY_FACT_GOOGLE_SCOPES,
	CV_PROXY_FACT_AWS_PATH,
	CV_PROXY_FACT_AWS_AUTHORIZATION,
	CV_PROXY_FACT_AWS_KEY_ID,
	CV_PROXY_FACT_AWS_SECRET,
	CV_PROXY_FACT_AWS_TOKEN,
	CV_PROXY_FACT_COUNT
};

#define CV_IDENTITY_ANCESTORS_MAX 64 /* openshell-behaviour 3.7 */

/* Body of IDENTITY.  Strings borrowed from the message. */
struct cv_proxy_identity {
	uint64_t cookie;              /* SO_COOKIE of the connecting socket */
	uint32_t pid;                 /* inside the sandbox, for the log */
	struct cv_str unknown_reason; /* not empty: the identity could not be established */
	struct cv_str changed_path;   /* not empty: this executable changed since its first use */
	struct cv_str exe;
	struct cv_str ancestors[CV_IDENTITY_ANCESTORS_MAX]; /* nearest first */
	size_t ancestor_count;
};

bool cv_proxy_identity_put(struct cv_buf *b, const struct cv_proxy_identity *id);
CV_MUST bool cv_proxy_identity_get(struct cv_str body, struct cv_proxy_identity *ret);
