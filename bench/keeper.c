/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.c - what it takes to ask the keeper: a credential released, a request refused, a leaf
 *
 * The real cove-keeper, confined as in a run, with one provider, asked over a socket pair as the proxy
 * asks it.  In turns with a child that only sends each message back: two changes of process and two
 * messages, which no keeper could do without.  Usage: bench_keeper KEEPER [ROUNDS]
 */
#include "base/arena.h"
#include "cred/set.h"
#include "ipc/keeper_link.h"
#include "sys/fd.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TURN = 200 }; /* of one subject, before the next has its turn */

static char message[CV_IPC_BODY_BYTES_MAX + 8];

static void must(bool is_well, const char *what)
{
	if (is_well)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int secrets_make(void)
{
	static uint16_t port = 443;
	struct cv_cred_binding bound = {
		.host = CV_STR("api.example.test"), .ports = &port, .port_count = 1
	};
	struct cv_cred_provider provider = { CV_STR("bench"), CV_STR("bench"), &bound, 1 };
	struct cv_cred cred = { .key = CV_STR("BENCH_KEY"),
		.placeholder = CV_STR("p-bench"),
		.value = CV_STR("bench-value-0123456789abcdef"),
		.refresh = CV_CRED_NONE };
	struct cv_cred_set set;
	struct cv_err err;
	struct cv_buf b;
	int fd;

	cv_cred_set_init(&set);
	set.providers = &provider;
	set.creds = &cred;
	set.provider_count = set.cred_count = 1;
	cv_buf_init(&b, 1 << 20);
	must(cv_cred_set_write(&set, &b, &err) == CV_OK, "cv_cred_set_write");
	must(cv_ipc_memfd("secrets", cv_buf_str(&b), &fd, &err) == CV_OK, "memfd");
	return fd;
}

/* The proxy's end of a running keeper's link; its catalog is read. */
static int keeper_start(const char *path)
{
	int control[2], proxy[2];
	struct cv_err err;
	struct cv_buf b;

	must(cv_ipc_pair(control, &err) == CV_OK && cv_ipc_pair(proxy, &err) == CV_OK, "pair");
	if (fork() == 0) {
		dup2(control[1], CV_KEEPER_CONTROL_FD);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	close(control[1]);
	const int secrets = secrets_make();
	cv_buf_init(&b, 256);
	cv_ipc_put_str(&b, CV_STR("bench"));
	must(cv_ipc_send(control[0], CV_KEEPER_CONTROL_SECRETS, CV_STR_NONE, &secrets, 1, &err) ==
				CV_OK &&
			cv_ipc_send(control[0], CV_KEEPER_CONTROL_START, cv_buf_str(&b), &proxy[1],
				1, &err) == CV_OK,
		"the keeper does not start");
	close(proxy[1]);
	must(recv(control[0], message, sizeof(message), 0) > 8, "no CA");
	must(recv(proxy[0], message, sizeof(message), 0) > 8, "no catalog");
	return proxy[0];
}

static int echo_start(void)
{
	int pair[2];
	struct cv_err err;

	must(cv_ipc_pair(pair, &err) == CV_OK, "pair");
	if (fork() == 0) {
		ssize_t n;

		close(pair[0]);
		while ((n = recv(pair[1], message, sizeof(message), 0)) > 0)
			if (send(pair[1], message, (size_t)n, 0) < 0)
				break;
		_exit(0);
	}
	close(pair[1]);
	return pair[0];
}

static void release_put(struct cv_buf *b, struct cv_str host)
{
	const struct cv_keeper_release ask = { .tag = 7,
		.host = host,
		.method = CV_STR("GET"),
		.path = CV_STR("/v1/items"),
		.port = 443,
		.count = 1 };

	must(cv_keeper_release_put(b, &ask), "release");
}

static void leaf_put(struct cv_buf *b)
{
	unsigned char *der = NULL;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	const int n = i2d_PUBKEY(key, &der);

	cv_ipc_put_u32(b, 7);
	cv_ipc_put_str(b, CV_STR("api.example.test"));
	must(cv_ipc_put_str(b, (struct cv_str){ (char *)der, (size_t)n }), "leaf");
}

struct subject {
	const char *name;
	int link;
	uint32_t type, want; /* want: of the reply */
	struct cv_buf body;
	uint32_t *ns;
};

static void turn(struct subject *s, size_t at)
{
	struct cv_err err;
	uint32_t type;

	for (size_t i = 0; i < TURN; i++) {
		const int64_t start = now_ns();
		must(cv_ipc_send(s->link, s->type, cv_buf_str(&s->body), NULL, 0, &err) == CV_OK,
			"send");
		must(recv(s->link, message, sizeof(message), 0) > 8, "no answer");
		s->ns[at + i] = (uint32_t)(now_ns() - start);
		memcpy(&type, message, sizeof(type));
		must(type == s->want, "another answer than the one that was to come");
	}
}

static int less(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	must(argc >= 2, "usage: bench_keeper KEEPER [ROUNDS]");
	const size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 100;
	const int keeper = keeper_start(argv[1]);
	struct subject s[] = {
		{ .name = "a message and back",
			.link = echo_start(),
			.type = CV_KEEPER_REQ_RELEASE,
			.want = CV_KEEPER_REQ_RELEASE },
		{ .name = "a credential",
			.link = keeper,
			.type = CV_KEEPER_REQ_RELEASE,
			.want = CV_KEEPER_REPLY_RELEASED },
		{ .name = "refused: another host",
			.link = keeper,
			.type = CV_KEEPER_REQ_RELEASE,
			.want = CV_KEEPER_REPLY_REFUSED },
		{ .name = "a leaf",
			.link = keeper,
			.type = CV_KEEPER_REQ_LEAF,
			.want = CV_KEEPER_REPLY_LEAF_CERT },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(s); i++) {
		cv_buf_init(&s[i].body, 4096);
		s[i].ns = calloc(rounds * TURN, sizeof(uint32_t));
		must(s[i].ns, "memory");
	}
	release_put(&s[0].body, CV_STR("api.example.test"));
	release_put(&s[1].body, CV_STR("api.example.test"));
	release_put(&s[2].body, CV_STR("evil.example.test"));
	leaf_put(&s[3].body);
	for (size_t r = 0; r < rounds; r++)
		for (size_t i = 0; i < CV_ARRAY_LEN(s); i++)
			turn(&s[i], r * TURN);
	printf("| round trip | p50 us | p99 us |\n|---|---|---|\n");
	for (size_t i = 0; i < CV_ARRAY_LEN(s); i++) {
		qsort(s[i].ns, rounds * TURN, sizeof(uint32_t), less);
		printf("| %s | %.1f | %.1f |\n", s[i].name, s[i].ns[rounds * TURN / 2] / 1e3,
			s[i].ns[rounds * TURN * 99 / 100] / 1e3);
	}
	return 0;
}
