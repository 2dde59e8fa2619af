/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_pb.c - a policy's text as the bytes of its message, or those bytes as text
 *
 *     policy_pb encode < policy.yaml > message      policy_pb decode < message > policy.yaml
 *
 * For tests/wire/test_policy_message.py, which asks protobuf's own library about the bytes.
 */
#include "rpc/policy_pb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX (1u << 20)

static cv_code encode(struct cv_str in, struct cv_arena *arena, struct cv_err *err)
{
	cv_policy_pb *m;
	const cv_code code = cv_policy_pb_from_text(CV_STR("stdin"), in, arena, &m, err);

	if (code != CV_OK)
		return code;
	const size_t n = protobuf_c_message_get_packed_size(&m->base);
	uint8_t *bytes = malloc(n + 1);
	if (!bytes)
		return cv_fail(err, CV_LIMIT, "no memory");
	protobuf_c_message_pack(&m->base, bytes);
	fwrite(bytes, 1, n, stdout);
	free(bytes);
	return CV_OK;
}

static cv_code decode(struct cv_str in, struct cv_arena *arena, struct cv_err *err)
{
	struct cv_buf text;
	const cv_policy_pb *m = (const void *)cv_pb_arena_unpack(
		&openshell__sandbox__v1__sandbox_policy__descriptor, in, arena);

	if (!m)
		return cv_fail(err, CV_INVALID, "no message");
	cv_buf_init(&text, CV_POLICY_PB_TEXT_BYTES_MAX);
	const cv_code code = cv_policy_pb_text(m, &text, err);
	fwrite(cv_buf_str(&text).p, 1, cv_buf_len(&text), stdout);
	cv_buf_fini(&text);
	return code;
}

int main(int argc, char **argv)
{
	static char input[INPUT_BYTES_MAX];
	const struct cv_str in = { input, fread(input, 1, sizeof(input), stdin) };
	const bool is_encode = argc > 1 && strcmp(argv[1], "encode") == 0;
	struct cv_err err = { 0 };
	struct cv_arena arena;

	cv_arena_init(&arena, CV_POLICY_PB_ARENA_BYTES_MAX);
	const cv_code code = (is_encode ? encode : decode)(in, &arena, &err);
	cv_arena_fini(&arena);
	if (code != CV_OK)
		fprintf(stderr, "%s\n", err.msg);
	return code == CV_OK ? 0 : 1;
}
