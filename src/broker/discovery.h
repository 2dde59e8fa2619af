/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery.h - what one process of a sandbox is told that it may call
 *
 * The documents are made by tools/discover.h from the catalog; which tools are in them is policy's
 * to say, for this process and now.
 */
#pragma once
#include "broker/broker.h"

enum discovery { DISCOVERY_TEXT, DISCOVERY_TOOLS, DISCOVERY_OPENAPI };

bool discovery_may_call(const struct sandbox *s, const struct caller *c, const struct cv_tool *t);
void discovery_answer(
	struct broker *b, struct stream *s, const struct sandbox *box, enum discovery what);
/* ["name",...] */
void discovery_known_put(struct broker *b, const struct sandbox *s, const struct caller *c,
	struct cv_buf *out);
/* The name that was probably meant, of those that may be called; or "". */
struct cv_str discovery_nearest(struct broker *b, const struct sandbox *s, const struct caller *c,
	struct cv_str name);
