/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_start.c - from the first packet to AuthenticationOk
 *
 *     client                       here                            server
 *     SSLRequest          ->  S, TLS with our leaf
 *     StartupMessage      ->  policy: the database?
 *                         <-  password, where a binding asks for its placeholder
 *                             SSLRequest                    ->  S, TLS, verified for the name
 *                             StartupMessage, written anew  ->
 *                         <-  password, where the server asks  <-  SASL, MD5, clear text
 *                             the proof                     ->
 *     AuthenticationOk    <-                                <-  AuthenticationOk
 *
 * The client may speak TLS or not: between it and here lies only the sandbox's own network.  The
 * server must: a password, or a session, is never given to one that is not verified, whatever
 * sslmode the client has.
 *
 * The startup packet is written anew.  On a restricted session only parameters that can't change
 * what a statement means are let in; `options` and replication never are.
 */
#include "proxy/cred.h"
#include "proxy/postgres_int.h"

#include "wire/pg_sql.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/random.h>

enum auth_code { /* of Authentication messages */
	AUTH_OK = 0,
	AUTH_CLEAR = 3,
	AUTH_MD5 = 5,
	AUTH_SASL = 10,
	AUTH_SASL_GO_ON = 11,
	AUTH_SASL_END = 12,
};

/* ---- the password ---- */

static void secret_wipe(struct cv_pg_secret *s)
{
	explicit_bzero(s->text, sizeof(s->text));
	s->n = 0;
	s->is_there = false;
}

static bool secret_set(struct cv_pg_secret *s, struct cv_str text)
{
	if (text.n > sizeof(s->text))
		return false;
	memcpy(s->text, text.p, text.n);
	s->n = text.n;
	s->is_there = true;
	return true;
}

/* ---- the server's side begins ---- */

static void server_begin(struct cv_flow *f)
{
	cv_pg_put_ssl_request(&f->pg->up);
	f->pg->phase = CV_PG_AT_REQUEST;
}

static void password_ask(struct cv_pg *g)
{
	cv_pg_put_auth(&g->down, AUTH_CLEAR, CV_STR_NONE);
	g->phase = CV_PG_AT_ASKED;
}

/* ---- the client's packets ---- */

static bool is_any_name(struct cv_str name, const char *const *names)
{
	for (; *names; names++)
		if (cv_str_eq_nocase(name, cv_str_of(*names)))
			return true;
	return false;
}

/* What drivers send at start and no statement's meaning hangs on. */
static const char *const harmless[] = { "application_name", "client_encoding", "datestyle",
	"timezone", "intervalstyle", "extra_float_digits", "search_path", "statement_timeout",
	"lock_timeout", "idle_in_transaction_session_timeout", "geqo", "bytea_output", NULL };

/* NULL: it may pass. */
static const char *parameter_problem(const struct cv_pg *g, const struct cv_pg_parameter *a)
{
	if (cv_str_eq_nocase(a->name, CV_STR("replication")))
		return cv_str_eq(a->value, CV_STR("false")) || !a->value.n
			       ? NULL
			       : "replication is not supported";
	if (!g->is_restricted)
		return NULL;
	if (cv_str_eq_nocase(a->name, CV_STR("options")))
		return a->value.n ? "the startup parameter options is not allowed here; use SET"
				  : NULL;
	if (!is_any_name(a->name, harmless))
		return "a startup parameter is not allowed here; use SET";
	if (cv_str_eq_nocase(a->name, CV_STR("client_encoding")) &&
		!cv_pg_encoding_is_safe(a->value))
		return "this client encoding is not allowed here; use UTF8";
	return NULL;
}

