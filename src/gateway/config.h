/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - what the gateway is told at its start: one YAML file, environment, flags
 *
 * A flag wins over the environment, that over the file, that over the default.  One row of
 * CV_GW_OPTIONS for each thing that can be said: its key in the file (dots are nesting), its flag,
 * its name in the environment behind OPENSHELL_ or COVE_ (COVE_ wins), its field.  Keys that no row
 * has are errors, with the nearest name beside them.
 *
 * A config is immutable; SIGHUP makes another, and rows that say FIXED keep their old value then
 * (with a warning that a restart is needed).
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "gateway/quota.h"
#include "policy/policy.h" /* struct cv_findings */

#define CV_GW_CONFIG_BYTES_MAX (256u << 10) /* of the file; a thousand images fit */
#define CV_GW_PORT             17670

struct cv_gw_config_list {
	struct cv_str *v;
	size_t n;
};
struct cv_gw_config_map { /* in the order written */
	struct cv_str *key, *value;
	struct cv_policy_pos *at; /* of the keys in the file */
	size_t n;
};
struct cv_gw_config_quotas { /* of workspaces that have their own */
	struct cv_str *name;
	struct cv_quota_amount *own;
	size_t n;
};
enum cv_gw_choice { CV_GW_UNSET, CV_GW_NO, CV_GW_YES }; /* a switch whose default depends */

/* clang-format off */
/* field, type, key in the file, flag ("": none), environment ("": none), default, FIXED or LIVE, help.
 * Append yours. */
