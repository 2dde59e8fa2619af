/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockdiag.h - which socket is at the other end of an accepted connection
 *
 * The descriptor was opened inside the sandbox's network namespace and stays bound to it, so the
 * lookup works from the host side.  sock_diag(7), kernel's net/ipv4/inet_diag.c.
 */
#pragma once
#include "base/err.h"
#include "base/ip.h"

struct cv_sockdiag_end {
	struct cv_ip ip;
	uint16_t port;
};

struct cv_sockdiag_info {
	uint64_t cookie; /* SO_COOKIE of the client's socket */
	uint32_t inode;
	uint32_t uid;  /* as the user namespace of the descriptor's opener sees it */
	uint8_t state; /* of the kernel's enum; 1: established */
};

/* The socket that connected from client to dst.  An exact lookup: its cost does not grow with the
 * number of sockets.  CV_NOT_FOUND when the client has closed already; CV_PROTO when the answer is
 * about another connection; CV_SYSTEM.  One thread at a time for a descriptor. */
CV_MUST cv_code cv_sockdiag_find(int diag, const struct cv_sockdiag_end *client,
	const struct cv_sockdiag_end *dst, struct cv_sockdiag_info *ret, struct cv_err *err);

/* The same for those who want the cookie only. */
CV_MUST cv_code cv_sockdiag_cookie(int diag, const struct cv_sockdiag_end *client,
	const struct cv_sockdiag_end *dst, uint64_t *ret_cookie, struct cv_err *err);

/* For a host whose kernel has the two as modules, and does not load them by itself. */
#define CV_SOCKDIAG_REMEDY "modprobe -a inet_diag tcp_diag"

/* Whether anybody can be found at all: looks this listener of the descriptor's namespace up.
 * CV_UNAVAILABLE, and why. */
CV_MUST cv_code cv_sockdiag_try(int diag, int listener, struct cv_err *err);
