/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sign.c - see sign.h
 *
 * Which credentials sign is said by their variables: a variable is there once in a run, so the one
 * provider that has them is meant, and the keeper refuses it where it is not bound.
 */
#include "proxy/sign.h"

#include "cred/sigv4.h"
#include "proxy/proxy.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct cv_str cv_sign_drop[] = { CV_STR("authorization"), CV_STR("x-amz-content-sha256"),
	CV_STR("x-amz-date"), CV_STR("x-amz-region-set"), CV_STR("x-amz-security-token") };
const size_t cv_sign_drop_count = CV_ARRAY_LEN(cv_sign_drop);

enum { KEY_ID, SECRET, TOKEN, KEY_COUNT };
static const struct cv_str key_names[KEY_COUNT] = {
	[KEY_ID] = CV_STR("AWS_ACCESS_KEY_ID"),
	[SECRET] = CV_STR("AWS_SECRET_ACCESS_KEY"),
	[TOKEN] = CV_STR("AWS_SESSION_TOKEN"),
};

bool cv_sign_is_dropped(struct cv_str name)
{
	for (size_t i = 0; i < cv_sign_drop_count; i++)
		if (cv_h1_name_eq(name, cv_sign_drop[i]))
			return true;
	return false;
}

static const struct cv_policy_endpoint *endpoint_of(const struct cv_flow *f)
{
	const struct cv_policy_endpoint *e =
		f->verdict.obligations & CV_OBLIGE_INSPECT
			? cv_policy_endpoint_of(f->policy, &f->http.verdict)
			: NULL;

	return e && e->credential_signing.s.n ? e : NULL;
}

bool cv_sign_is_on(const struct cv_flow *f)
{
	return endpoint_of(f) != NULL;
}

const struct cv_sign_fault cv_sign_fault_long = {
	.slug = "signing_body_too_large",
	.why = "the body is too large to be signed; the limit is 10 MiB",
};

const struct cv_sign_fault cv_sign_fault_unasked = {
	.slug = "signing_refused",
	.why = "the credentials were not released",
};

static bool fault_set(struct cv_sign_fault *ret, const char *slug, const char *why)
{
	ret->slug = slug;
	snprintf(ret->why, sizeof(ret->why), "%.150s", why);
	return false;
}

/* ---- what the endpoint asks of a request ---- */

static struct cv_str field_of(const struct cv_h1_request *r, struct cv_str name)
{
	size_t at = 0;
	const struct cv_h1_header *h =
		cv_h1_header_next_named(r->header, r->header_count, name, &at);

	return h ? h->value : CV_STR_NONE;
}

static cv_code payload_of(const struct cv_policy_endpoint *e, const struct cv_h1_request *r,
	enum cv_sigv4_payload *ret, struct cv_err *err)
{
	enum cv_sigv4_mode mode;

	if (!cv_sigv4_mode_parse(e->credential_signing.s, &mode))
		return cv_fail(err, CV_INVALID, "unknown way to sign");
	return cv_sigv4_payload(mode, field_of(r, CV_STR("x-amz-content-sha256")),
		r->body != CV_H1_BODY_CHUNKED, ret, err);
}

size_t cv_sign_body_max(const struct cv_flow *f, const struct cv_h1_request *r)
{
	const struct cv_policy_endpoint *e = endpoint_of(f);
	enum cv_sigv4_payload payload;

	if (!e || r->body == CV_H1_BODY_NONE || payload_of(e, r, &payload, NULL) != CV_OK)
		return 0;
	return payload == CV_SIGV4_PAYLOAD_HASH ? CV_SIGV4_BODY_BYTES_MAX : 0;
}

static bool is_key_there(const struct cv_proxy *p, int key, uint32_t *ret)
{
	for (size_t i = 0; i < p->creds.count; i++)
		if (cv_str_eq(p->creds.entries[i].key, key_names[key])) {
			*ret = (uint32_t)i;
			return true;
		}
	return false;
}

/* Bodies that are kept to be signed, of all flows. */
static size_t holds_count(const struct cv_proxy *p)
{
	size_t n = 0;

	for (uint32_t i = 0; i < p->flows.high; i++) {
		const struct cv_flow *f = &p->flows.v[i];

		n += f->state != CV_FLOW_FREE && f->hold &&
		     f->hold->body.max == CV_SIGV4_BODY_BYTES_MAX;
	}
	return n;
}

