/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_int.h - what the files of the Model Context Protocol's way share
 *
 *     mcp.c         a body of messages, and their answers
 *     mcp_call.c    a call while it runs: progress, log, cancellation
 *     mcp_session.c sessions; GET and DELETE; whose header says what
 *     mcp_events.c  event streams: what is kept of them, and who reads it
 */
#pragma once
#include "broker/mcp.h"
#include "broker/head.h"
#include "tools/mcp.h"

#define MCP_SESSION_CHARS 32 /* 128 random bits */

struct mcp_session {
	struct cv_ref ref, sandbox;
	char id[MCP_SESSION_CHARS + 1];
	enum cv_mcp_version version;
	uint8_t level; /* of logging/setLevel, as syslog counts: MCP_LEVEL_NONE until asked */
	struct cv_ref server; /* the channel of GET without an event's id */
	int64_t used_ms;
};

#define MCP_LEVEL_INFO 6
#define MCP_LEVEL_NONE 0 /* less than emergencies: nothing is said */

/* ---- a body ---- */

struct mcp {
	struct broker *b;
	struct cv_ref sandbox;
	struct cv_arena arena;  /* the body and its messages */
	uint64_t waiting_bytes; /* of it and of the answers, counted in the sandbox's */
	const struct cv_value *message;
	size_t n, at;
	enum cv_mcp_version version;
	struct cv_ref session, channel; /* channel: answers go there, in place of out */
	const char *session_new;        /* id of what initialize began */
	bool takes_json, takes_events;
	bool is_batch, is_looping, is_answered, is_final, is_call;
	int64_t since_ms;
	uint64_t cancelled; /* a bit for each message: notifications/cancelled named it */

	const struct cv_value *id; /* of the present message */
	const struct cv_value *token;
	struct cv_buf out;
	size_t end[CV_MCP_BATCH_MAX]; /* of each answer in out */
	size_t answers;

	/* of the present call */
	int64_t begun_ms, said_ms;
	uint64_t progress_next; /* the least number that is more than what was said */
	uint64_t log_at, log_seen;
	uint32_t progress_at;
};
_Static_assert(CV_MCP_BATCH_MAX <= 64, "a bit for each message");

/* ---- mcp_session.c ---- */
struct mcp_session *mcp_session_new(
	struct broker *b, const struct stream *s, enum cv_mcp_version version);
/* The one that the head names; NULL and *ret_is_fine: it names none. */
struct mcp_session *mcp_session_of(struct broker *b, const struct stream *s, bool *ret_is_fine);
void mcp_session_refuse(struct broker *b, struct stream *s);
bool mcp_level_find(struct cv_str word, uint8_t *ret);

void mcp_get(struct broker *b, struct stream *s);
void mcp_delete(struct broker *b, struct stream *s);

/* ---- mcp_events.c ---- */

/* A stream of events as its client sees it, over as many connections as it takes. */
struct mcp_channel {
	struct cv_ref ref, sandbox, session;
	uint64_t id;          /* random: an event's is ID-NUMBER */
	struct cv_ref reader; /* the connection that is sent them */
	struct cv_ref worker; /* the stream without a connection that makes them */
	struct mcp_event *event;
	uint32_t n, cap;
	uint64_t next, sent; /* numbers: of the next event; all below went to a connection */
	size_t bytes, notes; /* of all that is kept, and of what is no answer */
	int64_t ended_ms;
	bool is_done;
};

struct mcp_channel *mcp_channel_new(struct broker *b, struct cv_ref sandbox, struct cv_ref session);
void mcp_channel_free(struct broker *b, struct mcp_channel *c);
void mcp_channel_cut(struct broker *b, struct mcp_channel *c); /* its reader's stream ends too */
/* One message.  Answers are kept until the stream is forgotten, others as long as there is room. */
void mcp_channel_put(struct broker *b, struct mcp_channel *c, struct cv_str json, bool is_answer);
/* An event with an id and nothing in it: from here on the stream can be taken up again. */
void mcp_channel_prime(struct broker *b, struct mcp_channel *c);
void mcp_channel_end(struct broker *b, struct mcp_channel *c);
struct mcp_channel *mcp_channel_find(struct broker *b, const struct stream *s,
	struct cv_ref session, struct cv_str event, uint64_t *ret_next);
/* This connection is sent what follows, from event number next on. */
void mcp_channel_read(struct broker *b, struct stream *s, struct mcp_channel *c, uint64_t next,
	const char *session);

/* ---- mcp.c ---- */
/* The answer becomes a stream of events: the stream that goes on with the messages, or NULL. */
struct stream *mcp_events_begin(struct broker *b, struct stream *s);

/* ---- mcp_call.c ---- */
void mcp_call_begin(struct mcp *m);
/* What is to be said of a call that goes on; is_last: it has ended. */
void mcp_call_tell(struct broker *b, struct stream *worker, bool is_last);
void mcp_call_wait(struct broker *b, struct stream *s); /* when to look again */
void mcp_call_cancel(
	struct broker *b, const struct stream *s, struct cv_ref session, const struct cv_value *id);
/* Of a session that ends: all of its calls. */
void mcp_calls_end(struct broker *b, struct cv_ref session);
