/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.h - the record of one decision, and the two texts it is written as
 *
 * An event is plain data that borrows every string; it lives on the stack of whoever decided.
 * Strings may hold any bytes a stranger chose: both renderings escape them, so that one event is
 * always one line (C11).  No field ever holds a query string, a header's value or a body.
 *
 * Two renderings:
 *   JSON       OCSF 1.8.0, one object, complete and never cut; the log that machines read
 *   one-line   OpenShell's shorthand, long reasons cut; the log that people and scripts grep
 */
#pragma once
#include "audit/limits.h"

#include "base/buf.h"
#include "base/ip.h"

/* clang-format off */
/* enum, OCSF class: uid, name, category: uid, name, one-line prefix */
#define CV_AUDIT_KINDS(X)                                                                     \
	X(NET,       4001, "Network Activity",  4, "Network Activity",     "NET")             \
	X(HTTP,      4002, "HTTP Activity",     4, "Network Activity",     "HTTP")            \
	X(DNS,       4003, "DNS Activity",      4, "Network Activity",     "DNS")             \
	X(PROC,      1007, "Process Activity",  1, "System Activity",      "PROC")            \
	X(FINDING,   2004, "Detection Finding", 2, "Findings",             "FINDING")         \
	X(CONFIG,    5019, "Device Config State Change", 5, "Discovery",   "CONFIG")          \
	X(LIFECYCLE, 6002, "Application Lifecycle", 6, "Application Activity", "LIFECYCLE")       \
	X(TOOL,      6003, "API Activity",      6, "Application Activity", "TOOL")

/* enum, OCSF id in the base schema, OCSF caption, one-line word */
#define CV_AUDIT_SEVERITIES(X)                     \
	X(AUTO,     0, "Unknown",       "")        \
	X(INFO,     1, "Informational", "INFO")    \
	X(LOW,      2, "Low",           "LOW")     \
	X(MEDIUM,   3, "Medium",        "MED")     \
	X(HIGH,     4, "High",          "HIGH")    \
	X(CRITICAL, 5, "Critical",      "CRIT")    \
	X(FATAL,    6, "Fatal",         "FATAL")

/* enum, one-line word, OCSF action and disposition: ids and captions */
#define CV_AUDIT_ACTIONS(X)                                                  \
	X(NONE,  "",        0, "Unknown", 0, "Unknown") /* nothing was decided */ \
	X(ALLOW, "ALLOWED", 1, "Allowed", 1, "Allowed")                      \
	X(DENY,  "DENIED",  2, "Denied",  2, "Blocked")                      \
	X(LOG,   "ALLOWED", 1, "Allowed", 17, "Logged") /* enforcement: audit let it pass */

/* enum, the word after the colon, activity id per class: NET, HTTP, DNS, PROC, FINDING, CONFIG,
 * LIFECYCLE, TOOL.  99 is OCSF's "Other", with the word as its name.  HTTP takes both from the
 * method. */
#define CV_AUDIT_ACTIVITIES(X)                               \
	X(OTHER,     "OTHER",     99, 99, 99, 99, 99, 99, 99, 99) \
	X(OPEN,      "OPEN",       1, 99, 99, 99, 99, 99, 99, 99) \
	X(CLOSE,     "CLOSE",      2, 99, 99, 99,  3, 99, 99, 99) \
	X(FAIL,      "FAIL",       4, 99, 99, 99, 99, 99, 99, 99) \
	X(REFUSE,    "REFUSE",     5, 99, 99, 99, 99, 99, 99, 99) \
	X(LISTEN,    "LISTEN",     7, 99, 99, 99, 99, 99, 99, 99) \
	X(QUERY,     "QUERY",     99, 99,  1, 99, 99, 99, 99, 99) \
	X(LAUNCH,    "LAUNCH",    99, 99, 99,  1, 99, 99, 99, 99) \
	X(TERMINATE, "TERMINATE", 99, 99, 99,  2, 99, 99, 99, 99) \
	X(CREATE,    "CREATE",    99, 99, 99, 99,  1, 99, 99, 99) \
	X(LOADED,    "LOADED",    99, 99, 99, 99, 99,  1, 99, 99) \
	X(DETECTED,  "DETECTED",  99, 99, 99, 99, 99,  1, 99, 99) \
	X(ENABLED,   "ENABLED",   99, 99, 99, 99, 99,  1, 99, 99) \
	X(START,     "START",     99, 99, 99, 99, 99, 99,  3, 99) \
	X(STOP,      "STOP",      99, 99, 99, 99, 99, 99,  4, 99) \
	X(CALL,      "CALL",      99, 99, 99, 99, 99, 99, 99, 99)
/* clang-format on */

