/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.c - a flow's two TLS sessions
 *
 * Towards the sandbox: with a leaf for the destination's name, once the hello has shown that this
 * is the name meant.  Towards the upstream: verified for the same name.  An upstream that fails
 * that is told to the sandbox as an error inside its own session, and never made to look well
 * (T6).
 *
 * Where requests are inspected the upstream's handshake waits for the first request that may
 * pass, so that for a refused one the upstream never hears a word.
 */
#include "proxy/h2.h"
#include "proxy/inside.h"
#include "proxy/postgres.h"

#include "ipc/frame.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>

static bool accept_refuse(
	struct cv_proxy *p, struct cv_flow *f, const char *code, struct cv_str reason)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.engine = "tls",
		.reason_code = code,
		.reason = reason,
	};

	cv_decide_record(p, f, &fact);
	cv_flow_finish(p, f);
	return true;
}

bool cv_tls_leaf_step(struct cv_proxy *p, struct cv_flow *f)
{
	bool waits;
	X509 *leaf = cv_keeper_leaf(p, f, &waits);
	struct cv_err err;
	SSL *ssl;

	if (!leaf && waits)
		return false;
	if (!leaf)
		return accept_refuse(p, f, cv_denial_code(CV_DENIAL_NO_TLS),
			CV_STR("the keeper gave no certificate for this name"));
	if (cv_tls_server_ssl(p->tls_server, -1, leaf, &ssl, &err) != CV_OK)
		return accept_refuse(p, f, cv_denial_code(CV_DENIAL_NO_TLS), cv_str_of(err.msg));
	if (f->pg)
		cv_tls_server_alpn(ssl, CV_PG_ALPN);
	if (f->local) /* what answers here speaks HTTP/1 */
		cv_tls_server_alpn(ssl, CV_TLS_ALPN_HTTP1);
	if (!cv_leg_tls(&f->client, ssl)) {
		cv_flow_end(p, f, true);
		return false;
	}
	cv_flow_set_state(f, CV_FLOW_ACCEPT, p->loop.now_ms);
	return true;
}

void cv_tls_leaf_timeout(struct cv_proxy *p, struct cv_flow *f)
{
	accept_refuse(p, f, cv_denial_code(CV_DENIAL_NO_TLS),
		CV_STR("the keeper gave no certificate for this name in time"));
}

/* The sandbox did not like our certificate: a client that pins, or has its own list (T7). */
static bool accept_fail(struct cv_proxy *p, struct cv_flow *f)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_NONE,
		.activity = CV_ACTIVITY_FAIL,
		.engine = "tls",
		.reason_code = "tls_handshake_failed",
		.reason = cv_arena_printf(&p->arena, "TLS handshake with the sandbox failed: %s",
			cv_tls_failure_text(f->client.ssl)),
	};

	cv_decide_record(p, f, &fact);
	cv_leg_flush(&f->client); /* the library's alert */
	cv_flow_end(p, f, false);
	return false;
}

bool cv_tls_accept_step(struct cv_proxy *p, struct cv_flow *f)
{
	const bool has_moved = cv_leg_fill(&f->client);
	const unsigned char *name = NULL;
	unsigned n = 0;

	switch (cv_leg_handshake(&f->client)) {
	case CV_TLS_WAIT: return has_moved;
	case CV_TLS_FAILED: return accept_fail(p, f);
	case CV_TLS_DONE: break;
	}
	SSL_get0_alpn_selected(f->client.ssl, &name, &n);
	if (f->pg)
		cv_flow_set_state(f, CV_FLOW_PG, p->loop.now_ms);
	else if (cv_str_eq((struct cv_str){ (const char *)name, n }, CV_STR("h2")))
		cv_h2_down_start(p, f);
	else
		cv_flow_set_state(f, CV_FLOW_PEEK, p->loop.now_ms);
	return true;
}

/* The files that were handed over, one behind the other.  Only now: a run that never speaks TLS need
 * not hold 200 KiB of roots. */
static cv_code roots_read(struct cv_proxy *p, struct cv_err *err)
{
	struct cv_buf all;
	cv_code code = CV_OK;

	cv_buf_init(&all, CV_PROXY_ROOTS_BYTES_MAX);
	for (size_t i = 0; code == CV_OK && i < p->roots_count; i++) {
		char *text;
		size_t n;

		code = cv_ipc_fd_read_all(p->roots_fd[i], CV_PROXY_ROOTS_BYTES_MAX, &text, &n, err);
		if (code != CV_OK)
			break;
		if (!cv_buf_put(&all, (struct cv_str){ text, n }) || !cv_buf_put_byte(&all, '\n'))
			code = cv_fail(
				err, CV_LIMIT, "larger than %u bytes", CV_PROXY_ROOTS_BYTES_MAX);
		free(text);
	}
	if (code != CV_OK) {
		cv_buf_fini(&all);
		return cv_wrap(err, "read the trusted roots");
	}
	p->roots = cv_buf_str(&all); /* the client's from here on */
	return CV_OK;
}

static cv_code client_make(struct cv_proxy *p, struct cv_err *err)
{
	const cv_code code = p->roots.n ? CV_OK : roots_read(p, err);

	return code == CV_OK ? cv_tls_client_new(p->roots, &p->tls_client, err) : code;
}

static bool server_start(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_err err;
	SSL *ssl;

	f->server_tls = CV_SERVER_TLS_FAILED; /* unless all goes well */
	if ((!p->tls_client && client_make(p, &err) != CV_OK) ||
		cv_tls_client_ssl(p->tls_client, -1, cv_host_str(&f->host), f->host.is_ip,
			f->h2 != NULL, &ssl, &err) != CV_OK) {
		snprintf(f->failure, sizeof(f->failure), "%.*s", (int)sizeof(f->failure) - 1,
			err.msg);
		return false;
	}
	if (f->pg) /* servers that know of ALPN take no other protocol */
		SSL_set_alpn_protos(ssl, (const unsigned char *)CV_PG_ALPN, sizeof(CV_PG_ALPN) - 1);
	if (!cv_leg_tls(&f->server, ssl)) {
		snprintf(f->failure, sizeof(f->failure), "out of memory");
		return false;
	}
	f->server_tls = CV_SERVER_SHAKING;
	return true;
}

enum cv_tls_step cv_tls_server_shake(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->stream && f->server.fd < 0)
		return cv_h2_upstream(p, f);
	if (f->server_tls == CV_SERVER_TLS_LATER && !server_start(p, f))
		return CV_TLS_FAILED;
	if (f->server_tls != CV_SERVER_SHAKING)
		return f->server_tls == CV_SERVER_TLS_FAILED ? CV_TLS_FAILED : CV_TLS_DONE;
	cv_leg_fill(&f->server);
	const enum cv_tls_step step = cv_leg_handshake(&f->server);
	if (step == CV_TLS_DONE)
		f->server_tls = CV_SERVER_TLS;
	if (step == CV_TLS_FAILED) {
		f->server_tls = CV_SERVER_TLS_FAILED;
		snprintf(f->failure, sizeof(f->failure), "%s", cv_tls_failure_text(f->server.ssl));
	}
	return step;
}
