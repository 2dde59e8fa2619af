/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.c - a new policy: all of it, or the old one stays
 *
 * Load, validate, ask whether this build can enforce it, compile; only then is one pointer
 * changed.  A request keeps the snapshot that it started with; the next one on the same
 * connection is decided by the new one.  What passes bytes unseen (raw tunnels) is asked again at
 * once, and closed if the new policy would not allow it; so is a WebSocket's upgrade, and the
 * request of an exchange that is under way (a stream of events may last for hours).
 *
 * The policy names executables by paths that may be links inside the sandbox, where we can't
 * look.  The supervisor is asked where they lead (RESOLVE), and its answer (RESOLVED) compiles
 * the same text once more with the targets added.  A later policy is compiled with the last answer
 * at once, and only once more if the next answer is another one: so links that were there before
 * are never denied for a moment.
 */
#include "proxy/postgres.h"
#include "proxy/websocket.h"

#include "base/assert.h"
#include "policy/findings.h"

#include <stdlib.h>

/* What the supervisor shows to the user. */
static void result_say(struct cv_proxy *p, cv_code code, struct cv_str text)
{
	struct cv_buf b;

	cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
	cv_ipc_put_u32(&b, (uint32_t)code);
	cv_ipc_put_str(&b, cv_str_slice(text, 0, CV_IPC_BODY_BYTES_MAX - 16));
	(void)!cv_ipc_send(p->link, CV_PROXY_REPLY_POLICY_RESULT, cv_buf_str(&b), NULL, 0, NULL);
	cv_buf_fini(&b);
}

static void findings_print(struct cv_str file, const struct cv_findings *f, struct cv_buf *out)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct cv_finding *v = &f->v[i];

		cv_buf_printf(out, "%.*s:%u:%u: %s%.*s%s%.*s%s%.*s\n", CV_STR_ARG(file),
			v->pos.line, v->pos.column,
			v->is_error ? "" : "warning: ", CV_STR_ARG(v->where),
			v->where.n ? ": " : "", CV_STR_ARG(v->message), v->fix.n ? "; " : "",
			CV_STR_ARG(v->fix));
	}
}

/* The pairs of a RESOLVED body, which they borrow from; false when it is none. */
static bool aliases_read(
	struct cv_str body, struct cv_policy_alias ret[CV_PROXY_ALIASES_MAX], size_t *ret_n)
{
	struct cv_ipc_reader r = { .rest = body };
	const size_t n = cv_ipc_get_u32(&r);

	if (n > CV_PROXY_ALIASES_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		ret[i].path = cv_ipc_get_str(&r);
		ret[i].target = cv_ipc_get_str(&r);
	}
	*ret_n = n;
	return cv_ipc_reader_is_done(&r);
}

/* Where the document names a port first. */
static struct cv_policy_pos port_pos(const struct cv_policy_doc *doc, uint32_t port)
{
	for (size_t e = 0; e < doc->entry_count; e++)
		for (size_t i = 0; i < doc->entries[e].endpoint_count; i++)
			for (size_t k = 0; k < doc->entries[e].endpoints[i].port_count; k++)
				if (doc->entries[e].endpoints[i].ports[k] == port)
					return doc->entries[e].endpoints[i].ports_pos;
	return (struct cv_policy_pos){ 0 };
}

/* With the interception anyip a port that nobody listens on is out of the policy's reach: a program's
 * connection to it would be refused unseen, or taken by another program. */
