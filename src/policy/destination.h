/* SPDX-License-Identifier: Apache-2.0 */
/*
 * destination.h - where an allowed connection may lead: the addresses and ports that stay refused
 *
 * A policy names hosts; what is dialled is an address.  These rules (openshell-behaviour 4.6) stand
 * above every policy: whoever resolves asks here with what was found, and whoever explains asks with
 * what is known without asking anybody.
 */
#pragma once
#include "base/ip.h"
#include "policy/policy.h"

/* A sentence with a host and an address. */
#define CV_POLICY_DESTINATION_BYTES_MAX 448

/* Why none of these addresses may be dialled for an allowed connection; NULL: they may.  The word is
 * what a denial's detail ends with; reason takes the sentence.  *ret_refused: the first that may not, of
 * ips, or NULL where it is not for an address; ret_refused may be NULL. */
const char *cv_policy_destination_refusal(const struct cv_policy *policy,
	const struct cv_facts *facts, const struct cv_verdict *verdict, const struct cv_ip *ips,
	size_t ip_count, const struct cv_ip **ret_refused, char *reason, size_t size);

/* As cv_policy_decide(), and denied (CV_REASON_DESTINATION) when the host is an address, or localhost,
 * or the port is one, that the rules above refuse: nothing has to be looked up for these. */
CV_MUST struct cv_verdict cv_policy_decide_destination(
	const struct cv_policy *policy, const struct cv_facts *facts);

/* The sentence of that denial, as cv_policy_destination_refusal() gives it; "" for none. */
void cv_policy_destination_text(const struct cv_policy *policy, const struct cv_facts *facts,
	const struct cv_verdict *verdict, char *reason, size_t size);

/* The address that host is without a look-up: itself, or localhost's. */
CV_MUST bool cv_policy_host_address(struct cv_str host, struct cv_ip *ret);

/* "cloud metadata address", "always-blocked address": never dialled, whatever a policy says; or NULL. */
const char *cv_policy_never_dialled(const struct cv_ip *ip);
