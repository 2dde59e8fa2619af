/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_events.c - event streams that outlive their connections
 *
 * A channel is a stream of events as its client sees it.  What is put into it is kept, numbered from
 * 1, and sent to the connection that reads it at present; when that one is lost, a GET with
 * Last-Event-ID reads on behind the event that it names.  An event's id is CHANNEL-NUMBER, and the
 * channel is found only in the sandbox and session that it was made for.
 *
 * Kept is a bounded amount: of what is said on the way the newest, and every answer.  Channels that
 * have ended go when there are too many of them, or too many bytes in them; those first that a
 * connection was sent in whole, then the oldest.
 */
#include "broker/mcp_int.h"

#include "wire/chunk.h"
#include "wire/h1_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct mcp_event {
	uint64_t number;
	bool is_answer;
	uint32_t n;
	char *text; /* as it is sent */
};

/* ---- what is kept ---- */

static void event_drop(struct mcp_channel *c, uint32_t i)
{
	const struct mcp_event *e = &c->event[i];

	c->bytes -= e->n;
	if (!e->is_answer)
		c->notes -= e->n;
	free(e->text);
	memmove(&c->event[i], &c->event[i + 1], (c->n - i - 1) * sizeof(*e));
	c->n--;
}

/* The oldest that is no answer; false: there is none. */
static bool note_drop(struct mcp_channel *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (!c->event[i].is_answer) {
			event_drop(c, i);
			return true;
		}
	return false;
}

static bool is_of(const struct mcp_channel *c, struct cv_ref sandbox)
{
	return c->sandbox.index == sandbox.index && c->sandbox.gen == sandbox.gen;
}

static bool goes_before(const struct mcp_channel *a, const struct mcp_channel *b)
{
	const bool is_a_sent = a->sent >= a->next, is_b_sent = b->sent >= b->next;

	return is_a_sent != is_b_sent ? is_a_sent : a->ended_ms < b->ended_ms;
}

/* Of those that a connection still reads. */
static struct mcp_channel *oldest_done(struct broker *b, struct cv_ref sandbox)
{
	struct mcp_channel *oldest = NULL;
	uint32_t count = 0;

	for (uint32_t i = 0; i < b->mcp_channels.top; i++) {
		struct mcp_channel *c = pool_at(&b->mcp_channels, i);

		if (!c || !is_of(c, sandbox) || !c->is_done)
			continue;
		count++;
		if (!oldest || c->ended_ms < oldest->ended_ms)
			oldest = c;
	}
	return count > 1 ? oldest : NULL; /* one is sent, however large */
}

/* Until the sandbox has room for one more channel, and no more kept than it may. */
static bool room_make(struct broker *b, struct cv_ref sandbox, uint32_t channels_max)
{
	for (;;) {
		struct mcp_channel *first = NULL;
		uint32_t count = 0;
		size_t bytes = 0;

		for (uint32_t i = 0; i < b->mcp_channels.top; i++) {
			struct mcp_channel *c = pool_at(&b->mcp_channels, i);

			if (!c || !is_of(c, sandbox))
				continue;
			count++;
			bytes += c->is_done ? c->bytes : 0;
			if (c->is_done && !pool_get(&b->streams, c->reader) &&
				(!first || goes_before(c, first)))
				first = c;
		}
		if (count <= channels_max && bytes <= BROKER_MCP_KEPT_BYTES_MAX)
			return true;
		if (!first && bytes > BROKER_MCP_UNREAD_BYTES_MAX)
			first = oldest_done(b, sandbox);
		if (!first)
			return count <= channels_max;
		mcp_channel_cut(b, first);
	}
}

struct mcp_channel *mcp_channel_new(struct broker *b, struct cv_ref sandbox, struct cv_ref session)
{
	struct mcp_channel *c;
	struct cv_ref ref;

	if (!room_make(b, sandbox, BROKER_MCP_CHANNELS_EACH_MAX - 1) ||
		!(c = pool_new(&b->mcp_channels, &ref)))
		return NULL;
	c->ref = ref;
	c->sandbox = sandbox;
	c->session = session;
	c->next = c->sent = 1;
	if (getrandom(&c->id, sizeof(c->id), 0) != sizeof(c->id))
		broker_die(CV_SYSTEM, "getrandom");
	return c;
}

