/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery.h - what one process of a sandbox is told that it may call
 *
 * The documents are made by tools/discover.h from the catalog; which tools are in them is policy's
 * to say, for this process and now.
 */
#pragma once
#include "broker/broker.h"
#include "tools/discover.h"

bool discovery_may_call(const struct sandbox *s, const struct caller *c, const struct cv_tool *t);

/* Appends the document; cursor: of CV_DISCOVER_MCP.  False when it did not fit. */
CV_MUST bool discovery_put(struct broker *b, const struct sandbox *box, const struct caller *who,
	enum cv_discover_document document, struct cv_str cursor, struct cv_buf *out);
void discovery_answer(struct broker *b, struct stream *s, const struct sandbox *box,
	enum cv_discover_document document);

/* The name that was probably meant, of those that may be called; or "". */
struct cv_str discovery_nearest(
	struct broker *b, const struct sandbox *s, const struct caller *c, struct cv_str name);
