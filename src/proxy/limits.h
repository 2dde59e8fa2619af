/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - what a sandbox or an origin can make the proxy hold or wait for, and why that much
 */
#pragma once

/* Connections. */
#define CV_PROXY_FLOWS_MAX       1024 /* 2 descriptors and at most 6 buffers each; later ones wait */
#define CV_PROXY_STREAMS_MAX     2048 /* of all HTTP/2 sessions, and their upstream connections */
#define CV_PROXY_POOL_MAX        (CV_PROXY_FLOWS_MAX + CV_PROXY_STREAMS_MAX)
#define CV_PROXY_ACCEPTS_MAX     32  /* in one turn, so that a flood does not starve the others */
#define CV_PROXY_ACCEPT_PAUSE_MS 100 /* without descriptors, instead of a busy loop */
#define CV_PROXY_ATTEMPTS_MAX    3   /* addresses tried at a time: both families, and one more */
#define CV_PROXY_ROUNDS_MAX      4   /* of work for one flow in one turn, for the same reason */

#define CV_PROXY_QUESTIONS_MAX \
	8 /* questions of one message: the keeper begins while others are put */

/* Answers of the keeper that are kept for a moment (answers.h). */
#define CV_PROXY_ANSWERS_MAX         32    /* questions that one program asks in turn */
#define CV_PROXY_ANSWER_QUESTION_MAX 1024  /* longer paths are rare, and asked each time */
#define CV_PROXY_ANSWER_VALUES_MAX   16384 /* two values of the largest size that a header takes */

/* Connections to upstreams that wait for the next flow (idle.h). */
#define CV_PROXY_IDLE_UPSTREAMS_MAX 64 /* a descriptor each, 1 to 2 MiB of TLS all together */
#define CV_PROXY_IDLE_SESSIONS_MAX  16 /* of HTTP/2: one carries what others take many for */
#define CV_PROXY_IDLE_UPSTREAM_MS \
	15000 /* a program's calls in a row; servers keep them 5 to 75 s */
#define CV_PROXY_IDLE_REUSE_MS \
	1000 /* ... for what can't be sent twice: less than any server's own limit */

/* Buffers.  One holds a whole head or ClientHello, or two TLS records with their overhead. */
#define CV_PROXY_IO_BYTES        (34 * 1024)
#define CV_PROXY_IO_BLOCKS_MAX   2048        /* 68 MiB: what all flows together may hold */
#define CV_PROXY_IO_KEPT_MAX     32          /* free ones kept for the next; the rest go back */
#define CV_PROXY_RELAY_BYTES_MAX (32 * 1024) /* of one read */
#define CV_PROXY_RECORD_BYTES    16384       /* of a TLS record, RFC 8446 5.1 */
#define CV_PROXY_RECORD_EXTRA    512         /* its header, tag and a key update beside it */
#define CV_PROXY_HEAD_BYTES_MAX  (32 * 1024) /* of a response's head, of a ClientHello */
#define CV_PROXY_FORWARD_HEAD_BYTES_MAX \
	8192 /* of an upstream proxy's answer to CONNECT: nothing in it is for us */
#define CV_PROXY_HELD_BYTES_MAX     (256 << 10) /* of a body, in memory; more is spooled */
#define CV_PROXY_SIGN_HOLDS_MAX     24        /* bodies of 10 MiB at once; an SDK sends ten parts */
#define CV_PROXY_PENDING_BYTES_MAX  (1 << 20) /* of a body, filtered and waiting to go */
#define CV_PROXY_FILTERED_BYTES_MAX (4 << 20) /* ... that middlewares may have made longer */
#define CV_PROXY_DRAIN_BYTES_MAX    (1 << 20) /* of a refused body, read so the answer arrives */

/* The spool: bodies that are looked at whole before their heads go.  How much may be in it the
 * supervisor says. */
#define CV_PROXY_SPOOL_BLOCK_BYTES (256 << 10)
#define CV_PROXY_SPOOL_BYTES_MAX   (2ull << 30) /* in 8192 blocks: two bytes of ours for each */
#define CV_PROXY_SPOOL_MEMORY_MAX  (32u << 20) /* of all that come; then it is the file's at once */
#define CV_PROXY_SPOOL_READS       8           /* of one body in one round: 256 KiB */
#define CV_PROXY_SPOOL_READ_MIN    4096        /* a smaller piece is not worth a call */
#define CV_PROXY_SPOOL_IDLE_MS     300000      /* without a byte; as for one that passes */
#define CV_PROXY_SPOOL_FOUND_MS    30000       /* for the rest of what is refused already */
#define CV_PROXY_SPOOL_MS          7200000     /* from head to end: 512 MiB at 75 KB/s */

/* Middlewares.  A body is looked at whole: what a request to a language model takes, with room. */
#define CV_PROXY_MIDDLEWARE_BYTES_MAX (1 << 20)
#define CV_PROXY_MIDDLEWARE_SUM_MAX   (128u << 20) /* held by all flows together */

