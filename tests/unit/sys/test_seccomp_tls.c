/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_seccomp_tls.c - OpenSSL beneath the PROXY and KEEPER filters, which kill
 *
 * Goal: no call that the C library or OpenSSL makes late, at the first handshake, the first key or
 * the first large allocation, is missing from the lists.
 *
 * Method: a child makes a CA, confines itself, and only then does for the first time what the
 * program does: keys, leaves, TLS 1.2 and 1.3 handshakes with verification and resumption over
 * memory and sockets, megabytes through them, errors, large sorts.  Death by SIGSYS is the failure.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "sys/seccomp.h"

#define BULK_BYTES (4 << 20)

#define MUST(e)                                                                 \
	do {                                                                    \
		if (!(e)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #e); \
			ERR_print_errors_fp(stderr);                            \
			_exit(1);                                               \
		}                                                               \
	} while (0)

struct identity {
	EVP_PKEY *key;
	X509 *cert;
};

/* A certificate for subject, signed by ca (or itself). */
static struct identity make_identity(const char *subject, const struct identity *ca)
{
	struct identity id = { EVP_EC_gen("P-256"), X509_new() };
	X509_NAME *name = X509_NAME_new();
	X509V3_CTX ctx;

	MUST(id.key && id.cert && name);
	MUST(X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)subject, -1, -1, 0));
	MUST(X509_set_version(id.cert, 2));
	MUST(ASN1_INTEGER_set(X509_get_serialNumber(id.cert), ca ? 2 : 1));
	MUST(X509_gmtime_adj(X509_getm_notBefore(id.cert), -60));
	MUST(X509_gmtime_adj(X509_getm_notAfter(id.cert), 3600));
	MUST(X509_set_subject_name(id.cert, name));
	MUST(X509_set_issuer_name(id.cert, ca ? X509_get_subject_name(ca->cert) : name));
	MUST(X509_set_pubkey(id.cert, id.key));
	X509V3_set_ctx(&ctx, ca ? ca->cert : id.cert, id.cert, NULL, NULL, 0);
	X509_EXTENSION *ext =
		X509V3_EXT_conf_nid(NULL, &ctx, ca ? NID_subject_alt_name : NID_basic_constraints,
			ca ? "DNS:leaf.test" : "critical,CA:TRUE");

	MUST(ext && X509_add_ext(id.cert, ext, -1));
	MUST(X509_sign(id.cert, ca ? ca->key : id.key, EVP_sha256()));
	X509_EXTENSION_free(ext);
	X509_NAME_free(name);
	return id;
}

static void enter(enum cv_seccomp_profile p)
{
	struct cv_err err = { 0 };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(cv_seccomp_install(p, NULL, &err) == CV_OK);
}

