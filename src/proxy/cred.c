/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cred.c - see cred.h
 *
 * A head stays in the flow's buffer until it is sent on, so while the keeper is asked nothing is
 * kept but the question's tag: when the answer is there the head is parsed and judged once more.
 *
 * Credentials go out over TLS only (C1): in plain HTTP a placeholder refuses the request at once.
 */
#include "proxy/cred.h"

#include "base/assert.h"
#include "proxy/inside.h"
#include "proxy/scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A head, a few times over, with its credentials, and a body. */
#define SCRATCH_BYTES_MAX (CV_REWRITE_ARENA_BYTES + CV_REWRITE_BODY_ARENA_BYTES)

#define RELEASE_BYTES_MAX 32768      /* what the link takes */
#define CATALOG_BYTES_MAX (4u << 20) /* the automaton of 128 placeholders */

void cv_creds_fini(struct cv_creds *c)
{
	cv_arena_fini(&c->arena);
	cv_arena_fini(&c->scratch);
	*c = (struct cv_creds){ 0 };
}

/* ---- from the keeper ---- */

bool cv_creds_catalog_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	struct cv_creds *c = &p->creds;
	const uint32_t n = cv_ipc_get_u32(&r);

	if (n > CV_PH_ENTRIES_MAX || c->has_catalog)
		return false;
	c->has_catalog = true;
	if (!n)
		return cv_ipc_reader_is_done(&r);
	cv_arena_init(&c->arena, CATALOG_BYTES_MAX);
	cv_arena_init(&c->scratch, SCRATCH_BYTES_MAX);
	c->entries = cv_arena_array(&c->arena, n, sizeof(c->entries[0]));
	c->providers = cv_arena_array(&c->arena, n, sizeof(c->providers[0]));
	if (!c->entries || !c->providers)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		c->entries[i].key = cv_arena_str(&c->arena, cv_ipc_get_str(&r));
		c->entries[i].text = cv_arena_str(&c->arena, cv_ipc_get_str(&r));
		c->providers[i] = cv_arena_str(&c->arena, cv_ipc_get_str(&r));
	}
	if (!cv_ipc_reader_is_done(&r) ||
		cv_ph_set_compile(&c->set, c->entries, n, &c->arena, NULL) != CV_OK)
		return false;
	c->count = n;
	return true;
}

/* It was sent before anything in the sandbox could be. */
static void catalog_await(struct cv_proxy *p)
{
	if (p->keeper >= 0 && !p->creds.has_catalog)
		cv_keeper_drain(p);
}

/* The flow that asked; NULL when it ended meanwhile. */
static struct cv_flow *asker(struct cv_proxy *p, uint32_t tag)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state != CV_FLOW_FREE && f->cred && f->cred->state == CV_CRED_ASKED &&
			f->cred->tag == tag)
			return f;
	}
	return NULL;
}

static void secrets_wipe(struct cv_flow_cred *c)
{
	if (c->secrets) {
		explicit_bzero(c->secrets, c->secret_bytes);
		free(c->secrets);
	}
	c->secrets = NULL;
	memset(c->values, 0, sizeof(c->values));
}

static void answered(struct cv_proxy *p, struct cv_flow *f, enum cv_cred_state state)
{
	f->cred->state = state;
	cv_proxy_queue(p, f);
}