/* A signature in the query, by a dry run of the signing itself. */
static bool query_is_fine(const struct cv_h1_request *r, struct cv_sign_fault *ret)
{
	const struct cv_sigv4_request request = {
		.method = r->method,
		.host = CV_STR("h"),
		.path = CV_STR("/"),
		.query = r->query,
	};
	const struct cv_sigv4_keys keys = { .id = CV_STR("k"), .secret = CV_STR("s") };
	const struct cv_sigv4_scope scope = { .region = CV_STR("r"), .service = CV_STR("s3") };
	struct cv_sigv4_result result;
	struct cv_arena arena;
	struct cv_err err = { 0 };

	cv_arena_init(&arena, CV_SIGV4_CANON_BYTES_MAX);
	const cv_code code = cv_sigv4_sign(
		&request, &keys, &scope, CV_SIGV4_PAYLOAD_UNSIGNED, NULL, &arena, &result, &err);
	cv_arena_fini(&arena);
	if (code == CV_OK)
		return true;
	return fault_set(ret, code == CV_DENIED ? "signed_query" : "signing_refused", err.msg);
}

bool cv_sign_check(const struct cv_proxy *p, const struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_sign_fault *ret)
{
	const struct cv_policy_endpoint *e = endpoint_of(f);
	struct cv_err err = { 0 };
	struct cv_str region;
	enum cv_sigv4_payload payload;
	uint32_t i;

	*ret = (struct cv_sign_fault){ 0 };
	if (!f->is_tls)
		return fault_set(ret, "plain_http", "credentials go out over TLS only");
	if (!is_key_there(p, KEY_ID, &i) || !is_key_there(p, SECRET, &i))
		return fault_set(ret, "signing_without_keys",
			"no provider has AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
	if (r->form == CV_H1_FORM_ASTERISK)
		return fault_set(
			ret, "signing_refused", "a request without a path has no signature");
	if (cv_sigv4_region(cv_host_str(&f->host), e->signing_region.s, &region, &err) != CV_OK)
		return fault_set(ret, "signing_region", err.msg);
	if (payload_of(e, r, &payload, &err) != CV_OK)
		return fault_set(ret, "signed_chunks", err.msg);
	if (!query_is_fine(r, ret))
		return false;
	if (f->hold || !cv_sign_body_max(f, r))
		return true;
	if (r->body == CV_H1_BODY_LENGTH && r->length > CV_SIGV4_BODY_BYTES_MAX)
		*ret = cv_sign_fault_long;
	if (ret->slug)
		return false;
	ret->is_busy = holds_count(p) >= CV_PROXY_SIGN_HOLDS_MAX;
	return !ret->is_busy || fault_set(ret, "signing_busy", "too many bodies are being signed");
}

bool cv_sign_ask(const struct cv_proxy *p, struct cv_keeper_release *ask)
{
	for (int key = 0; key < KEY_COUNT; key++) {
		bool is_new = true;
		uint32_t i;

		if (!is_key_there(p, key, &i)) {
			if (key == TOKEN)
				continue;
			return false;
		}
		for (size_t k = 0; k < ask->count; k++)
			is_new &= ask->creds[k] != i;
		if (is_new && ask->count == CV_KEEPER_CREDS_MAX)
			return false;
		if (is_new)
			ask->creds[ask->count++] = i;
	}
	return true;
}

/* ---- the signature ---- */

static bool is_in(struct cv_str name, const struct cv_str *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cv_h1_name_eq(name, names[i]))
			return true;
	return false;
}

/* The fields that the writer will pass on, and Authorization, which says what the client signed. */
static struct cv_cred_header *fields_of(const struct cv_h1_request *r, const struct cv_h1_edit *e,
	struct cv_arena *arena, size_t *ret_count)
{
	const unsigned ends = CV_H1_HOP | CV_H1_FRAMING | CV_H1_OVERRIDE | CV_H1_NAMED;
	struct cv_cred_header *v = cv_arena_array(arena, r->header_count + 1, sizeof(v[0]));
	size_t n = 0;

	for (size_t i = 0; v && i < r->header_count; i++) {
		const struct cv_h1_header *h = &r->header[i];

		if ((h->flags & ends) || is_in(h->name, e->drop, e->drop_count) ||
			(cv_sign_is_dropped(h->name) && h->field != CV_H1_FIELD_AUTHORIZATION))
			continue;
		v[n++] = (struct cv_cred_header){ h->name, h->value };
	}
	*ret_count = n;
	return v;
}

