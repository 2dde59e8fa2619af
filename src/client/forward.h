/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward.h - connections into a sandbox
 */
#pragma once
#include "client/sandbox.h"

struct cl_forward_to {
	const char *id;   /* of the sandbox */
	const char *host; /* loopback, inside */
	uint32_t port;    /* 0: its ssh server */
	const char *token;
};

/* Listens; *port 0 becomes the one that was given.  Dies. */
int cl_listen(struct cl *c, const char *addr, uint32_t *port);
/* Serves what connects there, until a signal ends us. */
CV_NORETURN void cl_forward_serve(struct cl *c, int listener, const struct cl_forward_to *to);
/* One connection, between descriptors of ours. */
int cl_forward_single(struct cl *c, int in, int out, const struct cl_forward_to *to);