bool cv_creds_released_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	struct cv_flow *f = asker(p, cv_ipc_get_u32(&r));
	struct cv_str all[CV_PH_ENTRIES_MAX];
	struct cv_scrub_key key = { 0 };
	struct cv_flow_cred *c;
	size_t count = 0;

	if (!f)
		return true;
	c = f->cred;
	secrets_wipe(c);
	cv_scrub_drop(f);
	c->secrets = malloc(body.n);
	if (!c->secrets) {
		c->refusal = CV_RELEASE_UNKNOWN;
		answered(p, f, CV_CRED_REFUSED);
		return true;
	}
	memcpy(c->secrets, body.p, body.n);
	c->secret_bytes = body.n;
	r = (struct cv_ipc_reader){ .rest = { c->secrets, c->secret_bytes } };
	cv_ipc_get_u32(&r);
	c->flags = cv_ipc_get_u32(&r);
	key.epoch = cv_ipc_get_u64(&r);
	for (uint32_t n = cv_ipc_get_u32(&r); n && !r.is_bad; n--) {
		const uint32_t i = cv_ipc_get_u32(&r);
		const bool is_asked = cv_ipc_get_u32(&r) != 0;
		const struct cv_str value = cv_ipc_get_str(&r);

		if (i >= p->creds.count)
			return false;
		if (is_asked)
			c->values[i] = value;
		key.creds[i / 64] |= UINT64_C(1) << i % 64;
		if (count < CV_ARRAY_LEN(all))
			all[count++] = value;
	}
	if (count)
		cv_scrub_use(&p->scrubs, f, &key, all, count);
	if (!(c->flags & CV_RELEASED_BOUND))
		c->is_unbound = true;
	answered(p, f, CV_CRED_RELEASED);
	return cv_ipc_reader_is_done(&r);
}

bool cv_creds_refused_take(struct cv_proxy *p, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	struct cv_flow *f = asker(p, cv_ipc_get_u32(&r));
	const uint32_t release = cv_ipc_get_u32(&r);
	const struct cv_str key = cv_ipc_get_str(&r), provider = cv_ipc_get_str(&r),
			    why = cv_ipc_get_str(&r);

	if (!cv_ipc_reader_is_done(&r) || release >= CV_RELEASE_COUNT)
		return false;
	if (!f)
		return true;
	f->cred->refusal = (enum cv_release)release;
	snprintf(f->cred->why, sizeof(f->cred->why), "%.*s of provider %.*s%s%.*s",
		CV_STR_ARG(cv_str_slice(key, 0, 80)), CV_STR_ARG(cv_str_slice(provider, 0, 40)),
		why.n ? ": " : "", CV_STR_ARG(cv_str_slice(why, 0, 100)));
	answered(p, f, CV_CRED_REFUSED);
	return true;
}

static void keeper_silent(struct cv_proxy *p, struct cv_flow *f)
{
	f->cred->refusal = CV_RELEASE_KEEPER;
	f->cred->why[0] = '\0';
	f->deadline_ms = p->loop.now_ms + CV_PROXY_KEEPER_MS;
	answered(p, f, CV_CRED_REFUSED);
}

bool cv_cred_timeout(struct cv_proxy *p, struct cv_flow *f)
{
	const bool is_asked = f->cred && f->cred->state == CV_CRED_ASKED;

	if (is_asked)
		keeper_silent(p, f);
	return is_asked;
}

void cv_creds_keeper_lost(struct cv_proxy *p)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state != CV_FLOW_FREE && f->cred && f->cred->state == CV_CRED_ASKED)
			keeper_silent(p, f);
	}
}

/* ---- refusals ---- */

static enum cv_cred_step refuse(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, enum cv_denial d, const char *slug, struct cv_str why)
{
	const struct cv_denial_text t = { .request = r, .why = why };
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.request = r,
		.engine = "credentials",
		.reason_code = slug,
		.reason = why,
		.status = (uint16_t)cv_denial_status(d),
	};

	if (f->cred)
		f->cred->state = CV_CRED_IDLE;
	cv_decide_record(p, f, &fact);
	cv_deny(p, f, d, &t);
	return CV_CRED_ANSWERED;
}

static enum cv_cred_step rewrite_refuse(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, enum cv_rewrite_rc rc)
{
	const struct cv_rewrite_rc_row *row = cv_rewrite_rc_row(rc);

	return refuse(p, f, r,
		row->status == 403 ? CV_DENIAL_CREDENTIAL_PLACE : CV_DENIAL_CREDENTIAL_UNAVAILABLE,
		row->slug, cv_str_of(row->text));
}