#define CV_GW_OPTIONS(X)                                                                                            \
	X(bind_address, TEXT, "bind_address", "bind-address", "BIND_ADDRESS", "127.0.0.1", FIXED, "address to listen at") \
	X(port, U32, "port", "port", "SERVER_PORT", "17670", FIXED, "port to listen at; 0: any, written to the log")    \
	X(health_port, U32, "health_port", "health-port", "HEALTH_PORT", "0", FIXED, "plaintext port for /health; 0: off") \
	X(metrics_port, U32, "metrics_port", "metrics-port", "METRICS_PORT", "0", FIXED, "plaintext port for /metrics; 0: off") \
	X(log_level, TEXT, "log.level", "log-level", "LOG_LEVEL", "info", LIVE, "error, warn, info, debug or trace")    \
	X(log_format, TEXT, "log.format", "log-format", "LOG_FORMAT", "text", LIVE, "text or json")                     \
	X(state_dir, TEXT, "state_dir", "state-dir", "STATE_DIR", "", FIXED, "directory of everything that is kept")    \
	X(database, TEXT, "database", "db-url", "DB_URL", "", FIXED, "sqlite:PATH or postgres://...; a file of the state directory") \
	X(gateway_id, TEXT, "gateway_id", "gateway-id", "GATEWAY_ID", "", FIXED, "in tokens; made at the first start")  \
	X(tls_cert, TEXT, "tls.cert", "tls-cert", "TLS_CERT", "", LIVE, "certificate chain (PEM) of the server")        \
	X(tls_key, TEXT, "tls.key", "tls-key", "TLS_KEY", "", LIVE, "its private key (PEM)")                            \
	X(tls_client_ca, TEXT, "tls.client_ca", "tls-client-ca", "TLS_CLIENT_CA", "", LIVE, "authority of clients' certificates (PEM)") \
	X(disable_tls, BOOL, "tls.disabled", "disable-tls", "DISABLE_TLS", "false", FIXED, "speak plaintext; on loopback only") \
	X(mtls_auth, CHOICE, "auth.mtls", "enable-mtls-auth", "ENABLE_MTLS_AUTH", "", LIVE, "a client certificate is a user (default: without oidc.issuer and edge.issuer)") \
	X(allow_unauthenticated, BOOL, "auth.allow_unauthenticated_users", "allow-unauthenticated-users", "ALLOW_UNAUTHENTICATED_USERS", "false", LIVE, "whoever reaches loopback is an administrator") \
	X(oidc_issuer, TEXT, "oidc.issuer", "oidc-issuer", "OIDC_ISSUER", "", LIVE, "URL of the issuer of users' tokens") \
	X(oidc_audience, TEXT, "oidc.audience", "oidc-audience", "OIDC_AUDIENCE", "openshell-cli", LIVE, "audience that tokens must have") \
	X(oidc_jwks_ttl, U32, "oidc.jwks_ttl_secs", "oidc-jwks-ttl", "OIDC_JWKS_TTL", "3600", LIVE, "seconds for which the issuer's keys are kept") \
	X(oidc_roles_claim, TEXT, "oidc.roles_claim", "oidc-roles-claim", "OIDC_ROLES_CLAIM", "realm_access.roles", LIVE, "path of the roles in a token") \
	X(oidc_admin_role, TEXT, "oidc.admin_role", "oidc-admin-role", "OIDC_ADMIN_ROLE", "openshell-admin", LIVE, "role of administrators") \
	X(oidc_user_role, TEXT, "oidc.user_role", "oidc-user-role", "OIDC_USER_ROLE", "openshell-user", LIVE, "role of users") \
	X(oidc_scopes_claim, TEXT, "oidc.scopes_claim", "oidc-scopes-claim", "OIDC_SCOPES_CLAIM", "", LIVE, "claim with scopes; empty: not checked") \
	X(oidc_ca, TEXT, "oidc.ca", "oidc-ca", "OIDC_CA", "", LIVE, "authorities (PEM) for the issuer; the system's")   \
	X(token_ttl, U32, "tokens.ttl_secs", "token-ttl", "TOKEN_TTL", "0", LIVE, "life of sandboxes' tokens; 0: they don't end") \
	X(rate_requests, U32, "rate_limit.requests", "grpc-rate-limit-requests", "GRPC_RATE_LIMIT_REQUESTS", "0", LIVE, "calls in a window; 0: any number") \
	X(rate_window, U32, "rate_limit.window_secs", "grpc-rate-limit-window-seconds", "GRPC_RATE_LIMIT_WINDOW_SECONDS", "0", LIVE, "the window") \
	X(server_sans, LIST, "server_sans", "server-san", "SERVER_SAN", "", FIXED, "further names of the server")       \
	X(drivers, LIST, "drivers", "drivers", "DRIVERS", "", FIXED, "kinds of sandboxes; detected")                    \
	X(service_http, BOOL, "loopback_service_http", "enable-loopback-service-http", "ENABLE_LOOPBACK_SERVICE_HTTP", "true", LIVE, "services over plaintext on loopback") \
	X(ssh_session_ttl, U32, "ssh_session_ttl_secs", "", "", "86400", LIVE, "life of an SSH session's token; 0: no end")\
	X(default_image, TEXT, "default_image", "", "", "", LIVE, "image of sandboxes that name none")                  \
	X(images, MAP, "images", "", "", "", LIVE, "image: host, a directory that is its root, or external (others run it)") \
	X(resolve, LIST, "resolve", "resolve", "RESOLVE", "", LIVE, "HOST:PORT:ADDRESS, an address that sandboxes' proxies and renewals take for a name") \
	X(upstream_ca, LIST, "upstream_ca", "upstream-ca", "UPSTREAM_CA", "", LIVE, "authorities (PEM files) that they trust besides the host's") \
	X(tools_catalogs, LIST, "tools.catalogs", "", "", "", LIVE, "catalogs of host tools, for every sandbox")         \
	X(tools_workspaces, MAP, "tools.workspaces", "", "", "", LIVE, "workspace: catalogs for its sandboxes")          \
	X(tools_approve_seconds, U32, "tools.approve_timeout_secs", "", "", "300", LIVE, "how long a question for a person is held") \
	X(warm_pool, U32, "warm_pool", "warm-pool", "WARM_POOL", "0", LIVE, "sandboxes of the host's image that are built ahead") \
	X(key_command, TEXT, "key_command", "key-command", "KEY_COMMAND", "", FIXED, "prints the keys of stored credentials (base64, one a line, the present one first); a file of the state directory") \
	X(quota_host_sandboxes, PIECES, "quotas.host.sandboxes", "quota-sandboxes", "QUOTA_SANDBOXES", "unlimited", LIVE, "sandboxes that there may be") \
	X(quota_host_memory, MEMORY, "quotas.host.memory", "quota-memory", "QUOTA_MEMORY", "unlimited", LIVE, "memory that those which run may ask for, together") \
	X(quota_host_cpu, CPU, "quotas.host.cpu", "quota-cpu", "QUOTA_CPU", "unlimited", LIVE, "processors that they may ask for, together") \
	X(quota_workspace_sandboxes, PIECES, "quotas.workspace.sandboxes", "quota-workspace-sandboxes", "QUOTA_WORKSPACE_SANDBOXES", "unlimited", LIVE, "the same for each workspace that has no quota of its own") \
	X(quota_workspace_memory, MEMORY, "quotas.workspace.memory", "quota-workspace-memory", "QUOTA_WORKSPACE_MEMORY", "unlimited", LIVE, "... its memory") \
	X(quota_workspace_cpu, CPU, "quotas.workspace.cpu", "quota-workspace-cpu", "QUOTA_WORKSPACE_CPU", "unlimited", LIVE, "... its processors") \
	X(quota_workspaces, QUOTAS, "quotas.workspaces", "", "", "", LIVE, "workspace: {sandboxes, memory, cpu}") \
	X(quota_default_memory, MEMORY, "quotas.default_request.memory", "quota-default-memory", "QUOTA_DEFAULT_MEMORY", "1Gi", LIVE, "what a sandbox without a limit of memory is counted with") \
	X(quota_default_cpu, CPU, "quotas.default_request.cpu", "quota-default-cpu", "QUOTA_DEFAULT_CPU", "1", LIVE, "what one without a limit of processors is counted with") \
	X(queue_length, U32, "quotas.queue.length", "queue-length", "QUEUE_LENGTH", "256", LIVE, "sandboxes that may wait for room; 0: none") \
	X(queue_workspace_length, U32, "quotas.queue.workspace_length", "queue-workspace-length", "QUEUE_WORKSPACE_LENGTH", "0", LIVE, "of each workspace; 0: half of them, where there is more than one workspace") \
	X(queue_max_wait, U32, "quotas.queue.max_wait_secs", "queue-max-wait", "QUEUE_MAX_WAIT", "3600", LIVE, "the longest that one may ask to wait") \
	X(traces_endpoint, TEXT, "traces.endpoint", "traces-endpoint", "TRACES_ENDPOINT", "", LIVE, "where traces go (OTLP): http://HOST:4318/v1/traces, grpc://HOST:4317; none") \
	X(traces_headers, MAP, "traces.headers", "", "", "", LIVE, "name: value, sent with them")                       \
	X(traces_sample, TEXT, "traces.sample", "traces-sample", "TRACES_SAMPLE", "1", LIVE, "part of the traces that begin here, from 0 to 1") \
	X(traces_ca, TEXT, "traces.ca", "traces-ca", "TRACES_CA", "", LIVE, "authorities (PEM) for the collector; the system's") \
	X(older_port, U32, "older_port", "older-port", "OLDER_PORT", "0", FIXED, "port for clients with the messages of March 2026, as AgentRegistry's adapter has; 0: off") \
	X(policies_dir, TEXT, "policies_dir", "policies-dir", "POLICIES_DIR", "", LIVE, "directory of WORKSPACE.yaml, the policy of its sandboxes that came without one; watched") \
	X(profiles_dir, TEXT, "profiles_dir", "profiles-dir", "PROFILES_DIR", "", LIVE, "directory of provider profiles of the platform; watched") \
	X(interception, TEXT, "interception", "interception", "INTERCEPTION", "auto", LIVE, "how sandboxes' connections reach their proxy: tproxy, redirect or anyip; auto: the first that the host has") \
	X(edge_issuer, TEXT, "edge.issuer", "edge-issuer", "EDGE_ISSUER", "", LIVE, "the edge proxy's team: https://TEAM.cloudflareaccess.com; none") \
	X(edge_audience, TEXT, "edge.audience", "edge-audience", "EDGE_AUDIENCE", "", LIVE, "the AUD tag of the application that this gateway is there") \
	X(edge_jwks_uri, TEXT, "edge.jwks_uri", "edge-jwks-uri", "EDGE_JWKS_URI", "", LIVE, "where the team's keys are; ISSUER/cdn-cgi/access/certs") \
	X(edge_jwks_ttl, U32, "edge.jwks_ttl_secs", "edge-jwks-ttl", "EDGE_JWKS_TTL", "3600", LIVE, "seconds for which the team's keys are kept") \
	X(edge_roles_claim, TEXT, "edge.roles_claim", "edge-roles-claim", "EDGE_ROLES_CLAIM", "custom.roles", LIVE, "path of the roles in what the edge says of who is behind it") \
	X(edge_admin_role, TEXT, "edge.admin_role", "edge-admin-role", "EDGE_ADMIN_ROLE", "", LIVE, "role of administrators; neither role: all are") \
	X(edge_user_role, TEXT, "edge.user_role", "edge-user-role", "EDGE_USER_ROLE", "", LIVE, "role of users; empty: whom the edge lets in") \
	X(edge_ca, TEXT, "edge.ca", "edge-ca", "EDGE_CA", "", LIVE, "authorities (PEM) for the team's keys; the system's") \
	/* each row ends so */
