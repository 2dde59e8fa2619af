/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_nest.c - messages within messages, without end, and structs for nothing
 */
#include "unit/test.h"

#include "rpc/nest.c"

#include "openshell.pb-c.h"
#include <stdlib.h>

#define LEVELS_MAX 100000

/* A Value that holds a list that holds a Value ...; returns it at the end of buf. */
static struct cv_str nested(uint8_t *buf, size_t size, size_t levels)
{
	uint8_t *at = buf + size;

	for (size_t i = 0; i < levels; i++) {
		const size_t n = (size_t)(buf + size - at);
		uint8_t head[8], *h = head;

		*h++ = i % 2 ? 0x32 : 0x0a; /* Value.list_value = 6, ListValue.values = 1 */
		for (size_t v = n; *h = (uint8_t)(v & 127), v > 127; v >>= 7)
			*h++ |= 128;
		h++;
		at -= h - head;
		memcpy(at, head, (size_t)(h - head));
	}
	return (struct cv_str){ (char *)at, (size_t)(buf + size - at) };
}

static void nesting_has_an_end(void **state)
{
	(void)state;
	static uint8_t buf[LEVELS_MAX * 6];
	const ProtobufCMessageDescriptor *value = &google__protobuf__value__descriptor;

	struct cv_str s = nested(buf, sizeof(buf), CV_RPC_NEST_DEPTH_MAX - 2);
	assert_true(cv_rpc_nest_is_safe(value, s));
	ProtobufCMessage *m = protobuf_c_message_unpack(value, NULL, s.n, (const uint8_t *)s.p);
	assert_non_null(m); /* so the bytes are what they should be */
	protobuf_c_message_free_unpacked(m, NULL);
	assert_false(cv_rpc_nest_is_safe(value, nested(buf, sizeof(buf), CV_RPC_NEST_DEPTH_MAX)));
	assert_false(cv_rpc_nest_is_safe(value, nested(buf, sizeof(buf), LEVELS_MAX)));
}

static void memory_has_an_end(void **state)
{
	(void)state;
	static char empty[1 << 20]; /* ListSandboxesResponse.sandboxes, each of no bytes */

	for (size_t i = 0; i < sizeof(empty); i += 2)
		empty[i] = 0x0a;
	assert_false(cv_rpc_nest_is_safe(&openshell__v1__list_sandboxes_response__descriptor,
		(struct cv_str){ empty, sizeof(empty) }));
	assert_true(cv_rpc_nest_is_safe(&openshell__v1__list_sandboxes_response__descriptor,
		(struct cv_str){ empty, 200 }));
}

static void real_messages_pass(void **state)
{
	(void)state;
	enum { SANDBOXES = 1000 };
	Openshell__V1__ListSandboxesResponse m;
	Openshell__V1__Sandbox one, *all[SANDBOXES];
	Openshell__Datamodel__V1__ObjectMeta meta;
	static char name[] = "s";

	openshell__v1__list_sandboxes_response__init(&m);
	openshell__v1__sandbox__init(&one);
	openshell__datamodel__v1__object_meta__init(&meta);
	meta.name = name;
	one.metadata = &meta;
	for (size_t i = 0; i < SANDBOXES; i++)
		all[i] = &one;
	m.n_sandboxes = SANDBOXES;
	m.sandboxes = all;
	const size_t n = protobuf_c_message_get_packed_size(&m.base);
	uint8_t *bytes = malloc(n);
	assert_int_equal(protobuf_c_message_pack(&m.base, bytes), n);
	assert_true(cv_rpc_nest_is_safe(m.base.descriptor, (struct cv_str){ (char *)bytes, n }));
	free(bytes);
}

static void a_text_with_a_nul_or_without_utf8_is_named(void **state)
{
	const ProtobufCMessageDescriptor *type = &openshell__v1__create_sandbox_request__descriptor;

	(void)state;
	/* name = 2, labels = 3 { key = 1, value = 2 } */
	assert_null(cv_rpc_nest_bad_text(type, CV_STR("\x12\x03"
						      "a\xc3\xa4")));
	assert_null(cv_rpc_nest_bad_text(type, CV_STR("\x12\x00")));
	assert_string_equal(cv_rpc_nest_bad_text(type, CV_STR("\x12\x03"
							      "a\0b")),
		"name");
	assert_string_equal(cv_rpc_nest_bad_text(type, CV_STR("\x12\x01\xc3")), "name");
	assert_string_equal(cv_rpc_nest_bad_text(type, CV_STR("\x1a\x05\x12\x03"
							      "a\0b")),
		"labels");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nesting_has_an_end),
		cmocka_unit_test(memory_has_an_end),
		cmocka_unit_test(real_messages_pass),
		cmocka_unit_test(a_text_with_a_nul_or_without_utf8_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
