/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - framed messages between our own processes
 *
 * A link is a SOCK_SEQPACKET socket pair: one datagram is one message, so a peer can never make
 * us wait for the rest of one.  A message is a type, a body of at most CV_IPC_BODY_BYTES_MAX and
 * descriptors; what is larger travels as a sealed memfd.  What a link may carry is a table (one
 * row per message type): type, state, repetition, size and number of descriptors are checked here
 * before any handler sees the message.  A refusal ends the link.
 *
 * Ownership: descriptors of a received message belong to the receiver, who takes each with
 * cv_take_fd() or leaves it to cv_ipc_msg_fini().
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define CV_IPC_BODY_BYTES_MAX 65536 /* an identity record of 64 ancestors with long paths */
#define CV_IPC_FDS_MAX        8     /* the six of a sandbox, and two to spare */

enum {
	CV_IPC_ONCE = 1 << 0, /* a second one of this type is refused */
};

struct cv_ipc_rule {
	const char *name;
	uint32_t bytes_max;
	uint32_t fds;    /* exactly this many descriptors */
	uint32_t states; /* bit mask of the states in which it may come */
	uint32_t flags;
};

/* One direction of one link, seen by its receiver. */
struct cv_ipc_link {
	const struct cv_ipc_rule *rules;
	uint32_t rule_count; /* at most 32 */
	uint32_t state;      /* set by the owner, below 32 */
	uint32_t seen;
};

struct cv_ipc_msg {
	uint32_t type;
	struct cv_str body; /* in the caller's buffer, until the next receive into it */
	int fds[CV_IPC_FDS_MAX];
	size_t fd_count;
};

/* Closes the descriptors that were not taken (those that are not -1). */
void cv_ipc_msg_fini(struct cv_ipc_msg *m);

/* A connected, close-on-exec pair. */
CV_MUST cv_code cv_ipc_pair(int ret[2], struct cv_err *err);

/* Sends one message.  CV_UNAVAILABLE when a non-blocking socket is full, CV_SYSTEM otherwise. */
CV_MUST cv_code cv_ipc_send(int sock, uint32_t type, struct cv_str body, const int *fds,
	size_t fd_count, struct cv_err *err);

/* As cv_ipc_send() without descriptors, and never waits, whatever the socket's mode. */
CV_MUST cv_code cv_ipc_send_now(int sock, uint32_t type, struct cv_str body, struct cv_err *err);

/* A message whose body is larger than a body may be: a memfd of that name holds text, sealed. */
CV_MUST cv_code cv_ipc_send_text(
	int sock, uint32_t type, const char *name, struct cv_str text, struct cv_err *err);

/* Receives one message into buf (of CV_IPC_BODY_BYTES_MAX + 8 bytes).  CV_NOT_FOUND when the peer
 * closed, CV_UNAVAILABLE when a non-blocking socket is empty, CV_PROTO when the link's table
 * refuses it (descriptors closed). */
CV_MUST cv_code cv_ipc_recv(
	int sock, struct cv_ipc_link *link, char *buf, struct cv_ipc_msg *ret, struct cv_err *err);

/* NULL if the message may be handled, else the reason.  Marks it seen. */
CV_MUST const char *cv_ipc_refusal(
	struct cv_ipc_link *link, uint32_t type, size_t bytes, size_t fd_count);

/* Bodies: numbers little-endian, strings with a u32 length before them. */
bool cv_ipc_put_u32(struct cv_buf *b, uint32_t v);
bool cv_ipc_put_u64(struct cv_buf *b, uint64_t v);
bool cv_ipc_put_str(struct cv_buf *b, struct cv_str s);

/* A reader over a body; the first shortage makes is_bad sticky and all later values zero. */
struct cv_ipc_reader {
	struct cv_str rest;
	bool is_bad;
};
uint32_t cv_ipc_get_u32(struct cv_ipc_reader *r);
uint64_t cv_ipc_get_u64(struct cv_ipc_reader *r);
struct cv_str cv_ipc_get_str(struct cv_ipc_reader *r); /* borrowed from the body */
/* True when everything was read, nothing was short and nothing is left. */
CV_MUST bool cv_ipc_reader_is_done(const struct cv_ipc_reader *r);

/* A sealed, read-only memfd that holds text; and its contents mapped for reading. */
CV_MUST cv_code cv_ipc_memfd(const char *name, struct cv_str text, int *ret_fd, struct cv_err *err);
/* Reads a whole file or memfd, at most max bytes, into *ret (malloc, NUL behind it). */
CV_MUST cv_code cv_ipc_fd_read_all(
	int fd, size_t max, char **ret, size_t *ret_bytes, struct cv_err *err);
