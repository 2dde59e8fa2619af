/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_link.h - the keeper's links
 *
 * Control (descriptor 3): from the supervisor.  It hands over the run's credentials, asks for the
 * run's CA certificate and hands over the other end of the proxy's link; a later PROXY replaces
 * that link.  COURIER hands over who carries renewals (courier_link.h).
 * The proxy's: a proxy made its own key pair and wants a certificate for one name; or it has a
 * request that was allowed and wants the credentials that the request names.  The CA key never
 * leaves the keeper, the proxy's key never leaves the proxy, and a credential leaves for requests
 * that the keeper itself judged.  CATALOG comes first, unasked, before the supervisor has the CA:
 * so it is there before any request can be.
 * The nursery's: from a gateway's driver, which asks for keepers that are forked and not started; the
 * control link of such a one is its supervisor's, as of any other.
 * The broker's: a tool that was allowed is about to run, and its catalog says which credential it
 * needs.  The keeper asks its own list of grants, not the broker.
 */
#pragma once
#include "ipc/frame.h"

#define CV_KEEPER_CONTROL_FD 3

/* A keeper that dies takes its CA's key with it, and the next one has another CA.  Leaves of so many
 * former CAs are shown on, and trusted inside: as many deaths as a run survives in a minute. */
#define CV_KEEPER_FORMER_CAS_MAX 5

enum cv_keeper_state { CV_KEEPER_NEW, CV_KEEPER_READY, CV_KEEPER_NURSERY };

/* clang-format off */
/* supervisor to keeper */
#define CV_KEEPER_CONTROLS(X) /* message, body bytes, descriptors, states, flags */     \
	X(START, 256, 1, IN(NEW), CV_IPC_ONCE)  /* str run name; the proxy's link */     \
	X(PROXY, 0, 1, IN(READY), 0)            /* the link of a proxy started anew */   \
	X(SECRETS, 0, 1, IN(NEW), CV_IPC_ONCE)  /* memfd: a cv_cred_set; before START */ \
	X(COURIER, 0, 1, IN(READY), 0)          /* the link of a courier, started (anew) */ \
	X(AGAIN, 0, 0, IN(NEW), CV_IPC_ONCE)    /* after SECRETS: a former keeper had them */ \
	X(UPSTREAM, 0, 1, IN(NEW), CV_IPC_ONCE) /* memfd: user:password for the upstream proxy; before START */ \
	X(BROKER, 0, 1, IN(NEW) | IN(READY), 0) /* the link of a broker, started (anew) */ \
	X(VAULT, 0, 1, IN(NEW), CV_IPC_ONCE) /* first, instead of all others: memfd of keys; vault_link.h from here on */ \
	X(SECRETS_ANEW, 0, 1, IN(READY), 0)     /* memfd: the set that holds from now on */ \
	X(NURSERY, 0, 0, IN(NEW), CV_IPC_ONCE)  /* first, instead of all others: from here on CHILD alone */ \
	X(CHILD, 0, 2, IN(NURSERY), 0)          /* a new keeper's control link, and its stderr */

/* keeper to supervisor */
#define CV_KEEPER_CONTROL_REPLIES(X)                                                    \
	X(CA, 8192, 0, IN(NEW), CV_IPC_ONCE)    /* str PEM of the CA certificate */      \
	X(FATAL, 4096, 0, IN(NEW) | IN(READY), CV_IPC_ONCE)                                  \
	X(SECRETS_RESULT, 4096, 0, IN(READY), 0) /* of SECRETS_ANEW: u32 cv_code, u32 some are renewed, \
						  * str why not; the proxy needs another link then */ \
	X(BORN, 0, 1, IN(NEW), CV_IPC_ONCE)     /* first, of a nursery's child: its pidfd */

/* proxy to keeper */
#define CV_KEEPER_REQS(X)                                                               \
	X(LEAF, 1024, 0, IN(READY), 0)          /* u32 tag, str host (canonical), str SPKI DER */ \
	X(RELEASE, 32768, 0, IN(READY), 0)      /* cv_keeper_release */                  \
	X(REJECTED, 12, 0, IN(READY), 0)        /* u32 credential, u64 epoch that it was released in: \
						 * its server answered 401 */ \
	X(MINT, 49152, 0, IN(READY), 0)         /* cv_keeper_mint: tokens of a token endpoint's answer */ \
	X(UPSTREAM, 4, 0, IN(READY), 0)         /* u32 tag: a connection to the upstream proxy */ \
	X(RELEASES, 32768, 0, IN(READY), 0)     /* str body of a RELEASE, again and again: of one turn */

