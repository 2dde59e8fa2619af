/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.c - what handlers use, and a call's life whatever carries it; see call.h, call_int.h
 */
#include "rpc/call_int.h"
#include "rpc/server_int.h"

#include "base/assert.h"
#include "base/shown.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what a handler asks ---- */

const struct cv_rpc_method *cv_rpc_call_method(const struct cv_rpc_call *c)
{
	return c->method;
}

const struct cv_principal *cv_rpc_call_principal(const struct cv_rpc_call *c)
{
	return c->who;
}

struct cv_str cv_rpc_call_metadata(const struct cv_rpc_call *c, const char *name)
{
	return c->carrier->metadata(c, name);
}

const char *cv_rpc_call_id(const struct cv_rpc_call *c)
{
	return c->id;
}

void *cv_rpc_call_arg(const struct cv_rpc_call *c)
{
	return c->server->config.arg;
}

const struct cv_rpc_route *cv_rpc_call_route(const struct cv_rpc_call *c)
{
	return c->route;
}

bool cv_rpc_call_is_older(const struct cv_rpc_call *c)
{
	return c->is_older;
}

struct cv_rpc_trace *cv_rpc_call_trace(struct cv_rpc_call *c)
{
	return &c->trace;
}

struct cv_arena *cv_rpc_call_arena(struct cv_rpc_call *c)
{
	return c->arena;
}

void cv_rpc_call_set_state(struct cv_rpc_call *c, void *state)
{
	c->state = state;
}

void *cv_rpc_call_state(const struct cv_rpc_call *c)
{
	return c->state;
}

/* ---- what it does ---- */

bool cv_rpc_send(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	cv_assert(m->descriptor == c->method->out);
	if (c->is_finished) /* by a deadline, or the client is gone: closed() comes */
		return true;
	c->has_sent = true;
	return c->carrier->send(c, m);
}

static void untime(struct cv_rpc_call *c)
{
	if (!c->deadline_ms)
		return;
	*(c->timed_prev ? &c->timed_prev->timed_next : &c->server->timed) = c->timed_next;
	if (c->timed_next)
		c->timed_next->timed_prev = c->timed_prev;
	c->deadline_ms = 0;
}

/* What a sentence repeats of a stranger's reaches terminals and logs, often another's: nothing in it
 * steers them, hides or reorders text (C11, P9). */
static struct cv_str message_clean(struct cv_arena *a, struct cv_str s)
{
	struct cv_buf out;
	struct cv_str clean;

	cv_buf_init(&out, CV_RPC_STATUS_BYTES_MAX);
	(void)cv_shown_put_message(&out, s);
	clean = cv_arena_str(a, cv_buf_str(&out));
	cv_buf_fini(&out);
	return clean;
}

CV_PRINTF(2, 0)
static struct cv_str message_make(struct cv_rpc_call *c, const char *fmt, va_list ap)
{
	char text[CV_RPC_STATUS_BYTES_MAX];
	const int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n < 0)
		return CV_STR("");
	return message_clean(
		c->arena, (struct cv_str){ text, CV_MIN((size_t)n, sizeof(text) - 1) });
}

void cv_rpc_finish(struct cv_rpc_call *c, enum cv_rpc_status s, const char *fmt, ...)
{
	va_list ap;

	if (c->is_finished)
		return;
	cv_assert(s != CV_RPC_OK || c->method->kind != CV_RPC_UNARY || c->has_sent);
	untime(c);
	c->is_finished = true;
	c->status = s;
	if (fmt) {
		va_start(ap, fmt);
		c->status_message = message_make(c, fmt, ap);
		va_end(ap);
	}
	c->carrier->finish(c);
}

void cv_rpc_reply(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	(void)cv_rpc_send(c, m);
	cv_rpc_finish(c, CV_RPC_OK, NULL);
}

void cv_rpc_hold(struct cv_rpc_call *c, bool is_held)
{
	if (c->is_held == is_held || c->is_finished)
		return;
	c->is_held = is_held;
	if (c->carrier->hold)
		c->carrier->hold(c);
}

void cv_rpc_trailer(struct cv_rpc_call *c, const char *name, const char *value)
{
	const struct cv_rpc_field f = {
		cv_arena_str(c->arena, cv_str_of(name)),
		cv_arena_str(c->arena, cv_str_of(value)),
	};

	cv_assert(c->trailer_count < CV_RPC_TRAILERS_MAX);
	if (!c->is_finished && f.name.p && f.value.p) /* else the call's memory is used up */
		c->trailers[c->trailer_count++] = f;
}

/* ---- for carriers ---- */

void cv_rpc_call_begin(struct cv_rpc_call *c)
{
	struct cv_rpc_server *s = c->server;

	c->is_begun = true;
	c->began_us = cv_clock_us();
	if (!c->deadline_ms)
		return;
	c->timed_next = s->timed;
	if (s->timed)
		s->timed->timed_prev = c;
	s->timed = c;
	s->deadline_ms = CV_MIN(s->deadline_ms, c->deadline_ms);
}

bool cv_rpc_call_message(struct cv_rpc_call *c, const ProtobufCMessage *m)
{
	if (c->is_finished)
		return false;
	if (!c->method->handler.message) {
		cv_rpc_finish(c, CV_RPC_UNIMPLEMENTED, "%s",
			c->method->why ? c->method->why : "this method is not served here");
		return false;
	}
	c->is_seen = true;
	c->method->handler.message(c, m);
	return !c->is_finished;
}

void cv_rpc_call_half_close(struct cv_rpc_call *c)
{
	if (c->is_half_closed || c->is_finished)
		return;
	c->is_half_closed = true;
	if (!c->method->handler.half_closed)
		return;
	c->is_seen = true;
	c->method->handler.half_closed(c);
}

void cv_rpc_call_writable(struct cv_rpc_call *c)
{
	if (!c->is_finished && c->is_seen && c->method->handler.writable)
		c->method->handler.writable(c);
}

void cv_rpc_call_over(struct cv_rpc_call *c)
{
	const struct cv_rpc_server_config *config = &c->server->config;

	if (c->is_over || !c->is_begun)
		return;
	c->is_over = true;
	untime(c);
	if (!c->is_finished) {
		c->is_finished = true;
		c->status = CV_RPC_CANCELLED;
	}
	if (config->ended)
		config->ended(config->arg, c, c->status, cv_clock_us() - c->began_us);
	if (c->is_seen && c->method->handler.closed)
		c->method->handler.closed(c);
}
