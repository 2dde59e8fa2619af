/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp.h - the Model Context Protocol's way to the same calls
 */
#pragma once
#include "broker/broker.h"

struct mcp; /* of a stream, from a body of messages to its answer */

void mcp_handle(struct broker *b, struct stream *s);
bool mcp_is_open(const struct mcp *m); /* answers go to mcp_take() */
void mcp_take(struct broker *b, struct stream *s, const struct answer *a);
void mcp_free(struct mcp *m); /* NULL is fine */
