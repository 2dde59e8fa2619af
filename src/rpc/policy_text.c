/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_text.c - a policy's message as YAML
 *
 * Blocks for mappings and lists, one row of a table or one function per message.  Strings stand as
 * they are when nobody could read them as anything else, and in double quotes otherwise; then
 * everything that hides or reorders text is escaped.  The message may be a stranger's: whatever it
 * holds ends up inside quotes, or is refused.
 *
 * The writer keeps the place that it is at, for errors.
 */
#include "rpc/policy_pb.h"

#include "base/utf8.h"
#include "policy/limits.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PB(name)        Openshell__Sandbox__V1__##name

#define PLACE_BYTES_MAX 256

struct writer {
	struct cv_buf *out;
	struct cv_err *err;
	unsigned indent;
	bool is_open; /* "key:" stands there, and what follows is not yet known */
	bool is_item; /* the next line is the first of a list's element */
	bool has_failed;
	char place[PLACE_BYTES_MAX];
	size_t place_n;
};

CV_PRINTF(2, 3) static void refuse(struct writer *w, const char *fmt, ...)
{
	char text[CV_ERR_MSG_BYTES_MAX / 2];
	va_list ap;

	if (w->has_failed)
		return;
	w->has_failed = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)cv_fail(w->err, CV_INVALID, "%.*s: %s", (int)w->place_n, w->place, text);
}

/* ---- places ---- */

static size_t place_push(struct writer *w, const char *name)
{
	const size_t before = w->place_n;
	const int n = snprintf(w->place + before, sizeof(w->place) - before, "%s%.80s",
		before && name[0] ? "." : "", name);

	w->place_n = CV_MIN(before + (size_t)CV_MAX(n, 0), sizeof(w->place) - 1);
	return before;
}

static size_t place_push_index(struct writer *w, size_t i)
{
	const size_t before = w->place_n;
	const int n = snprintf(w->place + before, sizeof(w->place) - before, "[%zu]", i);

	w->place_n = CV_MIN(before + (size_t)CV_MAX(n, 0), sizeof(w->place) - 1);
	return before;
}

/* ---- scalars ---- */

static bool is_plain_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_-./", c));
}

/* Nothing else than this string to any reader of YAML: begins as a word or a path, and is none of
 * the words that some reader takes for a truth value, nothing or a number. */
static bool is_plain(struct cv_str s)
{
	static const char *const words[] = { "true", "false", "yes", "no", "on", "off", "null", "y",
		"n" };

	if (!s.n || !((s.p[0] >= 'a' && s.p[0] <= 'z') || (s.p[0] >= 'A' && s.p[0] <= 'Z') ||
			    s.p[0] == '/'))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_plain_byte(s.p[i]) && !(i && s.p[i] == '*'))
			return false;
	for (size_t i = 0; i < CV_ARRAY_LEN(words); i++)
		if (cv_str_eq_nocase(s, cv_str_of(words[i])))
			return false;
	return true;
}

static void put_quoted(struct writer *w, struct cv_str s)
{
	cv_buf_put_byte(w->out, '"');
	for (size_t i = 0; i < s.n;) {
		uint32_t cp = 0;
		const size_t step = cv_utf8_decode(cv_str_slice(s, i, s.n), &cp);

		if (!step) {
			refuse(w, "is not UTF-8");
			return;
		}
		if (cp == '"' || cp == '\\')
			cv_buf_printf(w->out, "\\%c", (char)cp);
		else if (cp < 0x20 || cp == 0x7f || cv_utf8_is_hidden(cp))
			cv_buf_printf(w->out, "\\U%08x", cp);
		else
			cv_buf_put(w->out, cv_str_slice(s, i, i + step));
		i += step;
	}
	cv_buf_put_byte(w->out, '"');
}

static void put_scalar(struct writer *w, const char *z)
{
	const struct cv_str s = cv_str_of(z);

	if (is_plain(s))
		cv_buf_put(w->out, s);
	else
		put_quoted(w, s);
}

/* ---- lines ---- */

static void line(struct writer *w)
{
	if (w->is_open)
		cv_buf_put_byte(w->out, '\n');
	w->is_open = false;
	for (unsigned i = 0; i + w->is_item < w->indent; i++)
		cv_buf_put(w->out, CV_STR("  "));
	if (w->is_item)
		cv_buf_put(w->out, CV_STR("- "));
	w->is_item = false;
}