#define CV_PROXY_QUEUE_BLOCKS_MAX     9 /* a stream's window, and the beginning of a block */

/* HTTP/2.  A session's peer may make us hold its windows and its header tables; what it can make us
 * do is counted below, since cheap frames cost us more than its sender (T19). */
#define CV_H2_STREAMS_MAX 128 /* at a time, of one session: common, and RFC 9113's least */
#define CV_H2_UPSTREAMS_MAX \
	4 /* bonds of one session's streams at a time, before one is forgotten */
#define CV_H2_STREAM_WINDOW     (256 * 1024)  /* 2.5 MB/s at 100 ms; held only while nobody reads */
#define CV_H2_SESSION_WINDOW    (1024 * 1024) /* of all its streams together */
#define CV_H2_TABLE_BYTES       4096          /* HPACK, each direction: the protocol's default */
#define CV_H2_ABUSE_LIST_BYTES  (256 * 1024)  /* a list so long, decoded, was made to hurt */
#define CV_H2_CONTINUATIONS_MAX 16 /* of one header block: four times what we would keep */
#define CV_H2_ACKS_MAX          64 /* PING and SETTINGS that wait for a peer which reads nothing */
#define CV_H2_CONTROL_MAX       1000 /* frames that carry nothing, saved up ... */
#define CV_H2_CONTROL_PER_S     100  /* ... earned by time, and ... */
#define CV_H2_CONTROL_PER_DATA  3    /* ... by each frame with data, either way */
#define CV_H2_RESETS_MAX        400 /* streams that were ended early, by either side's RST_STREAM */
#define CV_H2_RESETS_PER_S      40  /* a client that gives up on so many has gone wrong */
#define CV_H2_SENDS_MAX         8   /* buffers of one session in one turn */

/* Times, in milliseconds. */
#define CV_PROXY_HEAD_MS      15000  /* a request's head, once its first byte has come (T20) */
#define CV_PROXY_IDLE_MS      300000 /* a keep-alive or tunnel without a byte */
#define CV_PROXY_REPLY_MS     300000 /* for a response: language models think for minutes */
#define CV_PROXY_DIAL_MS      10000  /* all attempts together */
#define CV_PROXY_STAGGER_MS   250    /* before the next address is tried too, RFC 8305 8 */
#define CV_PROXY_ATTEMPT_MS   1000   /* one address, while others wait for its place */
#define CV_PROXY_RESOLVE_MS   10000
#define CV_PROXY_FORWARD_MS   30000 /* an upstream proxy that connects for us */
#define CV_PROXY_HANDSHAKE_MS 10000
#define CV_PROXY_KEEPER_MS \
	12000 /* for credentials: a renewal may be waited for, see the keeper's */
#define CV_PROXY_QUIET_MS    500     /* a refused transparent client, to see if it speaks HTTP */
#define CV_PROXY_LINGER_MS   1000    /* after a denial, so that its text is not lost in a reset */
#define CV_PROXY_PG_START_MS 60000   /* to a session; the server's authentication_timeout */
#define CV_PROXY_PG_IDLE_MS  3600000 /* pools keep idle sessions for that long */
#define CV_PROXY_SWEEP_MS    50      /* grain of all of these */

/* WebSocket (openshell-behaviour 4.5).  A text message that is not in hand as a whole is assembled. */
#define CV_PROXY_WS_ASSEMBLIES_MAX 32     /* at once, of 4 MiB each at most */
#define CV_PROXY_WS_WAITING_MAX    64     /* connections that wait for one of these */
#define CV_PROXY_WS_PART_MS        30000  /* without a byte of a message that has begun */
#define CV_PROXY_WS_MESSAGE_MS     120000 /* from a message's first byte to its last */
#define CV_PROXY_WS_FORWARD_MS     120000 /* until the server has taken it */
#define CV_PROXY_WS_CLOSE_MS       1000   /* for our close frames to be taken */
#define CV_PROXY_WS_PIECE_BYTES    16384  /* of a message, in one frame: a TLS record */

/* Who. */
#define CV_PROXY_IDENTITIES_MAX 2048  /* connects that were not accepted yet, of one sandbox */
#define CV_PROXY_IDENTITY_MS    10000 /* how long such a record may be used */

/* Names. */
#define CV_PROXY_LOOKUPS_MAX     256  /* names remembered, pending ones among them */
#define CV_PROXY_QUERY_MS        1500 /* before the next server is asked; doubles */
#define CV_PROXY_QUERY_TRIES_MAX 4
#define CV_PROXY_TTL_MS_MIN      1000  /* so that everyone who waited sees the answer */
#define CV_PROXY_TTL_MS_MAX      60000 /* an origin that moves is found again within a minute */
#define CV_PROXY_NEGATIVE_MS     2000  /* a name that is not there, or a server that failed */
#define CV_PROXY_HOSTS_BYTES_MAX (1 << 20)
#define CV_PROXY_DNS_TTL_S       10 /* of synthetic answers: programs keep them for so long */
#define CV_PROXY_DNS_TURN_MAX    64 /* datagrams answered in one turn */