/* Also drops what is told in other ways; false with the client answered. */
static bool first_write(struct cv_proxy *p, struct cv_flow *f, const struct cv_pg_startup *s)
{
	static const char *const dropped[] = { "user", "database", "replication",
		"default_transaction_read_only", NULL };
	struct cv_pg *g = f->pg;
	bool has_options = false;

	cv_pg_startup_begin(&g->first);
	cv_pg_startup_add(&g->first, CV_STR("user"), s->user);
	cv_pg_startup_add(&g->first, CV_STR("database"), s->database);
	for (size_t i = 0; i < s->parameter_count; i++) {
		const struct cv_pg_parameter *a = &s->parameter[i];
		const bool is_ours = is_any_name(a->name, dropped);

		if (cv_str_has_prefix(a->name, CV_STR("_pq_."))) {
			has_options = true;
			continue;
		}
		const char *problem = is_ours && !cv_str_eq_nocase(a->name, CV_STR("replication"))
					      ? NULL
					      : parameter_problem(g, a);
		if (problem) {
			cv_pg_fail(p, f, "42501", "startup_parameter_not_allowed",
				cv_arena_printf(
					&p->arena, "%s (%.*s)", problem, CV_STR_ARG(a->name)));
			return false;
		}
		const bool is_switch = cv_str_eq(a->name, CV_STR("default_transaction_read_only"));
		if ((!is_ours || (is_switch && !g->is_read_only)) && a->value.n)
			cv_pg_startup_add(&g->first, a->name, a->value);
	}
	if (g->is_read_only)
		cv_pg_startup_add(&g->first, CV_STR("default_transaction_read_only"), CV_STR("on"));
	if (!cv_pg_startup_end(&g->first)) {
		cv_pg_fail(
			p, f, "08P01", "startup_refused", CV_STR("the startup packet is too long"));
		return false;
	}
	if (s->minor || has_options) /* NegotiateProtocolVersion: 3.0, and no option is known */
		cv_pg_put_message(&g->down, 'v', (struct cv_str){ "\0\3\0\0\0\0\0\0", 8 });
	return true;
}

static bool startup_take(struct cv_proxy *p, struct cv_flow *f, const struct cv_pg_startup *s)
{
	const struct cv_policy_endpoint *e;
	struct cv_pg *g = f->pg;

	if (s->user.n >= sizeof(g->user) || s->database.n >= sizeof(g->user))
		return cv_pg_fail(p, f, "08P01", "startup_refused",
			CV_STR("user and database names have at most 63 bytes"));
	memcpy(g->user, s->user.p, s->user.n);
	g->user_n = s->user.n;
	if (!cv_pg_access_find(p, f, g, s->database, &e))
		return cv_pg_fail(p, f, "42501", "database_not_allowed",
			cv_arena_printf(&p->arena,
				"policy allows nothing on the database %.*s of %s:%u",
				CV_STR_ARG(s->database), f->host.text, f->port));
	if (!first_write(p, f, s))
		return true;
	g->is_bound = e->has_credential_binding;
	if (g->is_bound)
		password_ask(g);
	else
		server_begin(f);
	return true;
}

/* Only for a session of this sandbox with the same server. */
static bool cancel_take(struct cv_proxy *p, struct cv_flow *f, const struct cv_pg_startup *s)
{
	for (uint32_t i = 0; i < p->flows.high; i++) {
		const struct cv_flow *o = &p->flows.v[i];

		if (o->state != CV_FLOW_PG || !o->pg || o->pg->phase != CV_PG_AT_SESSION ||
			o->pg->pid != s->pid || o->port != f->port ||
			!cv_host_eq(&o->host, &f->host) ||
			!cv_str_eq((struct cv_str){ o->pg->key, o->pg->key_n }, s->key))
			continue;
		cv_buf_reset(&f->pg->first);
		cv_pg_put_cancel(&f->pg->first, s->pid, s->key);
		f->pg->is_cancel = true;
		server_begin(f);
		return true;
	}
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.activity = CV_ACTIVITY_REFUSE,
		.engine = "l7",
		.reason_code = "cancel_not_known",
		.reason = CV_STR("a cancellation of a session that is not one of this sandbox"),
		.protocol = CV_STR("postgresql"),
	};
	cv_decide_record(p, f, &fact);
	cv_flow_finish(p, f);
	return true;
}

/* TLS towards the client begins; nothing may stand behind the request, or somebody put it there
 * to be taken for what comes encrypted. */
