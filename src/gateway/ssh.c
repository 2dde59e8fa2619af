/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh.c - tokens: CreateSshSession, RevokeSshSession, and what opens a connection
 *
 * A token is a UUIDv4, shown once; the object's name and its field `token` are the token's hash, so
 * whoever reads the store can open nothing.  A revoked one is removed, one that is too old as well,
 * when somebody looks.  A connection that stands goes on when its token is revoked.
 *
 * Ten connections per token: the code of the interface's origin says three, its documentation ten.
 * Three is what one download of the client in use takes, so an editor that keeps two or three
 * connections and starts a download would fail; nothing breaks that works with three.
 */
#include "gateway/ssh_int.h"

#include "base/hex.h"
#include "base/sha256.h"
#include "driver/host.h"
#include "gateway/access.h"
#include "gateway/config.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>

typedef Openshell__V1__SshSession session;

static enum cv_rpc_status refuse(struct cv_err *err, enum cv_rpc_status s, const char *what)
{
	cv_fail(err, CV_DENIED, "%s", what);
	return s;
}

static void token_hash(struct cv_str token, char ret[SSH_HASH_HEX + 1])
{
	unsigned char digest[CV_SHA256_BYTES];
	struct cv_sha256 s;

	cv_sha256_init(&s);
	cv_sha256_update(&s, token.p, token.n);
	cv_sha256_final(&s, digest);
	cv_hex_text(digest, sizeof(digest), ret);
}

static const session *session_of(const struct cv_object *o)
{
	return (const session *)(const void *)o->message;
}

static bool is_expired(const struct cv_object *o)
{
	const int64_t at = session_of(o)->expires_at_ms;

	return at && cv_clock_unix_ms() >= at;
}

/* Removes sessions of the sandbox (NULL: of all) that are too old, or all of them. */
static size_t sessions_remove(
	struct cv_gateway *g, const struct cv_gw_box *b, bool is_every, size_t most)
{
	const struct cv_object_range r =
		b ? cv_object_scope(g->objects, CV_OBJECT_SSH_SESSION, b->object->scope)
		  : cv_object_all(g->objects, CV_OBJECT_SSH_SESSION);
	size_t live = 0;
	struct cv_err err;

	for (size_t i = r.end; i-- > r.first;) { /* what is removed moves those behind */
		struct cv_object *o = cv_object_at(g->objects, CV_OBJECT_SSH_SESSION, i);

		if (b && strcmp(session_of(o)->sandbox_id, b->object->id) != 0)
			continue;
		if (!most || (!is_every && !is_expired(o)) ||
			cv_object_delete(g->objects, o, CV_OBJECT_ANY_VERSION, &err) != CV_RPC_OK)
			live++;
		else
			most--;
	}
	return live;
}

/* ---- CreateSshSession ---- */

/* The way that the caller took, if it can stand in a command line. */
static uint32_t address_of(const struct cv_rpc_call *c, char ret[SSH_HOST_BYTES])
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789.-:[]";
	const struct cv_gateway *g = cv_gw_of(c);
	struct cv_str host = cv_rpc_call_metadata(c, ":authority");
	uint64_t port = g->port;

	if (!host.n)
		host = cv_rpc_call_metadata(c, "host");
	const size_t colon = cv_str_rfind_byte(host, ':');
	const bool has_port = colon < host.n && host.p[host.n - 1] != ']';
	if (has_port && !cv_str_to_u64(cv_str_slice(host, colon + 1, host.n), UINT16_MAX, &port))
		host.n = 0;
	else if (has_port)
		host = cv_str_slice(host, 0, colon);
	for (size_t i = 0; i < host.n; i++)
		if (!host.p[i] || !strchr(safe, host.p[i]))
			host.n = 0;
	if (!host.n || !cv_str_to_cstr(host, ret, SSH_HOST_BYTES))
		memcpy(ret, "127.0.0.1", sizeof("127.0.0.1"));
	return port ? (uint32_t)port : g->port;
}

static session *session_new(const struct cv_gw_box *b, const char *hash)
{
	const uint32_t ttl_s = b->g->config->ssh_session_ttl;
	session *m = cv_pb_new(&openshell__v1__ssh_session__descriptor);
	char hashed[SSH_HASH_HEX + 16];

	m->metadata = cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);
	cv_pb_str_set(&m->metadata->name, cv_str_of(hash));
	cv_pb_str_set(&m->metadata->workspace, b->object->scope);
	cv_pb_str_set(&m->sandbox_id, cv_str_of(b->object->id));
	snprintf(hashed, sizeof(hashed), "sha256:%s", hash);
	cv_pb_str_set(&m->token, cv_str_of(hashed));
	m->expires_at_ms = ttl_s ? cv_clock_unix_ms() + (int64_t)ttl_s * 1000 : 0;
	return m;
}

