/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.h - one request to somebody who is no gateway: an issuer of tokens
 *
 * The client has no HTTP of its own: cove-courier carries the request (courier/main.c), as it does
 * for renewals, with its promises: no redirects, no proxy of the environment, TLS verified against
 * the host's roots.  SSL_CERT_FILE names others, as for OpenSSL's programs.  http:// goes to this
 * host only.
 */
#pragma once
#include "client/client.h"

struct cl_fetch {
	const char *url;
	struct cv_str form;        /* of a POST; without one it is a GET */
	const char *authorization; /* NULL: none */
};

struct cl_fetched {
	int status;
	struct cv_str body; /* in the arena */
};

/* CV_UNAVAILABLE: no answer came, and err says why. */
CV_MUST cv_code cl_fetch(
	struct cl *c, const struct cl_fetch *f, struct cl_fetched *ret, struct cv_err *err);
