/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interception.h - the ways in which a sandbox's connections reach the proxy
 *
 * Strongest first: without a wish the first that this kernel has is taken (sys/netns.h, which does
 * it).  What one lacks is a sentence here, so that run, audit and doctor say the same.
 */
#pragma once
#include "base/str.h"

#include <stdint.h>

/* clang-format off */
#define CV_INTERCEPTIONS(X) /* enum, name */                                                      \
	X(AUTO, "auto")         /* no wish: the first of the others that this kernel has */       \
	X(TPROXY, "tproxy")     /* nf_tables assigns each connection to our socket */             \
	X(REDIRECT, "redirect") /* nf_tables changes its port to ours; conntrack remembers it */  \
	X(ANYIP, "anyip")       /* sockets on the ports that are known; no nf_tables */
/* clang-format on */
#define CV_INTERCEPTION_ENUM(name, text) CV_INTERCEPTION_##name,
enum cv_interception { CV_INTERCEPTIONS(CV_INTERCEPTION_ENUM) CV_INTERCEPTION_COUNT };
#undef CV_INTERCEPTION_ENUM

const char *cv_interception_name(uint32_t v); /* "?" for what is none */
/* What a sandbox is without, compared with tproxy; "" for tproxy itself. */
const char *cv_interception_lost(uint32_t v);
/* False: text is none of the names. */
CV_MUST bool cv_interception_parse(struct cv_str text, uint32_t *ret);

/* Ports that anyip listens on whatever a policy says, beside DNS over UDP.  By policy there are
 * CV_PLAN_PORTS_MAX more at most. */
#define CV_ANYIP_PORTS(X) X(53) X(80) X(443) X(3128)
#define CV_ANYIP_ALWAYS   4

/* In ret, of CV_PLAN_PORTS_MAX + CV_ANYIP_ALWAYS: those and the given ones, each once, in that
 * order; their number.  The given ones are at most CV_PLAN_PORTS_MAX, each once. */
uint32_t cv_anyip_ports(const uint32_t *ports, uint32_t count, uint32_t *ret);
/* The first of the given that is not among `listened`; 0: there is none. */
uint32_t cv_anyip_missing(
	const uint32_t *ports, uint32_t count, const uint32_t *listened, uint32_t listened_count);
