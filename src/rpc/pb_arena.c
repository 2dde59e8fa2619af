/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb_arena.c - messages whose memory is an arena's: nothing is freed one by one
 */
#include "rpc/policy_pb.h"

static void *arena_take(void *arena, size_t bytes)
{
	return cv_arena_alloc(arena, bytes);
}

static void arena_leave(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

ProtobufCMessage *cv_pb_arena_unpack(
	const ProtobufCMessageDescriptor *type, struct cv_str bytes, struct cv_arena *arena)
{
	ProtobufCAllocator from = { arena_take, arena_leave, arena };

	return protobuf_c_message_unpack(type, &from, bytes.n, (const uint8_t *)bytes.p);
}

ProtobufCMessage *cv_pb_arena_copy(const ProtobufCMessage *m, struct cv_arena *arena)
{
	const size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *bytes = cv_arena_alloc(arena, n ? n : 1);

	if (!bytes)
		return NULL;
	protobuf_c_message_pack(m, bytes);
	return cv_pb_arena_unpack(m->descriptor, (struct cv_str){ (const char *)bytes, n }, arena);
}
