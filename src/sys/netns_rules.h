/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns_rules.h - the nf_tables rules of a sandbox's network; private to netns.c and its tests
 */
#pragma once
#include "plan/interception.h"
#include "sys/netlink.h"

#define CV_NETNS_LISTEN_PORT 15001 /* where the rules send TCP; openshell-behaviour 13 */

/* Appends the whole batch of TPROXY or REDIRECT; nothing for ANYIP, which has none. */
void cv_netns_rules_put(struct cv_nl_batch *b, enum cv_interception how);
/* Puts and sends it, in the present network namespace.  CV_SYSTEM with the kernel's errno. */
CV_MUST cv_code cv_netns_rules_load(enum cv_interception how, struct cv_err *err);
