/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pki_pair.c - a certificate and its key: made in memory, written as files of PEM, read again
 *
 * Keys are P-256; files are 0600, each written whole.
 */
#include "gateway/pki_int.h"

#include "sys/fd.h"
#include "tls/fail.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <time.h>

#define SERIAL_BYTES 16                 /* RFC 5280 section 4.1.2.2: at most 20 */
#define BACKDATE_S   3600               /* clients' clocks */
#define CERT_S       (825L * 24 * 3600) /* the longest that clients of Apple take for a server */
#define CA_S         (3650L * 24 * 3600)

static bool extension_add(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *x;
	bool is_added;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	is_added = x && X509_add_ext(cert, x, -1) == 1;
	X509_EXTENSION_free(x);
	return is_added;
}

static bool serial_set(X509 *cert)
{
	unsigned char bytes[SERIAL_BYTES];
	bool is_set;
	BIGNUM *n;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, of full length */
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	is_set = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
	BN_free(n);
	return is_set;
}

cv_code pki_pair_make(const struct pki_pair *issuer, const char *cn, const char *usage,
	const char *sans, struct pki_pair *ret, struct cv_err *err)
{
	const time_t now = time(NULL);
	struct pki_pair p = { ret->key ? ret->key : EVP_EC_gen("P-256"), X509_new() };
	const struct pki_pair *by = usage ? issuer : &p;
	X509_NAME *name = p.cert ? X509_get_subject_name(p.cert) : NULL;
	const bool is_made =
		p.key && name && X509_set_version(p.cert, X509_VERSION_3) == 1 &&
		serial_set(p.cert) &&
		X509_NAME_add_entry_by_txt(
			name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0) == 1 &&
		X509_set_issuer_name(p.cert, X509_get_subject_name(by->cert)) == 1 &&
		ASN1_TIME_set(X509_getm_notBefore(p.cert), now - BACKDATE_S) &&
		ASN1_TIME_set(X509_getm_notAfter(p.cert), now + (usage ? CERT_S : CA_S)) &&
		X509_set_pubkey(p.cert, p.key) == 1 &&
		extension_add(p.cert, by->cert, NID_basic_constraints,
			usage ? "critical,CA:FALSE" : "critical,CA:TRUE,pathlen:0") &&
		extension_add(p.cert, by->cert, NID_key_usage,
			usage ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign") &&
		extension_add(p.cert, by->cert, NID_subject_key_identifier, "hash") &&
		(!usage ||
			extension_add(p.cert, by->cert, NID_authority_key_identifier, "keyid")) &&
		(!usage || extension_add(p.cert, by->cert, NID_ext_key_usage, usage)) &&
		(!sans || extension_add(p.cert, by->cert, NID_subject_alt_name, sans)) &&
		X509_sign(p.cert, by->key, EVP_sha256());

	if (!is_made) {
		pki_pair_cleanup(&p);
		ret->key = NULL;
		return cv_tls_fail(err, "make a certificate");
	}
	*ret = p;
	return CV_OK;
}

/* ---- files ---- */

cv_code pki_bio_write(int dir, const char *name, BIO *bio, struct cv_err *err)
{
	char *p = NULL;
	const long n = BIO_get_mem_data(bio, &p);

	return n > 0 ? cv_gw_file_write(dir, name, (struct cv_str){ p, (size_t)n }, 0600, err)
		     : cv_tls_fail(err, "write PEM");
}

cv_code pki_key_write(int dir, const char *name, EVP_PKEY *key, struct cv_err *err)
{
	BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when it is freed */
	cv_code code;

	if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		code = cv_tls_fail(err, "write a key");
	else
		code = pki_bio_write(dir, name, bio, err);
	BIO_free(bio);
	return code;
}

cv_code pki_cert_write(int dir, const char *name, X509 *cert, struct cv_err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	cv_code code;

	if (!bio || PEM_write_bio_X509(bio, cert) != 1)
		code = cv_tls_fail(err, "write a certificate");
	else
		code = pki_bio_write(dir, name, bio, err);
	BIO_free(bio);
	return code;
}

cv_code pki_pair_write(int dir, const char *name, const struct pki_pair *p, struct cv_err *err)
{
	CV_AUTO_FD int fd = -1;
	cv_code code = cv_gw_dir_open_at(dir, name, &fd, err);

	if (code == CV_OK)
		code = pki_cert_write(fd, "tls.crt", p->cert, err);
	if (code == CV_OK)
		code = pki_key_write(fd, "tls.key", p->key, err);
	return code;
}

int pki_no_passphrase(char *buf, int size, int is_write, void *arg)
{
	(void)buf, (void)size, (void)is_write, (void)arg;
	return -1;
}

cv_code pki_pem_read(
	int tls, const char *name, X509 **ret_cert, EVP_PKEY **ret_key, struct cv_err *err)
{
	AUTO_BUF pem;
	BIO *bio;

	cv_buf_init(&pem, CV_GW_FILE_BYTES_MAX);
	const cv_code code = cv_gw_file_read(tls, name, &pem, err);
	if (code != CV_OK)
		return code;
	bio = BIO_new_mem_buf(cv_buf_str(&pem).p, (int)cv_buf_len(&pem));
	if (bio && ret_cert)
		*ret_cert = PEM_read_bio_X509(bio, NULL, pki_no_passphrase, NULL);
	else if (bio)
		*ret_key = PEM_read_bio_PrivateKey(bio, NULL, pki_no_passphrase, NULL);
	BIO_free(bio);
	if (ret_cert ? *ret_cert != NULL : *ret_key != NULL)
		return CV_OK;
	(void)cv_tls_fail(err, "read PEM");
	return cv_wrap(err, "%s", name);
}
