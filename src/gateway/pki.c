/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pki.c - see pki.h
 *
 * Everything is made in memory first and then written, each file whole: what fails in between
 * leaves a directory that the next init calls partly filled, and no half of a key.
 *
 * Names become part of OpenSSL's extension syntax, in which commas and colons have a meaning: they
 * are judged byte by byte before.
 */
#include "gateway/pki.h"

#include "base/hex.h"
#include "base/ip.h"
#include "gateway/labels.h"
#include "sys/fd.h"
#include "tls/fail.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#define SERIAL_BYTES   16                 /* RFC 5280 section 4.1.2.2: at most 20 */
#define BACKDATE_S     3600               /* clients' clocks */
#define CERT_S         (825L * 24 * 3600) /* the longest that clients of Apple take for a server */
#define CA_S           (3650L * 24 * 3600)
#define SAN_BYTES_MAX  16384
#define HOST_BYTES_MAX 253

struct pair { /* a certificate and its key */
	EVP_PKEY *key;
	X509 *cert;
};

static void pair_cleanup(struct pair *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->cert);
}

static void pkey_cleanup(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}

static void buf_wipe_cleanup(struct cv_buf *b)
{
	cv_buf_wipe(b);
}
#define AUTO_BUF CV_AUTO(buf_wipe_cleanup) struct cv_buf

/* ---- certificates ---- */

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

/* usage: of a leaf, extendedKeyUsage; NULL: an authority, which signs itself.  ret->key: one that is
 * there already, or NULL. */
static cv_code pair_make(const struct pair *issuer, const char *cn, const char *usage,
	const char *sans, struct pair *ret, struct cv_err *err)
{
	const time_t now = time(NULL);
	struct pair p = { ret->key ? ret->key : EVP_EC_gen("P-256"), X509_new() };
	const struct pair *by = usage ? issuer : &p;
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
		pair_cleanup(&p);
		ret->key = NULL;
		return cv_tls_fail(err, "make a certificate");
	}
	*ret = p;
	return CV_OK;
}

/* ---- names of the server ---- */

