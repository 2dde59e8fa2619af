/* SPDX-License-Identifier: Apache-2.0 */
/**
 * DOC: Theory of operation
 *
 * cove-proxy decides what leaves one sandbox.  It is started with one end of a socket pair as
 * descriptor 3 and knows nothing else: no arguments, no environment, no files.  Stages:
 *
 *   1. start    - take policy, sockets, sinks from the supervisor's messages, up to GO
 *   2. confine  - not dumpable, no core, no new privileges; Landlock without a single file;
 *                 seccomp without open and exec.  Before the first byte from a stranger: until
 *                 here only our own supervisor was read
 *   3. serve    - one thread, one epoll loop, until the supervisor closes the link
 *
 * A turn of the loop goes in phases, which is what makes two promises cheap:
 *
 *   events -> steps -> audit -> sends -> frees
 *
 *   - Events only mark flows, steps run afterwards.  So a descriptor that one step closes can't be
 *     met by a stale event of the same turn.
 *   - Steps read, decide and fill buffers; they send nothing that this turn's decisions allow.
 *     Then all audit events of the turn are written, by one write() for each sink, and only then
 *     do bytes go.  A decision whose event could not be written is taken back: its flow is reset
 *     before it sent anything.
 *   - What ended is freed last, when nothing can name it any more.
 */
#include "proxy/h2.h"
#include "proxy/proxy.h"

#include "base/assert.h"
#include "proxy/spend.h"
#include "proxy/tools.h"
#include "sys/confine.h"
#include "sys/fd.h"
#include "sys/proc.h"
#include "sys/trim.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what a step may ask of the loop ---- */

void cv_proxy_queue(struct cv_proxy *p, struct cv_flow *f)
{
	if (f->is_queued || f->state == CV_FLOW_FREE)
		return; /* a dying one is queued too: it is freed by way of the queue */
	f->is_queued = true;
	p->queue[p->queue_count++] = f->index;
}

void cv_proxy_die(struct cv_proxy *p, const char *why)
{
	cv_link_say(p, CV_PROXY_REPLY_FATAL, cv_str_of(why));
	_exit(70);
}

/* ---- the phases of a turn ---- */

static void event_take(struct cv_proxy *p, const struct cv_loop_event *e)
{
	struct cv_flow *f;

	switch ((enum cv_watch_kind)e->watch.kind) {
	case CV_WATCH_LINK: cv_link_drain(p); return;
	case CV_WATCH_KEEPER:
		if (e->events & (EPOLLHUP | EPOLLERR)) /* why it ends was said before, over there */
			cv_link_drain(p);
		cv_keeper_drain(p);
		return;
	case CV_WATCH_TCP: cv_accept(p, e->watch.ref.index); return;
	case CV_WATCH_UDP: cv_dnsd_read(p, e->watch.ref.index); return;
	case CV_WATCH_BROKER: cv_tools_broker_event(p); return;
	case CV_WATCH_LOOKUP: cv_resolver_event(&p->resolver, e->watch.ref, e->events); return;
	case CV_WATCH_IDLE: cv_idle_event(p, e->watch.ref); return;
	case CV_WATCH_CLIENT:
	case CV_WATCH_SERVER:
		f = cv_flow_get(&p->flows, e->watch.ref);
		if (!f)
			return;
		cv_leg_ready(e->watch.kind == CV_WATCH_CLIENT ? &f->client : &f->server, e->events);
		cv_proxy_queue(p, f);
		return;
	}
}

static void sweep_by(struct cv_proxy *p, int64_t when_ms)
{
	const int64_t soonest = p->loop.now_ms + CV_PROXY_SWEEP_MS;

	p->next_sweep_ms = CV_MIN(p->next_sweep_ms, CV_MAX(when_ms, soonest));
}

/* Everything that happens because time passed. */
static void sweep(struct cv_proxy *p)
{
	if (p->loop.now_ms < p->next_sweep_ms)
		return;
	p->next_sweep_ms = INT64_MAX;
	cv_resolver_sweep(&p->resolver);
	cv_answers_sweep(&p->creds.answers, p->loop.now_ms);
	cv_idle_sweep(p);
	for (uint32_t i = 0; i < p->flows.high; i++) {
		struct cv_flow *f = &p->flows.v[i];

		if (f->state == CV_FLOW_FREE || f->state == CV_FLOW_DYING)
			continue;
		if (f->deadline_ms <= p->loop.now_ms) {
			cv_flow_timeout(p, f);
			cv_proxy_queue(p, f);
		} else if (f->state == CV_FLOW_DIAL && f->attempt_next_ms <= p->loop.now_ms) {
			cv_proxy_queue(p, f);
		}
		if (f->state == CV_FLOW_DIAL)
			sweep_by(p, f->attempt_next_ms);
		sweep_by(p, f->deadline_ms);
	}
}

