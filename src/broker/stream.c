/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - bytes of one connection of a sandbox
 *
 * The other end is the proxy, which wrote every head anew; it is parsed here as strictly as if a
 * stranger had.  One request at a time: the next is read when the answer has been sent, so what a
 * client may put in line is what its socket holds.  Watches are edge-triggered and never changed;
 * whoever may read or write tries until the socket says no.
 *
 *     HEAD -> BODY -> (request.c) -> answered at once: HEAD again, behind what is to be sent
 *                                 -> CALL, POLL, EVENTS: until the job has something to say
 */
#include "broker/broker.h"

#include "base/assert.h"
#include "broker/mcp.h"
#include "wire/chunk.h"
#include "wire/h1.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_BYTES_MAX (BROKER_HEAD_BYTES_MAX + 65536)
#define READ_BYTES   16384

/* ---- who ---- */

static struct caller *caller_new(const struct cv_proxy_identity *id)
{
	struct caller *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->refs = 1;
	c->pid = id->pid;
	cv_arena_init(&c->arena, 2 * CV_IPC_BODY_BYTES_MAX);
	struct cv_str *ancestors =
		cv_arena_array(&c->arena, id->ancestor_count + 1, sizeof(*ancestors));
	for (size_t i = 0; ancestors && i < id->ancestor_count; i++)
		ancestors[i] = cv_arena_str(&c->arena, id->ancestors[i]);
	c->who = (struct cv_facts_who){
		.is_known = !id->unknown_reason.n && !id->changed_path.n && id->exe.n > 0,
		.exe = cv_arena_str(&c->arena, id->exe),
		.ancestors = ancestors,
		.ancestor_count = id->ancestor_count,
	};
	if (c->arena.is_overflown) {
		caller_unref(c);
		return NULL;
	}
	return c;
}

void caller_unref(struct caller *c)
{
	if (!c || --c->refs)
		return;
	cv_arena_fini(&c->arena);
	free(c);
}

/* ---- its life ---- */

void stream_open(struct broker *b, struct sandbox *box, int fd, const struct cv_proxy_identity *id)
{
	const int flags = fcntl(fd, F_GETFL);
	struct caller *caller = caller_new(id);
	struct cv_ref ref;
	struct cv_err err;
	struct stream *s = NULL;

	if (caller && !box->is_ending && box->streams < BROKER_STREAMS_EACH_MAX && flags >= 0 &&
		fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0)
		s = pool_new(&b->streams, &ref);
	if (!s || cv_loop_add(&b->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
			  (struct cv_watch){ WATCH_STREAM, ref }, &err) != CV_OK) {
		if (s)
			pool_free(&b->streams, ref);
		caller_unref(caller);
		close(fd); /* the proxy answers 503 */
		return;
	}
	s->ref = ref;
	s->fd = fd;
	s->sandbox = box->ref;
	s->caller = caller;
	cv_buf_init(&s->in, IN_BYTES_MAX);
	cv_buf_init(&s->out, BROKER_OUT_BYTES_MAX);
	cv_buf_init(&s->body, BROKER_BODY_BYTES_MAX);
	cv_arena_init(&s->arena, BROKER_ARENA_BYTES_MAX);
	s->sent_ms = b->loop.now_ms;
	s->due_ms = b->loop.now_ms + BROKER_IDLE_MS;
	due_at(b, s->due_ms);
	box->streams++;
}

void stream_free(struct broker *b, struct stream *s)
{
	struct sandbox *box = pool_get(&b->sandboxes, s->sandbox);

	if (s->state == STREAM_READ)
		mcp_reader_lost(b, s);
	if (s->fd >= 0)
		close(s->fd);
	b->out_bytes -= cv_buf_len(&s->out);
	cv_buf_fini(&s->in);
	cv_buf_fini(&s->out);
	cv_buf_fini(&s->body);
	cv_arena_fini(&s->arena);
	free(s->chunk);
	mcp_free(s->mcp);
	caller_unref(s->caller);
	pool_free(&b->streams, s->ref);
	if (box) {
		box->streams--;
		sandbox_settle(b, box);
	}
}

void stream_next(struct broker *b, struct stream *s)
{
	mcp_free(s->mcp);
	s->mcp = NULL;
	s->job = (struct cv_ref){ 0, 0 };
	s->state = s->request.is_keep_alive && !s->has_ended ? STREAM_HEAD : STREAM_CLOSING;
	s->request = (struct request){ 0 };
	s->scanned = 0;
	s->is_asynchronous = false;
	s->due_ms = b->loop.now_ms + BROKER_IDLE_MS;
	due_at(b, s->due_ms);
	cv_buf_fini(&s->body);
	cv_arena_fini(&s->arena);
}

