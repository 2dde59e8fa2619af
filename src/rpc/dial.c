/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial.c - see dial.h
 *
 * Addresses are tried one after another, each with its share of what is left of the time: a host
 * whose IPv6 leads nowhere is still reached.  TLS is 1.2 or newer and must agree on h2.
 */
#include "rpc/dial_int.h"
#include "sys/clock.h"

#include "sys/fd.h"
#include "tls/fail.h"
#include "wire/url.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#define KEEPALIVE_IDLE_S     30 /* a stream may be silent for hours; a host that died is noticed */
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_COUNT      4

/* RFC 7301 section 3.2; OpenSSL's own name for it is younger than Ubuntu 24.04's. */
#define ALERT_NO_APPLICATION_PROTOCOL (SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL)

/* ---- connecting ---- */

bool cv_rpc_dial_wait(int fd, short events, int64_t until_ms)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = events };
		const int64_t left = until_ms - cv_clock_ms();

		if (left < 0)
			return false;
		const int n = poll(&p, 1, (int)CV_MIN(left, (int64_t)60000));
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}

static void options_set(int fd)
{
	static const struct {
		int level, name, value;
	} option[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(option);
		i++) /* without one of them it is only slower */
		(void)setsockopt(fd, option[i].level, option[i].name, &option[i].value,
			sizeof(option[i].value));
}

/* A connected socket; -1 with errno. */
static int address_try(const struct addrinfo *a, int64_t until_ms)
{
	CV_AUTO_FD int fd =
		socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	int reason = 0;
	socklen_t n = sizeof(reason);

	if (fd < 0)
		return -1;
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return cv_take_fd(fd);
	if (errno != EINPROGRESS)
		return -1;
	if (!cv_rpc_dial_wait(fd, POLLOUT, until_ms)) {
		errno = ETIMEDOUT;
		return -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &n) < 0)
		return -1;
	if (reason) {
		errno = reason;
		return -1;
	}
	return cv_take_fd(fd);
}

static cv_code connect_fail(const char *where, int timeout_ms, struct cv_err *err)
{
	if (errno == ECONNREFUSED)
		return cv_fail(err, CV_UNAVAILABLE, "nobody listens at %s", where);
	if (errno == ETIMEDOUT)
		return cv_fail(
			err, CV_UNAVAILABLE, "no answer from %s within %d ms", where, timeout_ms);
	return cv_fail(err, CV_UNAVAILABLE, "cannot reach %s: %s", where, strerror(errno));
}

static cv_code connect_to(const struct cv_authority *to, const char *where, int timeout_ms,
	int64_t until_ms, int *ret_fd, struct cv_err *err)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (to->host.is_ip ? AI_NUMERICHOST : 0),
	};
	struct addrinfo *found, *a;
	int count = 0, fd = -1, reason = EADDRNOTAVAIL;
	char port[8];

	snprintf(port, sizeof(port), "%u", to->port);
	const int rc = getaddrinfo(to->host.text, port, &hints, &found);
	if (rc)
		return cv_fail(err, CV_UNAVAILABLE, "cannot find the address of %s: %s",
			to->host.text, rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
	for (a = found; a; a = a->ai_next)
		count++;
	for (a = found; a && fd < 0; a = a->ai_next, count--) {
		const int64_t now = cv_clock_ms();

		fd = address_try(a, now + (until_ms - now) / count);
		/* the first address is the one that a person means */
		if (fd < 0 && (a == found || reason == EADDRNOTAVAIL))
			reason = errno;
	}
	freeaddrinfo(found);
	errno = reason;
	if (fd < 0)
		return connect_fail(where, timeout_ms, err);
	options_set(fd);
	*ret_fd = fd;
	return CV_OK;
}

/* ---- TLS ---- */

