/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cred.c - see cred.h
 *
 * A head stays in the flow's buffer until it is sent on, so while the keeper is asked nothing is
 * kept but the question's tag: when the answer is there the head is parsed and judged once more.
 *
 * Credentials go out over TLS only (C1): in plain HTTP a placeholder refuses the request at once.
 * The route to host tools is the exception, since it never leaves the machine (tools.h).
 */
#include "proxy/cred.h"

#include "cred/set.h"
#include "proxy/cred_int.h"
#include "proxy/inside.h"
#include "proxy/routes.h"
#include "proxy/scrub.h"
#include "proxy/sign.h"

/* ---- refusals ---- */

#define NO_ANSWER CV_STR("the keeper of credentials gave no answer")

enum cv_cred_step cred_refuse(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	enum cv_denial d, const char *slug, struct cv_str why)
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

enum cv_cred_step cred_rewrite_refuse(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, enum cv_rewrite_rc rc)
{
	const struct cv_rewrite_rc_row *row = cv_rewrite_rc_row(rc);

	return cred_refuse(p, f, r,
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

	return cred_refuse(p, f, r, denial[release], cv_release_slug(release),
		f->cred->why[0] ? cv_str_of(f->cred->why) : NO_ANSWER);
}

/* ---- the request ---- */

static struct cv_rewrite_head rewrite_head(
	const struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	return (struct cv_rewrite_head){
		.request = r,
		.path = r->form == CV_H1_FORM_ASTERISK ? CV_STR("*") : path,
		.query = r->query,
		.drop = cv_sign_drop,
		.drop_count = cv_sign_is_on(f) ? cv_sign_drop_count : 0,
	};
}

enum cv_cred_step cred_sign_refuse(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_h1_request *r, const struct cv_sign_fault *fault)
{
	return cred_refuse(p, f, r,
		fault->is_busy ? CV_DENIAL_CREDENTIAL_KEEPER : CV_DENIAL_CREDENTIAL_SIGNING,
		fault->slug, cv_str_of(fault->why));
}

bool cv_cred_may_tunnel(const struct cv_flow *f)
{
	const struct cv_policy_endpoint *e = cv_policy_endpoint_of(f->policy, &f->verdict);
	const struct cv_policy_doc *doc = cv_policy_doc(f->policy);
	const bool is_raw = f->verdict.obligations & (CV_OBLIGE_TLS_SKIP | CV_OBLIGE_TCP);

	return !is_raw || !e || !doc->entries[f->verdict.entry].is_provider ||
	       e->allow_uninspected_credentials;
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

/* The credential of a route, on its way there.  Routes are no agent's word, and name both; the keeper
 * still judges the destination. */
static bool is_of_route(const struct cv_proxy *p, const struct cv_flow *f, uint32_t entry)
{
	const struct cv_routes *r = f->routes ? &f->routes->set : NULL;

	for (size_t i = 0; r && i < r->n; i++)
		if (cv_host_eq(&r->v[i].host, &f->host) && r->v[i].port == f->port &&
			cv_str_eq(r->v[i].credential, p->creds.entries[entry].key))
			return true;
	return false;
}

/*
 * What a policy bound when the run began it may take away by a reload.  The keeper knows only the
 * first: so a credential of a provider without endpoints of its own needs an endpoint that binds it
 * now.  (Endpoints that overlap agree about that: validation sees to it.)
 */
static bool is_entry_bound(const struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_policy_endpoint *e, uint32_t entry)
{
	const struct cv_policy_doc *doc = cv_policy_doc(f->policy);
	const struct cv_str provider = p->creds.providers[entry];

	if (f->is_tools) /* the route has one credential of its own, and takes no other */
		return cv_str_eq(provider, CV_STR(CV_CRED_TOOLS_PROVIDER));
	if (is_of_route(p, f, entry))
		return true;
	return doc && (has_layer(doc, provider) ||
			      (e && e->has_credential_binding &&
				      cv_str_eq(e->credential_binding_provider.s, provider)));
}

bool cred_is_bound_still(const struct cv_proxy *p, const struct cv_flow *f,
	const struct cv_policy_endpoint *e, const struct cv_rewrite_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (!is_entry_bound(p, f, e, plan->use[i].entry))
			return false;
	return true;
}

/* The same for the keys that sign. */
static bool is_signing_bound_still(
	const struct cv_proxy *p, const struct cv_flow *f, const struct cv_policy_endpoint *e)
{
	struct cv_keeper_release ask = { .count = 0 };

	if (!cv_sign_is_on(f) || !cv_sign_ask(p, &ask))
		return true; /* nothing is released then, and that is said by its own name */
	for (size_t i = 0; i < ask.count; i++)
		if (!is_entry_bound(p, f, e, ask.creds[i]))
			return false;
	return true;
}

/* Head and body of the request, into the plans; count 0 each: nothing of ours is in there. */
static enum cv_cred_step collect(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	const struct cv_rewrite_head head = rewrite_head(f, r, path);
	struct cv_creds *c = &p->creds;

	c->planned = CV_STR_NONE;
	cv_arena_reset(&c->scratch);
	const enum cv_rewrite_rc rc =
		cv_rewrite_collect(&c->set, &head, &c->scratch, &c->head_plan);
	if (rc != CV_REWRITE_OK)
		return cred_rewrite_refuse(p, f, r, rc);
	return cred_body_look(p, f, r, c->head_plan.count || cv_sign_is_on(f), &c->body_plan);
}

/* The plans are of the head with that path, judged in this very step, and of nothing that was held
 * or that a middleware may have changed since. */
static bool is_planned(const struct cv_proxy *p, const struct cv_flow *f, struct cv_str path)
{
	return p->creds.planned.p && p->creds.planned.p == path.p && p->creds.planned.n == path.n &&
	       !f->hold && !f->middleware;
}

/* A token in a URL gets into logs: Authorization is its place on the route to host tools. */
static bool is_token_placed(const struct cv_h1_request *r, const struct cv_rewrite_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->use[i].place > CV_REWRITE_IN_COOKIE ||
			r->header[plan->use[i].header].field != CV_H1_FIELD_AUTHORIZATION)
			return false;
	return true;
}

enum cv_cred_step cv_cred_request(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	const bool is_signed = cv_sign_is_on(f);
	const struct cv_rewrite_plan *head = &p->creds.head_plan, *body = &p->creds.body_plan;
	struct cv_sign_fault fault;

	cred_catalog_await(p);
	if (p->has_keeper && !p->creds.has_catalog)
		return cred_refuse(
			p, f, r, CV_DENIAL_CREDENTIAL_KEEPER, "keeper_unavailable", NO_ANSWER);
	if (is_signed && !cv_sign_check(p, f, r, &fault))
		return cred_sign_refuse(p, f, r, &fault);
	if (!p->creds.count && !cred_is_held(f))
		return CV_CRED_OK;
	const enum cv_cred_step step = collect(p, f, r, path);
	if (step != CV_CRED_OK)
		return step;
	const bool has_any = head->count || body->count || is_signed;
	if (f->is_tools && !has_any)
		return CV_CRED_OK;
	if (f->is_tools && !is_token_placed(r, head))
		return cred_refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE, "token_place",
			CV_STR("the token of host tools goes into Authorization: Bearer"));
	if (!f->is_tls && !f->is_tools)
		return has_any ? cred_refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE, "plain_http",
					 CV_STR("credentials go out over TLS only"))
			       : CV_CRED_OK;
	if (!cred_flow_make(f))
		return cred_refuse(p, f, r, CV_DENIAL_CREDENTIAL_UNAVAILABLE, "no_memory",
			CV_STR("no memory"));
	const struct cv_policy_endpoint *e = cv_policy_endpoint_of(f->policy,
		f->verdict.obligations & CV_OBLIGE_INSPECT ? &f->http.verdict : &f->verdict);
	if (!cred_is_bound_still(p, f, e, head) || !cred_is_bound_still(p, f, e, body) ||
		!is_signing_bound_still(p, f, e))
		return cred_refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE,
			"credential_endpoint_mismatch",
			CV_STR("the policy does not bind its provider to this endpoint"));
	if (!has_any && (f->cred->is_unbound || cred_is_unbound(&p->creds, f)))
		return CV_CRED_OK;
	if (cred_is_to_ask(f->cred) && !cred_release_ask(p, f, r, path, head, body))
		return cred_refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE,
			"credential_endpoint_mismatch",
			CV_STR("the path has no canonical form, or there are too many"));
	switch (f->cred->state) {
	case CV_CRED_IDLE:
	case CV_CRED_ANEW:
	case CV_CRED_AWAY:
	case CV_CRED_ASKED: return CV_CRED_WAIT;
	case CV_CRED_REFUSED: return release_refuse(p, f, r);
	case CV_CRED_RELEASED: break;
	}
	if ((f->cred->flags & CV_RELEASED_REQUIRED) && cred_has_own(&p->creds, f, r, head))
		return cred_refuse(p, f, r, CV_DENIAL_CREDENTIAL_OWN, "own_credential_refused",
			CV_STR("leave out your own, or use the placeholder from the environment"));
	p->creds.planned = path;
	return CV_CRED_OK;
}

