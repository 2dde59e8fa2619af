/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrap.h - another key for all that is sealed, while the gateway runs
 *
 * A new key is written first in the key file, every envelope is wrapped again under it, then the
 * former keys go.  Stopped anywhere in between, it is done by doing it again.  With key_command the
 * keys are somebody else's: its first line is the new key, and it may forget the others afterwards.
 */
#pragma once
#include "gateway/gateway.h"

/* ret_n: envelopes.  CV_UNAVAILABLE: a renewal is under way, whose result would be under the old
 * key. */
CV_MUST cv_code cv_gw_rewrap(struct cv_gateway *g, size_t *ret_n, struct cv_err *err);
