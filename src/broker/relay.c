/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.c - see relay.h
 *
 *     proxy --requests--> head: Authorization set, Accept-Encoding dropped; body as it is --> server
 *     proxy <--responses, scrubbed-- server
 *
 * Requests are followed head by head, so that each one gets the token, and none that was not framed
 * as the proxy frames them passes.  After Upgrade bytes pass as they are.  Responses are not parsed:
 * the scrubber holds back what may be the beginning of a secret, and lets go when nothing has
 * come for RELAY_HOLD_MS, since that may be the end of a response.
 *
 * Both descriptors are watched by edges; relay_pump() goes on until neither side moves.
 */
#include "broker/relay.h"

#include "broker/broker.h"
#include "broker/server.h"
#include "sys/fd.h"
#include "wire/chunk.h"
#include "wire/h1_write.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum relay_state {
	RELAY_HEAD,
	RELAY_LENGTH,
	RELAY_CHUNKED,
	RELAY_RAW /* after Upgrade */
};

struct relay {
	struct cv_ref ref, sandbox;
	enum relay_state state;
	uint32_t server;
	int down, up;
	struct cv_buf in, to_up, to_down;
	size_t scanned;
	uint64_t left;
	struct cv_chunk chunk;
	struct keys_scrub scrub;
	bool has_down_ended, has_up_ended, is_shut, is_broken;
	int64_t heard_ms; /* from the server; 0: nothing is held */
	int64_t due_ms;
};

static void relay_free(struct broker *b, struct relay *r)
{
	close(r->down);
	close(r->up);
	cv_buf_fini(&r->in);
	cv_buf_wipe(&r->to_up); /* heads with the token */
	cv_buf_wipe(&r->to_down);
	keys_scrub_fini(&r->scrub);
	pool_free(&b->relays, r->ref);
}

/* ---- requests ---- */

static bool head_write(struct broker *b, struct relay *r, const struct cv_h1_request *q)
{
	char bearer[SERVER_BEARER_BYTES];
	const struct cv_h1_header set = { .name = CV_STR("Authorization"),
		.value = server_bearer(b, r->server, bearer) };
	const struct cv_str drop[] = { CV_STR(
		"accept-encoding") }; /* what can't be read can't be scrubbed */
	struct cv_h1_request_edit e = {
		.authority = &q->authority,
		.port_default = 80,
		.path = q->path,
		.query = q->query,
	};

	cv_h1_edit_of_request(&e.common, q);
	e.common.set = &set;
	e.common.set_count = 1;
	e.common.drop = drop;
	e.common.drop_count = 1;
	const bool is_good = q->form == CV_H1_FORM_ORIGIN && !q->is_expect_continue &&
			     cv_h1_write_request(&r->to_up, q, &e);
	explicit_bzero(bearer, sizeof(bearer));
	return is_good;
}

/* False: more is needed first, or all is over. */
static bool head_take(struct broker *b, struct relay *r)
{
	static struct cv_h1_request q; /* large; used up here */
	const enum cv_h1_rc rc =
		cv_h1_request_parse(cv_buf_str(&r->in), BROKER_HEAD_BYTES_MAX, &r->scanned, &q);

	if (rc == CV_H1_MORE)
		return false;
	if (rc != CV_H1_OK || !head_write(b, r, &q)) {
		r->is_broken = true; /* the proxy writes no such request */
		return false;
	}
	r->state = q.is_upgrade                   ? RELAY_RAW
		   : q.body == CV_H1_BODY_CHUNKED ? RELAY_CHUNKED
		   : q.body == CV_H1_BODY_LENGTH  ? RELAY_LENGTH
						  : RELAY_HEAD;
	r->left = q.length;
	if (r->state == RELAY_CHUNKED)
		cv_chunk_init(&r->chunk);
	cv_buf_skip(&r->in, q.head_bytes);
	r->scanned = 0;
	return true;
}