void mcp_channel_free(struct broker *b, struct mcp_channel *c)
{
	while (c->n)
		event_drop(c, c->n - 1);
	free(c->event);
	pool_free(&b->mcp_channels, c->ref);
}

void mcp_channel_cut(struct broker *b, struct mcp_channel *c)
{
	struct stream *reader = pool_get(&b->streams, c->reader);

	mcp_channel_free(b, c);
	if (reader)
		mcp_read_more(b, reader); /* finds nothing more, and ends */
}

/* ---- in ---- */

static void reader_tell(struct broker *b, struct mcp_channel *c)
{
	struct stream *s = pool_get(&b->streams, c->reader);

	if (s && cv_buf_len(&s->out) < BROKER_STREAM_LOW_BYTES)
		mcp_read_more(b, s);
}

/* Data of an event is one line here: where a tool's own JSON has line breaks they are blanks. */
static void data_put(struct cv_buf *out, struct cv_str json)
{
	while (json.n) {
		size_t n = 0;

		while (n < json.n && json.p[n] != '\n' && json.p[n] != '\r')
			n++;
		cv_buf_put(out, cv_str_slice(json, 0, n));
		if (n < json.n)
			cv_buf_put_byte(out, ' ');
		json = cv_str_slice(json, CV_MIN(n + 1, json.n), json.n);
	}
}

static void put(struct broker *b, struct mcp_channel *c, struct cv_str json, bool is_answer)
{
	struct cv_buf text;

	if (c->n == c->cap) {
		const uint32_t cap = c->cap ? 2 * c->cap : 8;
		struct mcp_event *more = realloc(c->event, cap * sizeof(*more));

		if (!more)
			broker_die(CV_SYSTEM, "no memory");
		c->event = more;
		c->cap = cap;
	}
	cv_buf_init(&text, json.n + 128);
	cv_buf_printf(&text, "id: %016llx-%llu\ndata: ", (unsigned long long)c->id,
		(unsigned long long)c->next);
	data_put(&text, json);
	cv_buf_put(&text, CV_STR("\n\n"));
	if (text.is_overflown)
		broker_die(CV_SYSTEM, "no memory");
	const struct cv_str all = cv_buf_str(&text);
	char *kept = malloc(all.n);
	if (!kept)
		broker_die(CV_SYSTEM, "no memory");
	memcpy(kept, all.p, all.n);
	cv_buf_fini(&text);
	c->event[c->n++] = (struct mcp_event){ c->next++, is_answer, (uint32_t)all.n, kept };
	c->bytes += all.n;
	if (!is_answer)
		c->notes += all.n;
	while ((c->notes > BROKER_MCP_NOTES_BYTES_MAX || c->n > BROKER_MCP_EVENTS_MAX) &&
		note_drop(c))
		;
	reader_tell(b, c);
}

void mcp_channel_put(struct broker *b, struct mcp_channel *c, struct cv_str json, bool is_answer)
{
	put(b, c, json, is_answer);
}

void mcp_channel_prime(struct broker *b, struct mcp_channel *c)
{
	put(b, c, CV_STR_NONE, false);
}

void mcp_channel_end(struct broker *b, struct mcp_channel *c)
{
	const struct cv_ref sandbox = c->sandbox;

	c->is_done = true;
	c->ended_ms = b->loop.now_ms;
	reader_tell(b, c);
	(void)!room_make(b, sandbox, BROKER_MCP_CHANNELS_EACH_MAX);
}

/* ---- out ---- */

static bool send_text(struct broker *b, struct stream *s, struct cv_str text)
{
	const size_t before = cv_buf_len(&s->out);
	const bool is_fine =
		b->out_bytes + text.n <= BROKER_OUT_BYTES_MAX && cv_chunk_write(&s->out, text);

	b->out_bytes += cv_buf_len(&s->out) - before;
	s->beat_ms = b->loop.now_ms;
	return is_fine;
}

static void reader_end(struct broker *b, struct stream *s)
{
	struct mcp_channel *c = pool_get(&b->mcp_channels, s->channel);
	const size_t before = cv_buf_len(&s->out);

	cv_buf_put(&s->out, CV_CHUNK_END);
	b->out_bytes += cv_buf_len(&s->out) - before;
	s->channel = (struct cv_ref){ 0, 0 };
	if (c && pool_get(&b->streams, c->reader) == s)
		c->reader = (struct cv_ref){ 0, 0 };
	stream_next(b, s);
}