static enum cv_rpc_status ready_check(const struct cv_gw_box *b, struct cv_err *err)
{
	return cv_gw_box_phase(b) == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY
		       ? CV_RPC_OK
		       : refuse(err, CV_RPC_FAILED_PRECONDITION, "sandbox is not ready");
}

static enum cv_rpc_status session_create(
	struct cv_rpc_call *c, const Openshell__V1__CreateSshSessionRequest *r, struct cv_err *err)
{
	char token[CV_OBJECT_ID_BYTES + 1], hash[SSH_HASH_HEX + 1], host[SSH_HOST_BYTES];
	char fingerprint[SSH_FINGERPRINT_BYTES] = "";
	struct cv_gateway *g = cv_gw_of(c);
	Openshell__V1__CreateSshSessionResponse out;
	struct cv_gw_box *b;
	struct cv_object *o;

	if (!*r->sandbox_id)
		return refuse(err, CV_RPC_INVALID_ARGUMENT, "sandbox_id is required");
	enum cv_rpc_status s = cv_gw_box_open(
		c, "sandbox_id", cv_str_of(r->sandbox_id), CV_STR_NONE, true, &b, err);
	if (s == CV_RPC_OK)
		s = ready_check(b, err);
	if (s != CV_RPC_OK)
		return s;
	if (sessions_remove(g, b, false, SSH_TOKENS_TURN_MAX) >= SSH_TOKENS_BOX_MAX)
		return refuse(err, CV_RPC_RESOURCE_EXHAUSTED,
			"too many ssh sessions of this sandbox; revoke some");
	/* Of a server that is not ours nobody here knows the key. */
	if (!b->external && ssh_key(g, b->object->id, NULL, fingerprint, err) != CV_OK)
		return CV_RPC_INTERNAL;
	cv_object_id_make(token);
	token_hash(cv_str_of(token), hash);
	s = cv_object_create(g->objects, CV_OBJECT_SSH_SESSION, &session_new(b, hash)->base,
		cv_clock_unix_ms(), &o, err);
	if (s != CV_RPC_OK)
		return s;
	openshell__v1__create_ssh_session_response__init(&out);
	out.sandbox_id = b->object->id;
	out.token = token;
	out.gateway_port = address_of(c, host);
	out.gateway_host = host;
	out.gateway_scheme = (char *)(uintptr_t)(g->config->disable_tls ? "http" : "https");
	out.host_key_fingerprint = fingerprint;
	out.expires_at_ms = session_of(o)->expires_at_ms;
	cv_rpc_reply(c, &out.base);
	explicit_bzero(token, sizeof(token));
	return CV_RPC_OK;
}

static void on_create(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	struct cv_err err;
	const enum cv_rpc_status s =
		session_create(c, (const Openshell__V1__CreateSshSessionRequest *)m, &err);

	if (s != CV_RPC_OK)
		cv_gw_fail(c, s, &err);
}

/* ---- RevokeSshSession ---- */

/* In whichever workspace; NULL: none, or not the caller's to revoke. */
static struct cv_object *session_find(const struct cv_rpc_call *c, struct cv_str token)
{
	struct cv_objects *all = cv_gw_of(c)->objects;
	const struct cv_object_range r = cv_object_all(all, CV_OBJECT_SSH_SESSION);
	char hash[SSH_HASH_HEX + 1];
	struct cv_object *workspace;
	struct cv_err err;

	token_hash(token, hash);
	for (size_t i = r.first; i < r.end; i++) {
		struct cv_object *o = cv_object_at(all, CV_OBJECT_SSH_SESSION, i);

		if (cv_str_eq(o->name, cv_str_of(hash)))
			return cv_gw_workspace_open(c, o->scope, false, &workspace, &err) ==
					       CV_RPC_OK
				       ? o
				       : NULL;
	}
	return NULL;
}

static void on_revoke(struct cv_rpc_call *c, const ProtobufCMessage *message)
{
	const Openshell__V1__RevokeSshSessionRequest *r =
		(const Openshell__V1__RevokeSshSessionRequest *)message;
	Openshell__V1__RevokeSshSessionResponse out;
	enum cv_rpc_status s = CV_RPC_OK;
	struct cv_err err;

	if (!*r->token) {
		cv_rpc_finish(c, CV_RPC_INVALID_ARGUMENT, "token is required");
		return;
	}
	openshell__v1__revoke_ssh_session_response__init(&out);
	struct cv_object *o = session_find(c, cv_str_of(r->token));
	if (o) {
		out.revoked = !is_expired(o);
		s = cv_object_delete(cv_gw_of(c)->objects, o, CV_OBJECT_ANY_VERSION, &err);
	}
	if (s != CV_RPC_OK)
		cv_gw_fail(c, s, &err);
	else
		cv_rpc_reply(c, &out.base);
}

