/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns.h - DNS messages, for the answers that the sandbox gets and the questions that the host asks
 *
 * Server side: the sandbox's queries are hostile.  One question, no compression, a host name, at
 * most one OPT, nothing else.  Answers are written anew, from the query's parts.
 *
 * Client side: a stub resolver's questions to the host's resolver, and what comes back: matched
 * by id and question, aliases followed inside the answer only.
 *
 * Messages are without the length prefix of TCP, which is the caller's.
 */
#pragma once
#include "base/ip.h"
#include "wire/limits_net.h"
#include "wire/name.h"

#include "base/buf.h"

enum {
	CV_DNS_TYPE_A = 1,
	CV_DNS_TYPE_CNAME = 5,
	CV_DNS_TYPE_AAAA = 28,
	CV_DNS_TYPE_OPT = 41,
	CV_DNS_CLASS_IN = 1,
};

enum cv_dns_rcode {
	CV_DNS_NOERROR = 0,
	CV_DNS_FORMERR = 1,
	CV_DNS_SERVFAIL = 2,
	CV_DNS_NXDOMAIN = 3,
	CV_DNS_NOTIMP = 4,
	CV_DNS_REFUSED = 5,
	CV_DNS_BADVERS = 16, /* needs the OPT of the answer */
};

/* clang-format off */
/* What can be wrong with a query, the rcode it deserves, and the words for it. */
#define CV_DNS_PROBLEMS(X)                                                                   \
	X(NONE,        NOERROR, "query is well formed")                                      \
	X(SHORT,       NOERROR, "message is shorter than a header")            /* no answer */ \
	X(RESPONSE,    NOERROR, "message is a response")                       /* no answer */ \
	X(LONG,        FORMERR, "query is longer than a query needs")                        \
	X(OPCODE,      NOTIMP,  "opcode is not QUERY")                                       \
	X(FLAGS,       FORMERR, "flags that only a response may have")                       \
	X(COUNTS,      FORMERR, "not exactly one question, or records besides EDNS")         \
	X(NAME,        FORMERR, "name is malformed or compressed")                           \
	X(NAME_BYTES,  REFUSED, "name is not a host name")                                   \
	X(CLASS,       REFUSED, "class is not IN")                                           \
	X(EDNS,        FORMERR, "EDNS record is malformed")                                  \
	X(EDNS_VERSION, BADVERS, "EDNS version is not 0")                                    \
	X(TRAILING,    FORMERR, "bytes follow the message")
/* clang-format on */

#define CV_DNS_PROBLEM_ENUM(name, rcode, text) CV_DNS_PROBLEM_##name,
enum cv_dns_problem { CV_DNS_PROBLEMS(CV_DNS_PROBLEM_ENUM) CV_DNS_PROBLEM_COUNT };
#undef CV_DNS_PROBLEM_ENUM

struct cv_dns_problem_row {
	const char *name; /* "NAME_BYTES" */
	enum cv_dns_rcode rcode;
	const char *text;
};

const struct cv_dns_problem_row *cv_dns_problem_row(enum cv_dns_problem p);

struct cv_dns_query {
	uint16_t id, type, class;
	bool has_question; /* wire_name, type and class can be repeated in an answer */
	bool wants_recursion, has_checking_disabled, has_edns;
	uint16_t udp_bytes_max; /* 512, or what EDNS offers up to our own maximum */
	struct cv_name name;    /* canonical; empty unless the query is well formed */
	uint8_t wire_name[CV_NAME_WIRE_BYTES]; /* as asked, case kept: some clients compare it */
	uint8_t wire_name_n;
};

/* Fills *ret_query as far as it could be read, so that an error can be answered; see
 * cv_dns_is_answerable().  NONE if all of it is well formed. */
CV_MUST enum cv_dns_problem cv_dns_query_parse(struct cv_str msg, struct cv_dns_query *ret_query);

/* Whether a query with this problem gets an answer at all. */
static inline bool cv_dns_is_answerable(enum cv_dns_problem p)
{
	return p != CV_DNS_PROBLEM_SHORT && p != CV_DNS_PROBLEM_RESPONSE;
}

struct cv_dns_answer {
	enum cv_dns_rcode rcode;
	uint32_t ttl_s;
	const struct cv_ip *ip; /* those of the question's family are answered; none: NODATA */
	size_t ip_count;
};

/* Appends the answer.  What does not fit bytes_max (q->udp_bytes_max, or CV_DNS_TCP_BYTES_MAX) is
 * left out whole and TC is set.  False if out is full. */
CV_MUST bool cv_dns_answer_write(const struct cv_dns_query *q, const struct cv_dns_answer *a,
	size_t bytes_max, struct cv_buf *out);

/* Appends a query for name, recursion desired.  Without EDNS for servers that answered FORMERR. */
CV_MUST bool cv_dns_query_write(
	uint16_t id, const struct cv_name *name, uint16_t type, bool has_edns, struct cv_buf *out);

enum cv_dns_outcome {
	CV_DNS_MISMATCH,  /* another id or question: not ours, go on waiting */
	CV_DNS_MALFORMED, /* ours but broken: an answer that can't be believed */
	CV_DNS_TRUNCATED, /* ask again over TCP */
	CV_DNS_SERVER_FAILED,
	CV_DNS_NO_NAME, /* NXDOMAIN */
	CV_DNS_NO_DATA, /* the name is there, no such address */
	CV_DNS_FOUND,
	CV_DNS_OUTCOME_COUNT
};

const char *cv_dns_outcome_name(enum cv_dns_outcome o); /* "NXDOMAIN", "NODATA", ... */

struct cv_dns_response {
	enum cv_dns_outcome outcome;
	uint8_t rcode;
	struct cv_ip ip[CV_DNS_ADDRS_MAX];
	size_t ip_count;
	uint32_t ttl_s;        /* the least of the chain and the addresses */
	size_t cname_count;    /* aliases followed */
	struct cv_name target; /* the last of them, or the name asked for */
	const char *problem;   /* why MALFORMED; static */
};

/* Parses what a server sent in reply to the question (id, name, type). */
enum cv_dns_outcome cv_dns_response_parse(struct cv_str msg, uint16_t id,
	const struct cv_name *name, uint16_t type, struct cv_dns_response *ret_response);