void stream_due(struct broker *b, struct stream *s)
{
	struct job *j;

	s->due_ms = 0;
	/* A reader that took nothing of what waits for it has gone, whatever it says. */
	if (s->is_lingering) {
		stream_free(b, s);
		return;
	}
	if (cv_buf_len(&s->out) || s->state == STREAM_CLOSING) {
		if (b->loop.now_ms - s->sent_ms >= BROKER_SLOW_MS) {
			stream_free(b, s);
			return;
		}
		s->due_ms = s->sent_ms + BROKER_SLOW_MS;
		due_at(b, s->due_ms);
		return;
	}
	switch (s->state) {
	case STREAM_CALL: /* Prefer: wait=N is over */
		if (s->mcp) {
			mcp_due(b, s);
			return;
		}
		if ((j = pool_get(&b->jobs, s->job)))
			jobs_answer_accepted(b, s, j);
		return;
	case STREAM_POLL:
		if ((j = pool_get(&b->jobs, s->job)))
			jobs_answer_job(b, s, j, 200);
		return;
	case STREAM_EVENTS: jobs_events_more(b, s); return;
	case STREAM_READ: mcp_read_more(b, s); return;
	case STREAM_HEAD:
	case STREAM_BODY: break;
	case STREAM_CLOSING: cv_unreachable();
	}
	stream_free(b, s);
}

/* ---- out ---- */

static bool receive(struct broker *b, struct stream *s);

static bool is_gone(int error)
{
	return error != EAGAIN && error != EINTR;
}

bool stream_flush(struct broker *b, struct stream *s)
{
	if (s->fd < 0) {
		stream_free(b, s);
		return false;
	}
	for (;;) {
		if (s->state == STREAM_EVENTS && cv_buf_len(&s->out) < BROKER_STREAM_LOW_BYTES)
			jobs_events_more(b, s);
		else if (s->state == STREAM_READ && cv_buf_len(&s->out) < BROKER_STREAM_LOW_BYTES)
			mcp_read_more(b, s);
		const struct cv_str all = cv_buf_str(&s->out);
		if (!all.n)
			break;
		const ssize_t n = send(s->fd, all.p, all.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && is_gone(errno)) {
			stream_free(b, s);
			return false;
		}
		if (n < 0) {
			if (!s->due_ms) {
				s->due_ms = b->loop.now_ms + BROKER_SLOW_MS;
				due_at(b, s->due_ms);
			}
			return true;
		}
		s->sent_ms = b->loop.now_ms;
		cv_buf_skip(&s->out, (size_t)n);
		b->out_bytes -= (size_t)n;
		/* Now that its answer is sent, the next request may be read. */
		if (!cv_buf_len(&s->out) && s->state == STREAM_HEAD &&
			(cv_buf_len(&s->in) || s->is_full) && !receive(b, s)) {
			stream_free(b, s);
			return false;
		}
	}
	if (s->out.cap > READ_BYTES)
		cv_buf_fini(&s->out); /* a large answer's memory is not kept for a small one */
	if (s->state != STREAM_CLOSING || s->is_lingering)
		return true;
	if (!s->has_ended && shutdown(s->fd, SHUT_WR) == 0) {
		/* What it still sends is read and dropped, or it would not see the answer. */
		s->is_lingering = true;
		s->due_ms = b->loop.now_ms + BROKER_LINGER_MS;
		due_at(b, s->due_ms);
		cv_buf_fini(&s->in);
		if (receive(b, s) && !s->has_ended)
			return true;
	}
	stream_free(b, s);
	return false;
}

/* ---- in ---- */

/* False: the head was refused, and the answer is on its way. */
static bool value_take(struct stream *s, const struct cv_h1_request *r, const char *name,
	struct cv_str *ret, bool is_single)
{
	const struct cv_h1_header *h;
	size_t at = 0;

	h = cv_h1_header_next_named(r->header, r->header_count, cv_str_of(name), &at);
	if (!h)
		return true;
	*ret = cv_arena_str(&s->arena, h->value);
	return !is_single ||
	       !cv_h1_header_next_named(r->header, r->header_count, cv_str_of(name), &at);
}