static enum cv_cred_step release_refuse(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r)
{
	static const enum cv_denial denial[CV_RELEASE_COUNT] = {
		[CV_RELEASE_OK] = CV_DENIAL_CREDENTIAL_UNAVAILABLE,
		[CV_RELEASE_MISMATCH] = CV_DENIAL_CREDENTIAL_PLACE,
		[CV_RELEASE_STALE] = CV_DENIAL_CREDENTIAL_RENEWAL,
		[CV_RELEASE_DEAD] = CV_DENIAL_CREDENTIAL_EXPIRED,
		[CV_RELEASE_RENEWAL] = CV_DENIAL_CREDENTIAL_RENEWAL,
		[CV_RELEASE_UNKNOWN] = CV_DENIAL_CREDENTIAL_UNAVAILABLE,
		[CV_RELEASE_LARGE] = CV_DENIAL_CREDENTIAL_UNAVAILABLE,
		[CV_RELEASE_KEEPER] = CV_DENIAL_CREDENTIAL_KEEPER,
	};
	const enum cv_release release = f->cred->refusal;

	return refuse(p, f, r, denial[release], cv_release_slug(release), cv_str_of(f->cred->why));
}

/* ---- the request ---- */

static struct cv_rewrite_head rewrite_head(const struct cv_h1_request *r, struct cv_str path)
{
	return (struct cv_rewrite_head){
		.request = r,
		.path = r->form == CV_H1_FORM_ASTERISK ? CV_STR("*") : path,
		.query = r->query,
	};
}

struct plans { /* what stands where in one request */
	struct cv_rewrite_plan head, body;
};

static bool flow_cred_make(struct cv_flow *f)
{
	if (!f->cred)
		f->cred = calloc(1, sizeof(*f->cred));
	return f->cred != NULL;
}

/* Adds what plan names, each once.  False: too many. */
static bool asked_add(struct cv_keeper_release *ask, const struct cv_rewrite_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		bool is_new = true;

		for (size_t k = 0; k < ask->count; k++)
			is_new &= ask->creds[k] != plan->use[i].entry;
		if (is_new && ask->count == CV_KEEPER_CREDS_MAX)
			return false;
		if (is_new)
			ask->creds[ask->count++] = plan->use[i].entry;
	}
	return true;
}

/* The question: the request, and which credentials stand in it. */
static bool release_ask(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_str path, const struct plans *plans)
{
	static struct cv_path canonical; /* scratch */
	struct cv_keeper_release ask = {
		.host = cv_host_str(&f->host),
		.host_is_ip = f->host.is_ip,
		.port = f->port,
		.method = r->method,
		.path = path,
	};
	struct cv_buf b;

	/* Where nobody decides about requests the path was left as it came. */
	if (r->form != CV_H1_FORM_ASTERISK) {
		if (cv_path_canonical(path, true, &canonical) != CV_PATH_OK)
			return false;
		ask.path = cv_path_str(&canonical);
	}
	if (!asked_add(&ask, &plans->head) || !asked_add(&ask, &plans->body))
		return false;
	if (++p->cred_tag == 0)
		p->cred_tag = 1;
	ask.tag = f->cred->tag = p->cred_tag;
	cv_buf_init(&b, RELEASE_BYTES_MAX);
	const bool is_sent = p->keeper >= 0 && cv_keeper_release_put(&b, &ask) &&
			     cv_ipc_send(p->keeper, CV_KEEPER_REQ_RELEASE, cv_buf_str(&b), NULL, 0,
				     NULL) == CV_OK;
	cv_buf_fini(&b);
	f->cred->state = is_sent ? CV_CRED_ASKED : CV_CRED_REFUSED;
	f->deadline_ms = p->loop.now_ms + CV_PROXY_KEEPER_MS;
	f->cred->refusal = CV_RELEASE_KEEPER;
	f->cred->why[0] = '\0';
	return true;
}

/* Where a caller's credential stands, whoever the server is. */
static const char *const credential_header[] = { "authorization", "cookie", "x-api-key", "api-key",
	"apikey", "x-auth-token", "x-access-token", "private-token", "job-token", "x-goog-api-key",
	"x-amz-security-token", "x-github-token", "x-vault-token", "x-figma-token" };