static bool ssl_take(struct cv_proxy *p, struct cv_flow *f, size_t bytes)
{
	if (f->pg->is_ssl_answered || cv_leg_text(&f->client).n != bytes)
		return cv_pg_fail(p, f, "08P01", "startup_refused",
			CV_STR("an SSLRequest where none may stand"));
	f->pg->is_ssl_answered = true;
	cv_leg_take(&f->client, bytes);
	if (!p->has_keeper) {
		cv_leg_put(&f->client, CV_STR("N"));
		return true;
	}
	cv_leg_put(&f->client, CV_STR("S"));
	f->is_tls = true;
	cv_flow_set_state(f, CV_FLOW_LEAF, p->loop.now_ms);
	return true;
}

static bool start_step(struct cv_proxy *p, struct cv_flow *f)
{
	static struct cv_pg_startup s; /* scratch */
	const struct cv_str text = cv_leg_text(&f->client);

	if (text.n && text.p[0] == 0x16 && !f->is_tls && p->has_keeper) {
		f->is_tls = f->pg->is_ssl_answered = true; /* sslnegotiation=direct */
		cv_flow_set_state(f, CV_FLOW_LEAF, p->loop.now_ms);
		return true;
	}
	switch (cv_pg_startup_parse(text, &s)) {
	case CV_PG_MORE: return false;
	case CV_PG_ERROR: return cv_pg_fail(p, f, "08P01", "startup_refused", cv_str_of(s.problem));
	case CV_PG_OK: break;
	}
	if (s.kind == CV_PG_SSL)
		return ssl_take(p, f, s.bytes);
	if (s.kind == CV_PG_GSS)
		cv_leg_put(&f->client, CV_STR("N"));
	else if (s.kind == CV_PG_CANCEL)
		cancel_take(p, f, &s);
	else
		startup_take(p, f, &s);
	if (f->state == CV_FLOW_PG)
		cv_leg_take(&f->client, s.bytes);
	return true;
}

/* ---- the client's password ---- */

static bool auth_answer(struct cv_proxy *p, struct cv_flow *f);

/* 1: it is there; 0: not yet; -1: answered. */
static int password_take(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_str text = cv_leg_text(&f->client);
	struct cv_str password;
	struct cv_pg_head h;
	const enum cv_pg_rc rc = cv_pg_head_parse(text, false, &h);

	if (rc == CV_PG_MORE)
		return 0;
	if (rc == CV_PG_OK && h.type == 'p' && h.body_bytes <= CV_PROXY_PG_PASSWORD_BYTES_MAX) {
		const size_t whole = CV_PG_HEAD_BYTES + h.body_bytes;

		if (text.n < whole)
			return 0;
		if (cv_pg_query_parse(cv_str_slice(text, CV_PG_HEAD_BYTES, whole), &password) &&
			secret_set(&f->pg->password, password)) {
			cv_leg_take(&f->client, whole);
			return 1;
		}
	}
	cv_pg_fail(p, f, "08P01", "protocol_error", CV_STR("a password was expected"));
	return -1;
}

/* What the client gave is a placeholder, and the keeper releases the value for this server and
 * database; or it is the client's own password, which a binding does not accept. */
static bool release_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_pg *g = f->pg;
	struct cv_str value;
	const char *slug;
	bool is_set = true;

	switch (cv_cred_exact(p, f, cv_pg_endpoint_find(p, f, g),
		(struct cv_str){ g->password.text, g->password.n }, CV_STR("CONNECT"),
		cv_pg_path(g), &value, &slug)) {
	case CV_CRED_AGAIN: /* of HTTP's heads only */
	case CV_CRED_WAIT: return false;
	case CV_CRED_ANSWERED:
		secret_wipe(&g->password);
		return cv_pg_fail(p, f, "28P01", slug,
			CV_STR("the credential is not released for this server and database"));
	case CV_CRED_OK: break;
	}
	if (value.p) {
		f->deadline_ms = p->loop.now_ms + CV_PROXY_PG_START_MS; /* it was the keeper's */
		is_set = secret_set(&g->password, value);
		cv_cred_forget(p, f);
	}
	if (!is_set || (!value.p && g->is_bound)) {
		secret_wipe(&g->password);
		return cv_pg_fail(p, f, "28P01", "no_credential",
			CV_STR("this endpoint takes the placeholder of its provider as the password"));
	}
	if (!g->challenge_code) {
		server_begin(f);
		return true;
	}
	g->phase = CV_PG_AT_AUTH;
	return auth_answer(p, f);
}

