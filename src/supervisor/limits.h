/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - what a supervisor holds and how long it waits
 */
#pragma once

#define SUP_ARENA_MAX          (16u << 20)    /* the arrays of the largest plan */
#define SUP_COPY_BYTES_MAX     (256u << 10)   /* a file of /etc that is copied, not bound */
#define SUP_POLICY_BYTES_MAX   (8u << 20)     /* a policy that is larger is nobody's handwriting */
#define SUP_ROOTS_BYTES_MAX    (16u << 20)    /* PEM bundles: the usual one is 200 KiB */
#define SUP_CA_BYTES           1024           /* of one CA of ours: 700; divides a page, see ca.c */
#define SUP_FORWARD_BYTES_MAX  16384          /* about the upstream proxy: its link's bound */
#define SUP_SPOOL_BODY_MAX     (512ull << 20) /* on disk, of one request: a large push */
#define SUP_SPOOL_BYTES_MAX    (2ull << 30)   /* of a sandbox's: what its proxy can account for */
#define SUP_RESOLVER_BYTES_MAX 4096           /* resolv.conf: three servers are used, a few lines */
#define SUP_TTY_BYTES          65536          /* one way of the terminal, waiting to be written */
#define SUP_WATCH_AFTER_MS     1000           /* of a run: a shorter one is not worth a watch */
#define SUP_LOOK_MS            25             /* at the policy file, until it is watched */
#define SUP_LOOK_SLOWLY_MS     1000           /* ... and when it can't be */
#define SUP_KILL_GRACE_MS      5000           /* from TERM to KILL after --timeout */
#define SUP_CATALOG_BYTES_MAX  (4u << 20)     /* what the reader of catalogs takes */
#define SUP_BROKER_END_MS      7000 /* for tools to end: 5 s from TERM to KILL, and then some */
#define SUP_ORPHANS_MS         2000 /* for what a dead broker's tools left, to be killed and gone */
#define SUP_SERVERS_END_MS     660000 /* for servers of a catalog, whose stop_seconds say more */
#define SUP_TREE_TRIES         50     /* to remove the broker's directory, 100 ms apart */
#define SUP_COURIER_END_MS     1000   /* for the courier to end its commands */
#define SUP_REPORT_MS          1000   /* for the proxy to tell what happened */
#define SUP_START_MS           10000  /* for keeper and proxy to come up, on a loaded machine */
#define SUP_RESTARTS_MAX       5      /* of one helper in SUP_RESTART_WINDOW_MS, then give up */
#define SUP_RESTART_WINDOW_MS  60000
#define SUP_ASKS_MAX           64 /* questions held for a person at once */
#define SUP_ASKS_MINUTE_MAX    60 /* that come in a minute: more are not read, but waved through */
#define SUP_STANDING_MAX       64 /* answers for all alike */
#define SUP_APPROVERS_MAX      8  /* `cove approve` at the same time */
#define SUP_IDENTITY_QUEUE     64 /* records that the proxy's link did not take yet */
#define SUP_LISTENERS_MAX      4096 /* descriptors of connects: commands, and what outlives them */

/* In the service of a gateway. */
#define SUP_EXECS_MAX       1024       /* commands that run, or whose end is not settled yet */
#define SUP_PARTS_BYTES_MAX (2u << 20) /* of a command's arguments: as plan/exec.h */
#define SUP_EXEC_ARENA_MAX  (8u << 20) /* the arrays of one command and of the plan's */
#define SUP_KEPT_TURN_MAX   4          /* reads of one pipe, before others get their turn */
#define SUP_KEPT_AHEAD_BYTES \
	(512u << 10)               /* of a ring, before a reader who wants it all: half of it */
#define SUP_KEPT_TAIL_MS     500   /* of silence after the exit, while a pipe is open */
#define SUP_KEPT_TERM_MS     2000  /* from SIGTERM to SIGKILL when its time is over */
#define SUP_KEPT_DEAD_MS     10000 /* from SIGKILL until nobody waits any more */
#define SUP_EVENTS_MAX       4096  /* lines that wait for a gateway: minutes of a busy agent */
#define SUP_EVENTS_BYTES_MAX (2u << 20)
#define SUP_LINE_BYTES_MAX   16384       /* of one of them; a longer one is cut */
#define SUP_PUSH_BYTES_MAX   (16u << 20) /* of a policy, or a set of credentials */
#define SUP_DIALS_MAX        64          /* connections into the sandbox that are being made */
#define SUP_DIAL_MS          10000       /* a server that listens takes microseconds */
#define SUP_REDIAL_MS        100         /* to the gateway's socket; doubled each time */
#define SUP_REDIAL_MS_MAX    2000
#define SUP_NOBODYS_MS \
	30000 /* refused by the gateway, or its directory is gone: longer than a start */
#define SUP_MISPLACED_MS \
	86400000 /* the same, where the gateway may have a wrong store: time to see that */
#define SUP_KNOWN_MS \
	120000 /* to be written down, on a slow disk; else it is started again some day */
#define SUP_ENDED_MS 600000 /* to tell of the end: a gateway is upgraded in less */
#define SUP_STOP_MS  5000   /* of grace, where a signal tells us to stop */
