/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dialect.c - messages of March 2026 and today's: byte for byte, and what is malformed
 */
#include "unit/test.h"

#include "rpc/dialect.c" /* statics in reach */

#include "openshell.pb-c.h"

#define TEXT(literal) ((struct cv_str){ literal, sizeof(literal) - 1 })

static void *today(const ProtobufCMessageDescriptor *type, struct cv_str bytes)
{
	struct cv_buf out;

	cv_buf_init(&out, 1 << 16);
	assert_true(cv_dialect_request(type->name, bytes, &out));
	void *m = protobuf_c_message_unpack(
		type, NULL, cv_buf_len(&out), (const uint8_t *)cv_buf_str(&out).p);
	cv_buf_fini(&out);
	assert_non_null(m);
	return m;
}

static void a_provider_s_name_goes_into_its_head(void **state)
{
	/* {1:{1:"i" 2:"n" 3:"generic" 4:{1:"K" 2:"v"} 5:{1:"A" 2:"b"}}} */
	static const char was[] = "\x0a\x1f\x0a\x01i\x12\x01n\x1a\x07generic"
				  "\x22\x06\x0a\x01K\x12\x01v\x2a\x06\x0a\x01"
				  "A\x12\x01"
				  "b";
	Openshell__V1__CreateProviderRequest *m =
		today(&openshell__v1__create_provider_request__descriptor, TEXT(was));

	(void)state;
	assert_string_equal(m->provider->metadata->id, "i");
	assert_string_equal(m->provider->metadata->name, "n");
	assert_string_equal(m->provider->type, "generic");
	assert_string_equal(m->provider->credentials[0]->value, "v");
	assert_string_equal(m->provider->config[0]->key, "A");
	protobuf_c_message_free_unpacked(&m->base, NULL);
}

static void gpu_was_a_truth_value(void **state)
{
	Openshell__V1__CreateSandboxRequest *m =
		today(&openshell__v1__create_sandbox_request__descriptor,
			TEXT("\x0a\x02\x48\x01\x12\x01n"));

	(void)state;
	assert_non_null(m->spec->resource_requirements->gpu);
	assert_string_equal(m->name, "n");
	protobuf_c_message_free_unpacked(&m->base, NULL);
	m = today(&openshell__v1__create_sandbox_request__descriptor, TEXT("\x0a\x02\x48\x00"));
	assert_null(m->spec->resource_requirements);
	protobuf_c_message_free_unpacked(&m->base, NULL);
}

static void a_pod_is_a_block_of_the_driver_s(void **state)
{
	/* {spec=1 {template=6 {image=1 "i" pod_template=8 {fields=1 {key "a", value {string=3 "b"}}}}}} */
	Openshell__V1__CreateSandboxRequest *m =
		today(&openshell__v1__create_sandbox_request__descriptor,
			TEXT("\x0a\x11\x32\x0f\x0a\x01i\x42\x0a\x0a\x08\x0a\x01"
			     "a\x12\x03\x1a\x01"
			     "b"));
	const Openshell__V1__SandboxTemplate *t = m->spec->template_;
	const Google__Protobuf__Struct__FieldsEntry *block = t->driver_config->fields[0];

	(void)state;
	assert_string_equal(t->image, "i");
	assert_string_equal(block->key, "pod_template");
	assert_string_equal(block->value->struct_value->fields[0]->key, "a");
	assert_string_equal(block->value->struct_value->fields[0]->value->string_value, "b");
	protobuf_c_message_free_unpacked(&m->base, NULL);
}

static void a_sandbox_is_flat(void **state)
{
	/* id, name, namespace; spec; status {sandbox_name}; phase UNKNOWN for STOPPED; when; version */
	static const char then[] = "\x0a\x19\x0a\x01i\x12\x01n\x38\x05\x1a\x01w\x22\x03\x0a\x01l"
				   "\x30\x05\x40\x03\x2a\x03\x0a\x01n";
	Openshell__Datamodel__V1__ObjectMeta meta;
	Openshell__V1__SandboxResponse answer;
	Openshell__V1__Sandbox box;
	Openshell__V1__SandboxSpec spec;
	Openshell__V1__SandboxStatus status;
	char i[] = "i", n[] = "n", w[] = "w", l[] = "l", bash[] = "bash", *command[] = { bash };
	uint8_t packed[256];
	struct cv_buf out;

	(void)state;
	openshell__datamodel__v1__object_meta__init(&meta);
	openshell__v1__sandbox_response__init(&answer);
	openshell__v1__sandbox__init(&box);
	openshell__v1__sandbox_spec__init(&spec);
	openshell__v1__sandbox_status__init(&status);
	meta.id = i, meta.name = n, meta.workspace = w, meta.created_at_ms = 5;
	meta.resource_version = 9;
	spec.log_level = l, spec.command = command, spec.n_command = 1;
	status.sandbox_name = n, status.current_policy_version = 3;
	status.phase = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STOPPED;
	box.metadata = &meta, box.spec = &spec, box.status = &status;
	answer.sandbox = &box;
	const size_t bytes = openshell__v1__sandbox_response__pack(&answer, packed);
	cv_buf_init(&out, 1024);
	assert_true(cv_dialect_answer(answer.base.descriptor->name,
		(struct cv_str){ (const char *)packed, bytes }, &out));
	assert_int_equal(cv_buf_len(&out), sizeof(then) - 1);
	assert_memory_equal(cv_buf_str(&out).p, then, sizeof(then) - 1);
	cv_buf_fini(&out);
}

static void what_is_no_message_is_refused(void **state)
{
	static const struct cv_str bad[] = { TEXT("\x0a"),
		TEXT("\x0a\x05"
		     "ab"),
		TEXT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), TEXT("\x0b\x0c"),
		TEXT("\x02\x00"), TEXT("\x0a\x01\x0a"), TEXT("\x0d\x01") };
	struct cv_buf out;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++) {
		cv_buf_init(&out, 1024);
		assert_false(
			cv_dialect_request("openshell.v1.CreateProviderRequest", bad[i], &out));
		cv_buf_fini(&out);
	}
	cv_buf_init(&out, 1024); /* of others nothing is read */
	assert_true(cv_dialect_request("openshell.v1.GetSandboxRequest", bad[0], &out));
	assert_int_equal(cv_buf_len(&out), 1);
	cv_buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_provider_s_name_goes_into_its_head),
		cmocka_unit_test(gpu_was_a_truth_value),
		cmocka_unit_test(a_pod_is_a_block_of_the_driver_s),
		cmocka_unit_test(a_sandbox_is_flat),
		cmocka_unit_test(what_is_no_message_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