/* clang-format on */

#define CV_GW_QUEUE_LENGTH_MAX 4096   /* each change of the queue is a walk of it */
#define CV_GW_QUEUE_WAIT_MAX   604800 /* seconds; who waits for a week has been forgotten */

#define CV_GW_TYPE_TEXT        struct cv_str
#define CV_GW_TYPE_U32         uint32_t
#define CV_GW_TYPE_BOOL        bool
#define CV_GW_TYPE_CHOICE      enum cv_gw_choice
#define CV_GW_TYPE_LIST        struct cv_gw_config_list
#define CV_GW_TYPE_MAP         struct cv_gw_config_map
#define CV_GW_TYPE_PIECES      uint64_t
#define CV_GW_TYPE_MEMORY      uint64_t
#define CV_GW_TYPE_CPU         uint64_t
#define CV_GW_TYPE_QUOTAS      struct cv_gw_config_quotas

/* Who said an option's value, and where: for messages. */
enum cv_gw_origin_kind { CV_GW_BY_DEFAULT, CV_GW_BY_FILE, CV_GW_BY_ENV, CV_GW_BY_FLAG };
struct cv_gw_origin {
	enum cv_gw_origin_kind kind;
	struct cv_policy_pos pos; /* in the file */
};

#define CV_GW_OPTION_FIELD(field, type, key, flag, env, def, live, help) CV_GW_TYPE_##type field;
struct cv_gw_config { /* texts end in a NUL, too */
	struct cv_arena arena;
	struct cv_str path;          /* of the file that was read; empty: none */
	struct cv_gw_origin *origin; /* of each row of CV_GW_OPTIONS */
	CV_GW_OPTIONS(CV_GW_OPTION_FIELD)
};
#undef CV_GW_OPTION_FIELD