static void step_one(struct cv_proxy *p, struct cv_flow *f)
{
	bool has_moved = true;

	f->is_queued = false;
	for (int round = 0; round < CV_PROXY_ROUNDS_MAX && has_moved; round++)
		has_moved = f->state != CV_FLOW_DYING && cv_step(p, f);
	if (has_moved)
		cv_proxy_queue(p, f);
	if (!f->is_touched) {
		f->is_touched = true;
		p->touched[p->touched_count++] = f->index;
	}
}

static void step_all(struct cv_proxy *p)
{
	const size_t n = p->queue_count;

	for (size_t i = 0; i < n; i++)
		step_one(p, &p->flows.v[p->queue[i]]);
	p->queue_count -= n;
	memmove(p->queue, p->queue + n, p->queue_count * sizeof(p->queue[0]));
}

/* Streams that this turn's steps have woken: once more, so that what a connection brought needs no
 * second turn to go on its way. */
static void step_inner(struct cv_proxy *p)
{
	const size_t n = p->queue_count;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct cv_flow *f = &p->flows.v[p->queue[i]];

		if (!f->is_inner || f->is_touched || f->state == CV_FLOW_DYING)
			p->queue[kept++] = p->queue[i];
		else
			step_one(p, f);
	}
	memmove(p->queue + kept, p->queue + n, (p->queue_count - n) * sizeof(p->queue[0]));
	p->queue_count -= n - kept;
}

/* A leg that sent something has room again: whoever waited for that goes on.  One that broke by it
 * makes no further edge: its flow is told now, or would stay until its deadline. */
static void flow_send(struct cv_proxy *p, struct cv_flow *f)
{
	const int broken = f->server.is_broken + f->client.is_broken;
	const bool has_server_moved = cv_leg_flush(&f->server);
	const bool has_client_moved = cv_leg_flush(&f->client);

	if (f->server.is_broken + f->client.is_broken > broken)
		cv_proxy_queue(p, f);
	else if ((has_server_moved || has_client_moved) &&
		 (f->state == CV_FLOW_CLOSING || f->state == CV_FLOW_WEBSOCKET ||
			 f->state == CV_FLOW_PG || cv_leg_has_more(&f->client) ||
			 cv_leg_has_more(&f->server) || cv_leg_text(&f->client).n ||
			 cv_leg_text(&f->server).n || cv_body_is_waiting(&f->http.up) ||
			 cv_body_is_waiting(&f->http.down) || f->client.is_eof || f->server.is_eof))
		cv_proxy_queue(p, f);
}

/* What this turn allowed goes, if it is on record; else it is taken back. */
static void touched_send(struct cv_proxy *p, bool is_audited)
{
	for (size_t i = 0; i < p->touched_count; i++) {
		struct cv_flow *f = &p->flows.v[p->touched[i]];

		if (f->is_decided && !is_audited && f->state != CV_FLOW_DYING)
			cv_flow_end(p, f, true);
		f->is_decided = false;
		if (f->state == CV_FLOW_HELD)
			cv_dial_start(p, f);
		if (f->h2)
			cv_h2_mark(f->h2);
		if (f->state != CV_FLOW_DYING && cv_spend_bytes(p, f))
			flow_send(p, f);
	}
	cv_h2_send_all(p); /* what the streams have put */
}

static void send_all(struct cv_proxy *p)
{
	touched_send(p, cv_sinks_flush(&p->sinks));
	for (size_t i = 0; i < p->touched_count; i++) {
		struct cv_flow *f = &p->flows.v[p->touched[i]];

		f->is_touched = false;
		if (f->state == CV_FLOW_DYING) {
			if (!f->is_queued) /* else in the next turn */
				cv_flow_free(&p->flows, f);
			continue;
		}
		sweep_by(p, f->deadline_ms);
		if (f->state == CV_FLOW_DIAL)
			sweep_by(p, f->attempt_next_ms);
	}
	p->touched_count = 0;
	if (p->resolver.pending_count)
		sweep_by(p, p->loop.now_ms);
	sweep_by(p, p->idles.next_ms);
	if (p->creds.answers.kept)
		sweep_by(p, p->creds.answers.next_ms);
	sweep_by(p, cv_sinks_counts(&p->sinks, p->loop.now_ms));
	if (!p->is_accepting && cv_flow_pool_has_room(&p->flows)) {
		if (p->loop.now_ms >= p->accept_after_ms)
			cv_accept_watch(p, true);
		else
			sweep_by(p, p->accept_after_ms);
	}
}

static void lookups_tell(struct cv_proxy *p)
{
	if (!p->resolver.has_news)
		return;
	p->resolver.has_news = false;
	for (uint32_t i = 0; i < p->flows.high; i++)
		if (p->flows.v[i].state == CV_FLOW_RESOLVE)
			cv_proxy_queue(p, &p->flows.v[i]);
}

static int wait_ms(const struct cv_proxy *p)
{
	if (p->queue_count || p->resolver.has_news)
		return 0;
	if (p->next_sweep_ms == INT64_MAX)
		return -1;
	const int64_t ms = p->next_sweep_ms - p->loop.now_ms;
	return (int)CV_MIN(CV_MAX(ms, 0), 60000);
}

