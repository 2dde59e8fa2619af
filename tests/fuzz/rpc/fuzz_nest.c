/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_nest.c - bytes as a message: what is called safe is unpacked, and written again
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "rpc/nest.h"

#include "openshell.pb-c.h"
#include <stdlib.h>

static const ProtobufCMessageDescriptor *const types[] = {
	&google__protobuf__value__descriptor,
	&openshell__v1__list_sandboxes_response__descriptor,
	&openshell__v1__create_sandbox_request__descriptor,
	&openshell__v1__update_config_request__descriptor,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	const ProtobufCMessageDescriptor *type = types[data[0] % CV_ARRAY_LEN(types)];
	const struct cv_str s = { (const char *)data + 1, size - 1 };

	if (!cv_rpc_nest_is_safe(type, s))
		return 0;
	ProtobufCMessage *m = protobuf_c_message_unpack(type, NULL, s.n, (const uint8_t *)s.p);
	if (!m)
		return 0;
	const size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *again = malloc(n + 1);
	cv_assert(again);
	cv_assert(protobuf_c_message_pack(m, again) == n);
	free(again);
	protobuf_c_message_free_unpacked(m, NULL);
	return 0;
}
