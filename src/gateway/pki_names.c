/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pki_names.c - the names for which the server's certificate is
 *
 * They become part of OpenSSL's extension syntax, in which commas and colons have a meaning: they are
 * judged byte by byte before.
 */
#include "gateway/pki_int.h"

#include "base/ip.h"
#include "sys/fd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#define HOST_BYTES_MAX 253

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

cv_code pki_sans_make(const struct cv_pki_request *q, struct cv_buf *b, struct cv_err *err)
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

/* ---- those of a certificate that is there ---- */

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

static cv_code server_renew(
	int tls, X509 *old, const struct cv_str *names, size_t n, struct cv_err *err)
{
	CV_AUTO(pki_pair_cleanup) struct pki_pair ca = { NULL }, server = { NULL };
	AUTO_BUF sans;
	cv_code code;

	cv_buf_init(&sans, PKI_SAN_BYTES_MAX);
	code = names_of(old, &sans, err);
	for (size_t i = 0; i < n && code == CV_OK; i++)
		if (!has_name(old, names[i]))
			code = san_add(&sans, names[i], err);
	cv_buf_put_byte(&sans, 0);
	if (code == CV_OK && sans.is_overflown)
		code = cv_fail(err, CV_LIMIT, "too many names");
	if (code != CV_OK)
		return code;
	if (pki_pem_read(tls, "ca.crt", &ca.cert, NULL, err) != CV_OK ||
		pki_pem_read(tls, "ca.key", NULL, &ca.key, err) != CV_OK ||
		pki_pem_read(tls, "server/tls.key", NULL, &server.key, err) != CV_OK)
		return err->code;
	code = pki_pair_make(&ca, "cove gateway", "serverAuth", cv_buf_str(&sans).p, &server, err);
	if (code != CV_OK)
		return code;
	CV_AUTO_FD int dir = openat(tls, "server", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? cv_fail_errno(err, "server")
		       : pki_cert_write(dir, "tls.crt", server.cert, err);
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
	cv_code code = pki_pem_read(tls, "server/tls.crt", &old, NULL, err);
	while (code == CV_OK && there < n && has_name(old, names[there]))
		there++;
	if (code != CV_OK || there == n)
		return code;
	code = server_renew(tls, old, names, n, err);
	*ret_is_new = code == CV_OK;
	return code;
}
