/* SPDX-License-Identifier: Apache-2.0 */
/*
 * join.h - a call and a stream socket, joined: bytes both ways, each at the pace of the slower end
 *
 *     client's messages ──put()──► in ──► socket        the call is held while `in` is long
 *     client ◄──send()── the socket's bytes              not read while the call takes no more
 *
 * The owner keeps the struct, watches the socket (edge-triggered, both ways), and says when either
 * side can go on.  What a message looks like is the owner's: send().
 */
#pragma once
#include "base/buf.h"
#include "gateway/gateway.h"

#define CV_GW_JOIN_CHUNK_MAX (64u << 10) /* of one message towards the client */

enum cv_gw_join_rc {
	CV_GW_JOIN_IDLE, /* it goes on with the next event */
	CV_GW_JOIN_MORE, /* there is more; others should have their turn before */
	CV_GW_JOIN_END,  /* the socket's other end sends no more, or is gone */
};

struct cv_gw_join {
	struct cv_rpc_call *call;
	int fd;           /* -1: not yet; the owner's to watch and to close */
	struct cv_buf in; /* towards the socket */
	size_t chunk;     /* at most CV_GW_JOIN_CHUNK_MAX */
	bool (*send)(struct cv_rpc_call *c, struct cv_str bytes); /* as cv_rpc_send() */
	bool is_blocked, is_held;
	bool has_ended;   /* the client sends no more: nor does the socket, when `in` is empty */
	bool is_finished; /* the call is: nothing more goes to it */
};

void cv_gw_join_init(struct cv_gw_join *j, struct cv_rpc_call *c, size_t chunk,
	bool (*send)(struct cv_rpc_call *c, struct cv_str bytes));
void cv_gw_join_fini(struct cv_gw_join *j);
/* Bytes of the client; and the same without any, when the socket may take more. */
void cv_gw_join_put(struct cv_gw_join *j, struct cv_str bytes);
void cv_gw_join_write(struct cv_gw_join *j);
/* Towards the client, as much as both take. */
CV_MUST enum cv_gw_join_rc cv_gw_join_read(struct cv_gw_join *j);