bool cv_cred_is_without(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	const struct cv_str text = cv_leg_text(&f->client);
	const struct cv_rewrite_head head = rewrite_head(f, r, path);
	struct cv_rewrite_plan plan;
	struct cv_sign_fault fault;

	cred_catalog_await(p);
	if (cv_sign_is_on(f) && !cv_sign_check(p, f, r, &fault)) { /* over TLS only */
		cred_sign_refuse(p, f, r, &fault);
		return false;
	}
	if (!p->creds.count)
		return true;
	cv_arena_reset(&p->creds.scratch);
	const enum cv_rewrite_rc rc =
		cv_rewrite_collect(&p->creds.set, &head, &p->creds.scratch, &plan);
	if (rc != CV_REWRITE_OK) {
		cred_rewrite_refuse(p, f, r, rc);
		return false;
	}
	/* What is here of the body, before a connection is made; all of it is looked at then. */
	if (!plan.count && !cv_ph_is_in(&p->creds.set, cv_str_slice(text, r->head_bytes, text.n)))
		return true;
	cred_refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE, "plain_http",
		CV_STR("credentials go out over TLS only"));
	return false;
}

bool cv_cred_apply(struct cv_proxy *p, struct cv_flow *f, struct cv_h1_request *r,
	struct cv_h1_request_edit *e, struct cv_str *body)
{
	struct cv_creds *c = &p->creds;
	const struct cv_rewrite_head head = rewrite_head(f, r, e->path);
	struct cv_sign_fault fault;
	enum cv_rewrite_rc rc;

