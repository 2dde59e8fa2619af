/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h - the synthetic addresses that our DNS hands out, and the names behind them
 *
 * A name that policy lists gets an IPv4 address of 198.18.0.0/15 and an IPv6 address of
 * fd23:6f70:656e::/48, both made from its slot.  A connection to such an address means the name.
 * When all slots are taken, the name used longest ago loses its slot, but never one that was
 * handed out within CV_NAMES_TTL_S: a client may still hold that answer.  Pure; time is given.
 */
#pragma once
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"

#include <stdint.h>

#define CV_NAMES_MAX   4096 /* names in use at once; upstream has 1024 */
#define CV_NAMES_TTL_S 30   /* of an answer; upstream's longest */

struct cv_names;

CV_MUST cv_code cv_names_new(
	struct cv_names **ret, struct cv_err *err); /* little memory until used */
void cv_names_free(struct cv_names *n);

/* The addresses of host (canonical), new or as before.  CV_LIMIT when every slot is in use. */
CV_MUST cv_code cv_names_assign(struct cv_names *n, struct cv_str host, int64_t now_ms,
	struct cv_ip *ret_ip4, struct cv_ip *ret_ip6, struct cv_err *err);

/* The name behind ip; CV_STR_NONE when it is synthetic but nobody's, or not synthetic.  Borrowed
 * until the next assign.  Keeps the slot from being reused. */
struct cv_str cv_names_find(struct cv_names *n, const struct cv_ip *ip, int64_t now_ms);

/* Whether ip is in one of the two synthetic ranges: then it is a name, or nothing. */
bool cv_names_is_synthetic(const struct cv_ip *ip);
