/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict.h - facts in, verdict out: the one question that policy answers
 *
 *     verdict = cv_policy_decide(snapshot, facts)
 *
 * Facts are plain data about one operation: who asks, for where, to do what.  They are canonical
 * before they come here (host lower-case, path canonical): the decision never normalises.  A
 * verdict borrows from the snapshot; keep the snapshot referenced while a verdict is in use.
 *
 * Two operations exist.  CONNECT: may this process open a connection to host and port at all, and
 * what must be done with it.  REQUEST: may this HTTP request pass, on a connection that was
 * allowed.  The proxy, the launcher, `cove policy explain` and the tests call the same function.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct cv_policy; /* a compiled, immutable, counted snapshot */

enum cv_op { CV_OP_CONNECT, CV_OP_REQUEST };

struct cv_facts_who {
	bool is_known; /* false: identity could not be established; denied whenever it matters */
	struct cv_str exe;              /* absolute path inside the sandbox */
	const struct cv_str *ancestors; /* nearest first; executables' paths */
	size_t ancestor_count;
};

struct cv_facts {
	enum cv_op op;
	struct cv_facts_who who;
	struct cv_str host; /* canonical name, or canonical text of an address */
	bool host_is_ip;    /* patterns never match an address */
	uint16_t port;
	/* REQUEST only */
	struct cv_str method; /* as sent; WEBSOCKET_TEXT: a message, on the path of its upgrade */
	struct cv_str path;   /* canonical, starts with / (or "*") */
	struct cv_str query;  /* raw, without ?; CV_STR_NONE when absent */
};

/* Zero denies. */
enum cv_action { CV_ACTION_DENY, CV_ACTION_ALLOW };

/* clang-format off */
#define CV_REASONS(X) /* enum, code in JSON and audit */                                        \
	X(NONE, "allowed")                                                                      \
	X(NO_POLICY, "no_network_policy")           /* the policy allows no network at all */   \
	X(NO_ENDPOINT, "endpoint_not_allowed")      /* no endpoint has this host and port */    \
	X(BINARY, "binary_not_allowed")             /* an endpoint matches, no binary does */   \
	X(IDENTITY_UNKNOWN, "identity_unknown")     /* the caller could not be established */   \
	X(IDENTITY_CHANGED, "binary_integrity_failed") /* the executable changed on disk */     \
	X(NO_PATH_ENDPOINT, "no_l7_endpoint_path")  /* no endpoint's path selector matches */   \
	X(NO_RULE, "request_not_permitted")         /* no rule allows method, path and query */ \
	X(DENY_RULE, "blocked_by_deny_rule")                                                    \
	X(UNENFORCEABLE, "protocol_not_enforceable") /* the endpoint needs what this build lacks */ \
	X(ENCODED_SLASH, "encoded_slash_not_allowed") /* %2F, and the endpoint does not keep it */ \
	X(DESTINATION, "ssrf_denied")               /* an address, or port, no policy may allow */ \
	X(NO_TOOL, "tool_not_allowed")              /* no rule names this tool */               \
	X(TOOL_ARGUMENTS, "arguments_not_allowed")  /* a rule does, for other arguments */
/* clang-format on */

#define CV_REASON_ENUM(name, code) CV_REASON_##name,
enum cv_reason { CV_REASONS(CV_REASON_ENUM) CV_REASON_COUNT };
#undef CV_REASON_ENUM

const char *cv_reason_code(enum cv_reason reason); /* "endpoint_not_allowed" */

/* What the caller must do with an allowed operation. */
enum {
	CV_OBLIGE_INSPECT = 1 << 0,  /* HTTP inside must be parsed, and each request decided */
	CV_OBLIGE_TLS_SKIP = 1 << 1, /* relay TLS as bytes; SNI must equal the host */
	CV_OBLIGE_LOG_ONLY =
		1 << 2, /* enforcement: audit; it would have been denied (reason set) */
	CV_OBLIGE_ENCODED_SLASH = 1 << 3, /* keep %2F when making the path canonical */
	CV_OBLIGE_DECLARED_HOST =
		1 << 4, /* user named this host exactly: private addresses allowed */
	CV_OBLIGE_ALLOWED_IPS = 1 << 5, /* every address must be in cv_policy_allowed_ips() */
	CV_OBLIGE_TCP = 1 << 6,         /* protocol tcp: raw bytes, never HTTP or TLS inspected */
	CV_OBLIGE_WEBSOCKET =
		1 << 7, /* of a request: it may upgrade to WebSocket, whose messages are decided */
	CV_OBLIGE_H2C = 1 << 8, /* HTTP/2 without TLS, by prior knowledge, may be spoken */
	/* protocol postgres: statements are decided, method the command, path "/" and the database */
	CV_OBLIGE_POSTGRES = 1 << 12,
	/* enforcement: approve; it would be denied (reason set) and waits for a person's yes */
	CV_OBLIGE_APPROVE = 1 << 13,
};

struct cv_verdict {
	enum cv_action action;
	enum cv_reason reason;
	uint32_t obligations;
	/* What decided; CV_POLICY_NONE where nothing did.  Indices as in the document: entry into
	 * its entries, endpoint into that entry's, rule into that endpoint's rules, or into its
	 * deny_rules when the reason is DENY_RULE.  An access preset has no rule. */
	uint32_t entry, endpoint, rule;
	uint32_t line;     /* of the deciding rule, endpoint or entry in the source; 0 unknown */
	uint32_t settings; /* which endpoint rules the connection; for cv_policy_allowed_ips() */
};

#define CV_POLICY_NONE UINT32_MAX

/* No allocation, no clock; time does not grow with the number of entries that do not match. */
CV_MUST struct cv_verdict cv_policy_decide(
	const struct cv_policy *policy, const struct cv_facts *facts);
