/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - cove-broker: the process that runs host tools for sandboxes
 *
 * Started with its control link as descriptor 3 and nothing else.  Its stages:
 *
 *   1. harden      not dumpable, no core: credentials of tools pass through here
 *   2. configure   catalogs, a directory, sinks, sandboxes; until GO
 *   3. READY       when all that the catalog names is there
 *   4. serve       streams of sandboxes, until the control link closes
 *
 * It is not confined as the proxy is: its work is to run what the catalog names, with the rights of
 * who started it.  What it must not do is run anything else, so every call is decided here again,
 * and no text of a sandbox ever becomes a path, an option or a program.
 *
 * When it ends, in whatever way, every tool ends with it: each has a shepherd that watches
 * (shepherd.c), and the broker itself takes in what a dead shepherd leaves.
 */
#include "broker/broker.h"
#include "broker/build_ids.h"
#include "broker/fetch.h"
#include "broker/mcp.h"
#include "broker/mcp_client.h"
#include "broker/relay.h"
#include "broker/server.h"
#include "broker/spawn.h"
#include "sys/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ORPHANS_MS       10 /* between looks at what a dead shepherd left */
#define ORPHANS_QUIET_MS 1000

void broker_die(cv_code code, const char *fmt, ...)
{
	char text[4096];
	struct cv_buf b;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cv_buf_init(&b, 8192);
	cv_ipc_put_str(&b, cv_str_of(text));
	(void)!cv_ipc_send_now(
		CV_BROKER_CONTROL_FD, CV_BROKER_CONTROL_REPLY_FATAL, cv_buf_str(&b), NULL);
	/* A socket that is closed with something unread in it is a broken one to the other side, which
	 * might then not see why (unix(7)). */
	shutdown(CV_BROKER_CONTROL_FD, SHUT_RD);
	while (recv(CV_BROKER_CONTROL_FD, text, sizeof(text), MSG_DONTWAIT) > 0)
		;
	_exit(cv_code_row(code)->exit);
}

static void event_handle(struct broker *b, const struct cv_loop_event *e)
{
	struct sandbox *box;
	struct relay *r;
	struct stream *s;
	struct job *j;

	switch ((enum watch)e->watch.kind) {
	case WATCH_CONTROL: link_control_read(b); break;
	case WATCH_CHILDREN: spawn_reap(); break;
	case WATCH_KEEPER: keys_read(b); break;
	case WATCH_SERVER:
	case WATCH_SERVER_OUT:
	case WATCH_SERVER_ERR: server_event(b, e->watch.ref, e->watch.kind); break;
	case WATCH_MCP:
	case WATCH_MCP_OUT:
	case WATCH_MCP_ERR:
	case WATCH_MCP_IN: mcp_event(b, e->watch.ref, e->watch.kind, e->events); break;
	case WATCH_RELAY:
		if ((r = pool_get(&b->relays, e->watch.ref)))
			relay_event(b, r);
		break;
	case WATCH_CURL: fetch_event(b, (int)e->watch.ref.index, e->events); break;
	case WATCH_LINK:
		if ((box = pool_get(&b->sandboxes, e->watch.ref)))
			sandbox_read(b, box);
		break;
	case WATCH_STREAM:
		if ((s = pool_get(&b->streams, e->watch.ref)))
			stream_event(b, s, e->events);
		break;
	case WATCH_RUN:
	case WATCH_RUN_OUT:
	case WATCH_RUN_ERR:
	case WATCH_RUN_IN:
		if ((j = pool_get(&b->jobs, e->watch.ref)) && j->backend && j->run)
			j->backend->event(b, j, (enum watch)e->watch.kind, e->events);
		break;
	}
}

/* Each that ends leaves its own children to us, and a process that ends closes what it has open
 * some time before it does; so there is none only when for a while there was none. */
