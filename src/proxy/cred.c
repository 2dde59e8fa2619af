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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRATCH_BYTES_MAX (1u << 20) /* a head, a few times over, and its credentials */

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
	cv_arena_init(&c->arena, 4 * SCRATCH_BYTES_MAX);
	cv_arena_init(&c->scratch, SCRATCH_BYTES_MAX);
	c->entries = cv_arena_array(&c->arena, n, sizeof(c->entries[0]));
	if (!c->entries)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		c->entries[i].key = cv_arena_str(&c->arena, cv_ipc_get_str(&r));
		c->entries[i].text = cv_arena_str(&c->arena, cv_ipc_get_str(&r));
	}
	if (!cv_ipc_reader_is_done(&r) ||
		cv_ph_set_compile(&c->set, c->entries, n, &c->arena, NULL) != CV_OK)
		return false;
	c->count = n;
	return true;
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
	struct cv_flow_cred *c;

	if (!f)
		return true;
	c = f->cred;
	secrets_wipe(c);
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
	for (uint32_t n = cv_ipc_get_u32(&r); n && !r.is_bad; n--) {
		const uint32_t i = cv_ipc_get_u32(&r);
		const bool is_asked = cv_ipc_get_u32(&r) != 0;
		const struct cv_str value = cv_ipc_get_str(&r);

		if (i >= p->creds.count)
			return false;
		if (is_asked)
			c->values[i] = value;
	}
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

void cv_creds_keeper_lost(struct cv_proxy *p)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state == CV_FLOW_FREE || !f->cred || f->cred->state != CV_CRED_ASKED)
			continue;
		f->cred->refusal = CV_RELEASE_KEEPER;
		f->cred->why[0] = '\0';
		answered(p, f, CV_CRED_REFUSED);
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

static bool flow_cred_make(struct cv_flow *f)
{
	if (!f->cred)
		f->cred = calloc(1, sizeof(*f->cred));
	return f->cred != NULL;
}

/* The question: the request, and which credentials stand in it. */
static bool release_ask(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_str path, const struct cv_rewrite_plan *plan)
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
	for (size_t i = 0; i < plan->count; i++) {
		bool is_new = true;

		for (size_t k = 0; k < ask.count; k++)
			is_new &= ask.creds[k] != plan->use[i].entry;
		if (is_new && ask.count == CV_KEEPER_CREDS_MAX)
			return false;
		if (is_new)
			ask.creds[ask.count++] = plan->use[i].entry;
	}
	if (++p->cred_tag == 0)
		p->cred_tag = 1;
	ask.tag = f->cred->tag = p->cred_tag;
	cv_buf_init(&b, 32768);
	const bool is_sent = p->keeper >= 0 && cv_keeper_release_put(&b, &ask) &&
			     cv_ipc_send(p->keeper, CV_KEEPER_REQ_RELEASE, cv_buf_str(&b), NULL, 0,
				     NULL) == CV_OK;
	cv_buf_fini(&b);
	f->cred->state = is_sent ? CV_CRED_ASKED : CV_CRED_REFUSED;
	f->cred->refusal = CV_RELEASE_KEEPER;
	f->cred->why[0] = '\0';
	return true;
}

/* Headers that carry a caller's credential, whoever the server is. */
static bool has_own_credential(const struct cv_h1_request *r, const struct cv_rewrite_plan *plan)
{
	static const char *const names[] = { "authorization", "x-api-key", "api-key", "apikey",
		"x-auth-token", "x-access-token", "private-token", "job-token", "x-goog-api-key",
		"x-amz-security-token", "x-github-token", "x-vault-token", "x-figma-token" };

	for (size_t i = 0; i < r->header_count; i++) {
		bool is_credential = false, is_ours = false;

		for (size_t k = 0; k < CV_ARRAY_LEN(names); k++)
			is_credential |= cv_h1_name_eq(r->header[i].name, cv_str_of(names[k]));
		for (size_t k = 0; k < plan->count; k++)
			is_ours |= plan->use[k].place <= CV_REWRITE_IN_BASIC_PASSWORD &&
				   plan->use[k].header == i;
		if (is_credential && !is_ours)
			return true;
	}
	return false;
}

