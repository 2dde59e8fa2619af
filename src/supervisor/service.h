/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.h - a supervisor whose sandbox belongs to a gateway (ipc/gateway_link.h)
 *
 *     gateway.c   the link: dialled, dialled again; what comes and what is told
 *     exec.c      commands by number
 *     kept.c      those that outlive their client
 *     dial.c      connections to servers inside
 *     events.c    lines of the log and denials, kept while nobody takes them
 *     push.c      policies and credentials that the gateway sends
 *
 * All of it is idle in a run of `cove run`: there is no socket in its plan.
 */
#pragma once
#include "base/buf.h"
#include "ipc/gateway_link.h"
#include "ipc/outbox.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SERVICE_MAIN_ID 1 /* of the main command; commands of the gateway have other numbers */
#define SERVICE_LOGS    2 /* who writes lines: proxy, broker */

struct exec;
struct kept;
struct dial;

struct service_log { /* one writer's lines */
	int fd;      /* -1: none */
	struct cv_buf line;
	bool is_cut; /* the rest of an overlong line is being skipped */
};

struct service_policy {
	int text;  /* memfd; -1: there is none */
	int layer; /* memfd: of providers; -1: as before */
	uint64_t revision;
};

#define SERVICE_COUNTS 5

struct service {
	bool is_on;       /* the plan names a gateway */
	bool may_propose; /* agents may propose rules: of the plan, then of SETTINGS */

	/* gateway.c */
	int link; /* -1: not connected */
	struct cv_ipc_link rules;
	struct cv_ipc_outbox out;
	int64_t redial_ms; /* when; 0: connected, or never */
	int64_t backoff_ms;
	int64_t known_by_ms; /* else it ends; 0: is_known, or needs not be */
	int64_t nobodys_ms;  /* since when it seems to be nobody's; 0: it doesn't */
	bool is_ready;       /* the sandbox stands */
	bool is_known;       /* the gateway has it written down (CV_PLAN_GATEWAY_AWAIT) */
	bool is_ended, is_ended_settled; /* all is over but to tell it */
	bool is_stopping;
	char *why; /* of a failure; malloc'd */

	/* exec.c */
	struct exec *execs;  /* SUP_EXECS_MAX + 1 */
	unsigned exec_count; /* of places in use */
	struct cv_buf parts;

	/* kept.c */
	struct kept *kept; /* a list */
	int kept_epoll;    /* of their pipes */

	/* dial.c */
	struct dial *dials; /* SUP_DIALS_MAX */
	unsigned dial_count;
	uint32_t dial_tag;
	int dial_epoll;

	/* events.c */
	struct service_log log[SERVICE_LOGS];
	struct cv_ipc_outbox events;
	uint32_t lost_lines, lost_denials;
	uint64_t counts[SERVICE_COUNTS]; /* of COUNTS, not told yet */

	/* push.c */
	struct service_policy policy, policy_next, policy_waiting; /* the newest waits */
	bool is_policy_judged;                                     /* the proxy has policy_next */
	int layer;            /* memfd: for the policy to come; -1 */
	int credentials_next; /* memfd: for the keeper; -1 */
	uint64_t credentials_next_revision;
	bool is_claim_unsealed; /* they are those of a claim: nothing runs before the keeper has them */
	bool is_credentials_judged; /* the keeper has them */
	int routes, routes_next; /* memfds: of inference.local, instead of the plan's file; for the
				     * credentials to come; -1 */
};
