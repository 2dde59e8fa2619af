/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_pod.c - a pod of a stranger: refused, or taken without a word that it has not
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "gateway/pb.c"
#include "gateway/pod.c"
#include "gateway/structs.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Openshell__V1__SandboxSpec *spec = cv_pb_new(&openshell__v1__sandbox_spec__descriptor);
	struct cv_arena arena;
	struct cv_err err;

	spec->template_ = (Openshell__V1__SandboxTemplate *)(void *)protobuf_c_message_unpack(
		&openshell__v1__sandbox_template__descriptor, NULL, size, data);
	cv_arena_init(&arena, 1 << 12);
	if (spec->template_ && pod_check(spec->template_, &err) == CV_OK) {
		const size_t had = spec->template_->n_environment;

		pod_take(spec);
		cv_assert(pod_is_there(spec->template_) ||
			  (!spec->n_command && spec->template_->n_environment == had));
		cv_assert(pod_left_out(spec->template_, &arena).n <= LEFT_BYTES_MAX + 16);
	}
	cv_arena_fini(&arena);
	cv_pb_free(spec);
	return 0;
}
