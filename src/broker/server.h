/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - servers of the catalog: processes that the broker starts, watches and ends
 *
 * One each, for the whole run, by the contract of host servers: `--port N --bind-address 127.0.0.1`
 * (or `--socket PATH`) behind its own words, its bearer token in BEARER_TOKEN (and in TOKEN, unless
 * the catalog has something else there), `GET /healthz` until it answers 200, SIGTERM at the end.
 */
#pragma once
#include "broker/keys.h"
#include "broker/spawn.h"

#define SERVER_BASE_BYTES   64  /* http://127.0.0.1:65535 */
#define SERVER_BEARER_BYTES 128 /* "Bearer " and 256 bits in hex */

struct broker;
struct fetch;

enum server_state {
	SERVER_NEW,
	SERVER_KEYS,   /* its credentials were asked for */
	SERVER_HEALTH, /* it runs, and is asked for /healthz */
	SERVER_READY,
	SERVER_STOPPING,
	SERVER_GONE
};

struct server {
	const struct cv_tool_server *its;
	struct cv_ref ref; /* index; the generation is always 0 */
	enum server_state state;
	struct spawned p;
	struct keys *keys; /* its credentials and its token, for as long as it lives */
	struct keys_scrub log_scrub;
	char token[65];
	uint16_t port;
	int log;            /* STATE/servers/NAME.log; -1 */
	uint64_t log_bytes; /* written there */
	struct cv_buf tail; /* the last of it */
	struct fetch *health;
	int64_t due_ms, health_ms;
	int start_errno; /* it could not be started */
	bool is_full;    /* it was ended for what it wrote */
};

/* After GO: starts all that the catalog names. */
void servers_start(struct broker *b);
bool servers_are_ready(const struct broker *b);
uint32_t servers_stop_ms(const struct broker *b); /* the longest that one may take to end */
void servers_stop(struct broker *b);              /* and waits for it */

void server_event(struct broker *b, struct cv_ref ref, int what);
void servers_due(struct broker *b);
void server_keys_come(struct broker *b, struct cv_ref ref, const struct cv_err *failed);

/* For requests to it. */
struct cv_str server_base(struct broker *b, uint32_t index, char ret[SERVER_BASE_BYTES]);
struct cv_str server_socket(struct broker *b, uint32_t index);
struct cv_str server_bearer(struct broker *b, uint32_t index, char ret[SERVER_BEARER_BYTES]);
const struct keys *server_keys(struct broker *b, uint32_t index);
struct server *server_exposed(struct broker *b, uint32_t port); /* NULL: none */
