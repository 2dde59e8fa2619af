/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_text.c - a policy's message as YAML
 *
 * One row of a table or one function per message.  The message may be a stranger's: whatever it holds
 * ends up inside quotes, or is refused (yout.h).
 */
#include "rpc/policy_pb.h"

#include "policy/limits.h"
#include "rpc/yout.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PB(name) Openshell__Sandbox__V1__##name

/* ---- rules ---- */

static void put_globs(struct cv_yout *w, const char *name, const PB(L7QueryMatcher) * m)
{
	const size_t before = cv_yout_begin(w, name);

	if (!m) {
		cv_yout_refuse(w, "has no matcher");
	} else if (m->n_any && m->glob[0]) {
		cv_yout_refuse(w, "has both glob and any; one of them");
	} else if (m->n_any) {
		cv_yout_list(w, "any", m->any, m->n_any);
	} else {
		w->is_open = false;
		cv_buf_put_byte(w->out, ' ');
		cv_yout_scalar(w, m->glob);
		cv_buf_put_byte(w->out, '\n');
	}
	cv_yout_end(w, before, "{}");
}

/* The entries of the maps of L7Allow and of L7DenyRule are alike, and so are the two messages. */
typedef PB(L7Allow__QueryEntry) matcher_entry;
#define SAME(a, b, member) \
	_Static_assert(offsetof(a, member) == offsetof(b, member), "generated messages are alike")
SAME(matcher_entry, PB(L7Allow__ParamsEntry), value);
SAME(matcher_entry, PB(L7DenyRule__QueryEntry), value);
SAME(matcher_entry, PB(L7DenyRule__ParamsEntry), value);
SAME(PB(L7Allow), PB(L7DenyRule), query);
SAME(PB(L7Allow), PB(L7DenyRule), fields);
SAME(PB(L7Allow), PB(L7DenyRule), params);

static void put_matchers(struct cv_yout *w, const char *name, void *const *v, size_t n)
{
	if (!n)
		return;
	const size_t before = cv_yout_begin(w, name);

	for (size_t i = 0; i < n && !w->has_failed; i++) {
		const matcher_entry *e = v[i];

		put_globs(w, e->key, e->value);
	}
	cv_yout_end(w, before, "{}");
}

static void put_params(struct cv_yout *w, const PB(L7Allow) * r, bool is_mcp)
{
	const PB(L7Allow__ParamsEntry) *only = r->n_params == 1 ? r->params[0] : NULL;

	if (is_mcp && only && strcmp(only->key, "name") == 0)
		put_globs(w, "tool", only->value);
	else
		put_matchers(w, "params", (void *const *)r->params, r->n_params);
}

static void put_rule(struct cv_yout *w, const PB(L7Allow) * r, bool is_mcp)
{
	cv_yout_str(w, "method", r->method);
	cv_yout_str(w, "path", r->path);
	cv_yout_str(w, "command", r->command);
	put_matchers(w, "query", (void *const *)r->query, r->n_query);
	cv_yout_str(w, "operation_type", r->operation_type);
	cv_yout_str(w, "operation_name", r->operation_name);
	cv_yout_list(w, "fields", r->fields, r->n_fields);
	put_params(w, r, is_mcp);
}

static void put_rules(struct cv_yout *w, const PB(NetworkEndpoint) * e, bool is_mcp)
{
	const size_t before = cv_yout_begin(w, "rules");

	for (size_t i = 0; i < e->n_rules && !w->has_failed; i++) {
		const size_t item = cv_yout_item_begin(w, i);

		if (!e->rules[i]->allow)
			cv_yout_refuse(w, "has no allow");
		else {
			const size_t allow = cv_yout_begin(w, "allow");

			put_rule(w, e->rules[i]->allow, is_mcp);
			cv_yout_end(w, allow, "{}");
		}
		cv_yout_item_end(w, item);
	}
	cv_yout_end(w, before, "[]");
}

static void put_deny_rules(struct cv_yout *w, const PB(NetworkEndpoint) * e, bool is_mcp)
{
	const size_t before = cv_yout_begin(w, "deny_rules");

	for (size_t i = 0; i < e->n_deny_rules && !w->has_failed; i++) {
		const size_t item = cv_yout_item_begin(w, i);

		put_rule(w, (const void *)e->deny_rules[i], is_mcp);
		cv_yout_item_end(w, item);
	}
	cv_yout_end(w, before, "[]");
}

/* ---- endpoints ---- */

static void check_port(struct cv_yout *w, uint32_t port)
{
	if (!port || port > UINT16_MAX)
		cv_yout_refuse(w, "%u is no port; 1 to 65535", port);
}

