/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel.h - HTTP/2 within a WebSocket, on the server's side
 *
 * For clients behind a proxy that authenticates what browsers ask and lets no POST of theirs
 * through: a page answers their upgrade with cv_rpc_tunnel_open(), and from then on the payloads of
 * binary messages, one behind the other, are a connection of HTTP/2, in both directions.
 *
 *     socket ── TLS ── HTTP/1.1 101 ── WebSocket frames ── HTTP/2
 *
 * A tunnel is the connection that it began as: it has no descriptor and no buffer of its own, and the
 * clocks, windows and bounds of a connection of HTTP/2 hold.  What was presented with the upgrade is
 * presented with each call (cv_rpc_presented.tunnel), so it ends when what it was opened with does;
 * where the connection came from and its certificate, which are the proxy's, count no more.
 *
 * Limits: CV_RPC_TUNNEL_* in limits.h.
 */
#pragma once
#include "rpc/pages.h"

/* Switches, or answers the request why not.  proof: what was presented, at most
 * CV_RPC_HEAD_BYTES_MAX; owner: who it is, so that one can't have all tunnels.  Called from serve(). */
void cv_rpc_tunnel_open(struct cv_rpc_request *r, struct cv_str proof, const char *owner);
