/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.h - addresses of names that policy allowed
 *
 * In order: pins of the run (--resolve), an address itself, the host's hosts file, then the
 * host's name servers by a stub resolver of our own: UDP with a random id and port, TCP when the
 * answer was cut, the next server after a while.  Answers are kept for their time to live,
 * within bounds.  Nothing here decides whether an address may be dialled.
 */
#pragma once
#include "plan/limits.h"
#include "proxy/limits.h"
#include "sys/loop.h"
#include "wire/dns.h"
#include "wire/host.h"
#include "wire/resolvconf.h"

struct cv_pin {
	struct cv_host host;
	uint16_t port;
	struct cv_ip ip;
};

enum cv_lookup_state { CV_LOOKUP_FREE, CV_LOOKUP_PENDING, CV_LOOKUP_FOUND, CV_LOOKUP_FAILED };

struct cv_lookup_half { /* one of A and AAAA */
	uint16_t id;
	bool is_done, is_failed;
	enum cv_dns_outcome outcome;
};

struct cv_lookup {
	enum cv_lookup_state state;
	uint32_t gen;
	struct cv_name name;
	int64_t used_ms, expires_ms; /* FOUND, FAILED */
	struct cv_ip ip[CV_DNS_ADDRS_MAX];
	uint8_t ip_count;
	const char *failure; /* FAILED: why; static */

	/* PENDING */
	int fd; /* -1: none */
	bool is_tcp;
	bool is_connected; /* TCP: the queries were sent */
	uint8_t tries;
	int64_t next_ms;
	uint32_t ttl_s;
	struct cv_lookup_half half[2]; /* A, AAAA */
	uint8_t *tcp_in;               /* malloc'd while TCP is used */
	uint32_t tcp_n;
};

struct cv_resolver {
	struct cv_loop *loop; /* borrowed */
	uint8_t watch_kind;
	struct cv_resolvconf conf;
	struct cv_str hosts; /* borrowed */
	struct cv_pin pin[CV_PLAN_PINS_MAX];
	size_t pin_count;
	size_t pending_count;
	bool has_news; /* some lookup ended: look again */
	struct cv_lookup lookup[CV_PROXY_LOOKUPS_MAX];
};

struct cv_addresses {
	struct cv_ip ip[CV_DNS_ADDRS_MAX];
	size_t n;
	const char *failure; /* n is 0: why */
};

/* True: *ret holds the addresses, or why there are none.  False: ask again when has_news. */
bool cv_resolver_get(
	struct cv_resolver *r, const struct cv_host *host, uint16_t port, struct cv_addresses *ret);

/* A socket of the lookup can be read or written. */
void cv_resolver_event(struct cv_resolver *r, struct cv_ref ref, uint32_t events);
void cv_resolver_sweep(struct cv_resolver *r); /* time passed */
