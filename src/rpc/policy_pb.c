/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_pb.c - a policy's document as the API's message
 *
 * The loader has checked what the document holds; what is refused here is what the message can't
 * carry.  It must never say less than the text did, since what is left out of a policy is often a
 * restriction.
 */
#include "rpc/policy_pb.h"

#include "policy/fill.h"
#include "policy/findings.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PB(name) Openshell__Sandbox__V1__##name

/* A message of the arena, initialised by its generated function. */
#define NEW(b, lower, upper) \
	((PB(upper) *)message_new((b), &openshell__sandbox__v1__##lower##__descriptor))

struct builder {
	struct cv_arena *arena;
	struct cv_err *err;
	bool has_failed;
	struct cv_str entry; /* the place, for errors */
	size_t endpoint;
};

/* ---- memory ---- */

static void *message_new(struct builder *b, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *m = cv_arena_alloc(b->arena, type->sizeof_message);

	if (m)
		type->message_init(m);
	else
		b->has_failed = true;
	return m;
}

/* n pointers; NULL with n 0 too. */
static void *list_new(struct builder *b, size_t n)
{
	void *v = n ? cv_arena_array(b->arena, n, sizeof(void *)) : NULL;

	if (n && !v)
		b->has_failed = true;
	return v;
}

CV_PRINTF(2, 3) static void refuse(struct builder *b, const char *fmt, ...)
{
	char text[CV_ERR_MSG_BYTES_MAX / 2];
	va_list ap;

	if (b->has_failed)
		return;
	b->has_failed = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (b->entry.n)
		(void)cv_fail(b->err, CV_INVALID, "network_policies.%.*s.endpoints[%zu].%s",
			CV_POLICY_QUOTE(b->entry), b->endpoint, text);
	else
		(void)cv_fail(b->err, CV_INVALID, "%s", text);
}

static char *str_of(struct builder *b, struct cv_str s)
{
	static char empty[1];
	struct cv_str copy;

	if (!s.n)
		return empty;
	if (memchr(s.p, '\0', s.n)) {
		refuse(b, "a text with a NUL in it");
		return empty;
	}
	copy = cv_arena_str(b->arena, s);
	b->has_failed |= !copy.p;
	return copy.p ? (char *)(uintptr_t)copy.p : empty;
}

static char **texts_of(struct builder *b, const struct cv_policy_texts *t, size_t *ret_n)
{
	char **v = list_new(b, t->n);

	*ret_n = v ? t->n : 0;
	for (size_t i = 0; i < *ret_n; i++)
		v[i] = str_of(b, t->v[i].s);
	return v;
}

/* ---- maps ---- */

/* What every entry of a map begins with. */
struct map_entry {
	ProtobufCMessage base;
	char *key;
};

static int entry_cmp(const void *a, const void *b)
{
	const struct map_entry *const *x = a, *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

static void map_sort(void *v, size_t n)
{
	if (n)
		qsort(v, n, sizeof(void *), entry_cmp);
}

/* ---- rules ---- */

static PB(L7QueryMatcher) *
	matcher_of(struct builder *b, const struct cv_policy_texts *globs, bool is_any)
{
	PB(L7QueryMatcher) *m = NEW(b, l7_query_matcher, L7QueryMatcher);

	if (!m)
		return NULL;
	if (!globs->n)
		refuse(b, "any: an empty list matches nothing and has no message");
	else if (globs->n == 1 && !is_any)
		m->glob = str_of(b, globs->v[0].s);
	else
		m->any = texts_of(b, globs, &m->n_any);
	return m;
}

/* The entries of all four maps are alike (policy_text.c asserts it). */
static void matcher_put(struct builder *b, const ProtobufCMessageDescriptor *type, void **slot,
	struct cv_str key, const struct cv_policy_texts *globs, bool is_any)
{
	PB(L7Allow__QueryEntry) *e = message_new(b, type);

	*slot = e;
	if (!e)
		return;
	e->key = str_of(b, key);
	e->value = matcher_of(b, globs, is_any);
}

static void *matchers_of(struct builder *b, const ProtobufCMessageDescriptor *type,
	const struct cv_policy_matcher *v, size_t n, const struct cv_policy_texts *tool,
	size_t *ret_n)
{
	const size_t total = n + (tool && tool->is_present);
	void **list = list_new(b, total);

	*ret_n = 0;
	if (!list)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (total > n && cv_str_eq(v[i].key.s, CV_STR("name")))
			refuse(b, "tool and params.name are the same; one of them");
		matcher_put(b, type, &list[i], v[i].key.s, &v[i].globs, v[i].is_any);
	}
	if (total > n)
		matcher_put(b, type, &list[n], CV_STR("name"), tool, tool->n != 1);
	if (b->has_failed)
		return NULL;
	map_sort(list, total);
	*ret_n = total;
	return list;
}

/* r is an L7Allow, or an L7DenyRule, which is the same but for the types of its maps' entries. */
static void rule_fill(struct builder *b, const struct cv_policy_rule *from, PB(L7Allow) * r,
	const ProtobufCMessageDescriptor *query, const ProtobufCMessageDescriptor *params)
{
	if (from->fields.is_present && !from->fields.n)
		refuse(b, "fields: an empty list has no message");
	r->method = str_of(b, from->method.s);
	r->path = str_of(b, from->path.s);
	r->command = str_of(b, from->command.s);
	r->query = matchers_of(b, query, from->query, from->query_count, NULL, &r->n_query);
	r->operation_type = str_of(b, from->operation_type.s);
	r->operation_name = str_of(b, from->operation_name.s);
	r->fields = texts_of(b, &from->fields, &r->n_fields);
	r->params =
		matchers_of(b, params, from->params, from->params_count, &from->tool, &r->n_params);
}

static void rules_fill(
	struct builder *b, const struct cv_policy_endpoint *from, PB(NetworkEndpoint) * e)
{
	if ((from->rules.is_present && !from->rules.n) ||
		(from->deny_rules.is_present && !from->deny_rules.n))
		refuse(b, "%s: an empty list has no message",
			from->rules.is_present && !from->rules.n ? "rules" : "deny_rules");
	e->rules = list_new(b, from->rules.n);
	e->n_rules = e->rules ? from->rules.n : 0;
	for (size_t i = 0; i < e->n_rules; i++) {
		PB(L7Rule) *r = e->rules[i] = NEW(b, l7_rule, L7Rule);

		if (r)
			r->allow = NEW(b, l7_allow, L7Allow);
		if (r && r->allow)
			rule_fill(b, &from->rules.v[i], r->allow,
				&openshell__sandbox__v1__l7_allow__query_entry__descriptor,
				&openshell__sandbox__v1__l7_allow__params_entry__descriptor);
	}
	e->deny_rules = list_new(b, from->deny_rules.n);
	e->n_deny_rules = e->deny_rules ? from->deny_rules.n : 0;
	for (size_t i = 0; i < e->n_deny_rules; i++) {
		e->deny_rules[i] = NEW(b, l7_deny_rule, L7DenyRule);
		if (e->deny_rules[i])
			rule_fill(b, &from->deny_rules.v[i], (void *)e->deny_rules[i],
				&openshell__sandbox__v1__l7_deny_rule__query_entry__descriptor,
				&openshell__sandbox__v1__l7_deny_rule__params_entry__descriptor);
	}
}

/* ---- endpoints ---- */

static void ports_fill(
	struct builder *b, const struct cv_policy_endpoint *from, PB(NetworkEndpoint) * e)
{
	e->ports = from->port_count ? cv_arena_array(b->arena, from->port_count, sizeof(*e->ports))
				    : NULL;
	e->n_ports = e->ports ? from->port_count : 0;
	b->has_failed |= e->n_ports != from->port_count;
	for (size_t i = 0; i < e->n_ports; i++)
		e->ports[i] = from->ports[i];
	e->port = e->n_ports ? e->ports[0] : 0;
}

static void persisted_fill(
	struct builder *b, const struct cv_policy_endpoint *from, PB(NetworkEndpoint) * e)
{
	const size_t n = from->graphql_persisted_query_count;

	e->graphql_persisted_queries = list_new(b, n);
	for (size_t i = 0; e->graphql_persisted_queries && i < n; i++) {
		const struct cv_policy_persisted_query *q = &from->graphql_persisted_queries[i];
		PB(NetworkEndpoint__GraphqlPersistedQueriesEntry) *entry =
			NEW(b, network_endpoint__graphql_persisted_queries_entry,
				NetworkEndpoint__GraphqlPersistedQueriesEntry);
		PB(GraphqlOperation) *op = NEW(b, graphql_operation, GraphqlOperation);

		if (!entry || !op)
			return;
		entry->key = str_of(b, q->id.s);
		entry->value = op;
		op->operation_type = str_of(b, q->operation_type.s);
		op->operation_name = str_of(b, q->operation_name.s);
		op->fields = texts_of(b, &q->fields, &op->n_fields);
		e->graphql_persisted_queries[i] = entry;
	}
	if (b->has_failed)
		return;
	e->n_graphql_persisted_queries = n;
	map_sort(e->graphql_persisted_queries, n);
}

static void mcp_fill(
	struct builder *b, const struct cv_policy_endpoint *from, PB(NetworkEndpoint) * e)
{
	const bool is_mcp = from->protocol == CV_PROTOCOL_MCP;

	if (is_mcp ? from->json_rpc_max_body_bytes != 0 : from->mcp_max_body_bytes != 0)
		refuse(b, "%s.max_body_bytes: the protocol is another",
			is_mcp ? "json_rpc" : "mcp");
	e->json_rpc_max_body_bytes =
		(uint32_t)(is_mcp ? from->mcp_max_body_bytes : from->json_rpc_max_body_bytes);
	if (from->has_mcp)
		e->mcp = NEW(b, mcp_options, McpOptions);
	if (!e->mcp)
		return;
	e->mcp->_strict_tool_names_case =
		OPENSHELL__SANDBOX__V1__MCP_OPTIONS___STRICT_TOOL_NAMES_STRICT_TOOL_NAMES;
	e->mcp->strict_tool_names = from->mcp_strict_tool_names;
	e->mcp->_allow_all_known_mcp_methods_case =
		OPENSHELL__SANDBOX__V1__MCP_OPTIONS___ALLOW_ALL_KNOWN_MCP_METHODS_ALLOW_ALL_KNOWN_MCP_METHODS;
	e->mcp->allow_all_known_mcp_methods = from->mcp_allow_all_known_methods;
}

static PB(NetworkEndpoint) * endpoint_of(struct builder *b, const struct cv_policy_endpoint *from)
{
	PB(NetworkEndpoint) *e = NEW(b, network_endpoint, NetworkEndpoint);

	if (!e)
		return NULL;
	e->host = str_of(b, from->host.s);
	e->path = str_of(b, from->path.s);
	ports_fill(b, from, e);
	e->protocol = str_of(b, from->protocol_text.s);
	e->tls = str_of(b, from->tls_text.s);
	e->enforcement = str_of(b, from->enforcement_text.s);
	e->access = str_of(b, from->access_text.s);
	rules_fill(b, from, e);
	e->allowed_ips = texts_of(b, &from->allowed_ips, &e->n_allowed_ips);
	if (from->allowed_ips.is_present && !from->allowed_ips.n)
		refuse(b, "allowed_ips: an empty list has no message");
	e->allow_encoded_slash = from->allow_encoded_slash;
	e->h2c = from->h2c;
	e->websocket_credential_rewrite = from->websocket_credential_rewrite;
	e->request_body_credential_rewrite = from->request_body_credential_rewrite;
	e->allow_uninspected_credentials = from->allow_uninspected_credentials;
	e->token_endpoint = from->token_endpoint;
	e->credential_signing = str_of(b, from->credential_signing.s);
	e->signing_service = str_of(b, from->signing_service.s);
	e->signing_region = str_of(b, from->signing_region.s);
	e->credential_mode = str_of(b, from->credential_mode_text.s);
	e->scrub = str_of(b, from->scrub_text.s);
	e->body_hold = str_of(b, from->body_hold_text.s);
	e->persisted_queries = str_of(b, from->persisted_queries.s);
	persisted_fill(b, from, e);
	e->graphql_max_body_bytes = (uint32_t)from->graphql_max_body_bytes;
	mcp_fill(b, from, e);
	if (from->has_credential_binding)
		e->credential_binding =
			NEW(b, network_credential_binding, NetworkCredentialBinding);
	if (e->credential_binding)
		e->credential_binding->provider = str_of(b, from->credential_binding_provider.s);
	return e;
}

static PB(NetworkPolicyRule) * entry_of(struct builder *b, const struct cv_policy_entry *from)
{
	PB(NetworkPolicyRule) *r = NEW(b, network_policy_rule, NetworkPolicyRule);

	if (!r)
		return NULL;
	b->entry = from->key.s;
	r->name = str_of(b, from->name);
	r->endpoints = list_new(b, from->endpoint_count);
	for (size_t i = 0; r->endpoints && i < from->endpoint_count && !b->has_failed; i++) {
		b->endpoint = i;
		r->endpoints[r->n_endpoints++] = endpoint_of(b, &from->endpoints[i]);
	}
	r->binaries = list_new(b, from->binary_count);
	for (size_t i = 0; r->binaries && i < from->binary_count && !b->has_failed; i++) {
		PB(NetworkBinary) *binary = NEW(b, network_binary, NetworkBinary);

		if (binary)
			binary->path = str_of(b, from->binaries[i].path.s);
		r->binaries[r->n_binaries++] = binary;
	}
	b->entry = CV_STR_NONE;
	return r;
}

/* ---- middlewares ---- */

static Google__Protobuf__Value *value_of(struct builder *b, const struct cv_policy_node *node);

static Google__Protobuf__Struct *struct_of(struct builder *b, const struct cv_policy_node *node)
{
	Google__Protobuf__Struct *s = message_new(b, &google__protobuf__struct__descriptor);

	if (!s)
		return NULL;
	s->fields = list_new(b, node->n);
	for (size_t i = 0; s->fields && i < node->n && !b->has_failed; i++) {
		Google__Protobuf__Struct__FieldsEntry *e =
			message_new(b, &google__protobuf__struct__fields_entry__descriptor);

		if (!e)
			return NULL;
		e->key = str_of(b, node->v[i].key.s);
		e->value = value_of(b, &node->v[i]);
		s->fields[s->n_fields++] = e;
	}
	if (!b->has_failed)
		map_sort(s->fields, s->n_fields);
	return s;
}

static Google__Protobuf__ListValue *list_of(struct builder *b, const struct cv_policy_node *node)
{
	Google__Protobuf__ListValue *l = message_new(b, &google__protobuf__list_value__descriptor);

	if (!l)
		return NULL;
	l->values = list_new(b, node->n);
	for (size_t i = 0; l->values && i < node->n && !b->has_failed; i++)
		l->values[l->n_values++] = value_of(b, &node->v[i]);
	return l;
}

/* False: no double says the same. */
static bool number_of(const char *text, double *ret)
{
	char *end;

	*ret = strtod(text, &end);
	return *text && !*end && isfinite(*ret) && fabs(*ret) < 9007199254740992.0; /* 2^53 */
}

/* As deep as the loader read. */
static Google__Protobuf__Value *value_of(struct builder *b, const struct cv_policy_node *node)
{
	Google__Protobuf__Value *v = message_new(b, &google__protobuf__value__descriptor);

	if (!v)
		return NULL;
	switch (node->kind) {
	case CV_POLICY_NODE_NULL: v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE; break;
	case CV_POLICY_NODE_BOOL:
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
		v->bool_value = cv_str_eq_nocase(node->s, CV_STR("true"));
		break;
	case CV_POLICY_NODE_NUMBER:
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
		if (!number_of(str_of(b, node->s), &v->number_value))
			refuse(b, "network_middlewares: config: the number %.*s has no message",
				CV_POLICY_QUOTE(node->s));
		break;
	case CV_POLICY_NODE_STRING:
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
		v->string_value = str_of(b, node->s);
		break;
	case CV_POLICY_NODE_LIST:
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
		v->list_value = list_of(b, node);
		break;
	case CV_POLICY_NODE_MAPPING:
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
		v->struct_value = struct_of(b, node);
		break;
	}
	return v;
}

static PB(NetworkMiddlewareConfig) *
	middleware_of(struct builder *b, const struct cv_policy_middleware *from)
{
	PB(NetworkMiddlewareConfig) *m = NEW(b, network_middleware_config, NetworkMiddlewareConfig);

	if (!m)
		return NULL;
	m->name = str_of(b, from->name.s);
	m->middleware = str_of(b, from->middleware.s);
	m->on_error = str_of(b, from->on_error.s);
	m->order = (int32_t)from->order;
	if (from->has_config && from->config.kind == CV_POLICY_NODE_MAPPING)
		m->config = struct_of(b, &from->config);
	else if (from->has_config && from->config.kind != CV_POLICY_NODE_NULL)
		refuse(b, "network_middlewares: config is no mapping");
	if (!from->include.is_present && !from->exclude.is_present)
		return m;
	m->endpoints = NEW(b, middleware_endpoint_selector, MiddlewareEndpointSelector);
	if (m->endpoints) {
		m->endpoints->include = texts_of(b, &from->include, &m->endpoints->n_include);
		m->endpoints->exclude = texts_of(b, &from->exclude, &m->endpoints->n_exclude);
	}
	return m;
}

/* ---- the whole ---- */

static void static_fill(struct builder *b, const struct cv_policy_doc *doc, cv_policy_pb *m)
{
	if (doc->has_filesystem)
		m->filesystem = NEW(b, filesystem_policy, FilesystemPolicy);
	if (m->filesystem) {
		m->filesystem->include_workdir = doc->include_workdir;
		m->filesystem->read_only =
			texts_of(b, &doc->read_only, &m->filesystem->n_read_only);
		m->filesystem->read_write =
			texts_of(b, &doc->read_write, &m->filesystem->n_read_write);
	}
	if (doc->landlock_text.is_present)
		m->landlock = NEW(b, landlock_policy, LandlockPolicy);
	if (m->landlock)
		m->landlock->compatibility = str_of(b, doc->landlock_text.s);
	if (doc->run_as_user.is_present || doc->run_as_group.is_present)
		m->process = NEW(b, process_policy, ProcessPolicy);
	if (m->process) {
		m->process->run_as_user = str_of(b, doc->run_as_user.s);
		m->process->run_as_group = str_of(b, doc->run_as_group.s);
	}
}

static void entries_fill(struct builder *b, const struct cv_policy_doc *doc, cv_policy_pb *m)
{
	m->network_policies = list_new(b, doc->entry_count);
	for (size_t i = 0; m->network_policies && i < doc->entry_count && !b->has_failed; i++) {
		PB(SandboxPolicy__NetworkPoliciesEntry) *e =
			NEW(b, sandbox_policy__network_policies_entry,
				SandboxPolicy__NetworkPoliciesEntry);

		if (!e)
			return;
		e->key = str_of(b, doc->entries[i].key.s);
		e->value = entry_of(b, &doc->entries[i]);
		m->network_policies[m->n_network_policies++] = e;
	}
	if (!b->has_failed)
		map_sort(m->network_policies, m->n_network_policies);
}

static void middlewares_fill(struct builder *b, const struct cv_policy_doc *doc, cv_policy_pb *m)
{
	m->network_middlewares = list_new(b, doc->middleware_count);
	for (size_t i = 0; m->network_middlewares && i < doc->middleware_count && !b->has_failed;
		i++) {
		PB(SandboxPolicy__NetworkMiddlewaresEntry) *e =
			NEW(b, sandbox_policy__network_middlewares_entry,
				SandboxPolicy__NetworkMiddlewaresEntry);

		if (!e)
			return;
		e->key = str_of(b, doc->middlewares[i].key.s);
		e->value = middleware_of(b, &doc->middlewares[i]);
		m->network_middlewares[m->n_network_middlewares++] = e;
	}
	if (!b->has_failed)
		map_sort(m->network_middlewares, m->n_network_middlewares);
}

/* The section as the writer gives it: {"tools":{...}} without what is around. */
static void tools_fill(struct builder *b, const struct cv_policy_doc *doc, cv_policy_pb *m)
{
	static const struct cv_str before = { "{\"tools\":", 9 };
	struct cv_buf json;

	if (!doc->has_tools && !doc->tool_rule_count)
		return;
	cv_buf_init(&json, CV_POLICY_PB_TEXT_BYTES_MAX);
	cv_fill_write(&cv_policy_tools_schema, doc, &json);
	const struct cv_str all = cv_buf_str(&json);
	if (json.is_overflown || !cv_str_has_prefix(all, before))
		refuse(b, "tools: more than a message holds");
	else
		m->tools = str_of(b, cv_str_slice(all, before.n, all.n - 1));
	cv_buf_fini(&json);
}

cv_code cv_policy_pb_from_doc(const struct cv_policy_doc *doc, struct cv_arena *arena,
	cv_policy_pb **ret, struct cv_err *err)
{
	struct builder b = { .arena = arena, .err = err };
	cv_policy_pb *m = NEW(&b, sandbox_policy, SandboxPolicy);

	if (m) {
		m->version = doc->version;
		static_fill(&b, doc, m);
		entries_fill(&b, doc, m);
		middlewares_fill(&b, doc, m);
		tools_fill(&b, doc, m);
	}
	if (arena->is_overflown)
		return cv_fail(err, CV_LIMIT, "the policy needs more than %zu bytes of memory",
			arena->max);
	if (b.has_failed)
		return CV_INVALID;
	const size_t n = protobuf_c_message_get_packed_size(&m->base);
	if (n > CV_POLICY_PB_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "policy exceeds maximum encoded size (%zu > %u)", n,
			CV_POLICY_PB_BYTES_MAX);
	*ret = m;
	return CV_OK;
}
