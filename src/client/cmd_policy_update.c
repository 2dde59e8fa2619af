/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_policy_update.c - `policy update`: endpoints and rules as words of the command line
 *
 *     --add-endpoint host:port[:access[:protocol[:enforcement[:opt,opt]]]]
 *     --add-allow, --add-deny host:port:METHOD:path_glob
 *
 * An IPv6 address is written in brackets, which earlier clients could not.
 */
#include "client/commands.h"
#include "client/policy.h"
#include "client/policy_change.h"
#include "client/sandbox.h"

#include "base/time.h"
#include "rpc/policy_merge.h"

#include <ctype.h>
#include <string.h>

#define OPERATIONS_MAX 256 /* on one command line */

struct change {
	struct cl *c;
	Openshell__V1__PolicyMergeOperation *v[OPERATIONS_MAX];
	size_t n;
};

static Openshell__V1__PolicyMergeOperation *operation(struct change *ch)
{
	Openshell__V1__PolicyMergeOperation *op = cl_alloc(ch->c, sizeof(*op));

	if (ch->n == OPERATIONS_MAX)
		cl_die_usage(ch->c, "more than %d changes at once", OPERATIONS_MAX);
	openshell__v1__policy_merge_operation__init(op);
	ch->v[ch->n++] = op;
	return op;
}

/* Takes "host:port" from the front of *rest; dies. */
static char *host_port(struct cl *c, const char *flag, struct cv_str *rest, uint32_t *ret_port)
{
	const struct cv_str all = *rest;
	struct cv_str host;
	uint64_t port;

	if (cv_str_has_prefix(*rest, CV_STR("["))) {
		const size_t end = cv_str_find_byte(*rest, ']');

		host = cv_str_slice(*rest, 1, end);
		*rest = cv_str_slice(*rest, end + 1, rest->n);
		if (rest->n && rest->p[0] == ':')
			*rest = cv_str_slice(*rest, 1, rest->n);
	} else {
		host = cv_str_cut(rest, ':');
	}
	const struct cv_str text = rest->p ? cv_str_cut(rest, ':') : CV_STR_NONE;
	if (!host.n || !cv_str_to_u64(text, 65535, &port) || !port)
		cl_die_usage(c, "invalid value '%.*s' for '--%s': expected HOST:PORT",
			CV_STR_ARG(all), flag);
	*ret_port = (uint32_t)port;
	return cl_print(c, "%.*s", CV_STR_ARG(host));
}

/* ---- endpoints ---- */

static char *word(struct cl *c, struct cv_str *rest)
{
	const struct cv_str s = rest->p ? cv_str_cut(rest, ':') : CV_STR_NONE;

	return cl_print(c, "%.*s", CV_STR_ARG(s));
}

static bool one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(s, *words) == 0)
			return true;
	return !*s;
}

static void options_put(
	struct cl *c, Openshell__Sandbox__V1__NetworkEndpoint *e, struct cv_str rest)
{
	e->allowed_ips = cl_alloc(c, (rest.n + 1) * sizeof(char *));
	while (rest.p && rest.n) {
		const struct cv_str opt = cv_str_cut(&rest, ',');

		if (cv_str_has_prefix(opt, CV_STR("allowed-ip=")))
			e->allowed_ips[e->n_allowed_ips++] =
				cl_print(c, "%.*s", (int)opt.n - 11, opt.p + 11);
		else if (cv_str_eq(opt, CV_STR("websocket-credential-rewrite")))
			e->websocket_credential_rewrite = true;
		else if (cv_str_eq(opt, CV_STR("request-body-credential-rewrite")))
			e->request_body_credential_rewrite = true;
		else if (cv_str_eq(opt, CV_STR("allow-uninspected-credentials")))
			e->allow_uninspected_credentials = true;
		else
			cl_die_usage(
				c, "invalid option '%.*s' of '--add-endpoint'", CV_STR_ARG(opt));
	}
}

