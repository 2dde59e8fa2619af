/* SPDX-License-Identifier: Apache-2.0 */
/*
 * destination.c - the rules about addresses that stand above every policy; see destination.h
 */
#include "policy/destination.h"

#include <stdio.h>

bool cv_policy_host_address(struct cv_str host, struct cv_ip *ret)
{
	return cv_ip_parse(
		cv_str_eq_nocase(host, CV_STR("localhost")) ? CV_STR("127.0.0.1") : host, ret);
}

const char *cv_policy_never_dialled(const struct cv_ip *ip)
{
	switch (cv_ip_classify(ip)->class) {
	case CV_IP_METADATA: return "cloud metadata address";
	case CV_IP_ALWAYS_BLOCKED: return "always-blocked address";
	case CV_IP_INTERNAL:
	case CV_IP_PUBLIC:
	case CV_IP_CLASS_COUNT: break;
	}
	return NULL;
}

/* How strict to be: in this order, the first that holds. */
enum tier { TIER_LISTED, TIER_LITERAL, TIER_DECLARED, TIER_PUBLIC };

static const char *const tier_word[] = {
	[TIER_LISTED] = "allowed_ips check failed",
	[TIER_LITERAL] = "allowed_ips check failed",
	[TIER_DECLARED] = "declared endpoint check failed",
	[TIER_PUBLIC] = "internal address",
};

static enum tier tier_of(const struct cv_facts *f, const struct cv_verdict *v)
{
	if (v->obligations & CV_OBLIGE_ALLOWED_IPS)
		return TIER_LISTED;
	if (f->host_is_ip)
		return TIER_LITERAL;
	if (v->obligations & CV_OBLIGE_DECLARED_HOST)
		return TIER_DECLARED;
	return TIER_PUBLIC;
}

const char *cv_policy_destination_refusal(const struct cv_policy *policy,
	const struct cv_facts *facts, const struct cv_verdict *verdict, const struct cv_ip *ips,
	size_t ip_count, const struct cv_ip **ret_refused, char *reason, size_t size)
{
	const enum tier tier = tier_of(facts, verdict);
	char text[CV_IP_TEXT_BYTES];

	if (tier != TIER_PUBLIC && cv_ip_port_is_control_plane(facts->port)) {
		snprintf(reason, size,
			"port %u is a blocked control-plane port, connection rejected",
			facts->port);
		return tier_word[tier];
	}
	for (size_t i = 0; i < ip_count; i++) {
		if (ret_refused)
			*ret_refused = &ips[i]; /* unless it is fine */
		const struct cv_str shown = cv_ip_format(&ips[i], text);
		const char *what = cv_policy_never_dialled(&ips[i]);

		if (!what && tier == TIER_PUBLIC &&
			cv_ip_classify(&ips[i])->class == CV_IP_INTERNAL)
			what = "internal address";
		if (what) {
			snprintf(reason, size, "%.*s resolves to %s %.*s, connection rejected",
				CV_STR_ARG(facts->host), what, CV_STR_ARG(shown));
			return tier_word[tier];
		}
		if (tier == TIER_LISTED && !cv_policy_allowed_ip(policy, verdict, &ips[i])) {
			snprintf(reason, size,
				"%.*s resolves to %.*s which is not in allowed_ips, connection rejected",
				CV_STR_ARG(facts->host), CV_STR_ARG(shown));
			return tier_word[tier];
		}
	}
	if (ret_refused)
		*ret_refused = NULL;
	return NULL;
}

/* Of what is known without a look-up. */
static bool is_refused(const struct cv_policy *policy, const struct cv_facts *facts,
	const struct cv_verdict *verdict, char *reason, size_t size)
{
	struct cv_ip ip = { 0 };
	const bool is_known = cv_policy_host_address(facts->host, &ip);

	return cv_policy_destination_refusal(
		       policy, facts, verdict, &ip, is_known, NULL, reason, size) != NULL;
}

struct cv_verdict cv_policy_decide_destination(
	const struct cv_policy *policy, const struct cv_facts *facts)
{
	struct cv_verdict v = cv_policy_decide(policy, facts);
	char none[1];

	if (v.action == CV_ACTION_ALLOW && is_refused(policy, facts, &v, none, sizeof(none))) {
		v.action = CV_ACTION_DENY;
		v.reason = CV_REASON_DESTINATION;
	}
	return v;
}

void cv_policy_destination_text(const struct cv_policy *policy, const struct cv_facts *facts,
	const struct cv_verdict *verdict, char *reason, size_t size)
{
	if (!is_refused(policy, facts, verdict, reason, size))
		reason[0] = '\0';
}
