/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_client.h - MCP servers of the catalog, whose client the broker is
 *
 *     mcp_client.c  a server's life: started, initialized, listed; down, and started again
 *     mcp_wire.c    messages to it and from it: lines of a process, or HTTP with event streams
 *     mcp_tools.c   its list of tools, which become tools of the catalog
 *     mcp_client_call.c  the backend `mcp`
 *
 * What a server says of itself is a stranger's word: its tools are those that `allow` has, with names
 * that are strict, and arguments are judged by its schemas before it sees them.  It may ask us for
 * nothing but a ping.
 */
#pragma once
#include "broker/broker.h"
#include "broker/fetch.h"
#include "broker/spawn.h"
#include "tools/mcp.h"
#include "tools/schema.h"
#include "wire/sse.h"

enum mcp_state {
	MCP_NEW,
	MCP_KEYS,
	MCP_STARTING, /* initialize, then its list */
	MCP_READY,
	MCP_DOWN, /* until due_ms, then again */
	MCP_FAILED
};

enum mcp_request_kind { MCP_INITIALIZE, MCP_LIST, MCP_CALL, MCP_NOTE };

struct mcp_server;

struct mcp_request {
	struct mcp_request *next, **at;
	struct mcp_server *server;
	uint64_t id;
	enum mcp_request_kind kind;
	struct cv_ref job; /* of a call */
	int64_t due_ms;    /* 0: the job's own */
	/* over HTTP */
	struct broker *broker;
	struct fetch *fetch;
	struct cv_buf body; /* of an answer that is no event stream */
	struct cv_sse sse;
	bool is_sse, is_ended; /* its answer has come: what follows is not wanted */
};

struct mcp_entry { /* of a list; strings are in the list's arena */
	struct cv_str name, description;
	const struct cv_value *input;
	struct cv_schema *schema;
	bool is_read_only, is_destructive, is_idempotent, is_twice;
};

struct mcp_list {
	struct cv_arena arena;
	struct mcp_entry v[MCP_TOOLS_MAX];
	size_t n, pages, refused;
};

struct mcp_server {
	const struct cv_tool_mcp *its;
	struct cv_ref ref;
	enum mcp_state state;
	bool was_ready; /* once: from then on it may come and go */
	struct keys *keys;
	enum cv_mcp_version version;
	uint64_t next_id;
	struct mcp_request *requests;
	struct mcp_list *list, *fresh; /* that holds; that is being read */
	bool is_list_stale;            /* it changed while it was read */
	int64_t due_ms;
	int64_t restarts_since_ms;
	unsigned restarts;
	char why[256]; /* it is down */

	/* stdio */
	struct spawned p;
	struct cv_buf in, out, tail; /* of its stdout, to its stdin; the end of its stderr */
	struct keys_scrub log_scrub;
	/* HTTP */
	char session[MCP_SESSION_BYTES_MAX + 1];
};

/* ---- mcp_client.c ---- */
void mcps_start(struct broker *b);
bool mcps_are_ready(const struct broker *b);
void mcps_due(struct broker *b);
void mcps_pump(struct broker *b); /* events of streams that came in this turn */
void mcps_stop(struct broker *b);
void mcp_event(struct broker *b, struct cv_ref ref, int what, uint32_t events);
void mcp_keys_come(struct broker *b, struct cv_ref ref, const struct cv_err *failed);
/* It is of no use as it is: ended, and started again if that may be. */
CV_PRINTF(3, 4) void mcp_down(struct broker *b, struct mcp_server *m, const char *fmt, ...);
void mcp_listed(struct broker *b, struct mcp_server *m); /* all pages came */

/* ---- mcp_wire.c ---- */
/* NULL: it can't be sent, with the reason in err. */
struct mcp_request *mcp_send(struct broker *b, struct mcp_server *m, enum mcp_request_kind kind,
	enum cv_mcp_method method, struct cv_str params_json, struct cv_err *err);
void mcp_request_free(struct mcp_request *r);
void mcp_stdio_read(struct broker *b, struct mcp_server *m);
void mcp_stdio_write(struct broker *b, struct mcp_server *m);
void mcp_log_read(struct mcp_server *m);

/* ---- mcp_tools.c ---- */
/* One page.  False: its cursor or its size makes no sense; else *ret_cursor, empty behind the last. */
CV_MUST bool mcp_list_take(struct broker *b, struct mcp_server *m, const struct cv_value *result,
	struct cv_str *ret_cursor, struct cv_err *err);
void mcp_list_commit(struct broker *b, struct mcp_server *m);
void mcp_list_free(struct mcp_list *l);
const struct mcp_entry *mcp_list_find(const struct mcp_list *l, struct cv_str name);

/* ---- mcp_client_call.c ---- */
/* What became of a call; result or error as in cv_mcp_message, or failed. */
void mcp_call_answer(struct broker *b, struct mcp_request *r, const struct cv_mcp_message *m,
	const char *failed);
void mcp_call_progress(struct broker *b, struct mcp_server *m, const struct cv_value *params);