/* e, with the client's signature dropped and ours set. */
static bool edit_put(struct cv_h1_edit *e, const struct cv_sigv4_result *s, struct cv_arena *arena)
{
	const size_t sets = e->set_count + s->set_count, drops = e->drop_count + cv_sign_drop_count;
	struct cv_h1_header *set = cv_arena_array(arena, sets, sizeof(set[0]));
	struct cv_str *drop = cv_arena_array(arena, drops, sizeof(drop[0]));

	if (!set || !drop)
		return false;
	if (e->set_count)
		memcpy(set, e->set, e->set_count * sizeof(set[0]));
	for (size_t i = 0; i < s->set_count; i++)
		set[e->set_count + i] =
			(struct cv_h1_header){ .name = s->set[i].name, .value = s->set[i].value };
	if (e->drop_count)
		memcpy(drop, e->drop, e->drop_count * sizeof(drop[0]));
	memcpy(drop + e->drop_count, cv_sign_drop, sizeof(cv_sign_drop));
	e->set = set;
	e->set_count = sets;
	e->drop = drop;
	e->drop_count = drops;
	return true;
}

static struct cv_str host_of(const struct cv_h1_request_edit *e, struct cv_arena *arena)
{
	struct cv_buf b;

	cv_buf_init(&b, 512); /* a name has 253 bytes, a port six */
	cv_authority_write(&b, e->authority, e->port_default);
	const struct cv_str host = cv_arena_str(arena, cv_buf_str(&b));
	cv_buf_fini(&b);
	return host;
}

static cv_code sign(struct cv_proxy *p, const struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_h1_request_edit *e, struct cv_str body, struct cv_err *err)
{
	const struct cv_policy_endpoint *const to = endpoint_of(f);
	const struct cv_str *const values = f->cred->values;
	struct cv_arena *const arena = &p->creds.scratch;
	struct cv_sigv4_scope scope = { .service = to->signing_service.s };
	unsigned char digest[CV_SHA256_BYTES];
	enum cv_sigv4_payload payload;
	struct cv_sigv4_result result;
	uint32_t at[KEY_COUNT];
	struct cv_sha256 sha;

	scope.now_s = cv_clock_unix_s();
	if (!is_key_there(p, KEY_ID, &at[KEY_ID]) || !is_key_there(p, SECRET, &at[SECRET]))
		return cv_fail(err, CV_INVALID, "there are no keys");
	const struct cv_sigv4_keys keys = {
		.id = values[at[KEY_ID]],
		.secret = values[at[SECRET]],
		.session_token =
			is_key_there(p, TOKEN, &at[TOKEN]) ? values[at[TOKEN]] : CV_STR_NONE,
	};
	cv_code code =
		cv_sigv4_region(cv_host_str(&f->host), to->signing_region.s, &scope.region, err);
	if (code == CV_OK)
		code = payload_of(to, r, &payload, err);
	if (code != CV_OK)
		return code;
	if (payload == CV_SIGV4_PAYLOAD_HASH && r->body != CV_H1_BODY_NONE && !f->hold)
		return cv_fail(err, CV_INVALID, "the body was not kept");
	cv_sha256_init(&sha);
	cv_sha256_update(&sha, body.p, body.n);
	cv_sha256_final(&sha, digest);
	struct cv_sigv4_request request = {
		.method = r->method,
		.host = host_of(e, arena),
		.path = e->path,
		.query = e->query,
	};
	request.headers = fields_of(r, &e->common, arena, &request.header_count);
	if (!request.headers || arena->is_overflown)
		return cv_fail(err, CV_LIMIT, "no memory");
	code = cv_sigv4_sign(&request, &keys, &scope, payload, digest, arena, &result, err);
	if (code != CV_OK)
		return code;
	if (!edit_put(&e->common, &result, arena))
		return cv_fail(err, CV_LIMIT, "no memory");
	e->path = result.path;
	e->query = result.query;
	return CV_OK;
}

bool cv_sign_apply(struct cv_proxy *p, const struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_h1_request_edit *e, struct cv_str body, struct cv_sign_fault *ret)
{
	struct cv_err err = { 0 };

	*ret = (struct cv_sign_fault){ 0 };
	if (sign(p, f, r, e, body, &err) == CV_OK)
		return true;
	cv_arena_wipe(&p->creds.scratch);
	return fault_set(ret, "signing_refused", err.msg);
}