static cv_code ports_check(
	const struct cv_proxy *p, const struct cv_policy_doc *doc, struct cv_findings *findings)
{
	uint32_t named[CV_ARRAY_LEN(p->tcp) / 2 + 1], listened[CV_ARRAY_LEN(p->tcp) / 2];
	uint32_t listened_count = 0, missing;
	const size_t before = findings->error_count;

	if (p->interception != CV_INTERCEPTION_ANYIP)
		return CV_OK;
	for (uint32_t i = 0; i < p->tcp_count; i += 2)
		if (cv_accept_port(p->tcp[i]))
			listened[listened_count++] = cv_accept_port(p->tcp[i]);
	/* When they are more than these, one is missing among these already. */
	const size_t n = cv_policy_ports(doc, named, CV_ARRAY_LEN(named));
	missing = cv_anyip_missing(
		named, (uint32_t)CV_MIN(n, CV_ARRAY_LEN(named)), listened, listened_count);
	if (missing)
		cv_findings_add(findings, CV_FINDING_ERROR, port_pos(doc, missing), CV_STR_NONE,
			"start a new sandbox with this policy",
			"port %u: this sandbox's connections are intercepted by anyip, and nobody "
			"listens on this port in it",
			missing);
	return cv_findings_code(findings, before);
}

/* The snapshot of text, with what the supervisor said last; NULL when there are errors. */
static struct cv_policy *policy_make(const struct cv_proxy *p, struct cv_str file,
	struct cv_str text, struct cv_findings *findings, struct cv_err *err)
{
	static struct cv_policy_alias aliases[CV_PROXY_ALIASES_MAX]; /* scratch */
	const struct cv_str layer = p->policy_layer;
	struct cv_policy_doc *doc = NULL;
	struct cv_policy *policy = NULL;
	size_t alias_count = 0;

	cv_assert(!p->resolved.n || aliases_read(p->resolved, aliases, &alias_count));

	*err = (struct cv_err){ .code = CV_INVALID };
	if (cv_policy_load_layered(file, text, layer, &doc, findings) != CV_OK)
		return NULL;
	if (cv_policy_validate(doc, findings) != CV_OK ||
		cv_policy_enforceable(doc, findings) != CV_OK ||
		ports_check(p, doc, findings) != CV_OK) {
		cv_policy_doc_free(doc);
		return NULL;
	}
	if (cv_policy_compile_aliased(doc, aliases, alias_count, &policy, err) != CV_OK)
		return NULL;
	return policy;
}

static void policy_swap(struct cv_proxy *p, struct cv_policy *policy)
{
	cv_policy_unref(p->policy);
	p->policy = policy;
	cv_bonds_end(p);
	cv_idle_clear(p);
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		const bool stands = f->state == CV_FLOW_RELAY ? cv_decide_again(p, f)
				    : f->state == CV_FLOW_PG  ? cv_postgres_again(p, f)
							      : true;
		if (!stands) {
			cv_flow_end(p, f, true);
			cv_proxy_queue(p, f);
		}
		if (f->state == CV_FLOW_WEBSOCKET)
			cv_websocket_reload(p, f);
		if (f->state == CV_FLOW_HTTP && !cv_decide_exchange_again(p, f)) {
			cv_flow_end(p, f, true);
			cv_proxy_queue(p, f);
		}
	}
}

static bool is_asked(const struct cv_str *asked, size_t n, struct cv_str path)
{
	for (size_t i = 0; i < n; i++)
		if (cv_str_eq(asked[i], path))
			return true;
	return false;
}

struct asked {
	struct cv_str v[CV_PROXY_ALIASES_MAX];
	size_t n;
};

static void binaries_ask(
	struct asked *a, const struct cv_policy_binary *binaries, size_t count, struct cv_buf *body)
{
	for (size_t k = 0; k < count; k++) {
		const struct cv_str path = binaries[k].path.s;

		if (a->n == CV_PROXY_ALIASES_MAX || cv_str_has_byte(path, '*') ||
			is_asked(a->v, a->n, path) || !cv_ipc_put_str(body, path))
			continue;
		a->v[a->n++] = path;
	}
}