#define CV_AUDIT_ENUM(name, ...) CV_AUDIT_##name,
enum cv_audit_kind { CV_AUDIT_KINDS(CV_AUDIT_ENUM) CV_AUDIT_KIND_COUNT };
#undef CV_AUDIT_ENUM
#define CV_AUDIT_ENUM(name, ...) CV_SEVERITY_##name,
enum cv_audit_severity { CV_AUDIT_SEVERITIES(CV_AUDIT_ENUM) CV_AUDIT_SEVERITY_COUNT };
#undef CV_AUDIT_ENUM
#define CV_AUDIT_ENUM(name, ...) CV_AUDIT_ACTION_##name,
enum cv_audit_action { CV_AUDIT_ACTIONS(CV_AUDIT_ENUM) CV_AUDIT_ACTION_COUNT };
#undef CV_AUDIT_ENUM
#define CV_AUDIT_ENUM(name, ...) CV_ACTIVITY_##name,
enum cv_audit_activity { CV_AUDIT_ACTIVITIES(CV_AUDIT_ENUM) CV_AUDIT_ACTIVITY_COUNT };
#undef CV_AUDIT_ENUM

struct cv_audit_pair { /* one more fact, for bracket fields and `unmapped` */
	const char *key;
	struct cv_str value;
};

struct cv_audit_event {
	enum cv_audit_kind kind;
	enum cv_audit_activity activity;
	enum cv_audit_severity severity; /* AUTO: MEDIUM for denials, else INFO */
	enum cv_audit_action action;
	int64_t time_ms;
	uint64_t seq; /* of this run, from 1; 0: not numbered */
	struct cv_str sandbox;

	/* who: exe empty means that it could not be established */
	int64_t pid; /* as the sandbox sees it; 0 unknown */
	struct cv_str exe;
	const struct cv_str *ancestors; /* nearest first */
	size_t ancestor_count;

	/* where */
	struct cv_str host; /* the name asked for, or an address as text */
	uint16_t port;
	const struct cv_ip *dst_ip; /* what was dialled or refused; NULL unknown */
	const struct cv_ip *src_ip;
	uint16_t src_port;
	struct cv_str sni; /* where it differs from host (T1) */

	/* what */
	struct cv_str protocol;     /* "tcp", "tls", "http", ... ; OCSF app_name */
	struct cv_str scheme;       /* HTTP: "https" unless set */
	struct cv_str method, path; /* path without its query ... */
	bool has_query;             /* ... which shows as ?[redacted] */
	uint16_t status;            /* HTTP status that the client got; DNS rcode + 1; 0 none */
	struct cv_str qtype;        /* DNS: "A" */

	/* why */
	struct cv_str policy;    /* name of the deciding entry; empty: none matched */
	uint32_t rule_line;      /* of the policy file; 0 unknown */
	const char *engine;      /* opa ssrf tls l7 credentials ...; NULL none */
	const char *reason_code; /* "endpoint_not_allowed"; NULL none */
	struct cv_str reason;    /* the sentence; whole */
	struct cv_str nearest_policy, nearest_miss; /* who came nearest, and why it did not match */

	/* how much */
	bool has_counts; /* the next three are known: the record of an end */
	uint64_t bytes_up, bytes_down;
	uint64_t duration_us;

	/* TOOL: status is what the caller got, has_exit_code where a command ended by itself */
	struct cv_str tool;
	struct cv_str digest; /* SHA-256 of the canonical arguments, hex; empty: there were none */
	struct cv_str job;    /* its id; empty: none that the caller knows */

	/* CONFIG, LIFECYCLE, FINDING, PROC: the text; FINDING: its title, with finding_uid */
	struct cv_str message;
	struct cv_str finding_uid;
	bool has_exit_code;
	int exit_code;
	const struct cv_audit_pair *extra;
	size_t extra_count;
};

enum cv_audit_form { CV_AUDIT_FORM_OCSF, CV_AUDIT_FORM_LINE, CV_AUDIT_FORM_COUNT };

/* INFO for what passed, MEDIUM for denials, unless the event says otherwise. */
enum cv_audit_severity cv_audit_severity(const struct cv_audit_event *e);

/* One OCSF object, without the newline.  prev_hash goes to unmapped.prev_sha256, which chain.h
 * fills; CV_STR_NONE leaves it out.  False if out is full: then the
 * event must count as not written. */
CV_MUST bool cv_audit_json(
	const struct cv_audit_event *e, struct cv_str prev_hash, struct cv_buf *out);

/* "NET:OPEN [MED] DENIED /usr/bin/curl(7) -> evil.test:443 [policy:- engine:opa] [reason:...]" */
CV_MUST bool cv_audit_short(const struct cv_audit_event *e, struct cv_buf *out);

/* The same behind "2026-11-21T11:52:34.123Z OCSF ", as the log file has it; no newline. */
CV_MUST bool cv_audit_line(const struct cv_audit_event *e, struct cv_buf *out);