static void key(struct writer *w, const char *name)
{
	line(w);
	put_scalar(w, name);
	cv_buf_put_byte(w->out, ':');
}

static size_t begin(struct writer *w, const char *name)
{
	const size_t before = place_push(w, name);

	key(w, name);
	w->is_open = true;
	w->indent++;
	return before;
}

static void end(struct writer *w, size_t before, const char *empty)
{
	if (w->is_open)
		cv_buf_printf(w->out, " %s\n", empty);
	w->is_open = false;
	w->indent--;
	w->place_n = before;
}

static size_t item_begin(struct writer *w, size_t i)
{
	w->is_item = true;
	w->indent++;
	return place_push_index(w, i);
}

static void item_end(struct writer *w, size_t before)
{
	if (w->is_item) { /* nothing was in it */
		line(w);
		cv_buf_put(w->out, CV_STR("{}\n"));
	}
	w->indent--;
	w->place_n = before;
}

static void put_str(struct writer *w, const char *name, const char *z)
{
	if (!z || !z[0])
		return;
	const size_t before = place_push(w, name);

	key(w, name);
	cv_buf_put_byte(w->out, ' ');
	put_scalar(w, z);
	cv_buf_put_byte(w->out, '\n');
	w->place_n = before;
}

static void put_word(struct writer *w, const char *name, const char *word)
{
	key(w, name);
	cv_buf_printf(w->out, " %s\n", word);
}

static void put_true(struct writer *w, const char *name, protobuf_c_boolean v)
{
	if (v)
		put_word(w, name, "true");
}

static void put_number(struct writer *w, const char *name, int64_t v)
{
	if (!v)
		return;
	key(w, name);
	cv_buf_printf(w->out, " %lld\n", (long long)v);
}

static void put_items(struct writer *w, char *const *v, size_t n)
{
	for (size_t i = 0; i < n && !w->has_failed; i++) {
		const size_t item = item_begin(w, i);

		line(w);
		put_scalar(w, v[i]);
		cv_buf_put_byte(w->out, '\n');
		item_end(w, item);
	}
}

static void put_list(struct writer *w, const char *name, char *const *v, size_t n)
{
	if (!n)
		return;
	const size_t before = begin(w, name);

	put_items(w, v, n);
	end(w, before, "[]");
}

/* ---- rules ---- */