static const char *const credential_query[] = { "access_token", "api_key", "apikey", "key", "token",
	"auth", "private_token", "client_secret", "sig", "signature", "x-amz-signature",
	"x-amz-credential", "x-goog-signature" };

static bool is_one_of(struct cv_str name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cv_h1_name_eq(name, cv_str_of(names[i])))
			return true;
	return false;
}

static bool has_own_header(const struct cv_h1_request *r, const struct cv_rewrite_plan *plan)
{
	for (size_t i = 0; i < r->header_count; i++) {
		bool is_ours = false;

		for (size_t k = 0; k < plan->count; k++)
			is_ours |= plan->use[k].place <= CV_REWRITE_IN_COOKIE &&
				   plan->use[k].header == i;
		if (!is_ours && is_one_of(r->header[i].name, credential_header,
					CV_ARRAY_LEN(credential_header)))
			return true;
	}
	return false;
}

static bool has_own_query(const struct cv_creds *c, const struct cv_h1_request *r)
{
	struct cv_str rest = r->query;

	while (rest.p) {
		const struct cv_str pair = cv_str_cut(&rest, '&');
		const size_t eq = cv_str_find_byte(pair, '=');

		if (is_one_of(cv_str_slice(pair, 0, eq), credential_query,
			    CV_ARRAY_LEN(credential_query)) &&
			!cv_ph_is_in(&c->set, cv_str_slice(pair, eq, pair.n)))
			return true;
	}
	return false;
}

bool cv_cred_may_tunnel(const struct cv_flow *f)
{
	const struct cv_policy_endpoint *e = cv_policy_endpoint_of(f->policy, &f->verdict);
	const struct cv_policy_doc *doc = cv_policy_doc(f->policy);
	const bool is_raw = f->verdict.obligations & (CV_OBLIGE_TLS_SKIP | CV_OBLIGE_TCP);

	return !is_raw || !e || !doc->entries[f->verdict.entry].is_provider ||
	       e->allow_uninspected_credentials;
}

/* ---- its body ---- */

static struct cv_str header_of(const struct cv_h1_request *r, enum cv_h1_field field)
{
	size_t at = 0;
	const struct cv_h1_header *h = cv_h1_header_next(r->header, r->header_count, field, &at);

	return h ? h->value : CV_STR_NONE;
}

static struct cv_rewrite_body body_kind(const struct cv_h1_request *r)
{
	return cv_rewrite_body_of(
		header_of(r, CV_H1_FIELD_CONTENT_TYPE), header_of(r, CV_H1_FIELD_CONTENT_ENCODING));
}

static bool is_body_rewritten(const struct cv_flow *f, const struct cv_h1_request *r)
{
	const struct cv_policy_endpoint *e =
		f->verdict.obligations & CV_OBLIGE_INSPECT
			? cv_policy_endpoint_of(f->policy, &f->http.verdict)
			: NULL;

	return e && e->request_body_credential_rewrite && body_kind(r).kind != CV_REWRITE_BODY_NONE;
}

/* How much of a body is kept until it has been looked at; 0: it is watched as it passes.  A client
 * that waits for 100 is kept waiting only where its body has to be changed. */
static size_t body_held_max(const struct cv_flow *f, const struct cv_h1_request *r)
{
	if (r->body == CV_H1_BODY_NONE)
		return 0;
	if (f->is_tls && is_body_rewritten(f, r))
		return CV_REWRITE_BODY_BYTES_MAX;
	if (r->is_expect_continue)
		return 0;
	if (r->body == CV_H1_BODY_CHUNKED ? cv_hold_is_here(f, r)
					  : r->length <= CV_PROXY_HELD_BYTES_MAX)
		return CV_PROXY_HELD_BYTES_MAX;
	return 0;
}

static enum cv_cred_step hold_start(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, size_t max)
{
	const bool is_waiting = r->is_expect_continue && r->minor == 1;