static Openshell__Sandbox__V1__NetworkEndpoint *endpoint_make(struct cl *c, const char *text)
{
	static const char *const access_words[] = { "read-only", "read-write", "full", NULL };
	static const char *const protocols[] = { "tcp", "rest", "websocket", "sql", NULL };
	static const char *const enforcements[] = { "enforce", "audit", NULL };
	Openshell__Sandbox__V1__NetworkEndpoint *e = cl_alloc(c, sizeof(*e));
	struct cv_str rest = cv_str_of(text);

	openshell__sandbox__v1__network_endpoint__init(e);
	e->host = host_port(c, "add-endpoint", &rest, &e->port);
	e->n_ports = 1;
	e->ports = cl_alloc(c, sizeof(*e->ports));
	e->ports[0] = e->port;
	e->access = word(c, &rest);
	e->protocol = word(c, &rest);
	e->enforcement = word(c, &rest);
	if (!one_of(e->access, access_words))
		cl_die_usage(c,
			"invalid access '%s' of '--add-endpoint': read-only, read-write or full",
			e->access);
	if (!one_of(e->protocol, protocols))
		cl_die_usage(c,
			"invalid protocol '%s' of '--add-endpoint': tcp, rest, websocket or sql",
			e->protocol);
	if (!one_of(e->enforcement, enforcements))
		cl_die_usage(c, "invalid enforcement '%s' of '--add-endpoint': enforce or audit",
			e->enforcement);
	options_put(c, e, rest);
	return e;
}

static char *rule_name(struct cl *c, const Openshell__Sandbox__V1__NetworkEndpoint *e)
{
	char name[CV_POLICY_RULE_NAME_BYTES];

	cv_policy_rule_name(e->host, e->port, name);
	return cl_dup(c, name);
}

static void endpoints_add(struct change *ch)
{
	struct cl *c = ch->c;
	const size_t binaries = cl_flag_count(&c->w, "binary");
	const size_t n = cl_flag_count(&c->w, "add-endpoint");

	if ((binaries || cl_has(&c->w, "rule-name")) && !n)
		cl_die_usage(c, "--binary and --rule-name need --add-endpoint");
	if (cl_has(&c->w, "rule-name") && n != 1)
		cl_die_usage(c, "--rule-name needs exactly one --add-endpoint");
	for (size_t i = 0; i < n; i++) {
		Openshell__Sandbox__V1__NetworkPolicyRule *rule = cl_alloc(c, sizeof(*rule));
		Openshell__V1__AddNetworkRule *add = cl_alloc(c, sizeof(*add));
		Openshell__V1__PolicyMergeOperation *op = operation(ch);

		openshell__sandbox__v1__network_policy_rule__init(rule);
		openshell__v1__add_network_rule__init(add);
		rule->endpoints = cl_alloc(c, sizeof(*rule->endpoints));
		rule->endpoints[0] = endpoint_make(c, cl_flag_at(&c->w, "add-endpoint", i));
		rule->n_endpoints = 1;
		rule->binaries = cl_alloc(c, (binaries + 1) * sizeof(*rule->binaries));
		for (size_t k = 0; k < binaries; k++) {
			rule->binaries[k] = cl_alloc(c, sizeof(*rule->binaries[k]));
			openshell__sandbox__v1__network_binary__init(rule->binaries[k]);
			rule->binaries[k]->path = cl_dup(c, cl_flag_at(&c->w, "binary", k));
		}
		rule->n_binaries = binaries;
		add->rule_name = cl_has(&c->w, "rule-name") ? cl_dup(c, cl_flag(&c->w, "rule-name"))
							    : rule_name(c, rule->endpoints[0]);
		rule->name = add->rule_name;
		add->rule = rule;
		op->operation_case = OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_RULE;
		op->add_rule = add;
	}
}

static void endpoints_remove(struct change *ch)
{
	for (size_t i = 0; i < cl_flag_count(&ch->c->w, "remove-endpoint"); i++) {
		struct cv_str rest = cv_str_of(cl_flag_at(&ch->c->w, "remove-endpoint", i));
		Openshell__V1__RemoveNetworkEndpoint *m = cl_alloc(ch->c, sizeof(*m));
		Openshell__V1__PolicyMergeOperation *op = operation(ch);

		openshell__v1__remove_network_endpoint__init(m);
		m->host = host_port(ch->c, "remove-endpoint", &rest, &m->port);
		if (rest.n)
			cl_die_usage(
				ch->c, "invalid value for '--remove-endpoint': expected HOST:PORT");
		op->operation_case =
			OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_REMOVE_ENDPOINT;
		op->remove_endpoint = m;
	}
}