/* keeper to proxy */
#define CV_KEEPER_REPLIES(X)                                                            \
	X(LEAF_CERT, 4096, 0, IN(READY), 0)     /* u32 tag, str leaf DER, u64 not_after_s */ \
	X(LEAF_REFUSED, 1024, 0, IN(READY), 0)  /* u32 tag, str reason */                \
	X(CATALOG, CV_IPC_BODY_BYTES_MAX, 0, IN(READY), CV_IPC_ONCE)                     \
		/* u32 n; n x (str key, str placeholder, str provider) */                              \
	X(RELEASED, CV_IPC_BODY_BYTES_MAX, 0, IN(READY), 0)                              \
		/* u32 tag, u64 version, u32 keep_ms, u32 CV_RELEASED_ flags, u64 epoch, u32 n; \
		 * n x (u32 credential, u32 is asked, str value); \
		 * the epoch is another one when any value is, the version when any answer is; \
		 * keep_ms: how long it holds for the very same question, if no CHANGED comes; 0: not */ \
	X(REFUSED, 4096, 0, IN(READY), 0)       /* u32 tag, u32 cv_release, str key, str provider, str why */ \
	X(RENEWAL, 4096, 0, IN(READY), 0)       /* how one ended, for the audit: u32 cv_renewal, str provider, \
						 * str keys, str strategy, str cause, str slug, str text, \
						 * u64 expires_s (0: not known, or never) */ \
	X(MINTED, CV_IPC_BODY_BYTES_MAX, 0, IN(READY), 0)                                \
		/* u32 tag, u32 n; n x u32 credential, of each token of MINT (none: refused); u32 m; \
		 * m x (u32 credential, str key, str placeholder, str provider): new ones, and ones in the \
		 * place of others; tag 0: unasked, behind CATALOG */ \
	X(UPSTREAM_VALUE, 2048, 0, IN(READY), 0) /* u32 tag, str value of Proxy-Authorization; empty: none */ \
	X(ANSWERS, CV_IPC_BODY_BYTES_MAX, 0, IN(READY), 0)                               \
		/* u32 RELEASED or REFUSED, str body of one, again and again: of some of RELEASES */ \
	X(CHANGED, 8, 0, IN(READY), 0)          /* u64 version: answers of others hold no more */
/* clang-format on */

/* clang-format off */
/* broker to keeper */
#define CV_KEEPER_TOOL_REQS(X)                                                          \
	X(RELEASE_TOOL, 1024, 0, IN(READY), 0)  /* u32 tag, str who (set.h), str credential */

/* keeper to broker */
#define CV_KEEPER_TOOL_REPLIES(X)                                                       \
	X(RELEASED, CV_IPC_BODY_BYTES_MAX, 0, IN(READY), 0) /* u32 tag, str value, str the value before, \
		* which may still come back, or empty */                                        \
	X(REFUSED, 1024, 0, IN(READY), 0)       /* u32 tag, u32 cv_release, str why */
/* clang-format on */

/* Why credentials are not released, and the audit's code for it. */
/* clang-format off */
#define CV_RELEASES(X)                                                                    \
	X(OK, "released")                                                                 \
	X(MISMATCH, "credential_endpoint_mismatch") /* not bound to this request */  \
	X(STALE, "credential_refresh_pending")      /* has to be renewed first */    \
	X(DEAD, "credential_expired")       /* and can't be renewed */               \
	X(RENEWAL, "credential_refresh_failed")                                      \
	X(UNKNOWN, "credential_unavailable")                                         \
	X(LARGE, "credential_too_large")    /* does not fit a message */             \
	X(KEEPER, "keeper_unavailable")     /* the proxy's own word: no answer came */
/* clang-format on */
/* How a renewal ended. */
#define CV_RENEWALS(X)                        \
	X(RENEWED, "renewed")                 \
	X(FAILED, "failed") /* asked again */ \
	X(DEAD, "dead")     /* the issuer refused for good */

#define CV_RENEWAL_ENUM(name, word) CV_RENEWAL_##name,
enum cv_renewal { CV_RENEWALS(CV_RENEWAL_ENUM) CV_RENEWAL_COUNT };
#undef CV_RENEWAL_ENUM
#define CV_RELEASE_ENUM(name, slug) CV_RELEASE_##name,
enum cv_release { CV_RELEASES(CV_RELEASE_ENUM) CV_RELEASE_COUNT };
#undef CV_RELEASE_ENUM

const char *cv_release_slug(enum cv_release r);

enum {                                   /* of the endpoint that the request goes to */
	CV_RELEASED_BOUND = 1 << 0,      /* some provider is bound to host and port */
	CV_RELEASED_REQUIRED = 1 << 1,   /* credentials that are not ours are refused there */
	CV_RELEASED_UNSCRUBBED = 1 << 2, /* scrub: off */
	CV_RELEASED_ANY_PATH = 1 << 3, /* the same is answered for every other path that is plain */
};

/* A path of no special kind: one with an escaped slash, or `*`, is judged by rules of its own. */
static inline bool cv_keeper_path_is_plain(struct cv_str path)
{
	return path.n && path.p[0] == '/' && !cv_str_has_byte(path, '%');
}

