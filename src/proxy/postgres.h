/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres.h - a connection to a PostgreSQL server, whose statements are decided one by one
 *
 * Ownership: what is remembered of it belongs to its flow, from cv_postgres_start() to the flow's
 *            end.
 */
#pragma once
#include "proxy/proxy.h"

#define CV_PG_ALPN "\x0apostgresql"

/* The upstream is connected; the client's first packet is waited for. */
void cv_postgres_start(struct cv_proxy *p, struct cv_flow *f);
void cv_postgres_free(struct cv_flow *f); /* wipes; as often as one likes */

/* After a new policy: may the session go on, with what it was told at its start? */
bool cv_postgres_again(struct cv_proxy *p, struct cv_flow *f);
