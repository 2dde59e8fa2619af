/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draft_agent.c - proposals by the agent itself, through http://policy.local
 *
 *     agent --JSON--> proxy --PROPOSE, rules as data--> supervisor --> here
 *     agent <-------- proxy <--PROPOSED, status and JSON of ours------'
 *
 * Of the agent's text nothing comes here but the strings of its rules, in a frame (plan/proposal.h); who
 * it is says the link.  What is submitted is stored before it is answered, as for any other caller.
 */
#include "gateway/draft_int.h"

#include "gateway/sandbox.h"
#include "gateway/settings.h"
#include "ipc/gateway_link.h"
#include "plan/proposal.h"

#include <stdarg.h>
#include <stdio.h>

#define ANSWER_BYTES_MAX 32768 /* reasons of 16 chunks, or one chunk */

typedef Openshell__Sandbox__V1__NetworkEndpoint endpoint_t;
typedef Openshell__Sandbox__V1__NetworkBinary binary_t;

struct asked {
	struct cv_gw_box *b;
	uint64_t tag;
	struct cv_arena arena;
	struct cv_buf json;
	uint32_t status;
	bool is_final; /* there is nothing to wait for */
};

CV_PRINTF(4, 5)
static void refuse(struct asked *a, uint32_t status, const char *code, const char *fmt, ...)
{
	char text[CV_ERR_MSG_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	a->status = status;
	a->is_final = true;
	cv_buf_reset(&a->json);
	cv_buf_printf(&a->json, "{\"error\":\"%s\",\"detail\":", code);
	cv_buf_put_json_str(&a->json, cv_str_of(text));
	cv_buf_put_byte(&a->json, '}');
}

/* ---- a rule ---- */

static char *z(struct cv_str s)
{
	return s.n ? (char *)(uintptr_t)s.p : (char *)(uintptr_t) ""; /* a codec's end with NUL */
}

/* n new messages of size, and pointers to them. */
static void *messages(struct cv_arena *arena, uint32_t n, size_t size, void ***ret)
{
	char *v = cv_arena_array(arena, n + 1, size);

	*ret = cv_arena_array(arena, n + 1, sizeof(void *));
	for (uint32_t i = 0; v && *ret && i < n; i++)
		(*ret)[i] = v + i * size;
	return *ret ? v : NULL;
}

static bool rules_fill(endpoint_t *to, const struct cv_proposal_endpoint *e, struct cv_arena *arena)
{
	Openshell__Sandbox__V1__L7Rule *rule =
		messages(arena, e->rule_count, sizeof(*rule), (void ***)&to->rules);
	Openshell__Sandbox__V1__L7Allow *allow =
		cv_arena_array(arena, e->rule_count + 1, sizeof(*allow));
	Openshell__Sandbox__V1__L7DenyRule *deny =
		messages(arena, e->deny_rule_count, sizeof(*deny), (void ***)&to->deny_rules);

	if (!rule || !allow || !deny)
		return false;
	for (uint32_t i = 0; i < e->rule_count; i++) {
		openshell__sandbox__v1__l7_rule__init(&rule[i]);
		openshell__sandbox__v1__l7_allow__init(&allow[i]);
		rule[i].allow = &allow[i];
		allow[i].method = z(e->rules[i].method);
		allow[i].path = z(e->rules[i].path);
		allow[i].command = z(e->rules[i].command);
	}
	for (uint32_t i = 0; i < e->deny_rule_count; i++) {
		openshell__sandbox__v1__l7_deny_rule__init(&deny[i]);
		deny[i].method = z(e->deny_rules[i].method);
		deny[i].path = z(e->deny_rules[i].path);
		deny[i].command = z(e->deny_rules[i].command);
	}
	to->n_rules = e->rule_count;
	to->n_deny_rules = e->deny_rule_count;
	return true;
}

static bool endpoint_fill(
	endpoint_t *to, const struct cv_proposal_endpoint *e, struct cv_arena *arena)
{
	openshell__sandbox__v1__network_endpoint__init(to);
	to->host = z(e->host);
	to->port = e->port;
	to->ports = e->ports;
	to->n_ports = e->port_count;
	to->protocol = z(e->protocol);
	to->tls = z(e->tls);
	to->enforcement = z(e->enforcement);
	to->access = z(e->access);
	to->allow_encoded_slash = e->allow_encoded_slash != 0;
	to->allowed_ips = cv_arena_array(arena, e->allowed_ip_count + 1, sizeof(char *));
	if (!to->allowed_ips)
		return false;
	for (uint32_t i = 0; i < e->allowed_ip_count; i++)
		to->allowed_ips[to->n_allowed_ips++] = z(e->allowed_ips[i]);
	return rules_fill(to, e, arena);
}

static bool rule_fill(rule_t *to, const struct cv_proposal *p, struct cv_arena *arena)
{
	openshell__sandbox__v1__network_policy_rule__init(to);
	endpoint_t *e = messages(arena, p->endpoint_count, sizeof(*e), (void ***)&to->endpoints);
	binary_t *b = messages(arena, p->binary_count, sizeof(*b), (void ***)&to->binaries);

	if (!e || !b)
		return false;
	for (uint32_t i = 0; i < p->endpoint_count; i++)
		if (!endpoint_fill(&e[i], &p->endpoints[i], arena))
			return false;
	for (uint32_t i = 0; i < p->binary_count; i++) {
		openshell__sandbox__v1__network_binary__init(&b[i]);
		b[i].path = z(p->binaries[i]);
	}
	to->n_endpoints = p->endpoint_count;
	to->n_binaries = p->binary_count;
	return true;
}

/* ---- submit ---- */

static void list_put(struct cv_buf *out, const char *name, const struct cv_buf *items)
{
	cv_buf_printf(out, ",\"%s\":[%.*s]", name, CV_STR_ARG(cv_buf_str(items)));
}

static void item_put(struct cv_buf *items, struct cv_str text)
{
	if (cv_buf_len(items))
		cv_buf_put_byte(items, ',');
	cv_buf_put_json_str(items, text);
}

static void submit(struct asked *a, struct cv_str bytes)
{
	struct cv_gateway *g = a->b->g;
	uint32_t accepted = 0, rejected = 0;
	enum cv_rpc_status s = CV_RPC_OK;
	struct cv_buf ids, reasons;
	struct cv_err err = { 0 };
	struct cv_proposals all;

	if (!cv_proposals_get(bytes, &a->arena, &all)) {
		refuse(a, 400, "invalid_proposal", "it can't be read");
		return;
	}
	cv_buf_init(&ids, 4096);
	cv_buf_init(&reasons, ANSWER_BYTES_MAX / 2);
	for (uint32_t i = 0; s == CV_RPC_OK && i < all.n; i++) {
		struct draft_proposal p = { .rule_name = z(all.v[i].rule_name),
			.rationale = z(all.intent),
			.stage = "initial",
			.hits = 1 };
		char id[CV_OBJECT_ID_BYTES + 1] = "";
		rule_t rule;

		p.rule = &rule;
		if (!rule_fill(&rule, &all.v[i], &a->arena)) {
			s = CV_RPC_INTERNAL;
			cv_fail(&err, CV_LIMIT, "no memory");
			break;
		}
		s = draft_take(g, a->b->object, &p, id, &err);
		accepted += s == CV_RPC_OK && id[0];
		rejected += s == CV_RPC_OK && !id[0];
		if (s == CV_RPC_OK && id[0])
			item_put(&ids, cv_str_of(id));
		else if (s == CV_RPC_OK)
			item_put(&reasons,
				cv_arena_printf(&a->arena, "operation %u: %s", i, err.msg));
	}
	if (s != CV_RPC_OK) {
		refuse(a, 502, "proposal_submit_failed", "%s", err.msg);
	} else {
		a->status = 202;
		a->is_final = true;
		cv_buf_printf(&a->json,
			"{\"status\":\"submitted\",\"accepted_chunks\":%u,\"rejected_chunks\":%u",
			accepted, rejected);
		list_put(&a->json, "rejection_reasons", &reasons);
		list_put(&a->json, "accepted_chunk_ids", &ids);
		cv_buf_put_byte(&a->json, '}');
	}
	cv_buf_fini(&ids);
	cv_buf_fini(&reasons);
}

/* ---- show ---- */

/* The sandbox decides by the newest policy that it was to have. */
static bool is_reloaded(const struct cv_gateway *g, const struct cv_object *sandbox)
{
	const struct cv_object *o = cv_gw_revision_latest(g, cv_gw_revision_scope(sandbox));

	return o && cv_gw_revision_status(cv_gw_revision_of(o)) ==
			    OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED;
}

static void chunk_put(struct asked *a, const chunk_t *k, const struct draft_effect *e)
{
	const struct {
		const char *name, *text;
	} row[] = {
		{ "status", k->status },
		{ "rule_name", k->rule_name },
		{ "binary", k->binary },
		{ "rejection_reason", k->rejection_reason },
		{ "validation_result", k->validation_result },
		{ "application_error", e ? e->error : k->application_error },
		{ "review_token", e ? e->token : k->review_token },
		{ "current_effective_policy_hash",
			e ? e->was_hash : k->current_effective_policy_hash },
		{ "candidate_effective_policy_hash",
			e ? e->is_hash : k->candidate_effective_policy_hash },
	};

	cv_buf_put(&a->json, CV_STR("{\"chunk_id\":"));
	cv_buf_put_json_str(&a->json, cv_str_of(k->id));
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		cv_buf_printf(&a->json, ",\"%s\":", row[i].name);
		cv_buf_put_json_str(&a->json, cv_str_of(row[i].text));
	}
}