/* An encrypted key is refused; the library would ask for its password on the terminal. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return 0;
}

static cv_code file_fail(struct cv_err *err, const char *what, const char *path)
{
	(void)cv_tls_fail(err, path);
	err->code = CV_INVALID;
	return cv_wrap(err, "%s", what);
}

static cv_code files_use(SSL_CTX *ctx, const struct cv_rpc_endpoint *e, struct cv_err *err)
{
	if (e->ca_path && SSL_CTX_load_verify_locations(ctx, e->ca_path, NULL) != 1)
		return file_fail(err, "read the trusted authority", e->ca_path);
	if (!e->ca_path && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return cv_tls_fail(err, "read the system's trusted authorities");
	if (!e->cert_path)
		return CV_OK;
	const char *key_path = e->key_path ? e->key_path : e->cert_path;
	if (SSL_CTX_use_certificate_chain_file(ctx, e->cert_path) != 1)
		return file_fail(err, "read the client certificate", e->cert_path);
	if (SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM) != 1)
		return file_fail(err, "read the client certificate's key", key_path);
	return CV_OK;
}

static cv_code ctx_make(
	const struct cv_rpc_endpoint *e, struct cv_rpc_dialled *d, struct cv_err *err)
{
	static const unsigned char h2[] = "\x02h2", h1[] = "\x08http/1.1";
	const unsigned char *alpn = e->tunnel_token ? h1 : h2;
	const unsigned alpn_n = e->tunnel_token ? sizeof(h1) - 1 : sizeof(h2) - 1;

	d->ctx = SSL_CTX_new(TLS_client_method());
	if (!d->ctx || SSL_CTX_set_min_proto_version(d->ctx, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_alpn_protos(d->ctx, alpn, alpn_n) != 0)
		return cv_tls_fail(err, "set up TLS");
	SSL_CTX_set_default_passwd_cb(d->ctx, no_password);
	SSL_CTX_set_mode(
		d->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(d->ctx, e->is_insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	d->has_certificate = e->cert_path != NULL;
	return files_use(d->ctx, e, err);
}

/* SSL_set_tlsext_host_name() without its cast, which drops a const. */
static long sni_set(SSL *ssl, const char *host)
{
	return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
		(void *)(uintptr_t)host);
}

/* The server asks for a certificate: the one that was set, or none, is shown. */
static int asked(SSL *ssl, void *arg)
{
	struct cv_rpc_dialled *d = SSL_get_app_data(ssl);

	(void)arg;
	if (d)
		d->was_asked = true;
	return 1;
}

/* The library's own way to a socket is write(), which raises SIGPIPE when the server has gone; a
 * client in a pipeline wants that signal for its own output, and not for this. */
static int socket_of(BIO *bio)
{
	return (int)(intptr_t)BIO_get_data(bio);
}

static int socket_write(BIO *bio, const char *p, int n)
{
	const ssize_t sent = send(socket_of(bio), p, (size_t)n, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)sent;
}

static int socket_read(BIO *bio, char *p, int n)
{
	const ssize_t got = recv(socket_of(bio), p, (size_t)n, 0);

	BIO_clear_retry_flags(bio);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	return (int)got;
}

static long socket_ctrl(BIO *bio, int what, long n, void *arg)
{
	(void)bio, (void)n, (void)arg;
	return what == BIO_CTRL_FLUSH || what == BIO_CTRL_PUSH || what == BIO_CTRL_POP;
}

/* A BIO on the dialled socket; NULL: no memory.  Made for the life of the process, once. */
static BIO *bio_make(struct cv_rpc_dialled *d)
{
	static BIO_METHOD *method;
	BIO *bio;

	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "cove socket");
		if (!method || !BIO_meth_set_write(method, socket_write) ||
			!BIO_meth_set_read(method, socket_read) ||
			!BIO_meth_set_ctrl(method, socket_ctrl))
			return NULL;
	}
	bio = BIO_new(method);
	if (bio) {
		BIO_set_data(bio, (void *)(intptr_t)d->fd);
		BIO_set_init(bio, 1);
	}
	return bio;
}

static cv_code ssl_make(struct cv_rpc_dialled *d, const struct cv_host *name, struct cv_err *err)
{
	d->ssl = SSL_new(d->ctx);
	BIO *bio = d->ssl ? bio_make(d) : NULL;
	if (!bio)
		return cv_tls_fail(err, "set up TLS");
	SSL_set_bio(d->ssl, bio, bio);
	SSL_set_app_data(d->ssl, d);
	SSL_set_cert_cb(d->ssl, asked, NULL);
	SSL_set_hostflags(d->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	const bool is_set =
		name->is_ip ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(d->ssl), name->text) == 1
			    : SSL_set1_host(d->ssl, name->text) == 1 &&
				      sni_set(d->ssl, name->text) == 1;
	return is_set ? CV_OK : cv_tls_fail(err, "set up TLS");
}

/* The server's answer to the certificate that we showed, or did not. */
static bool is_about_our_certificate(int reason)
{
	switch (reason) {
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED: return true;
	default: return false;
	}
}

/* What the library said last, about a connection that can't go on. */
static cv_code tls_broken(const struct cv_rpc_dialled *d, int sys, struct cv_err *err)
{
	const unsigned long e = ERR_peek_error();
	const int reason = ERR_GET_REASON(e);
	const char *text = ERR_reason_error_string(e);

	ERR_clear_error();
	if (is_about_our_certificate(reason) && !d->has_certificate)
		return cv_fail(err, CV_DENIED, "%s asks for a client certificate: %s", d->where,
			text ? text : "none was shown");
	if (is_about_our_certificate(reason))
		return cv_fail(err, CV_DENIED, "%s does not accept our client certificate: %s",
			d->where, text ? text : "refused");
	if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST)
		return cv_fail(err, CV_UNAVAILABLE,
			"%s does not speak TLS: is it http:// instead of https://?", d->where);
	if (reason == ALERT_NO_APPLICATION_PROTOCOL)
		return cv_fail(err, CV_UNAVAILABLE, "%s is not an HTTP/2 server", d->where);
	if (!e && !sys)
		return cv_fail(err, CV_UNAVAILABLE, "%s closed the connection", d->where);
	return cv_fail(err, CV_UNAVAILABLE, "the connection to %s broke: %s", d->where,
		e && text ? text : strerror(sys));
}