static void orphans_handle(struct broker *b)
{
	if (b->loop.now_ms >= b->orphans_until_ms)
		return;
	if (!spawn_orphans_kill())
		b->orphans_until_ms = b->loop.now_ms + ORPHANS_QUIET_MS;
	due_at(b, b->loop.now_ms + ORPHANS_MS);
}

/* Everything whose time has come; and when the next will be. */
static void due_handle(struct broker *b)
{
	const int64_t now = b->loop.now_ms;

	if (now < b->due_ms)
		return;
	b->due_ms = INT64_MAX;
	orphans_handle(b);
	keys_due(b);
	fetch_due(b);
	servers_due(b);
	relays_due(b);
	mcps_due(b);
	hold_asks_due(b);
	host_slots_due(b);
	for (uint32_t i = 0; i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);

		if (j && j->publish_ms && j->publish_ms <= now) {
			j->publish_ms = 0;
			job_publish(b, j);
		}
		if (j && j->due_ms && j->due_ms <= now)
			job_due(b, j);
		j = pool_at(&b->jobs, i); /* it may be gone */
		if (j) {
			due_at(b, j->due_ms);
			due_at(b, j->publish_ms);
		}
	}
	for (uint32_t i = 0; i < b->streams.top; i++) {
		struct stream *s = pool_at(&b->streams, i);

		if (s && s->due_ms && s->due_ms <= now)
			stream_due(b, s);
		s = pool_at(&b->streams, i);
		if (s)
			due_at(b, s->due_ms);
	}
}

/* Events first: nobody is told of a decision that is not written yet. */
static void flush(struct broker *b)
{
	(void)!cv_audit_sinks_flush(&b->sinks); /* call.c asks whether they are well */
	for (uint32_t i = 0; i < b->streams.top; i++) {
		struct stream *s = pool_at(&b->streams, i);

		if (s && (cv_buf_len(&s->out) || s->state == STREAM_CLOSING))
			(void)!stream_flush(b, s);
	}
}

static int wait_ms(const struct broker *b)
{
	if (b->due_ms == INT64_MAX)
		return -1;
	return (int)CV_MAX(CV_MIN(b->due_ms - b->loop.now_ms, 60000), 0);
}

static CV_NORETURN void serve(struct broker *b)
{
	struct cv_loop_event event[CV_LOOP_EVENTS_MAX];

	for (;;) {
		const size_t n = cv_loop_wait(&b->loop, wait_ms(b), event);

		for (size_t i = 0; i < n; i++)
			event_handle(b, &event[i]);
		mcps_pump(b);
		due_handle(b);
		mcps_pump(b);
		call_queue_run(b);
		flush(b);
	}
}

/* A thousand streams, and four descriptors of each tool that runs. */
static void files_allow(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

int main(int argc, char **argv)
{
	static struct broker b = {
		.state_dir = -1,
		.keeper = -1,
		.due_ms = INT64_MAX,
		.hold_seconds = BROKER_HOLD_SECONDS,
	};
	struct cv_err err;
	int children;

	if (argc > 1)
		return build_ids_main(argv + 1);
	prctl(PR_SET_NAME, "cove-broker");
	signal(SIGPIPE, SIG_IGN);
	files_allow();
	if (cv_proc_harden(&err) != CV_OK || spawn_init(&children, &err) != CV_OK ||
		cv_loop_init(&b.loop, &err) != CV_OK ||
		cv_loop_add(&b.loop, children, EPOLLIN,
			(struct cv_watch){ WATCH_CHILDREN, { 0, 0 } }, &err) != CV_OK)
		broker_die(err.code, "%s", err.msg);
	pool_init(&b.sandboxes, BROKER_SANDBOXES_MAX, sizeof(struct sandbox));
	pool_init(&b.streams, BROKER_STREAMS_MAX, sizeof(struct stream));
	relays_init(&b);
	pool_init(&b.jobs, BROKER_JOBS_MAX, sizeof(struct job));
	cv_sha256_init(&b.hash);
	mcp_init(&b);
	link_start(&b);
	serve(&b);
}
