/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask.c - what others may ask of a snapshot beside a decision
 */
#include "policy/snapshot_int.h"
#include "policy/tool_rule.h"

bool cv_policy_has_network(const struct cv_policy *policy)
{
	return policy->endpoint_count > 0;
}

#define PORT_WORD_BITS 64

/* A bit for each port, read word by word: each sandbox's start asks, and has to wait for the answer. */
size_t cv_policy_ports(const struct cv_policy_doc *doc, uint32_t *ret, size_t max)
{
	uint64_t named[(UINT16_MAX + 1) / PORT_WORD_BITS] = { 0 };
	size_t n = 0;

	for (size_t e = 0; e < doc->entry_count; e++)
		for (size_t i = 0; i < doc->entries[e].endpoint_count; i++) {
			const struct cv_policy_endpoint *ep = &doc->entries[e].endpoints[i];

			for (size_t k = 0; k < ep->port_count; k++)
				named[ep->ports[k] / PORT_WORD_BITS] |=
					UINT64_C(1) << ep->ports[k] % PORT_WORD_BITS;
		}
	for (size_t w = 0; w < CV_ARRAY_LEN(named); w++)
		for (uint64_t left = named[w]; left; left &= left - 1, n++)
			if (n < max)
				ret[n] = (uint32_t)(w * PORT_WORD_BITS) +
					 (uint32_t)__builtin_ctzll(left);
	return n;
}

struct cv_str cv_policy_entry_name(const struct cv_policy *policy, uint32_t entry)
{
	return entry < policy->entry_count ? policy->doc->entries[entry].name : CV_STR("");
}

const struct cv_policy_endpoint *cv_policy_endpoint_of(
	const struct cv_policy *policy, const struct cv_verdict *verdict)
{
	if (verdict->entry >= policy->entry_count ||
		verdict->endpoint >= policy->doc->entries[verdict->entry].endpoint_count)
		return NULL;
	return &policy->doc->entries[verdict->entry].endpoints[verdict->endpoint];
}

const struct cv_cidr *cv_policy_allowed_ips(
	const struct cv_policy *policy, const struct cv_verdict *verdict, size_t *ret_n)
{
	*ret_n = 0;
	if (verdict->settings >= policy->endpoint_count)
		return NULL;
	*ret_n = policy->endpoints[verdict->settings].ip_count;
	return policy->endpoints[verdict->settings].ips;
}

bool cv_policy_allowed_ip(
	const struct cv_policy *policy, const struct cv_verdict *verdict, const struct cv_ip *ip)
{
	size_t n;
	const struct cv_cidr *ips = cv_policy_allowed_ips(policy, verdict, &n);

	for (size_t i = 0; i < n; i++)
		if (cv_cidr_has(&ips[i], ip))
			return true;
	return false;
}

bool cv_policy_host_is_listed(const struct cv_policy *policy, struct cv_str host)
{
	struct cv_host_iter it;

	cv_host_start(&it, &policy->hosts, host, false, CV_HOST_PORT_ALL);
	return cv_host_next(&it) != CV_MAP_NONE;
}

static bool is_among(const uint16_t *ports, size_t n, uint16_t port)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i] == port)
			return true;
	return false;
}

size_t cv_policy_host_ports(
	const struct cv_policy *policy, struct cv_str host, uint16_t *ret, size_t max)
{
	struct cv_host_iter it;
	size_t n = 0;
	uint32_t e;

	cv_host_start(&it, &policy->hosts, host, false, CV_HOST_PORT_ALL);
	while ((e = cv_host_next(&it)) != CV_MAP_NONE) {
		const struct cv_policy_endpoint *ep = policy->endpoints[e].source;

		for (size_t i = 0; i < ep->port_count && n < max; i++)
			if (ep->ports[i] != 0 && !is_among(ret, n, ep->ports[i]))
				ret[n++] = ep->ports[i];
	}
	return n;
}

bool cv_policy_is_binary_named(const struct cv_policy *policy, struct cv_str path)
{
	for (uint32_t i = 0; i < policy->entry_count; i++)
		if (cv_binaries_have(&policy->entries[i].binaries, path))
			return true;
	for (uint32_t i = 0; i < policy->tool_rule_count; i++)
		if (cv_binaries_have(&policy->tool_rules[i].binaries, path))
			return true;
	return false;
}
