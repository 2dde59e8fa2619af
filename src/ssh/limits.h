/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - of one connection, with reasons
 */
#pragma once

#define SSH_CHANNELS_MAX      64   /* an editor opens a dozen; a browser through -D some more */
#define SSH_ENV_MAX           128  /* of one channel, as in the gateway's own requests */
#define SSH_ENV_NAME_MAX      256  /* likewise */
#define SSH_ENV_VALUE_MAX     8192 /* likewise */
#define SSH_ENV_BYTES_MAX     (64u << 10)  /* of one channel */
#define SSH_COMMAND_MAX       (256u << 10) /* one string; libssh takes packets up to this */
#define SSH_TERM_MAX          64
#define SSH_SIZE_MAX          65535        /* rows, columns */
#define SSH_CHUNK             (32u << 10)  /* what every client takes as one packet */
#define SSH_IN_MAX            (256u << 10) /* towards a command; beyond it the window stays shut */
#define SSH_REST_MAX          (64u << 10)  /* towards the client; two chunks */
#define SSH_REPLAY_MAX        (1u << 20)   /* of the main command's output before */
#define SSH_AUTH_TRIES_MAX    8            /* keys that an agent offers, under wrong names */
#define SSH_LOGIN_MS          30000        /* from the first byte to a name */
#define SSH_DIAL_MS           3000 /* a port of the loopback: at once, or its queue is full */
#define SSH_TAIL_MS           500  /* of silence after the exit, while a pipe is open */
#define SSH_PACKETS_TURN_MAX  64   /* reads of the client, before commands get their turn */
#define SSH_MESSAGES_TURN_MAX 64   /* likewise, of the gateway */