static void beat(struct broker *b, struct stream *s)
{
	if (b->loop.now_ms - s->beat_ms >= BROKER_HEARTBEAT_MS)
		(void)!send_text(b, s, CV_STR(": \n\n"));
	s->due_ms = s->beat_ms + BROKER_HEARTBEAT_MS;
	due_at(b, s->due_ms);
}

void mcp_read_more(struct broker *b, struct stream *s)
{
	struct mcp_channel *c = pool_get(&b->mcp_channels, s->channel);

	for (uint32_t i = 0; c && i < c->n; i++) {
		const struct mcp_event *e = &c->event[i];

		if (e->number < s->event_next)
			continue;
		if (cv_buf_len(&s->out) >= BROKER_STREAM_LOW_BYTES)
			return;
		if (!send_text(b, s, (struct cv_str){ e->text, e->n })) {
			s->request.is_keep_alive = false; /* cut; it can be taken up again */
			c = NULL;
			break;
		}
		s->event_next = e->number + 1;
		c->sent = CV_MAX(c->sent, s->event_next);
	}
	if (c && !c->is_done)
		beat(b, s);
	else
		reader_end(b, s);
}

static void head_put(struct broker *b, struct stream *s, const char *session)
{
	const size_t before = cv_buf_len(&s->out);
	const struct cv_h1_header set[] = {
		{ .name = CV_STR("Content-Type"), .value = CV_STR("text/event-stream") },
		{ .name = CV_STR("Cache-Control"), .value = CV_STR("no-store") },
		{ .name = CV_STR("Mcp-Session-Id"), .value = cv_str_of(session ? session : "") },
	};
	const struct cv_h1_edit e = {
		.set = set,
		.set_count = CV_ARRAY_LEN(set) - (session ? 0 : 1),
		.body = CV_H1_BODY_CHUNKED,
		.is_keep_alive = s->request.is_keep_alive,
	};

	if (!cv_h1_write_status(&s->out, 200, &e))
		s->request.is_keep_alive = false;
	b->out_bytes += cv_buf_len(&s->out) - before;
	s->sent_ms = s->beat_ms = b->loop.now_ms;
}

void mcp_channel_read(struct broker *b, struct stream *s, struct mcp_channel *c, uint64_t next,
	const char *session)
{
	struct stream *before = pool_get(&b->streams, c->reader);

	/* The connection that it had is lost, whether that was seen here yet or not: a client reads
	 * one at a time, and each message goes to one. */
	if (before)
		reader_end(b, before);
	head_put(b, s, session);
	s->state = STREAM_READ;
	s->job = (struct cv_ref){ 0, 0 };
	s->channel = c->ref;
	s->event_next = next;
	c->reader = s->ref;
	mcp_read_more(b, s);
}

void mcp_reader_lost(struct broker *b, struct stream *s)
{
	struct mcp_channel *c = pool_get(&b->mcp_channels, s->channel);
	const struct stream *worker;
	struct job *j;

	if (!c || pool_get(&b->streams, c->reader) != s)
		return;
	c->reader = (struct cv_ref){ 0, 0 };
	worker = pool_get(&b->streams, c->worker);
	j = worker ? pool_get(&b->jobs, worker->job) : NULL;
	if (j && !job_state_is_end(j->state))
		job_publish(b, j); /* it can be found as a job too */
}

/* ---- which ---- */

struct mcp_channel *mcp_channel_find(struct broker *b, const struct stream *s,
	struct cv_ref session, struct cv_str event, uint64_t *ret_next)
{
	uint64_t id, number;

	if (!mcp_event_read(event, &id, &number))
		return NULL;
	for (uint32_t i = 0; i < b->mcp_channels.top; i++) {
		struct mcp_channel *c = pool_at(&b->mcp_channels, i);

		if (!c || c->id != id || !is_of(c, s->sandbox) || c->session.gen != session.gen ||
			c->session.index != session.index)
			continue;
		*ret_next = number + 1;
		return number < c->next ? c : NULL;
	}
	return NULL;
}