	if (!cv_hold_begin(f, r, max))
		return refuse(p, f, r, CV_DENIAL_CREDENTIAL_UNAVAILABLE, "no_memory",
			CV_STR("no memory"));
	if (is_waiting)
		cv_leg_put(&f->client, CV_STR("HTTP/1.1 100 Continue\r\n\r\n"));
	return CV_CRED_AGAIN; /* r was in the flow's buffer */
}

/* The body, as far as it must be known before the head goes. */
static enum cv_cred_step body_look(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, struct cv_rewrite_plan *ret)
{
	const size_t max = f->hold ? 0 : body_held_max(f, r);

	ret->count = 0;
	if (max)
		return hold_start(p, f, r, max);
	if (!f->hold)
		return CV_CRED_OK;
	switch (cv_hold_fill(f)) {
	case CV_HOLD_DONE: break;
	case CV_HOLD_MORE: return CV_CRED_WAIT;
	case CV_HOLD_LONG: return rewrite_refuse(p, f, r, CV_REWRITE_BODY_LONG);
	case CV_HOLD_BAD: return rewrite_refuse(p, f, r, CV_REWRITE_BODY_MALFORMED);
	case CV_HOLD_CUT: cv_flow_end(p, f, true); return CV_CRED_ANSWERED;
	}
	const struct cv_str body = cv_buf_str(&f->hold->body);
	if (f->is_tls && is_body_rewritten(f, r)) {
		const struct cv_rewrite_body kind = body_kind(r);
		const enum cv_rewrite_rc rc =
			cv_rewrite_body_collect(&p->creds.set, &kind, body, &p->creds.scratch, ret);

		return rc == CV_REWRITE_OK ? CV_CRED_OK : rewrite_refuse(p, f, r, rc);
	}
	if (!cv_ph_is_in(&p->creds.set, body))
		return CV_CRED_OK;
	return refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE, "placeholder_in_body",
		CV_STR("placeholder in a body that is not rewritten"));
}

static bool body_watch(void *ctx, struct cv_str bytes)
{
	return cv_ph_scan_feed(ctx, bytes);
}

void cv_cred_watch(struct cv_proxy *p, struct cv_flow *f)
{
	if (!p->creds.count || f->http.up.is_done)
		return;
	if (!flow_cred_make(f))
		return cv_flow_end(p, f, true);
	cv_ph_scan_init(&f->cred->scan, &p->creds.set);
	f->http.up.watch = body_watch;
	f->http.up.watch_ctx = &f->cred->scan;
}

void cv_cred_body_refuse(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.activity = CV_ACTIVITY_REFUSE,
		.engine = "credentials",
		.reason_code = "placeholder_in_body",
		.reason = CV_STR("placeholder in a body that is not rewritten"),
		.status = 403,
	};
	const struct cv_denial_text t = { .why = fact.reason };

	cv_decide_record(p, f, &fact);
	if (f->http.has_response)
		cv_flow_end(p, f, true);
	else
		cv_deny(p, f, CV_DENIAL_CREDENTIAL_PLACE, &t);
}

/* ---- both ---- */

static bool has_layer(const struct cv_policy_doc *doc, struct cv_str provider)
{
	const struct cv_str prefix = CV_STR(CV_POLICY_PROVIDER_PREFIX);

	for (size_t i = 0; i < doc->entry_count; i++) {
		const struct cv_policy_entry *e = &doc->entries[i];

		if (e->is_provider && e->endpoint_count && e->name.n > prefix.n &&
			cv_str_eq(cv_str_slice(e->name, prefix.n, e->name.n), provider))
			return true;
	}
	return false;
}

/*
 * What a policy bound when the run began it may take away by a reload.  The keeper knows only the
 * first: so a credential of a provider without endpoints of its own needs an endpoint that binds it
 * now.  (Endpoints that overlap agree about that: validation sees to it.)
 */