static void serve(struct cv_proxy *p)
{
	struct cv_loop_event e[CV_LOOP_EVENTS_MAX];

	while (!p->is_done) {
		const size_t n = cv_loop_wait(&p->loop, wait_ms(p), e);

		for (size_t i = 0; i < n; i++)
			event_take(p, &e[i]);
		lookups_tell(p);
		sweep(p);
		step_all(p);
		step_inner(p);
		cv_creds_ask(p); /* the keeper works while we send */
		send_all(p);
	}
}

/* ---- the stages ---- */

/* As many descriptors as the hard limit gives; the pool is cut to fit.  An accepted connection has
 * two, a stream one at most. */
static uint32_t flows_max(uint32_t *ret_accepted)
{
	struct rlimit files;

	*ret_accepted = CV_PROXY_FLOWS_MAX / 4;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return CV_PROXY_FLOWS_MAX / 2;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files); /* else the old limit stands, read below */
	getrlimit(RLIMIT_NOFILE, &files);
	const rlim_t ours = 128 + CV_PROXY_IDLE_UPSTREAMS_MAX;
	const rlim_t room = files.rlim_cur > 2 * ours ? files.rlim_cur - ours : 128;
	*ret_accepted = (uint32_t)CV_MIN(room / 3, (rlim_t)CV_PROXY_FLOWS_MAX);
	const rlim_t inner = CV_MIN(room - 2 * (rlim_t)*ret_accepted, (rlim_t)CV_PROXY_STREAMS_MAX);
	return *ret_accepted + (uint32_t)inner;
}

static void must(struct cv_proxy *p, cv_code code, const struct cv_err *err)
{
	if (code != CV_OK)
		cv_proxy_die(p, err->msg);
}

static void parts_make(struct cv_proxy *p)
{
	uint32_t accepted_max;
	struct cv_err err;

	must(p, cv_loop_init(&p->loop, &err), &err);
	must(p, cv_flow_pool_init(&p->flows, flows_max(&accepted_max), &err), &err);
	p->flows.accepted_max = accepted_max;
	must(p, cv_names_new(&p->names, &err), &err);
	must(p, cv_tls_server_new(&p->tls_server, &err), &err);
	must(p, cv_leaves_new(&p->leaves, &err), &err);
	cv_sinks_init(&p->sinks);
	cv_buf_init(&p->head, CV_PROXY_IO_BYTES);
	cv_buf_init(&p->filtered, CV_PROXY_FILTERED_BYTES_MAX);
	cv_buf_init(&p->stage, 2 * CV_INFER_EVENT_BYTES_MAX);
	cv_buf_init(&p->h2_names, CV_PROXY_IO_BYTES);
	cv_arena_init(&p->arena, 256 * 1024);
	p->resolver.loop = &p->loop;
	p->resolver.watch_kind = CV_WATCH_LOOKUP;
	p->next_sweep_ms = p->idles.next_ms = INT64_MAX;
}

void cv_proxy_watch(struct cv_proxy *p, int fd, enum cv_watch_kind kind, uint32_t index)
{
	const struct cv_watch w = { .kind = (uint8_t)kind, .ref = { index, 0 } };
	struct cv_err err;

	if (fd < 0)
		return;
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		cv_proxy_die(p, "a descriptor can't be made non-blocking");
	must(p, cv_loop_add(&p->loop, fd, EPOLLIN, w, &err), &err);
}

static struct cv_proxy proxy; /* too large for a stack, and there is one */

int main(void)
{
	struct cv_proxy *p = &proxy;
	struct cv_err err;
	const int on = 1;

	p->link = CV_PROXY_LINK_FD;
	p->spool.fd = p->broker = p->keeper = p->diag = p->udp[0] = p->udp[1] = -1;
	/* no openssl.cnf: nothing outside decides what our TLS is, and files can't be read later */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	signal(SIGPIPE, SIG_IGN); /* a proxy killed by it would break every later connect */
	signal(SIGXFSZ, SIG_IGN); /* ulimit -f is an error of the spool, no more */
	must(p, cv_proc_harden(&err), &err);
	parts_make(p);
	cv_link_start(p);
	cv_trim(); /* most sandboxes wait most of the time */
	must(p, cv_confine_fileless(CV_SECCOMP_PROXY, &err), &err);
	cv_proxy_watch(p, p->link, CV_WATCH_LINK, 0);
	cv_proxy_watch(p, p->keeper, CV_WATCH_KEEPER, 0);
	cv_tools_broker_watch(p);
	cv_proxy_watch(p, p->udp[0], CV_WATCH_UDP, 0);
	cv_proxy_watch(p, p->udp[1], CV_WATCH_UDP, 1);
	for (uint32_t i = 0; i < p->tcp_count; i++) {
		cv_proxy_watch(p, p->tcp[i], CV_WATCH_TCP, i);
		/* the accepted ones have it from these */
		setsockopt(p->tcp[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	p->is_accepting = true;
	cv_accept_record(p);
	cv_link_say(p, CV_PROXY_REPLY_READY, CV_STR_NONE);
	serve(p);
	_exit(0); /* the kernel takes all of it back faster than we could give it */
}
