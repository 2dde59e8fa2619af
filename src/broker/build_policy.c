/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_policy.c - the policy of the proxy that a step's engine speaks through
 *
 *     pull, push   the step's registry, where that sends its clients, and what the catalog adds; for
 *                  the engine alone, with the registry's login bound to it if there is one
 *     build        what the sandbox's own policy says of the network, without credentials
 *     the others   none: they reach nothing
 */
#include "broker/build_int.h"

#include "broker/registries.h"
#include "policy/fill.h"

struct registry_policy {
	struct cv_buf *out;
	const struct build_run *r;
	const struct cv_tool_login *login;
	const char *access, *port; /* where a place names none */
	size_t count;
};

static void endpoint_put(struct registry_policy *p, struct cv_str place, bool is_bound)
{
	struct cv_str rest = place;
	const struct cv_str host = cv_str_cut(&rest, ':');
	const struct cv_tool_build *t = p->r->tool;

	cv_buf_printf(p->out, "%s{\"host\":\"", p->count++ ? "," : "");
	cv_buf_put_json(p->out, host);
	cv_buf_put(p->out, CV_STR("\",\"port\":"));
	cv_buf_put(p->out, rest.p ? rest : cv_str_of(p->port));
	cv_buf_printf(p->out,
		",\"protocol\":\"rest\",\"enforcement\":\"enforce\",\"access\":\"%s\"", p->access);
	if (p->login) /* layers are large, and what is in them is no business of the login's */
		cv_buf_put(p->out, CV_STR(",\"body_hold\":\"watch\""));
	if (p->login && is_bound)
		cv_buf_put(p->out, CV_STR(",\"credential_binding\":{\"provider\":\"registry\"}"));
	for (size_t i = 0; i < t->allowed_ip_count; i++) {
		cv_buf_printf(p->out, "%s\"", i ? "," : ",\"allowed_ips\":[");
		cv_buf_put_json(p->out, t->allowed_ips[i]);
		cv_buf_put_byte(p->out, '"');
	}
	cv_buf_put(p->out, t->allowed_ip_count ? CV_STR("]}") : CV_STR("}"));
}

/* False: it is none that we know. */
static bool known_put(struct registry_policy *p, struct cv_str registry)
{
	struct cv_str hosts = registry_hosts(registry);

	while (hosts.n) {
		struct cv_str host = cv_str_cut(&hosts, ' ');
		const bool is_bound = cv_str_has_prefix(host, CV_STR(REGISTRY_LOGIN_MARK));

		if (is_bound)
			host = cv_str_slice(host, sizeof(REGISTRY_LOGIN_MARK) - 1, host.n);
		if (host.n)
			endpoint_put(p, host, is_bound);
	}
	return p->count > 0;
}

static bool is_among(struct cv_str s, const struct cv_str *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cv_str_eq(v[i], s))
			return true;
	return false;
}