static void show(struct asked *a, struct cv_str id)
{
	struct cv_gateway *g = a->b->g;
	const struct cv_object *sandbox = a->b->object,
			       *o = cv_object_find(g->objects, CV_OBJECT_DRAFT_CHUNK,
				       cv_str_of(sandbox->id), id);
	struct draft_effect e;
	struct cv_err err;

	if (!o) {
		refuse(a, 404, "not_found", "no proposal of this sandbox has that id");
		return;
	}
	const bool is_pending = chunk_is(o, "pending"), is_approved = chunk_is(o, "approved");
	const bool has_effect = is_pending && draft_effect(g, sandbox, chunk_of(o), NULL, &a->arena,
						      &e, &err) == CV_RPC_OK;

	chunk_put(a, chunk_of(o), has_effect ? &e : NULL);
	const bool is_there = is_approved && is_reloaded(g, sandbox);
	if (is_approved)
		cv_buf_printf(&a->json, ",\"policy_reloaded\":%s", is_there ? "true" : "false");
	cv_buf_put_byte(&a->json, '}');
	a->status = 200;
	a->is_final = is_approved ? is_there : !is_pending;
}

/* ---- the link ---- */

static void answer(struct asked *a)
{
	struct cv_buf body;

	if (a->json.is_overflown)
		refuse(a, 502, "proposal_submit_failed", "the answer is too long");
	cv_buf_init(&body, CV_IPC_BODY_BYTES_MAX);
	cv_ipc_put_u64(&body, a->tag);
	cv_ipc_put_u32(&body, a->status);
	cv_ipc_put_u32(&body, a->is_final);
	cv_ipc_put_str(&body, cv_buf_str(&a->json));
	(void)!cv_gw_box_send(a->b, CV_GATEWAY_REQ_PROPOSED, cv_buf_str(&body), NULL, 0);
	cv_buf_fini(&body);
}

