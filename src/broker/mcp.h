/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp.h - the Model Context Protocol's way to the same calls
 */
#pragma once
#include "broker/broker.h"

struct mcp; /* of a stream, from a body of messages to its answer */

void mcp_init(struct broker *b);
void mcp_handle(struct broker *b, struct stream *s);
bool mcp_is_open(const struct mcp *m); /* answers go to mcp_take() */
void mcp_take(struct broker *b, struct stream *s, const struct answer *a);
void mcp_due(struct broker *b, struct stream *s); /* CALL: its time is over */
void mcp_free(struct mcp *m);                     /* NULL is fine */

void mcp_read_more(struct broker *b, struct stream *s); /* STREAM_READ: there is room */
void mcp_reader_lost(struct broker *b, struct stream *s);
void mcp_sandbox_end(struct broker *b, const struct sandbox *box);
void mcp_policy_changed(struct broker *b, const struct sandbox *box);
