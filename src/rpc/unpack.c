/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack.c - bytes of a stranger as a message
 *
 * What would use up the stack, or grow out of proportion, is refused before (nest.h).
 * Memory is the arena's, so its cap bounds what a message becomes; freeing is the arena's end.
 */
#include "rpc/unpack.h"

#include "rpc/nest.h"

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

	if (!cv_rpc_nest_is_safe(d, bytes))
		return cv_fail(err, CV_INVALID,
			"the bytes of a message are no %s, or nested too deeply or too often in it",
			d->name);
	m = protobuf_c_message_unpack(d, &memory, bytes.n, (const uint8_t *)bytes.p);
	if (!m && a->is_overflown)
		return cv_fail(err, CV_LIMIT, "a message becomes too large when it is unpacked");
	if (!m)
		return cv_fail(err, CV_INVALID, "the bytes of a message are no %s", d->name);
	*ret = m;
	return CV_OK;
}
