/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_stream.h - what `cove top` asks a gateway, beside its keys
 *
 * One connection; on it a watch for each sandbox (up to CL_TOP_WATCHES_MAX), one for questions that
 * hold sandboxes up, and a few calls at a time: the list, decisions, and the proposals of a sandbox
 * when its watch says that they are others.  Sandboxes that are not watched are asked in turn.
 * Nothing here waits but connecting, which takes a moment at most and is tried again when the
 * connection is lost.
 */
#pragma once
#include "client/client.h"
#include "client/top.h"

#define CL_TOP_WATCHES_MAX 200 /* below what a gateway takes on a connection, with room for calls */
#define CL_TOP_CALLS_MAX   16

struct cl_top_call {
	struct cl_top_stream *of;
	struct cv_rpc_stream *s; /* NULL: free */
	int kind;
	char *box_id;      /* whom it is about */
	bool is_draft_due; /* of a watch: its proposals are to be asked for */
};

struct cl_top_stream {
	struct cl *c;
	struct cl_top *t;
	bool is_all_workspaces;
	bool is_refused;    /* nobody is logged in any more */
	bool has_questions; /* what is shown of them came with the watch that stands */
	struct cl_top_call watch[CL_TOP_WATCHES_MAX];
	struct cl_top_call call[CL_TOP_CALLS_MAX];
	int64_t list_ms, drafts_ms, others_ms, usage_ms, retry_ms; /* when next */
	int64_t retry_wait_ms;
	size_t drafts_at;      /* whose turn it is */
	struct cv_arena arena; /* of requests */
};

void cl_top_stream_init(
	struct cl_top_stream *s, struct cl *c, struct cl_top *t, bool is_all_workspaces);
void cl_top_stream_fini(struct cl_top_stream *s);
/* Waits at most timeout_ms for the gateway or for fd, and does what is due.  True: fd has something. */
bool cl_top_stream_turn(struct cl_top_stream *s, int fd, int timeout_ms);
void cl_top_stream_decide(struct cl_top_stream *s, const struct cl_top_chunk *k, bool is_approved);
/* Asks for everything once, and waits for the answers.  Dies as other commands do. */
void cl_top_stream_once(struct cl *c, struct cl_top *t, bool is_all_workspaces);