/* Literal paths of executables, each once; patterns can't be links. */
static void aliases_ask(struct cv_proxy *p)
{
	static struct asked asked; /* scratch */
	const struct cv_policy_doc *doc = cv_policy_doc(p->policy);
	struct cv_buf b, body;

	if (!doc)
		return;
	asked.n = 0;
	cv_buf_init(&body, CV_IPC_BODY_BYTES_MAX - 16);
	for (size_t e = 0; e < doc->entry_count; e++)
		binaries_ask(&asked, doc->entries[e].binaries, doc->entries[e].binary_count, &body);
	for (size_t e = 0; e < doc->tool_rule_count; e++)
		binaries_ask(&asked, doc->tool_rules[e].binaries, doc->tool_rules[e].binary_count,
			&body);
	const size_t n = asked.n;
	if (n && !body.is_overflown) {
		cv_buf_init(&b, CV_IPC_BODY_BYTES_MAX);
		cv_ipc_put_u32(&b, (uint32_t)n);
		cv_buf_put(&b, cv_buf_str(&body));
		(void)!cv_ipc_send(p->link, CV_PROXY_REPLY_RESOLVE, cv_buf_str(&b), NULL, 0, NULL);
		cv_buf_fini(&b);
	}
	cv_buf_fini(&body);
}

static void text_keep(struct cv_str *to, struct cv_str s)
{
	char *p = malloc(s.n + 1);

	cv_assert(p);
	if (s.n)
		memcpy(p, s.p, s.n);
	free((char *)(uintptr_t)to->p);
	*to = (struct cv_str){ p, s.n };
}

static void config_record(struct cv_proxy *p, bool is_good, struct cv_str reason)
{
	struct cv_audit_event e = {
		.kind = CV_AUDIT_CONFIG,
		.activity = CV_ACTIVITY_LOADED,
		.severity = is_good ? CV_SEVERITY_INFO : CV_SEVERITY_MEDIUM,
		.message = is_good ? CV_STR("Policy reloaded successfully")
				   : CV_STR("Policy not loaded; the one before stays"),
		.reason = reason,
	};

	cv_sinks_event(&p->sinks, &e);
}

void cv_reload_policy(struct cv_proxy *p, struct cv_str file, int fd)
{
	struct cv_findings findings;
	struct cv_policy *policy = NULL;
	struct cv_buf said;
	struct cv_err err;
	char *text = NULL;
	size_t n = 0;

	cv_findings_init(&findings);
	cv_buf_init(&said, 256 * 1024);
	if (cv_ipc_fd_read_all(fd, CV_PROXY_POLICY_BYTES_MAX, &text, &n, &err) == CV_OK)
		policy = policy_make(p, file, (struct cv_str){ text, n }, &findings, &err);
	findings_print(file, &findings, &said);
	if (!policy && !findings.error_count)
		cv_buf_printf(&said, "%.*s: %s\n", CV_STR_ARG(file), err.msg);
	const struct cv_str sentence = cv_buf_str(&said);
	if (policy) {
		text_keep(&p->policy_file, file);
		text_keep(&p->policy_text, (struct cv_str){ text, n });
		policy_swap(p, policy);
	}
	if (p->is_ready)
		config_record(p, policy != NULL, sentence);
	result_say(p, policy ? CV_OK : err.code, sentence);
	if (policy)
		aliases_ask(p);
	cv_buf_fini(&said);
	cv_findings_fini(&findings);
	free(text);
}

void cv_reload_default(struct cv_proxy *p)
{
	struct cv_err err;

	if (!p->policy && cv_policy_compile(NULL, &p->policy, &err) != CV_OK)
		cv_proxy_die(p, err.msg);
}

void cv_reload_aliases(struct cv_proxy *p, struct cv_str body)
{
	static struct cv_policy_alias aliases[CV_PROXY_ALIASES_MAX]; /* scratch */
	struct cv_findings findings;
	struct cv_policy *policy;
	struct cv_err err;
	size_t n;

	if (!p->policy_text.p || cv_str_eq(body, p->resolved) || !aliases_read(body, aliases, &n) ||
		(!n && !p->resolved.n))
		return;
	text_keep(&p->resolved, body);
	cv_findings_init(&findings);
	policy = policy_make(p, p->policy_file, p->policy_text, &findings, &err);
	if (policy)
		policy_swap(p, policy);
	cv_findings_fini(&findings);
}
