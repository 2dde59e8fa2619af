/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - slots of names and addresses; see names.h
 *
 * Slot s (from 0) has the addresses base + s + 1.  Finding the name of an address is arithmetic;
 * finding the slot of a name walks a hash chain.  The table grows by doubling, so that a sandbox
 * that asks for three names pays for sixteen slots.
 */
#include "proxy/names.h"

#include "base/assert.h"

#include <stdlib.h>

#define HOST_BYTES_MAX 253
#define SLOTS_FIRST    16
#define NO_SLOT        UINT32_MAX

static const unsigned char base4[16] = { [10] = 0xff, 0xff, 198, 18, 0, 0 };
static const unsigned char base6[16] = { 0xfd, 0x23, 0x6f, 0x70, 0x65, 0x6e };
#define BITS4 111 /* 96 + 15 */
#define BITS6 48

struct slot {
	int64_t used_ms;
	uint32_t next; /* in the chain of its hash */
	unsigned char n;
	char host[HOST_BYTES_MAX];
};

struct cv_names {
	struct slot *slots;
	uint32_t *chain; /* heads, cap of them */
	uint32_t count, cap;
};

cv_code cv_names_new(struct cv_names **ret, struct cv_err *err)
{
	struct cv_names *n = calloc(1, sizeof(*n));

	if (!n)
		return cv_fail(err, CV_LIMIT, "no memory for names");
	*ret = n;
	return CV_OK;
}

void cv_names_free(struct cv_names *n)
{
	if (!n)
		return;
	free(n->slots);
	free(n->chain);
	free(n);
}

/* FNV-1a; an attacker who finds collisions slows only his own sandbox's DNS, by CV_NAMES_MAX. */
static uint32_t hash_of(struct cv_str s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 16777619u;
	return h;
}

static struct cv_str host_of(const struct slot *s)
{
	return (struct cv_str){ s->host, s->n };
}

static void chain_link(struct cv_names *n, uint32_t at)
{
	uint32_t *head = &n->chain[hash_of(host_of(&n->slots[at])) % n->cap];

	n->slots[at].next = *head;
	*head = at;
}

static void chain_unlink(struct cv_names *n, uint32_t at)
{
	uint32_t *link = &n->chain[hash_of(host_of(&n->slots[at])) % n->cap];

	while (*link != at)
		link = &n->slots[*link].next;
	*link = n->slots[at].next;
}

static bool grow(struct cv_names *n)
{
	const uint32_t cap = n->cap ? n->cap * 2 : SLOTS_FIRST;
	struct slot *slots = realloc(n->slots, cap * sizeof(*slots));

	if (slots)
		n->slots = slots;
	uint32_t *chain = slots ? realloc(n->chain, cap * sizeof(*chain)) : NULL;
	if (!chain)
		return false;
	n->chain = chain;
	n->cap = cap;
	for (uint32_t i = 0; i < cap; i++)
		n->chain[i] = NO_SLOT;
	for (uint32_t i = 0; i < n->count; i++)
		chain_link(n, i);
	return true;
}

static uint32_t slot_find(const struct cv_names *n, struct cv_str host)
{
	uint32_t at = n->cap ? n->chain[hash_of(host) % n->cap] : NO_SLOT;

	while (at != NO_SLOT && !cv_str_eq(host_of(&n->slots[at]), host))
		at = n->slots[at].next;
	return at;
}

/* A free slot, or the one used longest ago if its answer has expired everywhere. */
static uint32_t slot_take(struct cv_names *n, int64_t now_ms)
{
	uint32_t oldest = 0;

	if (n->count < CV_NAMES_MAX)
		return n->count < n->cap || grow(n) ? n->count++ : NO_SLOT;
	for (uint32_t i = 1; i < n->count; i++)
		if (n->slots[i].used_ms < n->slots[oldest].used_ms)
			oldest = i;
	if (now_ms - n->slots[oldest].used_ms <= CV_NAMES_TTL_S * 1000)
		return NO_SLOT;
	chain_unlink(n, oldest);
	return oldest;
}

static struct cv_ip address_of(const unsigned char base[16], uint32_t slot)
{
	unsigned char b[16];
	const uint32_t number = slot + 1;
	struct cv_ip ip;

	memcpy(b, base, 16);
	b[14] = (unsigned char)(number >> 8);
	b[15] = (unsigned char)number;
	const bool is_made = cv_ip_from_bytes(b, 16, &ip);
	cv_assert(is_made);
	return ip;
}

cv_code cv_names_assign(struct cv_names *n, struct cv_str host, int64_t now_ms,
	struct cv_ip *ret_ip4, struct cv_ip *ret_ip6, struct cv_err *err)
{
	if (!host.n || host.n > HOST_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "not a host name");
	uint32_t at = slot_find(n, host);
	if (at == NO_SLOT) {
		at = slot_take(n, now_ms);
		if (at == NO_SLOT)
			return cv_fail(err, CV_LIMIT, "more than %d names within %d seconds",
				CV_NAMES_MAX, CV_NAMES_TTL_S);
		n->slots[at].n = (unsigned char)host.n;
		memcpy(n->slots[at].host, host.p, host.n);
		chain_link(n, at);
	}
	n->slots[at].used_ms = now_ms;
	*ret_ip4 = address_of(base4, at);
	*ret_ip6 = address_of(base6, at);
	return CV_OK;
}

static bool has_prefix(const struct cv_ip *ip, const unsigned char base[16], unsigned bits)
{
	const unsigned bytes = bits / 8, rest = bits % 8;
	const unsigned char mask = (unsigned char)(0xff00u >> rest);

	return memcmp(ip->b, base, bytes) == 0 && ((ip->b[bytes] ^ base[bytes]) & mask) == 0;
}

bool cv_names_is_synthetic(const struct cv_ip *ip)
{
	return has_prefix(ip, base4, BITS4) || has_prefix(ip, base6, BITS6);
}

struct cv_str cv_names_find(struct cv_names *n, const struct cv_ip *ip, int64_t now_ms)
{
	if (!cv_names_is_synthetic(ip))
		return CV_STR_NONE;
	const uint32_t at = ((uint32_t)ip->b[14] << 8 | ip->b[15]) - 1;
	if (at >= n->count)
		return CV_STR_NONE;
	const struct cv_ip want = address_of(ip->is_v4 ? base4 : base6, at);
	if (!cv_ip_eq(&want, ip))
		return CV_STR_NONE;
	n->slots[at].used_ms = now_ms;
	return host_of(&n->slots[at]);
}
