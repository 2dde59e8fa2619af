/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh_key.c - a host key for each sandbox: Ed25519, made when it is first needed
 *
 * Kept in the state directory, ssh/ID (0600, PKCS#8 PEM), beside what the sandbox can see and never
 * in it; removed with the sandbox.  Every process that serves the sandbox gets a copy in a memfd.
 */
#include "gateway/ssh_int.h"

#include "base/base64.h"
#include "base/sha256.h"
#include "gateway/state.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#define KEY_DIR   "ssh"
#define KEY_BYTES 32
#define PEM_MAX   4096

static cv_code pem_write(EVP_PKEY *key, struct cv_buf *ret, struct cv_err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	cv_code code = CV_OK;

	if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		code = cv_fail(err, CV_SYSTEM, "write a host key");
	const long n = code == CV_OK ? BIO_get_mem_data(bio, &text) : 0;
	if (n > 0) {
		cv_buf_put(ret, (struct cv_str){ text, (size_t)n });
		explicit_bzero(text, (size_t)n);
	}
	BIO_free(bio);
	return code;
}

static cv_code key_make(int dir, const char *id, struct cv_buf *pem, struct cv_err *err)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	cv_code code = key ? pem_write(key, pem, err) : cv_fail(err, CV_SYSTEM, "make a host key");

	EVP_PKEY_free(key);
	return code == CV_OK ? cv_gw_file_write(dir, id, cv_buf_str(pem), 0600, err) : code;
}

/* As ssh-keygen -l says it: of the public key as RFC 8709, 4 has it on the wire. */
static cv_code fingerprint_of(
	struct cv_str pem, char ret[SSH_FINGERPRINT_BYTES], struct cv_err *err)
{
	static const uint8_t head[] = { 0, 0, 0, 11, 's', 's', 'h', '-', 'e', 'd', '2', '5', '5',
		'1', '9', 0, 0, 0, KEY_BYTES };
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	uint8_t raw[KEY_BYTES], digest[CV_SHA256_BYTES];
	size_t n = sizeof(raw);
	struct cv_sha256 sha;
	struct cv_buf text;

	const bool is_read =
		key && EVP_PKEY_get_raw_public_key(key, raw, &n) == 1 && n == sizeof(raw);
	EVP_PKEY_free(key);
	BIO_free(bio);
	if (!is_read)
		return cv_fail(err, CV_INVALID, "the host key can't be read");
	cv_sha256_init(&sha);
	cv_sha256_update(&sha, head, sizeof(head));
	cv_sha256_update(&sha, raw, sizeof(raw));
	cv_sha256_final(&sha, digest);
	cv_buf_init(&text, SSH_FINGERPRINT_BYTES);
	cv_buf_put(&text, CV_STR("SHA256:"));
	cv_buf_put_base64(
		&text, (struct cv_str){ (const char *)digest, sizeof(digest) }, CV_BASE64_STD);
	struct cv_str s = cv_buf_str(&text);
	while (s.n && s.p[s.n - 1] == '=')
		s.n--;
	memcpy(ret, s.p, s.n);
	ret[s.n] = '\0';
	cv_buf_fini(&text);
	return CV_OK;
}

cv_code ssh_key(struct cv_gateway *g, const char *id, struct cv_buf *pem,
	char fingerprint[SSH_FINGERPRINT_BYTES], struct cv_err *err)
{
	CV_AUTO_FD int dir = -1;
	struct cv_buf own;
	cv_code code = cv_gw_dir_open_at(g->state_fd, KEY_DIR, &dir, err);

	if (code != CV_OK)
		return code;
	cv_buf_init(&own, PEM_MAX);
	code = cv_gw_file_read(dir, id, &own, err);
	if (code == CV_NOT_FOUND)
		code = key_make(dir, id, &own, err);
	if (code == CV_OK)
		code = fingerprint_of(cv_buf_str(&own), fingerprint, err);
	if (code == CV_OK && pem)
		cv_buf_put(pem, cv_buf_str(&own));
	cv_buf_wipe(&own);
	return code;
}

void ssh_key_remove(struct cv_gateway *g, const char *id)
{
	CV_AUTO_FD int dir =
		openat(g->state_fd, KEY_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir >= 0)
		(void)unlinkat(dir, id, 0);
}
