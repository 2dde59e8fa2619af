/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.h - numbers and links for the JSON lines of one log (B11)
 *
 * Each line carries its sequence number and the SHA-256 of the whole line before it, without its
 * newline, so a line that is removed, changed or moved breaks the next one's link.  The first line
 * links to nothing.  Cutting off the end shows only against a count or digest kept elsewhere.
 */
#pragma once
#include "audit/event.h"

#include "base/sha256.h"

struct cv_audit_chain {
	uint64_t seq; /* of the newest line; 0: none yet */
	unsigned char hash[CV_SHA256_BYTES];
};

void cv_audit_chain_init(struct cv_audit_chain *c);

/* Appends e as the next line, with its newline; e's own seq is not looked at.  False if out is
 * full: then the chain has not moved, and what is in out must not be written. */
CV_MUST bool cv_audit_chain_json(
	struct cv_audit_chain *c, const struct cv_audit_event *e, struct cv_buf *out);