static cv_code handshake_fail(
	const struct cv_rpc_dialled *d, const struct cv_host *name, int sys, struct cv_err *err)
{
	const long verify = SSL_get_verify_result(d->ssl);

	if (verify == X509_V_OK || SSL_get_verify_mode(d->ssl) == SSL_VERIFY_NONE)
		return tls_broken(d, sys, err);
	ERR_clear_error();
	if (verify == X509_V_ERR_HOSTNAME_MISMATCH || verify == X509_V_ERR_IP_ADDRESS_MISMATCH)
		return cv_fail(err, CV_DENIED, "the certificate of %s is not for %s", d->where,
			name->text);
	return cv_fail(err, CV_DENIED, "the certificate of %s is not trusted: %s", d->where,
		X509_verify_cert_error_string(verify));
}

static cv_code handshake(struct cv_rpc_dialled *d, const struct cv_host *name, bool must_be_h2,
	int timeout_ms, int64_t until_ms, struct cv_err *err)
{
	const unsigned char *chosen;
	unsigned n;

	for (;;) {
		ERR_clear_error();
		errno = 0;
		const int rc = SSL_connect(d->ssl), sys = errno;
		if (rc == 1)
			break;
		const int want = SSL_get_error(d->ssl, rc);
		if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
			return handshake_fail(d, name, want == SSL_ERROR_SYSCALL ? sys : 0, err);
		if (!cv_rpc_dial_wait(
			    d->fd, want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until_ms))
			return cv_fail(err, CV_UNAVAILABLE, "%s did not finish TLS within %d ms",
				d->where, timeout_ms);
	}
	SSL_set_app_data(d->ssl, NULL); /* d moves to the caller */
	SSL_get0_alpn_selected(d->ssl, &chosen, &n);
	if (must_be_h2 && !cv_str_eq((struct cv_str){ (const char *)chosen, n }, CV_STR("h2")))
		return cv_fail(err, CV_UNAVAILABLE, "%s is not an HTTP/2 server", d->where);
	return CV_OK;
}

/* ---- the whole ---- */

static cv_code endpoint_read(const struct cv_rpc_endpoint *e, struct cv_url *ret_url,
	struct cv_host *ret_name, struct cv_err *err)
{
	enum cv_host_rc host_rc = CV_HOST_OK;
	const enum cv_url_rc rc = cv_url_parse(e->url, ret_url, &host_rc);

	if (rc != CV_URL_OK)
		return cv_fail(err, CV_INVALID, "the endpoint \"%.*s\": %s", CV_STR_ARG(e->url),
			rc == CV_URL_AUTHORITY ? cv_host_rc_text(host_rc) : cv_url_rc_text(rc));
	if (ret_url->path.n > 1 || ret_url->query.p)
		return cv_fail(err, CV_INVALID,
			"the endpoint \"%.*s\" has more than a host and a port",
			CV_STR_ARG(e->url));
	*ret_name = ret_url->authority.host;
	if (!e->server_name)
		return CV_OK;
	host_rc = cv_host_parse_bare(cv_str_of(e->server_name), ret_name);
	if (host_rc != CV_HOST_OK)
		return cv_fail(err, CV_INVALID, "the server name \"%s\": %s", e->server_name,
			cv_host_rc_text(host_rc));
	return CV_OK;
}

static void where_write(struct cv_rpc_dialled *d, const struct cv_authority *a)
{
	snprintf(d->where, sizeof(d->where), a->host.is_ip6 ? "[%s]:%u" : "%s:%u", a->host.text,
		a->port);
}

/* As a Host field: without the scheme's own port. */
static void host_write(char ret[static CV_RPC_WHERE_BYTES], const struct cv_url *url)
{
	const struct cv_authority *a = &url->authority;
	char port[8] = "";

	if (a->port != (url->is_https ? 443 : 80))
		snprintf(port, sizeof(port), ":%u", a->port);
	snprintf(ret, CV_RPC_WHERE_BYTES, a->host.is_ip6 ? "[%s]%s" : "%s%s", a->host.text, port);
}

cv_code cv_rpc_dial(const struct cv_rpc_endpoint *e, int timeout_ms, struct cv_rpc_dialled *ret,
	struct cv_err *err)
{
	struct cv_rpc_dialled d = { .fd = -1 };
	char host[CV_RPC_WHERE_BYTES];
	struct cv_host name;
	struct cv_url url;