enum cv_cred_step cv_cred_request(
	struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r, struct cv_str path)
{
	struct cv_rewrite_plan plan;
	const struct cv_rewrite_head head = rewrite_head(r, path);

	if (p->keeper >= 0 && !p->creds.has_catalog) /* it came before anything could be sent */
		cv_keeper_drain(p);
	if (p->keeper >= 0 && !p->creds.has_catalog)
		return refuse(
			p, f, r, CV_DENIAL_CREDENTIAL_KEEPER, "keeper_unavailable", CV_STR_NONE);
	if (!p->creds.count)
		return CV_CRED_OK;
	cv_arena_reset(&p->creds.scratch);
	const enum cv_rewrite_rc rc =
		cv_rewrite_collect(&p->creds.set, &head, &p->creds.scratch, &plan);
	if (rc != CV_REWRITE_OK)
		return rewrite_refuse(p, f, r, rc);
	if (!f->is_tls)
		return plan.count ? refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE, "plain_http",
					    CV_STR("credentials go out over TLS only"))
				  : CV_CRED_OK;
	if (!flow_cred_make(f))
		return refuse(p, f, r, CV_DENIAL_CREDENTIAL_UNAVAILABLE, "no_memory",
			CV_STR("no memory"));
	if (f->cred->is_unbound && !plan.count)
		return CV_CRED_OK;
	if (f->cred->state == CV_CRED_IDLE && !release_ask(p, f, r, path, &plan))
		return refuse(p, f, r, CV_DENIAL_CREDENTIAL_PLACE, "credential_endpoint_mismatch",
			CV_STR("the path has no canonical form, or there are too many"));
	switch (f->cred->state) {
	case CV_CRED_IDLE:
	case CV_CRED_ASKED: return CV_CRED_WAIT;
	case CV_CRED_REFUSED: return release_refuse(p, f, r);
	case CV_CRED_RELEASED: break;
	}
	if ((f->cred->flags & CV_RELEASED_REQUIRED) && has_own_credential(r, &plan))
		return refuse(p, f, r, CV_DENIAL_CREDENTIAL_OWN, "own_credential_refused",
			CV_STR("leave out your own, or use the placeholder from the environment"));
	return CV_CRED_OK;
}

bool cv_cred_apply(struct cv_proxy *p, struct cv_flow *f, struct cv_h1_request *r,
	struct cv_h1_request_edit *e)
{
	struct cv_rewrite *w = &p->creds.applied;
	struct cv_rewrite_plan plan;
	const struct cv_rewrite_head head = rewrite_head(r, e->path);
	enum cv_rewrite_rc rc;

	if (!p->creds.count || !f->cred || f->cred->state != CV_CRED_RELEASED)
		return true;
	cv_arena_reset(&p->creds.scratch);
	rc = cv_rewrite_collect(&p->creds.set, &head, &p->creds.scratch, &plan);
	if (rc == CV_REWRITE_OK)
		rc = cv_rewrite_apply(
			&p->creds.set, &head, &plan, f->cred->values, &p->creds.scratch, w);
	if (rc != CV_REWRITE_OK) {
		rewrite_refuse(p, f, r, rc);
		return false;
	}
	cv_rewrite_put(w, r);
	e->path = w->path;
	e->query = w->query;
	return true;
}

void cv_cred_forget(struct cv_proxy *p, struct cv_flow *f)
{
	if (!f->cred)
		return;
	if (f->cred->state == CV_CRED_RELEASED) {
		secrets_wipe(f->cred);
		cv_rewrite_wipe(&p->creds.applied);
		p->creds.applied = (struct cv_rewrite){ 0 };
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
	free(f->cred);
	f->cred = NULL;
}
