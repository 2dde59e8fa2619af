/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suggest.h - the smallest entry with which a policy would allow what it denied
 *
 * What is written has been tried: the text of the entry is read as a policy, laid beside all that the
 * policy says about this host and port, validated and asked.  So an entry that is shown is accepted,
 * allows what was denied, and of requests allows no other than this one; where the policy has requests
 * read by nobody (protocol tcp), it says that it is for the connection.
 *
 * Slow path, for the end of a run: some documents are read and compiled for each wish, none of them
 * larger than what the policy says about one host and port.
 */
#pragma once
#include "base/buf.h"
#include "policy/policy.h"

struct cv_wish {
	/* REQUEST: path is canonical, %2F kept; of who, the executable alone is looked at.  Host, method,
	 * path and executable may be any text: what can't be written exactly has no entry. */
	struct cv_facts facts;
	const struct cv_ip *address; /* that the host led to, and was refused for; NULL: none */
	bool is_name_only; /* its name was looked up, by whoever: port and program are guesses */
};

struct cv_suggester;

/* Borrows the policy, which outlives it.  NULL without memory. */
struct cv_suggester *cv_suggester_new(const struct cv_policy *policy);
void cv_suggester_free(struct cv_suggester *s); /* NULL is fine */

/* Appends the entry for a wish, indented to stand below `network_policies:`; where none helps, but a
 * change of an entry that is there would, a comment that says so.  What was written before counts as
 * if it were in the policy.  False, and nothing written, if there is nothing to suggest. */
bool cv_suggest(struct cv_suggester *s, const struct cv_wish *wish, struct cv_buf *out);