static bool asked_step(struct cv_proxy *p, struct cv_flow *f)
{
	const int rc = password_take(p, f);

	if (rc <= 0)
		return rc < 0;
	f->pg->phase = CV_PG_AT_RELEASE;
	return release_step(p, f) || f->pg->phase == CV_PG_AT_RELEASE;
}

/* ---- TLS with the server ---- */

static bool request_step(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_str text = cv_leg_text(&f->server);

	if (!text.n)
		return false;
	/* more than the one byte would be taken for what comes encrypted (CVE-2021-23222) */
	if (text.n != 1 || text.p[0] != 'S')
		return cv_pg_fail(p, f, "08001", "upstream_tls_failed",
			text.p[0] == 'N'
				? CV_STR("the server does not offer TLS, which is required")
				: CV_STR("the server's answer to SSLRequest is malformed"));
	cv_leg_take(&f->server, 1);
	f->server_tls = CV_SERVER_TLS_LATER;
	f->pg->phase = CV_PG_AT_SHAKE;
	return true;
}

static bool shake_step(struct cv_proxy *p, struct cv_flow *f)
{
	switch (cv_tls_server_shake(p, f)) {
	case CV_TLS_WAIT: return false;
	case CV_TLS_FAILED:
		return cv_pg_fail(p, f, "08001", "upstream_tls_failed",
			cv_arena_printf(&p->arena, "TLS with %s:%u failed: %s", f->host.text,
				f->port, f->failure));
	case CV_TLS_DONE: break;
	}
	cv_buf_put(&f->pg->up, cv_buf_str(&f->pg->first));
	f->pg->phase = f->pg->is_cancel ? CV_PG_AT_CANCEL : CV_PG_AT_AUTH;
	return true;
}

/* ---- proving to the server ---- */

/* tls-server-end-point: the hash of the certificate by its signature's algorithm, SHA-256 for the
 * broken ones; empty where that is not told (RFC 5929 4.1). */
static struct cv_str certificate_hash(const struct cv_flow *f, unsigned char room[EVP_MAX_MD_SIZE])
{
	X509 *cert = f->server.ssl ? SSL_get0_peer_certificate(f->server.ssl) : NULL;
	int digest_nid;
	unsigned n;

	if (!cert || !X509_get_signature_info(cert, &digest_nid, NULL, NULL, NULL))
		return CV_STR_NONE;
	const EVP_MD *md = digest_nid == NID_md5 || digest_nid == NID_sha1
				   ? EVP_sha256()
				   : EVP_get_digestbynid(digest_nid);
	if (!md || X509_digest(cert, md, room, &n) != 1)
		return CV_STR_NONE;
	return (struct cv_str){ (const char *)room, n };
}

static bool auth_fail(struct cv_proxy *p, struct cv_flow *f, struct cv_str why)
{
	secret_wipe(&f->pg->password);
	return cv_pg_fail(p, f, "28000", "upstream_authentication_failed", why);
}