static void on_message(struct cv_gw_box *b, uint32_t type, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	struct asked a = { .b = b };

	if (type != CV_GATEWAY_REPLY_PROPOSE)
		return;
	a.tag = cv_ipc_get_u64(&r);
	const uint32_t what = cv_ipc_get_u32(&r);
	const struct cv_str text = cv_ipc_get_str(&r);
	if (!cv_ipc_reader_is_done(&r))
		return;
	cv_arena_init(&a.arena, CV_GW_POLICY_ARENA_MAX);
	cv_buf_init(&a.json, ANSWER_BYTES_MAX);
	if (!cv_gw_setting_is_true(b->g, cv_str_of(b->object->id), CV_GW_SETTING_PROPOSALS))
		refuse(&a, 404, "feature_disabled",
			"agents' proposals are off: the setting " CV_GW_SETTING_PROPOSALS);
	else if (what == CV_GATEWAY_PROPOSE_SUBMIT)
		submit(&a, text);
	else
		show(&a, text);
	answer(&a);
	cv_buf_fini(&a.json);
	cv_arena_fini(&a.arena);
}

void draft_agent_hook(struct cv_gateway *g)
{
	static const struct cv_gw_box_hooks hooks = { .message = on_message };

	cv_gw_box_hook(g, &hooks);
}
