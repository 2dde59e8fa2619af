/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge.c - see edge.h
 *
 *     /auth/connect   a person's browser, which the edge has let in, gives its token to the command
 *                     line on the person's machine
 *     /_ws_tunnel     the command line comes back with that token; the edge looks at it, and lets the
 *                     upgrade through with an assertion: HTTP/2 in a WebSocket (rpc/tunnel.h)
 *
 * Neither is there without edge.issuer.  Cookies mean nothing here: what comes from a browser whoever
 * made it ask is no word of the person.  So a tunnel is not for pages at all (browsers put an Origin
 * beside each upgrade, and the page of a stranger would have the person's tunnel), and the token is
 * shown to a document alone, which no page of another origin can read.
 */
#include "gateway/edge.h"

#include "gateway/auth.h"
#include "gateway/config.h"
#include "gateway/console.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "rpc/tunnel.h"

#include <string.h>

#define TOKEN_ARENA_MAX (256u << 10)
#define PAGE_BYTES_MAX  (64u << 10) /* a token of 16 KB, and little else */
#define KEYS_PATH       "/cdn-cgi/access/certs"

bool cv_gw_edge_is_on(const struct cv_gw_config *c)
{
	return c->edge_issuer.n != 0;
}

struct cv_gw_issuer_words cv_gw_edge_words(const struct cv_gw_config *c)
{
	return (struct cv_gw_issuer_words){ .part = "edge",
		.name = c->edge_issuer,
		.audience = c->edge_audience,
		.keys_url = c->edge_jwks_uri,
		.keys_path = KEYS_PATH,
		.ca = c->edge_ca,
		.ttl_s = c->edge_jwks_ttl };
}

/* ---- who ---- */

static enum cv_rpc_status refuse(const struct cv_err *err)
{
	cv_metric_add(CV_METRIC_AUTH_REFUSALS, 1, "edge");
	cv_log(CV_LOG_WARN, "edge", CV_LOG_FIELDS({ "why", cv_str_of(err->msg) }), "refused");
	return CV_RPC_UNAUTHENTICATED;
}

/* A program that came with a service token has no `sub`, but the name of its token. */
static bool name_take(const struct cv_jwt *t, struct cv_principal *who)
{
	const struct cv_str service = cv_value_get_str(t->claims, CV_STR("common_name"));

	if (cv_value_get_str(t->claims, CV_STR("sub")).n)
		return cv_gw_claims_name(t, who);
	return service.n && cv_str_to_cstr(service, who->subject, sizeof(who->subject)) &&
	       cv_str_to_cstr(service, who->display_name, sizeof(who->display_name));
}

static enum cv_rpc_status token_verify(
	struct cv_gateway *g, const struct cv_jwt *t, struct cv_principal *ret, struct cv_err *err)
{
	const struct cv_gw_config *c = g->config;
	const struct cv_str type = cv_value_get_str(t->claims, CV_STR("type"));
	enum cv_rpc_status s = cv_gw_issuer_verify(cv_gw_edge_issuer(g), t, err);

	if (s != CV_RPC_OK)
		return s;
	if (type.n && !cv_str_eq(type, CV_STR("app"))) {
		cv_fail(err, CV_DENIED, "invalid token: it is for no application");
		return CV_RPC_UNAUTHENTICATED;
	}
	if (!name_take(t, ret)) {
		cv_fail(err, CV_DENIED, "invalid token: it names nobody");
		return CV_RPC_UNAUTHENTICATED;
	}
	ret->provider = "cloudflare_access";
	s = cv_gw_claims_roles(
		t, c->edge_roles_claim, c->edge_admin_role, c->edge_user_role, ret, err);
	if (s == CV_RPC_OK)
		ret->kind = CV_PRINCIPAL_USER;
	return s;
}

enum cv_rpc_status cv_gw_edge_verify(
	struct cv_gateway *g, struct cv_str assertion, struct cv_principal *ret, struct cv_err *err)
{
	enum cv_rpc_status s = CV_RPC_UNAUTHENTICATED;
	struct cv_arena arena;
	struct cv_jwt t;

	*ret = (struct cv_principal){ .kind = CV_PRINCIPAL_NONE };
	cv_arena_init(&arena, TOKEN_ARENA_MAX);
	if (cv_jwt_read(assertion, &arena, &t, err) == CV_OK)
		s = token_verify(g, &t, ret, err);
	cv_arena_fini(&arena);
	if (s == CV_RPC_OK)
		return s;
	(void)cv_wrap(err, "edge");
	return s == CV_RPC_UNAUTHENTICATED ? refuse(err) : s;
}

/* ---- /_ws_tunnel ---- */

static void page_tunnel(struct cv_rpc_request *r)
{
	struct cv_gateway *g = cv_gw_of_request(r);
	const struct cv_str assertion = cv_rpc_request_assertion(r);
	struct cv_principal who;
	enum cv_rpc_status s;
	struct cv_err err;

	if (!cv_gw_edge_is_on(g->config)) {
		cv_rpc_respond_error(r, CV_RPC_NOT_FOUND,
			"there are no tunnels here: the gateway has no edge.issuer that would say "
			"who is behind them");
		return;
	}
	if (cv_rpc_request_header(r, "origin").n) {
		cv_rpc_respond_error(
			r, CV_RPC_PERMISSION_DENIED, "a tunnel is for programs, and not for pages");
		return;
	}
	if (!assertion.n) {
		cv_fail(&err, CV_DENIED,
			"no edge proxy says who this is: no Cf-Access-Jwt-Assertion");
		cv_rpc_respond_error(r, refuse(&err), "%s", err.msg);
		return;
	}
	s = cv_gw_edge_verify(g, assertion, &who, &err);
	if (s != CV_RPC_OK) {
		cv_rpc_respond_error(r, s, "%s", err.msg);
		return;
	}
	cv_log(CV_LOG_DEBUG, "edge",
		CV_LOG_FIELDS({ "who", cv_str_of(who.subject) },
			{ "id", cv_str_of(cv_rpc_request_id(r)) }),
		"tunnel");
	cv_rpc_tunnel_open(r, assertion, who.subject);
}

/* ---- /auth/connect ---- */

static void page_send(struct cv_rpc_request *r, int status, const struct cv_gw_edge_asked *asked,
	struct cv_str page)
{
	struct cv_buf heads;

	cv_buf_init(&heads, PAGE_BYTES_MAX);
	cv_gw_edge_heads_put(&heads, asked);
	cv_buf_put_byte(&heads, 0);
	cv_rpc_respond(r, status, "text/html; charset=utf-8", cv_buf_str(&heads).p, page);
	cv_buf_fini(&heads);
}

static void page_refuse(struct cv_rpc_request *r, int status)
{
	page_send(r, status, NULL, cv_str_of(cv_gw_edge_page_error));
}

/* A page that a script fetched or put into a frame is none that a person looks at. */
static bool is_document(const struct cv_rpc_request *r)
{
	const struct cv_str dest = cv_rpc_request_header(r, "sec-fetch-dest");

	return !dest.n || cv_str_eq(dest, CV_STR("document"));
}

static void page_connect(struct cv_rpc_request *r)
{
	struct cv_gateway *g = cv_gw_of_request(r);
	const struct cv_str assertion = cv_rpc_request_assertion(r);
	struct cv_gw_edge_asked asked;
	struct cv_principal who;
	struct cv_err err;
	struct cv_buf page;

	if (!cv_gw_edge_is_on(g->config)) {
		cv_rpc_respond_error(r, CV_RPC_NOT_FOUND,
			"there is no log-in by an edge proxy here: the gateway has no edge.issuer");
		return;
	}
	if (!is_document(r) || !cv_gw_edge_query_read(cv_rpc_request_query(r), &asked)) {
		page_refuse(r, 400);
		return;
	}
	const enum cv_rpc_status s =
		assertion.n ? cv_gw_edge_verify(g, assertion, &who, &err) : CV_RPC_UNAUTHENTICATED;
	if (s != CV_RPC_OK) {
		page_refuse(r, cv_rpc_status_http(s));
		return;
	}
	cv_buf_init(&page, PAGE_BYTES_MAX);
	cv_gw_edge_page_put(&page, &asked, who.display_name, assertion);
	if (page.is_overflown)
		page_refuse(r, 500);
	else
		page_send(r, 200, &asked, cv_buf_str(&page));
	cv_buf_wipe(&page);
}

static void page_script(struct cv_rpc_request *r)
{
	for (size_t i = 0; i < cv_gw_console_file_count; i++) {
		const struct cv_gw_console_file *f = &cv_gw_console_file[i];

		if (strcmp(f->stem, "connect") == 0)
			cv_rpc_respond(r, 200, "text/javascript; charset=utf-8",
				"x-content-type-options: nosniff\r\n"
				"cross-origin-resource-policy: same-origin\r\n"
				"cache-control: no-cache\r\n",
				(struct cv_str){ f->text, f->bytes });
	}
}

/* ---- the part ---- */

static void warn(const struct cv_gateway *g)
{
	const struct cv_gw_config *c = g->config;

	if (cv_gw_edge_is_on(c) && !c->edge_admin_role.n && !c->edge_user_role.n)
		cv_log(CV_LOG_WARN, "edge", CV_LOG_FIELDS({ "issuer", c->edge_issuer }),
			"whom the edge proxy lets in is an administrator: no role is configured");
}

static cv_code start(struct cv_gateway *g, struct cv_err *err)
{
	(void)err;
	warn(g);
	return CV_OK;
}

static void reload(struct cv_gateway *g, const struct cv_gw_config *old)
{
	(void)old;
	warn(g);
}

#define OPEN                                                      \
	{                                                         \
		CV_RPC_AUTH_UNAUTHENTICATED, "", CV_RPC_ROLE_NONE \
	}
static const struct cv_rpc_page pages[] = {
	{ "GET", "/_ws_tunnel", OPEN, page_tunnel, NULL, NULL, true },
	{ "GET", "/auth/connect", OPEN, page_connect, NULL, NULL, true },
	{ "GET", "/auth/connect.js", OPEN, page_script, NULL, NULL, true },
};

const struct cv_gw_part cv_gw_part_edge = {
	.name = "edge",
	.pages = pages,
	.page_count = CV_ARRAY_LEN(pages),
	.start = start,
	.reload = reload,
};
