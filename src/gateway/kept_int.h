/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept_int.h - what kept.c (commands that outlive their client, and who follows them) and kept_rpc.c
 * (what clients ask) share
 */
#pragma once
#include "gateway/kept_about.h"
#include "gateway/sandbox_int.h"
#include "ipc/kept.h"

#include "cove.pb-c.h"

#define KEPT_RUNNING_MAX   64   /* of a sandbox: each has a megabyte of its supervisor's */
#define KEPT_OVER_MAX      64   /* of a sandbox, likewise; told ends go first, then the oldest */
#define KEPT_FOLLOWERS_MAX 16   /* of a command */
#define KEPT_KEY_BYTES_MAX 128  /* a UUID, and room for who makes up others */
#define KEPT_START_HOLD_MS 5000 /* from StartExec to FollowExec: a round trip */
#define KEPT_PACE_STEP     (CV_KEPT_RING_BYTES / 8) /* that a reader goes on, until it is told */
#define KEPT_PACE_NONE     UINT64_MAX
#define KEPT_TOLD_MS       (10 * 60 * 1000)      /* after an end that somebody was told */
#define KEPT_UNTOLD_MS     (24 * 60 * 60 * 1000) /* after one that nobody was: a day's absence */
#define KEPT_IN_MAX        (2u << 20)            /* towards a command: two messages ... */
#define KEPT_IN_HOLD       (64u << 10)           /* ... the writer is held behind the first */
#define KEPT_SUBJECT_BYTES 256
#define KEPT_WORKDIR_BYTES 512

enum { KEPT_WATCH_EVENT, KEPT_WATCH_INPUT }; /* subkinds of watches */

enum kept_state {
	KEPT_WAITING, /* for a supervisor that is about to dial, or for credentials */
	KEPT_SENT,
	KEPT_RUNS, /* there is a ring; it may be over */
};

struct cv_gw_kept {
	struct cv_gw_kept *next; /* of its box, the newest first */
	struct cv_gateway *g;
	struct cv_ref ref, box;
	uint32_t number; /* on the link; 0: its supervisor is gone */
	enum kept_state state;
	struct cv_gw_exec_ssh
		*ssh; /* exec_ssh.c: what runs it; NULL: a supervisor of ours, or it is over */
	struct cv_rpc_call *starter;                      /* waits for it to be there; NULL */
	const Openshell__V1__ExecSandboxRequest *request; /* a copy until it is sent */
	struct cv_buf about_bytes;                        /* what about borrows from */
	struct kept_about about;
	struct cv_kept ring;
	int event; /* -1: nothing more comes */
	/* kept_input.c */
	int input; /* a terminal, or the write end of stdin; -1: not yet, or over */
	bool is_input_over, has_eof;
	struct cv_buf in;
	uint32_t size;                /* of the terminal, that it should have; 0: as it was made */
	struct kept_follower *writer; /* one of followers; NULL */
	bool is_lost, is_told, is_more;
	bool is_start_held;  /* no follower that holds it has come yet */
	uint64_t pace;       /* that its supervisor was told last */
	int64_t lost_ms;     /* Unix */
	int64_t deadline_ms; /* until it has to be there, then until it is dropped; 0: none */
	struct kept_follower *followers;
	size_t follower_count;
};

struct kept_follower {
	struct kept_follower *next;
	struct cv_gw_kept *of; /* NULL: it is gone */
	struct cv_rpc_call *call;
	struct cv_kept_reader reader;
	bool holds, is_full, is_finished;
	bool is_held;         /* of a writer: too much waits */
	uint64_t given, told; /* likewise: bytes that came, and of which he knows that they went */
};

struct cv_gw_kepts {
	struct cv_slots all;
	int64_t deadline_ms;
	bool has_more; /* a follower was left with more to read */
};

/* ---- kept.c ---- */

struct cv_gw_kept *kept_new(struct cv_gw_box *b, uint32_t number); /* NULL: no memory */
void kept_free(struct cv_gw_kept *k);                              /* followers, starter are told */
void kept_deadline(struct cv_gw_kept *k, int64_t ms);              /* from now; 0: none */
void kept_send(struct cv_gw_kept *k, struct cv_gw_box *b);         /* may be the end of k */
/* It was not started: who started it is told, and k is gone. */
void kept_fail(struct cv_gw_kept *k, enum cv_rpc_status s, const char *why);
/* What ran it is gone: if its end is not in the ring, nobody will know it.  May be the end of k. */
void kept_lose(struct cv_gw_kept *k, const char *why);
bool kept_end_of(const struct cv_gw_kept *k, struct cv_kept_end *ret); /* false: it runs */
struct cv_gw_kept *kept_find(const struct cv_gw_box *b, struct cv_str id);
void kept_pump(struct kept_follower *f);
void kept_pace_tell(struct cv_gw_kept *k); /* a follower came, read or went */

/* ---- kept_input.c ---- */

bool kept_takes_input(const struct cv_gw_kept *k);                   /* at some time */
void kept_input_take(struct cv_gw_kept *k, int *fd);                 /* KEPT_INPUT brought it */
void kept_writer_set(struct cv_gw_kept *k, struct kept_follower *f); /* the first that he hears */
void kept_input_put(struct cv_gw_kept *k, struct cv_str bytes);
void kept_input_end(struct cv_gw_kept *k); /* nothing more comes, from anybody */
void kept_input_flush(struct cv_gw_kept *k);
void kept_input_close(struct cv_gw_kept *k);
/* is_new: who looks at it is another, so that everything has to be drawn. */
void kept_resize(struct cv_gw_kept *k, uint32_t rows, uint32_t cols, bool is_new);

/* ---- kept_rpc.c, kept_attach.c ---- */

CV_MUST enum cv_rpc_status kept_open(const struct cv_rpc_call *c, const char *sandbox,
	const char *id, bool is_change, struct cv_gw_kept **ret, struct cv_err *err);
CV_MUST enum cv_rpc_status kept_follower_check(
	const struct cv_gw_kept *k, uint64_t offset, struct cv_err *err);
/* c's state from now on. */
CV_MUST enum cv_rpc_status kept_follower_new(struct cv_rpc_call *c, struct cv_gw_kept *k,
	uint64_t offset, bool holds, struct kept_follower **ret, struct cv_err *err);
void kept_follow_writable(struct cv_rpc_call *c);
void kept_follow_closed(struct cv_rpc_call *c);
void kept_attach_message(struct cv_rpc_call *c, const ProtobufCMessage *m);
void kept_attach_half_closed(struct cv_rpc_call *c);

#define KEPT_METHODS 5
extern const struct cv_gw_method kept_methods[KEPT_METHODS];
/* To who started it: it is there, or it is not. */
void kept_starter_reply(struct cv_gw_kept *k, bool existed);
void kept_starter_fail(struct cv_gw_kept *k, enum cv_rpc_status s, const char *why);
/* One with its key is there: that is the answer, and k is gone. */
bool kept_twin_join(struct cv_gw_kept *k, struct cv_gw_box *b);
const char *kept_reason_name(enum cv_kept_reason r);
