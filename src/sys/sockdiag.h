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

/* The SO_COOKIE of the socket that connected from client to dst.  An exact lookup: its cost does
 * not grow with the number of sockets.  CV_NOT_FOUND when the client has closed already. */
CV_MUST cv_code cv_sockdiag_cookie(int diag, const struct cv_sockdiag_end *client,
	const struct cv_sockdiag_end *dst, uint64_t *ret_cookie, struct cv_err *err);