/* A judge of the values that this file does not know: it looks at all of them, and says each fault by
 * cv_gw_config_refuse(). */
typedef void cv_gw_config_check_fn(
	const struct cv_gw_config *c, struct cv_findings *findings, struct cv_err *err);

/* Where the words come from. */
struct cv_gw_config_source {
	struct cv_str file;      /* its text; p NULL: none */
	struct cv_str file_name; /* for messages */
	char **env;              /* environ, or NULL */
	char **flags;            /* words after the command's name; both "--a b" and "--a=b" */
	size_t flag_count;
	cv_gw_config_check_fn *const *checks; /* NULL behind the last; or NULL */
};

/* All that is wrong with the file is in findings (line and column); of what else is wrong the first
 * is in err.  CV_INVALID.  Flags that are no option are an error. */
CV_MUST cv_code cv_gw_config_new(const struct cv_gw_config_source *s, struct cv_gw_config **ret,
	struct cv_findings *findings, struct cv_err *err);
/* Same texts in the same order. */
bool cv_gw_config_list_is_same(
	const struct cv_gw_config_list *a, const struct cv_gw_config_list *b);
/* Of sandboxes to be started: cv_interception. */
uint32_t cv_gw_config_interception(const struct cv_gw_config *c);
void cv_gw_config_free(const struct cv_gw_config *c); /* NULL is fine */

/* The value of the option with this key is wrong: a finding with its place if the file says it, else
 * err, if that has none yet, with the name of the flag or variable that says it. */
CV_PRINTF(5, 6)
void cv_gw_config_refuse(const struct cv_gw_config *c, const char *key,
	struct cv_findings *findings, struct cv_err *err, const char *fmt, ...);

/* It can be as it is, and is hardly what was meant: a warning with its place, if the file says it. */
CV_PRINTF(4, 5)
void cv_gw_config_remark(const struct cv_gw_config *c, const char *key,
	struct cv_findings *findings, const char *fmt, ...);

/* --config FILE in flags, or the environment's; CV_STR_NONE: neither. */
struct cv_str cv_gw_config_path(const struct cv_gw_config_source *s);
/* A variable, COVE_NAME before OPENSHELL_NAME; CV_STR_NONE. */
struct cv_str cv_gw_env(char **env, const char *name);
struct cv_str cv_gw_env_plain(char **env, const char *name);

/* Copies into next what FIXED rows of old say, and names in ret_changed (or NULL) the rows where
 * that mattered: "port, state_dir". */
void cv_gw_config_keep_fixed(
	const struct cv_gw_config *old, struct cv_gw_config *next, struct cv_buf *ret_changed);

/* The n-th of the options that are flags (command.h).  False: no more. */
struct cv_gw_flag;
CV_MUST bool cv_gw_config_flag(size_t n, struct cv_gw_flag *ret);
