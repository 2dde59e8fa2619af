/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.c - see ring.h
 */
#include "gateway/ring.h"

#include <stdlib.h>
#include <string.h>

#define CAP_FIRST 16

static size_t bytes_of(const struct cv_gw_entry *e)
{
	return sizeof(*e) + e->n;
}

static struct cv_gw_entry *entry_make(size_t n)
{
	struct cv_gw_entry *e = n <= UINT32_MAX ? calloc(1, sizeof(*e) + n) : NULL;

	if (e)
		e->n = (uint32_t)n;
	return e;
}

struct cv_gw_entry *cv_gw_entry_new(struct cv_str packed)
{
	struct cv_gw_entry *e = entry_make(packed.n);

	if (e && packed.n)
		memcpy(e->packed, packed.p, packed.n);
	return e;
}

struct cv_gw_entry *cv_gw_entry_of(const ProtobufCMessage *m)
{
	struct cv_gw_entry *e = entry_make(protobuf_c_message_get_packed_size(m));

	if (e)
		protobuf_c_message_pack(m, (uint8_t *)e->packed);
	return e;
}

static void drop(struct cv_gw_ring *r)
{
	struct cv_gw_entry *e = r->v[r->first++ % r->cap];

	r->bytes -= bytes_of(e);
	free(e);
}

void cv_gw_ring_empty(struct cv_gw_ring *r)
{
	while (r->first < r->next)
		drop(r);
	free(r->v);
	r->v = NULL;
	r->cap = 0;
}

static bool grow(struct cv_gw_ring *r)
{
	const size_t cap = r->cap ? 2 * r->cap : CAP_FIRST;
	struct cv_gw_entry **v = calloc(cap, sizeof(struct cv_gw_entry *));

	if (!v)
		return false;
	for (uint64_t i = r->first; i < r->next; i++)
		v[i % cap] = r->v[i % r->cap];
	free(r->v);
	r->v = v;
	r->cap = cap;
	return true;
}

void cv_gw_ring_put(struct cv_gw_ring *r, struct cv_gw_entry *e)
{
	if (!e)
		return;
	while (r->first < r->next &&
		(r->next - r->first == r->count_max || r->bytes + bytes_of(e) > r->bytes_max))
		drop(r);
	if (r->next - r->first == r->cap && !grow(r)) {
		free(e);
		return;
	}
	r->v[r->next++ % r->cap] = e;
	r->bytes += bytes_of(e);
}
