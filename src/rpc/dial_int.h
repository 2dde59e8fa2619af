/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial_int.h - what the parts of a dialled connection share
 *
 *     dial.c          names, addresses, TLS, bytes
 *     tunnel_dial.c   the same bytes within a WebSocket, where an edge proxy is between
 */
#pragma once
#include "rpc/dial.h"

/* As cv_rpc_dialled_read() and _write(), below a tunnel. */
CV_MUST cv_code cv_rpc_raw_read(
	struct cv_rpc_dialled *d, void *to, size_t n, size_t *ret, struct cv_err *err);
CV_MUST cv_code cv_rpc_raw_write(
	struct cv_rpc_dialled *d, struct cv_str s, size_t *ret, struct cv_err *err);
/* True when fd is ready, or has failed, before the time (of cv_clock_ms()). */
CV_MUST bool cv_rpc_dial_wait(int fd, short events, int64_t until_ms);

/* Asks for the upgrade, and waits for it.  host: for the Host field. */
CV_MUST cv_code cv_rpc_tunnel_dial(struct cv_rpc_dialled *d, const struct cv_rpc_endpoint *e,
	const char *host, int64_t until_ms, struct cv_err *err);
CV_MUST cv_code cv_rpc_tunnel_read(
	struct cv_rpc_dialled *d, void *to, size_t n, size_t *ret, struct cv_err *err);
CV_MUST cv_code cv_rpc_tunnel_write(
	struct cv_rpc_dialled *d, struct cv_str s, size_t *ret, struct cv_err *err);
void cv_rpc_tunnel_close(struct cv_rpc_dialled *d); /* says so, if it can; no tunnel is fine */