	if (!c->count || !f->cred || f->cred->state != CV_CRED_RELEASED) {
		if (!cv_sign_is_on(f))
			return true;
		cred_sign_refuse(p, f, r, &cv_sign_fault_unasked);
		return false;
	}
	if (!is_planned(p, f, e->path) && collect(p, f, r, e->path) != CV_CRED_OK)
		return false;
	rc = cv_rewrite_apply(
		&c->set, &head, &c->head_plan, f->cred->values, &c->scratch, &c->applied);
	if (rc == CV_REWRITE_OK && c->body_plan.count) {
		rc = cv_rewrite_body_apply(&c->set, *body, &c->body_plan, f->cred->values,
			&c->scratch, &c->applied_body);
		*body = c->applied_body;
	}
	if (rc != CV_REWRITE_OK) {
		cred_rewrite_refuse(p, f, r, rc);
		return false;
	}
	cv_rewrite_put(&c->applied, r);
	e->path = c->applied.path;
	e->query = c->applied.query;
	if (!cv_scrub_ask(p, f, r, e))
		return false;
	if (!cv_sign_is_on(f) || cv_sign_apply(p, f, r, e, *body, &fault))
		return true;
	cred_sign_refuse(p, f, r, &fault);
	return false;
}

enum cv_cred_step cv_cred_exact(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_policy_endpoint *e, struct cv_str text, struct cv_str method,
	struct cv_str path, struct cv_str *ret_value, const char **ret_slug)
{
	struct cv_rewrite_plan *plan = &p->creds.head_plan;
	const struct cv_h1_request r = { .method = method, .path = path };
	struct cv_ph_hit hit;

	*ret_value = CV_STR_NONE;
	*ret_slug = cv_release_slug(CV_RELEASE_MISMATCH);
	cred_catalog_await(p);
	if (!p->creds.count || !cv_ph_find(&p->creds.set, text, 0, &hit))
		return CV_CRED_OK;
	if (hit.at != 0 || hit.n != text.n || hit.entry >= p->creds.count || !cred_flow_make(f))
		return CV_CRED_ANSWERED;
	p->creds.planned = CV_STR_NONE;
	plan->count = 1;
	plan->use[0] = (struct cv_rewrite_use){ .entry = hit.entry, .form = hit.form };
	if (!cred_is_bound_still(p, f, e, plan))
		return CV_CRED_ANSWERED;
	if (cred_is_to_ask(f->cred) && !cred_release_ask(p, f, &r, path, plan, NULL))
		return CV_CRED_ANSWERED;
	switch (f->cred->state) {
	case CV_CRED_IDLE:
	case CV_CRED_ANEW:
	case CV_CRED_AWAY:
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
