/* SPDX-License-Identifier: Apache-2.0 */
/*
 * external_int.h - what external.c (sessions), external_relay.c (connections) and external_env.c share
 */
#pragma once
#include "gateway/external.h"
#include "gateway/join.h"
#include "gateway/sandbox_int.h"

/* ---- limits and times (openshell-api 6) ---- */

#define EXTERNAL_HEARTBEAT_S     15
#define EXTERNAL_CLAIM_MS        10000 /* from relay_open to RelayStream */
#define EXTERNAL_PENDING_MAX     256   /* that are not claimed, of all sandboxes ... */
#define EXTERNAL_PENDING_BOX_MAX 32    /* ... and of one */
#define EXTERNAL_RELAY_CHUNK     (16u << 10)
#define EXTERNAL_FRAME_MAX       (256u << 10) /* of a supervisor; each connection may hold one */
#define EXTERNAL_INSTANCE_MAX    128 /* of an instance's id: it is stored, and others' are UUIDs */

/* The handlers' states: one for each ConnectSupervisor that has said hello ... */
struct external_session {
	struct external_session *next;
	struct cv_gateway *g;
	struct cv_ref box;
	struct cv_rpc_call *call;
	char id[CV_OBJECT_ID_BYTES + 1];
	int64_t beat_ms;
	bool is_blocked, is_over; /* over: it was finished, and waits for closed() */
};

/* ... and one for each connection, which has a call only when it is claimed. */
struct external_relay {
	struct cv_gateway *g;
	struct cv_ref ref, box;
	char id[CV_OBJECT_ID_BYTES + 1];
	uint32_t channel, port; /* the number of who waits */
	bool is_claimed, is_more;
	int64_t deadline_ms; /* until it is claimed */
	struct cv_gw_join join;
};

struct cv_gw_external {                           /* of a box that others run */
	struct external_session *session;         /* NULL: none */
	char instance[EXTERNAL_INSTANCE_MAX + 1]; /* that said hello in this run; empty: none yet */
	size_t pending;
};

struct cv_gw_externals {
	struct external_session *sessions;
	struct cv_slots relays;
	size_t pending;
	int64_t deadline_ms;
	bool has_more;
};

/* external.c: false: there is no session, or it takes no more. */
bool external_send(struct cv_gw_box *b, const Openshell__V1__GatewayMessage *m);

/* external_env.c */
void external_env_message(struct cv_rpc_call *c, const ProtobufCMessage *m);

/* external_relay.c */
void external_relay_message(struct cv_rpc_call *c, const ProtobufCMessage *m);
void external_relay_half_closed(struct cv_rpc_call *c);
void external_relay_writable(struct cv_rpc_call *c);
void external_relay_closed(struct cv_rpc_call *c);
void external_relay_event(struct cv_gateway *g, const struct cv_loop_event *e);
int64_t external_relay_turn(struct cv_gateway *g);
void external_relays_drop(struct cv_gw_box *b);   /* those that are not claimed; nobody is told */
void external_relays_replay(struct cv_gw_box *b); /* to a session that took another's place */
void external_relays_end(struct cv_gw_box *b);    /* all of them */
void external_relays_stop(struct cv_gateway *g);
/* The supervisor could not connect, or takes it back. */
void external_relay_refused(struct cv_gw_box *b, struct cv_str id);