/* ---- ForwardTcp ---- */

static size_t connections_of(const struct cv_gateway *g, const char *hash)
{
	size_t n = 0;

	for (size_t i = 0; i < g->ssh->all.n; i++) {
		const struct cv_gw_ssh_server *s = g->ssh->all.v[i].thing;

		n += s && s->is_open && strcmp(s->token, hash) == 0;
	}
	return n;
}

enum cv_rpc_status cv_gw_ssh_token_check(
	struct cv_gw_box *b, struct cv_str token, struct cv_err *err)
{
	char hash[SSH_HASH_HEX + 1];

	token_hash(token, hash);
	const struct cv_object *o = cv_object_find(
		b->g->objects, CV_OBJECT_SSH_SESSION, b->object->scope, cv_str_of(hash));
	if (!o || is_expired(o) || strcmp(session_of(o)->sandbox_id, b->object->id) != 0) {
		cv_gw_box_log(b, "WARN", "ssh", "SSH:OPEN [MED] DENIED client [auth:token]");
		return refuse(err, CV_RPC_UNAUTHENTICATED, "ssh session token is not valid");
	}
	return CV_RPC_OK;
}

enum cv_rpc_status cv_gw_ssh_open(struct cv_gw_box *b, struct cv_str token, int *ret_fd,
	struct cv_ref *ret, struct cv_err *err)
{
	const enum cv_rpc_status s = cv_gw_ssh_token_check(b, token, err);
	struct cv_gateway *g = b->g;
	char hash[SSH_HASH_HEX + 1];

	if (s != CV_RPC_OK)
		return s;
	token_hash(token, hash);
	if (connections_of(g, hash) >= SSH_TOKEN_CONNECTIONS_MAX)
		return refuse(err, CV_RPC_RESOURCE_EXHAUSTED,
			"too many connections use this ssh session token");
	if (g->ssh->all.count >= SSH_SERVERS_MAX)
		return refuse(
			err, CV_RPC_RESOURCE_EXHAUSTED, "too many ssh connections to this gateway");
	if (ssh_server_start(b, hash, ret_fd, ret, err) != CV_OK) {
		cv_log(CV_LOG_ERROR, "ssh", CV_LOG_NONE, "%s", err->msg);
		return CV_RPC_UNAVAILABLE;
	}
	/* Which token, for who compares it with the store; of no use to anybody else. */
	cv_gw_box_log(b, "INFO", "ssh",
		"SSH:OPEN [INFO] ALLOWED client [auth:token] [session:%.12s]", hash);
	return CV_RPC_OK;
}

/* ---- the part ---- */

static void box_deleted(struct cv_gw_box *b)
{
	(void)sessions_remove(b->g, b, true, SIZE_MAX);
	ssh_key_remove(b->g, b->object->id);
}

static int64_t part_turn(struct cv_gateway *g)
{
	if (g->loop.now_ms >= g->ssh->expiry_ms) {
		(void)sessions_remove(g, NULL, false, SSH_TOKENS_TURN_MAX);
		g->ssh->expiry_ms = g->loop.now_ms + SSH_EXPIRY_MS;
	}
	return CV_MIN(ssh_server_turn(g), g->ssh->expiry_ms);
}

static cv_code part_start(struct cv_gateway *g, struct cv_err *err)
{
	static const struct cv_gw_box_hooks hooks = { .deleted = box_deleted };

	g->ssh = calloc(1, sizeof(*g->ssh));
	if (!g->ssh || !(g->ssh->recv_buf = malloc(CV_IPC_BODY_BYTES_MAX + 8)))
		return cv_fail(err, CV_LIMIT, "no memory");
	g->ssh->deadline_ms = INT64_MAX;
	cv_gw_box_hook(g, &hooks);
	cv_arena_init(&g->ssh->arena, 64 << 10);
	return cv_driver_program_path("ssh", "cove-ssh", &g->ssh->arena, &g->ssh->exe, err);
}

static void part_stop(struct cv_gateway *g)
{
	struct cv_gw_ssh *s = g->ssh;

	if (!s)
		return;
	for (size_t i = 0; i < s->all.n; i++)
		if (s->all.v[i].thing)
			ssh_server_free(s->all.v[i].thing); /* it ends with its link */
	cv_slots_fini(&s->all);
	cv_arena_fini(&s->arena);
	free(s->recv_buf);
	free(s);
	g->ssh = NULL;
}

static const struct cv_gw_method methods[] = {
	{ "CreateSshSession", { .message = on_create } },
	{ "RevokeSshSession", { .message = on_revoke } },
};

const struct cv_gw_part cv_gw_part_ssh = {
	.name = "ssh",
	.methods = methods,
	.method_count = CV_ARRAY_LEN(methods),
	.start = part_start,
	.stop = part_stop,
	.event = ssh_server_event,
	.turn = part_turn,
};
