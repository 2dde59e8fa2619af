/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ssh_key.c - a host key for each sandbox: Ed25519, made when it is first needed
 *
 * Kept in the state directory, ssh/ID (0600, as ssh-keygen
 * writes one: libssh 0.10 reads the private half of PKCS#8 and forgets the public one), beside what
 * the sandbox can see and never in it; removed with the sandbox.  Every process that serves the
 * sandbox gets a copy in a memfd.
 */
#include "gateway/ssh_int.h"

#include "base/base64.h"
#include "base/sha256.h"
#include "gateway/state.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/random.h>

#define KEY_DIR   "ssh"
#define RAW_BYTES 32
#define PEM_MAX   4096
#define LINE      70 /* characters of base64, as ssh-keygen breaks them */

#define PEM_BEGIN CV_STR("-----BEGIN OPENSSH PRIVATE KEY-----\n")
#define PEM_END   CV_STR("-----END OPENSSH PRIVATE KEY-----\n")

/* The public key as RFC 8709, 4 has it on the wire: this, then 32 bytes. */
#define BLOB_HEAD "\0\0\0\x0bssh-ed25519\0\0\0\x20"
/* A file of OpenSSH (its PROTOCOL.key) that holds one key in the clear: this, then the blob. */
#define FILE_HEAD  "openssh-key-v1\0\0\0\0\4none\0\0\0\4none\0\0\0\0\0\0\0\1\0\0\0\x33"

#define LITERAL(s) ((struct cv_str){ (s), sizeof(s) - 1 })

/* ---- the file ---- */

static void private_put(struct cv_buf *b, const char *seed, const char *public)
{
	char check[4];

	(void)!getrandom(check, sizeof(check), 0); /* of no use but to readers of encrypted ones */
	cv_buf_put(b, LITERAL("\0\0\0\x88"));      /* 136 bytes, padding and all */
	cv_buf_put(b, (struct cv_str){ check, sizeof(check) });
	cv_buf_put(b, (struct cv_str){ check, sizeof(check) });
	cv_buf_put(b, LITERAL(BLOB_HEAD));
	cv_buf_put(b, (struct cv_str){ public, RAW_BYTES });
	cv_buf_put(b, LITERAL("\0\0\0\x40"));
	cv_buf_put(b, (struct cv_str){ seed, RAW_BYTES });
	cv_buf_put(b, (struct cv_str){ public, RAW_BYTES });
	cv_buf_put(b, LITERAL("\0\0\0\0\1\2\3\4\5")); /* no comment; padding to 8 */
}

static void text_put(struct cv_buf *b, struct cv_str bytes)
{
	struct cv_buf text;

	cv_buf_init(&text, PEM_MAX);
	cv_buf_put_base64(&text, bytes, CV_BASE64_STD);
	cv_buf_put(b, PEM_BEGIN);
	for (struct cv_str rest = cv_buf_str(&text); rest.n;) {
		const size_t n = CV_MIN(rest.n, (size_t)LINE);

		cv_buf_put(b, cv_str_slice(rest, 0, n));
		cv_buf_put_byte(b, '\n');
		rest = cv_str_slice(rest, n, rest.n);
	}
	cv_buf_put(b, PEM_END);
	cv_buf_wipe(&text);
}

static cv_code key_make(int dir, const char *id, struct cv_buf *ret, struct cv_err *err)
{
	unsigned char seed[RAW_BYTES], public[RAW_BYTES];
	size_t seed_n = sizeof(seed), public_n = sizeof(public);
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct cv_buf bytes;

	const bool is_made = key && EVP_PKEY_get_raw_private_key(key, seed, &seed_n) == 1 &&
			     EVP_PKEY_get_raw_public_key(key, public, &public_n) == 1;
	EVP_PKEY_free(key);
	if (!is_made)
		return cv_fail(err, CV_SYSTEM, "make a host key");
	cv_buf_init(&bytes, PEM_MAX);
	cv_buf_put(&bytes, LITERAL(FILE_HEAD));
	cv_buf_put(&bytes, LITERAL(BLOB_HEAD));
	cv_buf_put(&bytes, (struct cv_str){ (const char *)public, RAW_BYTES });
	private_put(&bytes, (const char *)seed, (const char *)public);
	explicit_bzero(seed, sizeof(seed));
	text_put(ret, cv_buf_str(&bytes));
	cv_buf_wipe(&bytes);
	return cv_gw_file_write(dir, id, cv_buf_str(ret), 0600, err);
}

/* The blob of the public key in a file of ours; appended. */
static bool blob_get(struct cv_str text, struct cv_buf *ret)
{
	struct cv_buf joined, bytes;

	cv_buf_init(&joined, PEM_MAX);
	cv_buf_init(&bytes, PEM_MAX);
	while (text.n) {
		const struct cv_str line = cv_str_cut(&text, '\n');

		if (line.n && line.p[0] != '-')
			cv_buf_put(&joined, line);
	}
	const size_t head = sizeof(FILE_HEAD) - 1, blob = sizeof(BLOB_HEAD) - 1 + RAW_BYTES;
	const bool is_one = cv_base64_decode(cv_buf_str(&joined), CV_BASE64_STD, &bytes) &&
			    cv_buf_len(&bytes) > head + blob &&
			    cv_str_has_prefix(cv_buf_str(&bytes), LITERAL(FILE_HEAD BLOB_HEAD));
	if (is_one)
		cv_buf_put(ret, cv_str_slice(cv_buf_str(&bytes), head, head + blob));
	cv_buf_wipe(&joined);
	cv_buf_wipe(&bytes);
	return is_one;
}

/* As ssh-keygen -l says it. */
static cv_code fingerprint_of(
	struct cv_str file, char ret[SSH_FINGERPRINT_BYTES], struct cv_err *err)
{
	uint8_t digest[CV_SHA256_BYTES];
	struct cv_buf blob, text;
	struct cv_sha256 sha;

	cv_buf_init(&blob, PEM_MAX);
	const bool is_one = blob_get(file, &blob);
	cv_sha256_init(&sha);
	cv_sha256_update(&sha, blob.data, cv_buf_len(&blob));
	cv_sha256_final(&sha, digest);
	cv_buf_fini(&blob);
	if (!is_one)
		return cv_fail(err, CV_INVALID, "the host key's file holds no key of ours");
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

/* ---- the key of a sandbox ---- */

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