/* PostgreSQL. */
#define CV_PROXY_PG_STATEMENT_BYTES_MAX (1 << 20)  /* of text to be decided; values are not in it */
#define CV_PROXY_PG_GATHER_BYTES_MAX    (16 << 20) /* of such texts, all connections together */
#define CV_PROXY_PG_UP_BYTES_MAX        (32 * 1024) /* of our own; a startup packet is the longest */
#define CV_PROXY_PG_PASSWORD_BYTES_MAX  1024
#define CV_PROXY_PG_MESSAGE_BYTES_MAX   8192 /* of the server's that are read: short by nature */

/* Policy, roots, sinks. */
#define CV_PROXY_POLICY_BYTES_MAX (8 << 20)
#define CV_PROXY_ROOTS_FILES_MAX  32 /* the host's bundle, and one for each --ca */
#define CV_PROXY_ROOTS_BYTES_MAX  (8 << 20)
#define CV_PROXY_ALIASES_MAX      1024 /* literal binaries of a policy that may be links */
#define CV_PROXY_UNBOUND_MAX      64   /* destinations without credentials that are remembered */
#define CV_PROXY_LEAF_WAITS_MAX   64   /* names that the keeper is asked for at a time */
#define CV_PROXY_ALLOWED_ROWS_MAX 32   /* in a denial's "allowed": a page, not a manual */
#define CV_PROXY_GRPC_MESSAGE_BYTES_MAX \
	1024                            /* of a denial, before its coding: clients cap headers */
#define CV_PROXY_DENIAL_BYTES_MAX 24576 /* so that head and body fit one buffer */

/* Host tools (docs/decisions/host-tools.md has the first two). */
#define CV_PROXY_TOOL_BYTES_MAX  (1 << 20)
#define CV_PROXY_TOOL_DEPTH_MAX  64
#define CV_PROXY_TOOL_SUM_MAX    (64u << 20) /* bodies of all flows together */
#define CV_PROXY_TOOL_MEMORY_MAX (64u << 20) /* a body as a tree: 16 MiB, and what is decoded */
#define CV_PROXY_TOOL_LIST_BYTES 8192        /* of a denial's list, before it is cut short */
#define CV_PROXY_TOOL_REPLY_MS \
	90000000 /* without a byte: the longest tool may run for a day, and wait for a person first */

/* Requests that wait for a person.  The supervisor ends each wait, at the latest after a day. */
#define CV_PROXY_ASKS_MAX 64 /* at once: each keeps a connection and a buffer of the sandbox's */
#define CV_PROXY_ASK_MS   90000000 /* should the supervisor forget one */

/* What is answered here: policy.local and inference.local. */
#define CV_PROXY_COUNTS_MS        1000       /* between two COUNTS: metrics are read less often */
#define CV_PROXY_DENIED_MAX       100        /* denials that policy.local can tell */
#define CV_PROXY_DENIED_BYTES_MAX 4096       /* of a line of them */
#define CV_PROXY_ANSWER_BYTES_MAX (12 << 20) /* the largest policy, escaped as JSON */
#define CV_PROXY_CALL_BYTES_MAX   (10 << 20) /* of a call's body, as OpenShell's */
#define CV_PROXY_CALL_CHUNKS_MAX  4096       /* that it may come in */
#define CV_PROXY_CALL_STREAM_MAX  (32 << 20) /* of a streamed answer */
#define CV_PROXY_CALL_IDLE_MS     120000     /* between two pieces of a stream */
#define CV_PROXY_ROUTED_REPLY_MS \
	3660000 /* of a route: longer than CV_ROUTE_TIMEOUT_S_MAX, at which whoever asked ends it */
/* Proposals: each is a write of the gateway's. */
#define CV_PROXY_PROPOSALS_MINUTE_MAX 30
#define CV_PROXY_PROPOSAL_BODY_MS     15000 /* openshell-behaviour 3.10 */
#define CV_PROXY_PROPOSAL_MS          10000 /* until the gateway answers */
#define CV_PROXY_PROPOSAL_WAIT_S      60    /* of ?timeout=; openshell-behaviour 3.10 */
#define CV_PROXY_PROPOSAL_WAIT_S_MAX  300
#define CV_PROXY_PROPOSAL_LOOK_MS     1000       /* between looks of one that waits */
#define CV_PROXY_PROPOSAL_ARENA_MAX   (4 << 20)  /* of 64 KiB: "[0,0,0..." is 32768 values */
#define CV_PROXY_LOCAL_BYTES_MAX      (64 << 20) /* such answers and bodies of all flows together */
