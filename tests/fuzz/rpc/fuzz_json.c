/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_json.c - hostile JSON as a message; what is read and written again is the same message
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "rpc/json.h"

#include "openshell.pb-c.h"

#define BYTES_MAX (4u << 20)

static const ProtobufCMessageDescriptor *const types[] = {
	&openshell__v1__exec_sandbox_input__descriptor,
	&openshell__v1__create_sandbox_request__descriptor,
	&openshell__v1__update_config_request__descriptor,
	&google__protobuf__struct__descriptor,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_arena a;
	struct cv_buf once, twice;
	struct cv_err err;
	ProtobufCMessage *m, *again;

	if (size == 0)
		return 0;
	const ProtobufCMessageDescriptor *type = types[data[0] % CV_ARRAY_LEN(types)];
	cv_arena_init(&a, BYTES_MAX);
	cv_buf_init(&once, BYTES_MAX);
	cv_buf_init(&twice, BYTES_MAX);
	if (cv_rpc_json_read(type, (struct cv_str){ (const char *)data + 1, size - 1 }, &a, &m,
		    &err) == CV_OK) {
		cv_assert(cv_rpc_json_write(&once, m));
		if (cv_rpc_json_read(type, cv_buf_str(&once), &a, &again, &err) == CV_OK) {
			cv_assert(cv_rpc_json_write(&twice, again));
			cv_assert(cv_str_eq(cv_buf_str(&once), cv_buf_str(&twice)));
		} else {
			cv_assert(err.code == CV_LIMIT); /* the arena holds both */
		}
	} else {
		cv_assert(err.code == CV_INVALID || err.code == CV_LIMIT);
	}
	cv_arena_fini(&a);
	cv_buf_fini(&once);
	cv_buf_fini(&twice);
	return 0;
}
