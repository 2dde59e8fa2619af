/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proposal.h - rules that an agent proposes: POST http://policy.local/v1/proposals
 *
 *     {"intent_summary": "...", "operations": [{"addRule": {"ruleName": "...", "rule": {
 *         "endpoints": [{"host": "...", "port": 443, "protocol": "rest", "rules": [
 *             {"allow": {"method": "GET", "path": "/x"}}]}],
 *         "binaries": [{"path": "/usr/bin/curl"}]}}}]}
 *
 * Names in snake or camel case, as the API's JSON has them (openshell-behaviour 3.10).  The proxy,
 * which reads strangers' texts, makes of it what is here and hands that on; whoever decides on it
 * reads no text of an agent's.  What a rule means, and whether it is a good one, is judged there: here a
 * key that can't be proposed is refused by its name, and nothing is longer than it may be.
 *
 * Strings are borrowed, and arrays in the arena, of whoever read them.  Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

#include <stdbool.h>
#include <stdint.h>

#define CV_PROPOSALS_MAX         16 /* of one submission */
#define CV_PROPOSAL_LIST_MAX     64 /* endpoints, rules, ports ... of one list */
#define CV_PROPOSAL_TEXT_MAX     2048
#define CV_PROPOSALS_BYTES_MAX   65000 /* as bytes of a message */
#define CV_PROPOSAL_JSON_MAX     65536 /* openshell-behaviour 3.10 */
#define CV_PROPOSAL_ID_BYTES_MAX 64

struct cv_proposal_rule { /* of an allow or a deny; empty: not said */
	struct cv_str method, path, command;
};

struct cv_proposal_endpoint {
	struct cv_str host, protocol, tls, enforcement, access;
	uint32_t port; /* 0: not said */
	uint32_t *ports;
	uint32_t port_count;
	struct cv_proposal_rule *rules, *deny_rules;
	uint32_t rule_count, deny_rule_count;
	struct cv_str *allowed_ips;
	uint32_t allowed_ip_count;
	uint32_t allow_encoded_slash;
};

struct cv_proposal {
	struct cv_str rule_name; /* empty: whoever takes it gives one */
	struct cv_proposal_endpoint *endpoints;
	uint32_t endpoint_count;
	struct cv_str *binaries;
	uint32_t binary_count;
};

struct cv_proposals {
	struct cv_str intent; /* what for, in the agent's words */
	struct cv_proposal *v;
	uint32_t n;
};

/* CV_INVALID: err says what, and where in the document. */
CV_MUST cv_code cv_proposals_read(const struct cv_value *document, struct cv_arena *arena,
	struct cv_proposals *ret, struct cv_err *err);

/* To and from the bytes of a message.  False: they do not fit; they are none. */
CV_MUST bool cv_proposals_put(const struct cv_proposals *p, struct cv_buf *out);
CV_MUST bool cv_proposals_get(
	struct cv_str bytes, struct cv_arena *arena, struct cv_proposals *ret);
