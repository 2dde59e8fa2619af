/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - bounds of the broker, each with its reason
 */
#pragma once
#include "plan/limits.h"

#define BROKER_SANDBOXES_MAX 256  /* a gateway's on one machine */
#define BROKER_STREAMS_MAX   2048 /* of all sandboxes: 500 waiting calls, and who watches jobs */
#define BROKER_STREAMS_EACH_MAX \
	1536 /* of one sandbox, so that another one gets in; MCP takes two */
#define BROKER_JOBS_MAX          2048 /* calls under way and jobs kept, of all sandboxes */
#define BROKER_JOBS_EACH_MAX     1024 /* of one sandbox; past it the oldest that has ended goes */
#define BROKER_RUNNING_EACH_MAX  256  /* tools of one sandbox that run at the same time */
#define BROKER_QUEUED_EACH_MAX   768  /* jobs that wait for their tool to be free */
#define BROKER_HELD_EACH_MAX     512  /* calls of one sandbox that wait for a person */
#define BROKER_ASKS_EACH_MAX     8    /* of these, what a person is shown at the same time */
#define BROKER_HOLD_SECONDS      300  /* until a held call is denied, if HOLD does not say it */
#define BROKER_APPROVED_MAX      256  /* (rule, tool) that were approved once and for all */
#define BROKER_RULES_MAX         256  /* of a policy whose calls are counted */
#define BROKER_ABOUT_MAX         (CV_PLAN_PINS_MAX + 32) /* pinned names of one sandbox, roots, ... */
#define BROKER_CATALOGS_MAX      16
#define BROKER_CATALOG_BYTES_MAX (1u << 20)
#define BROKER_POLICY_BYTES_MAX  (1u << 20) /* as the proxy's */
#define BROKER_ENV_MAX           128

/* Requests. */
#define BROKER_BODY_BYTES_MAX   1048576     /* of a request; what the contract names */
#define BROKER_DEPTH_MAX        64          /* of JSON in it; the same */
#define BROKER_HEAD_BYTES_MAX   16384       /* the proxy writes it anew from what it let in */
#define BROKER_ARENA_BYTES_MAX  (24u << 20) /* 1 MiB of "[0,0,0..." is half a million values */
#define BROKER_HEAD_MS          30000       /* from a request's first byte to its last */
#define BROKER_IDLE_MS          120000      /* between requests */
#define BROKER_LINGER_MS        2000        /* for a client to see why its request was cut */
#define BROKER_SLOW_MS          60000       /* a reader that takes nothing for so long is gone */
#define BROKER_KEY_BYTES_MAX    255         /* Idempotency-Key */
#define BROKER_WAIT_SECONDS_MAX 300         /* of ?wait= and Prefer: wait= */
#define BROKER_BAD_TOKENS_MAX   20          /* a minute, then 429 without a look at the token */
#define BROKER_OUT_BYTES_MAX    (96u << 20) /* of all answers that slow readers keep in memory */

/* Arguments of one sandbox's calls that have not ended, as trees and as texts, and messages and answers
 * of MCP's bodies: hundreds of a MiB each would be gigabytes. */
#define BROKER_WAITING_BYTES_MAX (64u << 20)
/* MCP's answers that are all there, and whose readers read nothing. */
#define BROKER_MCP_UNREAD_BYTES_MAX (32u << 20)

/* Jobs. */
#define BROKER_HOST_LOOK_MS        100        /* between looks for a slot that others hold */
#define BROKER_PUBLISH_MS          10000      /* a call that takes longer is a job */
#define BROKER_LOG_BYTES_MAX       (1u << 20) /* of one job: its last bytes are kept */
#define BROKER_EVENT_BYTES_MAX     8192       /* of the log in one event */
#define BROKER_STREAM_LOW_BYTES    65536 /* of events not sent yet; more are made when fewer wait */
#define BROKER_KEPT_BYTES_MAX      (64u << 20) /* results and logs of one sandbox's ended jobs */
#define BROKER_HEARTBEAT_MS        15000 /* of an event stream, so that nobody takes it for dead */
#define BROKER_CONDITIONS_MAX      16    /* of one tool, in what says what may be called */
#define BROKER_CONDITION_BYTES_MAX (1u << 20)  /* their texts */
#define BROKER_DOCUMENT_BYTES_MAX  (16u << 20) /* of discovery: catalogs are 16 MiB at most */

/* Credentials. */
#define BROKER_KEEPER_MS 15000 /* a renewal takes up to ten seconds, a new keeper one */

/* Requests to servers. */
#define BROKER_CONNECT_MS      10000
#define BROKER_ROOTS_BYTES_MAX (16u << 20) /* as the supervisor reads them */
#define BROKER_URL_BYTES_MAX   65536       /* path and query of one */
#define BROKER_HEAD_OUT_MAX    65536       /* one header of one */
#define BROKER_BODY_OUT_MAX    (8u << 20)  /* arguments, each byte escaped */

/* Servers of the catalog. */
#define SERVER_HEALTH_EVERY_MS 50            /* between two questions while it starts */
#define SERVER_HEALTH_MS       2000          /* for one answer */
#define SERVER_LOG_BYTES_MAX   (64ull << 20) /* of its file; what comes after is dropped */
#define SERVER_TAIL_BYTES      16384         /* of its log, in memory */
#define SERVER_TAIL_SAID       3000          /* of these in FATAL: one message, on a terminal */