static bool is_host(struct cv_str s)
{
	if (cv_str_has_prefix(s, CV_STR("*.")))
		s = cv_str_slice(s, 2, s.n);
	if (!s.n || s.n > HOST_BYTES_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		const char c = cv_ascii_lower(s.p[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
			return false;
	}
	return true;
}

static cv_code san_add(struct cv_buf *b, struct cv_str name, struct cv_err *err)
{
	struct cv_ip ip;
	const bool is_ip = cv_ip_parse(name, &ip);

	if (!is_ip && !is_host(name))
		return cv_fail(err, CV_INVALID, "'%.*s' is neither a host name nor an address",
			CV_STR_ARG(cv_str_slice(name, 0, 100)));
	cv_buf_printf(
		b, "%s%s:%.*s", cv_buf_len(b) ? "," : "", is_ip ? "IP" : "DNS", CV_STR_ARG(name));
	return CV_OK;
}

static cv_code sans_make(const struct cv_pki_request *q, struct cv_buf *b, struct cv_err *err)
{
	static const char *const always[] = { "localhost", "127.0.0.1", "::1",
		"*.openshell.localhost", "*.cove.localhost" };
	char host[HOST_BYTES_MAX + 1] = "";
	cv_code code = CV_OK;

	for (size_t i = 0; i < CV_ARRAY_LEN(always) && code == CV_OK; i++)
		code = san_add(b, cv_str_of(always[i]), err);
	if (gethostname(host, sizeof(host) - 1) == 0 && is_host(cv_str_of(host)) &&
		strcmp(host, "localhost") != 0 && code == CV_OK)
		code = san_add(b, cv_str_of(host), err);
	for (size_t i = 0; i < q->san_count && code == CV_OK; i++)
		code = san_add(b, q->san[i], err);
	cv_buf_put_byte(b, 0);
	return code == CV_OK && b->is_overflown ? cv_fail(err, CV_LIMIT, "too many names") : code;
}

/* ---- files ---- */

static cv_code bio_write(int dir, const char *name, BIO *bio, struct cv_err *err)
{
	char *p = NULL;
	const long n = BIO_get_mem_data(bio, &p);

	return n > 0 ? cv_gw_file_write(dir, name, (struct cv_str){ p, (size_t)n }, 0600, err)
		     : cv_tls_fail(err, "write PEM");
}

static cv_code key_write(int dir, const char *name, EVP_PKEY *key, struct cv_err *err)
{
	BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when it is freed */
	cv_code code;

	if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		code = cv_tls_fail(err, "write a key");
	else
		code = bio_write(dir, name, bio, err);
	BIO_free(bio);
	return code;
}

static cv_code cert_write(int dir, const char *name, X509 *cert, struct cv_err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	cv_code code;

	if (!bio || PEM_write_bio_X509(bio, cert) != 1)
		code = cv_tls_fail(err, "write a certificate");
	else
		code = bio_write(dir, name, bio, err);
	BIO_free(bio);
	return code;
}

static cv_code public_write(int dir, const char *name, EVP_PKEY *key, struct cv_err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	cv_code code;

	if (!bio || PEM_write_bio_PUBKEY(bio, key) != 1)
		code = cv_tls_fail(err, "write a public key");
	else
		code = bio_write(dir, name, bio, err);
	BIO_free(bio);
	return code;
}

/* dir/name/{tls.crt,tls.key}, and ca.crt where clients want it beside. */
static cv_code pair_write(
	int dir, const char *name, const struct pair *p, X509 *ca, struct cv_err *err)
{
	CV_AUTO_FD int fd = -1;
	cv_code code = cv_gw_dir_open_at(dir, name, &fd, err);

	if (code == CV_OK && ca)
		code = cert_write(fd, "ca.crt", ca, err);
	if (code == CV_OK)
		code = cert_write(fd, "tls.crt", p->cert, err);
	if (code == CV_OK)
		code = key_write(fd, "tls.key", p->key, err);
	return code;
}

/* ---- signing keys ---- */

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
		code = key_write(jwt, "signing.pem", key, err);
	return code;
}

static cv_code signing_make(int jwt, struct cv_err *err)
{
	CV_AUTO(pkey_cleanup) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	return key ? signing_write(jwt, key, err) : cv_tls_fail(err, "make a signing key");
}

static int no_passphrase(char *buf, int size, int is_write, void *arg)
{
	(void)buf, (void)size, (void)is_write, (void)arg;
	return -1;
}

static cv_code key_add(struct cv_jwks *keys, struct cv_str pem, bool is_private, struct cv_err *err)
{
	struct cv_jwt_key *k = &keys->key[keys->n];
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);

	k->alg = CV_JWT_EDDSA;
	k->pkey = !bio         ? NULL
		  : is_private ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)
			       : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (!k->pkey)
		return cv_tls_fail(err, "read a signing key");
	keys->n++;
	if (!EVP_PKEY_is_a(k->pkey, "ED25519") || !kid_of(k->pkey, k->kid))
		return cv_fail(err, CV_INVALID, "a signing key is not of Ed25519");
	return CV_OK;
}