static void put_ports(struct cv_yout *w, const PB(NetworkEndpoint) * e)
{
	const bool is_one = e->n_ports == 1 || (!e->n_ports && e->port);

	if (!e->n_ports && !e->port)
		return;
	const size_t before = cv_yout_push(w, is_one && !e->n_ports ? "port" : "ports");

	if (is_one) {
		check_port(w, e->n_ports ? e->ports[0] : e->port);
		cv_yout_number(w, "port", e->n_ports ? e->ports[0] : e->port);
		w->place_n = before;
		return;
	}
	cv_yout_key(w, "ports");
	for (size_t i = 0; i < e->n_ports && !w->has_failed; i++) {
		const size_t at = cv_yout_push_index(w, i);

		check_port(w, e->ports[i]);
		cv_buf_printf(w->out, "%s%u", i ? ", " : " [", e->ports[i]);
		w->place_n = at;
	}
	cv_buf_put(w->out, CV_STR("]\n"));
	w->place_n = before;
}

static void put_persisted(struct cv_yout *w, const PB(NetworkEndpoint) * e)
{
	if (!e->n_graphql_persisted_queries)
		return;
	const size_t before = cv_yout_begin(w, "graphql_persisted_queries");

	for (size_t i = 0; i < e->n_graphql_persisted_queries && !w->has_failed; i++) {
		const PB(GraphqlOperation) *q = e->graphql_persisted_queries[i]->value;
		const size_t at = cv_yout_begin(w, e->graphql_persisted_queries[i]->key);

		if (q) {
			cv_yout_str(w, "operation_type", q->operation_type);
			cv_yout_str(w, "operation_name", q->operation_name);
			cv_yout_list(w, "fields", q->fields, q->n_fields);
		}
		cv_yout_end(w, at, "{}");
	}
	cv_yout_end(w, before, "{}");
}

static void put_mcp(struct cv_yout *w, const PB(NetworkEndpoint) * e, bool is_mcp)
{
	const PB(McpOptions) *m = e->mcp;
	const uint32_t bytes = is_mcp ? e->json_rpc_max_body_bytes : 0;

	if (!m && !bytes)
		return;
	const size_t before = cv_yout_begin(w, "mcp");

	cv_yout_number(w, "max_body_bytes", bytes);
	if (m && m->_strict_tool_names_case)
		cv_yout_word(w, "strict_tool_names", m->strict_tool_names ? "true" : "false");
	if (m && m->_allow_all_known_mcp_methods_case)
		cv_yout_word(w, "allow_all_known_mcp_methods",
			m->allow_all_known_mcp_methods ? "true" : "false");
	cv_yout_end(w, before, "{}");
}

static void put_json_rpc(struct cv_yout *w, uint32_t bytes)
{
	if (!bytes)
		return;
	const size_t before = cv_yout_begin(w, "json_rpc");

	cv_yout_number(w, "max_body_bytes", bytes);
	cv_yout_end(w, before, "{}");
}

static void put_binding(struct cv_yout *w, const PB(NetworkCredentialBinding) * b)
{
	if (!b)
		return;
	const size_t before = cv_yout_begin(w, "credential_binding");

	cv_yout_str(w, "provider", b->provider);
	cv_yout_end(w, before, "{}");
}

static void put_endpoint(struct cv_yout *w, const PB(NetworkEndpoint) * e)
{
	const bool is_mcp = strcmp(e->protocol, "mcp") == 0;

	cv_yout_str(w, "host", e->host);
	put_ports(w, e);
	cv_yout_str(w, "path", e->path);
	cv_yout_str(w, "protocol", e->protocol);
	cv_yout_str(w, "tls", e->tls);
	cv_yout_str(w, "enforcement", e->enforcement);
	cv_yout_str(w, "access", e->access);
	if (e->n_rules)
		put_rules(w, e, is_mcp);
	if (e->n_deny_rules)
		put_deny_rules(w, e, is_mcp);
	cv_yout_list(w, "allowed_ips", e->allowed_ips, e->n_allowed_ips);
	cv_yout_true(w, "allow_encoded_slash", e->allow_encoded_slash);
	cv_yout_true(w, "h2c", e->h2c);
	cv_yout_true(w, "websocket_credential_rewrite", e->websocket_credential_rewrite);
	cv_yout_true(w, "request_body_credential_rewrite", e->request_body_credential_rewrite);
	cv_yout_true(w, "allow_uninspected_credentials", e->allow_uninspected_credentials);
	cv_yout_str(w, "credential_signing", e->credential_signing);
	cv_yout_str(w, "signing_service", e->signing_service);
	cv_yout_str(w, "signing_region", e->signing_region);
	put_binding(w, e->credential_binding);
	cv_yout_true(w, "token_endpoint", e->token_endpoint);
	cv_yout_str(w, "credential_mode", e->credential_mode);
	cv_yout_str(w, "scrub", e->scrub);
	cv_yout_str(w, "body_hold", e->body_hold);
	cv_yout_str(w, "persisted_queries", e->persisted_queries);
	put_persisted(w, e);
	cv_yout_number(w, "graphql_max_body_bytes", e->graphql_max_body_bytes);
	if (!is_mcp)
		put_json_rpc(w, e->json_rpc_max_body_bytes);
	put_mcp(w, e, is_mcp);
}