static int compare_longs(const void *a, const void *b)
{
	const long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* What a C library does on its own account. */
static void stress_libc(void)
{
	static long many[1 << 18];
	struct stat st;
	struct rlimit rl;
	struct timespec ts = { .tv_nsec = 1000 };
	void *big = malloc(64 << 20), *small[64];

	MUST(big && (big = realloc(big, 128 << 20)));
	memset(big, 1, 1 << 20);
	free(big);
	for (size_t i = 0; i < 64; i++)
		MUST((small[i] = malloc(100000)));
	for (size_t i = 0; i < 64; i++)
		free(small[i]);
	malloc_trim(0);
	for (size_t i = 0; i < sizeof(many) / sizeof(*many); i++)
		many[i] = (long)(i * 2654435761u % 1000003);
	qsort(many, sizeof(many) / sizeof(*many), sizeof(*many), compare_longs);
	MUST(mlock(many, 4096) == 0 || errno == ENOMEM || errno == EPERM);
	munlock(many, 4096);
	MUST(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	MUST(fstat(2, &st) == 0);
	MUST(clock_gettime(CLOCK_MONOTONIC, &ts) == 0 && time(NULL) > 0);
	nanosleep(&(struct timespec){ .tv_nsec = 1000 }, NULL);
	signal(SIGUSR1, SIG_IGN);
	fprintf(stderr, "%s", "");
	MUST(open("/etc/passwd", O_RDONLY) == -1 && errno == EPERM);
}

static SSL_CTX *context(const SSL_METHOD *m, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(m);

	MUST(ctx && SSL_CTX_set_min_proto_version(ctx, version) &&
		SSL_CTX_set_max_proto_version(ctx, version));
	return ctx;
}

/* Both ends of a connection, driven in turn until both are through. */
static SSL_SESSION *handshake(
	SSL_CTX *server_ctx, SSL_CTX *client_ctx, SSL_SESSION *old, int fds[2])
{
	SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
	static unsigned char out[16384], in[16384];
	size_t sent = 0, received = 0;
	int a = 0, b = 0;

	MUST(server && client && SSL_set_fd(server, fds[0]) && SSL_set_fd(client, fds[1]));
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	char name[] = "leaf.test"; /* OpenSSL's macro casts its const away */
	MUST(SSL_set1_host(client, name) && SSL_set_tlsext_host_name(client, name));
	if (old)
		MUST(SSL_set_session(client, old));
	while (a != 1 || b != 1) {
		if (b != 1 && (b = SSL_do_handshake(client)) != 1)
			MUST(SSL_get_error(client, b) == SSL_ERROR_WANT_READ);
		if (a != 1 && (a = SSL_do_handshake(server)) != 1)
			MUST(SSL_get_error(server, a) == SSL_ERROR_WANT_READ);
	}
	MUST(SSL_get_verify_result(client) == X509_V_OK);
	MUST(!old || SSL_session_reused(client));
	while (received < BULK_BYTES) {
		int n = sent < BULK_BYTES ? SSL_write(server, out, sizeof(out)) : 0;

		sent += n > 0 ? (size_t)n : 0;
		while ((n = SSL_read(client, in, sizeof(in))) > 0)
			received += (size_t)n;
	}
	SSL_SESSION *session = SSL_get1_session(client);

	SSL_shutdown(client);
	SSL_shutdown(server);
	SSL_free(client);
	SSL_free(server);
	return session;
}

static void relay_tls(
	int version, const struct identity *ca, const struct identity *leaf, int fds[2][2])
{
	SSL_CTX *server = context(TLS_server_method(), version);
	SSL_CTX *client = context(TLS_client_method(), version);

	MUST(SSL_CTX_use_certificate(server, leaf->cert) &&
		SSL_CTX_use_PrivateKey(server, leaf->key));
	MUST(X509_STORE_add_cert(SSL_CTX_get_cert_store(client), ca->cert));
	SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL);
	SSL_SESSION *first = handshake(server, client, NULL, fds[0]);
	SSL_SESSION *second = handshake(server, client, first, fds[1]);

	SSL_SESSION_free(first);
	SSL_SESSION_free(second);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
}

/* The proxy dials, listens on nothing, waits in epoll and moves bytes between sockets. */
static void use_network(void)
{
	const struct sockaddr_storage any = { .ss_family = AF_INET };
	const int one = 1;
	int pipes[2];
	struct epoll_event ev = { .events = EPOLLIN };
	const int loop = epoll_create1(EPOLL_CLOEXEC),
		  timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	const int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const int tcp = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage self;
	socklen_t self_bytes = sizeof(self);

	MUST(loop >= 0 && timer >= 0 && udp >= 0 && (tcp >= 0 || errno == EAFNOSUPPORT));
	MUST(eventfd(0, EFD_CLOEXEC) >= 0);
	MUST(bind(udp, (const struct sockaddr *)&any, sizeof(struct sockaddr_in)) == 0);
	MUST(getsockname(udp, (struct sockaddr *)&self, &self_bytes) == 0);
	MUST(setsockopt(udp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	MUST(connect(udp, (const struct sockaddr *)&self, self_bytes) == 0);
	MUST(send(udp, "x", 1, MSG_NOSIGNAL) == 1);
	MUST(epoll_ctl(loop, EPOLL_CTL_ADD, udp, &ev) == 0 && epoll_wait(loop, &ev, 1, 1000) == 1);
	MUST(pipe2(pipes, O_CLOEXEC | O_NONBLOCK) == 0 &&
		fcntl(pipes[0], F_SETPIPE_SZ, 1 << 16) > 0);
	MUST(splice(udp, NULL, pipes[1], NULL, 1, SPLICE_F_NONBLOCK) == 1 || errno == EINVAL);
	MUST(poll(&(struct pollfd){ udp, POLLOUT, 0 }, 1, 0) == 1);
	close(tcp);
}

/* A confined process does its work, with nothing of OpenSSL warmed up but the parts that load from
 * files: libraries read their configuration once, before. */
static void work(enum cv_seccomp_profile profile)
{
	const struct identity ca = make_identity("test CA", NULL);
	unsigned char *der = NULL, random[64];
	int fds[4][2]; /* a pair for each connection; later, AF_UNIX sockets cannot be made */

	for (size_t i = 0; i < 4; i++)
		MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]) == 0);
	MUST(OPENSSL_init_ssl(
		OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL));
	enter(profile);

	stress_libc();
	MUST(RAND_bytes(random, sizeof(random)) == 1 &&
		RAND_priv_bytes(random, sizeof(random)) == 1);
	const struct identity leaf = make_identity("leaf.test", &ca);
	const int der_bytes = i2d_X509(leaf.cert, &der);
	const unsigned char *p = der;
	X509 *parsed = der_bytes > 0 ? d2i_X509(NULL, &p, der_bytes) : NULL;

	MUST(parsed && X509_verify(parsed, ca.key) == 1);
	p = random; /* garbage: the path of errors */
	MUST(!d2i_X509(NULL, &p, sizeof(random)));
	MUST(ERR_reason_error_string(ERR_peek_last_error()));
	ERR_clear_error();
	if (profile == CV_SECCOMP_PROXY) {
		use_network();
		relay_tls(TLS1_2_VERSION, &ca, &leaf, fds);
		relay_tls(TLS1_3_VERSION, &ca, &leaf, fds + 2);
	}
	exit(0); /* with what libraries do at exit */
}

/* TAP by hand: cmocka cannot be linked statically, and these two must be. */
static bool survives(enum cv_seccomp_profile profile)
{
	int status = -1;
	const pid_t pid = fork();

	if (pid == 0)
		work(profile);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (WIFSIGNALED(status))
		printf("# killed by signal %d%s\n", WTERMSIG(status),
			WTERMSIG(status) == SIGSYS ? ": a system call is missing (strace -f)" : "");
	return status == 0;
}

int main(void)
{
	static const struct {
		enum cv_seccomp_profile profile;
		const char *name;
	} tests[] = {
		{ CV_SECCOMP_PROXY, "proxy_does_tls" },
		{ CV_SECCOMP_KEEPER, "keeper_signs_leaves" },
	};
	bool is_good = true;

	setvbuf(stdout, NULL, _IONBF, 0);
	puts("1..2");
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		const bool ok = survives(tests[i].profile);

		printf("%s %zu - %s\n", ok ? "ok" : "not ok", i + 1, tests[i].name);
		is_good &= ok;
	}
	return is_good ? 0 : 1;
}