static void head_take(struct broker *b, struct stream *s, const struct cv_h1_request *r)
{
	struct request *q = &s->request;
	/* clang-format off */
	const struct { const char *name; struct cv_str *to; bool is_single; } field[] = {
		{ "authorization",        &q->authorization,    true },
		{ "content-type",         &q->content_type,     true },
		{ "content-encoding",     &q->content_encoding, false },
		{ "prefer",               &q->prefer,           false },
		{ "idempotency-key",      &q->idempotency_key,  true },
		{ "last-event-id",        &q->last_event_id,    true },
		{ "origin",               &q->origin,           true },
		{ "accept",               &q->accept,           false },
		{ "mcp-session-id",       &q->mcp_session,      true },
		{ "mcp-protocol-version", &q->mcp_version,      true },
	};
	/* clang-format on */

	*q = (struct request){
		.method = cv_arena_str(&s->arena, r->method),
		.query = r->query.p ? cv_arena_str(&s->arena, r->query) : CV_STR_NONE,
		.host = cv_arena_str(&s->arena, cv_host_str(&r->authority.host)),
		.is_head = cv_str_eq(r->method, CV_STR("HEAD")),
		.is_keep_alive = r->is_keep_alive,
		.body = r->body,
		.length = r->length,
	};
	for (size_t i = 0; i < CV_ARRAY_LEN(field); i++)
		if (!value_take(s, r, field[i].name, field[i].to, field[i].is_single))
			q->is_repeated = true;
	const enum cv_path_rc rc = cv_path_canonical(r->path, false, &q->path);
	if (r->is_expect_continue && !cv_buf_len(&s->out) &&
		cv_buf_put(&s->out, CV_STR("HTTP/1.1 100 Continue\r\n\r\n")))
		b->out_bytes += cv_buf_len(&s->out);
	cv_buf_skip(&s->in, r->head_bytes);
	if (rc != CV_PATH_OK) {
		q->is_keep_alive = false;
		answer_error(b, s, 400, "bad_request", "%s", cv_path_rc_text(rc));
	}
}

/* True when a whole head was there and its body is to be read. */
static bool head_read(struct broker *b, struct stream *s)
{
	static struct cv_h1_request r; /* large, and used up before anything else is read */
	const struct cv_str bytes = cv_buf_str(&s->in);

	if (!bytes.n)
		return false;
	const enum cv_h1_rc rc = cv_h1_request_parse(bytes, BROKER_HEAD_BYTES_MAX, &s->scanned, &r);
	if (rc == CV_H1_MORE) {
		if (s->has_ended)
			s->state = STREAM_CLOSING;
		else if (!s->scanned || s->due_ms > b->loop.now_ms + BROKER_HEAD_MS)
			s->due_ms = b->loop.now_ms + BROKER_HEAD_MS;
		due_at(b, s->due_ms);
		return false;
	}
	cv_arena_init(&s->arena, BROKER_ARENA_BYTES_MAX);
	cv_buf_init(&s->body, BROKER_BODY_BYTES_MAX);
	if (rc != CV_H1_OK) {
		s->request = (struct request){ .is_keep_alive = false };
		answer_error(b, s, cv_h1_rc_row(rc)->status, "bad_request", "%s",
			cv_h1_rc_row(rc)->text);
		return false;
	}
	head_take(b, s, &r);
	if (s->state != STREAM_HEAD)
		return false;
	s->state = STREAM_BODY;
	s->due_ms = b->loop.now_ms + BROKER_HEAD_MS;
	due_at(b, s->due_ms);
	if (s->request.body == CV_H1_BODY_CHUNKED) {
		s->chunk = malloc(sizeof(*s->chunk));
		cv_assert(s->chunk);
		cv_chunk_init(s->chunk);
	}
	return true;
}

static void body_refuse(struct broker *b, struct stream *s)
{
	struct cv_buf e;

	s->request.is_keep_alive = false; /* the rest of it is never read */
	cv_buf_init(&e, 1024);
	error_begin(
		&e, "body_too_large", "a request's body may have %d bytes", BROKER_BODY_BYTES_MAX);
	cv_buf_printf(&e, ",\"limit\":%d", BROKER_BODY_BYTES_MAX);
	error_end(&e);
	audit_refusal(b, s,
		&(struct refusal){ .status = 413,
			.code = "body_too_large",
			.reason = CV_STR("the body is larger than 1 MiB") });
	answer(b, s, &(struct answer){ .status = 413, .body = cv_buf_str(&e) });
	cv_buf_fini(&e);
}