static void rules_remove(struct change *ch)
{
	for (size_t i = 0; i < cl_flag_count(&ch->c->w, "remove-rule"); i++) {
		Openshell__V1__RemoveNetworkRule *m = cl_alloc(ch->c, sizeof(*m));
		Openshell__V1__PolicyMergeOperation *op = operation(ch);

		openshell__v1__remove_network_rule__init(m);
		m->rule_name = cl_dup(ch->c, cl_flag_at(&ch->c->w, "remove-rule", i));
		op->operation_case = OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_REMOVE_RULE;
		op->remove_rule = m;
	}
}

/* ---- requests ---- */

struct request {
	char *host, *method, *path;
	uint32_t port;
};

static struct request request_parse(struct cl *c, const char *flag, const char *text)
{
	struct cv_str rest = cv_str_of(text);
	struct request r;

	r.host = host_port(c, flag, &rest, &r.port);
	r.method = word(c, &rest);
	r.path = cl_print(c, "%.*s", CV_STR_ARG(rest)); /* may hold colons */
	if (!*r.method || !*r.path)
		cl_die_usage(c, "invalid value '%s' for '--%s': expected HOST:PORT:METHOD:PATH",
			text, flag);
	for (char *p = r.method; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return r;
}

static void allows_add(struct change *ch)
{
	struct cl *c = ch->c;

	for (size_t i = 0; i < cl_flag_count(&c->w, "add-allow"); i++) {
		const struct request r =
			request_parse(c, "add-allow", cl_flag_at(&c->w, "add-allow", i));
		Openshell__V1__AddAllowRules *m = cl_alloc(c, sizeof(*m));
		Openshell__Sandbox__V1__L7Rule *rule = cl_alloc(c, sizeof(*rule));
		Openshell__Sandbox__V1__L7Allow *allow = cl_alloc(c, sizeof(*allow));
		Openshell__V1__PolicyMergeOperation *op = operation(ch);

		openshell__v1__add_allow_rules__init(m);
		openshell__sandbox__v1__l7_rule__init(rule);
		openshell__sandbox__v1__l7_allow__init(allow);
		allow->method = r.method;
		allow->path = r.path;
		rule->allow = allow;
		m->host = r.host;
		m->port = r.port;
		m->rules = cl_alloc(c, sizeof(*m->rules));
		m->rules[0] = rule;
		m->n_rules = 1;
		op->operation_case =
			OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_ALLOW_RULES;
		op->add_allow_rules = m;
	}
}

static void denies_add(struct change *ch)
{
	struct cl *c = ch->c;

	for (size_t i = 0; i < cl_flag_count(&c->w, "add-deny"); i++) {
		const struct request r =
			request_parse(c, "add-deny", cl_flag_at(&c->w, "add-deny", i));
		Openshell__V1__AddDenyRules *m = cl_alloc(c, sizeof(*m));
		Openshell__Sandbox__V1__L7DenyRule *rule = cl_alloc(c, sizeof(*rule));
		Openshell__V1__PolicyMergeOperation *op = operation(ch);

		openshell__v1__add_deny_rules__init(m);
		openshell__sandbox__v1__l7_deny_rule__init(rule);
		rule->method = r.method;
		rule->path = r.path;
		m->host = r.host;
		m->port = r.port;
		m->deny_rules = cl_alloc(c, sizeof(*m->deny_rules));
		m->deny_rules[0] = rule;
		m->n_deny_rules = 1;
		op->operation_case =
			OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_DENY_RULES;
		op->add_deny_rules = m;
	}
}

/* "api.example.com:443, access full, protocol rest, by /usr/bin/curl" */
static const char *rule_text(struct cl *c, const Openshell__Sandbox__V1__NetworkPolicyRule *r)
{
	const Openshell__Sandbox__V1__NetworkEndpoint *e = r->endpoints[0];
	const struct {
		const char *name, *value;
	} rows[] = { { "access", e->access }, { "protocol", e->protocol },
		{ "enforcement", e->enforcement } };
	const char *text = cl_print(c, "%s:%u", e->host, e->port);

	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		if (*rows[i].value)
			text = cl_print(c, "%s, %s %s", text, rows[i].name, rows[i].value);
	for (size_t i = 0; i < r->n_binaries; i++)
		text = cl_print(c, "%s%s%s", text, i ? ", " : ", by ", r->binaries[i]->path);
	return r->n_binaries ? text : cl_print(c, "%s, by no program", text);
}

/* A rule that nobody may use is what somebody gets who leaves --binary out. */
static void useless_tell(struct cl *c, const struct change *ch, const char *name)
{
	const cv_policy_pb *is = NULL;

	if (cl_has(&c->w, "add-endpoint") && !cl_has(&c->w, "binary")) {
		const Openshell__V1__SandboxPolicyRevision *r =
			cl_policy_status(c, name, 0)->revision;

		is = r ? r->policy : NULL;
	}
	for (size_t i = 0; is && i < ch->n; i++) {
		const Openshell__V1__PolicyMergeOperation *op = ch->v[i];
		const Openshell__Sandbox__V1__NetworkPolicyRule *rule =
			op->operation_case ==
					OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_RULE
				? cv_policy_pb_rule(is, op->add_rule->rule_name)
				: NULL;

		if (rule && !rule->n_binaries)
			cl_note(c,
				"rule '%s' has no binaries, so no program may use it; say which: "
				"--binary PATH (\"**\" for any)",
				cl_shown(c, op->add_rule->rule_name));
	}
}

static void print_plan(struct cl *c, const struct change *ch, const char *name)
{
	static const char *const names[] = { "?", "add rule", "remove endpoint", "remove rule",
		"add deny rules", "add allow rules", "remove binary" };

	printf("Would change the policy of sandbox %s:\n", cl_shown(c, name));
	for (size_t i = 0; i < ch->n; i++) {
		const Openshell__V1__PolicyMergeOperation *op = ch->v[i];
		const char *what = "";

		if (op->operation_case == OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_RULE)
			what = cl_print(c, "%s (%s)", op->add_rule->rule_name,
				rule_text(c, op->add_rule->rule));
		else if (op->operation_case ==
			 OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_REMOVE_ENDPOINT)
			what = cl_print(
				c, "%s:%u", op->remove_endpoint->host, op->remove_endpoint->port);
		else if (op->operation_case ==
			 OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_REMOVE_RULE)
			what = op->remove_rule->rule_name;
		else if (op->operation_case ==
			 OPENSHELL__V1__POLICY_MERGE_OPERATION__OPERATION_ADD_DENY_RULES)
			what = cl_print(c, "%s:%u %s %s", op->add_deny_rules->host,
				op->add_deny_rules->port, op->add_deny_rules->deny_rules[0]->method,
				op->add_deny_rules->deny_rules[0]->path);
		else
			what = cl_print(c, "%s:%u %s %s", op->add_allow_rules->host,
				op->add_allow_rules->port,
				op->add_allow_rules->rules[0]->allow->method,
				op->add_allow_rules->rules[0]->allow->path);
		printf("  %s: %s\n", names[op->operation_case], cl_shown(c, what));
	}
}

int cl_run_policy_update(struct cl *c)
{
	struct change ch = { .c = c };
	Openshell__V1__UpdateConfigRequest in;

	rules_remove(&ch);
	endpoints_remove(&ch);
	endpoints_add(&ch);
	allows_add(&ch);
	denies_add(&ch);
	if (!ch.n)
		cl_die_usage(c, "nothing to change: see the flags of policy update");
	const char *name = cl_sandbox_name(c, cl_arg(&c->w, 0));
	if (cl_has(&c->w, "dry-run")) {
		print_plan(c, &ch, name);
		return 0;
	}
	openshell__v1__update_config_request__init(&in);
	in.name = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	in.merge_operations = ch.v;
	in.n_merge_operations = ch.n;
	const int status = cl_policy_submit(c, &in, name);
	useless_tell(c, &ch, name);
	return status;
}
