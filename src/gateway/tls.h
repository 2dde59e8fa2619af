/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.h - the server's side of TLS: certificate, key, authority of clients
 */
#pragma once
#include "gateway/gateway.h"

#include <openssl/ssl.h>

/* From the configured files, or those that `cove gateway init` made in the state directory.
 * CV_NOT_FOUND: there are none, and the message says what to do; CV_INVALID. */
CV_MUST cv_code cv_gw_tls_new(const struct cv_gateway *g, SSL_CTX **ret, struct cv_err *err);