/* True when all of it is there. */
static bool chunks_read(struct broker *b, struct stream *s)
{
	for (;;) {
		struct cv_str in = cv_buf_str(&s->in), data;
		const size_t before = in.n;
		const enum cv_chunk_event e = cv_chunk_next(s->chunk, &in, &data);

		if (e == CV_CHUNK_DATA && !cv_buf_put(&s->body, data)) {
			body_refuse(b, s);
			return false;
		}
		cv_buf_skip(&s->in, before - in.n);
		switch (e) {
		case CV_CHUNK_MORE: return false;
		case CV_CHUNK_DATA: break;
		case CV_CHUNK_DONE: return true;
		case CV_CHUNK_BAD:
			s->request.is_keep_alive = false;
			answer_error(b, s, 400, "bad_request", "%s",
				cv_chunk_rc_row(s->chunk->rc)->text);
			return false;
		}
	}
}

static bool length_read(struct broker *b, struct stream *s)
{
	const struct cv_str in = cv_buf_str(&s->in);

	if (s->request.length > BROKER_BODY_BYTES_MAX) {
		body_refuse(b, s);
		return false;
	}
	const size_t n = CV_MIN(in.n, (size_t)s->request.length - cv_buf_len(&s->body));
	if (!cv_buf_put(&s->body, (struct cv_str){ in.p, n }))
		broker_die(CV_SYSTEM, "no memory");
	cv_buf_skip(&s->in, n);
	return cv_buf_len(&s->body) == s->request.length;
}

static bool body_read(struct broker *b, struct stream *s)
{
	switch (s->request.body) {
	case CV_H1_BODY_CHUNKED: return chunks_read(b, s);
	case CV_H1_BODY_LENGTH: return length_read(b, s);
	case CV_H1_BODY_NONE:
	case CV_H1_BODY_CLOSE: break; /* a request has no such body */
	}
	return true;
}

/* As far as what was received goes. */
static void progress(struct broker *b, struct stream *s)
{
	for (;;) {
		if (s->state == STREAM_HEAD && (cv_buf_len(&s->out) || !head_read(b, s)))
			return;
		if (s->state != STREAM_BODY || !body_read(b, s))
			return;
		free(s->chunk);
		s->chunk = NULL;
		s->due_ms = 0;
		request_handle(b, s);
	}
}

/* Everything that the socket has, as long as there is room; what has none waits in the socket, and
 * is asked for again when the answer before it was sent. */
static bool receive(struct broker *b, struct stream *s)
{
	for (;;) {
		const bool is_reading = s->state == STREAM_HEAD || s->state == STREAM_BODY;
		char *room;

		if (s->is_lingering)
			cv_buf_reset(&s->in);
		if (is_reading && cv_buf_len(&s->in))
			progress(b, s);
		s->is_full = cv_buf_len(&s->in) + READ_BYTES > IN_BYTES_MAX;
		if (s->is_full)
			return true; /* a client that does not wait for its answers */
		room = cv_buf_reserve(&s->in, READ_BYTES);
		if (!room)
			return false;
		const ssize_t n = recv(s->fd, room, READ_BYTES, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return !is_gone(errno);
		if (n == 0) {
			s->has_ended = true;
			break;
		}
		cv_buf_commit(&s->in, (size_t)n);
	}
	progress(b, s);
	if (s->state == STREAM_HEAD || s->state == STREAM_BODY)
		s->state = STREAM_CLOSING; /* a request that is not whole, or none */
	return true;
}

void stream_event(struct broker *b, struct stream *s, uint32_t events)
{
	/* Both directions are closed: nobody waits for an answer.  The call goes on as a job. */
	const bool is_gone_now = (events & (EPOLLHUP | EPOLLERR)) != 0;

	if (is_gone_now || !receive(b, s)) {
		struct job *j = s->state == STREAM_CALL ? pool_get(&b->jobs, s->job) : NULL;

		if (j && !job_state_is_end(j->state))
			job_publish(b, j);
		stream_free(b, s);
		return;
	}
	if (s->is_lingering && s->has_ended) {
		stream_free(b, s);
		return;
	}
	if (!cv_buf_len(&s->in) && s->in.cap)
		cv_buf_fini(&s->in); /* hundreds of streams wait with nothing to say */
}
