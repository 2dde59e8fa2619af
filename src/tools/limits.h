/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - what a catalog, a call and its messages may cost, and why
 */
#pragma once

/* The file: two hundred tools with long schemas take 1 MiB; the reader's own limit is 4 MiB. */
#define CV_CATALOG_BYTES_MAX (1u << 20)
/* In memory; the tree of a schema takes about 30 times its text. */
#define CV_CATALOG_MEMORY_MAX (64u << 20)

/* A model can't choose among more, and a list of tools is read whole. */
#define CV_CATALOG_TOOLS_MAX       512
#define CV_CATALOG_SERVERS_MAX     64
#define CV_CATALOG_CREDENTIALS_MAX 128
#define CV_CATALOG_URLS_MAX        64

/* MCP's own advice is 128; one that other programs make part of a longer name has room so. */
#define CV_TOOL_NAME_BYTES_MAX 64
/* What MCP says a tool's name may have (2025-11-25). */
#define CV_MCP_NAME_BYTES_MAX 128
/* It goes into every list that a model reads. */
#define CV_TOOL_DESCRIPTION_BYTES_MAX 4096

/* Places in a route: as many as struct cv_tool_route_args holds. */
#define CV_TOOL_ROUTE_PLACES_MAX   8
#define CV_TOOL_ROUTE_BYTES_MAX    256
#define CV_TOOL_ROUTE_SEGMENTS_MAX 32

/* A template as written; a body that is longer belongs into a file. */
#define CV_TEMPLATE_BYTES_MAX 65536
#define CV_TEMPLATE_PARTS_MAX 256
/* What one becomes: a body of 1 MiB whose every byte is percent-encoded. */
#define CV_TEMPLATE_TEXT_BYTES_MAX (4u << 20)
/* A number in plain digits: 1e400 is fine, and no program reads more. */
#define CV_TEMPLATE_NUMBER_BYTES_MAX 1024
/* Words of a command; the kernel's own limit on bytes (ARG_MAX) is 2 MiB. */
#define CV_TOOL_ARGS_MAX       1024
#define CV_TOOL_ARG_BYTES_MAX  131072u /* MAX_ARG_STRLEN, with its NUL */
#define CV_TOOL_ARGV_BYTES_MAX (1u << 20)

#define CV_TOOL_ENV_MAX        128
#define CV_TOOL_HEADERS_MAX    64
#define CV_TOOL_GLOBS_MAX      128 /* of one list; each is tried in turn */
#define CV_TOOL_EXITS_MAX      16  /* of exit_ok */

/* Limits of a call.  A day is for builds; who needs longer has a service, not a tool. */
#define CV_TOOL_SECONDS_DEFAULT      60
#define CV_TOOL_SECONDS_MAX          86400
#define CV_TOOL_CONCURRENCY_DEFAULT  4
#define CV_TOOL_CONCURRENCY_MAX      256
#define CV_TOOL_HOST_CONCURRENCY_MAX 4096 /* of them, each is tried in turn */
#define CV_TOOL_RESULT_BYTES_DEFAULT (1u << 20)
#define CV_TOOL_RESULT_BYTES_MAX     (64u << 20) /* it is held in memory, scrubbed */

/* A directory of a process's own.  It is memory up to the third, and on a disk where more is asked
 * for. */
#define CV_TOOL_ROOM_BYTES_DEFAULT (256u << 20)
#define CV_TOOL_ROOM_FILES_DEFAULT 65536
#define CV_TOOL_ROOM_MEMORY_MAX    (1ull << 30)
#define CV_TOOL_ROOM_BYTES_MAX     (1ull << 40)
#define CV_TOOL_ROOM_FILES_MAX     10000000

/* Servers: until /healthz answers, and between SIGTERM and SIGKILL. */
#define CV_TOOL_START_SECONDS_DEFAULT 15
#define CV_TOOL_STOP_SECONDS_DEFAULT  5
#define CV_TOOL_START_SECONDS_MAX     600

/* Builds. */
#define CV_TOOL_BUILD_SECONDS_DEFAULT       1800
#define CV_TOOL_BUILD_CONTEXT_BYTES_DEFAULT (1ull << 30)
#define CV_TOOL_BUILD_CONTEXT_FILES_DEFAULT 200000
#define CV_TOOL_BUILD_IMAGE_BYTES_DEFAULT   (8ull << 30)
#define CV_TOOL_BUILD_MEMORY_DEFAULT        (4ull << 30)
#define CV_TOOL_BUILD_CPU_MILLI_DEFAULT     2000
#define CV_TOOL_BUILD_BYTES_MAX             (1ull << 40)
#define CV_TOOL_BUILD_CPU_MAX               1024
/* Each is a descriptor of the broker's while a build runs. */
#define CV_TOOL_BUILD_LOGINS_MAX     8
#define CV_TOOL_BUILD_USER_BYTES_MAX 255

/* Files. */
#define CV_TOOL_FILES_BYTES_DEFAULT (1ull << 30)
#define CV_TOOL_FILES_COUNT_DEFAULT 100000

/* Clones: most repositories are smaller, and a sandbox's disk is not endless. */
#define CV_TOOL_REPO_BYTES_DEFAULT   (1ull << 30)
#define CV_TOOL_REPO_FILES_DEFAULT   200000
#define CV_TOOL_REPO_SECONDS_DEFAULT 300
#define CV_TOOL_REPO_USER_BYTES_MAX  64

/* MCP.  SDKs send one message a time; who batches sends a few. */
#define CV_MCP_BATCH_MAX        64
#define CV_MCP_ID_BYTES_MAX     256
#define CV_MCP_METHOD_BYTES_MAX 128
/* Tools of one page: a page is one message, and clients hold it whole. */
#define CV_MCP_PAGE_TOOLS 100