static void put_network_policy(struct cv_yout *w, const char *name, const PB(NetworkPolicyRule) * r)
{
	const size_t before = cv_yout_begin(w, name);
	size_t list;

	if (r && strcmp(r->name, name) != 0)
		cv_yout_str(w, "name", r->name);
	if (r && r->n_endpoints) {
		list = cv_yout_begin(w, "endpoints");
		for (size_t i = 0; i < r->n_endpoints && !w->has_failed; i++) {
			const size_t item = cv_yout_item_begin(w, i);

			put_endpoint(w, r->endpoints[i]);
			cv_yout_item_end(w, item);
		}
		cv_yout_end(w, list, "[]");
	}
	if (r && r->n_binaries) {
		list = cv_yout_begin(w, "binaries");
		for (size_t i = 0; i < r->n_binaries && !w->has_failed; i++) {
			const size_t item = cv_yout_item_begin(w, i);

			cv_yout_str(w, "path", r->binaries[i]->path);
			cv_yout_item_end(w, item);
		}
		cv_yout_end(w, list, "[]");
	}
	cv_yout_end(w, before, "{}");
}

/* ---- middlewares ---- */

/* In digits only, as the language knows no exponents; false: nothing within 15 places before the
 * point and 15 behind it is this number. */
static bool number_text(double v, char text[64])
{
	if (!isfinite(v) || fabs(v) >= 9007199254740992.0 /* 2^53: above, integers are lost */)
		return false;
	for (int places = 0; places <= 15; places++) {
		snprintf(text, 64, "%.*f", places, v);
		if (strtod(text, NULL) == v)
			return true;
	}
	return false;
}

static void put_struct(struct cv_yout *w, const Google__Protobuf__Struct *s, unsigned depth);

/* On the line that was begun: behind "key:" (is_open) or behind "- ". */
static void put_value(struct cv_yout *w, const Google__Protobuf__Value *v, unsigned depth)
{
	char number[64];

	if (depth > CV_POLICY_DEPTH_MAX) {
		cv_yout_refuse(w, "is nested deeper than %d", CV_POLICY_DEPTH_MAX);
		return;
	}
	if (v && v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE && v->struct_value) {
		put_struct(w, v->struct_value, depth + 1);
		return;
	}
	if (v && v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE && v->list_value) {
		const bool is_item = w->is_item;

		if (is_item) { /* "- - a" is for no eyes: the inner list in brackets only if empty */
			cv_yout_line(w);
			cv_buf_put(w->out, v->list_value->n_values ? CV_STR("\n") : CV_STR("[]\n"));
			w->indent++;
		}
		for (size_t i = 0; i < v->list_value->n_values && !w->has_failed; i++) {
			const size_t item = cv_yout_item_begin(w, i);

			put_value(w, v->list_value->values[i], depth + 1);
			cv_yout_item_end(w, item);
		}
		w->indent -= is_item;
		return;
	}
	if (w->is_item)
		cv_yout_line(w);
	else
		cv_buf_put_byte(w->out, ' ');
	w->is_open = false;
	const Google__Protobuf__Value__KindCase kind =
		v ? v->kind_case : GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;

	if (kind == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE)
		cv_yout_scalar(w, v->string_value);
	else if (kind == GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE)
		cv_buf_put(w->out, v->bool_value ? CV_STR("true") : CV_STR("false"));
	else if (kind != GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE)
		cv_buf_put(w->out, CV_STR("null"));
	else if (number_text(v->number_value, number))
		cv_buf_put(w->out, cv_str_of(number));
	else
		cv_yout_refuse(w, "is a number that a policy can't say");
	cv_buf_put_byte(w->out, '\n');
}

static const char *empty_of(const Google__Protobuf__Value *v)
{
	return v && v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE ? "[]" : "{}";
}

