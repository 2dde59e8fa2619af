/* SPDX-License-Identifier: Apache-2.0 */
/*
 * info.c - what the gateway says of itself: Health, GetGatewayInfo, GetCurrentUser, and the pages
 * that machines ask for
 *
 *     /healthz                            200 and nothing: the loop turns
 *     /health /readyz                     whether the store answers
 *     /metrics                            numbers
 *     /auth/oidc-config                   where users get tokens
 *     /.well-known/...                    the key of our own tokens
 *
 * The store is asked at most once in CV_GW_PROBE_MS, whoever asks how often.
 */
#include "base/base64.h"
#include "gateway/admission.h"
#include "gateway/auth.h"
#include "gateway/config.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/sandbox.h"
#include "openshell.pb-c.h"
#include "sys/clock.h"

#define PROBE_MS          1000 /* between questions to the store */
#define ANSWER_BYTES_MAX  4096
#define METRICS_BYTES_MAX (8u << 20) /* every metric with all its series */

static struct {
	int64_t at_ms;
	bool is_known, is_well;
	double seconds;
	char why[CV_ERR_MSG_BYTES_MAX];
} probe;

/* A record that nobody writes: not found is an answer. */
static void store_probe(struct cv_gateway *g)
{
	const int64_t began_us = cv_clock_us();
	struct cv_err err = { .msg = "" };
	struct cv_buf b;
	cv_code code;

	if (probe.is_known && g->loop.now_ms - probe.at_ms < PROBE_MS)
		return;
	cv_buf_init(&b, 1);
	code = cv_store_get(g->store, CV_STR("probe"), CV_STR("-"), &b, NULL, &err);
	cv_buf_fini(&b);
	probe.is_known = true;
	probe.at_ms = g->loop.now_ms;
	probe.is_well = code == CV_OK || code == CV_NOT_FOUND;
	probe.seconds = (double)(cv_clock_us() - began_us) / 1e6;
	memcpy(probe.why, err.msg, sizeof(probe.why));
	cv_metric_set(CV_METRIC_DATABASE_HEALTHY, probe.is_well);
	cv_metric_observe(CV_METRIC_DATABASE_SECONDS, probe.seconds);
}

/* ---- rpcs ---- */

static void health(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	Openshell__V1__HealthResponse r;
	char version[] = CV_VERSION;

	(void)m;
	store_probe(cv_gw_of(c));
	openshell__v1__health_response__init(&r);
	r.status = probe.is_well ? OPENSHELL__V1__SERVICE_STATUS__SERVICE_STATUS_HEALTHY
				 : OPENSHELL__V1__SERVICE_STATUS__SERVICE_STATUS_UNHEALTHY;
	r.version = version;
	cv_rpc_reply(c, &r.base);
}

static void gateway_info(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	Openshell__V1__GetGatewayInfoResponse r;
	Openshell__V1__ComputeDriverInfo driver, *drivers[] = { &driver };
	Openshell__V1__ComputeDriverCapabilities can;
	char name[] = "rootless", version[] = CV_VERSION;

	(void)m;
	store_probe(cv_gw_of(c));
	openshell__v1__get_gateway_info_response__init(&r);
	openshell__v1__compute_driver_info__init(&driver);
	openshell__v1__compute_driver_capabilities__init(&can);
	can.driver_name = driver.name = name;
	can.driver_version = r.gateway_version = version;
	driver.capabilities = &can;
	r.status = probe.is_well ? OPENSHELL__V1__SERVICE_STATUS__SERVICE_STATUS_HEALTHY
				 : OPENSHELL__V1__SERVICE_STATUS__SERVICE_STATUS_UNHEALTHY;
	r.n_compute_drivers = CV_ARRAY_LEN(drivers);
	r.compute_drivers = drivers;
	cv_rpc_reply(c, &r.base);
}

/* As whoever said who it is calls it. */
static struct cv_str role_name(
	const struct cv_principal *who, struct cv_str edge, struct cv_str oidc)
{
	const bool is_edge = cv_str_eq(cv_str_of(who->provider), CV_STR("cloudflare_access"));

	return is_edge && edge.n ? edge : oidc;
}

