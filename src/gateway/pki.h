/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pki.h - `cove gateway init`: an authority, certificates, keys, and the files that clients read
 *
 *     STATE/tls/    ca.crt ca.key
 *                   server/tls.{crt,key}   client/tls.{crt,key}
 *                   jwt/{signing.pem,public.pem,kid}  previous.pem: the public half before this one
 *     CLIENT/       active_gateway (where there is none)
 *                   gateways/NAME/metadata.json  gateways/NAME/mtls/{ca.crt,tls.crt,tls.key}
 *
 * A tls directory that has all of it is kept, and its server's certificate gets the names that are
 * asked for; one that has a part is an error, because what is missing can't be made to fit the rest
 * without knowing what happened.  P-256 and Ed25519.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "gateway/jwt.h"
#include "gateway/state.h"

#define CV_PKI_SANS_MAX 64
#define CV_PKI_LOST_TEXT                                                                      \
	"the key that signs sandboxes' tokens was gone and is made anew: tokens from before " \
	"are no longer good"

struct cv_pki_request {
	struct cv_str name; /* of the gateway, for clients; empty: "cove" */
	struct cv_str state_dir, config;
	struct cv_str san[CV_PKI_SANS_MAX];
	size_t san_count;
	uint32_t port;  /* that clients are told; 0: not said */
	bool is_compat; /* also under openshell */
};

struct cv_pki_paths {
	char state[CV_GW_PATH_BYTES_MAX], client[CV_GW_PATH_BYTES_MAX],
		compat[CV_GW_PATH_BYTES_MAX];
};

/* --name, --san (again and again, or with commas), --port, --compat, --state-dir, --config.  CV_INVALID. */
CV_MUST cv_code cv_pki_request_parse(
	int argc, char **argv, struct cv_pki_request *ret, struct cv_err *err);
/* Certificates and keys, and the files of clients for a gateway at endpoint (https://HOST:PORT).  said:
 * lines for the person.  CV_INVALID, and nothing was made: the name is another gateway's. */
CV_MUST cv_code cv_pki_init(const struct cv_pki_request *q, const struct cv_pki_paths *paths,
	struct cv_str endpoint, struct cv_buf *said, struct cv_err *err);
/* Without the files of clients. */
CV_MUST cv_code cv_pki_make(const struct cv_pki_request *q, const struct cv_pki_paths *paths,
	struct cv_buf *said, struct cv_err *err);

/* For a start: CV_INVALID: no name stands for this gateway, and the usual one is another's. */
CV_MUST cv_code cv_pki_clients_check(
	const struct cv_pki_paths *paths, struct cv_str endpoint, struct cv_err *err);
/* It listens there: each name that stands for it says so; the usual one is made if there is none. */
CV_MUST cv_code cv_pki_clients_mend(const struct cv_pki_paths *paths, struct cv_str endpoint,
	struct cv_buf *said, struct cv_err *err);

/* The server's certificate gets those of the names that it lacks; its key and its other names stay.
 * *ret_is_new: it is another one.  CV_NOT_FOUND: `init` did not make it, or its authority is gone. */
CV_MUST cv_code cv_pki_server_names(
	int state_fd, const struct cv_str *names, size_t n, bool *ret_is_new, struct cv_err *err);

/* A new signing key beside the one before it. */
CV_MUST cv_code cv_pki_rotate(const struct cv_pki_paths *paths, struct cv_err *err);

/* The signing keys of a state directory; the first is that which signs, and its PEM is appended to
 * ret_pem.  Made when there is none (a gateway without TLS needs no init).  *ret_is_lost: there had been
 * one, of which the public half is left: tokens that it signed are good no longer. */
CV_MUST cv_code cv_pki_signing_keys(int state_fd, struct cv_jwks *ret, struct cv_buf *ret_pem,
	bool *ret_is_lost, struct cv_err *err);
