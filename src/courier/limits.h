/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - bounds of the courier, each with its reason
 */
#pragma once

#define COURIER_ERRANDS_MAX     8  /* at once; a run has a handful of renewals, minutes apart */
#define COURIER_ENV_MAX         64 /* HOME, PATH and what provider files name */
#define COURIER_ROOTS_BYTES_MAX (4u << 20) /* the host's bundle has 0.2 MB */
#define COURIER_HEADERS_MAX     16         /* of a request; renewals have up to seven */
#define COURIER_ARGS_MAX        64         /* of a command */
#define COURIER_HEAD_BYTES_MAX  1024       /* of one kept header of an answer */
#define COURIER_FETCH_MS        30000      /* a token endpoint that takes longer is down */
#define COURIER_CONNECT_MS      10000      /* of that */
#define COURIER_COMMAND_MS      60000      /* a command may itself ask over the network */
