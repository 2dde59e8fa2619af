/* SPDX-License-Identifier: Apache-2.0 */
/*
 * advice.h - what to write into the policy so that what was denied passes
 *
 * For the end of a run: for each denial that the summary shows (audit/summary.h) and that an entry
 * could cure, the entry (policy/suggest.h), made for the policy that decides now.
 */
#pragma once
#include "proxy/proxy.h"

/* Appends the advice, under a heading; nothing if there is none. */
void cv_advice_put(struct cv_proxy *p, struct cv_buf *out);