/* How long an answer may hold at most, when nothing changes: long for a program that asks in a loop,
 * short for a value to be in one more place. */
#define CV_KEEPER_KEEP_MS   1000

#define CV_KEEPER_CREDS_MAX 16 /* placeholders of one request; a cookie jar has fewer */

/* Body of RELEASE.  Strings borrowed from the message.  path is canonical, host too. */
struct cv_keeper_release {
	uint32_t tag;
	struct cv_str host, method, path;
	bool host_is_ip;
	uint16_t port;
	uint32_t creds[CV_KEEPER_CREDS_MAX]; /* indices of the catalog */
	size_t count;
};

bool cv_keeper_release_put(struct cv_buf *b, const struct cv_keeper_release *r);
CV_MUST bool cv_keeper_release_get(struct cv_str body, struct cv_keeper_release *ret);

#define CV_KEEPER_TOKENS_MAX 8 /* of one answer */

enum cv_keeper_token {           /* what it is of use for */
	CV_KEEPER_TOKEN_ACCESS,  /* where its provider is bound */
	CV_KEEPER_TOKEN_REFRESH, /* of these, at token endpoints only */
	CV_KEEPER_TOKEN_ID,      /* as ACCESS; a JWT */
	CV_KEEPER_TOKEN_COUNT
};

/* Body of MINT: the request that was answered, and what is in the answer.  Strings borrowed. */
struct cv_keeper_mint {
	struct cv_keeper_release request; /* its creds: none */
	struct {
		enum cv_keeper_token kind;
		uint64_t lives_s; /* from now; 0: not known */
		struct cv_str value;
	} token[CV_KEEPER_TOKENS_MAX];
	size_t count;
};

bool cv_keeper_mint_put(struct cv_buf *b, const struct cv_keeper_mint *m);
CV_MUST bool cv_keeper_mint_get(struct cv_str body, struct cv_keeper_mint *ret);

#define CV_KEEPER_ENUM(name, bytes, fds, states, flags)        CV_KEEPER_CONTROL_##name,
#define CV_KEEPER_CREPLY_ENUM(name, bytes, fds, states, flags) CV_KEEPER_CONTROL_REPLY_##name,
#define CV_KEEPER_REQ_ENUM(name, bytes, fds, states, flags)    CV_KEEPER_REQ_##name,
#define CV_KEEPER_REPLY_ENUM(name, bytes, fds, states, flags)  CV_KEEPER_REPLY_##name,
enum cv_keeper_control { CV_KEEPER_CONTROLS(CV_KEEPER_ENUM) CV_KEEPER_CONTROL_COUNT };
enum cv_keeper_control_reply {
	CV_KEEPER_CONTROL_REPLIES(CV_KEEPER_CREPLY_ENUM) CV_KEEPER_CONTROL_REPLY_COUNT
};
enum cv_keeper_req { CV_KEEPER_REQS(CV_KEEPER_REQ_ENUM) CV_KEEPER_REQ_COUNT };
#define CV_KEEPER_TREQ_ENUM(name, bytes, fds, states, flags)   CV_KEEPER_TOOL_REQ_##name,
#define CV_KEEPER_TREPLY_ENUM(name, bytes, fds, states, flags) CV_KEEPER_TOOL_REPLY_##name,
enum cv_keeper_tool_req { CV_KEEPER_TOOL_REQS(CV_KEEPER_TREQ_ENUM) CV_KEEPER_TOOL_REQ_COUNT };
enum cv_keeper_tool_reply {
	CV_KEEPER_TOOL_REPLIES(CV_KEEPER_TREPLY_ENUM) CV_KEEPER_TOOL_REPLY_COUNT
};
#undef CV_KEEPER_TREQ_ENUM
#undef CV_KEEPER_TREPLY_ENUM
enum cv_keeper_reply { CV_KEEPER_REPLIES(CV_KEEPER_REPLY_ENUM) CV_KEEPER_REPLY_COUNT };
#undef CV_KEEPER_ENUM
#undef CV_KEEPER_CREPLY_ENUM
#undef CV_KEEPER_REQ_ENUM
#undef CV_KEEPER_REPLY_ENUM

extern const struct cv_ipc_rule cv_keeper_control_rule[CV_KEEPER_CONTROL_COUNT];
extern const struct cv_ipc_rule cv_keeper_control_reply_rule[CV_KEEPER_CONTROL_REPLY_COUNT];
extern const struct cv_ipc_rule cv_keeper_req_rule[CV_KEEPER_REQ_COUNT];
extern const struct cv_ipc_rule cv_keeper_reply_rule[CV_KEEPER_REPLY_COUNT];
extern const struct cv_ipc_rule cv_keeper_tool_req_rule[CV_KEEPER_TOOL_REQ_COUNT];
extern const struct cv_ipc_rule cv_keeper_tool_reply_rule[CV_KEEPER_TOOL_REPLY_COUNT];