static bool bytes_pass(struct relay *r, size_t n)
{
	cv_buf_put(&r->to_up, cv_str_slice(cv_buf_str(&r->in), 0, n));
	cv_buf_skip(&r->in, n);
	return n > 0;
}

/* Bytes as they are; the decoder only says where they end. */
static bool chunks_pass(struct relay *r)
{
	struct cv_str in = cv_buf_str(&r->in), data;
	const size_t had = in.n;
	enum cv_chunk_event e = CV_CHUNK_DATA;

	while (e == CV_CHUNK_DATA)
		e = cv_chunk_next(&r->chunk, &in, &data);
	r->is_broken |= e == CV_CHUNK_BAD;
	if (e == CV_CHUNK_DONE)
		r->state = RELAY_HEAD;
	return bytes_pass(r, had - in.n) && !r->is_broken;
}

static void requests_pass(struct broker *b, struct relay *r)
{
	bool goes_on = true;

	while (goes_on && !r->is_broken && cv_buf_len(&r->in)) {
		const size_t n = cv_buf_len(&r->in);

		switch (r->state) {
		case RELAY_HEAD: goes_on = head_take(b, r); break;
		case RELAY_LENGTH: {
			const size_t take = (size_t)CV_MIN(r->left, (uint64_t)n);

			r->left -= take;
			goes_on = bytes_pass(r, take);
			if (!r->left) {
				r->state = RELAY_HEAD;
				goes_on = true;
			}
			break;
		}
		case RELAY_CHUNKED: goes_on = chunks_pass(r); break;
		case RELAY_RAW: goes_on = bytes_pass(r, n); break;
		}
	}
}

/* ---- bytes ---- */

/* True: something moved. */
static bool flush(struct relay *r, int fd, struct cv_buf *out)
{
	const struct cv_str s = cv_buf_str(out);
	ssize_t n;

	if (!s.n)
		return false;
	n = send(fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN)
		r->is_broken = true;
	if (n <= 0)
		return false;
	cv_buf_skip(out, (size_t)n);
	return true;
}

static bool fill(int fd, char *piece, size_t room, bool *ret_ended, bool *ret_broken, size_t *ret_n)
{
	const ssize_t n = recv(fd, piece, room, MSG_DONTWAIT);

	*ret_n = n > 0 ? (size_t)n : 0;
	if (n == 0)
		*ret_ended = true;
	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN)
		*ret_broken = true;
	return n > 0;
}

static bool down_read(struct broker *b, struct relay *r)
{
	char piece[RELAY_PIECE_BYTES];
	size_t n;

	if (r->has_down_ended || cv_buf_len(&r->to_up) > RELAY_FULL_BYTES ||
		!fill(r->down, piece, sizeof(piece), &r->has_down_ended, &r->is_broken, &n))
		return false;
	cv_buf_put(&r->in, (struct cv_str){ piece, n });
	requests_pass(b, r);
	return true;
}

static bool up_read(struct broker *b, struct relay *r)
{
	char piece[RELAY_PIECE_BYTES];
	size_t n;

	if (r->has_up_ended || cv_buf_len(&r->to_down) > RELAY_FULL_BYTES ||
		!fill(r->up, piece, sizeof(piece), &r->has_up_ended, &r->is_broken, &n))
		return false;
	if (!keys_scrub_feed(&r->scrub, (struct cv_str){ piece, n }, &r->to_down))
		r->is_broken = true;
	explicit_bzero(piece, n);
	r->heard_ms = b->loop.now_ms;
	due_at(b, r->heard_ms + RELAY_HOLD_MS);
	return true;
}