static bool is_bound_still(const struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_policy_endpoint *e, const struct cv_rewrite_plan *plan)
{
	const struct cv_policy_doc *doc = cv_policy_doc(f->policy);

	for (size_t i = 0; i < plan->count; i++) {
		const struct cv_str provider = p->creds.providers[plan->use[i].entry];

		if (!doc)
			return false;

		if (!has_layer(doc, provider) &&
			!(e && e->has_credential_binding &&
				cv_str_eq(e->credential_binding_provider.s, provider)))
			return false;
	}
	return true;
}

/* Head and body of the request; count 0 each: nothing of ours is in there. */
static enum cv_cred_step collect(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, struct cv_str path, struct plans *ret)
{
	const struct cv_rewrite_head head = rewrite_head(r, path);

	cv_arena_reset(&p->creds.scratch);
	const enum cv_rewrite_rc rc =
		cv_rewrite_collect(&p->creds.set, &head, &p->creds.scratch, &ret->head);
	return rc == CV_REWRITE_OK ? body_look(p, f, r, &ret->body) : rewrite_refuse(p, f, r, rc);
}

enum cv_cred_step cv_cred_request(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	struct plans plans;

	catalog_await(p);
	if (p->keeper >= 0 && !p->creds.has_catalog)
		return refuse(
			p, f, r, CV_DENIAL_CREDENTIAL_KEEPER, "keeper_unavailable", CV_STR_NONE);
	if (!p->creds.count)
		return CV_CRED_OK;
	const enum cv_cred_step step = collect(p, f, r, path, &plans);
	if (step != CV_CRED_OK)
		return step;
	const bool has_any = plans.head.count || plans.body.count;
	if (!f->is_tls)
		return has_any ? refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE, "plain_http",
					 CV_STR("credentials go out over TLS only"))
			       : CV_CRED_OK;
	if (!flow_cred_make(f))
		return refuse(p, f, r, CV_DENIAL_CREDENTIAL_UNAVAILABLE, "no_memory",
			CV_STR("no memory"));
	const struct cv_policy_endpoint *e = cv_policy_endpoint_of(f->policy,
		f->verdict.obligations & CV_OBLIGE_INSPECT ? &f->http.verdict : &f->verdict);
	if (!is_bound_still(p, f, e, &plans.head) || !is_bound_still(p, f, e, &plans.body))
		return refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE, "credential_endpoint_mismatch",
			CV_STR("the policy does not bind its provider to this endpoint"));
	if (f->cred->is_unbound && !has_any)
		return CV_CRED_OK;
	if (f->cred->state == CV_CRED_IDLE && !release_ask(p, f, r, path, &plans))
		return refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE, "credential_endpoint_mismatch",
			CV_STR("the path has no canonical form, or there are too many"));
	switch (f->cred->state) {
	case CV_CRED_IDLE:
	case CV_CRED_ASKED: return CV_CRED_WAIT;
	case CV_CRED_REFUSED: return release_refuse(p, f, r);
	case CV_CRED_RELEASED: break;
	}
	if ((f->cred->flags & CV_RELEASED_REQUIRED) &&
		(has_own_header(r, &plans.head) || has_own_query(&p->creds, r)))
		return refuse(p, f, r, CV_DENIAL_CREDENTIAL_OWN, "own_credential_refused",
			CV_STR("leave out your own, or use the placeholder from the environment"));
	return CV_CRED_OK;
}

bool cv_cred_is_without(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	const struct cv_str text = cv_leg_text(&f->client);
	const struct cv_rewrite_head head = rewrite_head(r, path);
	struct cv_rewrite_plan plan;

	catalog_await(p);
	if (!p->creds.count)
		return true;
	cv_arena_reset(&p->creds.scratch);
	const enum cv_rewrite_rc rc =
		cv_rewrite_collect(&p->creds.set, &head, &p->creds.scratch, &plan);
	if (rc != CV_REWRITE_OK) {
		rewrite_refuse(p, f, r, rc);
		return false;
	}
	/* What is here of the body; the rest is watched as it passes. */
	if (!plan.count && !cv_ph_is_in(&p->creds.set, cv_str_slice(text, r->head_bytes, text.n)))
		return true;
	refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE, "plain_http",
		CV_STR("credentials go out over TLS only"));
	return false;
}