static void current_user(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	const struct cv_principal *who = cv_rpc_call_principal(c);
	const struct cv_gw_config *config = cv_gw_of(c)->config;
	Openshell__V1__GetCurrentUserResponse r;
	char *scopes[CV_RPC_SCOPES_MAX], *roles[2];
	struct cv_principal copy = *who;
	char admin[CV_RPC_SUBJECT_BYTES_MAX], user[CV_RPC_SUBJECT_BYTES_MAX], provider[32] = "";

	(void)m;
	openshell__v1__get_current_user_response__init(&r);
	r.subject = copy.subject;
	r.display_name = copy.display_name[0] ? copy.display_name : copy.subject;
	if (!cv_str_to_cstr(cv_str_of(who->provider), provider, sizeof(provider)))
		provider[0] = 0;
	r.identity_provider = provider;
	if (who->is_admin &&
		cv_str_to_cstr(role_name(who, config->edge_admin_role, config->oidc_admin_role),
			admin, sizeof(admin)))
		roles[r.n_roles++] = admin;
	if (who->is_user &&
		cv_str_to_cstr(role_name(who, config->edge_user_role, config->oidc_user_role), user,
			sizeof(user)))
		roles[r.n_roles++] = user;
	for (size_t i = 0; i < who->scope_count; i++)
		scopes[r.n_scopes++] = copy.scopes[i];
	r.roles = roles;
	r.scopes = scopes;
	cv_rpc_reply(c, &r.base);
}

/* ---- pages ---- */

static void page_healthz(struct cv_rpc_request *r)
{
	cv_rpc_respond(r, 200, "text/plain", NULL, CV_STR_NONE);
}

static void page_health(struct cv_rpc_request *r)
{
	struct cv_gateway *g = cv_gw_of_request(r);
	struct cv_buf b;

	store_probe(g);
	cv_buf_init(&b, ANSWER_BYTES_MAX);

	const bool is_well = probe.is_well && !g->is_draining;
	const char *word = is_well ? "healthy" : "unhealthy";

	cv_buf_printf(&b,
		"{\"status\":\"%s\",\"version\":\"" CV_VERSION "\",\"checks\":{\"database\":{"
		"\"status\":\"%s\",\"latency_ms\":%.3f",
		word, probe.is_well ? "healthy" : "unhealthy", probe.seconds * 1e3);
	if (!probe.is_well) {
		cv_buf_put_byte(&b, ',');
		cv_buf_put_json_member(&b, "error", cv_str_of(probe.why));
	}
	cv_buf_put(&b, CV_STR("}}}"));
	cv_rpc_respond(r, is_well ? 200 : 503, "application/json", NULL, cv_buf_str(&b));
	cv_buf_fini(&b);
}

/* Those that there are none of are 0: a phase must not vanish with its last sandbox. */
static void phases_count(const struct cv_gateway *g)
{
	size_t count[OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STARTING + 1] = { 0 };
	const struct cv_object_range all = cv_object_all(g->objects, CV_OBJECT_SANDBOX);

	for (size_t i = all.first; i < all.end; i++) {
		const struct cv_gw_box *b =
			cv_gw_box_of(cv_object_at(g->objects, CV_OBJECT_SANDBOX, i));
		const size_t p = b ? (size_t)cv_gw_box_phase(b) : 0;

		count[p < CV_ARRAY_LEN(count) ? p : 0]++;
	}
	for (size_t p = 1; p < CV_ARRAY_LEN(count); p++)
		cv_metric_set(CV_METRIC_SANDBOXES, (double)count[p],
			cv_gw_phase_name((Openshell__V1__SandboxPhase)p));
}

static void page_metrics(struct cv_rpc_request *r)
{
	const struct cv_gateway *g = cv_gw_of_request(r);
	struct cv_buf b;

	for (enum cv_object_kind k = 0; k < CV_OBJECT_KIND_COUNT; k++)
		cv_metric_set(CV_METRIC_OBJECTS, (double)cv_object_all(g->objects, k).end,
			cv_object_noun(k));
	cv_gw_admission_metrics(g);
	phases_count(g);
	cv_buf_init(&b, METRICS_BYTES_MAX);
	cv_metrics_write(&b);
	cv_rpc_respond(r, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, cv_buf_str(&b));
	cv_buf_fini(&b);
}

