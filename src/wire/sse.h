/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sse.h - event streams (server-sent events), read as they pass
 *
 * A reader that follows a text/event-stream body and hands out its events: to count usage, to look
 * for secrets.  It does not change what passes.  As the standard has it (WHATWG HTML 9.2.6): lines
 * end with CR LF, LF or CR; a byte order mark at the start is dropped; comments and unknown fields
 * are skipped; an event ends with an empty line, and one that the stream's end cuts is none.
 *
 * Bytes that are not UTF-8 come out as they are, and an event that has some says so: whoever reads
 * it decides.  A line or an event over its limit is skipped, and that is said too; the events
 * behind it are read.
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"
#include "wire/limits_ws.h"

enum cv_sse_result {
	CV_SSE_MORE,  /* *in is used up */
	CV_SSE_EVENT, /* *ret is the next event */
	CV_SSE_SKIP,  /* an event ended that was over a limit, or had no memory */
};

/* Borrowed until the next call. */
struct cv_sse_event {
	struct cv_str type; /* "message" where the stream names none */
	struct cv_str data; /* its lines, with LF between them */
	struct cv_str id;   /* the last one that the stream has set; may be empty */
	bool is_utf8;       /* all of type, data, id */
};

struct cv_sse {
	struct cv_buf line, data, type, id;
	bool is_line_skipped, is_event_skipped;
	bool has_cr, has_data, is_fresh; /* fresh: event buffers are the last event's still */
	bool is_started;                 /* behind a byte order mark, or where none is */
	bool has_retry;
	uint64_t retry_ms;    /* the last one set */
	uint64_t event_count; /* ended so far, skipped ones too */
};

void cv_sse_init(struct cv_sse *s);
void cv_sse_fini(struct cv_sse *s);

/* Reads from the front of *in, which it takes. */
CV_MUST enum cv_sse_result cv_sse_next(
	struct cv_sse *s, struct cv_str *in, struct cv_sse_event *ret);

/* Is this Content-Type an event stream's? */
bool cv_sse_is_type(struct cv_str content_type);
