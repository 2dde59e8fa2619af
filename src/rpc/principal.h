/* SPDX-License-Identifier: Apache-2.0 */
/*
 * principal.h - who makes a call, and what a method asks of them
 *
 * Authentication (what a certificate or a token proves) belongs to the program that serves; it
 * gets what was presented and fills a principal.  What a method asks is a row of methods.h; the
 * part that needs no knowledge of workspaces is judged by cv_rpc_may_call().
 */
#pragma once
#include "base/str.h"
#include "rpc/status.h"

#include <openssl/x509.h>

#define CV_RPC_SUBJECT_BYTES_MAX 256 /* of an OIDC subject: 255 ASCII (OpenID Core section 2) */
#define CV_RPC_SCOPES_MAX        64
#define CV_RPC_SCOPE_BYTES_MAX   64
#define CV_RPC_ID_BYTES          36 /* a UUID as text */

enum cv_principal_kind { CV_PRINCIPAL_NONE, CV_PRINCIPAL_USER, CV_PRINCIPAL_SANDBOX };

struct cv_principal {
	enum cv_principal_kind kind;
	char subject[CV_RPC_SUBJECT_BYTES_MAX];
	char display_name[CV_RPC_SUBJECT_BYTES_MAX];
	const char *provider; /* "oidc" "mtls" "cloudflare_access" "local_dev"; static */
	bool is_admin;        /* of the gateway */
	bool is_user;         /* holds the user role; true where no roles are configured */
	bool has_scopes;      /* scopes are checked for this one */
	char scopes[CV_RPC_SCOPES_MAX][CV_RPC_SCOPE_BYTES_MAX];
	size_t scope_count;
	char sandbox_id[CV_RPC_ID_BYTES + 1]; /* CV_PRINCIPAL_SANDBOX */
};

/* What a caller showed; borrowed for the call of authenticate(). */
struct cv_rpc_presented {
	X509 *certificate;    /* verified against the client authority; NULL: none */
	struct cv_str bearer; /* behind "Bearer " in authorization; empty: none */
	/* What an edge proxy put beside the request (cf-access-jwt-assertion), and beside the
	 * upgrade to the tunnel that the request came by (tunnel.h); empty: none. */
	struct cv_str assertion, tunnel;
	bool is_plaintext; /* the connection has no TLS */
	bool is_loopback;  /* and comes from this machine */
};

enum cv_rpc_auth {
	CV_RPC_AUTH_UNAUTHENTICATED,
	CV_RPC_AUTH_BEARER,
	CV_RPC_AUTH_SANDBOX,
	CV_RPC_AUTH_DUAL
};
enum cv_rpc_role { CV_RPC_ROLE_NONE, CV_RPC_ROLE_MEMBER, CV_RPC_ROLE_MANAGER, CV_RPC_ROLE_ADMIN };

struct cv_rpc_rule {
	enum cv_rpc_auth auth;
	const char *scope; /* "": none */
	enum cv_rpc_role role;
};

/* Pure.  CV_RPC_OK, or UNAUTHENTICATED or PERMISSION_DENIED with the sentence in err. */
CV_MUST enum cv_rpc_status cv_rpc_may_call(
	const struct cv_rpc_rule *rule, const struct cv_principal *who, struct cv_err *err);