/* Connections to servers of the catalog. */
#define BROKER_RELAYS_MAX 1024
#define RELAY_PIECE_BYTES 16384
#define RELAY_FULL_BYTES  (256u << 10) /* that one side has not taken; more is not read */
#define RELAY_TURNS_MAX   16           /* of one connection before others are heard */
#define RELAY_HOLD_MS     100          /* a pause in which what is held back is let go */

/* MCP servers. */
#define MCP_TOOLS_MAX         256 /* of one; who has more is a gateway to others */
#define MCP_PAGES_MAX         64  /* of a list */
#define MCP_LIST_MEMORY_MAX   (64u << 20)
#define MCP_SCHEMA_BYTES_MAX  65536
#define MCP_MESSAGE_BYTES_MAX (8u << 20)
#define MCP_OUT_BYTES_MAX     (16u << 20) /* arguments of a few calls that it has not read yet */
#define MCP_SESSION_BYTES_MAX 256
#define MCP_START_MS          30000 /* from its start to its list: npx may have to look around */
#define MCP_AGAIN_MS          500   /* between its end and its next start */
#define MCP_RESTARTS_MAX      5     /* in MCP_RESTARTS_MS; then it stays down */
#define MCP_RESTARTS_MS       60000
#define MCP_REFUSALS_NOTED    16   /* of the tools of one list */
#define BROKER_SLOTS_MAX      4096 /* names of tools that there ever were */

/* Model Context Protocol. */
#define BROKER_MCP_SESSIONS_MAX 1024
#define BROKER_MCP_SESSIONS_EACH_MAX \
	128 /* of one sandbox: an agent's clients, and their children's */
#define BROKER_MCP_CHANNELS_MAX      2048
#define BROKER_MCP_CHANNELS_EACH_MAX 768 /* of one sandbox: as many as calls may wait */
#define BROKER_MCP_KEPT_BYTES_MAX \
	(4u << 20)                       /* of one sandbox's that ended; results are jobs' too */
#define BROKER_MCP_NOTES_BYTES_MAX 65536 /* of one: progress and log; the newest are kept */
#define BROKER_MCP_EVENTS_MAX      256   /* of one, at most so many that are no answers */
#define BROKER_MCP_JSON_MS         250 /* a call that has not ended by then is answered as events */
#define BROKER_MCP_TELL_MS         500 /* between looks at what a call has to say */
#define BROKER_MCP_QUIET_MS        5000 /* between notifications that say no more than the time */

/* Commands. */
#define BROKER_STDERR_BYTES_MAX 16384       /* in an answer: the last of them */
#define BROKER_DRAIN_BYTES_MAX  (64u << 20) /* past the result's limit; then the tool is ended */
#define BROKER_CLEAN_MS         3000        /* for a killed sandbox to take its groups away */
#define BROKER_GRACE_MS         5000        /* between SIGTERM and SIGKILL */
#define BROKER_ARGV_BYTES_MAX   131072      /* the kernel's limit of one word, as the sum of all */
#define BROKER_OPEN_FILES       1024 /* RLIMIT_NOFILE of a tool: the broker's own is larger */
#define BROKER_HIDDEN_MAX       16   /* directories that tools don't see */

/* Their own directories. */
#define BROKER_QUOTA_LOOK_MS \
	100 /* between looks: what a fast disk takes in that is a few dozen MB */
#define BROKER_QUOTA_LOOK_MAX_MS 2000 /* however long one takes */
#define BROKER_QUOTA_LOOK_SHARE  10   /* of the time, a tenth at most is spent looking */

/* Builds. */
#define BUILD_PIDS              4096        /* of a compiler's tree; a bomb ends there */
#define BUILD_POLICY_BYTES_MAX  (2u << 20)  /* a sandbox's policy, written anew */
#define BUILD_POLICY_MEMORY_MAX (64u << 20) /* its endpoints, while it is written */
#define BUILD_SAID_BYTES_MAX    (1u << 20)  /* what a step says on stdout and we read: a list */
#define BUILD_EVENTS_MAX        256         /* decisions about one build, told one by one */
#define BUILD_AUDIT_BYTES_MAX   (1u << 20)  /* of them, as their proxies wrote them */
#define BUILD_LOOK_MS           1000        /* between looks at what it takes on disk */
#define BUILD_WORDS_MAX         (BROKER_ABOUT_MAX + 192) /* of one command line, which we make */

/* Clones. */
#define REPO_GIT_MEMORY        (2ull << 30) /* deltas of a large repository, and a bomb's end */
#define REPO_SAID_BYTES_MAX    16384        /* of git's stderr, to see what went wrong */
#define REPO_LISTING_BYTES_MAX (256u << 20) /* of a commit: a million paths of 200 bytes */
#define REPO_REFS_BYTES_MAX    65536        /* of a server's answer that was asked for two names */
#define REPO_OWN_FILES         2048         /* of git's directory, beside the commit's */
#define REPO_RESULT_BYTES_MAX  (8u << 20)   /* findings, mostly */
