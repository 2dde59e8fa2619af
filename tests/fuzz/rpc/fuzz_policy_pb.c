/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_policy_pb.c - what clients send as a policy: bytes, message, text, document
 *
 * Beyond not crashing: what was made canonical is accepted again, and stays what it is.
 */
#include "fuzz/fuzz.h"

#include "rpc/policy_pb.h"

#include <stdlib.h>

static void canonical_stays(const cv_policy_pb *m, struct cv_arena *arena)
{
	char hash[2][CV_POLICY_HASH_BYTES];
	cv_policy_pb *once, *twice;
	struct cv_err err;

	if (cv_policy_pb_canonical(m, arena, &once, &err) != CV_OK)
		return;
	if (cv_policy_pb_canonical(once, arena, &twice, &err) != CV_OK ||
		cv_policy_pb_hash(once, hash[0], &err) != CV_OK ||
		cv_policy_pb_hash(twice, hash[1], &err) != CV_OK ||
		memcmp(hash[0], hash[1], sizeof(hash[0])) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_arena arena;
	cv_policy_pb *m;

	if (size >
		1u << 14) /* nests as deep as bytes allow: servers bound that before they unpack */
		return 0;
	cv_arena_init(&arena, CV_POLICY_PB_ARENA_BYTES_MAX);
	m = (cv_policy_pb *)cv_pb_arena_unpack(&openshell__sandbox__v1__sandbox_policy__descriptor,
		(struct cv_str){ (const char *)data, size }, &arena);
	if (m)
		canonical_stays(m, &arena);
	cv_arena_fini(&arena);
	return 0;
}
