/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pki_signing.c - the keys that sign tokens: Ed25519, one that signs and the one before it
 */
#include "gateway/pki_int.h"

#include "base/hex.h"
#include "sys/fd.h"
#include "tls/fail.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <unistd.h>

static void key_cleanup(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}

static cv_code public_write(int dir, const char *name, EVP_PKEY *key, struct cv_err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	cv_code code;

	if (!bio || PEM_write_bio_PUBKEY(bio, key) != 1)
		code = cv_tls_fail(err, "write a public key");
	else
		code = pki_bio_write(dir, name, bio, err);
	BIO_free(bio);
	return code;
}

/* The same key has the same id, in whatever file it is. */
static bool kid_of(EVP_PKEY *key, char ret[CV_JWT_KID_BYTES_MAX])
{
	unsigned char raw[32], digest[32];
	struct cv_buf hex;
	size_t n = sizeof(raw);
	bool is_done;

	if (EVP_PKEY_get_raw_public_key(key, raw, &n) != 1 ||
		EVP_Digest(raw, n, digest, NULL, EVP_sha256(), NULL) != 1)
		return false;
	cv_buf_init(&hex, 64);
	is_done = cv_buf_put_hex(&hex, (struct cv_str){ (char *)digest, 16 }) &&
		  cv_str_to_cstr(cv_buf_str(&hex), ret, CV_JWT_KID_BYTES_MAX);
	cv_buf_fini(&hex);
	return is_done;
}

static cv_code signing_write(int jwt, EVP_PKEY *key, struct cv_err *err)
{
	char kid[CV_JWT_KID_BYTES_MAX];
	cv_code code;

	if (!kid_of(key, kid))
		return cv_tls_fail(err, "name the signing key");
	code = public_write(jwt, "public.pem", key, err);
	if (code == CV_OK)
		code = cv_gw_file_write(jwt, "kid", cv_str_of(kid), 0600, err);
	if (code == CV_OK) /* last: who reads takes the rest from it */
		code = pki_key_write(jwt, "signing.pem", key, err);
	return code;
}

static cv_code signing_make(int jwt, struct cv_err *err)
{
	CV_AUTO(key_cleanup) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	return key ? signing_write(jwt, key, err) : cv_tls_fail(err, "make a signing key");
}

static cv_code key_add(struct cv_jwks *keys, struct cv_str pem, bool is_private, struct cv_err *err)
{
	struct cv_jwt_key *k = &keys->key[keys->n];
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);

	k->alg = CV_JWT_EDDSA;
	k->pkey = !bio         ? NULL
		  : is_private ? PEM_read_bio_PrivateKey(bio, NULL, pki_no_passphrase, NULL)
			       : PEM_read_bio_PUBKEY(bio, NULL, pki_no_passphrase, NULL);
	BIO_free(bio);
	if (!k->pkey)
		return cv_tls_fail(err, "read a signing key");
	keys->n++;
	if (!EVP_PKEY_is_a(k->pkey, "ED25519") || !kid_of(k->pkey, k->kid))
		return cv_fail(err, CV_INVALID, "a signing key is not of Ed25519");
	return CV_OK;
}

static cv_code keys_read(
	int jwt, struct cv_jwks *ret, struct cv_buf *ret_pem, bool *ret_is_lost, struct cv_err *err)
{
	AUTO_BUF before;
	cv_code code;

	cv_buf_init(&before, CV_GW_FILE_BYTES_MAX);
	code = cv_gw_file_read(jwt, "signing.pem", ret_pem, err);
	if (code == CV_NOT_FOUND) {
		*ret_is_lost = faccessat(jwt, "public.pem", F_OK, 0) == 0;
		code = signing_make(jwt, err);
		if (code == CV_OK)
			code = cv_gw_file_read(jwt, "signing.pem", ret_pem, err);
	}
	if (code == CV_OK)
		code = key_add(ret, cv_buf_str(ret_pem), true, err);
	if (code != CV_OK)
		return code;
	code = cv_gw_file_read(jwt, "previous.pem", &before, err);
	if (code == CV_NOT_FOUND)
		return CV_OK;
	return code == CV_OK ? key_add(ret, cv_buf_str(&before), false, err) : code;
}

cv_code cv_pki_signing_keys(int state_fd, struct cv_jwks *ret, struct cv_buf *ret_pem,
	bool *ret_is_lost, struct cv_err *err)
{
	CV_AUTO_FD int tls = -1, jwt = -1;
	cv_code code = cv_gw_dir_open_at(state_fd, "tls", &tls, err);

	ret->n = 0;
	*ret_is_lost = false;
	if (code == CV_OK)
		code = cv_gw_dir_open_at(tls, "jwt", &jwt, err);
	if (code == CV_OK)
		code = keys_read(jwt, ret, ret_pem, ret_is_lost, err);
	if (code != CV_OK)
		cv_jwks_fini(ret);
	return code;
}

cv_code cv_pki_rotate(const struct cv_pki_paths *paths, struct cv_err *err)
{
	CV_AUTO_FD int state = -1, tls = -1, jwt = -1;
	AUTO_BUF pem;
	struct cv_jwks keys = { .n = 0 };
	bool is_lost;
	cv_code code = cv_gw_dir_open(paths->state, &state, err);

	cv_buf_init(&pem, CV_GW_FILE_BYTES_MAX);
	if (code == CV_OK)
		code = cv_pki_signing_keys(state, &keys, &pem, &is_lost, err);
	if (code == CV_OK)
		code = cv_gw_dir_open_at(state, "tls", &tls, err);
	if (code == CV_OK)
		code = cv_gw_dir_open_at(tls, "jwt", &jwt, err);
	if (code == CV_OK)
		code = public_write(jwt, "previous.pem", keys.key[0].pkey, err);
	if (code == CV_OK)
		code = signing_make(jwt, err);
	cv_jwks_fini(&keys);
	return code;
}