static void page_oidc_config(struct cv_rpc_request *r)
{
	const struct cv_gw_config *c = cv_gw_of_request(r)->config;
	struct cv_buf b;

	if (!c->oidc_issuer.n) {
		cv_rpc_respond_error(r, CV_RPC_NOT_FOUND, "OIDC is not configured");
		return;
	}
	cv_buf_init(&b, ANSWER_BYTES_MAX);
	cv_buf_put_byte(&b, '{');
	cv_buf_put_json_member(&b, "issuer", c->oidc_issuer);
	cv_buf_put_byte(&b, ',');
	cv_buf_put_json_member(&b, "audience", c->oidc_audience);
	cv_buf_put_byte(&b, '}');
	cv_rpc_respond(r, 200, "application/json", NULL, cv_buf_str(&b));
	cv_buf_fini(&b);
}

static void page_jwks(struct cv_rpc_request *r)
{
	struct cv_buf b;

	cv_buf_init(&b, ANSWER_BYTES_MAX);
	cv_gw_jwks_write(cv_gw_of_request(r), &b);
	cv_rpc_respond(r, 200, "application/json", NULL, cv_buf_str(&b));
	cv_buf_fini(&b);
}

/* The host is the caller's word: it goes into a URL that only the caller reads. */
static void page_discovery(struct cv_rpc_request *r)
{
	const struct cv_gateway *g = cv_gw_of_request(r);
	const struct cv_str proto = cv_rpc_request_header(r, "x-forwarded-proto");
	struct cv_buf url, b;

	cv_buf_init(&url, 1024);
	cv_buf_init(&b, ANSWER_BYTES_MAX);
	cv_buf_printf(&url, "%s://%.*s/.well-known/jwks.json",
		cv_str_eq(proto, CV_STR("http")) ? "http" : "https",
		CV_STR_ARG(cv_rpc_request_host(r)));
	cv_buf_printf(&b, "{\"issuer\":\"openshell-gateway:");
	cv_buf_put_json(&b, cv_str_of(g->id));
	cv_buf_put(&b, CV_STR("\","));
	cv_buf_put_json_member(&b, "jwks_uri", cv_buf_str(&url));
	cv_buf_put(&b, CV_STR(",\"id_token_signing_alg_values_supported\":[\"EdDSA\"]}"));
	if (b.is_overflown || url.is_overflown)
		cv_rpc_respond_error(r, CV_RPC_INVALID_ARGUMENT, "the host is too long");
	else
		cv_rpc_respond(r, 200, "application/json", NULL, cv_buf_str(&b));
	cv_buf_fini(&url);
	cv_buf_fini(&b);
}

static const struct cv_gw_method methods[] = {
	{ "Health", { .message = health } },
	{ "GetGatewayInfo", { .message = gateway_info } },
	{ "GetCurrentUser", { .message = current_user } },
};

#define OPEN                                                      \
	{                                                         \
		CV_RPC_AUTH_UNAUTHENTICATED, "", CV_RPC_ROLE_NONE \
	}
static const struct cv_rpc_page pages[] = {
	{ "GET", "/healthz", OPEN, page_healthz, NULL, NULL },
	{ "GET", "/health", OPEN, page_health, NULL, NULL },
	{ "GET", "/readyz", OPEN, page_health, NULL, NULL },
	{ "GET", "/metrics", OPEN, page_metrics, NULL, NULL },
	{ "GET", "/auth/oidc-config", OPEN, page_oidc_config, NULL, NULL },
	{ "GET", "/.well-known/jwks.json", OPEN, page_jwks, NULL, NULL },
	{ "GET", "/.well-known/openid-configuration", OPEN, page_discovery, NULL, NULL },
};

const struct cv_gw_part cv_gw_part_info = {
	.name = "info",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.pages = pages,
	.page_count = CV_ARRAY_LEN(pages),
};
