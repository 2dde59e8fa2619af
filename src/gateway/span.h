/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span.h - pieces of work as OTLP says them
 *
 * A span is packed as soon as it has ended, as an entry of ScopeSpans.spans; spans behind each other
 * and a head before them are an ExportTraceServiceRequest.  So what waits for a collector is bytes, and
 * what it costs is known.
 *
 * Keys and names are ours.  Values may be a stranger's: at most CV_SPAN_VALUE_BYTES_MAX of one go out,
 * and what is not printable text goes as an escape.  A value never is a secret or a part of a body.
 */
#pragma once
#include "base/buf.h"
#include "wire/traceparent.h"

#define CV_SPAN_VALUE_BYTES_MAX 128 /* ids and names have fewer */
#define CV_SPAN_ATTRS_MAX       12
#define CV_SPAN_BYTES_MAX       4096 /* of one, packed: more than all its values */

struct cv_span_attr { /* text.p NULL: the number */
	const char *key;
	struct cv_str text;
	int64_t number;
};

enum cv_span_kind { CV_SPAN_INTERNAL = 1, CV_SPAN_SERVER = 2 };

struct cv_span {
	struct cv_traceparent self;
	const uint8_t *parent; /* CV_SPAN_ID_BYTES; NULL: it is the first */
	const char *name;
	enum cv_span_kind kind;
	int64_t begin_ns, end_ns; /* Unix */
	const char *failure;      /* NULL: none; a word of ours */
	struct cv_span_attr attr[CV_SPAN_ATTRS_MAX];
	size_t attr_count;
};

/* Those that do not fit are left out. */
void cv_span_text(struct cv_span *s, const char *key, struct cv_str value);
void cv_span_number(struct cv_span *s, const char *key, int64_t value);

/* Appends; false: no room, and b is as it was. */
CV_MUST bool cv_span_put(struct cv_buf *b, const struct cv_span *s);
/* The whole request: who says it, then what cv_span_put() has put. */
CV_MUST bool cv_span_request(struct cv_buf *b, struct cv_str service_id, struct cv_str spans);
