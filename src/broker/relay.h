/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.h - a sandbox's connection to a server of the catalog, as host.openshell.internal:PORT
 *
 * The proxy has decided each request by the network policy and written it anew; here its
 * Authorization becomes the server's token, which the sandbox never had, and what the server
 * answers loses the secrets that the server has.
 */
#pragma once
#include "sys/loop.h"

struct broker;
struct relay;
struct sandbox;

void relays_init(struct broker *b);
/* Takes fd.  It is closed when there is no such server. */
void relay_open(struct broker *b, struct sandbox *s, int fd, uint32_t port);
void relay_event(struct broker *b, struct relay *r);
void relays_due(struct broker *b);
void relays_end(struct broker *b, const struct sandbox *s); /* all of that sandbox */