static void put_globs(struct writer *w, const char *name, const PB(L7QueryMatcher) * m)
{
	const size_t before = begin(w, name);

	if (!m) {
		refuse(w, "has no matcher");
	} else if (m->n_any && m->glob[0]) {
		refuse(w, "has both glob and any; one of them");
	} else if (m->n_any) {
		put_list(w, "any", m->any, m->n_any);
	} else {
		w->is_open = false;
		cv_buf_put_byte(w->out, ' ');
		put_scalar(w, m->glob);
		cv_buf_put_byte(w->out, '\n');
	}
	end(w, before, "{}");
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

static void put_matchers(struct writer *w, const char *name, void *const *v, size_t n)
{
	if (!n)
		return;
	const size_t before = begin(w, name);

	for (size_t i = 0; i < n && !w->has_failed; i++) {
		const matcher_entry *e = v[i];

		put_globs(w, e->key, e->value);
	}
	end(w, before, "{}");
}

static void put_params(struct writer *w, const PB(L7Allow) * r, bool is_mcp)
{
	const PB(L7Allow__ParamsEntry) *only = r->n_params == 1 ? r->params[0] : NULL;

	if (is_mcp && only && strcmp(only->key, "name") == 0)
		put_globs(w, "tool", only->value);
	else
		put_matchers(w, "params", (void *const *)r->params, r->n_params);
}

static void put_rule(struct writer *w, const PB(L7Allow) * r, bool is_mcp)
{
	put_str(w, "method", r->method);
	put_str(w, "path", r->path);
	put_str(w, "command", r->command);
	put_matchers(w, "query", (void *const *)r->query, r->n_query);
	put_str(w, "operation_type", r->operation_type);
	put_str(w, "operation_name", r->operation_name);
	put_list(w, "fields", r->fields, r->n_fields);
	put_params(w, r, is_mcp);
}

static void put_rules(struct writer *w, const PB(NetworkEndpoint) * e, bool is_mcp)
{
	const size_t before = begin(w, "rules");

	for (size_t i = 0; i < e->n_rules && !w->has_failed; i++) {
		const size_t item = item_begin(w, i);

		if (!e->rules[i]->allow)
			refuse(w, "has no allow");
		else {
			const size_t allow = begin(w, "allow");

			put_rule(w, e->rules[i]->allow, is_mcp);
			end(w, allow, "{}");
		}
		item_end(w, item);
	}
	end(w, before, "[]");
}

static void put_deny_rules(struct writer *w, const PB(NetworkEndpoint) * e, bool is_mcp)
{
	const size_t before = begin(w, "deny_rules");

	for (size_t i = 0; i < e->n_deny_rules && !w->has_failed; i++) {
		const size_t item = item_begin(w, i);

		put_rule(w, (const void *)e->deny_rules[i], is_mcp);
		item_end(w, item);
	}
	end(w, before, "[]");
}

/* ---- endpoints ---- */

static void check_port(struct writer *w, uint32_t port)
{
	if (!port || port > UINT16_MAX)
		refuse(w, "%u is no port; 1 to 65535", port);
}

static void put_ports(struct writer *w, const PB(NetworkEndpoint) * e)
{
	const bool is_one = e->n_ports == 1 || (!e->n_ports && e->port);

	if (!e->n_ports && !e->port)
		return;
	const size_t before = place_push(w, is_one && !e->n_ports ? "port" : "ports");

	if (is_one) {
		check_port(w, e->n_ports ? e->ports[0] : e->port);
		put_number(w, "port", e->n_ports ? e->ports[0] : e->port);
		w->place_n = before;
		return;
	}
	key(w, "ports");
	for (size_t i = 0; i < e->n_ports && !w->has_failed; i++) {
		const size_t at = place_push_index(w, i);

		check_port(w, e->ports[i]);
		cv_buf_printf(w->out, "%s%u", i ? ", " : " [", e->ports[i]);
		w->place_n = at;
	}
	cv_buf_put(w->out, CV_STR("]\n"));
	w->place_n = before;
}

static void put_persisted(struct writer *w, const PB(NetworkEndpoint) * e)
{
	if (!e->n_graphql_persisted_queries)
		return;
	const size_t before = begin(w, "graphql_persisted_queries");

	for (size_t i = 0; i < e->n_graphql_persisted_queries && !w->has_failed; i++) {
		const PB(GraphqlOperation) *q = e->graphql_persisted_queries[i]->value;
		const size_t at = begin(w, e->graphql_persisted_queries[i]->key);

		if (q) {
			put_str(w, "operation_type", q->operation_type);
			put_str(w, "operation_name", q->operation_name);
			put_list(w, "fields", q->fields, q->n_fields);
		}
		end(w, at, "{}");
	}
	end(w, before, "{}");
}

static void put_mcp(struct writer *w, const PB(NetworkEndpoint) * e, bool is_mcp)
{
	const PB(McpOptions) *m = e->mcp;
	const uint32_t bytes = is_mcp ? e->json_rpc_max_body_bytes : 0;

	if (!m && !bytes)
		return;
	const size_t before = begin(w, "mcp");

	put_number(w, "max_body_bytes", bytes);
	if (m && m->_strict_tool_names_case)
		put_word(w, "strict_tool_names", m->strict_tool_names ? "true" : "false");
	if (m && m->_allow_all_known_mcp_methods_case)
		put_word(w, "allow_all_known_mcp_methods",
			m->allow_all_known_mcp_methods ? "true" : "false");
	end(w, before, "{}");
}

static void put_json_rpc(struct writer *w, uint32_t bytes)
{
	if (!bytes)
		return;
	const size_t before = begin(w, "json_rpc");

	put_number(w, "max_body_bytes", bytes);
	end(w, before, "{}");
}

static void put_binding(struct writer *w, const PB(NetworkCredentialBinding) * b)
{
	if (!b)
		return;
	const size_t before = begin(w, "credential_binding");

	put_str(w, "provider", b->provider);
	end(w, before, "{}");
}

static void put_endpoint(struct writer *w, const PB(NetworkEndpoint) * e)
{
	const bool is_mcp = strcmp(e->protocol, "mcp") == 0;

	put_str(w, "host", e->host);
	put_ports(w, e);
	put_str(w, "path", e->path);
	put_str(w, "protocol", e->protocol);
	put_str(w, "tls", e->tls);
	put_str(w, "enforcement", e->enforcement);
	put_str(w, "access", e->access);
	if (e->n_rules)
		put_rules(w, e, is_mcp);
	if (e->n_deny_rules)
		put_deny_rules(w, e, is_mcp);
	put_list(w, "allowed_ips", e->allowed_ips, e->n_allowed_ips);
	put_true(w, "allow_encoded_slash", e->allow_encoded_slash);
	put_true(w, "h2c", e->h2c);
	put_true(w, "websocket_credential_rewrite", e->websocket_credential_rewrite);
	put_true(w, "request_body_credential_rewrite", e->request_body_credential_rewrite);
	put_true(w, "allow_uninspected_credentials", e->allow_uninspected_credentials);
	put_str(w, "credential_signing", e->credential_signing);
	put_str(w, "signing_service", e->signing_service);
	put_str(w, "signing_region", e->signing_region);
	put_binding(w, e->credential_binding);
	put_true(w, "token_endpoint", e->token_endpoint);
	put_str(w, "credential_mode", e->credential_mode);
	put_str(w, "scrub", e->scrub);
	put_str(w, "body_hold", e->body_hold);
	put_str(w, "persisted_queries", e->persisted_queries);
	put_persisted(w, e);
	put_number(w, "graphql_max_body_bytes", e->graphql_max_body_bytes);
	if (!is_mcp)
		put_json_rpc(w, e->json_rpc_max_body_bytes);
	put_mcp(w, e, is_mcp);
}

static void put_network_policy(struct writer *w, const char *name, const PB(NetworkPolicyRule) * r)
{
	const size_t before = begin(w, name);
	size_t list;

	if (r && strcmp(r->name, name) != 0)
		put_str(w, "name", r->name);
	if (r && r->n_endpoints) {
		list = begin(w, "endpoints");
		for (size_t i = 0; i < r->n_endpoints && !w->has_failed; i++) {
			const size_t item = item_begin(w, i);

			put_endpoint(w, r->endpoints[i]);
			item_end(w, item);
		}
		end(w, list, "[]");
	}
	if (r && r->n_binaries) {
		list = begin(w, "binaries");
		for (size_t i = 0; i < r->n_binaries && !w->has_failed; i++) {
			const size_t item = item_begin(w, i);

			put_str(w, "path", r->binaries[i]->path);
			item_end(w, item);
		}
		end(w, list, "[]");
	}
	end(w, before, "{}");
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

static void put_struct(struct writer *w, const Google__Protobuf__Struct *s, unsigned depth);

/* On the line that was begun: behind "key:" (is_open) or behind "- ". */
static void put_value(struct writer *w, const Google__Protobuf__Value *v, unsigned depth)
{
	char number[64];

	if (depth > CV_POLICY_DEPTH_MAX) {
		refuse(w, "is nested deeper than %d", CV_POLICY_DEPTH_MAX);
		return;
	}
	if (v && v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE && v->struct_value) {
		put_struct(w, v->struct_value, depth + 1);
		return;
	}
	if (v && v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE && v->list_value) {
		const bool is_item = w->is_item;

		if (is_item) { /* "- - a" is for no eyes: the inner list in brackets only if empty */
			line(w);
			cv_buf_put(w->out, v->list_value->n_values ? CV_STR("\n") : CV_STR("[]\n"));
			w->indent++;
		}
		for (size_t i = 0; i < v->list_value->n_values && !w->has_failed; i++) {
			const size_t item = item_begin(w, i);

			put_value(w, v->list_value->values[i], depth + 1);
			item_end(w, item);
		}
		w->indent -= is_item;
		return;
	}
	if (w->is_item)
		line(w);
	else
		cv_buf_put_byte(w->out, ' ');
	w->is_open = false;
	const Google__Protobuf__Value__KindCase kind =
		v ? v->kind_case : GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;

	if (kind == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE)
		put_scalar(w, v->string_value);
	else if (kind == GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE)
		cv_buf_put(w->out, v->bool_value ? CV_STR("true") : CV_STR("false"));
	else if (kind != GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE)
		cv_buf_put(w->out, CV_STR("null"));
	else if (number_text(v->number_value, number))
		cv_buf_put(w->out, cv_str_of(number));
	else
		refuse(w, "is a number that a policy can't say");
	cv_buf_put_byte(w->out, '\n');
}

static const char *empty_of(const Google__Protobuf__Value *v)
{
	return v && v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE ? "[]" : "{}";
}

static void put_struct(struct writer *w, const Google__Protobuf__Struct *s, unsigned depth)
{
	for (size_t i = 0; i < s->n_fields && !w->has_failed; i++) {
		const size_t before = begin(w, s->fields[i]->key);

		put_value(w, s->fields[i]->value, depth);
		end(w, before, empty_of(s->fields[i]->value));
	}
}

static void put_middleware(
	struct writer *w, const char *name, const PB(NetworkMiddlewareConfig) * m)
{
	const size_t before = begin(w, name);
	size_t inside;

	if (m) {
		put_str(w, "name", m->name);
		put_str(w, "middleware", m->middleware);
		put_number(w, "order", m->order);
		if (m->config) {
			inside = begin(w, "config");
			put_struct(w, m->config, 0);
			end(w, inside, "{}");
		}
		put_str(w, "on_error", m->on_error);
	}
	if (m && m->endpoints) {
		inside = begin(w, "endpoints");
		put_list(w, "include", m->endpoints->include, m->endpoints->n_include);
		put_list(w, "exclude", m->endpoints->exclude, m->endpoints->n_exclude);
		end(w, inside, "{}");
	}
	end(w, before, "{}");
}

/* ---- the whole ---- */

static void put_static(struct writer *w, const cv_policy_pb *m)
{
	size_t before;

	if (m->filesystem) {
		before = begin(w, "filesystem_policy");
		put_word(w, "include_workdir", m->filesystem->include_workdir ? "true" : "false");
		put_list(w, "read_only", m->filesystem->read_only, m->filesystem->n_read_only);
		put_list(w, "read_write", m->filesystem->read_write, m->filesystem->n_read_write);
		end(w, before, "{}");
	}
	if (m->landlock && m->landlock->compatibility[0]) {
		before = begin(w, "landlock");
		put_str(w, "compatibility", m->landlock->compatibility);
		end(w, before, "{}");
	}
	if (m->process && (m->process->run_as_user[0] || m->process->run_as_group[0])) {
		before = begin(w, "process");
		put_str(w, "run_as_user", m->process->run_as_user);
		put_str(w, "run_as_group", m->process->run_as_group);
		end(w, before, "{}");
	}
}

static void put_network(struct writer *w, const cv_policy_pb *m)
{
	size_t before;

	if (m->n_network_policies) {
		before = begin(w, "network_policies");
		for (size_t i = 0; i < m->n_network_policies && !w->has_failed; i++)
			put_network_policy(
				w, m->network_policies[i]->key, m->network_policies[i]->value);
		end(w, before, "{}");
	}
	if (m->n_network_middlewares) {
		before = begin(w, "network_middlewares");
		for (size_t i = 0; i < m->n_network_middlewares && !w->has_failed; i++)
			put_middleware(w, m->network_middlewares[i]->key,
				m->network_middlewares[i]->value);
		end(w, before, "{}");
	}
}

/* JSON is YAML.  One mapping on one line can't become more than the value of its key, but for
 * what the loader then refuses. */
static void put_tools(struct writer *w, const char *json)
{
	const struct cv_str s = cv_str_of(json);
	const size_t before = place_push(w, "tools");

	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20)
			refuse(w, "is not one line of JSON");
	if (s.n && (s.p[0] != '{' || s.p[s.n - 1] != '}'))
		refuse(w, "is not a mapping in JSON");
	if (s.n)
		put_word(w, "tools", json);
	w->place_n = before;
}

cv_code cv_policy_pb_text(const cv_policy_pb *m, struct cv_buf *out, struct cv_err *err)
{
	struct writer w = { .out = out, .err = err };

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
