/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oidc.c - see oidc.h
 *
 * Renewal is done by one process at a time (a lock on the directory), which looks again when it has
 * the lock: many issuers let a refresh token be used once, and end all of its family when it comes
 * twice.
 */
#include "client/fetch.h"
#include "client/oidc.h"

#include "base/base64.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "wire/json_value.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define EARLY_S          30 /* before its end: the way to the gateway, and clocks that differ */
#define FORM_BYTES_MAX   (40u << 10)
#define STORED_BYTES_MAX (64u << 10)

/* ---- the issuer ---- */

static bool is_loopback_http(const char *url)
{
	static const char *const hosts[] = { "http://127.0.0.1", "http://localhost",
		"http://[::1]" };

	for (size_t i = 0; i < CV_ARRAY_LEN(hosts); i++) {
		const size_t n = strlen(hosts[i]);

		if (strncmp(url, hosts[i], n) == 0 && (!url[n] || strchr(":/", url[n])))
			return true;
	}
	return false;
}

/* https, or an issuer on this host: nobody else sees what is sent. */
static bool url_is_fine(const char *url, const char *issuer)
{
	for (const char *p = url; *p; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return strncmp(url, "https://", 8) == 0 ||
	       (is_loopback_http(issuer) && is_loopback_http(url));
}

static const char *endpoint_of(
	struct cl *c, const struct cv_value *o, const char *key, const char *issuer)
{
	const struct cv_str s = cv_value_get_str(o, cv_str_of(key));
	const char *url = s.n ? cv_arena_str(&c->arena, s).p : NULL;

	return url && url_is_fine(url, issuer) ? url : NULL;
}

/* RFC 8414: without the member, an issuer takes client_secret_basic. */
static bool takes_basic(const struct cv_value *o)
{
	const struct cv_value *v = cv_value_get(o, CV_STR("token_endpoint_auth_methods_supported"));

	if (!v || v->type != CV_VALUE_ARRAY)
		return true;
	for (size_t i = 0; i < v->n; i++)
		if (v->v[i].type == CV_VALUE_STRING &&
			cv_str_eq(v->v[i].s, CV_STR("client_secret_basic")))
			return true;
	return false;
}

static cv_code discovery_read(
	struct cl *c, struct cv_str text, struct cl_oidc *ret, struct cv_err *err)
{
	const struct cv_value *o;

	if (cv_json_value_read(text, &c->arena, &o, NULL) != CV_JSON_PROBLEM_NONE)
		return cv_fail(err, CV_UNAVAILABLE, "the issuer's description is no JSON");
	if (!cv_str_eq(cv_value_get_str(o, CV_STR("issuer")), cv_str_of(ret->issuer)))
		return cv_fail(err, CV_DENIED,
			"what is at %s describes another issuer; it must be written as the issuer "
			"writes it",
			ret->issuer);
	ret->authorization_url = endpoint_of(c, o, "authorization_endpoint", ret->issuer);
	ret->token_url = endpoint_of(c, o, "token_endpoint", ret->issuer);
	ret->device_url = endpoint_of(c, o, "device_authorization_endpoint", ret->issuer);
	ret->has_basic = takes_basic(o);
	if (!ret->token_url)
		return cv_fail(err, CV_UNAVAILABLE, "the issuer names no token endpoint with TLS");
	return CV_OK;
}

cv_code cl_oidc_discover(
	struct cl *c, const struct cl_gateway *g, struct cl_oidc *ret, struct cv_err *err)
{
	const char *secret = getenv("OPENSHELL_OIDC_CLIENT_SECRET");
	struct cv_str issuer = cv_str_of(g->oidc_issuer);
	struct cl_fetched answer;

	*ret = (struct cl_oidc){ .gateway = g,
		.issuer = g->oidc_issuer,
		.client_id = g->oidc_client_id ? g->oidc_client_id : CL_OIDC_CLIENT_ID,
		.secret = secret && *secret ? secret : NULL };
	if (!url_is_fine(g->oidc_issuer, g->oidc_issuer))
		return cv_fail(
			err, CV_INVALID, "the issuer %s is reached without TLS", ret->issuer);
	while (cv_str_has_suffix(issuer, CV_STR("/"))) /* OpenID Discovery section 4.1 */
		issuer.n--;
	const struct cl_fetch f = { .url = cl_print(c, "%.*s/.well-known/openid-configuration",
					    CV_STR_ARG(issuer)) };
	cv_code code = cl_fetch(c, &f, &answer, err);
	if (code == CV_OK && answer.status != 200)
		code = cv_fail(err, CV_UNAVAILABLE, "it answered %d", answer.status);
	if (code == CV_OK)
		code = discovery_read(c, answer.body, ret, err);
	return code == CV_OK ? CV_OK : cv_wrap(err, "ask %s", ret->issuer);
}

/* ---- questions ---- */

void cl_oidc_form_begin(const struct cl_oidc *o, struct cv_buf *form)
{
	cv_buf_init(form, FORM_BYTES_MAX);
	if (!o->secret || !o->has_basic)
		cl_form_put(form, "client_id", cv_str_of(o->client_id));
	if (o->secret && !o->has_basic)
		cl_form_put(form, "client_secret", cv_str_of(o->secret));
}

/* openid makes it a log-in; what else, who registered the gateway knows. */
void cl_oidc_scope_put(const struct cl_oidc *o, struct cv_buf *form)
{
	const char *more = o->gateway->oidc_scopes ? o->gateway->oidc_scopes : "";
	struct cv_str rest = cv_str_of(more);
	struct cv_buf b;

	cv_buf_init(&b, FORM_BYTES_MAX);
	cv_buf_put(&b, CV_STR("openid"));
	while (rest.p && rest.n) {
		const struct cv_str one = cv_str_cut(&rest, ' ');

		if (one.n && !cv_str_eq(one, CV_STR("openid")))
			cv_buf_printf(&b, " %.*s", CV_STR_ARG(one));
	}
	cl_form_put(form, "scope", cv_buf_str(&b));
	cv_buf_fini(&b);
	if (o->gateway->oidc_audience)
		cl_form_put(form, "audience", cv_str_of(o->gateway->oidc_audience));
}

/* Id and secret are form-encoded before they are joined (RFC 6749 section 2.3.1). */
static const char *basic_of(struct cl *c, const struct cl_oidc *o)
{
	struct cv_buf pair, b;

	if (!o->secret || !o->has_basic)
		return NULL;
	cv_buf_init(&pair, FORM_BYTES_MAX);
	cv_buf_init(&b, FORM_BYTES_MAX);
	cv_buf_put_percent(&pair, cv_str_of(o->client_id));
	cv_buf_put_byte(&pair, ':');
	cv_buf_put_percent(&pair, cv_str_of(o->secret));
	cv_buf_put(&b, CV_STR("Basic "));
	cv_buf_put_base64(&b, cv_buf_str(&pair), CV_BASE64_STD);
	const char *value = cl_print(c, "%.*s", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_wipe(&pair);
	cv_buf_wipe(&b);
	return value;
}

cv_code cl_oidc_ask(struct cl *c, const struct cl_oidc *o, const char *url, struct cv_buf *form,
	struct cl_fetched *ret, struct cv_err *err)
{
	const struct cl_fetch f = {
		.url = url, .form = cv_buf_str(form), .authorization = basic_of(c, o)
	};
	const cv_code code = form->is_overflown ? cv_fail(err, CV_LIMIT, "the request is too long")
						: cl_fetch(c, &f, ret, err);

	cv_buf_wipe(form);
	return code == CV_OK ? CV_OK : cv_wrap(err, "ask %s", o->issuer);
}

cv_code cl_oidc_ask_token(struct cl *c, const struct cl_oidc *o, struct cv_buf *form,
	struct cl_token *ret, struct cv_err *err)
{
	struct cl_fetched answer;
	const cv_code code = cl_oidc_ask(c, o, o->token_url, form, &answer, err);

	if (code != CV_OK)
		return code;
	const char *why = cl_token_read(answer.body, &c->arena, ret);
	if (why || (answer.status != 200 && !ret->error.p))
		return cv_fail(err, CV_UNAVAILABLE, "%s answered %d without a token: %s", o->issuer,
			answer.status, why ? why : "it says no reason");
	return CV_OK;
}

/* ---- what is stored ---- */

const char *cl_gateway_own_folder(struct cl *c, const struct cl_gateway *g)
{
	return g->is_system ? cl_print(c, "%s/gateways/%s", cl_config_dir(c), g->name) : g->folder;
}

static const char *token_path(struct cl *c, const struct cl_gateway *g)
{
	return cl_print(c, "%s/oidc_token.json", cl_gateway_own_folder(c, g));
}

void cl_oidc_store(struct cl *c, const struct cl_gateway *g, const struct cl_token *t)
{
	const char *client_id = g->oidc_client_id ? g->oidc_client_id : CL_OIDC_CLIENT_ID;
	struct cl_out o;

	cl_out_init(&o, CL_FORM_JSON);
	cl_out_object(&o, NULL);
	cl_out_bytes(&o, "access_token", t->access);
	if (t->refresh.p)
		cl_out_bytes(&o, "refresh_token", t->refresh);
	if (t->lives_s)
		cl_out_int(&o, "expires_at", cv_clock_unix_ms() / 1000 + (int64_t)t->lives_s);
	cl_out_str(&o, "issuer", g->oidc_issuer ? g->oidc_issuer : "");
	cl_out_str(&o, "client_id", g->oidc_issuer ? client_id : "");
	cl_out_end(&o);
	cl_file_write(c, token_path(c, g), cv_buf_str(&o.b));
	cv_buf_wipe(&o.b);
}

struct stored {
	char *access;
	struct cv_str refresh;
	int64_t expires_s; /* 0: not known */
};

static bool stored_read(struct cl *c, const struct cl_gateway *g, struct stored *ret)
{
	const char *path = token_path(c, g);
	const struct cv_value *o = NULL;
	struct cv_str text;

	*ret = (struct stored){ .expires_s = 0 };
	if (!cl_file_slurp(c, path, STORED_BYTES_MAX, &text))
		return false;
	if (cv_json_value_read(text, &c->arena, &o, NULL) != CV_JSON_PROBLEM_NONE) {
		cl_note(c, "warning: %s is no JSON and is not used", path);
		return false;
	}
	const struct cv_str issuer = cv_value_get_str(o, CV_STR("issuer"));
	if (issuer.n && g->oidc_issuer && !cv_str_eq(issuer, cv_str_of(g->oidc_issuer))) {
		cl_note(c,
			"warning: the stored token is of another issuer than gateway '%s' has; log in again",
			cl_shown(c, g->name));
		return false;
	}
	const struct cv_str access = cv_value_get_str(o, CV_STR("access_token"));
	const struct cv_value *expires = cv_value_get(o, CV_STR("expires_at"));
	ret->access = cl_print(c, "%.*s", CV_STR_ARG(access));
	ret->refresh = cv_value_get_str(o, CV_STR("refresh_token"));
	if (!expires || expires->type != CV_VALUE_NUMBER ||
		!cv_value_to_i64(expires, &ret->expires_s))
		ret->expires_s = 0;
	return access.n > 0;
}

/* ---- renewal ---- */

static bool is_over(const struct stored *s)
{
	return s->expires_s && s->expires_s - EARLY_S <= cv_clock_unix_ms() / 1000;
}

static cv_code renew(struct cl *c, const struct cl_gateway *g, struct stored *s, struct cv_err *err)
{
	struct cl_token t;
	struct cl_oidc o;
	struct cv_buf form;
	cv_code code = cl_oidc_discover(c, g, &o, err);

	if (code != CV_OK)
		return code;
	cl_oidc_form_begin(&o, &form);
	if (s->refresh.n) {
		cl_form_put(&form, "grant_type", CV_STR("refresh_token"));
		cl_form_put(&form, "refresh_token", s->refresh);
	} else {
		cl_form_put(&form, "grant_type", CV_STR("client_credentials"));
		cl_oidc_scope_put(&o, &form);
	}
	code = cl_oidc_ask_token(c, &o, &form, &t, err);
	if (code == CV_OK && t.error.p)
		code = cv_fail(err, CV_DENIED, "%.*s%s%.*s", CV_STR_ARG(t.error),
			t.description.p ? ": " : "", CV_STR_ARG(t.description));
	if (code != CV_OK)
		return code;
	if (!t.refresh.p && s->refresh.n) /* RFC 6749 section 6: the old one holds on */
		t.refresh = s->refresh;
	cl_oidc_store(c, g, &t);
	s->access = cl_print(c, "%.*s", CV_STR_ARG(t.access));
	return CV_OK;
}

char *cl_oidc_token(struct cl *c, const struct cl_gateway *g)
{
	static bool has_failed; /* once is enough for a run */
	const char *secret = getenv("OPENSHELL_OIDC_CLIENT_SECRET");
	struct cv_err err = { .msg = "" };
	struct stored s;

	if (!stored_read(c, g, &s))
		return NULL;
	if (!is_over(&s) || has_failed || !g->oidc_issuer || (!s.refresh.n && !(secret && *secret)))
		return s.access;
	CV_AUTO_FD int lock = open(cl_gateway_own_folder(c, g), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock >= 0)
		(void)flock(lock, LOCK_EX); /* where there are no locks, there is no other client */
	if (!stored_read(c, g, &s) || !is_over(&s))
		return s.access;
	if (renew(c, g, &s, &err) != CV_OK) {
		has_failed = true;
		cl_note(c,
			"warning: the log-in at gateway '%s' was not renewed: %s\n"
			"hint: log in again with: %s gateway login %s",
			cl_shown(c, g->name), cl_shown(c, err.msg), c->program,
			cl_shown(c, g->name));
	}
	return s.access;
}