static void put_struct(struct cv_yout *w, const Google__Protobuf__Struct *s, unsigned depth)
{
	for (size_t i = 0; i < s->n_fields && !w->has_failed; i++) {
		const size_t before = cv_yout_begin(w, s->fields[i]->key);

		put_value(w, s->fields[i]->value, depth);
		cv_yout_end(w, before, empty_of(s->fields[i]->value));
	}
}

static void put_middleware(
	struct cv_yout *w, const char *name, const PB(NetworkMiddlewareConfig) * m)
{
	const size_t before = cv_yout_begin(w, name);
	size_t inside;

	if (m) {
		cv_yout_str(w, "name", m->name);
		cv_yout_str(w, "middleware", m->middleware);
		cv_yout_number(w, "order", m->order);
		if (m->config) {
			inside = cv_yout_begin(w, "config");
			put_struct(w, m->config, 0);
			cv_yout_end(w, inside, "{}");
		}
		cv_yout_str(w, "on_error", m->on_error);
	}
	if (m && m->endpoints) {
		inside = cv_yout_begin(w, "endpoints");
		cv_yout_list(w, "include", m->endpoints->include, m->endpoints->n_include);
		cv_yout_list(w, "exclude", m->endpoints->exclude, m->endpoints->n_exclude);
		cv_yout_end(w, inside, "{}");
	}
	cv_yout_end(w, before, "{}");
}

/* ---- the whole ---- */

static void put_static(struct cv_yout *w, const cv_policy_pb *m)
{
	size_t before;

	if (m->filesystem) {
		before = cv_yout_begin(w, "filesystem_policy");
		cv_yout_word(
			w, "include_workdir", m->filesystem->include_workdir ? "true" : "false");
		cv_yout_list(w, "read_only", m->filesystem->read_only, m->filesystem->n_read_only);
		cv_yout_list(
			w, "read_write", m->filesystem->read_write, m->filesystem->n_read_write);
		cv_yout_end(w, before, "{}");
	}
	if (m->landlock && m->landlock->compatibility[0]) {
		before = cv_yout_begin(w, "landlock");
		cv_yout_str(w, "compatibility", m->landlock->compatibility);
		cv_yout_end(w, before, "{}");
	}
	if (m->process && (m->process->run_as_user[0] || m->process->run_as_group[0])) {
		before = cv_yout_begin(w, "process");
		cv_yout_str(w, "run_as_user", m->process->run_as_user);
		cv_yout_str(w, "run_as_group", m->process->run_as_group);
		cv_yout_end(w, before, "{}");
	}
}

static void put_network(struct cv_yout *w, const cv_policy_pb *m)
{
	size_t before;

	if (m->n_network_policies) {
		before = cv_yout_begin(w, "network_policies");
		for (size_t i = 0; i < m->n_network_policies && !w->has_failed; i++)
			put_network_policy(
				w, m->network_policies[i]->key, m->network_policies[i]->value);
		cv_yout_end(w, before, "{}");
	}
	if (m->n_network_middlewares) {
		before = cv_yout_begin(w, "network_middlewares");
		for (size_t i = 0; i < m->n_network_middlewares && !w->has_failed; i++)
			put_middleware(w, m->network_middlewares[i]->key,
				m->network_middlewares[i]->value);
		cv_yout_end(w, before, "{}");
	}
}

/* JSON is YAML.  One mapping on one line can't become more than the value of its key, but for
 * what the loader then refuses. */
static void put_tools(struct cv_yout *w, const char *json)
{
	const struct cv_str s = cv_str_of(json);
	const size_t before = cv_yout_push(w, "tools");

	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20)
			cv_yout_refuse(w, "is not one line of JSON");
	if (s.n && (s.p[0] != '{' || s.p[s.n - 1] != '}'))
		cv_yout_refuse(w, "is not a mapping in JSON");
	if (s.n)
		cv_yout_word(w, "tools", json);
	w->place_n = before;
}

cv_code cv_policy_pb_text(const cv_policy_pb *m, struct cv_buf *out, struct cv_err *err)
{
	struct cv_yout w = { .out = out, .err = err };

	cv_buf_printf(out, "version: %u\n", m->version ? m->version : 1);
	put_static(&w, m);
	put_network(&w, m);
	put_tools(&w, m->tools);
	if (w.has_failed)
		return CV_INVALID;
	if (out->is_overflown)
		return cv_fail(
			err, CV_LIMIT, "the policy's text needs more than %zu bytes", out->max);
	return CV_OK;
}
