/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pki_int.h - certificates with their keys, as pki*.c share them
 *
 *     pki.c          init: the directory, the words of the command
 *     pki_clients.c  clients' files
 *     pki_pair.c     a certificate and its key: made, written, read
 *     pki_names.c    names in the server's certificate
 *     pki_signing.c  keys that sign tokens
 */
#pragma once
#include "gateway/pki.h"

#include <openssl/bio.h>
#include <openssl/x509.h>

#define PKI_SAN_BYTES_MAX 16384

struct pki_pair { /* a certificate and its key */
	EVP_PKEY *key;
	X509 *cert;
};

static inline void pki_pair_cleanup(struct pki_pair *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->cert);
}

static inline void pki_buf_cleanup(struct cv_buf *b)
{
	cv_buf_wipe(b);
}
#define AUTO_BUF CV_AUTO(pki_buf_cleanup) struct cv_buf

/* usage: of a leaf, extendedKeyUsage; NULL: an authority, which signs itself.  sans: in OpenSSL's
 * syntax, or NULL.  ret->key: one that is there already, or NULL. */
CV_MUST cv_code pki_pair_make(const struct pki_pair *issuer, const char *cn, const char *usage,
	const char *sans, struct pki_pair *ret, struct cv_err *err);
/* dir/name/{tls.crt,tls.key}. */
CV_MUST cv_code pki_pair_write(
	int dir, const char *name, const struct pki_pair *p, struct cv_err *err);
CV_MUST cv_code pki_bio_write(int dir, const char *name, BIO *bio, struct cv_err *err);
CV_MUST cv_code pki_key_write(int dir, const char *name, EVP_PKEY *key, struct cv_err *err);
CV_MUST cv_code pki_cert_write(int dir, const char *name, X509 *cert, struct cv_err *err);
/* What a file of PEM has: a certificate into *ret_cert, else a key into *ret_key. */
CV_MUST cv_code pki_pem_read(
	int tls, const char *name, X509 **ret_cert, EVP_PKEY **ret_key, struct cv_err *err);
/* For OpenSSL, which would ask at a terminal. */
int pki_no_passphrase(char *buf, int size, int is_write, void *arg);

/* What the server's certificate is for: always, this host's name, and what was asked; with a NUL. */
CV_MUST cv_code pki_sans_make(const struct cv_pki_request *q, struct cv_buf *b, struct cv_err *err);

/* Clients' files of the name that q asks for.  CV_INVALID: it is another gateway's. */
CV_MUST cv_code pki_clients_check(const struct cv_pki_request *q, const struct cv_pki_paths *paths,
	struct cv_str endpoint, struct cv_err *err);
CV_MUST cv_code pki_clients_write(const struct cv_pki_request *q, const struct cv_pki_paths *paths,
	struct cv_str endpoint, struct cv_buf *said, struct cv_err *err);