bool cv_cred_apply(struct cv_proxy *p, struct cv_flow *f, struct cv_h1_request *r,
	struct cv_h1_request_edit *e, struct cv_str *body)
{
	struct cv_creds *c = &p->creds;
	const struct cv_rewrite_head head = rewrite_head(r, e->path);
	struct plans plans;
	enum cv_rewrite_rc rc;

	if (!c->count || !f->cred || f->cred->state != CV_CRED_RELEASED)
		return true;
	if (collect(p, f, r, e->path, &plans) != CV_CRED_OK)
		return false;
	rc = cv_rewrite_apply(
		&c->set, &head, &plans.head, f->cred->values, &c->scratch, &c->applied);
	if (rc == CV_REWRITE_OK && plans.body.count) {
		rc = cv_rewrite_body_apply(&c->set, *body, &plans.body, f->cred->values,
			&c->scratch, &c->applied_body);
		*body = c->applied_body;
	}
	if (rc != CV_REWRITE_OK) {
		rewrite_refuse(p, f, r, rc);
		return false;
	}
	cv_rewrite_put(&c->applied, r);
	e->path = c->applied.path;
	e->query = c->applied.query;
	return cv_scrub_ask(p, f, r, e);
}

enum cv_cred_step cv_cred_exact(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_policy_endpoint *e, struct cv_str text, struct cv_str method,
	struct cv_str path, struct cv_str *ret_value, const char **ret_slug)
{
	static struct plans plans; /* scratch; of the head's only the first is used */
	const struct cv_h1_request r = { .method = method, .path = path };
	struct cv_ph_hit hit;

	*ret_value = CV_STR_NONE;
	*ret_slug = cv_release_slug(CV_RELEASE_MISMATCH);
	catalog_await(p);
	if (!p->creds.count || !cv_ph_find(&p->creds.set, text, 0, &hit))
		return CV_CRED_OK;
	if (hit.at != 0 || hit.n != text.n || hit.entry >= p->creds.count || !flow_cred_make(f))
		return CV_CRED_ANSWERED;
	plans.head.count = 1;
	plans.head.use[0] = (struct cv_rewrite_use){ .entry = hit.entry, .form = hit.form };
	if (!is_bound_still(p, f, e, &plans.head))
		return CV_CRED_ANSWERED;
	if (f->cred->state == CV_CRED_IDLE && !release_ask(p, f, &r, path, &plans))
		return CV_CRED_ANSWERED;
	switch (f->cred->state) {
	case CV_CRED_IDLE:
	case CV_CRED_ASKED: return CV_CRED_WAIT;
	case CV_CRED_REFUSED:
		f->cred->state = CV_CRED_IDLE;
		*ret_slug = cv_release_slug(f->cred->refusal);
		return CV_CRED_ANSWERED;
	case CV_CRED_RELEASED: break;
	}
	*ret_value = f->cred->values[hit.entry];
	return ret_value->p ? CV_CRED_OK : CV_CRED_ANSWERED;
}

void cv_cred_forget(struct cv_proxy *p, struct cv_flow *f)
{
	if (!f->cred)
		return;
	if (f->cred->state == CV_CRED_RELEASED) {
		secrets_wipe(f->cred);
		cv_rewrite_wipe(&p->creds.applied);
		p->creds.applied = (struct cv_rewrite){ 0 };
		if (p->creds.applied_body.p)
			cv_rewrite_body_wipe(p->creds.applied_body);
		p->creds.applied_body = CV_STR_NONE;
		if (p->head.data)
			explicit_bzero(p->head.data, p->head.cap);
	}
	f->cred->state = CV_CRED_IDLE;
}

void cv_cred_end(struct cv_flow *f)
{
	if (!f->cred)
		return;
	secrets_wipe(f->cred);
	cv_scrub_drop(f);
	free(f->cred);
	f->cred = NULL;
}