/* Appends the answer to the kept challenge with the password. */
static cv_code answer_write(struct cv_flow *f, struct cv_str password, struct cv_err *err)
{
	struct cv_pg *g = f->pg;
	const struct cv_str challenge = { g->challenge, g->challenge_n };
	unsigned char nonce[CV_SCRAM_NONCE_BYTES], room[EVP_MAX_MD_SIZE];
	char md5[CV_PG_MD5_TEXT_BYTES];
	struct cv_str mechanism;
	struct cv_buf text;
	cv_code code;

	if (g->challenge_code == AUTH_CLEAR)
		return cv_pg_put_password(&g->up, password) ? CV_OK
							    : cv_fail(err, CV_LIMIT, "too long");
	if (g->challenge_code == AUTH_MD5) {
		cv_pg_md5_answer((struct cv_str){ g->user, g->user_n }, password,
			(const unsigned char *)challenge.p, md5);
		cv_pg_put_password(&g->up, cv_str_of(md5));
		return CV_OK;
	}
	cv_buf_init(&text, 4 * CV_SCRAM_TEXT_BYTES_MAX);
	if (getrandom(nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
		code = cv_fail(err, CV_SYSTEM, "no random bytes");
	else
		code = cv_scram_start(&g->scram, challenge, certificate_hash(f, room), nonce,
			&mechanism, &text, err);
	if (code == CV_OK)
		cv_pg_put_sasl_first(&g->up, mechanism, cv_buf_str(&text));
	cv_buf_fini(&text);
	return code;
}

static bool auth_answer(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_pg *g = f->pg;
	struct cv_err err;

	if (!g->password.is_there) {
		password_ask(g);
		return true;
	}
	if (answer_write(f, (struct cv_str){ g->password.text, g->password.n }, &err) != CV_OK)
		return auth_fail(p, f, cv_str_of(err.msg));
	return true;
}

static bool scram_go_on(struct cv_proxy *p, struct cv_flow *f, struct cv_str text)
{
	struct cv_pg *g = f->pg;
	struct cv_buf answer;
	struct cv_err err;

	cv_buf_init(&answer, 4 * CV_SCRAM_TEXT_BYTES_MAX);
	const cv_code code = cv_scram_answer(
		&g->scram, text, (struct cv_str){ g->password.text, g->password.n }, &answer, &err);
	if (code == CV_OK)
		cv_pg_put_message(&g->up, 'p', cv_buf_str(&answer));
	cv_buf_fini(&answer);
	secret_wipe(&g->password);
	return code == CV_OK ? true : auth_fail(p, f, cv_str_of(err.msg));
}

static bool auth_message(struct cv_proxy *p, struct cv_flow *f, struct cv_str body)
{
	struct cv_pg *g = f->pg;
	struct cv_err err;

	if (body.n < 4 || body.p[0] || body.p[1] || body.p[2])
		return auth_fail(p, f, CV_STR("the server's request is malformed"));
	const uint32_t code = (unsigned char)body.p[3];
	const struct cv_str rest = cv_str_slice(body, 4, body.n);
	switch (code) {
	case AUTH_OK:
		if (g->scram.phase != CV_SCRAM_NEW && g->scram.phase != CV_SCRAM_PROVEN)
			return auth_fail(p, f, CV_STR("the server did not end its own proof"));
		secret_wipe(&g->password);
		cv_pg_put_auth(&g->down, AUTH_OK, CV_STR_NONE);
		g->phase = CV_PG_AT_SESSION;
		g->waits = true;
		g->status = 'I';
		return true;
	case AUTH_CLEAR:
	case AUTH_MD5:
	case AUTH_SASL:
		if (g->scram.phase != CV_SCRAM_NEW || rest.n > sizeof(g->challenge) ||
			(code == AUTH_MD5 && rest.n != 4) || g->challenge_code)
			return auth_fail(p, f, CV_STR("the server's request is malformed"));
		memcpy(g->challenge, rest.p, rest.n);
		g->challenge_n = rest.n;
		g->challenge_code = code;
		return auth_answer(p, f);
	case AUTH_SASL_GO_ON: return scram_go_on(p, f, rest);
	case AUTH_SASL_END:
		return cv_scram_finish(&g->scram, rest, &err) == CV_OK
			       ? true
			       : auth_fail(p, f, cv_str_of(err.msg));
	default: break;
	}
	return auth_fail(
		p, f, CV_STR("the server asks for an authentication that is not supported"));
}

/* One message of the server before the session: it is short, or it is none of these. */
static bool auth_step(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_str text = cv_leg_text(&f->server);
	struct cv_pg *g = f->pg;
	struct cv_pg_head h;
	const enum cv_pg_rc rc = cv_pg_head_parse(text, true, &h);

	if (rc == CV_PG_MORE)
		return false;
	if (rc == CV_PG_ERROR || !strchr("RENv", h.type) ||
		h.body_bytes > CV_PROXY_PG_MESSAGE_BYTES_MAX)
		return auth_fail(p, f, CV_STR("the server's message is malformed"));
	const size_t whole = CV_PG_HEAD_BYTES + h.body_bytes;
	if (text.n < whole)
		return false;
	if (h.type == 'R') {
		auth_message(p, f, cv_str_slice(text, CV_PG_HEAD_BYTES, whole));
	} else if (h.type != 'v') { /* we asked for 3.0 without options */
		cv_buf_put(&g->down, cv_str_slice(text, 0, whole));
	}
	if (f->state == CV_FLOW_PG)
		cv_leg_take(&f->server, whole);
	return true;
}

/* ---- the flow's side ---- */

void cv_postgres_start(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_pg *g = calloc(1, sizeof(*g));

	if (!g) {
		cv_flow_end(p, f, true);
		return;
	}
	cv_buf_init(&g->first, CV_PG_STARTUP_BYTES_MAX);
	cv_buf_init(&g->up, CV_PROXY_PG_UP_BYTES_MAX);
	cv_buf_init(&g->down, 64 * 1024);
	cv_buf_init(&g->gather, CV_PROXY_PG_STATEMENT_BYTES_MAX + 64);
	cv_buf_init(&g->denied, CV_PROXY_PG_MESSAGE_BYTES_MAX);
	f->pg = g;
	cv_flow_set_state(f, CV_FLOW_PG, p->loop.now_ms);
}

void cv_postgres_free(struct cv_flow *f)
{
	struct cv_pg *g = f->pg;

	if (!g)
		return;
	f->pg = NULL;
	secret_wipe(&g->password);
	cv_buf_fini(&g->first);
	cv_pg_session_end(g);
	cv_buf_fini(&g->down);
	cv_buf_fini(&g->denied);
	free(g);
}

static bool phase_step(struct cv_proxy *p, struct cv_flow *f)
{
	switch (f->pg->phase) {
	case CV_PG_AT_START: return start_step(p, f);
	case CV_PG_AT_ASKED: return asked_step(p, f);
	case CV_PG_AT_REQUEST: return request_step(p, f);
	case CV_PG_AT_SHAKE: return shake_step(p, f);
	case CV_PG_AT_AUTH: return auth_step(p, f);
	case CV_PG_AT_RELEASE: return release_step(p, f);
	case CV_PG_AT_SESSION: return cv_pg_session_step(p, f);
	case CV_PG_AT_CANCEL:
		if (f->server.is_eof || f->server.is_broken)
			cv_flow_finish(p, f);
		return false;
	}
	return false;
}

bool cv_postgres_step(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_pg *g = f->pg;
	bool has_moved = false;

	if (g->phase == CV_PG_AT_SESSION)
		return cv_pg_session_step(p, f);
	has_moved |= cv_leg_fill(&f->client);
	if (g->phase != CV_PG_AT_SHAKE)
		has_moved |= cv_leg_fill(&f->server);
	has_moved |= phase_step(p, f);
	if (f->state != CV_FLOW_PG || g->phase == CV_PG_AT_SESSION)
		return true;
	cv_pg_flush(&f->client, &g->down, &has_moved);
	cv_pg_flush(&f->server, &g->up, &has_moved);
	if (f->client.is_broken ||
		(f->client.is_eof && !cv_leg_text(&f->client).n && !g->is_cancel)) {
		cv_flow_end(p, f, false);
		return false;
	}
	if (!has_moved && (f->server.is_eof || f->server.is_broken)) {
		cv_flow_finish(p, f); /* what it said last has been passed on */
		return true;
	}
	return has_moved;
}
