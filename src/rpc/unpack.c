/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack.c - bytes of a stranger as a message
 *
 * The library unpacks by recursion, without a limit: a megabyte of messages in messages
 * (google.protobuf.Value holds lists of itself) would use up the stack.  So the bytes are walked
 * first, by a stack of our own, along the descriptors.  The walk looks at nothing but nesting; what
 * is malformed otherwise, the library refuses.
 *
 * Memory is the arena's, so its cap bounds what a message becomes; freeing is the arena's end.
 */
#include "rpc/call_int.h"

#include <string.h>

struct level {
	const ProtobufCMessageDescriptor *type;
	struct cv_str rest;
};

static bool varint_take(struct cv_str *s, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 10 && i < s->n; i++) {
		const unsigned char b = (unsigned char)s->p[i];

		v |= (uint64_t)(b & 0x7f) << (7 * i);
		if (b & 0x80)
			continue;
		*ret = v;
		*s = cv_str_slice(*s, i + 1, s->n);
		return true;
	}
	return false;
}

/* The field at the front of *s; *ret_in is what a length-delimited one holds. */
static bool field_take(struct cv_str *s, uint32_t *ret_number, bool *ret_has, struct cv_str *ret_in)
{
	uint64_t tag, n;

	*ret_has = false;
	if (!varint_take(s, &tag))
		return false;
	*ret_number = (uint32_t)(tag >> 3);
	switch (tag & 7) {
	case 0: return varint_take(s, &n);
	case 1: n = 8; break;
	case 2:
		if (!varint_take(s, &n))
			return false;
		*ret_has = true;
		break;
	case 5: n = 4; break;
	default: return false; /* groups: the library does not know them either */
	}
	if (n > s->n)
		return false;
	*ret_in = cv_str_slice(*s, 0, (size_t)n);
	*s = cv_str_slice(*s, (size_t)n, s->n);
	return true;
}

/* False: malformed, or too deep. */
static bool depth_judge(const ProtobufCMessageDescriptor *type, struct cv_str bytes)
{
	struct level levels[CV_RPC_UNPACK_DEPTH_MAX];
	size_t depth = 1;

	levels[0] = (struct level){ type, bytes };
	while (depth) {
		struct level *l = &levels[depth - 1];
		const ProtobufCFieldDescriptor *f;
		struct cv_str in = CV_STR("");
		uint32_t number;
		bool has;

		if (!l->rest.n) {
			depth--;
			continue;
		}
		if (!field_take(&l->rest, &number, &has, &in))
			return false;
		f = has ? protobuf_c_message_descriptor_get_field(l->type, number) : NULL;
		if (!f || f->type != PROTOBUF_C_TYPE_MESSAGE || !in.n)
			continue;
		if (depth == CV_RPC_UNPACK_DEPTH_MAX)
			return false;
		levels[depth++] = (struct level){ f->descriptor, in };
	}
	return true;
}

static void *arena_take(void *arena, size_t n)
{
	return cv_arena_alloc(arena, n ? n : 1);
}

static void arena_leave(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

cv_code cv_rpc_unpack(const ProtobufCMessageDescriptor *d, struct cv_str bytes, struct cv_arena *a,
	ProtobufCMessage **ret, struct cv_err *err)
{
	ProtobufCAllocator memory = {
		.alloc = arena_take, .free = arena_leave, .allocator_data = a
	};
	ProtobufCMessage *m;

	if (!depth_judge(d, bytes))
		return cv_fail(err, CV_INVALID,
			"the bytes of a message are no %s, or messages in it are nested too deeply",
			d->name);
	m = protobuf_c_message_unpack(d, &memory, bytes.n, (const uint8_t *)bytes.p);
	if (!m && a->is_overflown)
		return cv_fail(err, CV_LIMIT, "a message becomes too large when it is unpacked");
	if (!m)
		return cv_fail(err, CV_INVALID, "the bytes of a message are no %s", d->name);
	*ret = m;
	return CV_OK;
}