/* This registry, where it sends us, and what the catalog adds; for the engine alone. */
static cv_code registry_policy_write(
	const struct build_run *r, const char *access, struct cv_err *err)
{
	const struct cv_str registry = build_registry(r);
	const struct cv_tool_login *login = build_login(r);
	struct cv_buf b;
	struct registry_policy p = { &b, r, login, access,
		build_is_plain_http(r, registry) ? "80" : "443", 0 };

	cv_buf_init(&b, BUILD_POLICY_BYTES_MAX);
	cv_buf_put(
		&b, CV_STR("{\"version\":1,\"network_policies\":{\"registry\":{\"endpoints\":["));
	if (!known_put(&p, registry))
		endpoint_put(&p, registry, true);
	p.port = "443";
	for (size_t i = 0; login && i < login->host_count; i++)
		if (!cv_str_eq(login->hosts[i], registry))
			endpoint_put(&p, login->hosts[i], true);
	for (size_t i = 0; i < r->tool->host_count; i++)
		if (!login || !is_among(r->tool->hosts[i], login->hosts, login->host_count))
			endpoint_put(&p, r->tool->hosts[i], false);
	cv_buf_printf(&b, "],\"binaries\":[{\"path\":\"%s\"}]}}}\n",
		build_engine_of(r->tool->engine)->path);
	const cv_code code = b.is_overflown
				     ? cv_fail(err, CV_LIMIT, "too many registries")
				     : build_file_write(r, "policy.json", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

/* A build has no credentials: what an endpoint says of them goes, and an endpoint that answers with
 * tokens goes as a whole, since nobody would keep them out of the build. */
static void endpoints_copy(const struct cv_policy_entry *from, struct cv_policy_entry *to)
{
	to->endpoint_count = 0;
	for (size_t i = 0; i < from->endpoint_count; i++) {
		struct cv_policy_endpoint *e = &to->endpoints[to->endpoint_count];

		if (from->endpoints[i].token_endpoint)
			continue;
		to->endpoint_count++;
		*e = from->endpoints[i];
		e->has_credential_binding = false;
		e->credential_binding_provider = (struct cv_policy_text){ 0 };
		e->websocket_credential_rewrite = false;
		e->request_body_credential_rewrite = false;
		e->allow_uninspected_credentials = false;
		e->credential_signing = (struct cv_policy_text){ 0 };
		e->signing_service = (struct cv_policy_text){ 0 };
		e->signing_region = (struct cv_policy_text){ 0 };
	}
}

static cv_code entries_copy(const struct cv_policy_doc *doc, struct cv_policy_doc *to,
	struct cv_arena *arena, struct cv_err *err)
{
	to->entries = cv_arena_array(arena, doc->entry_count + 1, sizeof(*to->entries));
	for (size_t i = 0; to->entries && i < doc->entry_count; i++) {
		struct cv_policy_entry *e = &to->entries[to->entry_count];

		*e = doc->entries[i];
		e->endpoints = cv_arena_array(
			arena, doc->entries[i].endpoint_count + 1, sizeof(*e->endpoints));
		if (!e->endpoints)
			break;
		endpoints_copy(&doc->entries[i], e);
		to->entry_count += e->endpoint_count > 0;
	}
	return arena->is_overflown || !to->entries ? cv_fail(err, CV_LIMIT, "no memory") : CV_OK;
}

/* Of the sandbox's policy what it says of the network, and no more: its files are others, and a build
 * has no tools. Rules about programs stay as they are: RUN's programs descend from the engine. */
static cv_code own_policy_write(
	const struct cv_policy_doc *doc, const struct build_run *r, struct cv_err *err)
{
	struct cv_policy_doc network = { .version = 1, .include_workdir = true };
	struct cv_arena arena;
	struct cv_buf b;
	cv_code code = CV_OK;

	cv_arena_init(&arena, BUILD_POLICY_MEMORY_MAX);
	cv_buf_init(&b, BUILD_POLICY_BYTES_MAX);
	if (doc) {
		network.file = doc->file;
		network.middlewares = doc->middlewares;
		network.middleware_count = doc->middleware_count;
		code = entries_copy(doc, &network, &arena, err);
	}
	cv_fill_write(&cv_policy_schema, &network, &b);
	cv_buf_put_byte(&b, '\n');
	if (code == CV_OK)
		code = b.is_overflown ? cv_fail(err, CV_LIMIT, "the policy is too large")
				      : build_file_write(r, "policy.json", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	cv_arena_fini(&arena);
	return code;
}

static const struct cv_policy_doc *doc_of(const struct sandbox *box)
{
	return box->policy ? cv_policy_doc(box->policy) : NULL;
}

cv_code build_policy_again(const struct sandbox *box, const struct build_run *r, struct cv_err *err)
{
	return own_policy_write(doc_of(box), r, err);
}

cv_code build_policy_write(
	const struct sandbox *box, const struct build_run *r, bool *ret_has, struct cv_err *err)
{
	*ret_has = r->step == BUILD_PULL || r->step == BUILD_PUSH;
	if (*ret_has)
		return registry_policy_write(r, r->step == BUILD_PULL ? "read-only" : "full", err);
	*ret_has = r->step == BUILD_BUILD && doc_of(box) && doc_of(box)->entry_count > 0;
	return *ret_has ? own_policy_write(doc_of(box), r, err) : CV_OK;
}
