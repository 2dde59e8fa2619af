/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_int.h - a call before it is a job, for call_check.c and call.c
 */
#pragma once
#include "broker/broker.h"

/* A call while it is looked at; everything borrowed from the stream's arena. */
struct call {
	struct broker *b;
	struct stream *s;
	struct sandbox *box;
	const struct cv_tool *tool;
	const struct cv_value *arguments;
	struct cv_buf canonical;
	char digest[65];
	struct cv_tool_verdict verdict;
	bool is_asynchronous;
	uint32_t wait_seconds;
	size_t body_bytes;
};

/* An answer and its event.  e, an error's body without its end, is taken. */
void call_refuse(struct call *c, int status, const char *code, uint32_t retry_after,
	struct cv_str reason, struct cv_buf *e);
void call_refuse_plain(struct call *c, int status, const char *code, const char *text);
void call_refuse_limit(
	struct call *c, const char *code, uint64_t limit, uint32_t retry_after, const char *text);
void call_refuse_argument(struct call *c, struct cv_str pointer, const char *message);

/* The body and the route's places, as arguments; may this caller call with them; are they what the
 * tool takes.  False: it was refused. */
CV_MUST bool call_read(struct call *c, const struct cv_tool_route_args *places);
CV_MUST bool call_judge(struct call *c);
