/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preflight.c - would a credential go where nobody looks?
 *
 * An endpoint is credentialed when a provider's layer covers some of its hosts and ports, or it binds
 * a provider itself.  If its traffic is not read (plain connections, tls: skip), the policy's author
 * must have said that this is meant.  The sentence is OpenShell's (openshell-api 7).
 */
#include "policy/check_int.h"

static const char *uninspected(const struct cv_policy_endpoint *e)
{
	if (e->allow_uninspected_credentials)
		return NULL;
	if (e->tls == CV_TLS_SKIP)
		return "tls: skip";
	if (e->protocol == CV_PROTOCOL_TCP)
		return "protocol: tcp";
	return e->protocol == CV_PROTOCOL_L4 ? "L4 passthrough" : NULL;
}

static bool ports_meet(
	const struct cv_policy_endpoint *a, const struct cv_policy_endpoint *b, uint16_t *ret)
{
	for (size_t i = 0; i < a->port_count; i++)
		for (size_t k = 0; k < b->port_count; k++)
			if (a->ports[i] == b->ports[k]) {
				*ret = a->ports[i];
				return true;
			}
	return false;
}

static bool is_credentialed(
	const struct cv_policy_doc *doc, const struct cv_policy_endpoint *e, uint16_t *ret_port)
{
	*ret_port = e->port_count ? e->ports[0] : 0;
	if (e->has_credential_binding)
		return true;
	for (size_t i = 0; e->host.s.n && i < doc->entry_count; i++)
		for (size_t k = 0;
			doc->entries[i].is_provider && k < doc->entries[i].endpoint_count; k++) {
			const struct cv_policy_endpoint *p = &doc->entries[i].endpoints[k];

			if (p->host.s.n && cv_policy_hosts_overlap(e->host.s, p->host.s) &&
				ports_meet(e, p, ret_port))
				return true;
		}
	return false;
}

cv_code cv_policy_preflight(const struct cv_policy_doc *doc, struct cv_err *err)
{
	for (size_t i = 0; i < doc->entry_count; i++) {
		const struct cv_policy_entry *entry = &doc->entries[i];

		for (size_t k = 0; !entry->is_provider && k < entry->endpoint_count; k++) {
			const struct cv_policy_endpoint *e = &entry->endpoints[k];
			const char *what = uninspected(e);
			uint16_t port;

			if (what && is_credentialed(doc, e, &port))
				return cv_fail(err, CV_DENIED,
					"credentialed endpoint '%.*s:%u' in rule '%.*s' uses %s; "
					"configure L7 inspection or explicitly set "
					"allow_uninspected_credentials: true",
					CV_POLICY_QUOTE(e->host.s), port,
					CV_POLICY_QUOTE(entry->key.s), what);
		}
	}
	return CV_OK;
}
