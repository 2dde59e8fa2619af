/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_policy_merge.c - operations on a policy, as they come in UpdateConfig: its policy is what is there
 *
 * What comes out is canonical and stays so, nothing of it changed that is fixed when a sandbox starts, the
 * operations in the message are as they were (the same again gives the same), and the difference can
 * be said: nothing, if and only if the two are the same.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "rpc/nest.h"
#include "rpc/policy_merge.h"

#include <stdlib.h>

#define BYTES_MAX (1u << 13) /* operations times rules, several times over */

static void merge_check(const Openshell__V1__UpdateConfigRequest *m, struct cv_arena *arena)
{
	char hash[4][CV_POLICY_HASH_BYTES];
	cv_policy_pb *base, *is, *again, *canonical;
	struct cv_buf difference;
	struct cv_err err;

	if (cv_policy_pb_canonical(m->policy, arena, &base, &err) != CV_OK ||
		cv_policy_merge(base, m->merge_operations, m->n_merge_operations, arena, &is,
			&err) != CV_OK)
		return;
	cv_assert(cv_policy_static_check(base, is, &err) == CV_OK);
	if (cv_policy_merge(base, m->merge_operations, m->n_merge_operations, arena, &again,
		    &err) != CV_OK ||
		cv_policy_pb_canonical(is, arena, &canonical, &err) != CV_OK) {
		cv_assert(arena->is_overflown);
		return;
	}
	if (cv_policy_pb_hash(base, hash[0], &err) != CV_OK ||
		cv_policy_pb_hash(is, hash[1], &err) != CV_OK ||
		cv_policy_pb_hash(again, hash[2], &err) != CV_OK ||
		cv_policy_pb_hash(canonical, hash[3], &err) != CV_OK)
		return;
	cv_assert(memcmp(hash[1], hash[2], sizeof(hash[1])) == 0);
	cv_assert(memcmp(hash[1], hash[3], sizeof(hash[1])) == 0);
	cv_buf_init(&difference, 1 << 20);
	cv_policy_diff(base, is, &difference);
	if (memcmp(hash[0], hash[1], sizeof(hash[0])) == 0)
		cv_assert(!cv_buf_len(&difference));
	cv_buf_fini(&difference);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Openshell__V1__UpdateConfigRequest *m;
	struct cv_arena arena;

	if (size > BYTES_MAX)
		return 0;
	cv_arena_init(&arena, CV_POLICY_PB_ARENA_BYTES_MAX);
	m = (Openshell__V1__UpdateConfigRequest *)cv_pb_arena_unpack(
		&openshell__v1__update_config_request__descriptor,
		(struct cv_str){ (const char *)data, size }, &arena);
	if (m && m->policy && m->n_merge_operations <= CV_POLICY_MERGE_OPERATIONS_MAX)
		merge_check(m, &arena);
	cv_arena_fini(&arena);
	return 0;
}
