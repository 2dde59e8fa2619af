/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward.h - `--upstream-proxy` and who goes past it
 *
 *     http://proxy.corp:3128           .corp,localhost,10.0.0.0/8,build.example:8443,*
 *
 * The launcher reads the words and refuses bad ones; the proxy reads the same words again and goes
 * by them.  An entry of the list is
 *
 *     example.com     that name and those below it       .example.com, *.example.com   those below
 *     10.1.2.3        an address                         10.0.0.0/8                    a network
 *     *               everything
 *
 * each but the network with :PORT, an IPv6 address then in brackets.  Addresses mean destinations
 * written as addresses, and names all of whose addresses lie there.  Pure.
 */
#pragma once
#include "base/err.h"
#include "wire/host.h"

#define CV_FORWARD_DIRECT_MAX       128  /* entries: each is looked at with each connection */
#define CV_FORWARD_LIST_BYTES_MAX   8192 /* of the list as a text */
#define CV_FORWARD_SECRET_BYTES_MAX 1024 /* user:password; a head has to hold it in base64 */

enum cv_direct_kind { CV_DIRECT_ALL, CV_DIRECT_NAME, CV_DIRECT_NET };

struct cv_direct { /* one entry */
	enum cv_direct_kind kind;
	uint16_t port;      /* 0: any */
	bool is_below_only; /* NAME: not the name itself */
	struct cv_host name;
	struct cv_cidr net;
};

struct cv_forward {
	struct cv_authority at; /* the proxy; port 0: there is none */
	struct cv_direct direct[CV_FORWARD_DIRECT_MAX];
	size_t direct_count;
};

/* Only http://HOST:PORT; sets ret->at.  CV_INVALID. */
CV_MUST cv_code cv_forward_parse(struct cv_str url, struct cv_forward *ret, struct cv_err *err);

/* Adds the entries of a list with commas or blanks between them.  CV_INVALID, CV_LIMIT. */
CV_MUST cv_code cv_forward_direct_parse(
	struct cv_str list, struct cv_forward *ret, struct cv_err *err);

/* Whether host, which has these addresses, is connected to without the proxy. */
bool cv_forward_is_direct(const struct cv_forward *f, const struct cv_host *host, uint16_t port,
	const struct cv_ip *ip, size_t ip_count);