	cv_code code = endpoint_read(e, &url, &name, err);
	if (code != CV_OK)
		return code;
	where_write(&d, &url.authority);
	if (url.is_https)
		code = ctx_make(e, &d, err);
	const int64_t until_ms =
		cv_clock_ms() + timeout_ms; /* the files above cost the server nothing */
	if (code == CV_OK)
		code = connect_to(&url.authority, d.where, timeout_ms, until_ms, &d.fd, err);
	if (code == CV_OK && url.is_https)
		code = ssl_make(&d, &name, err);
	if (code == CV_OK && url.is_https)
		code = handshake(&d, &name, !e->tunnel_token, timeout_ms, until_ms, err);
	if (code == CV_OK && e->tunnel_token) {
		host_write(host, &url);
		code = cv_rpc_tunnel_dial(&d, e, host, until_ms, err);
	}
	if (code == CV_OK)
		*ret = d;
	else
		cv_rpc_dialled_close(&d);
	return code;
}

void cv_rpc_dialled_close(struct cv_rpc_dialled *d)
{
	cv_rpc_tunnel_close(d);
	if (d->ssl && d->fd >= 0 && SSL_is_init_finished(d->ssl))
		(void)SSL_shutdown(d->ssl); /* our half; nobody waits for theirs */
	SSL_free(d->ssl);
	SSL_CTX_free(d->ctx);
	if (d->fd >= 0)
		close(d->fd);
	ERR_clear_error();
	*d = (struct cv_rpc_dialled){ .fd = -1 };
}

cv_code cv_rpc_dialled_why(const struct cv_rpc_dialled *d, struct cv_err *err)
{
	if (!d->was_asked || err->code == CV_DENIED)
		return err->code;
	if (!d->has_certificate)
		return cv_fail(err, CV_DENIED,
			"%s asks for a client certificate, and none was given", d->where);
	return cv_fail(err, CV_DENIED,
		"%s closed the connection, perhaps for our client certificate", d->where);
}

static cv_code plain_end(struct cv_rpc_dialled *d, ssize_t n, size_t *ret, struct cv_err *err)
{
	*ret = n > 0 ? (size_t)n : 0;
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return CV_OK;
	if (n == 0)
		return cv_fail(err, CV_UNAVAILABLE, "%s closed the connection", d->where);
	return cv_fail(
		err, CV_UNAVAILABLE, "the connection to %s broke: %s", d->where, strerror(errno));
}

static cv_code tls_end(struct cv_rpc_dialled *d, int rc, int sys, struct cv_err *err)
{
	const int want = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(d->ssl, rc);

	d->wants_read = want == SSL_ERROR_WANT_READ;
	d->wants_write = want == SSL_ERROR_WANT_WRITE;
	if (rc == 1 || d->wants_read || d->wants_write)
		return CV_OK;
	if (want == SSL_ERROR_ZERO_RETURN)
		return cv_fail(err, CV_UNAVAILABLE, "%s closed the connection", d->where);
	return tls_broken(d, want == SSL_ERROR_SYSCALL ? sys : 0, err);
}

cv_code cv_rpc_raw_read(
	struct cv_rpc_dialled *d, void *to, size_t n, size_t *ret, struct cv_err *err)
{
	*ret = 0;
	if (!d->ssl)
		return plain_end(d, recv(d->fd, to, n, 0), ret, err);
	ERR_clear_error();
	errno = 0;
	const int rc = SSL_read_ex(d->ssl, to, n, ret);
	return tls_end(d, rc, errno, err);
}

cv_code cv_rpc_raw_write(struct cv_rpc_dialled *d, struct cv_str s, size_t *ret, struct cv_err *err)
{
	*ret = 0;
	if (!d->ssl)
		return plain_end(d, send(d->fd, s.p, s.n, MSG_NOSIGNAL), ret, err);
	ERR_clear_error();
	errno = 0;
	const int rc = SSL_write_ex(d->ssl, s.p, s.n, ret);
	return tls_end(d, rc, errno, err);
}

cv_code cv_rpc_dialled_read(
	struct cv_rpc_dialled *d, void *to, size_t n, size_t *ret, struct cv_err *err)
{
	return d->tunnel ? cv_rpc_tunnel_read(d, to, n, ret, err)
			 : cv_rpc_raw_read(d, to, n, ret, err);
}

cv_code cv_rpc_dialled_write(
	struct cv_rpc_dialled *d, struct cv_str s, size_t *ret, struct cv_err *err)
{
	return d->tunnel ? cv_rpc_tunnel_write(d, s, ret, err) : cv_rpc_raw_write(d, s, ret, err);
}
