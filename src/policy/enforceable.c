/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enforceable.c - what a valid policy may ask for and this build can't do yet
 *
 * Each is an error by name: a policy that is obeyed only in part would look like one that is
 * obeyed.  A feature that is built is a row removed here.
 */
#include "policy/check_int.h"
#include "policy/middleware.h"

static bool has_protocol_not_built(const struct cv_policy_endpoint *e)
{
	switch (e->protocol) {
	case CV_PROTOCOL_L4:
	case CV_PROTOCOL_TCP:
	case CV_PROTOCOL_REST:
	case CV_PROTOCOL_WEBSOCKET:
	case CV_PROTOCOL_POSTGRES: return false;
	case CV_PROTOCOL_GRAPHQL:
	case CV_PROTOCOL_MCP:
	case CV_PROTOCOL_JSON_RPC:
	case CV_PROTOCOL_SQL:
	case CV_PROTOCOL_COUNT: break;
	}
	return true;
}

/* Whether the run has a provider: without one there is no credential to bind, rewrite or let
 * through uninspected. */
static bool has_provider(const struct cv_check *c)
{
	return c->doc->has_providers;
}

struct feature {
	bool is_there;
	const char *name;
};

/* Without a provider there is nothing to sign with, and nothing that is bound; what rewrites or lets
 * through has nothing to do, and so a policy may come before its provider. */
static void check_credentials(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;
	const struct feature needed[] = {
		{ e->credential_signing.s.n > 0, "credential_signing" },
		{ e->has_credential_binding, "credential_binding" },
	}, idle[] = {
		{ e->websocket_credential_rewrite && e->protocol == CV_PROTOCOL_WEBSOCKET,
			"websocket_credential_rewrite" },
		{ e->request_body_credential_rewrite, "request_body_credential_rewrite" },
		{ e->allow_uninspected_credentials, "allow_uninspected_credentials" },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(needed) && !has_provider(c); i++)
		if (needed[i].is_there)
			CV_CHECK_ERROR(c, CV_CHECK_HERE,
				"attach one with --provider, or remove it to run without",
				"%s means something only beside a provider", needed[i].name);
	for (size_t i = 0; i < CV_ARRAY_LEN(idle) && !has_provider(c); i++)
		if (idle[i].is_there)
			CV_CHECK_WARNING(c, CV_CHECK_HERE, "attach one with --provider",
				"%s does nothing without a provider", idle[i].name);
	if (e->websocket_credential_rewrite && e->protocol == CV_PROTOCOL_REST)
		CV_CHECK_WARNING(c, CV_CHECK_HERE, "use protocol: websocket",
			"websocket_credential_rewrite does nothing on protocol rest, where upgrades "
			"are refused");
}

static void check_endpoint(struct cv_check *c)
{
	const struct cv_policy_endpoint *e = c->ep;
	const struct feature not_built[] = {
		{ e->persisted_queries.s.n > 0, "persisted_queries" },
		{ e->has_graphql_persisted_queries, "graphql_persisted_queries" },
	};

	if (has_protocol_not_built(e))
		CV_CHECK_ERROR(c, e->protocol_text.pos,
			"remove the endpoint to run without it, or use protocol: rest",
			"protocol %s is not enforced by this build",
			cv_policy_protocol_name(e->protocol));
	if (e->protocol == CV_PROTOCOL_WEBSOCKET && cv_policy_has_graphql(e))
		CV_CHECK_ERROR(c, e->protocol_text.pos,
			"remove them, or allow method: WEBSOCKET_TEXT to run without them",
			"GraphQL on protocol websocket is not enforced by this build");
	for (size_t i = 0; i < CV_ARRAY_LEN(not_built); i++)
		if (not_built[i].is_there)
			CV_CHECK_ERROR(c, CV_CHECK_HERE, "remove it to run without it",
				"%s is not enforced by this build", not_built[i].name);
	check_credentials(c);
}

cv_code cv_policy_enforceable(const struct cv_policy_doc *doc, struct cv_findings *findings)
{
	struct cv_check c = { .doc = doc, .findings = findings };
	const size_t before = findings->error_count;

	for (size_t i = 0; i < doc->entry_count; i++) {
		c.entry = &doc->entries[i];
		for (c.ep_index = 0; c.ep_index < c.entry->endpoint_count; c.ep_index++) {
			c.ep = &c.entry->endpoints[c.ep_index];
			check_endpoint(&c);
		}
		c.ep = NULL;
	}
	c.entry = NULL;
	for (size_t i = 0; i < doc->middleware_count; i++) {
		const struct cv_policy_middleware *m = &doc->middlewares[i];
		struct cv_middleware mw;

		cv_middleware_read(NULL, m, &mw);
		if (mw.kind == CV_MIDDLEWARE_OTHER)
			CV_CHECK_ERROR(&c, m->pos, "remove it to run without it",
				"network_middlewares.%.*s: middleware '%.*s' is not enforced by "
				"this build",
				CV_POLICY_QUOTE(m->key.s), CV_POLICY_QUOTE(m->middleware.s));
	}
	return cv_findings_code(findings, before);
}