static cv_code keys_read(int jwt, struct cv_jwks *ret, struct cv_buf *ret_pem, struct cv_err *err)
{
	AUTO_BUF before;
	cv_code code;

	cv_buf_init(&before, CV_GW_FILE_BYTES_MAX);
	code = cv_gw_file_read(jwt, "signing.pem", ret_pem, err);
	if (code == CV_NOT_FOUND) {
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

cv_code cv_pki_signing_keys(
	int state_fd, struct cv_jwks *ret, struct cv_buf *ret_pem, struct cv_err *err)
{
	CV_AUTO_FD int tls = -1, jwt = -1;
	cv_code code = cv_gw_dir_open_at(state_fd, "tls", &tls, err);

	ret->n = 0;
	if (code == CV_OK)
		code = cv_gw_dir_open_at(tls, "jwt", &jwt, err);
	if (code == CV_OK)
		code = keys_read(jwt, ret, ret_pem, err);
	if (code != CV_OK)
		cv_jwks_fini(ret);
	return code;
}

cv_code cv_pki_rotate(const struct cv_pki_paths *paths, struct cv_err *err)
{
	CV_AUTO_FD int state = -1, tls = -1, jwt = -1;
	AUTO_BUF pem;
	struct cv_jwks keys = { .n = 0 };
	cv_code code = cv_gw_dir_open(paths->state, &state, err);

	cv_buf_init(&pem, CV_GW_FILE_BYTES_MAX);
	if (code == CV_OK)
		code = cv_pki_signing_keys(state, &keys, &pem, err);
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

/* ---- init ---- */

static const char *const wanted[] = { "ca.crt", "ca.key", "server/tls.crt", "server/tls.key",
	"client/tls.crt", "client/tls.key" };

static cv_code tls_look(int tls, size_t *ret_there, struct cv_err *err)
{
	char missing[256] = "";
	size_t there = 0;

	for (size_t i = 0; i < CV_ARRAY_LEN(wanted); i++) {
		if (faccessat(tls, wanted[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			there++;
		else if (!missing[0])
			snprintf(missing, sizeof(missing), "%s", wanted[i]);
	}
	if (there && there < CV_ARRAY_LEN(wanted))
		return cv_fail(err, CV_INVALID,
			"the tls directory is partly filled (%s is missing): remove it to start "
			"anew, or put back what was there",
			missing);
	*ret_there = there;
	return CV_OK;
}

static cv_code tls_make(const struct cv_pki_request *q, int tls, struct cv_err *err)
{
	CV_AUTO(pair_cleanup) struct pair ca = { NULL }, server = { NULL }, client = { NULL };
	AUTO_BUF sans;
	cv_code code;

	cv_buf_init(&sans, SAN_BYTES_MAX);
	code = sans_make(q, &sans, err);
	if (code == CV_OK)
		code = pair_make(NULL, "cove gateway authority", NULL, NULL, &ca, err);
	if (code == CV_OK)
		code = pair_make(
			&ca, "cove gateway", "serverAuth", cv_buf_str(&sans).p, &server, err);
	if (code == CV_OK)
		code = pair_make(&ca, "cove-user", "clientAuth", NULL, &client, err);
	if (code == CV_OK)
		code = cert_write(tls, "ca.crt", ca.cert, err);
	if (code == CV_OK)
		code = key_write(tls, "ca.key", ca.key, err);
	if (code == CV_OK)
		code = pair_write(tls, "server", &server, NULL, err);
	if (code == CV_OK)
		code = pair_write(tls, "client", &client, NULL, err);
	return code;
}

static cv_code file_copy(int from, const char *name, int to, const char *as, struct cv_err *err)
{
	AUTO_BUF b;
	cv_code code;

	cv_buf_init(&b, CV_GW_FILE_BYTES_MAX);
	code = cv_gw_file_read(from, name, &b, err);
	return code == CV_OK ? cv_gw_file_write(to, as, cv_buf_str(&b), 0600, err) : code;
}

static cv_code metadata_write(
	const struct cv_pki_request *q, struct cv_str name, int fd, struct cv_err *err)
{
	AUTO_BUF b;

	cv_buf_init(&b, 4096);
	cv_buf_put_byte(&b, '{');
	cv_buf_put_json_member(&b, "name", name);
	cv_buf_printf(&b,
		",\"gateway_endpoint\":\"https://127.0.0.1:%u\",\"is_remote\":false,"
		"\"gateway_port\":%u,\"auth_mode\":\"mtls\"}\n",
		(unsigned)q->port, (unsigned)q->port);
	return cv_gw_file_write(fd, "metadata.json", cv_buf_str(&b), 0600, err);
}

/* The files of one family of clients below root. */
static cv_code client_write(const struct cv_pki_request *q, const char *root, int tls,
	struct cv_buf *said, struct cv_err *err)
{
	CV_AUTO_FD int dir = -1, gateways = -1, own = -1, mtls = -1;
	const struct cv_str name = q->name.n ? q->name : CV_STR("cove");
	cv_code code = cv_gw_dir_open(root, &dir, err);

	if (code == CV_OK)
		code = cv_gw_dir_open_at(dir, "gateways", &gateways, err);
	if (code == CV_OK)
		code = cv_gw_dir_open_at(gateways, name.p, &own, err);
	if (code == CV_OK)
		code = cv_gw_dir_open_at(own, "mtls", &mtls, err);
	if (code == CV_OK)
		code = file_copy(tls, "ca.crt", mtls, "ca.crt", err);
	if (code == CV_OK)
		code = file_copy(tls, "client/tls.crt", mtls, "tls.crt", err);
	if (code == CV_OK)
		code = file_copy(tls, "client/tls.key", mtls, "tls.key", err);
	if (code == CV_OK)
		code = metadata_write(q, name, own, err);
	if (code == CV_OK && faccessat(dir, "active_gateway", F_OK, 0) < 0)
		code = cv_gw_file_write(dir, "active_gateway", name, 0600, err);
	cv_buf_printf(said, "client files: %s/gateways/%s\n", root, name.p);
	return code == CV_OK ? CV_OK : cv_wrap(err, "client files in %s", root);
}

cv_code cv_pki_init(const struct cv_pki_request *q, const struct cv_pki_paths *paths,
	struct cv_buf *said, struct cv_err *err)
{
	CV_AUTO_FD int state = -1, tls = -1;
	AUTO_BUF pem;
	struct cv_jwks keys = { .n = 0 };
	size_t there = 0;
	cv_code code = cv_gw_dir_open(paths->state, &state, err);

	cv_buf_init(&pem, CV_GW_FILE_BYTES_MAX);
	if (code == CV_OK)
		code = cv_gw_dir_open_at(state, "tls", &tls, err);
	if (code == CV_OK)
		code = tls_look(tls, &there, err);
	if (code == CV_OK && !there)
		code = tls_make(q, tls, err);
	if (code == CV_OK)
		code = cv_pki_signing_keys(state, &keys, &pem, err);
	cv_jwks_fini(&keys);
	if (code != CV_OK)
		return code;
	cv_buf_printf(said, "certificates %s: %s/tls\n", there ? "kept" : "made", paths->state);
	code = client_write(q, paths->client, tls, said, err);
	if (code == CV_OK && q->is_compat)
		code = client_write(q, paths->compat, tls, said, err);
	return code;
}

/* ---- a server's names ---- */

static void cert_cleanup(X509 **cert)
{
	X509_free(*cert);
}

static bool has_name(X509 *cert, struct cv_str name)
{
	struct cv_ip ip;
	char text[HOST_BYTES_MAX + 1];

	if (!cv_str_to_cstr(name, text, sizeof(text)))
		return false;
	if (cv_ip_parse(name, &ip))
		return X509_check_ip_asc(cert, text, 0) == 1;
	return X509_check_host(cert, text, name.n, 0, NULL) == 1;
}

static cv_code names_of(X509 *cert, struct cv_buf *b, struct cv_err *err)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	cv_code code = CV_OK;

	for (int i = 0; all && code == CV_OK && i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(all, i);
		const ASN1_STRING *s = n->type == GEN_DNS     ? n->d.dNSName
				       : n->type == GEN_IPADD ? n->d.iPAddress
							      : NULL;
		struct cv_str name = CV_STR_NONE;
		char text[INET6_ADDRSTRLEN];

		if (s)
			name = (struct cv_str){ (const char *)ASN1_STRING_get0_data(s),
				(size_t)ASN1_STRING_length(s) };
		if (n->type == GEN_IPADD && (name.n == 4 || name.n == 16))
			name = cv_str_of(inet_ntop(
				name.n == 4 ? AF_INET : AF_INET6, name.p, text, sizeof(text)));
		if (name.n)
			code = san_add(b, name, err);
	}
	sk_GENERAL_NAME_pop_free(all, GENERAL_NAME_free);
	return code;
}

/* What a file of PEM has: a certificate into *ret_cert, else a key into *ret_key. */
static cv_code pem_read(
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
		*ret_cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	else if (bio)
		*ret_key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (ret_cert ? *ret_cert != NULL : *ret_key != NULL)
		return CV_OK;
	(void)cv_tls_fail(err, "read PEM");
	return cv_wrap(err, "%s", name);
}

static cv_code server_renew(
	int tls, X509 *old, const struct cv_str *names, size_t n, struct cv_err *err)
{
	CV_AUTO(pair_cleanup) struct pair ca = { NULL }, server = { NULL };
	AUTO_BUF sans;
	cv_code code;

	cv_buf_init(&sans, SAN_BYTES_MAX);
	code = names_of(old, &sans, err);
	for (size_t i = 0; i < n && code == CV_OK; i++)
		if (!has_name(old, names[i]))
			code = san_add(&sans, names[i], err);
	cv_buf_put_byte(&sans, 0);
	if (code == CV_OK && sans.is_overflown)
		code = cv_fail(err, CV_LIMIT, "too many names");
	if (code != CV_OK)
		return code;
	if (pem_read(tls, "ca.crt", &ca.cert, NULL, err) != CV_OK ||
		pem_read(tls, "ca.key", NULL, &ca.key, err) != CV_OK ||
		pem_read(tls, "server/tls.key", NULL, &server.key, err) != CV_OK)
		return err->code;
	code = pair_make(&ca, "cove gateway", "serverAuth", cv_buf_str(&sans).p, &server, err);
	if (code != CV_OK)
		return code;
	CV_AUTO_FD int dir = openat(tls, "server", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? cv_fail_errno(err, "server")
		       : cert_write(dir, "tls.crt", server.cert, err);
}

cv_code cv_pki_server_names(
	int state_fd, const struct cv_str *names, size_t n, bool *ret_is_new, struct cv_err *err)
{
	CV_AUTO_FD int tls = openat(state_fd, "tls", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CV_AUTO(cert_cleanup) X509 *old = NULL;
	size_t there = 0;

	*ret_is_new = false;
	if (tls < 0)
		return cv_fail(err, CV_NOT_FOUND, "there is no certificate of `init`");
	cv_code code = pem_read(tls, "server/tls.crt", &old, NULL, err);
	while (code == CV_OK && there < n && has_name(old, names[there]))
		there++;
	if (code != CV_OK || there == n)
		return code;
	code = server_renew(tls, old, names, n, err);
	*ret_is_new = code == CV_OK;
	return code;
}

/* ---- words ---- */

static bool name_is_fine(struct cv_str name)
{
	struct cv_err err;

	return cv_name_check_other("name", name, &err) == CV_RPC_OK && name.p[0] != '.' &&
	       name.n < 128;
}

static cv_code word_set(
	struct cv_pki_request *q, struct cv_str name, struct cv_str value, struct cv_err *err)
{
	uint64_t port;

	if (cv_str_eq(name, CV_STR("--state-dir"))) {
		q->state_dir = value;
	} else if (cv_str_eq(name, CV_STR("--name"))) {
		if (!name_is_fine(value))
			return cv_fail(
				err, CV_INVALID, "a gateway's name is one component of a path");
		q->name = value;
	} else if (cv_str_eq(name, CV_STR("--port"))) {
		if (!cv_str_to_u64(value, UINT16_MAX, &port) || !port)
			return cv_fail(err, CV_INVALID, "--port is 1 to 65535");
		q->port = (uint32_t)port;
	} else if (cv_str_eq(name, CV_STR("--san")) || cv_str_eq(name, CV_STR("--server-san"))) {
		while (value.p) {
			if (q->san_count == CV_PKI_SANS_MAX)
				return cv_fail(err, CV_INVALID, "too many names");
			q->san[q->san_count++] = cv_str_trim(cv_str_cut(&value, ','));
		}
	} else {
		return cv_fail(err, CV_INVALID, "unknown option '%.*s'", CV_STR_ARG(name));
	}
	return CV_OK;
}

cv_code cv_pki_request_parse(int argc, char **argv, struct cv_pki_request *ret, struct cv_err *err)
{
	for (int i = 0; i < argc; i++) {
		struct cv_str value = cv_str_of(argv[i]);
		const struct cv_str name = cv_str_cut(&value, '=');
		cv_code code;

		if (cv_str_eq(name, CV_STR("--compat")) && !value.p) {
			ret->is_compat = true;
			continue;
		}
		if (!value.p && ++i == argc)
			return cv_fail(err, CV_INVALID, "%s needs a value", argv[i - 1]);
		if (!value.p)
			value = cv_str_of(argv[i]);
		code = word_set(ret, name, value, err);
		if (code != CV_OK)
			return code;
	}
	return CV_OK;
}