static void relay_pump(struct broker *b, struct relay *r)
{
	bool moves = true;

	for (int i = 0; moves && !r->is_broken; i++) {
		if (i == RELAY_TURNS_MAX) { /* others want to be heard too */
			r->due_ms = b->loop.now_ms;
			due_at(b, r->due_ms);
			return;
		}
		moves = down_read(b, r);
		moves |= up_read(b, r);
		moves |= flush(r, r->up, &r->to_up);
		if (r->has_up_ended && !r->is_broken && !keys_scrub_end(&r->scrub, &r->to_down))
			r->is_broken = true;
		moves |= flush(r, r->down, &r->to_down);
	}
	if (r->has_down_ended && !cv_buf_len(&r->to_up) && !r->is_shut) {
		shutdown(r->up, SHUT_WR);
		r->is_shut = true;
		r->due_ms = b->loop.now_ms + BROKER_SLOW_MS;
		due_at(b, r->due_ms);
	}
	if (r->is_broken || (r->has_up_ended && !cv_buf_len(&r->to_down)) || r->in.is_overflown ||
		r->to_up.is_overflown || r->to_down.is_overflown)
		relay_free(b, r);
}

void relay_event(struct broker *b, struct relay *r)
{
	relay_pump(b, r);
}

void relays_due(struct broker *b)
{
	const int64_t now = b->loop.now_ms;

	for (uint32_t i = 0; i < b->relays.top; i++) {
		struct relay *r = pool_at(&b->relays, i);

		if (!r)
			continue;
		if (r->heard_ms && r->heard_ms + RELAY_HOLD_MS <= now) {
			r->heard_ms = 0;
			if (!keys_scrub_end(&r->scrub, &r->to_down))
				r->is_broken = true;
			relay_pump(b, r);
		} else if (r->due_ms && r->due_ms <= now) {
			r->due_ms = 0;
			r->is_broken |= r->is_shut; /* it had its time to answer */
			relay_pump(b, r);
		}
		r = pool_at(&b->relays, i);
		if (r)
			due_at(b, r->due_ms);
		if (r && r->heard_ms)
			due_at(b, r->heard_ms + RELAY_HOLD_MS);
	}
}

/* ---- life ---- */

static int server_dial(const struct server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(s->port) };
	const int on = 1;
	CV_AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS))
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return cv_take_fd(fd);
}

static bool watch(struct broker *b, const struct relay *r, int fd)
{
	return cv_loop_add(&b->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		       (struct cv_watch){ WATCH_RELAY, r->ref }, NULL) == CV_OK;
}

void relay_open(struct broker *b, struct sandbox *s, int fd, uint32_t port)
{
	struct server *server = server_exposed(b, port);
	const int up = server && server->state == SERVER_READY ? server_dial(server) : -1;
	struct cv_ref ref;
	struct relay *r = up < 0 ? NULL : pool_new(&b->relays, &ref);

	if (!r) {
		close(fd); /* the proxy says that the server can't be reached */
		if (up >= 0)
			close(up);
		return;
	}
	r->ref = ref;
	r->sandbox = s->ref;
	r->server = server->ref.index;
	r->down = fd;
	r->up = up;
	cv_buf_init(&r->in, BROKER_HEAD_BYTES_MAX + RELAY_PIECE_BYTES);
	cv_buf_init(
		&r->to_up, RELAY_FULL_BYTES + 4u * BROKER_HEAD_BYTES_MAX + 2u * RELAY_PIECE_BYTES);
	cv_buf_init(&r->to_down, RELAY_FULL_BYTES + (1u << 20));
	if (!keys_scrub_init(&r->scrub, server->keys, NULL) || !watch(b, r, fd) || !watch(b, r, up))
		relay_free(b, r);
}

void relays_init(struct broker *b)
{
	pool_init(&b->relays, BROKER_RELAYS_MAX, sizeof(struct relay));
}

void relays_end(struct broker *b, const struct sandbox *s)
{
	for (uint32_t i = 0; i < b->relays.top; i++) {
		struct relay *r = pool_at(&b->relays, i);

		if (r && pool_get(&b->sandboxes, r->sandbox) == s)
			relay_free(b, r);
	}
}
